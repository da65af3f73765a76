/* See kube_when.h. */
#include "sandbox/kube_when.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"

struct kube_when {
    struct kube_when *next;
    bool before, dry;
    char *verb, *resource; /* "pods", "pods/vault-1", "pods/vault-*" */
    char *line;
    int left;
};

static void when_free(struct kube_when *w)
{
    mem_free(w->verb);
    mem_free(w->resource);
    mem_free(w->line);
    mem_free(w);
}

static void when_remove(struct kube *k, struct kube_when *w)
{
    struct kube_when **at = &k->when;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    when_free(w);
}

void kube_when_free(struct kube *k)
{
    while (k->when)
        when_remove(k, k->when);
}

static bool is_meant(const struct kube_when *w, const struct api_call *c, const char *verb, bool before, bool dry)
{
    size_t n = strlen(c->kind->plural);

    if (w->before != before || w->dry != dry || !str_eq(w->verb, verb) || c->sub || strncmp(w->resource, c->kind->plural, n) != 0)
        return false;
    if (!w->resource[n])
        return true;
    const char *name = w->resource + n + 1;
    size_t len = strlen(name);
    if (w->resource[n] != '/' || !c->name)
        return false;
    return len && name[len - 1] == '*' ? strncmp(c->name, name, len - 1) == 0 : str_eq(c->name, name);
}

static bool is_dry(const struct api_call *c)
{
    struct slice body = http_request_body(c->r);

    return http_request_query(c->r, "dryRun") || (str_eq(http_request_method(c->r), "DELETE") && body.p && slice_contains(body, "\"dryRun\""));
}

/* What is to happen with this request; malloc'd, NULL: nothing. Those of kubectl are never meant. */
static char *line_for(struct api_call *c, const char *verb, bool before)
{
    const char *agent = c->k->when ? http_request_header(c->r, "User-Agent") : NULL;
    bool dry = c->k->when && is_dry(c);

    for (struct kube_when *w = c->k->when; w && !(agent && str_starts(agent, "kubectl")); w = w->next)
        if (is_meant(w, c, verb, before, dry))
            return mem_strdup(w->line);
    return NULL;
}

/* It may plant and drop others: its place in the list is counted down before it is carried out. */
static void carry_out(struct kube *k, const char *line, const char *name)
{
    struct kube_when *w = k->when;
    struct buf text = {0}, out = {0};

    while (w && !str_eq(w->line, line))
        w = w->next;
    if (!w)
        return;
    if (w->left > 0 && --w->left == 0)
        when_remove(k, w);
    const char *hole = strstr(line, "{name}");
    if (hole)
        buf_printf(&text, "%.*s%s%s", (int)(hole - line), line, name, hole + strlen("{name}"));
    else
        buf_adds(&text, line);
    sandbox_control(k->sb, buf_str(&text), &out);
    buf_free(&text);
    buf_free(&out);
}

char *kube_when_before(struct api_call *c, const char *verb, bool *ret_dry)
{
    char *now = line_for(c, verb, true);

    if (now)
        carry_out(c->k, now, c->name ? c->name : "");
    mem_free(now);
    *ret_dry = c->k->when && is_dry(c);
    return line_for(c, verb, false);
}

struct due {
    struct kube *k;
    char *line, *name;
};

static void on_due(void *arg)
{
    struct due *d = arg;

    carry_out(d->k, d->line, d->name);
    mem_free(d->line);
    mem_free(d->name);
    mem_free(d);
}

void kube_when_after(struct kube *k, char *line, const char *name)
{
    struct due *d = MEM_NEW(struct due);

    *d = (struct due){k, line, mem_strdup(name ? name : "")};
    loop_defer(k->sb->loop, on_due, d);
}

void kube_when_plant(struct kube *k, bool before, const char *verb, const char *resource, int times, const char *line)
{
    struct kube_when *w = MEM_NEW(struct kube_when), **at = &k->when;
    bool dry = str_starts(verb, "dry-");

    *w = (struct kube_when){.before = before, .dry = dry, .verb = mem_strdup(verb + (dry ? strlen("dry-") : 0)), .resource = mem_strdup(resource),
                            .line = mem_strdup(line), .left = times};
    while (*at)
        at = &(*at)->next;
    *at = w;
}

void kube_when_drop(struct kube *k, const char *line)
{
    for (struct kube_when *w = k->when, *next; w; w = next) {
        next = w->next;
        if (str_eq(w->line, line))
            when_remove(k, w);
    }
}

static void list(const struct kube *k, struct buf *out)
{
    for (const struct kube_when *w = k->when; w; w = w->next)
        buf_printf(out, "%s %s%s %s: %s\n", w->before ? "before" : "after", w->dry ? "dry-" : "", w->verb, w->resource, w->line);
}

struct err *kube_run_when(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct buf line = {0};
    int at = 4, times = 1;

    if (argc == 2 && str_eq(argv[1], "clear")) {
        kube_when_free(s->kube);
        return NULL;
    }
    if (argc == 2 && str_eq(argv[1], "list")) {
        list(s->kube, out);
        return NULL;
    }
    if (argc > 4 && argv[4][0] == 'x' && argv[4][1] >= '0' && argv[4][1] <= '9')
        times = atoi(argv[at++] + 1);
    if (argc <= at || (!str_eq(argv[1], "before") && !str_eq(argv[1], "after")))
        return err_new(ERR_USAGE, "usage: when before|after [dry-]VERB RESOURCE[/NAME] [xN] LINE, when list, when clear");
    for (int i = at; i < argc; i++)
        buf_printf(&line, "%s%s", i > at ? " " : "", argv[i]);
    kube_when_plant(s->kube, str_eq(argv[1], "before"), argv[2], argv[3], times, buf_str(&line));
    buf_free(&line);
    return NULL;
}
