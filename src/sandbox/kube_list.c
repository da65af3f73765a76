/* GET of one object and of lists. A list is a snapshot of references to versions; its bytes are joined while they are
 * sent, a chunk at a time, so that a list of 200 MB blocks nobody.
 *
 * A page that a `continue` token asks for shows the state of the token's resource version: what has changed since is
 * undone with the help of the ring. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/selector.h"

#define CHUNK 131072

struct page {
    struct version **items;
    size_t count, cap;
    size_t remaining;
    bool more, show_remaining;
    uint64_t rv;
};

/* ---- Which objects ----------------------------------------------------------------------------------------------- */

static void page_add(struct page *p, struct version *v)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 256;
        p->items = mem_reallocarray(p->items, p->cap, sizeof(p->items[0]));
    }
    p->items[p->count++] = version_ref(v);
}

static void page_free(struct page *p)
{
    for (size_t i = 0; i < p->count; i++)
        version_unref(p->items[i]);
    free(p->items);
}

/* A key as it was at an old resource version: `then` NULL means that it did not exist. */
struct undo {
    const char *key;
    struct version *then;
    uint64_t seq;
};

static int compare_undo(const void *a, const void *b)
{
    const struct undo *x = a, *y = b;
    int c = strcmp(x->key, y->key);

    return c ? c : x->seq < y->seq ? -1 : 1;
}

/* What has changed after rv, the first change of each key, sorted by key. */
static struct undo *undo_since(struct store *st, enum kube_id kind, uint64_t rv, size_t *ret_count)
{
    uint64_t from = store_ring_after(st, kind, rv), end = store_ring_end(st, kind);
    struct undo *list = mem_calloc((size_t)(end - from) + 1, sizeof *list);
    size_t n = 0, kept = 0;

    for (uint64_t s = from; s < end; s++) {
        const struct change_event *ev = store_ring_at(st, kind, s);
        list[n++] = (struct undo){version_key(ev->now), ev->before, s};
    }
    qsort(list, n, sizeof *list, compare_undo);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(list[kept - 1].key, list[i].key) != 0)
            list[kept++] = list[i];
    *ret_count = kept;
    return list;
}

struct query {
    const char *ns, *start; /* start: keys > start, or >= if inclusive */
    size_t limit;
    struct selector *selector;
    uint64_t at; /* resource version to show; 0: now */
};

static bool in_namespace(const struct query *q, const struct version *v)
{
    return !q->ns || slice_is(version_namespace(v), q->ns);
}

/* Takes v unless it is not selected; false when the page was full already. */
static bool page_take(struct page *p, const struct query *q, struct version *v)
{
    if (!v || !in_namespace(q, v) || !selector_match(q->selector, v))
        return true;
    if (q->limit && p->count == q->limit) {
        p->more = true;
        p->remaining++;
        return false;
    }
    page_add(p, v);
    return true;
}

static void page_now(struct store *st, enum kube_id kind, const struct query *q, struct page *p)
{
    size_t from, to, count;
    struct version *const *all = store_all(st, kind, &count);

    store_range(st, kind, q->ns, &from, &to);
    if (q->start) {
        size_t at = store_seek(st, kind, q->start);
        if (at < count && strcmp(version_key(all[at]), q->start) == 0)
            at++;
        from = at > from ? at : from;
    }
    for (size_t i = from; i < to; i++) {
        if (!page_take(p, q, all[i])) {
            p->remaining = to - i;
            break;
        }
    }
    p->show_remaining = !q->selector;
}

/* The same as it was at q->at: present objects and undone changes merged by key. */
static void page_then(struct store *st, enum kube_id kind, const struct query *q, struct page *p)
{
    size_t count, undo_count, i, u = 0;
    struct version *const *all = store_all(st, kind, &count);
    struct undo *undo = undo_since(st, kind, q->at, &undo_count);

    i = q->start ? store_seek(st, kind, q->start) : 0;
    while (q->start && u < undo_count && strcmp(undo[u].key, q->start) <= 0)
        u++;
    if (q->start && i < count && strcmp(version_key(all[i]), q->start) == 0)
        i++;
    while (i < count || u < undo_count) {
        int c = i == count ? 1 : u == undo_count ? -1 : strcmp(version_key(all[i]), undo[u].key);
        struct version *v = c < 0 ? all[i] : undo[u].then;
        i += c <= 0;
        u += c >= 0;
        page_take(p, q, v);
    }
    p->show_remaining = !q->selector;
    free(undo);
}

/* ---- Continue tokens --------------------------------------------------------------------------------------------- */

static char *token_make(int64_t rv, const char *key)
{
    struct json_t *d = jd_object();
    struct buf b = {0}, out = {0};
    char *start = str_printf("/%s", key);

    jd_set(d, "v", jd_string("meta.k8s.io/v1"));
    jd_set(d, "rv", jd_int(rv));
    jd_set(d, "start", jd_string(start));
    jd_dump(d, &b);
    hash_base64_encode(b.p, b.len, &out);
    while (out.len && out.p[out.len - 1] == '=')
        out.p[--out.len] = '\0';
    for (size_t i = 0; i < out.len; i++)
        out.p[i] = out.p[i] == '+' ? '-' : out.p[i] == '/' ? '_' : out.p[i];
    free(start);
    jd_free(d);
    buf_free(&b);
    return buf_steal(&out);
}

static bool token_read(const char *text, int64_t *ret_rv, char **ret_key)
{
    struct buf b = {0}, raw = {0};
    struct json_t *d = NULL;
    bool ok = false;

    buf_adds(&b, text);
    for (size_t i = 0; i < b.len; i++)
        b.p[i] = b.p[i] == '-' ? '+' : b.p[i] == '_' ? '/' : b.p[i];
    while (b.len % 4)
        buf_addc(&b, '=');
    if (hash_base64_decode(buf_slice(&b), &raw)) {
        struct err *e = jd_parse(buf_str(&raw), raw.len, "continue token", &d);
        const char *start = e ? NULL : jd_str(d, "start");
        err_ignore(e, "a token that does not parse is refused as a whole");
        ok = start && start[0] == '/' && str_eq(jd_str(d, "v"), "meta.k8s.io/v1");
        if (ok) {
            *ret_rv = jd_num(d, "rv", 0);
            *ret_key = mem_strdup(start + 1);
        }
    }
    jd_free(d);
    buf_free(&b);
    buf_free(&raw);
    return ok;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

struct sending {
    struct kube *k;
    const struct kube_kind *kind;
    struct page page;
    struct buf out; /* made and not yet sent, from `sent` on */
    size_t sent, next;
    bool pretty, tail_made;
    int as;
    char *include;
    int64_t now_ms;
};

static void add_item(struct sending *s, struct buf *out, struct version *v)
{
    if (s->as == AS_TABLE) {
        table_row(out, s->kind, v, s->include, s->now_ms);
    } else if (s->as == AS_PARTIAL) {
        struct json_t *doc = version_doc(v);
        buf_adds(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        jd_dump(jd_member(doc, "metadata"), out);
        buf_addc(out, '}');
        jd_free(doc);
    } else {
        represent_item(out, s->kind, version_json(v));
    }
}

static void make_head(struct sending *s)
{
    struct buf *b = &s->out;
    const struct page *p = &s->page;

    if (s->as == AS_TABLE)
        buf_adds(b, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\"");
    else if (s->as == AS_PARTIAL)
        buf_adds(b, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\"");
    else
        buf_printf(b, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\"", s->kind->name, kube_kind_api_version(s->kind));
    buf_printf(b, ",\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)p->rv);
    if (p->more) {
        char *token = token_make((int64_t)p->rv, version_key(p->items[p->count - 1]));
        buf_printf(b, ",\"continue\":\"%s\"", token);
        free(token);
        if (p->show_remaining)
            buf_printf(b, ",\"remainingItemCount\":%zu", p->remaining);
    }
    buf_adds(b, "},");
    if (s->as == AS_TABLE) {
        buf_adds(b, "\"columnDefinitions\":");
        table_columns(b, s->kind);
        buf_adds(b, ",\"rows\":[");
    } else {
        buf_adds(b, "\"items\":[");
    }
}

/* The text made so far ends in an open array: pretty-printing goes on at depth 2. */
static void make_pretty(struct sending *s, struct buf *compact, unsigned indent)
{
    represent_pretty(&s->out, buf_slice(compact), indent);
    buf_free(compact);
}

static void make_item(struct sending *s, struct version *v, bool first)
{
    struct buf one = {0};

    if (!s->pretty) {
        if (!first)
            buf_addc(&s->out, ',');
        add_item(s, &s->out, v);
        return;
    }
    buf_adds(&s->out, first ? "\n    " : ",\n    ");
    add_item(s, &one, v);
    make_pretty(s, &one, 2);
}

static void make_more(struct sending *s)
{
    const struct kube_faults *f = &s->k->faults;

    buf_clear(&s->out);
    s->sent = 0;
    while (s->next < s->page.count && s->out.len < CHUNK) {
        make_item(s, s->page.items[s->next], s->next == 0);
        s->next++;
        if (f->garbage && s->next == s->page.count / 2)
            buf_adds(&s->out, "}]{\"garbage\":::,,");
    }
    if (s->next == s->page.count && !s->tail_made) {
        buf_adds(&s->out, s->pretty && s->page.count ? "\n  ]\n}\n" : s->pretty ? "]\n}\n" : "]}\n");
        s->tail_made = true;
    }
}

static size_t sending_fill(void *arg, char *p, size_t max)
{
    struct sending *s = arg;

    if (s->k->faults.truncated && s->next > s->page.count / 2)
        return HTTP_FILL_CUT;
    if (s->sent == s->out.len) {
        if (s->tail_made)
            return s->k->faults.truncated ? HTTP_FILL_CUT : HTTP_FILL_END;
        make_more(s);
    }
    size_t n = s->out.len - s->sent;
    n = n < max ? n : max;
    if (s->k->faults.truncated && s->tail_made && n > 8)
        n -= 8;
    memcpy(p, s->out.p + s->sent, n);
    s->sent += n;
    return n;
}

static void sending_closed(void *arg)
{
    struct sending *s = arg;

    page_free(&s->page);
    buf_free(&s->out);
    free(s->include);
    free(s);
}

static void send_page(struct api_call *c, struct page *p)
{
    static const struct http_stream_events ev = {.fill = sending_fill, .closed = sending_closed};
    struct sending *s = MEM_NEW(struct sending);
    struct buf head = {0};

    s->k = c->k;
    s->kind = c->kind;
    s->page = *p;
    s->pretty = c->pretty;
    s->as = (int)c->as;
    s->include = mem_strdup(http_request_query(c->r, "includeObject"));
    s->now_ms = kube_now(c->k);
    make_head(s);
    if (s->pretty) {
        head = s->out;
        s->out = (struct buf){0};
        buf_adds(&head, " "); /* so that "[" is not taken for the start of "[]" */
        make_pretty(s, &head, 0);
        while (s->out.len && s->out.p[s->out.len - 1] != '[')
            s->out.len--;
    }
    http_reply_header(c->r, "Cache-Control", "no-cache, private");
    http_reply_stream(c->r, 200, "application/json", &ev, s);
}

/* ---- The request ------------------------------------------------------------------------------------------------- */

static struct refusal *expired(const char *start, bool by_token)
{
    struct refusal *f;

    if (!by_token)
        return refusal_new(410, "Expired", NULL, "The resourceVersion for the provided list is too old.");
    f = refusal_new(410, "Expired", NULL,
                    "The provided continue parameter is too old to display a consistent list result. You can start a "
                    "new list without the continue parameter, or use the continue token in this response to retrieve "
                    "the remainder of the results. Continuing with the provided token results in an inconsistent list "
                    "- objects that were created, modified, or deleted between the time the first chunk was returned "
                    "and now may show up in the list.");
    f->cont = token_make(-1, start);
    return f;
}

static struct refusal *too_large(uint64_t asked, uint64_t have)
{
    struct json_t *d = object_parse(
        "{'causes':[{'reason':'ResourceVersionTooLarge','message':'Too large resource version'}],"
        "'retryAfterSeconds':1}");
    struct refusal *f = refusal_new(504, "Timeout", d, "Timeout: Too large resource version: %llu, current: %llu",
                                    (unsigned long long)asked, (unsigned long long)have);

    f->retry_after = 1;
    return f;
}

/* resourceVersion and its match: which state is asked for. */
static struct refusal *read_version(struct api_call *c, struct query *q)
{
    const char *text = http_request_query(c->r, "resourceVersion");
    const char *match = http_request_query(c->r, "resourceVersionMatch");
    int64_t rv = 0;

    if (!text || !text[0])
        return NULL;
    if (!slice_to_i64(slice_of(text), &rv) || rv < 0)
        return refuse_bad_request("resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": "
                                  "invalid syntax",
                                  text, text);
    if ((uint64_t)rv > store_rv(c->k->store))
        return too_large((uint64_t)rv, store_rv(c->k->store));
    if (rv == 0)
        q->limit = 0;
    if (rv > 0 && str_eq(match, "Exact"))
        q->at = (uint64_t)rv;
    return NULL;
}

static struct refusal *read_continue(struct api_call *c, struct query *q, char **ret_key)
{
    const char *text = http_request_query(c->r, "continue");
    const char *rv_text = http_request_query(c->r, "resourceVersion");
    int64_t rv;

    if (!text || !text[0])
        return NULL;
    if (rv_text && rv_text[0] && !str_eq(rv_text, "0"))
        return refuse_bad_request("specifying resource version is not allowed when using continue");
    if (!token_read(text, &rv, ret_key))
        return refuse_bad_request("continue key is not valid: illegal base64 data");
    q->start = *ret_key;
    q->at = rv > 0 ? (uint64_t)rv : 0;
    return NULL;
}

static struct refusal *read_query(struct api_call *c, struct query *q, char **ret_key)
{
    const char *limit = http_request_query(c->r, "limit");
    int64_t n = 0;
    struct err *e = selector_parse(c->kind, http_request_query(c->r, "labelSelector"),
                                   http_request_query(c->r, "fieldSelector"), &q->selector);

    if (e) {
        struct refusal *f = refuse_bad_request("%s", err_text(e));
        err_free(e);
        return f;
    }
    if (limit && *limit && !slice_to_i64(slice_of(limit), &n))
        return refuse_bad_request("strconv.ParseInt: parsing \"%s\": invalid syntax", limit);
    if (n > 0)
        q->limit = (size_t)n;
    q->ns = c->ns;
    struct refusal *f = read_version(c, q);
    if (!f)
        f = read_continue(c, q, ret_key);
    if (!f && q->at && q->at < store_oldest_rv(c->k->store, c->kind->stored))
        f = expired(q->start ? q->start : "", q->start != NULL);
    return f;
}

void api_list(struct api_call *c)
{
    struct query q = {0};
    struct page p = {0};
    char *key = NULL;
    struct refusal *f = read_query(c, &q, &key);

    if (f) {
        api_refuse(c, f);
    } else {
        p.rv = q.at ? q.at : store_rv(c->k->store);
        if (q.at && q.at < store_rv(c->k->store))
            page_then(c->k->store, c->kind->stored, &q, &p);
        else
            page_now(c->k->store, c->kind->stored, &q, &p);
        send_page(c, &p);
    }
    selector_free(q.selector);
    free(key);
}

void api_get(struct api_call *c)
{
    struct json_t *doc = kube_get(c->k, c->kind->stored, c->ns, c->name);

    if (doc)
        api_reply_object(c, 200, doc);
    else
        api_refuse(c, refuse_not_found(c->kind, c->name));
    jd_free(doc);
}
