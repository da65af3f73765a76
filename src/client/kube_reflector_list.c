/* One list: pages of 500 with resourceVersion "" (the server ignores limit when it is "0"), cut into objects as they
 * arrive. All pages show the state of the first one's resourceVersion, from which the watch goes on.
 *
 * A continue token lives as long as the server's history (5 to 15 minutes). When it has expired (410), the server
 * offers one that continues with newer state; like client-go we do not take it, since such a list was never true, but
 * begin again, and if that happens once more, without pages. */
#include <string.h>

#include "base/buf.h"
#include "base/json_reader.h"
#include "base/json_splitter.h"
#include "base/mem.h"
#include "client/kube_reflector_private.h"
#include "net/http.h"

enum { LIST_TIMEOUT_MS = 120 * 1000, LIST_IDLE_MS = 65 * 1000 }; /* the server cuts a list at 60 s */

void reflector_list_clear(struct kube_reflector *r)
{
    mem_free(r->list.next);
    mem_free(r->list.token);
    r->list.next = r->list.token = NULL;
    r->list.rv[0] = '\0';
    r->list.rest_seen = r->list.begun = false;
    r->logged = 0;
}

/* metadata of the list: resourceVersion of the first page, continue. */
static struct err *read_list_meta(struct kube_reflector *r, struct json_reader *j)
{
    struct slice key;
    char rv[REFLECTOR_RV_SIZE] = "";
    if (!json_enter_object(j))
        return NULL;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "resourceVersion")) {
            struct slice text = json_string(j);
            if (text.n >= sizeof rv)
                return err_new(ERR_PROTOCOL, "a resourceVersion of %zu bytes", text.n);
            memcpy(rv, text.n ? text.p : "", text.n);
            rv[text.n] = '\0';
        } else if (slice_is(key, "continue")) {
            struct slice text = json_string(j);
            mem_free(r->list.token);
            r->list.token = text.n > 0 ? slice_dup(text) : NULL;
        } else {
            json_skip(j);
        }
    }
    if (!r->list.rv[0])
        str_copy(r->list.rv, sizeof r->list.rv, rv);
    return NULL;
}

static struct err *read_rest(struct kube_reflector *r, const char *p, size_t n)
{
    struct json_reader j;
    struct slice key;
    struct err *e = NULL;
    json_reader_init(&j, p, n);
    if (json_enter_object(&j))
        while (!e && json_next_key(&j, &key)) {
            if (slice_is(key, "metadata"))
                e = read_list_meta(r, &j);
            else
                json_skip(&j);
        }
    struct err *bad = e ? NULL : json_finish(&j, "list");
    json_reader_free(&j);
    r->list.rest_seen = true;
    return e ? e : bad;
}

static struct err *list_piece(void *arg, enum json_piece kind, const char *p, size_t n)
{
    struct kube_reflector *r = arg;
    if (kind == JSON_PIECE_REST)
        return read_rest(r, p, n);
    reflector_object(r, (struct slice){p, n}, false);
    return NULL;
}

static bool list_head(void *arg, const struct http_head *head)
{
    struct kube_reflector *r = arg;
    if (head->status < 200 || head->status > 299)
        return true;
    reflector_answered(r, KUBE_LISTING);
    if (!r->list.begun && r->ev.on_list_begin)
        r->ev.on_list_begin(r->arg);
    r->list.begun = true;
    return true;
}

static struct err *list_data(void *arg, const char *p, size_t n)
{
    struct kube_reflector *r = arg;
    reflector_touch(r);
    return err_wrap(json_splitter_feed(r->splitter, p, n), "%s: list %s", r->client->name, r->path);
}

/* The page is whole: the next one, or the watch. */
static void page_complete(struct kube_reflector *r)
{
    mem_free(r->list.next);
    r->list.next = r->list.token;
    r->list.token = NULL;
    reflector_stop(r);
    if (r->list.next) {
        reflector_list_start(r);
        return;
    }
    str_copy(r->rv, sizeof r->rv, r->list.rv);
    r->list.expired = 0;
    r->status.lists++;
    if (r->ev.on_list_end)
        r->ev.on_list_end(r->arg);
    reflector_list_clear(r);
    reflector_watch_start(r);
}

/* 410 on a page after the first. */
static void page_expired(struct kube_reflector *r, const struct err *e)
{
    if (++r->list.expired == 1)
        reflector_list_now(r);
    else
        reflector_back_off(r, false, e, 0);
}

static struct err *judge_page(struct kube_reflector *r)
{
    struct err *e = json_splitter_finish(r->splitter);
    if (!e && (!r->list.rest_seen || !r->list.rv[0]))
        e = err_new(ERR_PROTOCOL, "the answer is no list: it has no resourceVersion");
    return err_wrap(e, "%s: list %s", r->client->name, r->path);
}

static void list_done(void *arg, const struct http_result *result, const struct err *e)
{
    struct kube_reflector *r = arg;
    if (!e) {
        struct err *bad = judge_page(r);
        if (!bad)
            page_complete(r);
        else
            reflector_back_off(r, false, bad, 0);
        err_free(bad);
        return;
    }
    bool answered = result->status >= 400 && !result->error;
    if (answered && result->status == 410 && r->list.next)
        page_expired(r, e);
    else if (!answered || !reflector_denied(r, result->status, e))
        reflector_back_off(r, false, e, reflector_asked_ms(result));
}

/* From the second expiry on without pages: one answer has no token to expire. */
static char *page_path(const struct kube_reflector *r)
{
    struct buf path = {0};
    char mark = '?';
    buf_adds(&path, r->path);
    if (r->list.expired < 2 || r->list.next) {
        buf_printf(&path, "%climit=%u", mark, r->pace.page);
        mark = '&';
    }
    if (r->list.next) {
        buf_adds(&path, "&continue=");
        http_escape(&path, r->list.next);
    }
    if (r->selector)
        buf_printf(&path, "%c%s", mark, r->selector);
    return buf_steal(&path);
}

void reflector_list_start(struct kube_reflector *r)
{
    char *path = page_path(r);
    struct kube_call call = {
        .path = path,
        .timeout_ms = LIST_TIMEOUT_MS,
        .idle_timeout_ms = LIST_IDLE_MS,
        .max_body = 1024 * 1024,
        .gzip = true,
        .on_head = list_head,
        .on_data = list_data,
        .on_done = list_done,
        .arg = r,
    };
    r->list.rest_seen = false;
    r->splitter = json_splitter_new(JSON_SPLIT_ITEMS, REFLECTOR_PIECE_MAX, list_piece, r);
    r->request = kube_start(r->client, &call);
    mem_free(path);
}
