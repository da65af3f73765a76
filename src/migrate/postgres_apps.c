/* The applications come back: what quiesce stopped and noted (fact apps), in reverse order, to what it was. Objects that somebody has
 * re-created or scaled meanwhile are left as they are, and named. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "world/world.h"

#define READY_MS INT64_C(900000)

static const char *lower(struct script *s, const char *text)
{
    char out[32];
    size_t i = 0;
    for (; text && text[i] && i < sizeof out - 1; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    out[i] = '\0';
    return script_fmt(s, "%s", out);
}

static enum op_answer see_ready(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    if (!seen->doc) {
        buf_adds(reason, "it is not there any more: passed over");
        return OP_DONE;
    }
    int64_t want = jd_num(seen->doc, "spec.replicas", 1), ready = jd_num(seen->doc, "status.readyReplicas", 0);
    bool observed = jd_num(seen->doc, "status.observedGeneration", 0) >= jd_num(seen->doc, "metadata.generation", 0);
    buf_printf(reason, "%lld of %lld ready", (long long)ready, (long long)want);
    return observed && ready >= want ? OP_DONE : OP_TODO;
}

/* One of them, on its way back. The texts are the script's. */
struct app_now {
    const char *object, *path, *uid;
    int64_t replicas;
    bool cron;
    bool leave; /* somebody else has decided about it meanwhile */
};

static enum op_answer see_now(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct app_now *a = op->data;
    const char *uid = jd_str(seen->doc, "metadata.uid");
    int64_t now = jd_num(seen->doc, "spec.replicas", 1);
    a->leave = true;
    if (!seen->doc)
        buf_adds(reason, "it is not there any more: passed over");
    else if (!str_eq(uid, a->uid))
        buf_printf(reason, "it was re-created (uid %.8s, stopped was %.8s): left as it is", uid ? uid : "(none)", a->uid);
    else if (!a->cron && now != 0 && now != a->replicas)
        buf_printf(reason, "it has %lld replicas, and had %lld before it was stopped: somebody scaled it; left so", (long long)now,
                   (long long)a->replicas);
    else
        a->leave = false;
    if (a->leave) {
        run_note(r, "WARN", "%s: %s", a->object, buf_str(reason));
        run_unwatch_field(r, a->path, a->cron ? "/spec/suspend" : "/spec/replicas");
    }
    return OP_DONE;
}

static void app_field(struct run *r, struct script *s, struct op *op)
{
    const struct app_now *a = op->data;
    if (a->leave)
        return;
    if (a->cron)
        move_script_field(r, s, script_fmt(s, "unsuspend %s", a->object), script_fmt(s, "%s runs on schedule again", a->object), a->path, a->uid,
                          "/spec/suspend", jd_bool(true), jd_bool(false), NULL);
    else
        move_script_field(r, s, script_fmt(s, "scale %s", a->object), script_fmt(s, "scale %s from 0 to %lld", a->object, (long long)a->replicas),
                          a->path, a->uid, "/spec/replicas", jd_int(0), jd_int(a->replicas), NULL);
}

static void app_back(struct run *r, struct script *s, const struct json_t *app)
{
    const char *kind = jd_str(app, "kind"), *name = jd_str(app, "name"), *uid = jd_str(app, "uid");
    if (!kind || !name || !uid)
        return;
    const char *object = strchr(name, '/') ? name : script_fmt(s, "%s/%s", lower(s, kind), name);
    const char *path = script_fmt(s, "%s", postgres_path_app(r, object).p);
    bool cron = str_starts(object, "cronjob/");
    int64_t replicas = jd_num(app, "replicas", 1);
    if (cron ? jd_flag(app, "suspend", false) : replicas <= 0)
        return;
    struct app_now *a = MEM_NEW(struct app_now);
    *a = (struct app_now){.object = object, .path = path, .uid = script_fmt(s, "%s", uid), .replicas = replicas, .cron = cron};
    struct op *look = script_get(s, script_fmt(s, "%s now", object), script_fmt(s, "%s is what was stopped", object), path, see_now);
    look->data = a;
    look->drop = mem_free;
    script_call(s, script_fmt(s, "%s back", object), app_field, a, NULL);
}

static void app_ready(struct run *r, struct script *s, const struct json_t *app)
{
    const char *kind = jd_str(app, "kind"), *name = jd_str(app, "name");
    if (!kind || !name || jd_num(app, "replicas", 0) <= 0)
        return;
    const char *object = strchr(name, '/') ? name : script_fmt(s, "%s/%s", lower(s, kind), name);
    script_wait(s, script_fmt(s, "%s ready", object), script_fmt(s, "wait until %s is ready", object), postgres_path_app(r, object).p, see_ready,
                READY_MS);
}

static enum op_answer see_back(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set_int(r, "apps.back.at", world_now(r->world));
    return OP_DONE;
}

void move_script_apps_back(struct run *r, struct script *s)
{
    struct json_t *apps = run_fact_json(r, "apps");
    const struct plan_strings *planned = &postgres_spec(r)->quiesce;
    if (!apps && (r->preview || !run_has(r, "apps")))
        for (size_t i = planned->n; r->preview && i-- > 0;)
            script_wait(s, script_fmt(s, "%s back", planned->v[i]), script_fmt(s, "%s back to what it was", planned->v[i]),
                        postgres_path_app(r, planned->v[i]).p, see_ready, READY_MS);
    for (size_t i = jd_len(apps); i-- > 0;)
        app_back(r, s, jd_at(apps, i));
    for (size_t i = jd_len(apps); i-- > 0;)
        app_ready(r, s, jd_at(apps, i));
    script_check(s, "apps are back", "the applications are back", see_back);
    jd_free(apps);
}
