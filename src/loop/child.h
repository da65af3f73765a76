/* Children: other programs run without a shell, in a session of their own, with a clean environment.
 *
 * stdin is /dev/null or given bytes or a pipe kept open; stdout and stderr are pipes read by the loop (bounded) or
 * delivered in chunks. Pipes that a grandchild still holds 2 s after the child's end, without a byte, are given up. */
#ifndef FERRYMAN_LOOP_CHILD_H
#define FERRYMAN_LOOP_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct loop;
struct child;

struct child_exit {
    int status;      /* exit status, or -1 if a signal ended it */
    int signal;      /* the signal, else 0 */
    bool timed_out;  /* the deadline ended it */
    bool overflow;   /* more output than max_output; it was ended */
    struct buf out;  /* collected stdout (owned by the child, gone after the callback) */
    struct buf err;  /* last 16 KiB of stderr */
};

struct child_options {
    const char *const *argv;     /* NULL-terminated; argv[0] is looked up in PATH if it has no slash */
    const char *const *env;      /* "NAME=value" list that is added to the base: PATH, HOME, USER, LOGNAME, LANG,
                                  * LANGUAGE, LC_*, TZ, TMPDIR, XDG_*, SSH_AUTH_SOCK, KUBECONFIG */
    bool inherit_env;            /* the whole environment instead of that base (credential plugins want it) */
    const char *cwd;             /* NULL: ours */
    const char *input;           /* bytes for stdin, copied; NULL: /dev/null */
    size_t input_len;
    bool keep_stdin;             /* stdin is a pipe that stays open until child_free (EOF: we have died) */
    int stdin_fd, stdout_fd;     /* descriptors to use as they are instead of what is said here (not 0, which is none): for pipes whose
                                  * other ends threads of ours serve. Close yours after child_spawn. */
    int64_t timeout_ms;          /* 0: none. Then SIGTERM, and SIGKILL 2 s later */
    size_t max_output;           /* bytes of stdout to keep; 0: 1 MiB */
    void (*on_output)(void *arg, const char *p, size_t n); /* chunks of stdout as they come, instead of collecting */
    void (*on_stderr)(void *arg, const char *p, size_t n);
    /* Once, after both pipes have ended; child_free is allowed in it. */
    void (*on_exit)(void *arg, const struct child_exit *exit);
    void *arg;
};

/* NULL argv[0] in PATH etc. gives an error, not a callback. */
struct err *child_spawn(struct loop *l, const struct child_options *o, struct child **ret) MUST_CHECK;
int child_pid(const struct child *c);
/* To the process itself, while it runs. Our own endings go to its whole process group. */
void child_signal(struct child *c, int signum);
/* With keep_stdin: queues a copy for stdin; returns the bytes that the pipe has not taken yet. */
size_t child_write(struct child *c, const void *p, size_t n);
/* With keep_stdin: end of file after what is queued. */
void child_close_stdin(struct child *c);
/* Ends it if it runs (SIGTERM, then SIGKILL after 2 s, reaped in the background) and frees; no callback comes after. */
void child_free(struct child *c);

#endif
