/* A login page is also 200: where the plan says what the body holds, it is searched while it streams, in constant
 * memory. */
#include "source/probe_source.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "loop/timer.h"
#include "net/http.h"
#include "source/source.h"

enum { POLL_MS = 15000, TIMEOUT_MS = 10000, CONNECT_MS = 3000, EXPECT_OK = 200 };

#define BODY_MAX_BYTES ((size_t)16 * 1024 * 1024) /* searched at most */

struct probe_source {
    struct loop *loop;
    struct world *world;
    char *workload, *url, *body, *path;
    int expect;
    int64_t poll_ms;
    struct http *http;
    struct http_request *request;
    struct source_row *row;
    struct timer *timer;
    char state[16]; /* as it stands in the row; "" before the first */
    int64_t since;
    /* of the answer that streams */
    struct buf tail; /* the last bytes, one less than what is searched for */
    size_t searched;
    bool matched, too_long;
};

/* ---- The search -------------------------------------------------------------------------------------------------- */

/* The text may lie across two chunks: the end of the one before is searched with this one. */
static void search(struct probe_source *s, const char *p, size_t n)
{
    size_t want = strlen(s->body);
    if (s->matched || n == 0)
        return;
    size_t head = n < want ? n : want;
    buf_add(&s->tail, p, head);
    s->matched = memmem(s->tail.p, s->tail.len, s->body, want) || memmem(p, n, s->body, want);
    if (n > head) {
        buf_clear(&s->tail);
        size_t keep = n < want - 1 ? n : want - 1;
        buf_add(&s->tail, p + n - keep, keep);
    } else if (s->tail.len > want - 1) {
        buf_consume(&s->tail, s->tail.len - (want - 1));
    }
}

static struct err *on_data(void *arg, const char *p, size_t n)
{
    struct probe_source *s = arg;
    s->searched += n;
    if (s->body)
        search(s, p, n);
    if (s->searched <= BODY_MAX_BYTES)
        return NULL;
    s->too_long = true;
    return err_new(ERR_PROTOCOL, "the body is over %zu MiB", BODY_MAX_BYTES >> 20);
}

/* ---- The row ----------------------------------------------------------------------------------------------------- */

static const char *body_word(const struct probe_source *s, bool answered)
{
    return !s->body ? "not asked for" : !answered ? NULL : s->matched ? "matched" : "not matched";
}

static char *expectation(const struct probe_source *s)
{
    struct buf b = {0};
    buf_printf(&b, "%d", s->expect);
    if (s->body) {
        buf_adds(&b, ", body holds ");
        utf8_clean(&b, slice_of(s->body));
    }
    return buf_steal(&b);
}

static void tell_change(struct probe_source *s, const char *state, const char *why)
{
    if (str_eq(s->state, state))
        return;
    bool ok = str_eq(state, "OK");
    if (*s->state || !ok)
        timeline_add(s->world, ok ? "GOOD" : "BAD", s->url, "%s%s%s", ok ? "answers as expected" : state,
                     why ? ": " : "", why ? why : "");
    s->since = clock_wall_ms();
    str_copy(s->state, sizeof s->state, state);
}

static void write_row(struct probe_source *s, const char *state, const struct http_result *r, const char *why)
{
    bool answered = r->status > 0, seen = answered && !str_eq(state, "SILENT");
    char *expect = expectation(s);
    tell_change(s, state, why);
    struct cell cells[PROBES_COLS] = {
        [PROBES_WORKLOAD] = cell_text(s->workload),
        [PROBES_NAME] = cell_text(s->url),
        [PROBES_STATE] = cell_text(state),
        [PROBES_CODE] = answered ? cell_int(r->status) : CELL_NONE,
        [PROBES_EXPECT] = cell_text(expect),
        [PROBES_BODY] = cell_text(body_word(s, answered)),
        [PROBES_LATENCY] = seen && r->total_us >= 0 ? cell_int(r->total_us / 1000) : CELL_NONE,
        [PROBES_ERROR] = cell_text(why),
        [PROBES_SINCE] = cell_int(s->since),
    };
    /* That nothing answers was seen just now: the row is fresh, though its source is down. */
    world_upsert(s->world, T_PROBES, slice_of(s->url), seen ? source_row_key(s->row) : "", cells);
    mem_free(expect);
}

/* What is wrong with an answer; NULL if it is as expected. */
static char *complaint(const struct probe_source *s, const struct http_result *r)
{
    struct buf b = {0};
    if (r->status != s->expect) {
        buf_printf(&b, "%d", r->status);
        if (r->head.location.n > 0) {
            buf_adds(&b, " to ");
            utf8_clean(&b, r->head.location);
        }
        buf_printf(&b, ", expected %d", s->expect);
    } else if (s->body && !s->matched) {
        buf_printf(&b, "%d, but the body does not hold ", r->status);
        utf8_clean(&b, slice_of(s->body));
        if (s->too_long)
            buf_printf(&b, " in its first %zu MiB", BODY_MAX_BYTES >> 20);
    }
    return b.len > 0 ? buf_steal(&b) : NULL;
}

/* No whole answer: accepted and silent, or not even reached. */
static void take_failure(struct probe_source *s, const struct http_result *r)
{
    bool silent = r->tcp && r->total_us >= (int64_t)CONNECT_MS * 900;
    source_row_failed(s->row, r->error, clock_mono_ms() + s->poll_ms);
    write_row(s, silent ? "SILENT" : "UNREACHABLE", r, err_text(r->error));
}

static void on_done(void *arg, const struct http_result *r)
{
    struct probe_source *s = arg;
    if (r->error && !s->too_long) {
        take_failure(s, r);
    } else {
        if (s->body && (r->status < 200 || r->status > 299)) /* not streamed, but collected */
            search(s, buf_str(r->body), r->body->len);
        char *why = complaint(s, r);
        source_row_ok(s->row, false);
        source_row_objects(s->row, 1);
        write_row(s, why ? "FAIL" : "OK", r, why);
        mem_free(why);
    }
    http_request_free(s->request);
    s->request = NULL;
}

static void on_timer(void *arg)
{
    struct probe_source *s = arg;
    if (s->request)
        return;
    buf_clear(&s->tail);
    s->searched = 0;
    s->matched = s->too_long = false;
    s->request = http_start(s->http, &(struct http_call){
                                         .path = s->path,
                                         .timeout_ms = TIMEOUT_MS,
                                         .on_data = on_data,
                                         .on_done = on_done,
                                         .arg = s,
                                     });
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

/* "https://host:port" and "/path?query" of a URL. */
static char *split_url(const char *url, char **ret_path)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *rest = host + n;
    size_t path = strcspn(rest, "#");
    *ret_path = str_printf("%s%.*s", *rest == '/' ? "" : "/", (int)path, rest);
    return mem_strndup(url, (size_t)(rest - url));
}

/* A password in the URL is for the server alone. */
static char *shown_url(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *at = NULL;
    for (size_t i = 0; i < n; i++)
        if (host[i] == '@') at = host + i;
    char *text = at ? str_printf("%.*s%s", (int)(host - url), url, at + 1) : mem_strdup(url);
    char *clean = utf8_cleaned(slice_of(text));
    mem_free(text);
    return clean;
}

struct probe_source *probe_source_new(const struct probe_source_options *o)
{
    struct probe_source *s = MEM_NEW(struct probe_source);
    *s = (struct probe_source){
        .loop = o->loop,
        .world = o->world,
        .workload = mem_strdup(o->workload),
        .url = shown_url(o->url),
        .body = o->body && *o->body ? mem_strdup(o->body) : NULL,
        .expect = o->expect ? o->expect : EXPECT_OK,
        .poll_ms = o->poll_ms ? o->poll_ms : POLL_MS,
    };
    char *base = split_url(o->url, &s->path);
    s->http = http_new(s->loop, &(struct http_options){
                                    .base_url = base,
                                    .name = "probe",
                                    .env_proxy = true,
                                    .connect_timeout_ms = CONNECT_MS,
                                });
    mem_free(base);
    s->row = source_row_new(s->world, "http", s->url, 3 * s->poll_ms);
    s->timer = timer_new(s->loop, on_timer, s);
    timer_start(s->timer, 0, s->poll_ms);
    return s;
}

void probe_source_free(struct probe_source *s)
{
    if (!s)
        return;
    timer_free(s->timer);
    http_request_free(s->request);
    http_free(s->http);
    world_remove(s->world, T_PROBES, slice_of(s->url));
    source_row_free(s->row, true);
    char *strings[] = {s->workload, s->url, s->body, s->path};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    buf_free(&s->tail);
    mem_free(s);
}

void probe_source_poke(struct probe_source *s)
{
    timer_start(s->timer, 0, s->poll_ms);
}
