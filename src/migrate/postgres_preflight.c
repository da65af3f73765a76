/* Preflight: everything that has stopped such a move half way, asked before it begins. Each question is an operation with its own line of
 * result, so the phase reads as a checklist. It changes nothing but the facts that the other phases rest on. */
#include "migrate/postgres_preflight.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "migrate/access.h"
#include "migrate/managers.h"
#include "migrate/phase.h"
#include "migrate/postgres.h"
#include "migrate/postgres_judge.h"
#include "migrate/postgres_login.h"
#include "migrate/postgres_quiet.h"
#include "world/world.h"

/* ---- Who and what ---- */

static bool in_source(const struct run *r, const char *class)
{
    for (size_t i = 0; i < r->plan->source_classes.n; i++)
        if (str_eq(r->plan->source_classes.v[i], class))
            return true;
    return false;
}

static enum op_answer note_deployment(struct run *r, const struct json_t *doc, struct buf *reason)
{
    const struct plan_postgres *p = postgres_spec(r);
    const struct json_t *pod_spec = postgres_pod_spec(doc);
    const char *claim = postgres_volume_claim(pod_spec, p->volume);
    char at[64];
    struct buf selector = {0};
    snprintf(at, sizeof at, "/spec/template/spec/volumes/%d", postgres_volume_index(pod_spec, p->volume));
    postgres_selector(jd_get(doc, "spec.selector"), &selector);
    run_set(r, "deployment.uid", jd_str(doc, "metadata.uid"));
    run_set_int(r, "deployment.replicas", jd_num(doc, "spec.replicas", 1));
    run_set(r, "deployment.selector", buf_str(&selector));
    run_set(r, "deployment.volume.at", at);
    run_set(r, "claim.old.name", claim);
    buf_free(&selector);
    buf_printf(reason, "deployment %s, 1 replica, Recreate, volume %s is claim %s", p->deployment, p->volume, claim);
    return OP_DONE;
}

static enum op_answer see_deployment(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct plan_postgres *p = postgres_spec(r);
    const char *uid = jd_str(seen->doc, "metadata.uid"), *strategy = jd_str(seen->doc, "spec.strategy.type");
    const char *claim = postgres_volume_claim(postgres_pod_spec(seen->doc), p->volume);
    int64_t replicas = jd_num(seen->doc, "spec.replicas", 1);
    (void)op;
    if (!uid)
        buf_printf(reason, "deployment %s is not in namespace %s: correct the plan", p->deployment, r->workload->ns);
    else if (!claim)
        buf_printf(reason, "the template of deployment %s has no volume %s that names a claim: correct volume of the plan", p->deployment, p->volume);
    else if (str_eq(claim, p->claim.name))
        buf_printf(reason, "deployment %s names claim %s already: it was moved. Nothing is left to do", p->deployment, claim);
    else if (replicas != 1)
        buf_printf(reason, "deployment %s has %lld replicas; a database on one claim has 1", p->deployment, (long long)replicas);
    else if (!str_eq(strategy, "Recreate"))
        buf_printf(reason, "deployment %s has strategy %s: with a claim that one node can mount, its pods would wait for each other for good. Set "
                           "strategy.type to Recreate", p->deployment, strategy ? strategy : "RollingUpdate");
    else if (jd_str(seen->doc, "metadata.deletionTimestamp"))
        buf_printf(reason, "deployment %s is being deleted", p->deployment);
    else
        return note_deployment(r, seen->doc, reason);
    return OP_REFUSE;
}

static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *uid = jd_str(seen->doc, "metadata.uid"), *class = jd_str(seen->doc, "spec.storageClassName");
    const char *volume = jd_str(seen->doc, "spec.volumeName"), *size = jd_str(seen->doc, "status.capacity.storage");
    (void)op;
    if (!uid || !volume) {
        buf_printf(reason, "claim %s is %s", run_fact(r, "claim.old.name"), uid ? "not bound" : "not there");
        return OP_REFUSE;
    }
    if (!in_source(r, class)) {
        buf_printf(reason, "claim %s has class %s, which is not a source class of the plan", run_fact(r, "claim.old.name"), class ? class : "none");
        return OP_REFUSE;
    }
    run_set(r, "claim.old.uid", uid);
    run_set(r, "claim.old.class", class);
    run_set(r, "claim.old.size", size ? size : "");
    run_set(r, "volume.old.name", volume);
    buf_printf(reason, "uid %.8s, class %s, %s, volume %s", uid, class, size ? size : "size not known", volume);
    return OP_DONE;
}

static enum op_answer see_volume(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *claim = jd_str(seen->doc, "spec.claimRef.uid");
    (void)op;
    if (!seen->doc || !str_eq(claim, run_fact(r, "claim.old.uid"))) {
        buf_printf(reason, "volume %s %s", run_fact(r, "volume.old.name"), seen->doc ? "is bound to another claim" : "is not there");
        return OP_REFUSE;
    }
    postgres_note_volume(r, "volume.old", seen->doc);
    const char *policy = jd_str(seen->doc, "spec.persistentVolumeReclaimPolicy");
    buf_printf(reason, "%s, reclaim policy %s%s", run_fact(r, "volume.old.handle"), policy,
               str_eq(policy, "Retain") ? "" : " (it is set to Retain before anything is stopped)");
    return OP_DONE;
}

static void script_old_volume(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    script_get(s, "volume", "the volume behind it", postgres_path_volume(run_fact(r, "volume.old.name")).p, see_volume);
}

static enum op_answer see_new_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct plan_claim *c = &postgres_spec(r)->claim;
    const char *run = jd_string_value(jd_member(jd_get(seen->doc, "metadata.annotations"), "ferryman.io/run"));
    (void)op;
    if (seen->status == 404) {
        buf_printf(reason, "claim %s is not there yet", c->name);
        return OP_DONE;
    }
    if (str_eq(run, r->id) || str_eq(c->apply, "external")) {
        buf_printf(reason, "claim %s is there, %s", c->name, run ? "made by this run" : "from outside, as the plan says");
        return OP_DONE;
    }
    buf_printf(reason, "a claim %s exists already, and not by this run: choose another name in the plan, or delete it if it is nobody's", c->name);
    return OP_REFUSE;
}

static void script_permissions(struct run *r, struct script *s)
{
    script_access_postgres(r, s);
}

static void script_deployment(struct run *r, struct script *s)
{
    script_get(s, "deployment", "the deployment", postgres_path_deployment(r).p, see_deployment);
}

static void script_claim(struct run *r, struct script *s)
{
    script_get(s, "old claim", "the claim that is to be left", postgres_path_claim(r, run_fact(r, "claim.old.name")).p, see_claim);
    script_call(s, "its volume", script_old_volume, NULL, NULL);
}

static void script_new_claim(struct run *r, struct script *s)
{
    script_get(s, "new claim", "the name of the new claim is free", postgres_path_claim(r, postgres_spec(r)->claim.name).p, see_new_claim);
    if (!str_eq(postgres_spec(r)->claim.apply, "external"))
        preflight_script_claim(r, s);
}

/* ---- The server ---- */

static void note_server(struct run *r, const struct pg_rows *rows)
{
    static const struct {
        int col;
        const char *fact;
    } facts[] = {
        {SERVER_NUMBER, "pg.number"},   {SERVER_VERSION, "pg.version"},   {SERVER_IDENTIFIER, "pg.identifier.old"}, {SERVER_BYTES, "pg.bytes"},
        {SERVER_WAL, "pg.wal"},         {SERVER_WORK_MEM, "pg.work_mem"}, {SERVER_WORKERS, "pg.workers"},           {SERVER_BOOTSTRAP, "pg.user"},
        {SERVER_PRELOAD, "postgres.preload.first"},
    };
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        char *value = slice_dup(pg_rows_text(rows, 0, facts[i].col));
        run_set(r, facts[i].fact, value ? value : "");
        mem_free(value);
    }
    char port[16];
    snprintf(port, sizeof port, "%lld", (long long)postgres_spec(r)->postgres.port);
    run_set(r, "pg.port", port);
}

static enum op_answer see_server(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct pg_rows *rows = seen->rows;
    char *user = utf8_cleaned(pg_rows_text(rows, 0, SERVER_USER));
    (void)op;
    enum op_answer answer = OP_REFUSE;
    if (!pg_rows_bool(rows, 0, SERVER_SUPER, false)) {
        buf_printf(reason, "%s is no superuser: a dump would lack the passwords of roles. Use a superuser in the plan's conninfo", user);
    } else if (pg_rows_bool(rows, 0, SERVER_RECOVERY, true)) {
        buf_adds(reason, "the server is a standby or recovering: the plan must lead to the primary");
    } else if (pg_rows_int(rows, 0, SERVER_PREPARED, 1) > 0) {
        buf_printf(reason, "%lld prepared transactions, which no dump carries: COMMIT PREPARED or ROLLBACK PREPARED them",
                   (long long)pg_rows_int(rows, 0, SERVER_PREPARED, 0));
    } else {
        note_server(r, rows);
        buf_printf(reason, "PostgreSQL %s, system identifier %s, user %s is superuser, no prepared transaction", run_fact(r, "pg.version"),
                   run_fact(r, "pg.identifier.old"), user);
        struct slice slots = pg_rows_text(rows, 0, SERVER_SLOTS);
        if (slots.n > 0)
            run_note(r, "WARN", "replication slots are not carried and have to be made again: %.*s", SLICE_FMT(slots));
        answer = OP_DONE;
    }
    mem_free(user);
    return answer;
}

static enum op_answer see_size(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    return judge_size(run_fact_int(r, "pg.bytes", INT64_MAX / 4), run_fact_int(r, "pg.wal", 0), postgres_spec(r)->claim.size, reason)
               ? OP_DONE
               : OP_REFUSE;
}

static enum op_answer see_shm(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (!r->preview && !judge_shm(run_fact_int(r, "pod.shm", INT64_MAX), run_fact_int(r, "pg.work_mem", 0), run_fact_int(r, "pg.workers", 0), reason))
        run_note(r, "WARN", "%s", buf_str(reason));
    return OP_DONE;
}

static void script_server(struct run *r, struct script *s)
{
    (void)r;
    struct op *op = script_query(s, "server", "superuser, primary, no prepared transactions", DB_SERVER, NULL, postgres_sql_server, see_server);
    op->identity_any = true; /* its identifier is noted here */
}

static void script_size(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "size", "the new claim is large enough for what is used", see_size);
}

static void script_shm(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "shm", "/dev/shm for index builds", see_shm);
}

static void script_clients(struct run *r, struct script *s)
{
    (void)r;
    script_query(s, "clients", "who is connected", DB_SERVER, NULL, postgres_sql_clients, postgres_see_owners_note);
}

/* ---- Who else mounts the old claim, and who else has a hand in it ---- */

/* Lists are judged one after another; the last says what came of it. */
struct mounters {
    unsigned refs;
    struct claim_mounters m;
};

static void unref_mounters(void *data)
{
    struct mounters *x = data;
    if (--x->refs > 0)
        return;
    buf_free(&x->m.foreign);
    buf_free(&x->m.known);
    mem_free(x);
}

static const struct {
    const char *kind, *path;
} mounting[] = {
    {"pod", "/api/v1/namespaces/%s/pods"},
    {"deployment", "/apis/apps/v1/namespaces/%s/deployments"},
    {"statefulset", "/apis/apps/v1/namespaces/%s/statefulsets"},
    {"cronjob", "/apis/batch/v1/namespaces/%s/cronjobs"},
    {"job", "/apis/batch/v1/namespaces/%s/jobs"},
};

static enum op_answer see_mounters(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct mounters *x = op->data;
    const struct plan_postgres *p = postgres_spec(r);
    size_t kind = 0;
    while (kind < ARRAY_LEN(mounting) && !str_ends(op->id, mounting[kind].kind))
        kind++;
    if (kind == 0) { /* from the beginning */
        buf_clear(&x->m.foreign);
        buf_clear(&x->m.known);
    }
    judge_mounters(seen->doc, mounting[kind].kind, run_fact(r, "claim.old.name"), p->deployment, (const char *const *)p->quiesce.v,
                   p->quiesce.n, &x->m);
    if (kind + 1 < ARRAY_LEN(mounting))
        return OP_DONE;
    if (x->m.foreign.len > 0) {
        buf_printf(reason, "claim %s is mounted by %s too, which the plan's quiesce does not name: add it there, or stop it",
                   run_fact(r, "claim.old.name"), buf_str(&x->m.foreign));
        return OP_REFUSE;
    }
    if (x->m.known.len > 0) {
        buf_printf(reason, "beside the server: %s (quiesced by the plan)", buf_str(&x->m.known));
        run_note(r, "WARN", "%s mounts the old claim and will write to it again after resume: give it another claim", buf_str(&x->m.known));
    } else {
        buf_adds(reason, "nobody but the server mounts it");
    }
    return OP_DONE;
}

static enum op_answer see_scalers(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct manager found[MANAGERS_MAX];
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    size_t n = managers_scaling(seen->doc, "Deployment", postgres_spec(r)->deployment, found, 0);
    (void)op;
    if (n > 0) {
        buf_printf(reason, "deployment %s is scaled by %s: remove that first, it would start a second server", postgres_spec(r)->deployment,
                   found[0].name);
        return OP_REFUSE;
    }
    size_t apps = 0;
    for (size_t i = 0; i < quiesce->n; i++)
        if (str_starts(quiesce->v[i], "deployment/"))
            apps = managers_scaling(seen->doc, "Deployment", quiesce->v[i] + strlen("deployment/"), found, apps);
    buf_printf(reason, apps ? "%zu of the applications; they stand still at 0 replicas" : "%zu", apps);
    return OP_DONE;
}

static void script_mounts(struct run *r, struct script *s)
{
    struct mounters *x = MEM_NEW(struct mounters);
    x->refs = 1;
    for (size_t i = 0; i < ARRAY_LEN(mounting); i++) {
        struct buf path = {0};
        const char *star = strstr(mounting[i].path, "%s");
        buf_add(&path, mounting[i].path, (size_t)(star - mounting[i].path));
        buf_printf(&path, "%s%s", r->workload->ns, star + 2);
        struct op *op = script_get(s, script_fmt(s, "mounted by a %s", mounting[i].kind),
                                   script_fmt(s, "every %s that mounts the old claim", mounting[i].kind), buf_str(&path), see_mounters);
        x->refs++;
        op->data = x;
        op->drop = unref_mounters;
        buf_free(&path);
    }
    unref_mounters(x);
}

static void script_managers(struct run *r, struct script *s)
{
    preflight_script_managers(r, s, postgres_path_deployment(r).p, script_fmt(s, "deployment %s", postgres_spec(r)->deployment));
    script_get(s, "autoscalers", "autoscalers",
               script_fmt(s, "/apis/autoscaling/v2/namespaces/%s/horizontalpodautoscalers", r->workload->ns), see_scalers);
}

/* ---- The login's Secret ---- */

/* Secrets that come out of a store: if that store needs this database, it is a circle (safety 22). */
static enum op_answer see_secret(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct plan_login *l = &postgres_spec(r)->verify.login;
    struct secret *password = NULL;
    const char *kind, *owner;
    (void)op;
    if (!seen->doc) {
        buf_printf(reason, "Secret %s is not there; correct verify.login of the plan", l->secret);
        return OP_REFUSE;
    }
    struct err *e = login_password(seen->doc, l->secret, l->key, &password);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    buf_printf(reason, "Secret %s has key %s, %s", l->secret, l->key, secret_len(password) ? "not empty" : "EMPTY");
    bool empty = secret_len(password) == 0;
    secret_free(password);
    owner = postgres_owner(seen->doc, &kind);
    if (owner && str_eq(kind, "ExternalSecret"))
        run_note(r, "WARN", "Secret %s comes from ExternalSecret %s: if its store needs this database, keep a copy elsewhere", l->secret, owner);
    return empty ? OP_REFUSE : OP_DONE;
}

static enum op_answer see_nothing(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    (void)seen;
    (void)reason;
    return OP_DONE;
}

static void script_secret(struct run *r, struct script *s)
{
    const struct plan_login *l = &postgres_spec(r)->verify.login;
    if (l->user)
        script_get(s, "login", "the application's login can be read", postgres_path_secret(r, l->secret).p, see_secret);
    else
        script_check(s, "login", "the plan names none", see_nothing);
}

static const struct step steps[] = {
    {"cluster", "the cluster is the plan's", preflight_script_cluster},
    {"permissions", "what we may do in it", script_permissions},
    {"deployment", "the deployment", script_deployment},
    {"claim", "the claim and the volume that are left", script_claim},
    {"class", "the target class", preflight_script_class},
    {"new-claim", "the new claim, quota and limits", script_new_claim},
    {"nodes", "a node to land on", preflight_script_nodes},
    {"pool", "room in the thin pool", preflight_script_pool},
    {"mounts", "who else mounts the old claim", script_mounts},
    {"managers", "who restarts, scales or reverts it", script_managers},
    {"pod", "the pod that would be made now", preflight_script_pod},
    {"server", "the server", script_server},
    {"size", "size of the new claim", script_size},
    {"shm", "/dev/shm for index builds", script_shm},
    {"clients", "who is connected", script_clients},
    {"programs", "pg_dumpall and psql", preflight_script_programs},
    {"room", "room for the dump", preflight_script_room},
    {"login", "the application's login", script_secret},
    {"circles", "circles", preflight_script_circles},
    {"alerts", "alerts", preflight_script_alerts},
    {"backups", "backups", preflight_script_backups},
    {"credentials", "our credentials", preflight_script_credentials},
    {NULL, NULL, NULL},
};

/* Each answer is as old as its question: all of them are asked anew. */
static const char *begin_at(const struct run *r)
{
    (void)r;
    return steps[0].id;
}

static void dialog(struct run *r, struct dialog *d)
{
    dialog_line(d, "object", "deployment %s in %s, class of the plan's claim: %s", postgres_spec(r)->deployment, r->workload->ns, r->plan->target_class);
    dialog_line(d, "will come", "answers only: identity, permissions, the pod that would be, quota, place to land, programs, gates");
    dialog_line(d, "meanwhile", "the applications go on");
    dialog_line(d, "lost", "nothing: it reads, and tries two objects as dry runs");
    dialog_line(d, "undo", "nothing to undo");
}

const struct phase postgres_phase_preflight = {
    .id = "preflight",
    .title = "preflight",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = postgres_may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
};
