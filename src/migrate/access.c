#include "migrate/access.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/loop.h"
#include "client/vault_client.h"
#include "migrate/kube_ask.h"
#include "migrate/run.h"
#include "migrate/run_vault.h"

enum { ACCESS_AT_ONCE = 6 };

#define REVIEWS "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

struct access_job;

struct access_question {
    struct access_job *job;
    struct access_need need; /* its strings are ours */
    struct kube_ask *ask;
};

struct access_job {
    struct run *run;
    struct op *op;
    struct access_question *questions;
    bool *missing;
    size_t n, next, running;
    struct run_vault_asked *vault;
    bool vault_done;
    struct err *e; /* the first that could not be asked */
};

static void access_more(struct access_job *j);

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static bool same_place(const struct access_need *a, const struct access_need *b)
{
    return str_eq(a->group, b->group) && str_eq(a->resource, b->resource) && str_eq(a->subresource, b->subresource) &&
           str_eq(a->ns, b->ns) && str_eq(a->name, b->name);
}

static bool is_of_vault(const struct access_need *need)
{
    return str_eq(need->group, ACCESS_VAULT);
}

static void place_text(const struct access_need *need, struct buf *out)
{
    if (is_of_vault(need)) {
        buf_printf(out, " on %s in Vault", need->resource);
        return;
    }
    buf_printf(out, " %s", need->resource);
    if (*need->group)
        buf_printf(out, ".%s", need->group);
    if (need->subresource)
        buf_printf(out, "/%s", need->subresource);
    if (need->name)
        buf_printf(out, " %s", need->name);
    buf_printf(out, need->ns ? " in %s" : "%s", need->ns ? need->ns : " in the whole cluster");
}

void access_text(const struct access_need *needs, const bool *missing, size_t n, struct buf *out)
{
    bool *said = mem_calloc(n + 1, sizeof *said);
    const char *sep = "";
    for (size_t i = 0; i < n; i++) {
        if (!missing[i] || said[i])
            continue;
        buf_printf(out, "%s%s", sep, needs[i].verb);
        for (size_t k = i + 1; k < n; k++) {
            if (missing[k] && !said[k] && same_place(&needs[i], &needs[k])) {
                buf_printf(out, ", %s", needs[k].verb);
                said[k] = true;
            }
        }
        place_text(&needs[i], out);
        sep = "; ";
    }
    mem_free(said);
}

static struct err *access_refusal(const struct access_job *j, size_t missing)
{
    struct access_need *needs = mem_calloc(j->n, sizeof *needs);
    struct buf raw = {0};
    for (size_t i = 0; i < j->n; i++)
        needs[i] = j->questions[i].need;
    access_text(needs, j->missing, j->n, &raw);
    struct err *e = err_new(ERR_FAILED, "%zu of %zu permissions are missing: %s. Ask for a Role%s that grants them", missing, j->n,
                            buf_str(&raw), strstr(buf_str(&raw), " in Vault") ? " (in Vault: for a policy)" : "");
    buf_free(&raw);
    mem_free(needs);
    return e;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static void access_stop(struct access_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        kube_ask_free(j->questions[i].ask);
        j->questions[i].ask = NULL;
    }
    run_vault_ask_free(j->vault);
    j->vault = NULL;
    j->vault_done = false;
    err_free(j->e);
    j->e = NULL;
    j->next = j->running = 0;
}

static void access_end(struct access_job *j)
{
    size_t missing = 0;
    for (size_t i = 0; i < j->n; i++)
        missing += j->missing[i];
    struct err *e = j->e ? err_wrap(err_copy(j->e), "permissions could not be asked for") : NULL;
    if (!e && missing > 0)
        e = access_refusal(j, missing);
    char *detail = str_printf("%zu of %zu permissions", j->n - missing, j->n);
    struct run *run = j->run;
    struct op *op = j->op;
    access_stop(j);
    op_job_done(run, op, e, detail);
    mem_free(detail);
}

/* ---- Vault: all paths in one question ---- */

bool access_granted(const struct json_t *answer, const char *path, const char *capability)
{
    const struct json_t *list = jd_member(jd_get(answer, "data"), path);
    list = list ? list : jd_member(answer, path);
    for (size_t i = 0; i < jd_len(list); i++) {
        const char *granted = jd_string_value(jd_at(list, i));
        if (str_eq(granted, capability) || str_eq(granted, "root"))
            return true;
    }
    return false;
}

static void access_on_vault(void *arg, const struct vault_reply *reply)
{
    struct access_job *j = arg;
    struct json_t *doc = NULL;
    struct err *e = reply->error ? err_copy(reply->error) : jd_parse(reply->body.p, reply->body.n, "sys/capabilities-self", &doc);
    struct run_vault_asked *done = j->vault;
    for (size_t i = 0; i < j->n; i++)
        if (is_of_vault(&j->questions[i].need))
            j->missing[i] = !access_granted(doc, j->questions[i].need.resource, j->questions[i].need.verb);
    if (e && !j->e)
        j->e = err_wrap(e, "sys/capabilities-self of Vault");
    else
        err_free(e);
    jd_free(doc);
    j->vault = NULL;
    j->vault_done = true;
    run_vault_ask_free(done);
    access_end(j);
}

/* False: nothing of Vault is to be asked. */
static bool access_ask_vault(struct access_job *j)
{
    const struct access_need *first = NULL;
    struct json_t *body = jd_object(), *paths = jd_array();
    struct buf text = {0};
    for (size_t i = 0; i < j->n; i++) {
        if (!is_of_vault(&j->questions[i].need))
            continue;
        first = first ? first : &j->questions[i].need;
        jd_append(paths, jd_string(j->questions[i].need.resource));
    }
    jd_set(body, "paths", paths);
    jd_dump(body, &text);
    if (first)
        j->vault = run_vault_ask(j->run, &(struct run_vault_call){.node = first->ns, .method = "POST", .path = "/v1/sys/capabilities-self",
                                                                  .body = buf_str(&text), .token = true}, access_on_vault, j);
    buf_free(&text);
    jd_free(body);
    return first != NULL;
}

static void access_finish(struct access_job *j)
{
    if (j->e || j->vault_done || !access_ask_vault(j))
        access_end(j);
}

/* ---- Kubernetes ---- */

static void access_on_answer(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct access_question *q = arg;
    struct access_job *j = q->job;
    (void)status;
    kube_ask_free(q->ask);
    q->ask = NULL;
    j->running--;
    /* Allowed is only what says so. */
    j->missing[q - j->questions] = e || !jd_flag(doc, "status.allowed", false);
    if (e && !j->e)
        j->e = err_copy(e);
    if (!j->e)
        access_more(j);
    if (j->running == 0 && (j->e || j->next == j->n))
        access_finish(j);
}

static void put(struct json_t *at, const char *key, const char *value)
{
    if (value && *value)
        jd_set(at, key, jd_string(value));
}

static struct json_t *review_of(const struct access_need *need)
{
    struct json_t *d = jd_object(), *at = jd_object();
    put(at, "namespace", need->ns);
    put(at, "verb", need->verb);
    put(at, "group", need->group);
    put(at, "resource", need->resource);
    put(at, "subresource", need->subresource);
    put(at, "name", need->name);
    jd_set(d, "apiVersion", jd_string("authorization.k8s.io/v1"));
    jd_set(d, "kind", jd_string("SelfSubjectAccessReview"));
    jd_put(d, "spec.resourceAttributes", at);
    return d;
}

static void access_more(struct access_job *j)
{
    while (j->running < ACCESS_AT_ONCE && j->next < j->n) {
        struct access_question *q = &j->questions[j->next++];
        if (is_of_vault(&q->need))
            continue;
        struct json_t *body = review_of(&q->need);
        j->running++;
        q->ask = kube_ask_new(j->run->kube, "POST", REVIEWS, body, 0, access_on_answer, q);
        jd_free(body);
    }
}

static void access_nothing(void *arg)
{
    access_finish(arg);
}

static void access_start(struct run *r, struct op *op)
{
    struct access_job *j = op->data;
    j->run = r;
    j->op = op;
    j->next = j->running = 0;
    access_more(j);
    if (j->running == 0)
        loop_defer(r->loop, access_nothing, j);
}

static void access_cancel(struct run *r, struct op *op)
{
    loop_undefer(r->loop, op->data);
    access_stop(op->data);
}

static const struct op_job access_op_job = {.start = access_start, .cancel = access_cancel};

static void access_drop(void *data)
{
    struct access_job *j = data;
    access_stop(j);
    for (size_t i = 0; i < j->n; i++) {
        const struct access_need *need = &j->questions[i].need;
        const char *strings[] = {need->verb, need->group, need->resource, need->subresource, need->ns, need->name};
        for (size_t k = 0; k < ARRAY_LEN(strings); k++)
            mem_free((char *)(uintptr_t)strings[k]);
    }
    mem_free(j->questions);
    mem_free(j->missing);
    mem_free(j);
}

static bool any_of_vault(const struct access_need *needs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_of_vault(&needs[i]))
            return true;
    return false;
}

struct op *script_access(struct script *s, const struct access_need *needs, size_t n)
{
    struct access_job *j = MEM_NEW(struct access_job);
    j->questions = mem_calloc(n + 1, sizeof *j->questions);
    j->missing = mem_calloc(n + 1, sizeof *j->missing);
    j->n = n;
    for (size_t i = 0; i < n; i++) {
        j->questions[i].job = j;
        j->questions[i].need = (struct access_need){
            .verb = mem_strdup(needs[i].verb),
            .group = mem_strdup(needs[i].group ? needs[i].group : ""),
            .resource = mem_strdup(needs[i].resource),
            .subresource = mem_strdup(needs[i].subresource),
            .ns = mem_strdup(needs[i].ns),
            .name = mem_strdup(needs[i].name),
        };
    }
    return script_job(s, "permissions", script_fmt(s, "ask for %zu permissions (SelfSubjectAccessReview%s)", n, any_of_vault(needs, n) ? ", and sys/capabilities-self of Vault" : ""), &access_op_job, j,
                      access_drop);
}
