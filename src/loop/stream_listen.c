/* Listening unix sockets: one owner of a path, connectable by our own user only. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/stream_private.h"

enum { LISTEN_BACKLOG = 16 };

struct sock_listener {
    uv_pipe_t uv;
    struct loop *loop;
    void (*fn)(void *arg, struct sock *peer);
    void *arg;
    char *path;
};

static void listener_closed(uv_handle_t *handle) {
    struct sock_listener *s = handle->data;
    mem_free(s->path);
    mem_free(s);
}

static void listener_ready(uv_stream_t *server, int status) {
    struct sock_listener *s = server->data;
    struct sock *peer = status == 0 ? sock_accept(s->loop, server, s->path) : NULL;
    if (peer != NULL)
        s->fn(s->arg, peer);
}

/* Whether a process answers at the path: a socket file outlives a process that was killed. */
static bool listener_answers(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool refused = connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static int listener_bind(struct sock_listener *s) {
    int code = uv_pipe_bind(&s->uv, s->path);
    if (code == UV_EADDRINUSE && !listener_answers(s->path) && unlink(s->path) == 0)
        code = uv_pipe_bind(&s->uv, s->path);
    if (code == 0 && chmod(s->path, S_IRUSR | S_IWUSR) != 0)
        code = -errno;
    return code;
}

struct err *sock_listen_unix(struct loop *l, const char *path, void (*fn)(void *arg, struct sock *peer), void *arg,
                             struct sock_listener **ret) {
    if (strlen(path) > SOCK_PATH_MAX)
        return err_new(ERR_FAILED, "the socket's path is longer than %d bytes: %s", SOCK_PATH_MAX, path);
    struct sock_listener *s = MEM_NEW(struct sock_listener);
    *s = (struct sock_listener){.loop = l, .fn = fn, .arg = arg, .path = mem_strdup(path)};
    uv_pipe_init(loop_uv(l), &s->uv, 0);
    s->uv.data = s;
    int code = listener_bind(s);
    if (code == 0)
        code = uv_listen((uv_stream_t *)&s->uv, LISTEN_BACKLOG, listener_ready);
    if (code < 0) {
        uv_close((uv_handle_t *)&s->uv, listener_closed);
        if (code == UV_EADDRINUSE)
            return err_new(ERR_LOCKED, "another process listens on %s", path);
        return err_new(ERR_SYSTEM, "cannot listen on %s: %s", path, uv_strerror(code));
    }
    *ret = s;
    return NULL;
}

void sock_listener_free(struct sock_listener *s) {
    if (s != NULL)
        uv_close((uv_handle_t *)&s->uv, listener_closed); /* libuv unlinks the path */
}
