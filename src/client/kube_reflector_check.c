/* Asks whether a watch that was silent for its whole life was silent for a good reason.
 *
 * A server sends bookmarks for a kind only when it has seen a change of it since its own start (seen on 1.36: a quiet
 * cluster gets none at all), so silence alone is no fault. But a watch from a resourceVersion that the server has not
 * reached, because it was restored from a backup, is silent too, and for ever (seen on 1.32 and 1.36). The
 * list's resourceVersion tells them apart, and one object is enough to learn it: if the server is behind what we
 * watched from, what we know is of another history, and is listed again. */
#include "base/buf.h"
#include "client/kube_reflector_private.h"
#include "net/http.h"

/* resourceVersions as integers of any length (apimachinery's resourceversion.CompareResourceVersion). */
static int compare_rv(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return slice_cmp(a, b);
}

/* The list's resourceVersion is below ours. False too if it has none: then the watch will tell. */
static bool is_behind(struct slice list, const char *ours)
{
    char rv[REFLECTOR_RV_SIZE];
    return list.p && reflector_rv(list, rv) && compare_rv(slice_of(rv), slice_of(ours)) < 0;
}

static void check_done(void *arg, const struct http_result *result, const struct err *e)
{
    struct kube_reflector *r = arg;
    if (e && !reflector_denied(r, result->error ? 0 : result->status, e)) {
        reflector_back_off(r, true, e, reflector_asked_ms(result));
    } else if (!e && is_behind(buf_slice(result->body), r->rv)) {
        reflector_set(r, KUBE_LISTING, NULL, 0);
        reflector_list_now(r);
    } else if (!e) {
        reflector_answered(r, r->status.state);
        reflector_watch_now(r);
    }
}

void reflector_check_start(struct kube_reflector *r)
{
    struct buf path = {0};
    buf_printf(&path, "%s?limit=1", r->path);
    if (r->selector)
        buf_printf(&path, "&%s", r->selector);
    struct kube_call call = {
        .path = buf_str(&path),
        .max_body = REFLECTOR_PIECE_MAX,
        .on_done = check_done,
        .arg = r,
    };
    reflector_stop(r);
    r->request = kube_start(r->client, &call);
    buf_free(&path);
}
