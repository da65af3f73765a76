/* A server on its way up: first boot and every other start.
 *
 * The image's temporary server listens on its unix socket only; so a start is over when TCP on the pod's address answers (safety 8),
 * which our own session proves (run_query compares the server's address with the pod's). Until then the pod and its log are looked
 * at: a pod that crashes on its first boot is explained (hazards 2, 3 and 18), not waited for. Nothing is changed here, so that an
 * interrupted wait can be begun again; that an interrupted first boot discards its claim is the phase's rule (safety 9). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "client/pg_conn.h"
#include "loop/timer.h"
#include "migrate/kube_ask.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "net/http.h"

#define BOOT_MS INT64_C(900000)
#define LOOK_MS INT64_C(400)
#define ASK_MS INT64_C(8000)
#define LOG_LINES 60
#define RESTARTS_MAX 3 /* of a server that has data: it may recover */

/* ---- What a pod says of itself ---- */

static bool will_not_come_by_itself(const char *reason)
{
    return str_eq(reason, "CrashLoopBackOff") || str_eq(reason, "Error") || str_eq(reason, "OOMKilled");
}

/* One container's status; true: it crashed. */
static bool container_crashed(const struct json_t *status, struct buf *reason)
{
    const char *name = jd_str(status, "name"), *waiting = jd_str(status, "state.waiting.reason");
    int64_t code = jd_num(status, "state.terminated.exitCode", 0), last = jd_num(status, "lastState.terminated.exitCode", 0);
    if (code == 0 && last == 0 && !will_not_come_by_itself(waiting)) {
        if (waiting && !str_eq(waiting, "PodInitializing") && !str_eq(waiting, "ContainerCreating"))
            buf_printf(reason, "container %s: %s%s%.120s", name, waiting, jd_str(status, "state.waiting.message") ? ": " : "",
                       jd_str(status, "state.waiting.message") ? jd_str(status, "state.waiting.message") : "");
        return false;
    }
    buf_printf(reason, "container %s ended with status %lld, %lld restarts", name, (long long)(code ? code : last),
               (long long)jd_num(status, "restartCount", 0));
    return true;
}

static const char *crashed_container(const struct json_t *pod, struct buf *reason)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        const struct json_t *list = jd_get(pod, lists[k]);
        for (size_t i = 0; i < jd_len(list); i++)
            if (container_crashed(jd_at(list, i), reason))
                return jd_str(jd_at(list, i), "name");
    }
    return NULL;
}

static const struct json_t *condition_of(const struct json_t *pod, const char *type)
{
    const struct json_t *conditions = jd_get(pod, "status.conditions");
    for (size_t i = 0; i < jd_len(conditions); i++)
        if (str_eq(jd_str(jd_at(conditions, i), "type"), type))
            return jd_at(conditions, i);
    return NULL;
}

static bool is_running(const struct json_t *pod)
{
    const char *ip = jd_str(pod, "status.podIP");
    return str_eq(jd_str(pod, "status.phase"), "Running") && ip && ip[0];
}

/* A pod that has not come to its containers yet: most often a claim is not bound, so its claims are named. */
static void say_waiting(const struct json_t *pod, struct buf *reason)
{
    const struct json_t *volumes = jd_get(pod, "spec.volumes");
    const char *ns = jd_str(pod, "metadata.namespace"), *claim = NULL;
    for (size_t i = 0; i < jd_len(volumes) && !claim; i++)
        claim = jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName");
    buf_adds(reason, " is waiting for its volumes and containers");
    if (claim)
        buf_printf(reason, "; while claim %s is Pending it cannot start: kubectl describe pvc -n %s %s says what its provisioner does", claim,
                   ns ? ns : "", claim);
}

bool boot_pod_failed(const struct json_t *pod, struct buf *reason, bool *ret_crashed)
{
    const char *name = jd_str(pod, "metadata.name"), *phase = jd_str(pod, "status.phase");
    struct buf why = {0};
    *ret_crashed = crashed_container(pod, &why) != NULL;
    buf_printf(reason, "pod %s", name ? name : "(no name)");
    if (*ret_crashed || why.len > 0) {
        buf_printf(reason, ": %s", buf_str(&why));
    } else if (!is_running(pod)) {
        const struct json_t *scheduled = condition_of(pod, "PodScheduled");
        const char *message = jd_str(scheduled, "message");
        if (str_eq(jd_str(scheduled, "status"), "False"))
            buf_printf(reason, " is not scheduled: %s", message ? message : "no reason given");
        else if (str_eq(phase, "Running"))
            buf_adds(reason, " is without an address");
        else
            say_waiting(pod, reason);
    } else {
        buf_adds(reason, " runs");
    }
    buf_free(&why);
    return *ret_crashed || postgres_pod_finished(pod);
}

struct json_t *boot_pick(const struct json_t *list, const char *claim, const char *but_uid)
{
    struct json_t *pod;
    for (size_t it = 0; (pod = postgres_next_mounting(list, claim, &it));)
        if (!jd_str(pod, "metadata.deletionTimestamp") && !(but_uid && str_eq(jd_str(pod, "metadata.uid"), but_uid)))
            return pod;
    return NULL;
}

/* ---- What its log says ---- */

static const struct {
    const char *text, *also, *means;
} signs[] = {
    {"exists but is not empty", "lost+found",
     "PGDATA is the root of a fresh block volume, whose lost+found initdb refuses: set PGDATA to a folder below the mount, or a subPath"},
    {"exists but is not empty", NULL,
     "something wrote into PGDATA before initdb: an init container or hook must do nothing until $PGDATA/PG_VERSION is there (e.g. "
     "test -f \"$PGDATA/PG_VERSION\" || exit 0)"},
    {"ermission denied", NULL,
     "the database's user may not write to the fresh volume: give the pod's securityContext the fsGroup of that user"},
    {"peration not permitted", NULL,
     "the database's user does not own the fresh volume: give the pod's securityContext the fsGroup of that user"},
    {"superuser password is not specified", NULL, "the image wants POSTGRES_PASSWORD in the pod's environment for its first boot"},
    {"No space left on device", NULL, "the volume is full: plan a larger claim.size"},
    {"could not resize shared memory", NULL, "/dev/shm is too small: mount an emptyDir of medium Memory there"},
    {"could not access file", NULL, "a library of shared_preload_libraries is not in this image"},
    {"are incompatible with server", NULL, "the claim is not empty: it holds the data of another version of PostgreSQL"},
};

static bool is_complaint(struct slice line)
{
    static const char *const words[] = {"FATAL", "PANIC", "ERROR", "error:"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_contains(line, words[i]))
            return true;
    return false;
}

/* The last complaint, or the last line at all. */
static struct slice last_words(struct slice log)
{
    struct slice line, last = {0}, complaint = {0};
    while (slice_cut(&log, '\n', &line)) {
        struct slice text = slice_trim(line);
        if (text.n == 0)
            continue;
        last = text;
        if (is_complaint(text))
            complaint = text;
    }
    struct slice found = complaint.p ? complaint : last;
    if (found.n > 240)
        found.n = 240;
    return found;
}

void boot_explain(struct slice log, struct buf *out)
{
    struct slice words = last_words(log);
    struct buf clean = {0};
    utf8_clean(&clean, words);
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (!slice_contains(log, signs[i].text) || (signs[i].also && !slice_contains(log, signs[i].also)))
            continue;
        buf_adds(out, signs[i].means);
        if (clean.len > 0)
            buf_printf(out, " (its log: %s)", buf_str(&clean));
        buf_free(&clean);
        return;
    }
    if (clean.len > 0)
        buf_printf(out, "its log ends: %s", buf_str(&clean));
    else
        buf_adds(out, "its log is empty");
    buf_free(&clean);
}

/* ---- The job ---- */

struct boot {
    enum boot_of of;
    struct run *run;
    struct op *op;
    struct kube_ask *ask;
    struct kube_request *log;
    struct run_asked *asked;
    struct timer *timer;
    int64_t until;
    char *pod_name, *pod_uid, *container, *crash, *not_answering;
    bool previous, explained;
};

static void boot_clear(struct boot *b)
{
    kube_ask_free(b->ask);
    kube_request_free(b->log);
    run_query_free(b->asked);
    timer_free(b->timer);
    b->ask = NULL;
    b->log = NULL;
    b->asked = NULL;
    b->timer = NULL;
}

static void boot_free(void *data)
{
    struct boot *b = data;
    boot_clear(b);
    mem_free(b->pod_name);
    mem_free(b->pod_uid);
    mem_free(b->container);
    mem_free(b->crash);
    mem_free(b->not_answering);
    mem_free(b);
}

static bool is_scratch(const struct boot *b)
{
    return b->of == BOOT_SCRATCH || b->of == BOOT_SCRATCH_AGAIN;
}

static bool is_first(const struct boot *b)
{
    return b->of == BOOT_NEW || b->of == BOOT_SCRATCH;
}

static void boot_done(struct boot *b, struct err *e, const char *detail)
{
    struct op *op = b->op;
    if (!op) {
        err_free(e);
        return;
    }
    b->op = NULL;
    timer_stop(b->timer);
    op_job_done(b->run, op, e, detail);
}

/* Goes on looking a little later, unless it takes too long. */
static void boot_later(struct boot *b, const char *reason)
{
    if (clock_mono_ms() > b->until) {
        boot_done(b, err_new(ERR_FAILED, "the server did not come within %lld min: %s", (long long)(BOOT_MS / 60000), reason), NULL);
        return;
    }
    op_job_progress(b->run, b->op, -1, 0, NULL, reason);
    timer_start(b->timer, LOOK_MS, 0);
}

/* ---- A crash ---- */

static void ask_log(struct boot *b);

static void on_log(void *arg, const struct http_result *r, const struct err *e)
{
    struct boot *b = arg;
    struct buf why = {0};
    if (b->previous && (e || !r->body || r->body->len == 0)) {
        kube_request_free(b->log);
        b->log = NULL;
        b->previous = false;
        ask_log(b);
        return;
    }
    if (e)
        buf_printf(&why, "its log cannot be read: %s", err_text(e));
    else
        boot_explain(r->body ? buf_slice(r->body) : SLICE_LIT(""), &why);
    kube_request_free(b->log);
    b->log = NULL;
    boot_done(b, err_new(ERR_FAILED, "%s: %s", b->crash, buf_str(&why)), NULL);
    buf_free(&why);
}

static void ask_log(struct boot *b)
{
    struct kpath path = postgres_path_pod_log(b->run, b->pod_name, b->container, b->previous, LOG_LINES);
    struct kube_call call = {.path = path.p, .on_done = on_log, .arg = b};
    b->log = kube_start(b->run->kube, &call);
}

static void boot_crashed(struct boot *b, const struct json_t *pod, const char *reason)
{
    struct buf ignored = {0};
    str_set(&b->container, crashed_container(pod, &ignored));
    buf_free(&ignored);
    str_set(&b->crash, reason);
    b->previous = postgres_pod_restarts(pod) > 0;
    ask_log(b);
}

/* ---- The server ---- */

static void note_identifier(struct boot *b, const char *id)
{
    struct run *r = b->run;
    char text[160];
    if (b->of == BOOT_NEW) {
        run_set(r, "pg.identifier.new", id);
        run_set(r, "boot.pod", b->pod_uid);
        run_set(r, "target.claim.uid", run_fact(r, "claim.new.uid"));
    } else if (is_scratch(b)) {
        run_set(r, "pg.identifier.scratch", id);
        if (b->of == BOOT_SCRATCH)
            run_set(r, "boot.scratch", b->pod_uid);
    }
    snprintf(text, sizeof text, "pod %.60s serves, system identifier %.24s", b->pod_name, id);
    boot_done(b, NULL, text);
}

/* The reason why that server must not be the one that is waited for; NULL: it may. */
static struct err *judge_identifier(const struct boot *b, const char *id)
{
    const struct run *r = b->run;
    const char *old = run_fact(r, "pg.identifier.old");
    if (is_first(b) && old && str_eq(id, old))
        return err_new(ERR_FAILED, "pod %s serves the old database (system identifier %s): its claim was not empty, or is the old one",
                       b->pod_name, id);
    const char *reborn = b->of == BOOT_NEW && move_same(r, "target.claim.uid", "claim.new.uid") ? run_fact(r, "pg.identifier.new") : NULL;
    if (reborn && reborn[0] && !str_eq(id, reborn))
        return err_new(ERR_FAILED, "pod %s serves system identifier %s, this claim was born with %s: its data was replaced", b->pod_name, id, reborn);
    if (b->of == BOOT_OLD && old && !str_eq(id, old))
        return err_new(ERR_FAILED, "pod %s serves system identifier %s, the old database is %s: the deployment is not on its old claim",
                       b->pod_name, id, old);
    const char *born = b->of == BOOT_AGAIN ? run_fact(r, "pg.identifier.new")
                                           : b->of == BOOT_SCRATCH_AGAIN ? run_fact(r, "pg.identifier.scratch") : NULL;
    if (born && born[0] && !str_eq(id, born))
        return err_new(ERR_FAILED, "pod %s serves system identifier %s instead of %s: its data was replaced", b->pod_name, id, born);
    return NULL;
}

static void on_identifier(void *arg, const struct pg_rows *rows, const struct err *e)
{
    struct boot *b = arg;
    if (!b->op)
        return;
    if (e || pg_rows_count(rows) == 0) {
        mem_free(b->not_answering);
        b->not_answering = str_printf("pod %s runs; its server does not answer yet: %s", b->pod_name, e ? err_text(e) : "no row");
        boot_later(b, b->not_answering);
        return;
    }
    char *id = slice_dup(pg_rows_text(rows, 0, 0));
    struct err *wrong = judge_identifier(b, id);
    if (wrong)
        boot_done(b, wrong, NULL);
    else
        note_identifier(b, id);
    mem_free(id);
}

static void ask_server(struct boot *b)
{
    struct run_query q = {.db = is_scratch(b) ? DB_SCRATCH : DB_SERVER,
                          .database = is_first(b) ? "postgres" : NULL,
                          .sql = postgres_sql_identifier,
                          .identity_any = true,
                          .timeout_ms = ASK_MS};
    run_query_free(b->asked);
    b->asked = run_query(b->run, &q, on_identifier, b);
}

/* ---- The pod ---- */

static const char *claim_of(const struct boot *b)
{
    return run_fact(b->run, b->of == BOOT_OLD ? "claim.old.name" : is_scratch(b) ? "claim.scratch.name" : "claim.new.name");
}

static void judge_pod(struct boot *b, const struct json_t *list)
{
    const char *but = b->of == BOOT_AGAIN ? run_fact(b->run, "boot.pod") : b->of == BOOT_SCRATCH_AGAIN ? run_fact(b->run, "boot.scratch") : NULL;
    const struct json_t *pod = boot_pick(list, claim_of(b), but);
    if (!pod) {
        boot_later(b, "waiting for the pod");
        return;
    }
    struct buf reason = {0};
    bool crashed = false, failed = boot_pod_failed(pod, &reason, &crashed);
    str_set(&b->pod_name, jd_str(pod, "metadata.name"));
    str_set(&b->pod_uid, jd_str(pod, "metadata.uid"));
    if (failed && (is_first(b) || postgres_pod_finished(pod) || (postgres_pod_restarts(pod) >= RESTARTS_MAX && !postgres_pod_ready(pod)))) {
        boot_crashed(b, pod, buf_str(&reason));
    } else if (is_running(pod)) {
        postgres_note_pod(b->run, is_scratch(b) ? "scratch" : "server", pod);
        ask_server(b);
    } else {
        boot_later(b, buf_str(&reason));
    }
    buf_free(&reason);
}

static void on_list(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct boot *b = arg;
    struct json_t *list = NULL;
    kube_ask_free(b->ask);
    b->ask = NULL;
    if (e && status != 404) {
        boot_later(b, err_text(e));
        return;
    }
    if (is_scratch(b)) { /* asked for by name */
        list = jd_object();
        jd_set(list, "items", jd_array());
        if (status == 200)
            jd_append(jd_get(list, "items"), jd_copy(doc));
    }
    judge_pod(b, list ? list : doc);
    jd_free(list);
}

static void boot_look(void *arg)
{
    struct boot *b = arg;
    struct kpath path = is_scratch(b) ? postgres_path_pod(b->run, run_fact(b->run, "pod.scratch.name"))
                                      : postgres_path_pods_of(b->run, run_fact(b->run, "deployment.selector"));
    kube_ask_free(b->ask);
    b->ask = kube_ask_new(b->run->kube, "GET", path.p, NULL, 0, on_list, b);
}

static void job_start(struct run *r, struct op *op)
{
    struct boot *b = op->data;
    boot_clear(b);
    b->run = r;
    b->op = op;
    b->until = clock_mono_ms() + BOOT_MS;
    b->timer = timer_new(r->loop, boot_look, b);
    run_pg_close(r, is_scratch(b) ? DB_SCRATCH : DB_SERVER);
    timer_start(b->timer, 0, 0);
}

static void job_cancel(struct run *r, struct op *op)
{
    struct boot *b = op->data;
    (void)r;
    b->op = NULL;
    boot_clear(b);
}

static const struct op_job boot_job = {.start = job_start, .cancel = job_cancel};

void move_script_boot(struct run *r, struct script *s, const char *id, enum boot_of of)
{
    static const char *const words[] = {
        [BOOT_NEW] = "first boot on the new claim, until TCP on the pod's address answers",
        [BOOT_AGAIN] = "the new pod serves the new claim",
        [BOOT_OLD] = "the old claim is served again",
        [BOOT_SCRATCH] = "first boot on the scratch claim, until TCP on the pod's address answers",
        [BOOT_SCRATCH_AGAIN] = "the scratch pod serves again",
    };
    struct boot *b = MEM_NEW(struct boot);
    (void)r;
    b->of = of;
    struct op *op = script_job(s, id, words[of], &boot_job, b, boot_free);
    op->deadline_ms = BOOT_MS + 60000;
}
