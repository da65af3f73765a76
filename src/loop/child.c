/* A child is five libuv handles (process, three pipes, a timer); the memory goes when the last of them has closed.
 *
 * Ending is a ladder: SIGTERM to the process group (the child leads a session of its own), SIGKILL 2 s later, and
 * SIGKILL again for the group when the leader has been reaped, so that no helper of an ended child survives. The timer
 * serves, one after the other, the deadline, the ladder and the wait for pipes that a grandchild holds. */
#include "loop/child.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "loop/child_env.h"
#include "loop/loop.h"
#include "loop/loop_private.h"

enum {
    CHILD_KILL_MS = 2000,
    CHILD_PIPE_GRACE_MS = 2000,
    CHILD_STDERR_MAX = 16 * 1024,
    CHILD_OUTPUT_MAX = 1024 * 1024,
    CHILD_HANDLES = 5,
};

enum child_ending { CHILD_RUNNING, CHILD_TERMED, CHILD_KILLED };

struct child {
    uv_process_t process;
    uv_pipe_t in, out, err;
    uv_timer_t timer;
    int open_handles;
    enum child_ending ending;
    bool reaped, freed, delivered, out_open, err_open;
    size_t max_output, in_queued;
    void (*on_output)(void *arg, const char *p, size_t n);
    void (*on_stderr)(void *arg, const char *p, size_t n);
    void (*on_exit)(void *arg, const struct child_exit *exit);
    void *arg;
    struct child_exit exit;
};

struct child_input {
    uv_write_t req;
    struct child *child;
    size_t len;
    bool last; /* end of file follows */
    char bytes[];
};

static void child_closed(uv_handle_t *handle) {
    struct child *c = handle->data;
    if (--c->open_handles > 0)
        return;
    buf_free(&c->exit.out);
    buf_free(&c->exit.err);
    mem_free(c);
}

static void child_close(void *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, child_closed);
}

/* Calls on_exit once the process has been reaped and both pipes have ended. */
static void child_finish(struct child *c) {
    if (!c->reaped || c->out_open || c->err_open || c->delivered || c->freed)
        return;
    c->delivered = true;
    uv_timer_stop(&c->timer);
    child_close(&c->in);
    if (c->on_exit != NULL)
        c->on_exit(c->arg, &c->exit);
    buf_free(&c->exit.out);
    buf_free(&c->exit.err);
}

static void child_close_pipes(struct child *c) {
    c->out_open = c->err_open = false;
    child_close(&c->out);
    child_close(&c->err);
}

static void child_timer(uv_timer_t *timer);

static void child_timer_start(struct child *c, int64_t ms) {
    uv_update_time(c->timer.loop);
    uv_timer_start(&c->timer, child_timer, (uint64_t)ms, 0);
}

/* The next step of the ladder. */
static void child_end(struct child *c) {
    if (c->reaped || c->ending == CHILD_KILLED)
        return;
    int signum = c->ending == CHILD_RUNNING ? SIGTERM : SIGKILL;
    c->ending = c->ending == CHILD_RUNNING ? CHILD_TERMED : CHILD_KILLED;
    kill(-c->process.pid, signum);
    if (c->ending == CHILD_TERMED)
        child_timer_start(c, CHILD_KILL_MS);
}

static void child_timer(uv_timer_t *timer) {
    struct child *c = timer->data;
    if (c->reaped) {
        child_close_pipes(c);
        child_finish(c);
        return;
    }
    if (c->ending == CHILD_RUNNING)
        c->exit.timed_out = true;
    child_end(c);
}

static void child_exited(uv_process_t *process, int64_t status, int term_signal) {
    struct child *c = process->data;
    c->reaped = true;
    c->exit.status = term_signal != 0 ? -1 : (int)status;
    c->exit.signal = term_signal;
    if (c->ending != CHILD_RUNNING)
        kill(-process->pid, SIGKILL);
    child_close(process);
    if (c->freed) {
        child_close(&c->timer);
        return;
    }
    child_timer_start(c, CHILD_PIPE_GRACE_MS);
    child_finish(c);
}

static void child_take_stdout(struct child *c, const char *p, size_t n) {
    if (c->on_output != NULL) {
        c->on_output(c->arg, p, n);
        return;
    }
    size_t room = c->max_output - c->exit.out.len;
    buf_add(&c->exit.out, p, n < room ? n : room);
    if (n > room && !c->exit.overflow) {
        c->exit.overflow = true;
        child_end(c);
    }
}

/* Keeps the last 16 KiB: what a program says at its end explains the failure. */
static void child_take_stderr(struct child *c, const char *p, size_t n) {
    if (c->on_stderr != NULL)
        c->on_stderr(c->arg, p, n);
    if (c->freed)
        return;
    buf_add(&c->exit.err, p, n);
    if (c->exit.err.len > CHILD_STDERR_MAX)
        buf_consume(&c->exit.err, c->exit.err.len - CHILD_STDERR_MAX);
}

static void child_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct child *c = stream->data;
    bool is_out = stream == (uv_stream_t *)&c->out;
    if (n > 0) {
        if (c->reaped)
            child_timer_start(c, CHILD_PIPE_GRACE_MS);
        if (is_out)
            child_take_stdout(c, b->base, (size_t)n);
        else
            child_take_stderr(c, b->base, (size_t)n);
    } else if (n < 0) {
        *(is_out ? &c->out_open : &c->err_open) = false;
        child_close(stream);
        child_finish(c);
    }
}

static void child_written(uv_write_t *req, int status) {
    (void)status; /* a child that does not read its input says why on stderr or by its status */
    struct child_input *in = req->data;
    struct child *c = in->child;
    c->in_queued -= in->len;
    if (in->last)
        child_close(&c->in);
    secret_wipe(in->bytes, in->len);
    mem_free(in);
}

static void child_queue(struct child *c, const void *p, size_t n, bool last) {
    struct child_input *in = mem_alloc(sizeof *in + n);
    *in = (struct child_input){.child = c, .len = n, .last = last};
    if (n > 0)
        memcpy(in->bytes, p, n);
    in->req.data = in;
    c->in_queued += n;
    uv_buf_t b = uv_buf_init(in->bytes, (unsigned)n);
    int code = uv_write(&in->req, (uv_stream_t *)&c->in, &b, 1, child_written);
    if (code < 0)
        child_written(&in->req, code);
}

static void child_init_handles(struct child *c, uv_loop_t *uv) {
    uv_pipe_init(uv, &c->in, 0);
    uv_pipe_init(uv, &c->out, 0);
    uv_pipe_init(uv, &c->err, 0);
    uv_timer_init(uv, &c->timer);
    c->process.data = c->in.data = c->out.data = c->err.data = c->timer.data = c;
    c->open_handles = CHILD_HANDLES;
}

/* libcurl and libpq open sockets that a child would inherit: a helper that stays would hold our connections open. */
static void child_inherits_nothing(void) {
    long max = sysconf(_SC_OPEN_MAX);
#ifdef CLOSE_RANGE_CLOEXEC
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
#endif
    for (int fd = STDERR_FILENO + 1; fd < (max > 0 && max < 4096 ? max : 4096); fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}

static int child_exec(struct child *c, uv_loop_t *uv, const struct child_options *o) {
    bool piped = o->input != NULL || o->keep_stdin;
    uv_stdio_container_t stdio[] = {
        {.flags = piped ? UV_CREATE_PIPE | UV_READABLE_PIPE : UV_IGNORE, .data.stream = (uv_stream_t *)&c->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->err},
    };
    if (o->stdin_fd > 0)
        stdio[0] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = o->stdin_fd};
    if (o->stdout_fd > 0)
        stdio[1] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = o->stdout_fd};
    char **env = child_env_new(o->env, o->inherit_env);
    char **argv = NULL;
    memcpy(&argv, &o->argv, sizeof argv); /* execvp's missing const */
    uv_process_options_t po = {
        .exit_cb = child_exited,
        .file = o->argv[0],
        .args = argv,
        .env = env,
        .cwd = o->cwd,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    child_inherits_nothing();
    int code = uv_spawn(uv, &c->process, &po);
    child_env_free(env);
    return code;
}

static void child_abandon(struct child *c) {
    c->freed = c->reaped = true;
    child_close(&c->process);
    child_close(&c->in);
    child_close_pipes(c);
    child_close(&c->timer);
}

static struct err *child_error(const struct child_options *o, int code) {
    if (code == UV_ENOENT && strchr(o->argv[0], '/') == NULL)
        return err_new(ERR_FAILED, "cannot run \"%s\": it is not in PATH; install it or add its folder to PATH",
                       o->argv[0]);
    if (code == UV_ENOENT && o->cwd != NULL)
        return err_new(ERR_FAILED, "cannot run \"%s\" in \"%s\": %s", o->argv[0], o->cwd, uv_strerror(code));
    return err_new(ERR_FAILED, "cannot run \"%s\": %s", o->argv[0], uv_strerror(code));
}

struct err *child_spawn(struct loop *l, const struct child_options *o, struct child **ret) {
    struct child *c = MEM_NEW(struct child);
    c->max_output = o->max_output != 0 ? o->max_output : CHILD_OUTPUT_MAX;
    c->on_output = o->on_output;
    c->on_stderr = o->on_stderr;
    c->on_exit = o->on_exit;
    c->arg = o->arg;
    child_init_handles(c, loop_uv(l));
    int code = child_exec(c, loop_uv(l), o);
    if (code < 0) {
        child_abandon(c);
        return child_error(o, code);
    }
    c->out_open = o->stdout_fd <= 0;
    c->err_open = true;
    if (c->out_open)
        uv_read_start((uv_stream_t *)&c->out, loop_scratch, child_read);
    uv_read_start((uv_stream_t *)&c->err, loop_scratch, child_read);
    if (o->input != NULL)
        child_queue(c, o->input, o->input_len, !o->keep_stdin);
    if (o->timeout_ms > 0)
        child_timer_start(c, o->timeout_ms);
    *ret = c;
    return NULL;
}

int child_pid(const struct child *c) {
    return c->process.pid;
}

void child_signal(struct child *c, int signum) {
    if (!c->reaped)
        kill(c->process.pid, signum);
}

size_t child_write(struct child *c, const void *p, size_t n) {
    if (n > 0 && !uv_is_closing((uv_handle_t *)&c->in) && uv_is_writable((uv_stream_t *)&c->in))
        child_queue(c, p, n, false);
    return c->in_queued;
}

void child_close_stdin(struct child *c) {
    if (!uv_is_closing((uv_handle_t *)&c->in) && uv_is_writable((uv_stream_t *)&c->in))
        child_queue(c, NULL, 0, true);
}

void child_free(struct child *c) {
    if (c == NULL)
        return;
    c->freed = true;
    child_close(&c->in);
    child_close_pipes(c);
    if (!c->reaped) {
        if (c->ending == CHILD_RUNNING)
            child_end(c);
    } else {
        child_close(&c->timer);
    }
}
