/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running the user's own programs: pager, editor, man, vmscm-foo. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Start argv[0], found on the PATH, with `input` as standard input (-1: ours), or with no output
 * at all. Returns its id, or -1 and errno. Signals have their default meaning in it. */
pid_t process_start(char *const argv[], int input, bool silent);
/* Start it in a session of its own, with no input and output, and never wait for it. */
void process_leave(char *const argv[]);
/* Start it in a session of its own, with no input, its standard output in *out, which is the caller's to
 * close, and its errors in the file `errors`; `name` is `value` in its environment. As process_start. */
pid_t process_detach(char *const argv[], const char *name, const char *value, int *out, int errors);
/* Its exit status; 128 + N if signal N ended it; -1 if it could not be waited for. */
int process_wait(pid_t pid);
/* Both. 127 if it could not be started. */
int process_run(char *const argv[], bool silent);

/* Full path of an executable file on the PATH, the caller's; NULL if there is none. A full path is itself
 * looked at. */
char *process_find(const char *name);

#endif
