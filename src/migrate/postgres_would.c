/* What the API server would make of our objects, asked with dryRun=All: the pod of the template (hazard 2: a running pod may predate what
 * would be made now; 3: what writes before initdb), and the claim (quotas, limit ranges). */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/pod_judge.h"
#include "migrate/postgres.h"
#include "migrate/postgres_judge.h"
#include "migrate/postgres_preflight.h"
#include "migrate/would.h"
#include "world/world.h"

#define DEFAULT_PGDATA "/var/lib/postgresql/data"

/* ---- The pod ---- */

/* The data directory by the container's environment, else where the image has it. */
static const char *data_directory(const struct json_t *container)
{
    const char *dir = postgres_env(container, "PGDATA");
    return dir ? dir : DEFAULT_PGDATA;
}

static bool on_block(const struct run *r)
{
    const struct row *class = world_find_name(r->world, T_STORAGE_CLASSES, (struct slice){NULL, 0}, slice_of(r->plan->target_class));
    return !class || !slice_is(row_text(class, STORAGE_CLASSES_BACKEND), "nfs");
}

static enum op_answer see_template(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct would *d = op->data;
    const struct json_t *template = jd_get(seen->doc, "spec.template");
    if (!template) {
        buf_printf(reason, "deployment %s is not there", postgres_spec(r)->deployment);
        return OP_REFUSE;
    }
    jd_free(d->body);
    d->body = would_pod(r->workload->ns, template);
    const struct json_t *container = postgres_container(jd_get(template, "spec"), postgres_spec(r)->volume);
    const char *database = postgres_env(container, "POSTGRES_DB"), *name = jd_str(container, "name"), *user = postgres_env(container, "POSTGRES_USER");
    run_set(r, "deployment.container", name ? name : "");
    run_set(r, "pg.data", data_directory(container));
    run_set(r, "pg.database", database ? database : "");
    if (!run_has(r, "pg.user")) /* the server itself says it later; the first session needs one */
        run_set(r, "pg.user", user ? user : "postgres");
    return OP_DONE;
}

static enum op_answer see_running(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct would *d = op->data;
    size_t it = 0;
    const struct json_t *pod = postgres_next_mounting(seen->doc, run_fact(r, "claim.old.name"), &it);
    if (!pod) {
        buf_printf(reason, "no pod of deployment %s mounts claim %s", postgres_spec(r)->deployment, run_fact(r, "claim.old.name"));
        return OP_REFUSE;
    }
    if (postgres_next_mounting(seen->doc, run_fact(r, "claim.old.name"), &it)) {
        buf_printf(reason, "several pods of deployment %s mount the claim: wait until a roll-out has ended", postgres_spec(r)->deployment);
        return OP_REFUSE;
    }
    if (!postgres_pod_ready(pod)) {
        buf_printf(reason, "pod %s is not ready: make the source well first", jd_str(pod, "metadata.name"));
        return OP_REFUSE;
    }
    jd_free(d->running);
    d->running = jd_copy(jd_get(pod, "spec"));
    run_set(r, "deployment.image", ""); /* of what runs now: the baseline */
    postgres_note_pod(r, "server", pod);
    buf_printf(reason, "pod %s, %lld restarts, at %s", jd_str(pod, "metadata.name"), (long long)postgres_pod_restarts(pod),
               jd_str(pod, "status.podIP"));
    return OP_DONE;
}

/* Keeps what was found: in `bad` if it was not good. */
static void keep(bool good, struct buf *text, struct buf *fine, struct buf *bad)
{
    struct buf *out = good ? fine : bad;
    buf_printf(out, "%s%s", out->len ? "; " : "", buf_str(text));
    buf_clear(text);
}

/* What only differs, or runs where it does no harm, is told; it does not stop the phase. */
static void note_rest(struct run *r, const struct would *d, const struct json_t *spec, struct buf *text)
{
    const char *volume = postgres_spec(r)->volume;
    if (!pod_judge_same(d->running, spec, text))
        run_note(r, "WARN", "the pod that would be made now differs from the one that runs: %s", buf_str(text));
    buf_clear(text);
    if (!judge_initdb_scripts(spec, volume, text))
        run_note(r, "WARN", "%s", buf_str(text));
    buf_clear(text);
}

static bool judge_pod(struct would *d, const struct json_t *answer, struct buf *out)
{
    struct run *r = d->run;
    const char *volume = postgres_spec(r)->volume;
    const struct json_t *spec = jd_get(answer, "spec"), *container = postgres_container(spec, volume);
    const char *data = data_directory(container);
    struct buf text = {0}, fine = {0}, bad = {0};

    keep(judge_first_writers(spec, volume, data, &text), &text, &fine, &bad);
    keep(judge_pgdata(container, volume, data, &text), &text, &fine, &bad);
    if (on_block(r))
        keep(pod_judge_owner(spec, volume, &text), &text, &fine, &bad);
    note_rest(r, d, spec, &text);
    run_set_int(r, "pod.shm", judge_shm_bytes(spec, volume));
    bool good = bad.len == 0;
    buf_add_slice(out, buf_slice(good ? &fine : &bad));
    buf_free(&text);
    buf_free(&fine);
    buf_free(&bad);
    return good;
}

void preflight_script_pod(struct run *r, struct script *s)
{
    struct would *d = would_new(postgres_path_pods(r).p, judge_pod);
    const char *selector = run_fact(r, "deployment.selector");
    would_give(script_get(s, "template", "the pod template", postgres_path_deployment(r).p, see_template), d);
    would_give(script_get(s, "running", "the pod that runs", postgres_path_pods_of(r, selector).p, see_running), d);
    script_would(s, "would", "try the pod that would be made now", d);
}

/* ---- The claim ---- */

static bool judge_claim(struct would *d, const struct json_t *answer, struct buf *out)
{
    const char *class = jd_str(answer, "spec.storageClassName");
    buf_printf(out, "the API server would take it, class %s", class ? class : "none");
    if (str_eq(class, d->run->plan->target_class))
        return true;
    buf_printf(out, ", but the plan wants %s: a webhook changes it", d->run->plan->target_class);
    return false;
}

void preflight_script_claim(struct run *r, struct script *s)
{
    struct would *d = would_new(postgres_path_claims(r).p, judge_claim);
    d->body = postgres_claim_object(r, NULL);
    script_would(s, "claim dry run", "try the new claim", d);
}
