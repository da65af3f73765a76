/* DIR/control: a unix socket that takes commands as lines. Each answer is lines of text, the last of them "ok" or
 * "error: …". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"
#include "sandbox/sandbox_private.h"
#include "sandbox/save.h"

#define LINE_MAX_BYTES 65536
#define WORDS_MAX 32

struct control {
    struct sandbox *s;
    struct sock_listener *listener;
    struct peer *peers;
};

struct peer {
    struct control *c;
    struct peer *prev, *next;
    struct sock *sock;
    struct buf line;
};

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

static struct err *run_scenario(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)out;
    if (argc != 3 || (!str_eq(argv[2], "on") && !str_eq(argv[2], "off")))
        return err_new(ERR_USAGE, "usage: scenario NAME on|off");
    return scenario_set(s, argv[1], str_eq(argv[2], "on"));
}

static struct err *run_scenarios(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)argc, (void)argv;
    scenario_list(s, out);
    return NULL;
}

static struct err *run_status(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)argc, (void)argv;
    sandbox_status(s, out);
    return NULL;
}

static struct err *run_advance(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    int64_t ns;

    (void)out;
    if (argc != 2 || !str_duration_ns(slice_of(argv[1]), &ns) || ns < 0)
        return err_new(ERR_USAGE, "usage: advance DURATION, e.g. 90m, 24h, 7d");
    sandbox_advance(s, ns / 1000000);
    return NULL;
}

static struct err *run_save(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    bool crash = argc == 3 && str_eq(argv[2], "crash");

    if (argc != 2 && !crash)
        return err_new(ERR_USAGE, "usage: save NAME [crash] (a folder below DIR/saved, or an absolute path)");
    return sandbox_save(s, argv[1], crash, out);
}

static void deferred_stop(void *arg)
{
    sandbox_stop(arg);
}

static struct err *run_stop(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)argc, (void)argv, (void)out;
    loop_defer(s->loop, deferred_stop, s);
    return NULL;
}

static struct err *run_help(struct sandbox *s, int argc, char **argv, struct buf *out);

static const struct control_command own_commands[] = {
    {"scenario", "scenario NAME on|off", "plants or ends a hazard", run_scenario},
    {"scenarios", "scenarios", "lists them with their state", run_scenarios},
    {"advance", "advance DURATION", "moves the plan clock on", run_advance},
    {"status", "status", "what is up, waited for and planted", run_status},
    {"save", "save NAME [crash]", "keeps all as it is now, for --from", run_save},
    {"stop", "stop", "ends the sandbox", run_stop},
    {"help", "help", "lists the commands", run_help},
};

static void help_lines(const struct control_command *list, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%-34s %s\n", list[i].usage, list[i].doc);
}

static struct err *run_help(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)s, (void)argc, (void)argv;
    help_lines(own_commands, ARRAY_LEN(own_commands), out);
    for (size_t p = 0; sandbox_parts[p]; p++)
        help_lines(sandbox_parts[p]->commands, sandbox_parts[p]->command_count, out);
    return NULL;
}

/* Several parts may know the same word (`kill`); one that does not know the rest says ERR_USAGE: the next is asked. */
static struct err *run_words(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct err *refused = NULL;

    for (size_t i = 0; i < ARRAY_LEN(own_commands); i++)
        if (str_eq(own_commands[i].name, argv[0]))
            return own_commands[i].run(s, argc, argv, out);
    for (size_t p = 0; sandbox_parts[p]; p++) {
        for (size_t i = 0; i < sandbox_parts[p]->command_count; i++) {
            const struct control_command *c = &sandbox_parts[p]->commands[i];
            if (!str_eq(c->name, argv[0]))
                continue;
            err_free(refused);
            refused = c->run(s, argc, argv, out);
            if (!refused || err_kind(refused) != ERR_USAGE)
                return refused;
        }
    }
    return refused ? refused : err_new(ERR_USAGE, "no command \"%s\": `help` lists them", argv[0]);
}

void sandbox_control(struct sandbox *s, const char *line, struct buf *out)
{
    char *copy = mem_strdup(line), *argv[WORDS_MAX + 1], *rest = copy, *word;
    int argc = 0;

    while (argc < WORDS_MAX && (word = strtok_r(rest, " \t\r\n", &rest)) != NULL)
        argv[argc++] = word;
    argv[argc] = NULL;
    struct err *e = argc ? run_words(s, argc, argv, out) : NULL;
    if (e)
        buf_printf(out, "error: %s\n", err_text(e));
    else
        buf_adds(out, "ok\n");
    err_free(e);
    free(copy);
}

/* ---- The socket -------------------------------------------------------------------------------------------------- */

static void peer_free(struct peer *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        p->c->peers = p->next;
    if (p->next)
        p->next->prev = p->prev;
    sock_free(p->sock);
    buf_free(&p->line);
    free(p);
}

static void on_data(void *arg, const char *bytes, size_t n)
{
    struct peer *p = arg;

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (p->line.len < LINE_MAX_BYTES)
                buf_addc(&p->line, bytes[i]);
            continue;
        }
        struct buf out = {0};
        sandbox_control(p->c->s, buf_str(&p->line), &out);
        sock_write(p->sock, out.p, out.len);
        buf_free(&out);
        buf_clear(&p->line);
    }
}

static void on_end(void *arg, const struct err *e)
{
    (void)e;
    peer_free(arg);
}

static void on_peer(void *arg, struct sock *sock)
{
    static const struct sock_events ev = {.on_data = on_data, .on_end = on_end};
    struct control *c = arg;
    struct peer *p = MEM_NEW(struct peer);

    p->c = c;
    p->sock = sock;
    p->next = c->peers;
    if (p->next)
        p->next->prev = p;
    c->peers = p;
    sock_set_events(sock, &ev, p);
}

struct err *control_new(struct sandbox *s, struct control **ret)
{
    struct control *c = MEM_NEW(struct control);
    char *path = str_printf("%s/control", s->dir);

    c->s = s;
    unlink(path);
    struct err *e = sock_listen_unix(s->loop, path, on_peer, c, &c->listener);
    free(path);
    if (e) {
        free(c);
        return err_wrap(e, "sandbox: its control socket");
    }
    *ret = c;
    return NULL;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    while (c->peers)
        peer_free(c->peers);
    sock_listener_free(c->listener);
    free(c);
}

/* ---- The client: a program of its own that may block ------------------------------------------------------------- */

static int client_connect(const char *dir)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (snprintf(a.sun_path, sizeof a.sun_path, "%s/control", dir) >= (int)sizeof a.sun_path)
        errno = ENAMETOOLONG;
    else if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    fprintf(stderr, "ferryman-sandbox: %s/control: %s (is the sandbox running?)\n", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static char *joined(int argc, char **argv)
{
    struct buf b = {0};

    for (int i = 0; i < argc; i++)
        buf_printf(&b, "%s%s", i ? " " : "", argv[i]);
    buf_addc(&b, '\n');
    return buf_steal(&b);
}

/* Prints answer lines until the last one; 0 for "ok". */
static int client_answer(FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    int status = 69;

    while (getline(&line, &cap, f) > 0) {
        bool bad = str_starts(line, "error: ");
        if (str_eq(line, "ok\n") || bad) {
            if (bad)
                fprintf(stderr, "ferryman-sandbox: %s", line + strlen("error: "));
            status = bad ? 1 : 0;
            break;
        }
        fputs(line, stdout);
    }
    free(line);
    return status;
}

int control_client(const char *dir, int argc, char **argv)
{
    char *line = joined(argc, argv);
    int fd = client_connect(dir), status = 69;

    if (fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line)) {
        FILE *f = fdopen(fd, "r");
        if (f) {
            status = client_answer(f);
            fclose(f);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    free(line);
    return status;
}
