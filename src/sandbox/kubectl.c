/* The stand-in kubectl: a blocking program of its own (a poll loop over pairs of sockets), and the file it reads. */
#include "sandbox/kubectl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/str.h"
#include "sandbox/guard.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"

#define FORWARD_PAIRS 64
#define FORWARD_BYTES 65536

/* ---- DIR/forward: lines "NAMESPACE/POD REMOTE ADDRESS LOCAL" ---- */

struct forward {
    struct buf lines;
};

static void forward_save(struct sandbox *s)
{
    struct rest *rest = rest_of(s);
    struct err *e = rest_write(s, "forward", rest->forward ? buf_str(&rest->forward->lines) : "", 0600);
    if (e)
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
    err_free(e);
}

/* Drops the lines of a pod. */
static void forward_drop(struct forward *f, const char *ns, const char *pod)
{
    char *head = str_printf("%s/%s ", ns, pod);
    struct buf kept = {0};
    struct slice rest = buf_slice(&f->lines), line;
    while (slice_cut(&rest, '\n', &line)) {
        if (line.n && !slice_starts(line, head))
            buf_printf(&kept, "%.*s\n", SLICE_FMT(line));
    }
    buf_free(&f->lines);
    f->lines = kept;
    mem_free(head);
}

void forward_set(struct sandbox *s, const char *ns, const char *pod, unsigned remote, const char *address,
                 unsigned local)
{
    struct rest *rest = rest_of(s);
    if (!rest->forward)
        return;
    forward_drop(rest->forward, ns, pod);
    buf_printf(&rest->forward->lines, "%s/%s %u %s %u\n", ns, pod, remote, address, local);
    forward_save(s);
}

void forward_clear(struct sandbox *s, const char *ns, const char *pod)
{
    struct rest *rest = rest_of(s);
    if (!rest->forward)
        return;
    forward_drop(rest->forward, ns, pod);
    forward_save(s);
}

static struct err *kubectl_start(struct sandbox *s)
{
    struct rest *rest = rest_of(s);
    rest->forward = MEM_NEW(struct forward);
    forward_save(s);
    char *bin = str_printf("%s/bin", s->dir);
    struct err *e = file_mkdirs(bin, 0700);
    mem_free(bin);
    if (e)
        return e;
    char *self = program_path();
    char *text = str_printf("#!/bin/sh\n"
                            "# Stand-in kubectl of the sandbox: it forwards ports; all else goes to the real one.\n"
                            "exec '%s' --as-kubectl '%s' \"$@\"\n", self ? self : "ferryman-sandbox", s->dir);
    e = rest_write(s, "bin/kubectl", text, 0700);
    mem_free(text);
    mem_free(self);
    return e;
}

static void kubectl_stop(struct sandbox *s)
{
    struct rest *rest = rest_of(s);
    if (rest->forward) {
        buf_free(&rest->forward->lines);
        mem_free(rest->forward);
        rest->forward = NULL;
    }
    rest_free(s);
}

const struct sandbox_part kubectl_part = {.name = "kubectl", .start = kubectl_start, .stop = kubectl_stop};

/* ---- The program ---- */

struct kubectl {
    const char *dir, *ns, *target;
    const char *ports[8];
    size_t port_count;
};

struct half {
    char bytes[FORWARD_BYTES];
    size_t n;
    bool ended; /* its reader has seen the end */
};

/* A client's connection and the pod's: what came from fd[i] waits in from[i] for the other one. */
struct pair {
    int fd[2];
    struct half *from;
};

/* The real kubectl: the first in PATH that is not in DIR/bin. */
static int kubectl_real(const char *dir, int argc, char **argv)
{
    char *own = str_printf("%s/bin", dir);
    struct slice rest = slice_of(getenv("PATH")), folder;
    while (slice_cut(&rest, ':', &folder)) {
        char *path = str_printf("%.*s/kubectl", SLICE_FMT(folder));
        if (folder.n && !slice_is(folder, own) && access(path, X_OK) == 0) {
            char **args = mem_calloc((size_t)argc + 2, sizeof *args);
            args[0] = path;
            for (int i = 0; i < argc; i++)
                args[i + 1] = argv[i];
            execv(path, args);
        }
        mem_free(path);
    }
    mem_free(own);
    fprintf(stderr, "error: this stand-in kubectl does port-forward only, and there is no other kubectl in PATH\n");
    return 1;
}

/* Options that port-forward and the callers of it use; those that name a server are taken and not needed. */
static bool kubectl_parse(struct kubectl *k, int argc, char **argv)
{
    static const char *const valued[] = {"--context", "--kubeconfig", "--cluster", "--user", "--request-timeout",
                                         "--pod-running-timeout", "--server", "-s", "--address"};
    bool verb = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        const char *eq = strchr(a, '=');
        if ((str_eq(a, "-n") || str_eq(a, "--namespace")) && next)
            k->ns = argv[++i];
        else if (str_starts(a, "--namespace="))
            k->ns = eq + 1;
        else if (a[0] == '-') {
            for (size_t v = 0; v < ARRAY_LEN(valued); v++)
                i += str_eq(a, valued[v]) ? 1 : 0;
        } else if (!verb) {
            verb = true;
        } else if (!k->target) {
            k->target = a;
        } else if (k->port_count < ARRAY_LEN(k->ports)) {
            k->ports[k->port_count++] = a;
        }
    }
    return k->target && k->port_count > 0;
}

/* Whether the pod named is meant by pod/NAME, NAME, or KIND/NAME (then its name begins with NAME-). */
static bool kubectl_means(const char *target, struct slice pod)
{
    const char *slash = strchr(target, '/');
    const char *name = slash ? slash + 1 : target;
    if (!slash || str_starts(target, "pod/") || str_starts(target, "pods/") || str_starts(target, "po/"))
        return slice_is(pod, name);
    size_t n = strlen(name);
    return slice_starts(pod, name) && (pod.n == n || pod.p[n] == '-');
}

static bool loopback(struct slice address, unsigned port, struct sockaddr_in *ret)
{
    char text[48];
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(address));
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

/* Loopback address for a pod's port; false if DIR/forward has none (now). */
static bool kubectl_look_up(const struct kubectl *k, unsigned remote, struct sockaddr_in *ret)
{
    char *path = str_printf("%s/forward", k->dir);
    struct buf text = {0};
    struct err *e = file_read(path, 1 << 20, &text);
    mem_free(path);
    bool found = false;
    struct slice lines = buf_slice(&text), line;
    while (!e && !found && slice_cut(&lines, '\n', &line)) {
        struct slice ns, pod, from, address, to;
        int64_t remote_port, local_port;
        if (slice_cut(&line, '/', &ns) && slice_cut(&line, ' ', &pod) && slice_cut(&line, ' ', &from) &&
            slice_cut(&line, ' ', &address) && slice_cut(&line, ' ', &to) && slice_to_i64(from, &remote_port) &&
            slice_to_i64(to, &local_port) && slice_is(ns, k->ns) && kubectl_means(k->target, pod) && remote_port == remote)
            found = loopback(address, (unsigned)local_port, ret);
    }
    err_free(e);
    buf_free(&text);
    return found;
}

static int forward_listen(unsigned *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    if (!loopback(SLICE_LIT("127.0.0.1"), *port, &a) || fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    *port = ntohs(a.sin_port);
    return fd;
}

static void pair_close(struct pair *p)
{
    close(p->fd[0]);
    close(p->fd[1]);
    free(p->from);
    *p = (struct pair){.fd = {-1, -1}};
}

/* Moves what is ready from one side to the other; false when the pair is over. */
static bool pair_move(struct pair *p, const short revents[2])
{
    for (int i = 0; i < 2; i++) {
        struct half *h = &p->from[i];
        if ((revents[i] & (POLLIN | POLLHUP | POLLERR)) && !h->n && !h->ended) {
            ssize_t n = read(p->fd[i], h->bytes, sizeof h->bytes);
            if (n < 0 && errno != EINTR && errno != EAGAIN)
                return false;
            h->n = n > 0 ? (size_t)n : 0;
            if (n == 0) {
                h->ended = true;
                shutdown(p->fd[1 - i], SHUT_WR);
            }
        }
        if (h->n) {
            ssize_t n = write(p->fd[1 - i], h->bytes, h->n);
            if (n < 0 && errno != EINTR && errno != EAGAIN)
                return false;
            if (n > 0) {
                h->n -= (size_t)n;
                memmove(h->bytes, h->bytes + n, h->n);
            }
        }
    }
    return !(p->from[0].ended && p->from[1].ended);
}

/* What to wait for on one side: more to pass on when all of it has gone, room for what came from the other. */
static short pair_events(const struct pair *p, int side)
{
    if (p->fd[0] < 0)
        return 0;
    bool reads = !p->from[side].ended && !p->from[side].n;
    return (short)((reads ? POLLIN : 0) | (p->from[1 - side].n ? POLLOUT : 0));
}

/* Takes a new client over; false if the pod does not answer any more. */
static bool forward_accept(const struct kubectl *k, int listener, unsigned remote, struct pair *pairs)
{
    int client = accept(listener, NULL, NULL);
    if (client < 0)
        return true;
    struct sockaddr_in a;
    bool known = kubectl_look_up(k, remote, &a);
    int pod = socket(AF_INET, SOCK_STREAM, 0);
    size_t i = 0;
    while (i < FORWARD_PAIRS && pairs[i].fd[0] >= 0)
        i++;
    if (!known || pod < 0 || i == FORWARD_PAIRS || connect(pod, (struct sockaddr *)&a, sizeof a) != 0) {
        close(client);
        if (pod >= 0)
            close(pod);
        return i == FORWARD_PAIRS;
    }
    fcntl(client, F_SETFL, O_NONBLOCK);
    fcntl(pod, F_SETFL, O_NONBLOCK);
    pairs[i] = (struct pair){.fd = {client, pod}, .from = mem_calloc(2, sizeof(struct half))};
    printf("Handling connection for %u\n", remote);
    fflush(stdout);
    return true;
}

static int forward_serve(const struct kubectl *k, const int *listeners, const unsigned *remotes, size_t listener_count)
{
    static struct pair pairs[FORWARD_PAIRS];
    for (size_t i = 0; i < FORWARD_PAIRS; i++)
        pairs[i].fd[0] = pairs[i].fd[1] = -1;
    for (;;) {
        struct pollfd fds[ARRAY_LEN(k->ports) + 2 * FORWARD_PAIRS];
        size_t n = 0;
        for (size_t i = 0; i < listener_count; i++)
            fds[n++] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
        for (size_t i = 0; i < FORWARD_PAIRS; i++) {
            for (int side = 0; side < 2; side++) {
                fds[n++] = (struct pollfd){.fd = -1, .events = pair_events(&pairs[i], side)};
                if (fds[n - 1].events)
                    fds[n - 1].fd = pairs[i].fd[side];
            }
        }
        if (poll(fds, (nfds_t)n, -1) < 0 && errno != EINTR)
            return 1;
        for (size_t i = 0; i < FORWARD_PAIRS; i++) {
            const struct pollfd *f = fds + listener_count + 2 * i;
            if (pairs[i].fd[0] >= 0 && !pair_move(&pairs[i], (const short[]){f[0].revents, f[1].revents}))
                pair_close(&pairs[i]);
        }
        for (size_t i = 0; i < listener_count; i++) {
            if (fds[i].revents && !forward_accept(k, listeners[i], remotes[i], pairs)) {
                fprintf(stderr, "error: lost connection to pod\n");
                return 1;
            }
        }
    }
}

/* One "LOCAL:REMOTE", ":REMOTE" (a free port) or "PORT" argument. */
static bool forward_parse_port(const char *arg, unsigned *local, unsigned *remote)
{
    struct slice rest = slice_of(arg), first, second;
    int64_t a = 0, b;
    slice_cut(&rest, ':', &first);
    bool two = slice_cut(&rest, ':', &second);
    if (!two)
        second = first;
    if ((first.n && !slice_to_i64(first, &a)) || !slice_to_i64(second, &b) || a < 0 || a > 65535 || b < 1 || b > 65535)
        return false;
    *local = (unsigned)a;
    *remote = (unsigned)b;
    return true;
}

static int kubectl_forward(const struct kubectl *k)
{
    int listeners[ARRAY_LEN(k->ports)];
    unsigned remotes[ARRAY_LEN(k->ports)];
    for (size_t i = 0; i < k->port_count; i++) {
        struct sockaddr_in a;
        unsigned local;
        if (!forward_parse_port(k->ports[i], &local, &remotes[i])) {
            fprintf(stderr, "error: invalid port \"%s\"\n", k->ports[i]);
            return 1;
        }
        if (!kubectl_look_up(k, remotes[i], &a)) {
            fprintf(stderr, "error: unable to forward port because %s in namespace %s has no running server on port "
                            "%u\n", k->target, k->ns, remotes[i]);
            return 1;
        }
        listeners[i] = forward_listen(&local);
        if (listeners[i] < 0) {
            fprintf(stderr, "error: unable to listen on port %u: %s\n", local, strerror(errno));
            return 1;
        }
        printf("Forwarding from 127.0.0.1:%u -> %u\n", local, remotes[i]);
        fflush(stdout);
    }
    return forward_serve(k, listeners, remotes, k->port_count);
}

int kubectl_main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: ferryman-sandbox --as-kubectl DIR [ARG...]\n");
        return 64;
    }
    struct kubectl k = {.dir = argv[1], .ns = "default"};
    bool forwards = false;
    for (int i = 2; i < argc && !forwards; i++)
        forwards = str_eq(argv[i], "port-forward");
    if (!forwards)
        return kubectl_real(k.dir, argc - 2, argv + 2);
    signal(SIGPIPE, SIG_IGN);
    if (!kubectl_parse(&k, argc - 2, argv + 2)) {
        fprintf(stderr, "error: TYPE/NAME and list of ports are required for port-forward\n");
        return 1;
    }
    return kubectl_forward(&k);
}
