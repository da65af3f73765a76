/* Each receiver has a queue of JSON texts and at most one of them on its way: as standard input of a child, or as the body of a POST. What was
 * sent is not repeated; a receiver that fails has the next event as its next try. */
#include "migrate/notify.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "migrate/plan.h"
#include "net/http.h"
#include "source/source.h"

#define SEND_MS 30000
#define CONNECT_MS 10000

enum { WAITING_MAX = 64, ANSWER_MAX = 64 * 1024, FINE_FROM = 200, FINE_TO = 299 };

struct receiver {
    struct notify *n;
    const struct plan_notify *plan;
    char *name;                /* for the timeline: the program, or the host; a URL's path may be a secret */
    char *waiting[WAITING_MAX];
    size_t nwaiting;
    int64_t lost;              /* since it worked last */
    bool failing;
    const char **argv;         /* a command's; NULL-terminated */
    struct child *child;
    struct http *http;
    struct http_request *request;
};

struct notify {
    struct loop *loop;
    struct world *world;
    const struct plan *plan;
    struct receiver *receivers;
    size_t nreceivers;
    int64_t last_ms;           /* mono, of the last event */
};

static void send_next(void *arg);

/* ---- What became of it ---- */

static void lost(struct receiver *x) {
    if (x->lost) timeline_add(x->n->world, "WARN", "notify", "%s: %lld notices did not reach it", x->name, (long long)x->lost);
    x->lost = 0;
}

static void worked(struct receiver *x) {
    if (x->failing) timeline_add(x->n->world, "GOOD", "notify", "%s works again", x->name);
    x->failing = false;
    lost(x);
    loop_defer(x->n->loop, send_next, x);
}

static void failed(struct receiver *x, const char *why) {
    if (!x->failing) timeline_add(x->n->world, "WARN", "notify", "%s: %s; what happens goes on without it", x->name, why);
    x->failing = true;
    x->lost++;
    loop_defer(x->n->loop, send_next, x);
}

/* What it printed is not repeated: nobody knows what a hook prints. */
static void on_exit(void *arg, const struct child_exit *exit) {
    struct receiver *x = arg;
    char why[100];
    if (exit->timed_out) snprintf(why, sizeof why, "it did not end within %d s", (int)(SEND_MS / CLOCK_MS_PER_S));
    else if (exit->signal) snprintf(why, sizeof why, "it was ended by signal %d", exit->signal);
    else snprintf(why, sizeof why, "it ended with status %d", exit->status);
    bool fine = exit->status == 0 && !exit->timed_out;
    child_free(x->child);
    x->child = NULL;
    if (fine) worked(x);
    else failed(x, why);
}

static void on_done(void *arg, const struct http_result *result) {
    struct receiver *x = arg;
    char why[100];
    snprintf(why, sizeof why, "it answered with status %d", result->status);
    bool fine = !result->error && result->status >= FINE_FROM && result->status <= FINE_TO;
    char *text = result->error ? mem_strdup(err_text(result->error)) : NULL;
    http_request_free(x->request);
    x->request = NULL;
    if (fine) worked(x);
    else failed(x, text ? text : why);
    mem_free(text);
}

/* ---- Sending ---- */

static void run_command(struct receiver *x, const char *json) {
    struct child_options o = {.argv = x->argv, .input = json, .input_len = strlen(json), .timeout_ms = SEND_MS, .max_output = ANSWER_MAX,
                              .on_exit = on_exit, .arg = x};
    struct err *e = child_spawn(x->n->loop, &o, &x->child);
    if (e) failed(x, err_text(e));
    err_free(e);
}

static void post(struct receiver *x, const char *json) {
    struct http_call call = {.method = "POST", .path = "", .body = json, .body_len = strlen(json), .timeout_ms = SEND_MS,
                             .max_body = ANSWER_MAX, .on_done = on_done, .arg = x};
    x->request = http_start(x->http, &call);
}

static void send_next(void *arg) {
    struct receiver *x = arg;
    if (x->child || x->request || x->nwaiting == 0) return;
    char *json = x->waiting[0];
    memmove(x->waiting, x->waiting + 1, --x->nwaiting * sizeof *x->waiting);
    if (x->argv) run_command(x, json);
    else post(x, json);
    mem_free(json);
}

static void enqueue(struct receiver *x, const char *json) {
    if (x->nwaiting == WAITING_MAX) {
        mem_free(x->waiting[0]);
        memmove(x->waiting, x->waiting + 1, --x->nwaiting * sizeof *x->waiting);
        x->lost++;
    }
    x->waiting[x->nwaiting++] = mem_strdup(json);
    loop_undefer(x->n->loop, x);
    loop_defer(x->n->loop, send_next, x);
}

void notify_event(struct notify *n, const char *workload, const char *event, const char *name, const char *state, const char *text) {
    if (!n || n->nreceivers == 0) return;
    struct json_t *d = jd_object();
    struct buf json = {0};
    char at[32], *clean = utf8_cleaned(slice_of(text ? text : ""));
    jd_set(d, "schema", jd_int(1));
    jd_set(d, "at", jd_string(clock_format_utc(clock_wall_ms(), at, sizeof at)));
    jd_set(d, "plan", jd_string(n->plan->name));
    jd_set(d, "workload", jd_string(workload));
    jd_set(d, "event", jd_string(event));
    jd_set(d, "name", jd_string(name));
    jd_set(d, "state", jd_string(state));
    jd_set(d, "text", jd_string(clean));
    jd_dump(d, &json);
    buf_addc(&json, '\n');
    for (size_t i = 0; i < n->nreceivers; i++) enqueue(&n->receivers[i], buf_str(&json));
    n->last_ms = clock_mono_ms();
    buf_free(&json);
    jd_free(d);
    mem_free(clean);
}

bool notify_busy(const struct notify *n) {
    if (!n || n->nreceivers == 0 || clock_mono_ms() - n->last_ms > SEND_MS) return false;
    for (size_t i = 0; i < n->nreceivers; i++)
        if (n->receivers[i].child || n->receivers[i].request || n->receivers[i].nwaiting) return true;
    return false;
}

/* ---- Life ---- */

/* All of the URL is the base, since errors name the path, and who knows the path of such a URL may post there. */
static void init_url(struct receiver *x) {
    const char *url = x->plan->url, *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *user = memrchr(host, '@', n), *from = user ? user + 1 : host;
    char *base = mem_strndup(url, strcspn(url, "#"));
    x->name = utf8_cleaned((struct slice){from, (size_t)(host + n - from)});
    x->http = http_new(x->n->loop, &(struct http_options){.base_url = base, .name = "webhook", .env_proxy = true, .connect_timeout_ms = CONNECT_MS});
    mem_free(base);
}

static void init_command(struct receiver *x) {
    const struct plan_strings *c = &x->plan->command;
    x->argv = mem_calloc(c->n + 1, sizeof *x->argv);
    for (size_t i = 0; i < c->n; i++) x->argv[i] = c->v[i];
    x->name = utf8_cleaned(slice_of(c->v[0]));
}

struct notify *notify_new(struct loop *loop, struct world *world, const struct plan *plan) {
    struct notify *n = MEM_NEW(struct notify);
    const struct plan_notify *list = plan->notify.v;
    *n = (struct notify){.loop = loop, .world = world, .plan = plan, .nreceivers = plan->notify.n};
    n->receivers = mem_calloc(n->nreceivers + 1, sizeof *n->receivers);
    for (size_t i = 0; i < n->nreceivers; i++) {
        struct receiver *x = &n->receivers[i];
        x->n = n;
        x->plan = &list[i];
        if (list[i].command.n) init_command(x);
        else init_url(x);
    }
    return n;
}

static void receiver_clear(struct receiver *x) {
    loop_undefer(x->n->loop, x);
    child_free(x->child);
    http_request_free(x->request);
    http_free(x->http);
    for (size_t i = 0; i < x->nwaiting; i++) mem_free(x->waiting[i]);
    mem_free(x->argv);
    mem_free(x->name);
}

void notify_free(struct notify *n) {
    if (!n) return;
    for (size_t i = 0; i < n->nreceivers; i++) receiver_clear(&n->receivers[i]);
    mem_free(n->receivers);
    mem_free(n);
}
