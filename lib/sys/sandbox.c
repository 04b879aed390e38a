/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock's numbers, of include/uapi/linux/landlock.h: the headers installed may be older than the
 * kernel that runs. */
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_ALL_ABI1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,     /* ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
};

enum {
    FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE,
    FS_READ = FS_READ_FILE | FS_READ_DIR,
    FS_CHANGE = FS_READ | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_FILE | FS_MAKE_REG | FS_MAKE_SOCK,
};

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

#define LANDLOCK_VERSION_FLAG 1
#define LANDLOCK_PATH_BENEATH 1
#define NET_BIND_CONNECT_TCP 3
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL 3

/* Where the dynamic linker and libraries' own settings are. Missing ones are passed over. */
static const char *const library_paths[] = {"/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64",
    "/usr/libexec", "/usr/local/lib", "/usr/local/lib64", "/nix/store", "/gnu/store"};
static const char *const settings_paths[] = {"/usr/share", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/gnutls", "/etc/gcrypt",
    "/etc/ssl/openssl.cnf", "/etc/crypto-policies", "/sys/devices/system/cpu", "/dev/random",
    "/dev/urandom", "/dev/zero"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int vmscm_sandbox_landlock_abi(void)
{
    long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t fs_rights(int abi)
{
    uint64_t rights = FS_ALL_ABI1;

    if (abi >= 2)
        rights |= FS_REFER;
    if (abi >= 3)
        rights |= FS_TRUNCATE;
    if (abi >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

/* Returns 0 or an errno value. */
static int allow(int ruleset, const char *path, uint64_t access)
{
    struct path_beneath_attr rule = {access, -1};
    struct stat st;
    int rc = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno;
    if (fstat(rule.parent_fd, &st) < 0) {
        rc = errno;
    } else {
        if (!S_ISDIR(st.st_mode))
            rule.allowed_access &= FS_OF_FILES;
        if (syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0) < 0)
            rc = errno;
    }
    close(rule.parent_fd);
    return rc;
}

static int allow_list(int ruleset, const char *const *paths, uint64_t access,
    struct vmscm_error *err)
{
    for (; paths && *paths; paths++) {
        int errnum = allow(ruleset, *paths, access);
        if (errnum)
            return vmscm_error_errno(err, errnum, "%s: opening it to a helper program", *paths);
    }
    return 0;
}

static int landlock_prepare(struct vmscm_sandbox *box, const char *program,
    const char *const *read_only, const char *const *read_write, struct vmscm_error *err)
{
    struct ruleset_attr attr = {0};
    int abi = vmscm_sandbox_landlock_abi(), rc;
    size_t attr_size = abi >= 6 ? sizeof attr : abi >= 4 ? 16 : 8;

    if (!abi)
        return 0;
    attr.handled_access_fs = fs_rights(abi);
    if (abi >= 4)
        attr.handled_access_net = NET_BIND_CONNECT_TCP;
    if (abi >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX_AND_SIGNAL;
    /* The kernel makes this descriptor close-on-exec. */
    box->landlock = (int)syscall(__NR_landlock_create_ruleset, &attr, attr_size, 0);
    if (box->landlock < 0)
        return vmscm_error_errno(err, errno, "landlock: making a ruleset");

    uint64_t handled = attr.handled_access_fs;
    for (size_t i = 0; i < COUNT(library_paths); i++)
        allow(box->landlock, library_paths[i], (FS_READ | FS_EXECUTE) & handled);
    for (size_t i = 0; i < COUNT(settings_paths); i++)
        allow(box->landlock, settings_paths[i], FS_READ & handled);
    allow(box->landlock, "/dev/null", (FS_READ | FS_WRITE_FILE | FS_TRUNCATE) & handled);
    const char *const self[] = {program, NULL};
    if ((rc = allow_list(box->landlock, self, (FS_READ | FS_EXECUTE) & handled, err)) ||
        (rc = allow_list(box->landlock, read_only, FS_READ & handled, err)) ||
        (rc = allow_list(box->landlock, read_write, FS_CHANGE & handled, err)))
        return rc;
    return 0;
}

/* What no image tool needs, and what has been a way out of sandboxes before. */
static const int denied_calls[] = {SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp), SCMP_SYS(mount),
    SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(open_tree),
    SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(fsconfig),
    SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(personality),
    SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(fanotify_init), SCMP_SYS(lookup_dcookie),
    SCMP_SYS(vhangup), SCMP_SYS(nfsservctl), SCMP_SYS(modify_ldt), SCMP_SYS(memfd_secret)};

static int filter_build(scmp_filter_ctx ctx)
{
    int rc;

    for (size_t i = 0; i < COUNT(denied_calls); i++) {
        /* Negative: a call this architecture does not have. */
        if (denied_calls[i] < 0)
            continue;
        if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied_calls[i], 0)))
            return rc;
    }
    if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
             SCMP_A0(SCMP_CMP_NE, AF_UNIX))))
        return rc;
    /* A new user namespace gives back every capability; clone3 hides its flags from a filter, and
     * the C library falls back to clone. */
    if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
             SCMP_A0(SCMP_CMP_MASKED_EQ, 0x10000000, 0x10000000))))
        return rc;
    if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0)))
        return rc;
    /* Typing on the user's terminal. */
    return seccomp_rule_add(
        ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, 0x5412 /* TIOCSTI */));
}

/* The filter as a program for the kernel: loading it through libseccomp would allocate in the
 * child. */
static int filter_prepare(struct vmscm_sandbox *box, struct vmscm_error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    struct stat st;
    int fd = -1, rc;

    if (!ctx)
        return vmscm_error_nomem(err);
    rc = filter_build(ctx);
    if (!rc) {
        fd = memfd_create("seccomp", MFD_CLOEXEC);
        rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
    }
    if (rc) {
        rc = vmscm_error_errno(err, -rc, "seccomp: building the filter");
        goto out;
    }
    if (fstat(fd, &st) < 0 || st.st_size <= 0 ||
        (size_t)st.st_size / sizeof *box->filter.filter > BPF_MAXINSNS) {
        rc = vmscm_error_set(err, VMSCM_EIO, "seccomp: the filter is not usable");
        goto out;
    }
    box->filter.filter = malloc((size_t)st.st_size);
    if (!box->filter.filter) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (pread(fd, box->filter.filter, (size_t)st.st_size, 0) != st.st_size) {
        rc = vmscm_error_set(err, VMSCM_EIO, "seccomp: the filter cannot be read");
        goto out;
    }
    box->filter.len = (unsigned short)((size_t)st.st_size / sizeof *box->filter.filter);
out:
    if (fd >= 0)
        close(fd);
    seccomp_release(ctx);
    return rc;
}

int vmscm_sandbox_prepare(struct vmscm_sandbox *box, const char *program,
    const char *const *read_only, const char *const *read_write, struct vmscm_error *err)
{
    int rc = filter_prepare(box, err);

    box->calls_only = !program;
    if (!rc && program)
        rc = landlock_prepare(box, program, read_only, read_write, err);
    if (rc)
        vmscm_sandbox_release(box);
    return rc;
}

void vmscm_sandbox_release(struct vmscm_sandbox *box)
{
    free(box->filter.filter);
    box->filter.filter = NULL;
    if (box->landlock >= 0)
        close(box->landlock);
    box->landlock = -1;
}

int vmscm_sandbox_enter(const struct vmscm_sandbox *box)
{
    /* Exec gives root all that is in the bounding set; without the right to shrink it there is
     * nothing to drop. */
    for (int cap = 0; cap < 64 && !box->calls_only; cap++)
        if (cap != CAP_DAC_OVERRIDE && cap != CAP_DAC_READ_SEARCH && cap != CAP_FOWNER)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    if (box->landlock >= 0 && syscall(__NR_landlock_restrict_self, box->landlock, 0) < 0)
        return errno;
    /* A kernel without seccomp filters, or an emulator. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &box->filter, 0, 0) < 0 && errno != EINVAL &&
        errno != ENOSYS)
        return errno;
    return 0;
}
