#include "migrate/pg_tool.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "loop/child.h"
#include "loop/loop.h"

enum { ASK_MS = 10000, NEWER = 6, REASON_MAX = 240 };

struct pg_tool {
    struct loop *loop;
    char *name, *seen;      /* seen: "psql 13.4", … for the error */
    int server, asked;
    char **paths;           /* candidates, NULL-terminated */
    char *newer;            /* the first that would do */
    int newer_version;
    struct child *child;
    void (*fn)(void *arg, const char *path, int version, const struct err *e);
    void *arg;
};

static int number(const char **p, const char *end) {
    int n = 0;
    while (*p < end && **p >= '0' && **p <= '9' && n < 10000) n = n * 10 + (*(*p)++ - '0');
    return n;
}

int pg_tool_version(struct slice text) {
    static const char mark[] = "(PostgreSQL) ";
    const char *p = text.n ? memmem(text.p, text.n, mark, sizeof mark - 1) : NULL, *end = text.p + text.n;
    if (!p) return 0;
    p += sizeof mark - 1;
    int major = number(&p, end), minor = 0, patch = 0;
    if (p < end && *p == '.') p++, minor = number(&p, end);
    if (major >= 10) return major * 10000 + minor;
    if (p < end && *p == '.') p++, patch = number(&p, end);
    return major * 10000 + minor * 100 + patch;
}

bool pg_tool_restricts(int version) {
    static const int first[] = {130022, 140019, 150014, 160010, 170006};
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        if (version / 10000 == first[i] / 10000) return version >= first[i];
    return version >= 180000;
}

void pg_tool_reason(struct slice text, struct buf *out) {
    struct slice rest = text, line, found = {NULL, 0};
    while (!found.p && slice_cut(&rest, '\n', &line))
        if (slice_contains(line, "error: ") || slice_contains(line, "FATAL: ") || slice_contains(line, "ERROR: ")) found = line;
    if (!found.p) {
        buf_adds(out, "it gave no reason");
        return;
    }
    struct buf clean = {0};
    utf8_clean(&clean, found);
    buf_add_slice(out, utf8_clip(buf_slice(&clean), REASON_MAX, NULL));
    buf_free(&clean);
    if (!slice_contains(found, "closed the connection") && slice_contains(text, "server closed the connection"))
        buf_adds(out, " (the server closed the connection)");
}

static void add_path(struct pg_tool *t, char *path, size_t *n) {
    if (strchr(path, '/') && access(path, X_OK)) {
        mem_free(path);
        return;
    }
    t->paths = mem_reallocarray(t->paths, *n + 2, sizeof *t->paths);
    t->paths[(*n)++] = path;
    t->paths[*n] = NULL;
}

static void list_paths(struct pg_tool *t) {
    size_t n = 0;
    int major = t->server / 10000;
    add_path(t, mem_strdup(t->name), &n);
    for (int m = major; m <= major + NEWER; m++) {
        add_path(t, str_printf("/usr/lib/postgresql/%d/bin/%s", m, t->name), &n);
        add_path(t, str_printf("/usr/pgsql-%d/bin/%s", m, t->name), &n);
        add_path(t, str_printf("/opt/homebrew/opt/postgresql@%d/bin/%s", m, t->name), &n);
    }
}

static void ask_next(void *arg);

static void answer(struct pg_tool *t) {
    if (t->newer) {
        t->fn(t->arg, t->newer, t->newer_version, NULL);
        return;
    }
    int major = t->server / 10000;
    struct err *e = err_new(ERR_FAILED, "%s of PostgreSQL %d or newer is needed for a server of version %d.%d, and there is %s; install "
                            "postgresql-client-%d, or put its folder first in PATH", t->name, major, major, t->server % 10000,
                            t->seen ? t->seen : "none", major);
    t->fn(t->arg, NULL, 0, e);
    err_free(e);
}

/* One of the server's major version is it; a newer one is kept for the end; an older one is named in the error. */
static void on_exit(void *arg, const struct child_exit *x) {
    struct pg_tool *t = arg;
    char *path = t->paths[t->asked - 1];
    int version = x->status == 0 ? pg_tool_version((struct slice){buf_str(&x->out), x->out.len}) : 0;
    child_free(t->child);
    t->child = NULL;
    if (version / 10000 == t->server / 10000) {
        t->fn(t->arg, path, version, NULL);
        return;
    }
    if (version > t->server && !t->newer) {
        t->newer = mem_strdup(path);
        t->newer_version = version;
    } else if (version && version < t->server) {
        char *seen = str_printf("%s%s%d.%d (%s)", t->seen ? t->seen : "", t->seen ? ", " : "", version / 10000, version % 10000, path);
        mem_free(t->seen);
        t->seen = seen;
    }
    ask_next(t);
}

static void ask_next(void *arg) {
    struct pg_tool *t = arg;
    while (t->paths[t->asked]) {
        const char *argv[] = {t->paths[t->asked++], "--version", NULL};
        struct child_options o = {.argv = argv, .timeout_ms = ASK_MS, .on_exit = on_exit, .arg = t};
        struct err *e = child_spawn(t->loop, &o, &t->child);
        if (!e) return;
        err_ignore(e, "one that cannot be run is not there");
    }
    answer(t);
}

struct pg_tool *pg_tool_find(struct loop *l, const char *name, int server_version,
                             void (*fn)(void *arg, const char *path, int version, const struct err *e), void *arg) {
    struct pg_tool *t = MEM_NEW(struct pg_tool);
    *t = (struct pg_tool){.loop = l, .name = mem_strdup(name), .server = server_version, .fn = fn, .arg = arg};
    list_paths(t);
    loop_defer(l, ask_next, t);
    return t;
}

/* fn is called as the last thing that touches t, so that it may free it. */
void pg_tool_free(struct pg_tool *t) {
    if (!t) return;
    loop_undefer(t->loop, t);
    child_free(t->child);
    for (size_t i = 0; t->paths[i]; i++) mem_free(t->paths[i]);
    mem_free(t->paths);
    mem_free(t->newer);
    mem_free(t->seen);
    mem_free(t->name);
    mem_free(t);
}
