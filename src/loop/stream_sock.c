/* A sock is one of two things behind the same calls: a libuv stream (unix socket, TCP, pipe, terminal), or a regular
 * file or device that cannot be polled, which is read and written by jobs on the pool (stream_file.c).
 *
 * A failure inside sock_write is reported at the end of the turn, so a writer never meets on_end in its own call. */
#include "loop/stream_sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/stream_private.h"

struct sock_chunk {
    uv_write_t req;
    struct sock *sock;
    size_t len;
    char bytes[];
};

static struct sock *sock_alloc(struct loop *l, const struct sock_events *ev, void *arg) {
    struct sock *s = MEM_NEW(struct sock);
    s->loop = l;
    s->fd = -1;
    s->restore_fd = -1;
    if (ev != NULL)
        s->ev = *ev;
    s->arg = arg;
    return s;
}

void sock_destroy(struct sock *s) {
    err_free(s->failure);
    sock_file_destroy(s);
    mem_free(s->label);
    mem_free(s);
}

/* The last callback. Takes e. */
void sock_end(struct sock *s, struct err *e) {
    if (!s->ended && !s->freed) {
        s->ended = true;
        s->reading = false;
        if (!s->is_file)
            uv_read_stop(&s->u.stream);
        if (s->ev.on_end != NULL)
            s->ev.on_end(s->arg, e);
    }
    err_free(e);
}

static void sock_end_deferred(void *arg) {
    struct sock *s = arg;
    struct err *e = s->failure;
    s->failure = NULL;
    sock_end(s, e);
}

struct err *sock_error(const struct sock *s, const char *what, int code) {
    return err_new(ERR_UNAVAILABLE, "%s %s: %s", what, s->label, uv_strerror(code));
}

static void sock_fail_later(struct sock *s, int code) {
    if (s->failure != NULL || s->ended)
        return;
    s->failure = sock_error(s, "writing to", code);
    loop_defer(s->loop, sock_end_deferred, s);
}

static void sock_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct sock *s = stream->data;
    if (n > 0 && s->ev.on_data != NULL)
        s->ev.on_data(s->arg, b->base, (size_t)n);
    else if (n == UV_EOF || n == UV_EIO) /* EIO: the terminal has hung up */
        sock_end(s, NULL);
    else if (n < 0)
        sock_end(s, sock_error(s, "reading from", (int)n));
}

/* Brings the reading of libuv in line with what is wanted. */
static void sock_update(struct sock *s) {
    bool want = s->readable && !s->connecting && !s->ended && !s->paused && s->ev.on_data != NULL;
    if (want == s->reading)
        return;
    s->reading = want;
    if (s->is_file)
        sock_file_read(s);
    else if (!want)
        uv_read_stop(&s->u.stream);
    else
        uv_read_start(&s->u.stream, loop_scratch, sock_read);
}

static void sock_connected(uv_connect_t *req, int status) {
    struct sock *s = req->data;
    s->connecting = false;
    if (s->freed)
        return;
    if (status < 0) {
        sock_end(s, sock_error(s, "cannot connect to", status));
        return;
    }
    s->readable = true;
    sock_update(s);
    if (s->ev.on_connected != NULL)
        s->ev.on_connected(s->arg);
}

static struct sock *sock_new_pipe(struct loop *l, const struct sock_events *ev, void *arg, const char *label) {
    struct sock *s = sock_alloc(l, ev, arg);
    uv_pipe_init(loop_uv(l), &s->u.pipe, 0);
    s->u.stream.data = s;
    s->label = mem_strdup(label);
    return s;
}

struct err *sock_connect_unix(struct loop *l, const char *path, const struct sock_events *ev, void *arg,
                              struct sock **ret) {
    if (strlen(path) > SOCK_PATH_MAX)
        return err_new(ERR_FAILED, "the socket's path is longer than %d bytes: %s", SOCK_PATH_MAX, path);
    struct sock *s = sock_new_pipe(l, ev, arg, path);
    s->connecting = true;
    s->connect.data = s;
    uv_pipe_connect(&s->connect, &s->u.pipe, path, sock_connected);
    *ret = s;
    return NULL;
}

static bool sock_address(const char *text, unsigned port, struct sockaddr_storage *ret) {
    return port <= 65535 && (uv_ip4_addr(text, (int)port, (struct sockaddr_in *)ret) == 0 ||
                             uv_ip6_addr(text, (int)port, (struct sockaddr_in6 *)ret) == 0);
}

struct err *sock_connect_tcp(struct loop *l, const char *address, unsigned port, const struct sock_events *ev,
                             void *arg, struct sock **ret) {
    struct sockaddr_storage to = {0};
    if (!sock_address(address, port, &to))
        return err_new(ERR_FAILED, "\"%s\" port %u is not a numeric address and port", address, port);
    struct sock *s = sock_alloc(l, ev, arg);
    uv_tcp_init(loop_uv(l), &s->u.tcp);
    uv_tcp_nodelay(&s->u.tcp, 1);
    s->u.stream.data = s;
    s->label = str_printf(strchr(address, ':') != NULL ? "[%s]:%u" : "%s:%u", address, port);
    s->connecting = true;
    s->connect.data = s;
    int code = uv_tcp_connect(&s->connect, &s->u.tcp, (struct sockaddr *)&to, sock_connected);
    if (code < 0) {
        struct err *e = sock_error(s, "cannot connect to", code);
        s->connecting = false;
        sock_free(s);
        return e;
    }
    *ret = s;
    return NULL;
}

static int sock_open_stream(struct sock *s, int fd, uv_handle_type type) {
    uv_loop_t *uv = loop_uv(s->loop);
    int code = 0;
    if (type == UV_TTY) {
        /* libuv reopens the terminal, so that ours alone is non-blocking */
        if ((code = uv_tty_init(uv, &s->u.tty, fd, 0)) < 0)
            return code;
    } else if (type == UV_TCP) {
        uv_tcp_init(uv, &s->u.tcp);
        s->opened = true;
        code = uv_tcp_open(&s->u.tcp, fd);
    } else {
        uv_pipe_init(uv, &s->u.pipe, 0);
        s->opened = true;
        code = uv_pipe_open(&s->u.pipe, fd);
    }
    s->opened = true;
    s->u.stream.data = s;
    return code;
}

/* O_NONBLOCK belongs to the open file, which stdin, stdout and stderr share with the program that started us. */
static void sock_remember_flags(struct sock *s, int fd, int flags) {
    if (fd <= STDERR_FILENO && (flags & O_NONBLOCK) == 0) {
        s->restore_fd = fd;
        s->restore_flags = flags;
    }
}

struct err *sock_from_fd(struct loop *l, int fd, const struct sock_events *ev, void *arg, struct sock **ret) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return err_sys(errno, "descriptor %d", fd);
    uv_handle_type type = uv_guess_handle(fd);
    if (type != UV_FILE && type != UV_TTY && type != UV_TCP && type != UV_NAMED_PIPE)
        return err_new(ERR_FAILED, "descriptor %d is neither a stream nor a file", fd);
    struct sock *s = sock_alloc(l, ev, arg);
    s->label = str_printf("descriptor %d", fd);
    s->readable = (flags & O_ACCMODE) != O_WRONLY;
    if (type == UV_FILE) {
        s->is_file = true;
        s->fd = fd;
    } else {
        if (type != UV_TTY)
            sock_remember_flags(s, fd, flags);
        int code = sock_open_stream(s, fd, type);
        if (code < 0) {
            struct err *e = sock_error(s, "cannot use", code);
            if (s->opened)
                sock_free(s);
            else
                sock_destroy(s);
            return e;
        }
    }
    sock_update(s);
    *ret = s;
    return NULL;
}

struct sock *sock_accept(struct loop *l, uv_stream_t *server, const char *label) {
    struct sock *s = sock_new_pipe(l, NULL, NULL, label);
    if (uv_accept(server, &s->u.stream) < 0) {
        sock_free(s);
        return NULL;
    }
    s->readable = true;
    return s;
}

void sock_set_events(struct sock *s, const struct sock_events *ev, void *arg) {
    s->ev = *ev;
    s->arg = arg;
    sock_update(s);
}

/* What has gone out; on_drained when nothing is left. */
void sock_sent(struct sock *s, size_t n) {
    s->queued -= n;
    if (s->queued == 0 && !s->ended && !s->freed && s->ev.on_drained != NULL)
        s->ev.on_drained(s->arg);
}

static void sock_written(uv_write_t *req, int status) {
    struct sock_chunk *chunk = req->data;
    struct sock *s = chunk->sock;
    size_t len = chunk->len;
    mem_free(chunk);
    if (status < 0 && !s->freed)
        sock_fail_later(s, status);
    if (status < 0)
        s->queued -= len;
    else
        sock_sent(s, len);
}

/* Offers the bytes to the kernel at once; queues a copy of what it does not take. */
static void sock_queue(struct sock *s, const char *p, size_t n) {
    struct sock_chunk *chunk = mem_alloc(sizeof *chunk + n);
    *chunk = (struct sock_chunk){.sock = s, .len = n};
    memcpy(chunk->bytes, p, n);
    chunk->req.data = chunk;
    uv_buf_t b = uv_buf_init(chunk->bytes, (unsigned)n);
    int taken = uv_try_write(&s->u.stream, &b, 1);
    if (taken == (int)n || (taken < 0 && taken != UV_EAGAIN)) {
        mem_free(chunk);
        if (taken < 0)
            sock_fail_later(s, taken);
        return;
    }
    size_t done = taken > 0 ? (size_t)taken : 0;
    chunk->len -= done;
    s->queued += chunk->len;
    b = uv_buf_init(chunk->bytes + done, (unsigned)chunk->len);
    int code = uv_write(&chunk->req, &s->u.stream, &b, 1, sock_written);
    if (code < 0)
        sock_written(&chunk->req, code);
}

size_t sock_write(struct sock *s, const void *p, size_t n) {
    if (n == 0 || s->ended || s->freed || s->failure != NULL)
        return s->queued;
    if (s->is_file)
        sock_file_write(s, p, n);
    else
        sock_queue(s, p, n);
    return s->queued;
}

size_t sock_queued(const struct sock *s) {
    return s->queued;
}

void sock_pause(struct sock *s, bool paused) {
    s->paused = paused;
    sock_update(s);
}

bool sock_peer_uid(const struct sock *s, unsigned *ret) {
#ifdef SO_PEERCRED
    struct ucred cred;
    socklen_t len = sizeof cred;
    uv_os_fd_t fd;
    if (s->is_file || uv_fileno((const uv_handle_t *)&s->u.stream, &fd) < 0)
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || cred.uid == (uid_t)-1)
        return false;
    *ret = cred.uid;
    return true;
#else
    (void)s;
    (void)ret;
    return false;
#endif
}

static void sock_closed(uv_handle_t *handle) {
    struct sock *s = handle->data;
    if (s->restore_fd >= 0)
        fcntl(s->restore_fd, F_SETFL, s->restore_flags);
    sock_destroy(s);
}

void sock_free(struct sock *s) {
    if (s == NULL || s->freed)
        return;
    s->freed = true;
    loop_undefer(s->loop, s);
    if (s->is_file) {
        sock_file_free(s);
        return;
    }
    s->u.stream.data = s;
    uv_close(&s->u.handle, sock_closed);
}
