#include "tests/unit/op_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/journal.h"
#include "migrate/lock.h"
#include "migrate/lock_private.h"
#include "migrate/managers.h"

enum { PATIENCE_MS = 20000 };

void op_stage_assert_in(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* ---- The server ---- */

static void drop(void *value) {
    jd_free(value);
}

static void say(struct op_stage *w, struct tiny_answer *ret, int status, const struct json_t *doc) {
    buf_clear(&w->answer);
    if (doc) jd_dump(doc, &w->answer);
    else buf_printf(&w->answer, "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"the server says %d\",\"code\":%d}", status, status);
    *ret = (struct tiny_answer){.status = status, .body = w->answer.p, .body_len = w->answer.len};
}

static void store(struct op_stage *w, const char *path, struct json_t *doc) {
    char text[32];
    if (!jd_str(doc, "metadata.uid")) {
        snprintf(text, sizeof text, "uid-%d", ++w->uids);
        jd_put(doc, "metadata.uid", jd_string(text));
    }
    snprintf(text, sizeof text, "%d", ++w->uids);
    jd_put(doc, "metadata.resourceVersion", jd_string(text));
    jd_free(map_puts(w->objects, path, doc));
}

struct json_t *op_stage_get(struct op_stage *w, const char *path) {
    return map_gets(w->objects, path);
}

const char *op_stage_uid(struct op_stage *w, const char *path) {
    return jd_str(op_stage_get(w, path), "metadata.uid");
}

void op_stage_put(struct op_stage *w, const char *path, const char *json) {
    struct json_t *doc = NULL;
    assert_null(jd_parse(json, strlen(json), path, &doc));
    store(w, path, doc);
}

/* Enough of RFC 6902: pointers without escapes. False: a test does not hold, or a way is not there. */
static bool apply(struct json_t *doc, const struct json_t *patch) {
    for (size_t i = 0; i < jd_len(patch); i++) {
        struct json_t *d = jd_at(patch, i), *value = jd_member(d, "value");
        const char *how = jd_str(d, "op"), *pointer = jd_str(d, "path");
        const struct json_t *found = managers_field(doc, pointer);
        if (str_eq(how, "test")) {
            if (!found || !jd_equal(found, value)) return false;
            continue;
        }
        if (!str_eq(how, "add") && !found) return false;
        char *dotted = mem_strdup(pointer + 1);
        for (char *p = dotted; *p; p++)
            if (*p == '/') *p = '.';
        if (!str_eq(how, "remove")) jd_put(doc, dotted, jd_ref(value));
        mem_free(dotted);
    }
    return true;
}

static void patch(struct op_stage *w, const struct tiny_request *rq, const struct json_t *body, bool dry, struct tiny_answer *ret) {
    const struct json_t *now = op_stage_get(w, rq->path);
    if (!now) {
        say(w, ret, 404, NULL);
        return;
    }
    struct json_t *doc = jd_copy(now);
    if (!apply(doc, body)) {
        jd_free(doc);
        say(w, ret, 422, NULL);
        return;
    }
    say(w, ret, 200, doc);
    if (dry) jd_free(doc);
    else store(w, rq->path, doc);
}

static void create(struct op_stage *w, const struct tiny_request *rq, const struct json_t *body, bool dry, struct tiny_answer *ret) {
    char *path = str_printf("%s/%s", rq->path, jd_str(body, "metadata.name"));
    if (op_stage_get(w, path)) {
        say(w, ret, 409, NULL);
    } else if (dry) {
        say(w, ret, 201, body);
    } else {
        store(w, path, jd_copy(body));
        say(w, ret, 201, op_stage_get(w, path));
    }
    mem_free(path);
}

static void put(struct op_stage *w, const struct tiny_request *rq, const struct json_t *body, struct tiny_answer *ret) {
    const struct json_t *now = op_stage_get(w, rq->path);
    if (!now || !str_eq(jd_str(now, "metadata.resourceVersion"), jd_str(body, "metadata.resourceVersion"))) {
        say(w, ret, now ? 409 : 404, NULL);
        return;
    }
    store(w, rq->path, jd_copy(body));
    say(w, ret, 200, op_stage_get(w, rq->path));
}

static void delete(struct op_stage *w, const struct tiny_request *rq, const struct json_t *body, bool dry, struct tiny_answer *ret) {
    const struct json_t *now = op_stage_get(w, rq->path);
    if (!now || !str_eq(jd_str(body, "preconditions.uid"), jd_str(now, "metadata.uid"))) {
        say(w, ret, now ? 409 : 404, NULL);
        return;
    }
    say(w, ret, 200, now);
    if (!dry) jd_free(map_del(w->objects, slice_of(rq->path)));
}

static void carry_out(struct op_stage *w, const struct tiny_request *rq, const struct json_t *body, bool dry, struct tiny_answer *ret) {
    if (str_eq(rq->method, "PATCH")) patch(w, rq, body, dry, ret);
    else if (str_eq(rq->method, "POST")) create(w, rq, body, dry, ret);
    else if (str_eq(rq->method, "PUT")) put(w, rq, body, ret);
    else delete(w, rq, body, dry, ret);
}

static bool is_lock(const char *path) {
    return strstr(path, "/leases") || strstr(path, "/secrets");
}

static void act(struct op_stage *w, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct json_t *body = NULL;
    bool ours = is_lock(rq->path), dry = strstr(rq->target, "dryRun=All") != NULL;
    err_ignore(jd_parse(rq->body, strlen(rq->body), "body", &body), "no body");
    dry = dry || str_eq(jd_str(body, "dryRun.0"), "All");
    void (*before)(struct op_stage *) = ours || dry ? NULL : w->before_act;
    if (before) w->before_act = NULL;
    if (before) before(w);
    w->acts += !ours && !dry;
    w->dry_runs += dry;
    bool faulty = !ours && w->faults > 0;
    if (faulty) w->faults--;
    enum fault fault = faulty ? w->fault : FAULT_NONE;
    if (fault == FAULT_NONE || fault == FAULT_LOST) {
        carry_out(w, rq, body, dry, ret);
        w->carried_out += !ours && !dry && ret->status < 300;
    }
    if (fault == FAULT_LOST) *ret = (struct tiny_answer){.fate = TINY_HANG_UP};
    if (fault == FAULT_RESET) *ret = (struct tiny_answer){.fate = TINY_RESET};
    if (fault == FAULT_STATUS) *ret = (struct tiny_answer){.status = w->fault_status, .body = w->fault_body ? w->fault_body : "{\"kind\":\"Status\",\"message\":\"not now\"}"};
    if (!ours) {
        ret->delay_ms = w->act_delay_ms;
        w->act_delay_ms = 0;
    }
    jd_free(body);
}

static void look(struct op_stage *w, const struct tiny_request *rq, struct tiny_answer *ret) {
    const struct json_t *now = op_stage_get(w, rq->path);
    say(w, ret, now ? 200 : 404, now);
    if (is_lock(rq->path)) return;
    w->gets++;
    if (w->get_faults > 0) {
        w->get_faults--;
        if (w->get_status) say(w, ret, w->get_status, NULL);
        else *ret = (struct tiny_answer){.fate = TINY_RESET};
    }
    ret->delay_ms = w->get_delay_ms;
    w->get_delay_ms = 0;
}

bool op_stage_answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct op_stage *w = arg;
    if (strstr(rq->path, "reviews")) {
        say(w, ret, 201, NULL);
        *ret = (struct tiny_answer){.status = 201, .body = "{\"status\":{\"allowed\":false}}"};
    } else if (strstr(rq->path, "/log")) {
        *ret = (struct tiny_answer){.headers = "Content-Type: text/plain\r\n", .body = "database system is shut down\n"};
    } else if (str_eq(rq->method, "GET")) {
        look(w, rq, ret);
    } else {
        act(w, rq, ret);
    }
    return true;
}

void op_stage_deployment(struct op_stage *w) {
    op_stage_put(w, DEPLOYMENT,
                 "{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"immich-server\",\"uid\":\"uid-d\",\"managedFields\":["
                 "{\"manager\":\"helm\",\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:00Z\",\"fieldsV1\":{\"f:spec\":{\"f:template\":{}}}},"
                 "{\"manager\":\"kubectl-scale\",\"operation\":\"Update\",\"time\":\"2026-02-01T00:00:00Z\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}"
                 "]},\"spec\":{\"replicas\":2}}");
}

/* ---- The run ---- */

static const char plan_text[] =
    "plan: test\ncontext: home\ncluster: 5f0c\nsource: { storageClasses: [nfs] }\n"
    "target: { storageClass: lvm, encrypted: required }\nworkloads:\n"
    "  - name: immich-postgres\n    kind: postgres-dump-restore\n    namespace: immich\n    deployment: immich-postgresql\n"
    "    volume: data\n    claim: { name: new-claim, size: 10Gi }\n"
    "    postgres: { via: direct, conninfo: \"%s\" }\n"
    "    dump: { strategy: dumpall, directory: dumps, encrypt: { passphrase_file: key } }\n";

static void poll_want(void *arg) {
    struct op_stage *w = arg;
    if (w->want && w->want(w)) w->reached = true;
}

void op_stage_await(struct op_stage *w, bool (*want)(struct op_stage *w), const char *what) {
    w->want = want;
    w->reached = want(w);
    if (!loop_run_until(w->loop, &w->reached, PATIENCE_MS))
        fail_msg("not reached: %s (acts %d, gets %d, error \"%s\", states:\n%s)", what, w->acts, w->gets, w->error ? err_text(w->error) : "",
                 buf_str(&w->states));
    w->want = NULL;
}

static bool lock_is_ours(struct op_stage *w) {
    return lock_state(w->lock) == LOCK_OURS;
}

static void on_lock(void *arg, enum lock_state s, const struct err *e) {
    struct op_stage *w = arg;
    (void)s;
    (void)e;
    if (w->runner) op_runner_poke(w->runner);
}

static void take_lock(struct op_stage *w) {
    static const struct lock_pace pace = {.renew_ms = 20, .retry_ms = 10, .watch_ms = 20, .tick_ms = 10, .now = clock_mono_ms};
    struct lock_options o = {.loop = w->loop, .kube = w->client, .ns = "immich", .workload = "immich-postgres", .operator_name = "ana",
                             .host = "bastion", .journal_id = journal_id(w->journal), .on_state = on_lock, .arg = w};
    w->lock = lock_new(&o);
    lock_set_pace(w->lock, &pace);
    lock_acquire(w->lock);
    AWAIT(w, lock_is_ours);
}

void op_stage_steal_lock(struct op_stage *w) {
    size_t it = 0;
    struct slice path;
    void *value;
    while (map_each(w->objects, &it, &path, &value)) {
        if (!slice_contains(path, "/leases/")) continue;
        struct json_t *doc = jd_copy(value);
        char *at = slice_dup(path);
        jd_put(doc, "spec.holderIdentity", jd_string("bob@laptop/9999"));
        store(w, at, doc);
        mem_free(at);
        return;
    }
    fail_msg("there is no Lease");
}

struct op_stage *op_stage_new(const char *conninfo, bool with_lock) {
    struct op_stage *w = MEM_NEW(struct op_stage);
    char *text = str_printf(plan_text, conninfo ? conninfo : "host=127.0.0.1 port=1");
    w->loop = loop_new();
    w->objects = map_new();
    w->dir = mem_strdup("/tmp/ferryman-test-op-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, op_stage_answer, w);
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    w->client = kube_client_new(w->loop, &w->config, NULL, NULL);
    w->poll = timer_new(w->loop, poll_want, w);
    timer_start(w->poll, 2, 2);
    struct err *e = plan_parse(text, strlen(text), "/tmp/plan.yaml", &w->plan);
    mem_free(text);
    if (!e) e = journal_open(w->loop, w->dir, "test", NULL, NULL, &w->journal);
    if (e) fail_msg("%s", err_text(e));
    if (with_lock) take_lock(w);
    w->run = run_new(&(struct run){.loop = w->loop, .plan = w->plan, .workload = &w->plan->workloads[0], .kube = w->client, .config = &w->config,
                                   .journal = w->journal, .lock = w->lock, .dir = w->dir, .id = journal_id(w->journal), .operator_name = "ana"});
    return w;
}

static void remove_folder(const char *dir) {
    char *command = str_printf("rm -rf '%s'", dir);
    if (system(command) != 0) print_error("%s: not removed\n", dir);
    mem_free(command);
}

void op_stage_free(struct op_stage *w) {
    op_runner_free(w->runner);
    run_free(w->run);
    lock_free(w->lock);
    journal_free(w->journal);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    timer_free(w->poll);
    loop_free(w->loop);
    plan_free(w->plan);
    map_free(w->objects, drop);
    remove_folder(w->dir);
    err_free(w->error);
    buf_free(&w->states);
    buf_free(&w->answer);
    mem_free(w->dir);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w);
}

/* ---- The runner ---- */

static void on_state(void *arg, const struct op *op, const char *reason, int64_t deadline_ms) {
    struct op_stage *w = arg;
    (void)op;
    buf_printf(&w->states, "%s\n", reason);
    w->deadline = deadline_ms;
}

static void on_done(void *arg, const struct err *e) {
    struct op_stage *w = arg;
    assert_false(w->done); /* once */
    w->done = true;
    w->error = e ? err_copy(e) : NULL;
    op_runner_free(w->runner); /* allowed here */
    w->runner = NULL;
}

void op_stage_begin(struct op_stage *w, struct script *s) {
    static const struct op_runner_events events = {.on_state = on_state, .on_done = on_done};
    w->done = false;
    err_free(w->error);
    w->error = NULL;
    buf_clear(&w->states);
    w->runner = op_runner_new(w->run, s, "quiesce", "stop", &events, w);
}

static bool is_done(struct op_stage *w) {
    return w->done && journal_settled(w->journal);
}

void op_stage_end(struct op_stage *w) {
    AWAIT(w, is_done);
}

void op_stage_run(struct op_stage *w, struct script *s) {
    op_stage_begin(w, s);
    op_stage_end(w);
}

static void add_record(void *arg, const struct json_t *d) {
    struct buf *out = arg;
    const char *type = jd_str(d, "t"), *op = jd_str(d, "op"), *result = jd_str(d, "result");
    if (str_eq(type, "journal")) return;
    buf_printf(out, "%s", type);
    if (op) buf_printf(out, " %s", op);
    if (result) buf_printf(out, " %s", result);
    if (str_eq(type, "fact")) buf_printf(out, " %s=%s", jd_str(d, "name"), jd_str(d, "value"));
    buf_addc(out, '\n');
}

const char *op_stage_records(struct op_stage *w) {
    static struct buf out;
    char head[JOURNAL_HASH_SIZE];
    size_t records;
    bool torn;
    buf_free(&out);
    struct err *e = journal_read(journal_path(w->journal), add_record, &out, &records, head, &torn);
    if (e) fail_msg("%s", err_text(e));
    char *text = buf_steal(&out);
    static char copy[8192];
    str_copy(copy, sizeof copy, text);
    mem_free(text);
    return copy;
}

void op_stage_assert_fine(struct op_stage *w) {
    if (w->error) fail_msg("it ended with \"%s\"", err_text(w->error));
}

void op_stage_assert_error(struct op_stage *w, enum err_kind kind, const char *part) {
    if (!w->error) fail_msg("it ended well");
    op_stage_assert_in(err_text(w->error), part);
    assert_int_equal(err_kind(w->error), kind);
}

/* ---- Scripts ---- */

static enum op_answer see_scaled(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    if (!seen->doc) {
        buf_adds(reason, "the deployment is not there");
        return OP_REFUSE;
    }
    run_set_int(r, "seen.replicas", jd_num(seen->doc, "spec.replicas", 0));
    return jd_num(seen->doc, "spec.replicas", 0) == 0 ? OP_DONE : OP_TODO;
}

struct op *op_stage_scale(struct op_stage *w, struct script *s) {
    struct json_t *patch_of = script_patch_new("uid-d");
    (void)w;
    script_patch_test(patch_of, "/spec/replicas", jd_int(2));
    script_patch_set(patch_of, "replace", "/spec/replicas", jd_int(0));
    return script_patch(s, "scale", "scale deployment/immich-server from 2 to 0", DEPLOYMENT, patch_of, see_scaled);
}
