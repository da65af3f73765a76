/* Errors as values: one type with a cause chain.
 *
 * A fallible function returns `struct err *`: NULL on success, else an error the caller owns (err_free, err_wrap or
 * returning it passes it on). Outputs are named ret_* and are untouched on failure. An error is reported once, where
 * the context is known; its text names the thing, the place and the remedy. */
#ifndef FERRYMAN_BASE_ERR_H
#define FERRYMAN_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* What kind of failure it is; decides the exit status (err_exit_status) and how a source's row is marked. */
enum err_kind {
    ERR_FAILED,      /* anything that has no kind of its own            exit 2: nothing was judged, and 1 says that a gate fails */
    ERR_UNKNOWN,     /* something could not be observed                 exit 2  */
    ERR_USAGE,       /* wrong command line                              exit 64 */
    ERR_DATA,        /* bad plan, kubeconfig or other input file        exit 65 */
    ERR_UNAVAILABLE, /* nothing answered, connection lost, timeout      exit 69 */
    ERR_LOCKED,      /* another operator holds the lock                 exit 75 */
    ERR_DENIED,      /* 403: the server knows us and says no            exit 77 */
    ERR_AUTH,        /* 401: credentials missing, expired or refused    exit 77 */
    ERR_PROTOCOL,    /* the peer answered what cannot be understood     exit 69 */
    ERR_CANCELLED,   /* we gave it up ourselves                         exit 2  */
    ERR_SYSTEM,      /* a system call failed                            exit 2  */
};

struct err;

/* A new error. The text has no trailing period or newline; it is cleaned (utf8_clean), so foreign text may be in it. */
struct err *err_new(enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Several faults of one input, each a line of `lines`: the only error whose text has newlines. Each line is cleaned. */
struct err *err_list(enum err_kind kind, const char *lines) MUST_CHECK;
/* A new ERR_SYSTEM error whose text ends with ": strerror(errnum)". */
struct err *err_sys(int errnum, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Puts context in front of `cause`, which it takes over; the kind is the cause's. Returns NULL if cause is NULL. */
struct err *err_wrap(struct err *cause, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
struct err *err_copy(const struct err *e) MUST_CHECK;
enum err_kind err_kind(const struct err *e);
/* Changes the kind, e.g. to let a timeout of a plan's file be ERR_DATA. */
void err_set_kind(struct err *e, enum err_kind kind);
/* The whole chain as one clean line, "context: cause: root"; e is not NULL. Owned by the error, valid until it is freed
 * or wrapped. */
const char *err_text(const struct err *e);
int err_exit_status(const struct err *e);
/* Frees the chain; NULL is allowed. */
void err_free(struct err *e);
/* Drops an error on purpose; the reason documents why that is right at this place. */
void err_ignore(struct err *e, const char *reason);

#endif
