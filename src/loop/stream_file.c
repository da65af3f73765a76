/* Regular files and devices as socks: one read and one write at a time on the pool, in order, at the file's own
 * position (so that appending and shared offsets work as for any program). */
#include <unistd.h>

#include "base/mem.h"
#include "loop/stream_private.h"

enum { FILE_CHUNK = 65536 };

static void sock_file_flush(struct sock *s);

/* After a job: true if the sock was freed meanwhile; the last job takes it along. */
static bool sock_file_gone(struct sock *s) {
    if (s->freed && !s->read_busy && !s->write_busy) {
        if (s->fd > STDERR_FILENO)
            close(s->fd);
        sock_destroy(s);
        return true;
    }
    return s->freed;
}

static void sock_file_was_read(uv_fs_t *req) {
    struct sock *s = req->data;
    ssize_t n = req->result;
    uv_fs_req_cleanup(req);
    s->read_busy = false;
    if (sock_file_gone(s))
        return;
    if (n < 0)
        sock_end(s, sock_error(s, "reading from", (int)n));
    else if (n == 0)
        sock_end(s, NULL);
    else if (s->ev.on_data != NULL)
        s->ev.on_data(s->arg, s->file_in, (size_t)n);
    if (!s->freed)
        sock_file_read(s);
}

void sock_file_read(struct sock *s) {
    if (!s->reading || s->read_busy || s->ended)
        return;
    if (s->file_in == NULL)
        s->file_in = mem_alloc(FILE_CHUNK);
    uv_buf_t b = uv_buf_init(s->file_in, FILE_CHUNK);
    s->read_busy = true;
    s->read_req.data = s;
    uv_fs_read(&s->loop->uv, &s->read_req, s->fd, &b, 1, -1, sock_file_was_read);
}

static void sock_file_was_written(uv_fs_t *req) {
    struct sock *s = req->data;
    ssize_t n = req->result;
    uv_fs_req_cleanup(req);
    s->write_busy = false;
    if (sock_file_gone(s))
        return;
    if (n < 0) {
        sock_end(s, sock_error(s, "writing to", (int)n));
        return;
    }
    buf_consume(&s->file_writing, (size_t)n);
    sock_sent(s, (size_t)n);
    if (!s->freed)
        sock_file_flush(s);
}

static void sock_file_flush(struct sock *s) {
    if (s->write_busy)
        return;
    if (s->file_writing.len == 0) {
        struct buf empty = s->file_writing;
        s->file_writing = s->file_out;
        s->file_out = empty;
    }
    if (s->file_writing.len == 0)
        return;
    uv_buf_t b = uv_buf_init(s->file_writing.p, (unsigned)s->file_writing.len);
    s->write_busy = true;
    s->write_req.data = s;
    uv_fs_write(&s->loop->uv, &s->write_req, s->fd, &b, 1, -1, sock_file_was_written);
}

void sock_file_write(struct sock *s, const char *p, size_t n) {
    buf_add(&s->file_out, p, n);
    s->queued += n;
    sock_file_flush(s);
}

/* Freed inside a callback of a job: the job's caller still looks at the sock, so the end waits for the turn's. */
static void sock_file_gone_deferred(void *arg) {
    sock_file_gone(arg);
}

void sock_file_free(struct sock *s) {
    if (!s->read_busy && !s->write_busy)
        loop_defer(s->loop, sock_file_gone_deferred, s);
}

void sock_file_destroy(struct sock *s) {
    mem_free(s->file_in);
    buf_free(&s->file_out);
    buf_free(&s->file_writing);
}
