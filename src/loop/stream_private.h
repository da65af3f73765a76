/* What stream_sock.c, stream_file.c and stream_listen.c share. */
#ifndef FERRYMAN_LOOP_STREAM_PRIVATE_H
#define FERRYMAN_LOOP_STREAM_PRIVATE_H

#include <uv.h>

#include "base/buf.h"
#include "loop/loop_private.h"
#include "loop/stream_sock.h"

enum { SOCK_PATH_MAX = 107 }; /* sun_path without its NUL (unix(7)) */

struct sock {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
        uv_tty_t tty;
    } u;
    uv_connect_t connect;
    struct loop *loop;
    struct sock_events ev;
    void *arg;
    char *label;             /* for errors: a path, an address, "descriptor 1" */
    struct err *failure;     /* of a write, to be reported at the end of the turn */
    size_t queued;
    bool opened, connecting, readable, reading, paused, ended, freed;
    int restore_fd, restore_flags; /* -1: nothing to restore */

    bool is_file;            /* from here on: stream_file.c's */
    int fd;
    uv_fs_t read_req, write_req;
    bool read_busy, write_busy;
    char *file_in;
    struct buf file_out;     /* waits */
    struct buf file_writing; /* is being written */
};

void sock_destroy(struct sock *s);
void sock_end(struct sock *s, struct err *e);
void sock_sent(struct sock *s, size_t n);
struct err *sock_error(const struct sock *s, const char *what, int code) MUST_CHECK;
/* A peer of a listening pipe, or NULL. */
struct sock *sock_accept(struct loop *l, uv_stream_t *server, const char *label);

/* Starts the next read if s->reading asks for it. */
void sock_file_read(struct sock *s);
void sock_file_write(struct sock *s, const char *p, size_t n);
/* Frees at once, or when the jobs on the pool are back. */
void sock_file_free(struct sock *s);
/* Releases the buffers. */
void sock_file_destroy(struct sock *s);

#endif
