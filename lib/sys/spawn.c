/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A child is forked by a thread of its own, its keeper, which stays until the child is gone: the
 * kernel sends the parent-death signal when the forking thread ends, not the process. The keeper
 * drains the child's stderr meanwhile and keeps the end of it for the message.
 *
 * Between fork and exec the child calls only what is async-signal-safe; all it needs is in a struct
 * plan that was filled in before.
 */
#include "sys/spawn.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/sandbox.h"
#include "sys/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEEPER_STACK (256 * 1024)
#define STATUS_FD 3          /* in the child: tells why exec failed */
#define FILES_MAX 8192       /* descriptors of a child: a vmdk may have 4,096 extents */
#define KILL_GRACE_MS 2000

/* What the child does, in order; also what went wrong in it. */
enum step { STEP_PREPARE, STEP_DESCRIPTORS, STEP_LIMITS, STEP_CONFINE, STEP_EXEC };

struct failure {
    int step;
    int errnum;
};

struct plan {
    char *program; /* absolute */
    char *const *argv;
    char *env[5];
    int in, out, err, status; /* the child's ends, all above the numbers they will get */
    struct rlimit limits[5];
    int limit_ids[5];
    size_t limit_count;
    bool outlives;
    bool confined;
    struct vmscm_sandbox box;
    pid_t parent;
};

struct vmscm_spawn_keeper {
    pthread_t thread;
    sem_t started;
    const struct plan *plan; /* until started */
    int status_fd;
    int err_fd;
    pid_t pid;
    struct failure failure;
    struct vmscm_tail tail; /* read after the thread is joined */
};

static void child_run(const struct plan *plan) __attribute__((noreturn));

static void child_fail(int step, int errnum)
{
    struct failure f = {step, errnum};
    ssize_t n = write(STATUS_FD, &f, sizeof f);

    _exit(n == (ssize_t)sizeof f ? 127 : 126);
}

static void child_run(const struct plan *plan)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigset_t none;
    int rc;

    /* A session of its own: Ctrl-C is for us, and we end the child in order. */
    setsid();
    if (!plan->outlives)
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != plan->parent)
        _exit(126);
    if (dup2(plan->status, STATUS_FD) < 0 || dup2(plan->in, 0) < 0 || dup2(plan->out, 1) < 0 ||
        dup2(plan->err, 2) < 0)
        child_fail(STEP_DESCRIPTORS, errno);
    fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &sa, NULL);
    for (size_t i = 0; i < plan->limit_count; i++)
        if (setrlimit((__rlimit_resource_t)plan->limit_ids[i], &plan->limits[i]) < 0)
            child_fail(STEP_LIMITS, errno);
    if (plan->confined && (rc = vmscm_sandbox_enter(&plan->box)))
        child_fail(STEP_CONFINE, rc);
    if (syscall(SYS_close_range, STATUS_FD + 1, ~0U, 0) < 0) {
        struct rlimit files;
        if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 1 << 20)
            files.rlim_cur = 1 << 20;
        for (int fd = STATUS_FD + 1; fd < (int)files.rlim_cur; fd++)
            close(fd);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(plan->program, plan->argv, plan->env);
    child_fail(STEP_EXEC, errno);
    _exit(126);
}

/* All signals are blocked here, and so in the child until its handlers are reset. */
static void *keeper_run(void *data)
{
    struct vmscm_spawn_keeper *k = data;
    const struct plan *plan = k->plan;
    char buf[2048];
    siginfo_t info;
    ssize_t n;

    k->pid = fork();
    if (k->pid == 0)
        child_run(plan);
    if (k->pid < 0) {
        k->failure = (struct failure){STEP_PREPARE, errno};
        sem_post(&k->started);
        return NULL;
    }
    close(plan->status);
    close(plan->err);
    do
        n = read(k->status_fd, &k->failure, sizeof k->failure);
    while (n < 0 && errno == EINTR);
    if (n != 0 && n != (ssize_t)sizeof k->failure)
        k->failure = (struct failure){STEP_PREPARE, EIO};
    sem_post(&k->started);

    for (;;) {
        n = read(k->err_fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        vmscm_tail_add(&k->tail, buf, (size_t)n);
    }
    while (waitid(P_PID, (id_t)k->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    return NULL;
}

static void keeper_free(struct vmscm_spawn_keeper *k)
{
    if (!k)
        return;
    if (k->status_fd >= 0)
        close(k->status_fd);
    if (k->err_fd >= 0)
        close(k->err_fd);
    sem_destroy(&k->started);
    free(k);
}

static int find_program(char **out, const char *name, struct vmscm_error *err)
{
    const char *path = getenv("PATH");
    struct stat st;

    if (strchr(name, '/'))
        return vmscm_str_dup(out, name, err);
    if (!path || !*path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t len = strcspn(path, ":");
        /* A relative entry would run whatever lies in the directory we happen to be in. */
        if (len && path[0] == '/') {
            char *candidate = NULL;
            int rc = vmscm_str_printf(&candidate, err, "%.*s/%s", (int)len, path, name);
            if (rc)
                return rc;
            if (stat(candidate, &st) == 0 && S_ISREG(st.st_mode) && access(candidate, X_OK) == 0) {
                *out = candidate;
                return 0;
            }
            free(candidate);
        }
        path += len + (path[len] == ':');
    }
    vmscm_error_set(err, VMSCM_ETOOL, "%s: not installed", name);
    if (vmscm_str_starts(name, "qemu-"))
        vmscm_error_hint(err, "install the package qemu-utils (Debian, Ubuntu) or qemu-img (Fedora)");
    return VMSCM_ETOOL;
}

static void add_limit(struct plan *plan, int id, uint64_t soft)
{
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)id, &now) < 0)
        return;
    if (now.rlim_max != RLIM_INFINITY && soft > now.rlim_max)
        soft = now.rlim_max;
    plan->limit_ids[plan->limit_count] = id;
    /* Descriptors are for its use, not against it: what may be had stays as it is. */
    plan->limits[plan->limit_count] =
        (struct rlimit){soft, id == RLIMIT_NOFILE ? now.rlim_max : soft};
    /* The kernel's soft CPU limit is a signal that can be caught, the hard one cannot. */
    if (id == RLIMIT_CPU && (now.rlim_max == RLIM_INFINITY || soft < now.rlim_max))
        plan->limits[plan->limit_count].rlim_max = soft + 1;
    plan->limit_count++;
}

static int plan_env(struct plan *plan, struct vmscm_error *err)
{
    const char *path = getenv("PATH"), *tmp = getenv("TMPDIR");
    int rc;

    if ((rc = vmscm_str_printf(
             &plan->env[0], err, "PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin")) ||
        (rc = vmscm_str_dup(&plan->env[1], "LANG=C", err)) ||
        /* Each arena reserves 64 MiB of the address space that may be limited. */
        (rc = vmscm_str_dup(&plan->env[2], "MALLOC_ARENA_MAX=4", err)))
        return rc;
    return tmp ? vmscm_str_printf(&plan->env[3], err, "TMPDIR=%s", tmp) : 0;
}

static void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < sizeof plan->env / sizeof plan->env[0]; i++)
        free(plan->env[i]);
    free(plan->program);
    vmscm_sandbox_release(&plan->box);
}

/* Above the child's own numbers, so that no dup2 there overwrites one that is still needed. */
static int raise_fd(int *fd, struct vmscm_error *err)
{
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, STATUS_FD + 1);

    if (high < 0)
        return vmscm_error_errno(err, errno, "starting a program");
    close(*fd);
    *fd = high;
    return 0;
}

static int make_pipe(int ends[2], struct vmscm_error *err)
{
    int rc;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        ends[0] = ends[1] = -1;
        return vmscm_error_errno(err, errno, "starting a program");
    }
    if ((rc = raise_fd(&ends[0], err)))
        return rc;
    return raise_fd(&ends[1], err);
}

static void close_pair(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

static int start_failed(const char *name, const struct failure *f, struct vmscm_error *err)
{
    static const char *const steps[] = {"starting it", "passing descriptors", "setting limits",
        "confining it", "running it"};
    size_t step = f->step >= 0 && f->step <= STEP_EXEC ? (size_t)f->step : 0;

    vmscm_error_errno(err, f->errnum, "%s: %s", name, steps[step]);
    if (err)
        err->code = VMSCM_ETOOL;
    return VMSCM_ETOOL;
}

/* Starts the keeper's thread and waits until the child runs or could not. */
static int keeper_start(struct vmscm_spawn_keeper *k, const char *name, struct vmscm_error *err)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int errnum;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, KEEPER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    errnum = pthread_create(&k->thread, &attr, keeper_run, k);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (errnum)
        return vmscm_error_errno(err, errnum, "%s: starting a thread", name);
    while (sem_wait(&k->started) < 0 && errno == EINTR)
        ;
    if (k->pid > 0 && k->failure.errnum == 0)
        return 0;
    pthread_join(k->thread, NULL);
    if (k->pid > 0)
        waitpid(k->pid, NULL, 0);
    return start_failed(name, &k->failure, err);
}

int vmscm_spawn_start(struct vmscm_spawn *child, const struct vmscm_spawn_options *options,
    bool want_stdout, struct vmscm_error *err)
{
    struct plan plan = {.in = -1, .out = -1, .err = -1, .status = -1, .box = VMSCM_SANDBOX_INIT};
    int out_pipe[2] = {-1, -1}, err_pipe[2] = {-1, -1}, status_pipe[2] = {-1, -1};
    struct vmscm_spawn_keeper *k = NULL;
    int null = -1, rc;

    *child = (struct vmscm_spawn)VMSCM_SPAWN_INIT;
    plan.argv = (char *const *)options->argv;
    plan.outlives = options->outlives;
    plan.confined = options->confined;
    plan.parent = getpid();
    if ((rc = find_program(&plan.program, options->argv[0], err)) || (rc = plan_env(&plan, err)) ||
        (rc = vmscm_str_dup(&child->name, vmscm_path_basename(options->argv[0]), err)))
        goto out;
    add_limit(&plan, RLIMIT_CORE, 0);
    add_limit(&plan, RLIMIT_NOFILE, FILES_MAX);
    if (options->max_memory)
        add_limit(&plan, RLIMIT_AS, options->max_memory);
    if (options->max_cpu_seconds)
        add_limit(&plan, RLIMIT_CPU, options->max_cpu_seconds);
    if (options->max_file_size)
        add_limit(&plan, RLIMIT_FSIZE, options->max_file_size);
    if (plan.confined &&
        (rc = vmscm_sandbox_prepare(
             &plan.box, plan.program, options->read_only, options->read_write, err)))
        goto out;
    if (plan.box.landlock >= 0 && (rc = raise_fd(&plan.box.landlock, err)))
        goto out;

    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        rc = vmscm_error_errno(err, errno, "/dev/null");
        goto out;
    }
    if ((rc = raise_fd(&null, err)) || (want_stdout && (rc = make_pipe(out_pipe, err))) ||
        (rc = make_pipe(err_pipe, err)) || (rc = make_pipe(status_pipe, err)))
        goto out;
    k = calloc(1, sizeof *k);
    if (!k) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    sem_init(&k->started, 0, 0);
    k->status_fd = status_pipe[0];
    k->err_fd = err_pipe[0];
    status_pipe[0] = err_pipe[0] = -1;
    k->plan = &plan;
    plan.in = null;
    plan.out = want_stdout ? out_pipe[1] : null;
    plan.err = err_pipe[1];
    plan.status = status_pipe[1];
    if ((rc = keeper_start(k, child->name, err))) {
        /* Without a child the keeper did not close these. */
        if (k->pid > 0)
            err_pipe[1] = status_pipe[1] = -1;
        goto out;
    }
    err_pipe[1] = status_pipe[1] = -1;
    child->pid = k->pid;
    child->out = out_pipe[0];
    child->keeper = k;
    out_pipe[0] = -1;
    k = NULL;
out:
    if (rc) {
        free(child->name);
        *child = (struct vmscm_spawn)VMSCM_SPAWN_INIT;
    }
    keeper_free(k);
    close_pair(out_pipe);
    close_pair(err_pipe);
    close_pair(status_pipe);
    if (null >= 0)
        close(null);
    plan_release(&plan);
    return rc;
}

bool vmscm_spawn_alive(const struct vmscm_spawn *child)
{
    siginfo_t info = {0};

    return child->pid > 0 &&
        waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == 0;
}

/* The last line that the program put its name in front of, without that, or else the last one: a
 * hint may follow the message. "" if it said nothing. */
static const char *last_words(struct vmscm_spawn_keeper *k, const char *name)
{
    size_t len = k->tail.len, n = strlen(name);
    char *last = NULL;

    for (;;) {
        while (len && (k->tail.text[len - 1] == '\n' || k->tail.text[len - 1] == '\r'))
            len--;
        k->tail.text[len] = '\0';
        if (!len)
            return last ? last : "";
        char *line = memrchr(k->tail.text, '\n', len);
        line = line ? line + 1 : k->tail.text;
        if (strncmp(line, name, n) == 0 && strncmp(line + n, ": ", 2) == 0)
            return line + n + 2;
        if (!last)
            last = line;
        len = (size_t)(line - k->tail.text);
    }
}

/* Waits, ends what the program may have left running, and frees; 0 or VMSCM_ETOOL. */
static int reap(struct vmscm_spawn *child, struct vmscm_error *err)
{
    siginfo_t info;
    int status = 0, rc = 0;

    if (child->pid <= 0)
        return 0;
    if (child->out >= 0)
        close(child->out);
    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0)
        if (errno != EINTR) {
            rc = vmscm_error_errno(err, errno, "%s: waiting for it", child->name);
            break;
        }
    pthread_join(child->keeper->thread, NULL);
    const char *words = last_words(child->keeper, child->name);
    if (rc) {
        /* Said already. */
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
        rc = vmscm_error_set(err, VMSCM_ETOOL, "%s: took more CPU time than allowed", child->name);
    } else if (WIFSIGNALED(status)) {
        rc = vmscm_error_set(
            err, VMSCM_ETOOL, "%s: killed by signal %d", child->name, WTERMSIG(status));
    } else if (WEXITSTATUS(status) && *words) {
        rc = vmscm_error_set(err, VMSCM_ETOOL, "%s: %s", child->name, words);
    } else if (WEXITSTATUS(status)) {
        rc = vmscm_error_set(
            err, VMSCM_ETOOL, "%s: exited with status %d", child->name, WEXITSTATUS(status));
    }
    keeper_free(child->keeper);
    free(child->name);
    *child = (struct vmscm_spawn)VMSCM_SPAWN_INIT;
    return rc;
}

int vmscm_spawn_wait(struct vmscm_spawn *child, struct vmscm_error *err)
{
    return reap(child, err);
}

void vmscm_spawn_kill(struct vmscm_spawn *child)
{
    const struct timespec pause = {0, 5 * 1000 * 1000};

    if (child->pid <= 0)
        return;
    kill(-child->pid, SIGTERM);
    for (int ms = 0; ms < KILL_GRACE_MS && vmscm_spawn_alive(child); ms += 5)
        nanosleep(&pause, NULL);
    kill(-child->pid, SIGKILL);
    reap(child, NULL);
}

int vmscm_spawn_run(struct vmscm_buf *out, size_t max, const struct vmscm_spawn_options *options,
    int (*canceled)(void *data), void *data, struct vmscm_error *err)
{
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;
    size_t total = 0;
    char buf[16384];
    int rc = vmscm_spawn_start(&child, options, true, err);

    if (rc)
        return rc;
    for (;;) {
        struct pollfd p = {.fd = child.out, .events = POLLIN};
        int ready = poll(&p, 1, 100);
        if (canceled && canceled(data)) {
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", child.name);
            goto out;
        }
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(child.out, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = vmscm_error_errno(err, errno, "%s: reading what it says", child.name);
            goto out;
        }
        if (n == 0)
            break;
        total += (size_t)n;
        if (total > max) {
            rc = vmscm_error_set(
                err, VMSCM_ETOOL, "%s: printed more than %zu bytes", child.name, max);
            goto out;
        }
        if (out && (rc = vmscm_buf_append(out, buf, (size_t)n, err)))
            goto out;
    }
    /* It may have closed its stdout and gone on. */
    while (canceled && vmscm_spawn_alive(&child)) {
        const struct timespec pause = {0, 5 * 1000 * 1000};
        if (canceled(data)) {
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", child.name);
            goto out;
        }
        nanosleep(&pause, NULL);
    }
    rc = vmscm_spawn_wait(&child, err);
out:
    vmscm_spawn_kill(&child);
    return rc;
}

const char *vmscm_spawn_confinement(void)
{
    static const char *const known[] = {"rlimits, seccomp", "rlimits, seccomp, landlock 1",
        "rlimits, seccomp, landlock 2", "rlimits, seccomp, landlock 3",
        "rlimits, seccomp, landlock 4", "rlimits, seccomp, landlock 5",
        "rlimits, seccomp, landlock 6 or newer"};
    int abi = vmscm_sandbox_landlock_abi();

    return known[abi < 6 ? abi : 6];
}
