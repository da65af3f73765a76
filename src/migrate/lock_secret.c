/* The recovery state in the cluster (safety.md 26): a Secret beside the Lease, of which only we write.
 *
 * What we wrote last is remembered. When the server has another version, it is read again: the same content (somebody labelled
 * it, or our answer was lost) is written over; a content that is not ours is an error, for then two believe to hold the run. */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/kube_ask.h"
#include "migrate/lock_private.h"

/* The API server's bound on the decoded values together (MaxSecretSize, kubernetes pkg/apis/core/types.go). */
#define SECRET_MAX (1024 * 1024)
#define SECRET_TYPE "ferryman.io/recovery"
#define SECRET_RUN "ferryman.io/run"

static void secret_next(void *arg);

/* ---- Content ----------------------------------------------------------------------------------------------------- */

static bool key_is_valid(const char *key)
{
    size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n > 0 && n <= 253 && key[n] == '\0';
}

static struct err *secret_too_large(const struct lock *l, size_t total, const char *largest, size_t most)
{
    return err_new(ERR_FAILED,
                   "secret/%s in %s: the recovery state is %zu KiB, but a Secret holds 1024 KiB; the largest part is %s (%zu KiB)",
                   l->name, l->o.ns, total / 1024, largest, most / 1024);
}

/* State as a Secret has it: base64 by key. */
static struct err *secret_encode(const struct lock *l, const struct json_t *state, struct json_t **ret)
{
    struct json_t *all = jd_copy(state), *data = jd_object();
    const char *largest = "";
    size_t total = 0, most = 0;
    struct err *e = NULL;
    for (void *it = jd_iter(all); it && !e; it = jd_iter_next(all, it)) {
        struct buf plain = {0}, code = {0};
        const char *text = jd_string_value(jd_iter_value(it));
        if (text)
            buf_adds(&plain, text);
        else
            jd_dump(jd_iter_value(it), &plain);
        hash_base64_encode(buf_str(&plain), plain.len, &code);
        if (!key_is_valid(jd_iter_key(it)))
            e = err_new(ERR_FAILED, "secret/%s: \"%s\" is no key of a Secret", l->name, jd_iter_key(it));
        jd_set(data, jd_iter_key(it), jd_string(buf_str(&code)));
        total += plain.len;
        largest = plain.len >= most ? jd_iter_key(it) : largest;
        most = plain.len >= most ? plain.len : most;
        buf_free(&plain);
        buf_free(&code);
    }
    if (!e && total > SECRET_MAX)
        e = secret_too_large(l, total, largest, most);
    jd_free(all);
    if (e)
        jd_free(data);
    else
        *ret = data;
    return e;
}

/* One value: objects and arrays as such, anything else as text. A NUL ends it, and text that is not UTF-8 is none of ours. */
static struct json_t *value_decode(const char *code)
{
    struct buf plain = {0};
    struct json_t *v = NULL;
    if (!hash_base64_decode(slice_of(code), &plain)) {
        buf_free(&plain);
        return NULL;
    }
    const char *text = buf_str(&plain);
    if (*text == '{' || *text == '[')
        err_ignore(jd_parse(text, plain.len, "a value", &v), "then it is text");
    if (!v)
        v = jd_string(text);
    buf_free(&plain);
    return v;
}

static const char *run_of(const struct json_t *doc)
{
    const char *run = jd_string_value(jd_member(jd_get(doc, "metadata.annotations"), SECRET_RUN));
    return run ? run : "";
}

static struct err *secret_decode(const struct lock *l, const struct json_t *doc, struct json_t **ret)
{
    struct json_t *data = jd_copy(jd_get(doc, "data")), *state = jd_object();
    struct err *e = NULL;
    for (void *it = data ? jd_iter(data) : NULL; it && !e; it = jd_iter_next(data, it)) {
        const char *code = jd_string_value(jd_iter_value(it));
        struct json_t *v = code ? value_decode(code) : NULL;
        if (v)
            jd_set(state, jd_iter_key(it), v);
        else
            e = err_new(ERR_DATA, "secret/%s in %s: %s is not what ferryman wrote", l->name, l->o.ns, jd_iter_key(it));
    }
    jd_set(state, "run", jd_string(run_of(doc)));
    jd_free(data);
    if (e)
        jd_free(state);
    else
        *ret = state;
    return e;
}

/* Nobody answered, or not to the end: it may be otherwise in a moment. */
static bool is_away(const struct err *e)
{
    return err_kind(e) == ERR_UNAVAILABLE || err_kind(e) == ERR_PROTOCOL;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static char *secret_path(const struct lock *l, bool one)
{
    return str_printf("/api/v1/namespaces/%s/secrets%s%s?fieldManager=ferryman", l->o.ns, one ? "/" : "", one ? l->name : "");
}

static void secret_note(struct lock *l, const struct json_t *doc)
{
    struct lock_secret *s = &l->secret;
    jd_free(s->doc);
    s->doc = doc ? jd_copy(doc) : NULL;
    s->read = true;
}

static void secret_remember(struct lock *l, const struct json_t *data)
{
    jd_free(l->secret.data);
    l->secret.data = data ? jd_copy(data) : NULL;
}

static void secret_on_load(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    struct lock_secret *s = &l->secret;
    struct json_t *state = NULL;
    struct err *bad = NULL;
    void (*fn)(void *, const struct json_t *, const struct err *) = s->load_fn;
    kube_ask_free(s->load);
    s->load = NULL;
    if (e && is_away(e) && fn && l->pace.now() - s->load_began_ms < LOCK_PATIENCE_MS) {
        timer_start(s->load_retry, l->pace.retry_ms, 0);
        return;
    }
    s->load_fn = NULL;
    if (e && status != 404)
        bad = err_wrap(err_copy(e), "secret/%s in %s", l->name, l->o.ns);
    if (!bad && !e)
        bad = secret_decode(l, doc, &state);
    if (!bad && !s->ask) {
        secret_note(l, e ? NULL : doc);
        secret_remember(l, e ? NULL : jd_get(doc, "data"));
    }
    if (fn)
        fn(s->load_arg, state, bad);
    jd_free(state);
    err_free(bad);
}

static void load_ask(void *arg)
{
    struct lock *l = arg;
    char *path = secret_path(l, true);
    kube_ask_free(l->secret.load);
    l->secret.load = kube_ask_new(l->o.kube, "GET", path, NULL, 0, secret_on_load, l);
    mem_free(path);
}

void lock_load(struct lock *l, void (*fn)(void *arg, const struct json_t *state, const struct err *e), void *arg)
{
    l->secret.load_fn = fn;
    l->secret.load_arg = arg;
    l->secret.load_began_ms = l->pace.now();
    timer_stop(l->secret.load_retry);
    load_ask(l);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static void write_end(struct lock *l, const struct err *e)
{
    struct lock_secret *s = &l->secret;
    struct lock_write *w = s->first;
    s->first = w->next;
    s->fresh = false;
    if (!s->first)
        s->last = NULL;
    if (s->first)
        loop_defer(l->o.loop, secret_next, s);
    if (w->fn)
        w->fn(w->arg, e);
    jd_free(w->data);
    err_free(w->bad);
    mem_free(w);
}

static void write_fail(struct lock *l, struct err *e)
{
    write_end(l, e);
    err_free(e);
}

/* Whether what stands there may be overwritten. */
static struct err *secret_check(const struct lock *l)
{
    const struct lock_secret *s = &l->secret;
    const char *run = s->doc ? run_of(s->doc) : "";
    if (!s->doc)
        return s->data ? err_new(ERR_FAILED, "secret/%s in %s was deleted by somebody; resuming writes it anew", l->name,
                                 l->o.ns)
                       : NULL;
    if (!str_eq(run, l->o.journal_id))
        return err_new(ERR_LOCKED,
                       "secret/%s in %s is the recovery state of another run (%s): import its journal (ferryman journal import), "
                       "or delete the Secret if that migration is over",
                       l->name, l->o.ns, *run ? run : "without a run's id");
    if (!str_eq(jd_str(s->doc, "type"), SECRET_TYPE))
        return err_new(ERR_FAILED, "secret/%s in %s has the type %s instead of " SECRET_TYPE ": look who made it", l->name, l->o.ns,
                       jd_str(s->doc, "type") ? jd_str(s->doc, "type") : "Opaque");
    if (s->data && !jd_equal(jd_get(s->doc, "data"), s->data) && !jd_equal(jd_get(s->doc, "data"), s->first->data))
        return err_new(ERR_LOCKED, "secret/%s in %s was changed by somebody since we wrote it: two may be acting on %s", l->name,
                       l->o.ns, l->o.workload);
    return NULL;
}

static struct json_t *secret_body(const struct lock *l)
{
    const struct lock_secret *s = &l->secret;
    struct json_t *d = s->doc ? jd_copy(s->doc) : jd_object();
    if (!s->doc) {
        struct json_t *labels = jd_object(), *annotations = jd_object();
        jd_set(d, "apiVersion", jd_string("v1"));
        jd_set(d, "kind", jd_string("Secret"));
        jd_set(d, "type", jd_string(SECRET_TYPE));
        jd_put(d, "metadata.name", jd_string(l->name));
        jd_put(d, "metadata.namespace", jd_string(l->o.ns));
        jd_set(labels, "app.kubernetes.io/managed-by", jd_string("ferryman"));
        jd_set(annotations, SECRET_RUN, jd_string(l->o.journal_id));
        jd_put(d, "metadata.labels", labels);
        jd_put(d, "metadata.annotations", annotations);
    }
    jd_del(jd_get(d, "metadata"), "managedFields");
    jd_set(d, "data", jd_copy(s->first->data));
    return d;
}

static void secret_again(struct lock *l, const struct err *e)
{
    struct err *fence = lock_fence(l);
    if (fence || !is_away(e)) {
        write_fail(l, err_wrap(err_copy(e), "secret/%s in %s", l->name, l->o.ns));
    } else {
        l->secret.read = false; /* the request may have been carried out */
        timer_start(l->secret.retry, l->pace.retry_ms, 0);
    }
    err_free(fence);
}

static void secret_on_written(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    struct lock_secret *s = &l->secret;
    kube_ask_free(s->ask);
    s->ask = NULL;
    if (!e) {
        secret_note(l, doc);
        secret_remember(l, s->first->data);
        write_end(l, NULL);
    } else if (status == 409 || (status == 404 && s->doc)) {
        s->read = false;
        timer_start(s->retry, l->pace.retry_ms / 4 + 1, 0);
    } else {
        secret_again(l, e);
    }
}

static void secret_on_read(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    kube_ask_free(l->secret.ask);
    l->secret.ask = NULL;
    if (e && status != 404) {
        secret_again(l, e);
        return;
    }
    secret_note(l, e ? NULL : doc);
    l->secret.fresh = true;
    secret_next(&l->secret);
}

/* The first of the queue, one step further: read what stands there if we do not know, judge, write. */
static void secret_next(void *arg)
{
    struct lock_secret *s = arg;
    struct lock *l = (struct lock *)((char *)arg - offsetof(struct lock, secret));
    if (!s->first || s->ask || timer_active(s->retry))
        return;
    struct err *e = s->first->bad ? err_copy(s->first->bad) : lock_fence(l);
    if (!e && s->read)
        e = secret_check(l);
    if (e && s->read && !s->fresh && !s->first->bad) {
        err_ignore(e, "said of what may be old: it is read again");
        e = NULL;
        s->read = false;
    }
    if (e) {
        if (s->read && !s->doc)
            secret_remember(l, NULL); /* deleted, and said so: the next one writes it anew */
        s->read = false;
        write_fail(l, e);
        return;
    }
    char *path = secret_path(l, !s->read || s->doc);
    struct json_t *body = s->read ? secret_body(l) : NULL;
    const char *method = !s->read ? "GET" : s->doc ? "PUT" : "POST";
    s->ask = kube_ask_new(l->o.kube, method, path, body, 0, s->read ? secret_on_written : secret_on_read, l);
    jd_free(body);
    mem_free(path);
}

void lock_save(struct lock *l, const struct json_t *state, void (*fn)(void *arg, const struct err *e), void *arg)
{
    struct lock_secret *s = &l->secret;
    struct lock_write *w = MEM_NEW(struct lock_write);
    w->bad = secret_encode(l, state, &w->data);
    w->fn = fn;
    w->arg = arg;
    if (s->last)
        s->last->next = w;
    else
        s->first = w;
    s->last = w;
    loop_defer(l->o.loop, secret_next, s);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

void lock_secret_init(struct lock *l)
{
    l->secret.retry = timer_new(l->o.loop, secret_next, &l->secret);
    l->secret.load_retry = timer_new(l->o.loop, load_ask, l);
}

void lock_secret_forget(struct lock *l, const void *arg)
{
    struct lock_secret *s = &l->secret;
    for (struct lock_write *w = s->first; w; w = w->next)
        if (w->arg == arg)
            w->fn = NULL;
    if (s->load_arg == arg)
        s->load_fn = NULL;
}

void lock_secret_clear(struct lock *l)
{
    struct lock_secret *s = &l->secret;
    loop_undefer(l->o.loop, s);
    kube_ask_free(s->ask);
    kube_ask_free(s->load);
    timer_free(s->retry);
    timer_free(s->load_retry);
    while (s->first) {
        struct lock_write *w = s->first;
        s->first = w->next;
        jd_free(w->data);
        err_free(w->bad);
        mem_free(w);
    }
    jd_free(s->doc);
    jd_free(s->data);
}
