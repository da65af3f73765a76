/* Stopping the server like a DBA (safety 7), and starting it again.
 *
 * The last line of its log proves an orderly end, and that line cannot be read once the pod's object has gone; so the log is followed
 * from before. If the pod went and the line was not seen (we crashed meanwhile, the kubelet killed it), the server is started on the
 * same claim once more and stopped again, for only what was seen counts. A log that we are not allowed to read is told plainly. */
#include "migrate/postgres_move.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_tail.h"

#define SERVING_MS INT64_C(120000)
#define PODS_GONE_MS INT64_C(600000)
#define SHUT_DOWN_MS INT64_C(15000)
#define CHECKPOINT_NEAR 65536 /* bytes of WAL since the last checkpoint that a quiet server may have written */

static const char shut_down_text[] = "database system is shut down";
static const char ready_text[] = "database system is ready to accept connections";
static const char with_writes[] = "writes";

static size_t last_of(struct slice log, const char *text)
{
    size_t n = strlen(text), at = 0;
    for (size_t i = 0; i + n <= log.n; i++)
        if (log.p[i] == text[0] && memcmp(log.p + i, text, n) == 0)
            at = i + 1;
    return at;
}

bool stop_was_clean(struct slice log)
{
    size_t down = last_of(log, shut_down_text);
    return down > 0 && down > last_of(log, ready_text);
}

/* ---- What the deployment is now ---- */

static enum op_answer see_deployment(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *name = postgres_spec(r)->deployment;
    (void)op;
    if (!seen->doc) {
        buf_printf(reason, "deployment/%s is not there", name);
        return OP_REFUSE;
    }
    if (run_has(r, "deployment.uid") && !str_eq(run_fact(r, "deployment.uid"), jd_str(seen->doc, "metadata.uid"))) {
        buf_printf(reason, "deployment/%s was re-created (uid %.8s, recorded %.8s): begin with preflight again", name,
                   jd_str(seen->doc, "metadata.uid"), run_fact(r, "deployment.uid"));
        return OP_REFUSE;
    }
    const char *claim = postgres_volume_claim(postgres_pod_spec(seen->doc), postgres_spec(r)->volume);
    run_set_int(r, "seen.replicas", jd_num(seen->doc, "spec.replicas", 0));
    run_set(r, "seen.claim", claim ? claim : "");
    buf_printf(reason, "%lld replicas on claim %s", (long long)jd_num(seen->doc, "spec.replicas", 0), claim ? claim : "(none)");
    return OP_DONE;
}

void move_script_look(struct run *r, struct script *s, const char *id)
{
    script_get(s, id, script_fmt(s, "read deployment/%s", postgres_spec(r)->deployment), postgres_path_deployment(r).p, see_deployment);
}

static void note_serving(struct run *r, const struct json_t *pod, struct buf *reason)
{
    const char *name = jd_str(pod, "metadata.name"), *uid = jd_str(pod, "metadata.uid");
    bool same = str_eq(uid, run_fact(r, "pod.server.uid"));
    int64_t restarts = postgres_pod_restarts(pod) - run_fact_int(r, "pod.server.restarts", 0);
    if (!same)
        run_note(r, "WARN", "pod %s was replaced by %s since it was looked at", move_say(r, "pod.server.name"), name);
    else if (restarts != 0)
        run_note(r, "WARN", "pod %s was restarted since it was looked at", name);
    if (!same || restarts != 0)
        run_pg_close(r, DB_SERVER);
    postgres_note_pod(r, "server", pod);
    buf_printf(reason, "pod %s (uid %.8s), %s", name, uid, same ? restarts ? "restarted since" : "not restarted" : "another one than before");
}

static enum op_answer see_source(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *pod = boot_pick(seen->doc, run_fact(r, "claim.old.name"), NULL);
    (void)op;
    if (run_has(r, "seen.claim") && str_eq(run_fact(r, "seen.claim"), postgres_spec(r)->claim.name)) {
        buf_adds(reason, "the deployment is on its new claim");
        return OP_DONE;
    }
    if (!pod) {
        buf_printf(reason, "no pod serves claim %s", move_say(r, "claim.old.name"));
        return run_has(r, "seen.replicas") && run_fact_int(r, "seen.replicas", 1) == 0 ? OP_DONE : OP_REFUSE;
    }
    if (!postgres_pod_ready(pod)) {
        buf_printf(reason, "pod %s is not ready", jd_str(pod, "metadata.name"));
        return OP_REFUSE;
    }
    note_serving(r, pod, reason);
    return OP_DONE;
}

static enum op_answer see_target(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *pod = boot_pick(seen->doc, run_fact(r, "claim.new.name"), NULL);
    (void)op;
    if (!pod || !postgres_pod_ready(pod)) {
        buf_printf(reason, "no pod that is ready serves claim %s", move_say(r, "claim.new.name"));
        return OP_TODO;
    }
    note_serving(r, pod, reason);
    return OP_DONE;
}

void move_script_target(struct run *r, struct script *s, const char *id)
{
    script_wait(s, id, "which pod serves the new claim", postgres_path_pods_of(r, move_fact(r, s, "deployment.selector")).p, see_target,
                SERVING_MS);
}

void move_script_source(struct run *r, struct script *s, const char *id)
{
    script_get(s, id, "which pod serves the old claim", postgres_path_pods_of(r, move_fact(r, s, "deployment.selector")).p, see_source);
}

static enum op_answer see_pods_gone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *items = jd_get(seen->doc, "items");
    (void)r;
    (void)op;
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *pod = jd_at(items, i);
        if (postgres_pod_finished(pod))
            continue;
        bool ending = jd_str(pod, "metadata.deletionTimestamp") != NULL;
        buf_printf(reason, "pod %s (uid %.8s) %s", jd_str(pod, "metadata.name"), jd_str(pod, "metadata.uid"),
                   ending ? "is shutting down" : "is still there");
        if (ending)
            buf_printf(reason, ", it has %lld s", (long long)jd_num(pod, "metadata.deletionGracePeriodSeconds", 30));
        return OP_TODO;
    }
    buf_adds(reason, "no pod left");
    return OP_DONE;
}

static void script_pods_gone(struct run *r, struct script *s, const char *id)
{
    script_wait(s, id, script_fmt(s, "wait until the pods of deployment/%s are gone", postgres_spec(r)->deployment),
                postgres_path_pods_of(r, move_fact(r, s, "deployment.selector")).p, see_pods_gone, PODS_GONE_MS);
}

static struct op *script_scale(struct run *r, struct script *s, const char *id, int64_t from, int64_t to)
{
    const char *name = postgres_spec(r)->deployment;
    return move_script_field(r, s, id, script_fmt(s, "scale deployment/%s from %lld to %lld", name, (long long)from, (long long)to),
                             postgres_path_deployment(r).p, move_fact(r, s, "deployment.uid"), "/spec/replicas", jd_int(from), jd_int(to),
                             script_fmt(s, "deployment/%s replicas", name));
}

static int64_t recorded_replicas(const struct run *r)
{
    int64_t n = run_fact_int(r, "deployment.replicas", 1);
    return n > 0 ? n : 1;
}

void move_script_scale_up(struct run *r, struct script *s)
{
    script_scale(r, s, "scale up", 0, recorded_replicas(r));
}

/* Sessions end before the server does, so that it need not end them. */
static enum op_answer see_sessions_closed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    run_pg_close(r, DB_SERVER);
    buf_adds(reason, "closed");
    return OP_DONE;
}

static void halt_rest(struct run *r, struct script *s, struct op *op)
{
    int64_t now = run_fact_int(r, "seen.replicas", recorded_replicas(r));
    (void)op;
    script_check(s, "close sessions", "close our own sessions", see_sessions_closed);
    if (now != 0)
        script_scale(r, s, "scale down", now, 0);
    script_pods_gone(r, s, "pods gone");
}

void move_script_halt(struct run *r, struct script *s)
{
    move_script_look(r, s, "look before halt");
    script_call(s, "halt", halt_rest, NULL, NULL);
}

/* ---- In order ---- */

static enum op_answer see_writes_equal(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *then = run_fact_json(r, "counts.writes"), *now = run_fact_json(r, "counts.writes.now");
    (void)op;
    (void)seen;
    bool same = then && now && postgres_counts_equal(then, now, "now", NULL, reason);
    if (!then)
        buf_adds(reason, "the writes before the dump were not recorded: run the phase counts again");
    else if (!same)
        postgres_dump_is_stale(r);
    if (then && !same)
        buf_adds(reason, ": the database was written after the dump, which is stale; find the writer, then run counts and dump again");
    jd_free(then);
    jd_free(now);
    return same ? OP_DONE : OP_REFUSE;
}

/* Statistics are sent by backends with a delay; the difference that matters is seen by the collector of counts (postgres_collect.c),
 * which asks for a fresh view. */
static enum op_answer see_checkpoint(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    int64_t bytes = seen->rows ? pg_rows_int(seen->rows, 0, 0, -1) : -1;
    if (bytes < 0 || bytes > CHECKPOINT_NEAR)
        return OP_TODO;
    buf_printf(reason, "%lld bytes of WAL since the last checkpoint", (long long)bytes);
    return OP_DONE;
}

static enum op_answer see_shut_down(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct tail *t = op->data;
    (void)seen;
    if (stop_was_clean(tail_text(t))) {
        run_set(r, "stop.seen", run_fact(r, "pod.server.uid"));
        buf_printf(reason, "\"%s\"", shut_down_text);
        return OP_DONE;
    }
    if (tail_error(t)) {
        run_set(r, "stop.seen", run_fact(r, "pod.server.uid"));
        run_note(r, "WARN", "the end of pod %s could not be seen in its log (%s); the server was told to stop in order, and the dump is proved",
                 run_fact(r, "pod.server.name"), tail_error(t));
        buf_printf(reason, "could not be seen: %s", tail_error(t));
        return OP_DONE;
    }
    buf_printf(reason, "the log of pod %s ended without \"%s\": run the phase again, it starts the server on its claim once more and stops "
                       "it again",
               run_fact(r, "pod.server.name"), shut_down_text);
    return OP_TODO;
}

static void script_stop_now(struct run *r, struct script *s, bool writes, int64_t replicas)
{
    if (writes) {
        postgres_script_writes(r, s, DB_SERVER, "counts.writes.now");
        script_check(s, "writes", "nothing was written since the dump", see_writes_equal);
    }
    script_sql(s, "checkpoint", "CHECKPOINT", DB_SERVER, NULL, "CHECKPOINT",
               "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn)::bigint FROM pg_control_checkpoint()", see_checkpoint);
    const char *path = script_fmt(s, "%s&follow=true", postgres_path_pod_log(r, move_fact(r, s, "pod.server.name"),
                                                                              move_fact(r, s, "deployment.container"), false, 200).p);
    struct tail *t = tail_new(path);
    script_job(s, "follow", script_fmt(s, "follow the log of pod %s", move_fact(r, s, "pod.server.name")), &tail_job, t, tail_unref);
    script_check(s, "close sessions", "close our own sessions", see_sessions_closed);
    script_scale(r, s, "scale down", replicas, 0);
    script_pods_gone(r, s, "pods gone");
    struct op *seen = script_wait(s, "shut down", script_fmt(s, "see \"%s\" in the log", shut_down_text), NULL, see_shut_down, SHUT_DOWN_MS);
    seen->data = tail_ref(t);
    seen->drop = tail_unref;
}

/* The pod is another one now than when the script was written. */
static void stop_again(struct run *r, struct script *s, struct op *op)
{
    script_stop_now(r, s, op->data == with_writes, recorded_replicas(r));
}

/* After the deployment was looked at. */
static void stop_rest(struct run *r, struct script *s, struct op *op)
{
    bool writes = op->data == with_writes;
    int64_t replicas = run_fact_int(r, "seen.replicas", recorded_replicas(r));
    if (writes && run_has(r, "seen.claim") && str_eq(run_fact(r, "seen.claim"), postgres_spec(r)->claim.name))
        return; /* the name has been patched already: what runs is the target */
    if (r->preview || replicas != 0) {
        script_stop_now(r, s, writes, r->preview ? recorded_replicas(r) : replicas);
        return;
    }
    if (move_same(r, "stop.seen", "pod.server.uid")) {
        script_pods_gone(r, s, "pods gone");
        return;
    }
    script_pods_gone(r, s, "old pods gone");
    script_scale(r, s, "scale up once more", 0, recorded_replicas(r));
    move_script_boot(r, s, "once more", BOOT_OLD);
    script_call(s, "stop again", stop_again, op->data, NULL);
}

void move_script_stop(struct run *r, struct script *s, bool writes)
{
    move_script_look(r, s, "look before stop");
    move_script_source(r, s, "source before stop");
    script_call(s, "stop", stop_rest, writes ? (void *)(uintptr_t)with_writes : NULL, NULL);
}
