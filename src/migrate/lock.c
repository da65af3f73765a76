/* The Lease. Whoever takes it writes his name by a PUT with the resourceVersion that he read, so of two who try one gets 409 and
 * reads again. Whether a holder is dead is judged by how long we ourselves have seen the record unchanged; its times are for people.
 *
 * Times count from when a request was sent, not from its answer: a renewal that hung for 100 s is worth nothing when it comes. */
#include "migrate/lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/kube_ask.h"
#include "migrate/lock_private.h"

enum { LOCK_RETRY_MS = 2000, LOCK_WATCH_MS = 5000, LOCK_TICK_MS = 1000, LOCK_NAME_MAX = 63,
       LOCK_CONFLICTS = 5 };

/* A foreign record may claim any duration: beyond this it is not believed. */
#define LOCK_FOREIGN_MAX_S INT64_C(3600)

static const struct lock_pace usual_pace = {
    .renew_ms = LOCK_RENEW_MS,
    .retry_ms = LOCK_RETRY_MS,
    .watch_ms = LOCK_WATCH_MS,
    .tick_ms = LOCK_TICK_MS,
    .now = clock_mono_ms,
};

static void lock_read(struct lock *l);
static void lock_write(struct lock *l);
static void lock_release_done(void *arg);

/* ---- Names and records ------------------------------------------------------------------------------------------- */

/* "ferryman-NAME"; what is no DNS label in NAME becomes '-', and a hash keeps such names and long ones apart. */
static char *name_of(const char *workload)
{
    char hex[HASH_HEX_SIZE];
    struct buf name = {0};
    bool exact = true;
    buf_adds(&name, "ferryman-");
    for (const char *p = workload; *p; p++) {
        bool lower = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-';
        bool upper = *p >= 'A' && *p <= 'Z';
        exact = exact && lower;
        buf_addc(&name, lower ? *p : upper ? (char)(*p - 'A' + 'a') : '-');
    }
    if (exact && name.len <= LOCK_NAME_MAX && name.p[name.len - 1] != '-')
        return buf_steal(&name);
    hash_hex(workload, strlen(workload), hex);
    char *made = str_printf("%.*s-%.8s", (int)(name.len < LOCK_NAME_MAX - 9 ? name.len : LOCK_NAME_MAX - 9), buf_str(&name), hex);
    buf_free(&name);
    return made;
}

static const char *record_holder(const struct lock *l)
{
    const char *holder = jd_str(l->doc, "spec.holderIdentity");
    return holder ? holder : "";
}

static bool record_is_ours(const struct lock *l)
{
    return str_ends(record_holder(l), l->tail);
}

/* How long its holder may rely on it: at least our own duration, which is what our like keep to. */
static int64_t record_duration_ms(const struct lock *l)
{
    int64_t s = jd_num(l->doc, "spec.leaseDurationSeconds", LOCK_DURATION_S);
    s = s < LOCK_DURATION_S ? LOCK_DURATION_S : s > LOCK_FOREIGN_MAX_S ? LOCK_FOREIGN_MAX_S : s;
    return s * CLOCK_MS_PER_S;
}

static bool record_is_free(const struct lock *l)
{
    if (!l->doc || *record_holder(l) == '\0' || record_is_ours(l))
        return true;
    return l->pace.now() - l->record_ms >= record_duration_ms(l);
}

/* What the server says it is. Its spec alone is the record: labels may change all day. */
static void record_note(struct lock *l, const struct json_t *doc)
{
    struct buf now = {0};
    jd_free(l->doc);
    l->doc = doc ? jd_copy(doc) : NULL;
    if (jd_get(doc, "spec"))
        jd_dump(jd_get(doc, "spec"), &now);
    if (l->record_ms == 0 || !slice_eq(buf_slice(&now), buf_slice(&l->record))) {
        l->changed = l->record_ms != 0;
        l->record_ms = l->pace.now();
        buf_clear(&l->record);
        buf_add_slice(&l->record, buf_slice(&now));
    }
    buf_free(&now);
}

/* MicroTime: exactly six digits, else 400. */
static struct json_t *micro_time(void)
{
    char text[40], seconds[32];
    int64_t ms = clock_wall_ms();
    clock_format_utc(ms, seconds, sizeof seconds);
    snprintf(text, sizeof text, "%.19s.%03d000Z", seconds, (int)(ms % 1000));
    return jd_string(text);
}

/* ---- State ------------------------------------------------------------------------------------------------------- */

static void lock_drop(struct lock *l)
{
    kube_ask_free(l->ask);
    l->ask = NULL;
    timer_stop(l->timer);
}

static void lock_become(struct lock *l, enum lock_state s, const struct err *e)
{
    bool news = l->state != s || e;
    l->state = s;
    if (s == LOCK_OURS)
        timer_start(l->tick, l->pace.tick_ms, l->pace.tick_ms);
    else
        timer_stop(l->tick);
    if (s == LOCK_OTHERS || s == LOCK_LOST)
        timer_start(l->timer, l->pace.watch_ms, 0);
    if (news && l->o.on_state)
        l->o.on_state(l->o.arg, s, e);
}

static void confirm_end(struct lock *l, const struct err *e)
{
    void (*fn)(void *, const struct err *) = l->confirm_fn;
    void *arg = l->confirm_arg;
    kube_ask_free(l->confirm);
    l->confirm = NULL;
    l->confirm_fn = NULL;
    l->confirm_arg = NULL;
    if (fn)
        fn(arg, e);
}

/* e is taken over. */
static void lock_lose(struct lock *l, struct err *e)
{
    err_set_kind(e, ERR_LOCKED);
    err_free(l->why);
    l->why = err_copy(e);
    lock_drop(l);
    l->state = LOCK_LOST;
    confirm_end(l, e);
    if (l->releasing) {
        l->state = LOCK_FREE;
        lock_release_done(l);
    } else {
        lock_become(l, LOCK_LOST, e);
    }
    err_free(e);
}

static struct err *err_taken(struct lock *l)
{
    const char *where = l->doc ? lock_holder(l) : "";
    if (*where == '\0')
        return err_new(ERR_LOCKED, "lease/%s in %s does not name us any more: it was deleted or emptied by somebody", l->name,
                       l->o.ns);
    return err_new(ERR_LOCKED, "lease/%s in %s is held by %s", l->name, l->o.ns, where);
}

/* For who wants it. Its holder's times say nothing about whether he lives: only that it has not changed while we looked. */
static struct err *err_busy(struct lock *l)
{
    struct err *e = err_taken(l);
    int64_t left = record_duration_ms(l) - (l->pace.now() - l->record_ms);
    struct err *told = err_new(ERR_LOCKED,
                               "%s. If that one is dead, it is free in %" PRId64 " s for a console that stays open, or at once by: "
                               "kubectl -n %s delete lease %s",
                               err_text(e), left / 1000, l->o.ns, l->name);
    err_free(e);
    return told;
}

/* By the clock that counts suspend; the timer alone would not. */
static void lock_tick(void *arg)
{
    struct lock *l = arg;
    int64_t age = l->pace.now() - l->confirmed_ms;
    if (l->state != LOCK_OURS || age < LOCK_DEADLINE_MS)
        return;
    lock_lose(l, err_new(ERR_LOCKED, "lease/%s in %s could not be renewed for %" PRId64 " s%s%s", l->name, l->o.ns, age / 1000,
                         l->why ? ": " : "", l->why ? err_text(l->why) : ""));
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* No answer, or a refusal. While we hold it we go on until the deadline; who wants it waits a little for a server that is away. */
static void lock_failed(struct lock *l, const struct err *e)
{
    bool away = err_kind(e) == ERR_UNAVAILABLE || err_kind(e) == ERR_PROTOCOL;
    if (l->releasing) {
        lock_release_done(l);
    } else if (l->state == LOCK_OURS) {
        err_free(l->why);
        l->why = err_copy(e);
        l->conflicts = 0;
        timer_start(l->timer, l->pace.retry_ms, 0);
        lock_tick(l);
    } else if (l->state == LOCK_ASKING) {
        if (away && l->pace.now() - l->asked_ms < LOCK_PATIENCE_MS) {
            timer_start(l->timer, l->pace.retry_ms, 0);
            return;
        }
        struct err *why = err_wrap(err_copy(e), "lease/%s in %s", l->name, l->o.ns);
        lock_become(l, LOCK_FREE, why);
        err_free(why);
    } else {
        timer_start(l->timer, l->pace.watch_ms, 0);
    }
}

/* Somebody else's write was in the way, or an answer of ours was lost. */
static void lock_judge_ours(struct lock *l)
{
    if (l->doc && record_is_ours(l) && str_eq(jd_str(l->doc, "metadata.uid"), l->uid))
        lock_write(l);
    else
        lock_lose(l, err_taken(l));
}

static void lock_judge(struct lock *l)
{
    bool free = record_is_free(l);
    if (l->releasing || l->state == LOCK_OURS) {
        lock_judge_ours(l);
    } else if (l->state == LOCK_ASKING && free) {
        lock_write(l);
    } else if (l->state == LOCK_ASKING) {
        struct err *e = err_busy(l);
        lock_become(l, LOCK_OTHERS, e);
        err_free(e);
    } else {
        /* What was lost stays so while nobody else has given it back. */
        bool lost = l->state == LOCK_LOST && !(free && !record_is_ours(l));
        timer_start(l->timer, l->pace.watch_ms, 0);
        if (!lost)
            lock_become(l, free ? LOCK_FREE : LOCK_OTHERS, NULL);
    }
}

static void lock_on_read(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    kube_ask_free(l->ask);
    l->ask = NULL;
    if (e && status != 404) {
        lock_failed(l, e);
        return;
    }
    record_note(l, e ? NULL : doc);
    lock_judge(l);
}

static void lock_read(struct lock *l)
{
    lock_drop(l);
    l->ask = kube_ask_new(l->o.kube, "GET", l->path, NULL, 0, lock_on_read, l);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static struct json_t *lease_new(const struct lock *l)
{
    struct json_t *d = jd_object(), *annotations = jd_object(), *labels = jd_object();
    jd_set(d, "apiVersion", jd_string("coordination.k8s.io/v1"));
    jd_set(d, "kind", jd_string("Lease"));
    jd_put(d, "metadata.name", jd_string(l->name));
    jd_put(d, "metadata.namespace", jd_string(l->o.ns));
    jd_set(labels, "app.kubernetes.io/managed-by", jd_string("ferryman"));
    jd_set(annotations, "ferryman.io/run", jd_string(l->o.journal_id));
    jd_put(d, "metadata.labels", labels);
    jd_put(d, "metadata.annotations", annotations);
    return d;
}

/* The Lease with our name, or with nobody's. What others put on it stays. */
static struct json_t *lease_next(const struct lock *l)
{
    struct json_t *d = l->doc ? jd_copy(l->doc) : lease_new(l);
    bool again = l->doc && record_is_ours(l);
    jd_del(jd_get(d, "metadata"), "managedFields");
    if (!jd_is_object(jd_get(d, "spec")))
        jd_set(d, "spec", jd_object());
    struct json_t *spec = jd_get(d, "spec");
    jd_set(spec, "holderIdentity", jd_string(l->releasing ? "" : l->identity));
    jd_set(spec, "leaseDurationSeconds", jd_int(LOCK_DURATION_S));
    jd_set(spec, "renewTime", micro_time());
    if (!again) {
        jd_set(spec, "acquireTime", micro_time());
        jd_set(spec, "leaseTransitions", jd_int(l->doc ? jd_num(l->doc, "spec.leaseTransitions", 0) + 1 : 0));
    }
    return d;
}

static void lock_held(struct lock *l, const struct json_t *doc)
{
    record_note(l, doc);
    l->confirmed_ms = l->sent_ms;
    l->conflicts = 0;
    err_free(l->why);
    l->why = NULL;
    if (l->state != LOCK_OURS)
        str_set(&l->uid, jd_str(doc, "metadata.uid"));
    timer_start(l->timer, l->pace.renew_ms, 0);
    lock_become(l, LOCK_OURS, NULL);
    lock_tick(l);
}

static void lock_on_written(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    int most = l->releasing ? 1 : LOCK_CONFLICTS;
    kube_ask_free(l->ask);
    l->ask = NULL;
    if ((status == 409 || status == 404) && l->conflicts < most) {
        l->conflicts++;
        lock_read(l);
    } else if (e) {
        lock_failed(l, e);
    } else if (l->releasing) {
        record_note(l, doc);
        lock_release_done(l);
    } else {
        lock_held(l, doc);
    }
}

static void lock_write(struct lock *l)
{
    struct json_t *body = lease_next(l);
    lock_drop(l);
    l->sent_ms = l->pace.now();
    l->ask = kube_ask_new(l->o.kube, l->doc ? "PUT" : "POST", l->doc ? l->path : l->collection, body, 0, lock_on_written, l);
    jd_free(body);
}

static void lock_on_timer(void *arg)
{
    struct lock *l = arg;
    if (l->state == LOCK_OURS)
        lock_write(l);
    else
        lock_read(l);
}

/* ---- Acquire, release, confirm ----------------------------------------------------------------------------------- */

void lock_acquire(struct lock *l)
{
    if (l->state == LOCK_OURS || l->state == LOCK_ASKING || l->releasing)
        return;
    l->state = LOCK_ASKING;
    l->asked_ms = l->pace.now();
    l->conflicts = 0;
    lock_read(l);
}

static void lock_release_done(void *arg)
{
    struct lock *l = arg;
    void (*fn)(void *) = l->release_fn;
    void *fn_arg = l->release_arg;
    loop_undefer(l->o.loop, l);
    l->releasing = false;
    l->release_fn = NULL;
    l->state = LOCK_FREE;
    timer_stop(l->tick);
    if (fn)
        fn(fn_arg);
}

void lock_release(struct lock *l, void (*fn)(void *arg), void *arg)
{
    lock_drop(l);
    l->release_fn = fn;
    l->release_arg = arg;
    l->releasing = true;
    l->conflicts = 0;
    if (l->state == LOCK_OURS)
        lock_write(l);
    else
        loop_defer(l->o.loop, lock_release_done, l);
}

struct err *lock_fence(const struct lock *l)
{
    int64_t age = l->pace.now() - l->confirmed_ms;
    if (l->state == LOCK_OURS && !l->releasing && age < LOCK_DEADLINE_MS)
        return NULL;
    if (l->state == LOCK_OURS && !l->releasing)
        return err_new(ERR_LOCKED, "lease/%s in %s was renewed last %" PRId64 " s ago: it may be another's by now", l->name, l->o.ns,
                       age / 1000);
    if (l->state == LOCK_LOST && l->why)
        return err_new(ERR_LOCKED, "the lock was lost: %s", err_text(l->why));
    return err_new(ERR_LOCKED, "lease/%s in %s is not ours%s", l->name, l->o.ns, l->releasing ? " any more: it is being released" : "");
}

static void lock_on_confirmed(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct lock *l = arg;
    if (e && status != 404) {
        struct err *why = err_wrap(err_copy(e), "lease/%s in %s could not be confirmed", l->name, l->o.ns);
        confirm_end(l, why);
        err_free(why);
        return;
    }
    const char *holder = e ? NULL : jd_str(doc, "spec.holderIdentity");
    if (!holder || !str_ends(holder, l->tail) || !str_eq(jd_str(doc, "metadata.uid"), l->uid)) {
        record_note(l, e ? NULL : doc);
        lock_lose(l, err_taken(l));
        return;
    }
    struct err *fence = lock_fence(l);
    confirm_end(l, fence);
    err_free(fence);
}

/* Not ours to begin with: said by the same way, from the loop. */
static void confirm_refused(void *arg)
{
    struct lock *l = (struct lock *)((char *)arg - offsetof(struct lock, confirm_fn));
    struct err *fence = lock_fence(l);
    confirm_end(l, fence);
    err_free(fence);
}

void lock_confirm(struct lock *l, void (*fn)(void *arg, const struct err *e), void *arg)
{
    struct err *fence = lock_fence(l);
    kube_ask_free(l->confirm);
    l->confirm = NULL;
    l->confirm_fn = fn;
    l->confirm_arg = arg;
    if (fence)
        loop_defer(l->o.loop, confirm_refused, &l->confirm_fn);
    else
        l->confirm = kube_ask_new(l->o.kube, "GET", l->path, NULL, 0, lock_on_confirmed, l);
    err_free(fence);
}

void lock_forget(struct lock *l, const void *arg)
{
    if (l->confirm_arg == arg) {
        kube_ask_free(l->confirm);
        l->confirm = NULL;
        l->confirm_fn = NULL;
        l->confirm_arg = NULL;
        loop_undefer(l->o.loop, &l->confirm_fn);
    }
    lock_secret_forget(l, arg);
}

/* ---- What is known ----------------------------------------------------------------------------------------------- */

enum lock_state lock_state(const struct lock *l)
{
    return l->state;
}

const char *lock_name(const struct lock *l)
{
    return l->name;
}

const char *lock_holder(struct lock *l)
{
    char age[24];
    const char *holder = record_holder(l);
    buf_clear(&l->holder);
    if (*holder == '\0')
        return "";
    utf8_clean(&l->holder, (struct slice){holder, strnlen(holder, 200)});
    clock_format_age(l->pace.now() - l->record_ms, age, sizeof age);
    buf_printf(&l->holder, str_eq(age, "now") ? ", %s %s" : ", %s %s ago", l->changed ? "renewed" : "first seen", age);
    return buf_str(&l->holder);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

void lock_set_pace(struct lock *l, const struct lock_pace *pace)
{
    l->pace = *pace;
}

struct lock *lock_new(const struct lock_options *o)
{
    struct lock *l = MEM_NEW(struct lock);
    l->o = *o;
    l->o.ns = mem_strdup(o->ns);
    l->o.workload = mem_strdup(o->workload);
    l->o.operator_name = mem_strdup(o->operator_name);
    l->o.host = mem_strdup(o->host);
    l->o.journal_id = mem_strdup(o->journal_id);
    l->o.journal_key = mem_strdup(o->journal_key ? o->journal_key : o->journal_id);
    l->pace = usual_pace;
    l->name = name_of(o->workload);
    l->collection = str_printf("/apis/coordination.k8s.io/v1/namespaces/%s/leases?fieldManager=ferryman", o->ns);
    l->path = str_printf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s?fieldManager=ferryman", o->ns, l->name);
    l->tail = str_printf("@%s/%s", o->host, l->o.journal_key);
    l->identity = str_printf("%s%s", o->operator_name, l->tail);
    l->timer = timer_new(o->loop, lock_on_timer, l);
    l->tick = timer_new(o->loop, lock_tick, l);
    lock_secret_init(l);
    return l;
}

void lock_free(struct lock *l)
{
    if (!l)
        return;
    lock_drop(l);
    kube_ask_free(l->confirm);
    loop_undefer(l->o.loop, l);
    loop_undefer(l->o.loop, &l->confirm_fn);
    lock_secret_clear(l);
    timer_free(l->timer);
    timer_free(l->tick);
    char *strings[] = {(char *)(uintptr_t)l->o.ns, (char *)(uintptr_t)l->o.workload, (char *)(uintptr_t)l->o.operator_name,
                       (char *)(uintptr_t)l->o.host, (char *)(uintptr_t)l->o.journal_id, (char *)(uintptr_t)l->o.journal_key, l->name, l->path, l->collection,
                       l->identity, l->tail, l->uid};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    jd_free(l->doc);
    err_free(l->why);
    buf_free(&l->record);
    buf_free(&l->holder);
    mem_free(l);
}
