/* Readiness of a descriptor that belongs to a library (libcurl, libpq, libmicrohttpd, curses' tty).
 *
 * The rule: fdwatch_free before any library call that may close the descriptor, and a fresh fdwatch afterwards, even if
 * the number is the same (libuv goes by the number, the kernel's poll set by what was open there). One fdwatch for one
 * descriptor at a time. Poll errors arrive as FD_READABLE|FD_WRITABLE: call the library, it finds the error. */
#ifndef FERRYMAN_LOOP_FDWATCH_H
#define FERRYMAN_LOOP_FDWATCH_H

struct loop;
struct fdwatch;

enum fd_events { FD_NONE = 0, FD_READABLE = 1, FD_WRITABLE = 2 };

/* The descriptor becomes non-blocking, and with it everything that shares its open file description: open a tty anew
 * for this, a dup() would make the shell's own end non-blocking too. */
struct fdwatch *fdwatch_new(struct loop *l, int fd, void (*fn)(void *arg, unsigned events), void *arg);
/* Level-triggered; FD_NONE stops. */
void fdwatch_set(struct fdwatch *w, unsigned events);
/* Out of the poll set before it returns; the descriptor may be closed right after. Allowed in its own callback. */
void fdwatch_free(struct fdwatch *w);

#endif
