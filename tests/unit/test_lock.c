/* The lock against an API server that keeps a Lease and a Secret as the real one does: resourceVersion, uid, 409, 422, MicroTime.
 * Ages are judged by a clock that the tests move, so nobody waits for two minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/lock.h"
#include "migrate/lock_private.h"
#include "tests/unit/tiny_http.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/immich/leases"
#define SECRETS "/api/v1/namespaces/immich/secrets"

enum { PATIENCE_MS = 20000 };

static int64_t fake_now;

static int64_t now_of_test(void)
{
    return fake_now;
}

/* ---- The server -------------------------------------------------------------------------------------------------- */

struct fake {
    struct json_t *objects[2]; /* Lease, Secret; NULL: absent */
    int version, uid;
    int reads, writes;         /* that were carried out */
    bool down;                 /* nobody answers */
    bool denied;               /* 403 */
    bool lose;                 /* carries the next write out and does not answer */
    void (*before_write)(struct fake *f);
    struct buf answer;
};

static void fake_say(struct fake *f, struct tiny_answer *ret, int status, const char *reason, const struct json_t *doc)
{
    buf_clear(&f->answer);
    if (doc)
        jd_dump(doc, &f->answer);
    else
        buf_printf(&f->answer, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"%s\",\"message\":\"%s\",\"code\":%d}", reason,
                   reason, status);
    *ret = (struct tiny_answer){.status = status, .body = f->answer.p, .body_len = f->answer.len};
}

static bool micro_is_good(const struct json_t *doc, const char *field)
{
    const char *text = jd_str(doc, field);
    return !text || (strlen(text) == strlen("2026-11-22T06:00:00.000000Z") && text[19] == '.' && text[26] == 'Z');
}

/* What a real server would say of it; 0: nothing against it. */
static int fake_judge(const struct fake *f, const struct tiny_request *rq, int which, const struct json_t *doc)
{
    const struct json_t *now = f->objects[which];
    if (!doc || !micro_is_good(doc, "spec.renewTime") || !micro_is_good(doc, "spec.acquireTime"))
        return 400;
    if (str_eq(rq->method, "POST"))
        return now ? 409 : 0;
    if (!now)
        return 404;
    if (!jd_str(doc, "metadata.resourceVersion"))
        return 422;
    if (which == 1 && !str_eq(jd_str(doc, "type"), jd_str(now, "type")))
        return 422;
    return str_eq(jd_str(doc, "metadata.resourceVersion"), jd_str(now, "metadata.resourceVersion")) &&
                   str_eq(jd_str(doc, "metadata.uid"), jd_str(now, "metadata.uid"))
               ? 0
               : 409;
}

/* Takes doc over. */
static void fake_store(struct fake *f, int which, struct json_t *doc)
{
    char text[32];
    if (!f->objects[which] || !jd_str(doc, "metadata.uid")) {
        snprintf(text, sizeof text, "uid-%d", ++f->uid);
        jd_put(doc, "metadata.uid", jd_string(text));
    }
    snprintf(text, sizeof text, "%d", ++f->version);
    jd_put(doc, "metadata.resourceVersion", jd_string(text));
    jd_free(f->objects[which]);
    f->objects[which] = doc;
}

static void fake_write(struct fake *f, const struct tiny_request *rq, int which, struct tiny_answer *ret)
{
    struct json_t *doc = NULL;
    err_ignore(jd_parse(rq->body, strlen(rq->body), "body", &doc), "judged as a bad request");
    if (f->before_write)
        f->before_write(f);
    int refused = fake_judge(f, rq, which, doc);
    if (refused) {
        jd_free(doc);
        fake_say(f, ret, refused, refused == 409 ? "Conflict" : "Invalid", NULL);
        return;
    }
    fake_store(f, which, doc);
    f->writes++;
    fake_say(f, ret, str_eq(rq->method, "POST") ? 201 : 200, "", doc);
    if (f->lose)
        *ret = (struct tiny_answer){.fate = TINY_RESET};
    f->lose = false;
}

static bool fake_answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct fake *f = arg;
    int which = str_starts(rq->path, LEASES) ? 0 : str_starts(rq->path, SECRETS) ? 1 : -1;
    if (which < 0)
        return false;
    if (f->down) {
        *ret = (struct tiny_answer){.fate = TINY_RESET};
    } else if (f->denied) {
        fake_say(f, ret, 403, "Forbidden", NULL);
    } else if (str_eq(rq->method, "GET")) {
        f->reads++;
        fake_say(f, ret, f->objects[which] ? 200 : 404, "NotFound", f->objects[which]);
    } else {
        fake_write(f, rq, which, ret);
    }
    return true;
}

static void fake_hold(struct fake *f, const char *holder, const char *renewed, int seconds)
{
    struct json_t *d = f->objects[0] ? jd_copy(f->objects[0]) : jd_object();
    jd_put(d, "metadata.name", jd_string("ferryman-immich"));
    jd_put(d, "spec.holderIdentity", jd_string(holder));
    jd_put(d, "spec.renewTime", jd_string(renewed));
    jd_put(d, "spec.leaseDurationSeconds", jd_int(seconds));
    jd_put(d, "spec.leaseTransitions", jd_int(4));
    fake_store(f, 0, d);
}

/* ---- The stage --------------------------------------------------------------------------------------------------- */

struct seat {
    struct lock *lock;
    enum lock_state said;
    int changes;
    char why[512];
    bool released, confirmed, saved, loaded;
    int saves;
    char confirm[512], save[512];
    struct json_t *state;
};

struct stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct timer *poll;
    struct fake fake;
    struct seat a, b;
    bool (*want)(struct stage *w);
    bool done;
    int mark;
};

static void poll_want(void *arg)
{
    struct stage *w = arg;
    if (w->want && w->want(w))
        w->done = true;
}

static void await(struct stage *w, bool (*want)(struct stage *w), const char *what)
{
    w->want = want;
    w->done = want(w);
    if (!loop_run_until(w->loop, &w->done, PATIENCE_MS))
        fail_msg("not reached: %s (a: %d \"%s\", b: %d \"%s\", save \"%s\")", what, (int)w->a.said, w->a.why, (int)w->b.said,
                 w->b.why, w->a.save);
    w->want = NULL;
}
#define AWAIT(w, want) await(w, want, #want)

static void seat_on_state(void *arg, enum lock_state s, const struct err *e)
{
    struct seat *seat = arg;
    seat->said = s;
    seat->changes++;
    snprintf(seat->why, sizeof seat->why, "%s", e ? err_text(e) : "");
}

static void seat_open(struct stage *w, struct seat *seat, const char *who, const char *host, const char *id)
{
    static const struct lock_pace pace = {.renew_ms = 5, .retry_ms = 5, .watch_ms = 5, .tick_ms = 5, .now = now_of_test};
    struct lock_options o = {.loop = w->loop, .kube = w->client, .ns = "immich", .workload = "immich", .operator_name = who,
                             .host = host, .journal_id = id, .on_state = seat_on_state, .arg = seat};
    seat->lock = lock_new(&o);
    lock_set_pace(seat->lock, &pace);
}

static int setup(void **state)
{
    struct stage *w = MEM_NEW(struct stage);
    fake_now = 1000000;
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, fake_answer, &w->fake);
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    w->client = kube_client_new(w->loop, &w->config, NULL, NULL);
    w->poll = timer_new(w->loop, poll_want, w);
    timer_start(w->poll, 1, 1);
    seat_open(w, &w->a, "ana", "bastion", "1f2e");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct stage *w = *state;
    lock_free(w->a.lock);
    lock_free(w->b.lock);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    timer_free(w->poll);
    loop_free(w->loop);
    jd_free(w->fake.objects[0]);
    jd_free(w->fake.objects[1]);
    jd_free(w->a.state);
    buf_free(&w->fake.answer);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w);
    return 0;
}

static void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static bool a_ours(struct stage *w) { return w->a.said == LOCK_OURS && lock_state(w->a.lock) == LOCK_OURS; }
static bool a_others(struct stage *w) { return w->a.said == LOCK_OTHERS; }
static bool a_lost(struct stage *w) { return w->a.said == LOCK_LOST; }
static bool a_free_with_reason(struct stage *w) { return w->a.said == LOCK_FREE && *w->a.why; }
static bool a_free(struct stage *w) { return w->a.changes > w->mark && w->a.said == LOCK_FREE; }
static bool a_released(struct stage *w) { return w->a.released; }
static bool a_confirmed(struct stage *w) { return w->a.confirmed; }
static bool a_saved(struct stage *w) { return w->a.saved; }
static bool a_saved_both(struct stage *w) { return w->a.saves >= 2; }
static bool a_loaded(struct stage *w) { return w->a.loaded; }
static bool b_ours(struct stage *w) { return w->b.said == LOCK_OURS; }
static bool b_others(struct stage *w) { return w->b.said == LOCK_OTHERS; }
static bool wrote_more(struct stage *w) { return w->fake.writes >= w->mark + 3; }
static bool read_more(struct stage *w) { return w->fake.reads >= w->mark + 3; }
static bool tried_more(struct stage *w) { return tiny_http_count(w->server) >= w->mark + 3; }

static void take(struct stage *w)
{
    lock_acquire(w->a.lock);
    AWAIT(w, a_ours);
}

static void a_on_released(void *arg)
{
    ((struct seat *)arg)->released = true;
}

static void a_on_confirmed(void *arg, const struct err *e)
{
    struct seat *s = arg;
    s->confirmed = true;
    snprintf(s->confirm, sizeof s->confirm, "%s", e ? err_text(e) : "");
}

static void a_on_saved(void *arg, const struct err *e)
{
    struct seat *s = arg;
    s->saved = true;
    s->saves++;
    snprintf(s->save, sizeof s->save, "%s", e ? err_text(e) : "");
}

static void a_on_loaded(void *arg, const struct json_t *state, const struct err *e)
{
    struct seat *s = arg;
    s->loaded = true;
    jd_free(s->state);
    s->state = state ? jd_copy(state) : NULL;
    snprintf(s->save, sizeof s->save, "%s", e ? err_text(e) : "");
}

/* ---- The Lease --------------------------------------------------------------------------------------------------- */

static void test_created_and_renewed(void **state)
{
    struct stage *w = *state;
    struct err *e = lock_fence(w->a.lock);
    assert_non_null(e);
    err_free(e);
    take(w);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "ana@bastion/1f2e");
    assert_int_equal(jd_num(w->fake.objects[0], "spec.leaseDurationSeconds", 0), LOCK_DURATION_S);
    assert_int_equal(jd_num(w->fake.objects[0], "spec.leaseTransitions", -1), 0);
    assert_string_equal(jd_string_value(jd_member(jd_get(w->fake.objects[0], "metadata.annotations"), "ferryman.io/run")), "1f2e");
    assert_null(lock_fence(w->a.lock));
    w->mark = w->fake.writes;
    AWAIT(w, wrote_more);
    assert_int_equal(w->a.changes, 1);
    assert_in(lock_holder(w->a.lock), "ana@bastion/1f2e");
}

static void test_name(void **state)
{
    struct stage *w = *state;
    assert_string_equal(lock_name(w->a.lock), "ferryman-immich");
    struct lock_options o = {.loop = w->loop, .kube = w->client, .ns = "x", .operator_name = "a", .host = "h", .journal_id = "1"};
    char longer[200] = {0};
    memset(longer, 'x', sizeof longer - 1);
    o.workload = longer;
    struct lock *l = lock_new(&o);
    assert_true(strlen(lock_name(l)) <= 63);
    lock_free(l);
    o.workload = "My_Base";
    l = lock_new(&o);
    assert_true(str_starts(lock_name(l), "ferryman-my-base-"));
    lock_free(l);
}

/* Two at once: one has it, the other says who. */
static void test_second_holder(void **state)
{
    struct stage *w = *state;
    seat_open(w, &w->b, "bob", "desk", "9999");
    lock_acquire(w->a.lock);
    lock_acquire(w->b.lock);
    w->want = NULL;
    AWAIT(w, a_ours);
    AWAIT(w, b_others);
    assert_in(w->b.why, "ana@bastion/1f2e");
    assert_in(w->b.why, "kubectl -n immich delete lease ferryman-immich");
    assert_in(lock_holder(w->b.lock), "ana@bastion/1f2e");
    struct err *e = lock_fence(w->b.lock);
    assert_int_equal(err_kind(e), ERR_LOCKED);
    err_free(e);
}

static void race_in(struct fake *f)
{
    f->before_write = NULL;
    fake_hold(f, "eve@there/7", "2026-11-22T06:00:00.000000Z", 120);
}

/* Between our read and our write somebody else was faster. */
static void test_race_is_lost(void **state)
{
    struct stage *w = *state;
    w->fake.before_write = race_in;
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "eve@there/7");
}

/* Times in the record are for people: an old renewTime is not an expired one, a future one not a fresh one. */
static void test_takeover_only_after_the_whole_duration(void **state)
{
    struct stage *w = *state;
    fake_hold(&w->fake, "eve@there/7", "1999-01-01T00:00:00.000000Z", 120);
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    fake_now += 119999;
    w->mark = w->fake.reads;
    AWAIT(w, read_more);
    assert_int_equal(w->a.said, LOCK_OTHERS);
    w->a.said = LOCK_ASKING;
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    w->mark = w->a.changes;
    fake_now += 1;
    AWAIT(w, a_free);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "eve@there/7");
    take(w);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "ana@bastion/1f2e");
    assert_int_equal(jd_num(w->fake.objects[0], "spec.leaseTransitions", 0), 5);
}

static void test_a_living_holder_is_never_taken_over(void **state)
{
    struct stage *w = *state;
    char renewed[40];
    fake_hold(&w->fake, "eve@there/7", "2099-01-01T00:00:00.000000Z", 120);
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    for (int i = 0; i < 10; i++) {
        fake_now += 100000;
        snprintf(renewed, sizeof renewed, "1999-01-01T00:00:0%d.000000Z", i);
        fake_hold(&w->fake, "eve@there/7", renewed, 120);
        w->mark = w->fake.reads;
        AWAIT(w, read_more);
        assert_int_equal(w->a.said, LOCK_OTHERS);
    }
    assert_in(lock_holder(w->a.lock), "renewed");
}

/* A record that claims longer than ours is believed, one that claims a day is not. */
static void test_foreign_durations(void **state)
{
    struct stage *w = *state;
    fake_hold(&w->fake, "eve@there/7", "2026-11-22T06:00:00.000000Z", 600);
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    fake_now += 599000;
    w->mark = w->fake.reads;
    AWAIT(w, read_more);
    assert_int_equal(w->a.said, LOCK_OTHERS);
    fake_hold(&w->fake, "eve@there/7", "2026-11-22T06:00:00.000000Z", 86400);
    w->mark = w->fake.reads;
    AWAIT(w, read_more);
    fake_now += 3600000;
    w->mark = w->a.changes;
    AWAIT(w, a_free);
}

static void test_our_own_is_taken_up_at_once(void **state)
{
    struct stage *w = *state;
    fake_hold(&w->fake, "root@bastion/1f2e", "2026-11-22T06:00:00.000000Z", 120);
    take(w);
    assert_int_equal(jd_num(w->fake.objects[0], "spec.leaseTransitions", 0), 4);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "ana@bastion/1f2e");
}

/* The flock says nothing about another host. */
static void test_same_journal_elsewhere_waits(void **state)
{
    struct stage *w = *state;
    fake_hold(&w->fake, "ana@elsewhere/1f2e", "2026-11-22T06:00:00.000000Z", 120);
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
}

static void test_outage_below_the_deadline_ends_nothing(void **state)
{
    struct stage *w = *state;
    take(w);
    w->fake.down = true;
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    fake_now += LOCK_DEADLINE_MS - 1;
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    assert_int_equal(w->a.changes, 1);
    assert_null(lock_fence(w->a.lock));
    w->fake.down = false;
    w->mark = w->fake.writes;
    AWAIT(w, wrote_more);
    fake_now += LOCK_DEADLINE_MS - 1;
    assert_null(lock_fence(w->a.lock));
    assert_int_equal(w->a.changes, 1);
}

static void test_deadline(void **state)
{
    struct stage *w = *state;
    take(w);
    w->fake.down = true;
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    fake_now += LOCK_DEADLINE_MS;
    struct err *e = lock_fence(w->a.lock);
    assert_non_null(e); /* before any timer has come: a machine that slept */
    err_free(e);
    AWAIT(w, a_lost);
    assert_in(w->a.why, "could not be renewed for 90 s");
    w->fake.down = false;
    w->mark = w->fake.reads;
    AWAIT(w, read_more);
    assert_int_equal(w->a.said, LOCK_LOST);
    take(w); /* nobody else has taken it */
}

static void test_lost_to_another(void **state)
{
    struct stage *w = *state;
    take(w);
    fake_hold(&w->fake, "eve@there/7", "2026-11-22T06:00:00.000000Z", 120);
    AWAIT(w, a_lost);
    assert_in(w->a.why, "eve@there/7");
    struct err *e = lock_fence(w->a.lock);
    assert_in(err_text(e), "the lock was lost: lease/ferryman-immich in immich is held by eve@there/7");
    err_free(e);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "eve@there/7");
}

static void test_deleted_is_lost(void **state)
{
    struct stage *w = *state;
    take(w);
    jd_free(w->fake.objects[0]);
    w->fake.objects[0] = NULL;
    AWAIT(w, a_lost);
    assert_in(w->a.why, "deleted");
}

/* Somebody labels it: 409, read again, still ours, on. Our own answer was lost: the same. */
static void test_conflict_that_is_none(void **state)
{
    struct stage *w = *state;
    take(w);
    for (int i = 0; i < 3; i++) {
        struct json_t *d = jd_copy(w->fake.objects[0]);
        jd_put(d, "metadata.labels.color", jd_string("blue"));
        fake_store(&w->fake, 0, d);
        w->mark = w->fake.writes;
        AWAIT(w, wrote_more);
        w->fake.lose = true;
        w->mark = w->fake.writes;
        AWAIT(w, wrote_more);
    }
    assert_int_equal(w->a.changes, 1);
    assert_string_equal(jd_str(w->fake.objects[0], "metadata.labels.color"), "blue");
}

static void test_refused(void **state)
{
    struct stage *w = *state;
    w->fake.denied = true;
    lock_acquire(w->a.lock);
    AWAIT(w, a_free_with_reason);
    assert_in(w->a.why, "403");
    w->fake.denied = false;
    take(w);
}

static void test_no_answer_to_who_asks(void **state)
{
    struct stage *w = *state;
    w->fake.down = true;
    lock_acquire(w->a.lock);
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    assert_int_equal(w->a.changes, 0);
    fake_now += 20000;
    AWAIT(w, a_free_with_reason);
    assert_in(w->a.why, "lease/ferryman-immich in immich");
}

static void test_release(void **state)
{
    struct stage *w = *state;
    take(w);
    lock_release(w->a.lock, a_on_released, &w->a);
    struct err *e = lock_fence(w->a.lock);
    assert_non_null(e);
    err_free(e);
    AWAIT(w, a_released);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "");
    assert_int_equal(lock_state(w->a.lock), LOCK_FREE);
    seat_open(w, &w->b, "bob", "desk", "9999");
    lock_acquire(w->b.lock); /* at once: it is nobody's */
    AWAIT(w, b_ours);
}

static void test_release_without_a_server(void **state)
{
    struct stage *w = *state;
    take(w);
    w->fake.down = true;
    lock_release(w->a.lock, a_on_released, &w->a);
    AWAIT(w, a_released);
}

static void test_release_of_what_is_not_ours(void **state)
{
    struct stage *w = *state;
    fake_hold(&w->fake, "eve@there/7", "2026-11-22T06:00:00.000000Z", 120);
    lock_release(w->a.lock, a_on_released, &w->a);
    AWAIT(w, a_released);
    assert_string_equal(jd_str(w->fake.objects[0], "spec.holderIdentity"), "eve@there/7");
}

static void test_malformed(void **state)
{
    static const char *const leases[] = {
        "{}", "{\"spec\":null}", "{\"spec\":{\"holderIdentity\":7,\"leaseDurationSeconds\":\"x\"}}",
        "{\"spec\":[1],\"metadata\":{}}", "{\"metadata\":{\"uid\":3},\"spec\":{\"leaseTransitions\":{}}}",
    };
    struct stage *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(leases); i++) {
        struct json_t *d = NULL;
        assert_null(jd_parse(leases[i], strlen(leases[i]), "lease", &d));
        fake_store(&w->fake, 0, d);
        seat_open(w, &w->b, "bob", "desk", "9999");
        memset(w->b.why, 0, sizeof w->b.why);
        w->b.said = LOCK_ASKING;
        lock_acquire(w->b.lock);
        AWAIT(w, b_ours);
        lock_free(w->b.lock);
        w->b.lock = NULL;
    }
    fake_hold(&w->fake, "\x1b[31mevil\nname", "nonsense", -5);
    lock_acquire(w->a.lock);
    AWAIT(w, a_others);
    assert_null(strchr(lock_holder(w->a.lock), '\x1b'));
    assert_null(strchr(lock_holder(w->a.lock), '\n'));
}

static void test_confirm(void **state)
{
    struct stage *w = *state;
    lock_confirm(w->a.lock, a_on_confirmed, &w->a);
    AWAIT(w, a_confirmed);
    assert_in(w->a.confirm, "is not ours");
    take(w);
    w->a.confirmed = false;
    lock_confirm(w->a.lock, a_on_confirmed, &w->a);
    AWAIT(w, a_confirmed);
    assert_string_equal(w->a.confirm, "");
    fake_hold(&w->fake, "eve@there/7", "2026-11-22T06:00:00.000000Z", 120);
    w->a.confirmed = false;
    lock_confirm(w->a.lock, a_on_confirmed, &w->a);
    AWAIT(w, a_confirmed);
    assert_in(w->a.confirm, "eve@there/7");
    AWAIT(w, a_lost);
}

static void test_confirm_can_be_forgotten(void **state)
{
    struct stage *w = *state;
    take(w);
    lock_confirm(w->a.lock, a_on_confirmed, &w->a);
    lock_forget(w->a.lock, &w->a);
    w->mark = w->fake.writes;
    AWAIT(w, wrote_more);
    assert_false(w->a.confirmed);
}

/* ---- The Secret -------------------------------------------------------------------------------------------------- */

static struct json_t *recovery(const char *phase)
{
    struct json_t *s = jd_object(), *manifest = jd_object();
    jd_set(s, "phase", jd_string(phase));
    jd_set(s, "identifier", jd_string("7412345678901234567"));
    jd_put(manifest, "spec.replicas", jd_int(2));
    jd_set(s, "manifest", manifest);
    jd_set(s, "seq", jd_int(41));
    return s;
}

static void save(struct stage *w, struct json_t *s)
{
    w->a.saved = false;
    lock_save(w->a.lock, s, a_on_saved, &w->a);
    jd_free(s);
    AWAIT(w, a_saved);
}

static void load(struct stage *w)
{
    w->a.loaded = false;
    lock_load(w->a.lock, a_on_loaded, &w->a);
    AWAIT(w, a_loaded);
}

static void test_saved_and_loaded(void **state)
{
    struct stage *w = *state;
    load(w);
    assert_null(w->a.state);
    assert_string_equal(w->a.save, "");
    take(w);
    save(w, recovery("dump"));
    assert_string_equal(w->a.save, "");
    assert_string_equal(jd_str(w->fake.objects[1], "type"), "ferryman.io/recovery");
    assert_string_equal(jd_str(w->fake.objects[1], "data.phase"), "ZHVtcA==");
    save(w, recovery("swap"));
    assert_string_equal(w->a.save, "");
    load(w);
    assert_string_equal(jd_str(w->a.state, "phase"), "swap");
    assert_string_equal(jd_str(w->a.state, "identifier"), "7412345678901234567");
    assert_int_equal(jd_num(w->a.state, "manifest.spec.replicas", 0), 2);
    assert_string_equal(jd_str(w->a.state, "seq"), "41");
    assert_string_equal(jd_str(w->a.state, "run"), "1f2e");
}

static void test_saved_only_under_the_lock(void **state)
{
    struct stage *w = *state;
    save(w, recovery("dump"));
    assert_in(w->a.save, "is not ours");
    assert_null(w->fake.objects[1]);
}

static void test_too_large(void **state)
{
    struct stage *w = *state;
    struct json_t *s = recovery("dump");
    char *big = mem_alloc(1024 * 1024 + 1);
    memset(big, 'x', 1024 * 1024);
    big[1024 * 1024] = '\0';
    jd_set(s, "inventory", jd_string(big));
    mem_free(big);
    take(w);
    save(w, s);
    assert_in(w->a.save, "the largest part is inventory (1024 KiB)");
    assert_null(w->fake.objects[1]);
    s = recovery("dump");
    jd_set(s, "no such/key", jd_string(""));
    save(w, s);
    assert_in(w->a.save, "no key of a Secret");
}

static void test_labelled_by_others(void **state)
{
    struct stage *w = *state;
    take(w);
    save(w, recovery("dump"));
    struct json_t *d = jd_copy(w->fake.objects[1]);
    jd_put(d, "metadata.labels.team", jd_string("dba"));
    fake_store(&w->fake, 1, d);
    save(w, recovery("swap"));
    assert_string_equal(w->a.save, "");
    assert_string_equal(jd_str(w->fake.objects[1], "metadata.labels.team"), "dba");
    w->fake.lose = true;
    save(w, recovery("restore"));
    assert_string_equal(w->a.save, "");
    save(w, recovery("verify"));
    assert_string_equal(w->a.save, "");
}

static void test_changed_by_others(void **state)
{
    struct stage *w = *state;
    take(w);
    save(w, recovery("dump"));
    struct json_t *d = jd_copy(w->fake.objects[1]);
    jd_put(d, "data.phase", jd_string("cmVzdG9yZQ=="));
    fake_store(&w->fake, 1, d);
    save(w, recovery("swap"));
    assert_in(w->a.save, "was changed by somebody");
    assert_string_equal(jd_str(w->fake.objects[1], "data.phase"), "cmVzdG9yZQ==");
    assert_non_null(jd_str(w->fake.objects[1], "data.manifest"));
}

static void test_deleted_by_others(void **state)
{
    struct stage *w = *state;
    take(w);
    save(w, recovery("dump"));
    jd_free(w->fake.objects[1]);
    w->fake.objects[1] = NULL;
    save(w, recovery("swap"));
    assert_in(w->a.save, "was deleted by somebody");
    save(w, recovery("swap"));
    assert_string_equal(w->a.save, "");
    assert_non_null(w->fake.objects[1]);
}

static void put_secret(struct stage *w, const char *text)
{
    struct json_t *d = NULL;
    assert_null(jd_parse(text, strlen(text), "secret", &d));
    fake_store(&w->fake, 1, d);
}

static void test_of_another_run(void **state)
{
    struct stage *w = *state;
    take(w);
    put_secret(w, "{\"type\":\"ferryman.io/recovery\",\"metadata\":{\"annotations\":{\"ferryman.io/run\":\"abcd\"}},"
                  "\"data\":{\"phase\":\"c3dhcA==\"}}");
    save(w, recovery("dump"));
    assert_in(w->a.save, "another run (abcd)");
    load(w);
    assert_string_equal(jd_str(w->a.state, "run"), "abcd");
    assert_string_equal(jd_str(w->a.state, "phase"), "swap");
    put_secret(w, "{\"type\":\"Opaque\",\"metadata\":{},\"data\":{}}");
    save(w, recovery("dump"));
    assert_in(w->a.save, "without a run's id");
    put_secret(w, "{\"type\":\"Opaque\",\"metadata\":{\"annotations\":{\"ferryman.io/run\":\"1f2e\"}}}");
    save(w, recovery("dump"));
    assert_in(w->a.save, "has the type Opaque");
}

static void test_malformed_secret(void **state)
{
    struct stage *w = *state;
    put_secret(w, "{\"metadata\":{},\"data\":{\"a\":\"%%%\"}}");
    load(w);
    assert_in(w->a.save, "a is not what ferryman wrote");
    put_secret(w, "{\"metadata\":{},\"data\":{\"a\":7}}");
    load(w);
    assert_in(w->a.save, "a is not what ferryman wrote");
    put_secret(w, "{\"metadata\":[],\"data\":[]}");
    load(w);
    assert_string_equal(jd_str(w->a.state, "run"), "");
    put_secret(w, "{\"metadata\":{},\"data\":{\"a\":\"eyJ4Ijo=\",\"b\":\"\"}}");
    load(w);
    assert_string_equal(jd_str(w->a.state, "a"), "{\"x\":");
    assert_string_equal(jd_str(w->a.state, "b"), "");
}

static void test_outage_while_saving(void **state)
{
    struct stage *w = *state;
    take(w);
    w->fake.down = true;
    struct json_t *s = recovery("dump");
    lock_save(w->a.lock, s, a_on_saved, &w->a);
    lock_save(w->a.lock, s, a_on_saved, &w->a);
    jd_free(s);
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    assert_false(w->a.saved);
    w->fake.down = false;
    AWAIT(w, a_saved_both);
    assert_string_equal(w->a.save, "");
    w->fake.denied = true;
    save(w, recovery("swap"));
    assert_in(w->a.save, "403");
}

static void test_outage_while_loading(void **state)
{
    struct stage *w = *state;
    w->fake.down = true;
    lock_load(w->a.lock, a_on_loaded, &w->a);
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    assert_false(w->a.loaded);
    w->fake.down = false;
    AWAIT(w, a_loaded);
    assert_string_equal(w->a.save, "");
    w->fake.down = true;
    w->a.loaded = false;
    lock_load(w->a.lock, a_on_loaded, &w->a);
    w->mark = tiny_http_count(w->server);
    AWAIT(w, tried_more);
    fake_now += 20000;
    AWAIT(w, a_loaded);
    assert_in(w->a.save, "secret/ferryman-immich in immich");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_created_and_renewed), T(test_name), T(test_second_holder), T(test_race_is_lost),
        T(test_takeover_only_after_the_whole_duration), T(test_a_living_holder_is_never_taken_over), T(test_foreign_durations),
        T(test_our_own_is_taken_up_at_once), T(test_same_journal_elsewhere_waits), T(test_outage_below_the_deadline_ends_nothing),
        T(test_deadline), T(test_lost_to_another), T(test_deleted_is_lost), T(test_conflict_that_is_none), T(test_refused),
        T(test_no_answer_to_who_asks), T(test_release), T(test_release_without_a_server), T(test_release_of_what_is_not_ours),
        T(test_malformed), T(test_confirm), T(test_confirm_can_be_forgotten), T(test_saved_and_loaded),
        T(test_saved_only_under_the_lock), T(test_too_large), T(test_labelled_by_others), T(test_changed_by_others),
        T(test_deleted_by_others), T(test_of_another_run), T(test_malformed_secret), T(test_outage_while_saving),
        T(test_outage_while_loading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
