/* What the API server would make of our objects, asked with dryRun=All: the pod of the template (hazard 2: a running pod may predate what
 * would be made now; 3: what writes before initdb), and the claim (quotas, limit ranges). */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/kube_ask.h"
#include "migrate/postgres.h"
#include "migrate/postgres_judge.h"
#include "migrate/postgres_preflight.h"
#include "world/world.h"

#define ASK_MS 15000
#define DEFAULT_PGDATA "/var/lib/postgresql/data"

/* ---- A dry run as a job ---- */

struct dry {
    unsigned refs;
    struct run *run;
    struct op *op;
    struct kube_ask *ask;
    char *path;
    struct json_t *body;    /* of the claim; of the pod once the template is known */
    struct json_t *running; /* spec of the pod that runs */
    /* Judges what the server answered; appends the result. */
    bool (*judge)(struct dry *d, const struct json_t *answer, struct buf *out);
};

static void unref(void *data)
{
    struct dry *d = data;
    if (--d->refs > 0)
        return;
    kube_ask_free(d->ask);
    mem_free(d->path);
    jd_free(d->body);
    jd_free(d->running);
    mem_free(d);
}

static struct dry *dry_new(const char *path, bool (*judge)(struct dry *d, const struct json_t *answer, struct buf *out))
{
    struct dry *d = MEM_NEW(struct dry);
    d->refs = 1;
    d->path = str_printf("%s?dryRun=All", path);
    d->judge = judge;
    return d;
}

static void give(struct op *op, struct dry *d)
{
    d->refs++;
    op->data = d;
    op->drop = unref;
}

/* A webhook that refuses for the dry run's sake says nothing about the object (safety 37). */
static bool is_for_being_dry(const struct err *e)
{
    return strstr(err_text(e), "dry run") || strstr(err_text(e), "dryRun");
}

static void on_answer(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct dry *d = arg;
    struct buf out = {0};
    struct err *bad = NULL;
    if (status == 409)
        buf_adds(&out, "it exists already");
    else if (e && is_for_being_dry(e))
        buf_adds(&out, "note: a webhook does not take dry runs, so this is not known");
    else if (e)
        bad = err_new(err_kind(e), "the API server would refuse it: %s; %s", err_text(e),
                      strstr(err_text(e), "exceeded quota") ? "raise the ResourceQuota of the namespace, or remove what uses it up"
                                                            : "correct in the plan or in the cluster what this names");
    else if (!d->judge(d, doc, &out))
        bad = err_new(ERR_FAILED, "%s", buf_str(&out));
    kube_ask_free(d->ask);
    d->ask = NULL;
    op_job_done(d->run, d->op, bad, buf_str(&out));
    buf_free(&out);
}

static void start(struct run *r, struct op *op)
{
    struct dry *d = op->data;
    d->run = r;
    d->op = op;
    d->ask = kube_ask_new(r->kube, "POST", d->path, d->body, ASK_MS, on_answer, d);
}

static void cancel(struct run *r, struct op *op)
{
    struct dry *d = op->data;
    (void)r;
    kube_ask_free(d->ask);
    d->ask = NULL;
}

static const struct op_job job = {.start = start, .cancel = cancel};

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
    struct dry *d = op->data;
    const struct json_t *template = jd_get(seen->doc, "spec.template");
    if (!template) {
        buf_printf(reason, "deployment %s is not there", postgres_spec(r)->deployment);
        return OP_REFUSE;
    }
    jd_free(d->body);
    d->body = jd_object();
    jd_set(d->body, "apiVersion", jd_string("v1"));
    jd_set(d->body, "kind", jd_string("Pod"));
    jd_put(d->body, "metadata.generateName", jd_string("ferryman-dry-run-"));
    jd_put(d->body, "metadata.namespace", jd_string(r->workload->ns));
    struct json_t *labels = jd_get(template, "metadata.labels"), *annotations = jd_get(template, "metadata.annotations");
    if (labels)
        jd_put(d->body, "metadata.labels", jd_copy(labels));
    if (annotations)
        jd_put(d->body, "metadata.annotations", jd_copy(annotations));
    jd_set(d->body, "spec", jd_copy(jd_get(template, "spec")));
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
    struct dry *d = op->data;
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
static void note_rest(struct run *r, const struct dry *d, const struct json_t *spec, struct buf *text)
{
    const char *volume = postgres_spec(r)->volume;
    if (!judge_same_pod(d->running, spec, text))
        run_note(r, "WARN", "the pod that would be made now differs from the one that runs: %s", buf_str(text));
    buf_clear(text);
    if (!judge_initdb_scripts(spec, volume, text))
        run_note(r, "WARN", "%s", buf_str(text));
    buf_clear(text);
}

static bool judge_pod(struct dry *d, const struct json_t *answer, struct buf *out)
{
    struct run *r = d->run;
    const char *volume = postgres_spec(r)->volume;
    const struct json_t *spec = jd_get(answer, "spec"), *container = postgres_container(spec, volume);
    const char *data = data_directory(container);
    struct buf text = {0}, fine = {0}, bad = {0};

    keep(judge_first_writers(spec, volume, data, &text), &text, &fine, &bad);
    keep(judge_pgdata(container, volume, data, &text), &text, &fine, &bad);
    if (on_block(r))
        keep(judge_owner(spec, volume, &text), &text, &fine, &bad);
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
    struct dry *d = dry_new(postgres_path_pods(r).p, judge_pod);
    const char *selector = run_fact(r, "deployment.selector");
    give(script_get(s, "template", "the pod template", postgres_path_deployment(r).p, see_template), d);
    give(script_get(s, "running", "the pod that runs", postgres_path_pods_of(r, selector).p, see_running), d);
    d->refs++;
    script_job(s, "would", script_fmt(s, "try the pod that would be made now: POST %s", d->path), &job, d, unref);
    unref(d);
}

/* ---- The claim ---- */

static bool judge_claim(struct dry *d, const struct json_t *answer, struct buf *out)
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
    struct dry *d = dry_new(postgres_path_claims(r).p, judge_claim);
    d->body = postgres_claim_object(r, NULL);
    script_job(s, "claim dry run", script_fmt(s, "try the new claim: POST %s", d->path), &job, d, unref);
}
