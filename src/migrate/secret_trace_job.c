/* Following Secrets, one question after another: the Secret, who writes it, the stores of that. */
#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/loop.h"
#include "migrate/kube_ask.h"
#include "migrate/run.h"
#include "migrate/secret_trace.h"
#include "net/http.h"

#define GROUP "external-secrets.io"

enum ask { ASK_SECRET, ASK_EXTERNAL, ASK_STORE };

struct trace_job {
    struct trace_list *list;
    enum op_answer (*judge)(struct run *r, const struct trace_list *l, void *data, struct buf *reason);
    void *data;
    void (*drop)(void *data);
    struct run *run;
    struct op *op;
    struct kube_ask *request;
    size_t at;              /* of the list */
    enum ask asked;
    bool beta;              /* the group is asked for in v1beta1 */
    char maker[256];        /* name of the ExternalSecret; "" if it is not known */
    struct json_t *external;
    size_t store;           /* which of its stores */
};

static void next(struct trace_job *j);
static void ask_store(struct trace_job *j);

static struct trace *now(struct trace_job *j) {
    return &j->list->list[j->at];
}

static void stop(struct trace_job *j) {
    loop_undefer(j->run->loop, j);
    kube_ask_free(j->request);
    j->request = NULL;
    jd_free(j->external);
    j->external = NULL;
}

static void end_of_one(struct trace_job *j) {
    jd_free(j->external);
    j->external = NULL;
    j->at++;
    next(j);
}

static void PRINTF_LIKE(2, 3) unknown(struct trace_job *j, const char *fmt, ...) {
    struct trace *t = now(j);
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap), *clean = utf8_cleaned(slice_of(text));
    va_end(ap);
    t->end = TRACE_UNKNOWN;
    snprintf(t->why, sizeof t->why, "%s", clean);
    mem_free(clean);
    mem_free(text);
    end_of_one(j);
}

static void add_way(struct trace *t, const char *kind, const char *name) {
    char *raw = str_printf("%s%s%s%s%s", t->way, *t->way ? " → " : "", kind, *name ? " " : "", name), *clean = utf8_cleaned(slice_of(raw));
    snprintf(t->way, sizeof t->way, "%s", clean);
    mem_free(clean);
    mem_free(raw);
}

/* ---- Answers ---- */

static void ask_externals(struct trace_job *j);

static void on_secret(struct trace_job *j, int status, const struct json_t *doc, const struct err *e) {
    struct trace *t = now(j);
    char kind[64];
    if (status == 404) {
        t->end = TRACE_MISSING;
        end_of_one(j);
    } else if (e) unknown(j, "%s", err_text(e));
    else {
        const char *address = jd_string_value(jd_member(jd_get(doc, "metadata.annotations"), "vault.security.banzaicloud.io/vault-addr"));
        bool made = trace_maker(doc, kind, sizeof kind, j->maker, sizeof j->maker);
        t->end = TRACE_OWN;
        if (address) {
            t->end = TRACE_STORE;
            snprintf(t->provider, sizeof t->provider, "vault");
            snprintf(t->server, sizeof t->server, "%.500s", address);
        } else if (made && str_eq(kind, "ExternalSecret")) {
            ask_externals(j);
            return;
        } else if (made && str_starts(kind, "Vault")) { /* VaultStaticSecret, VaultDynamicSecret, VaultPKISecret */
            t->end = TRACE_STORE;
            snprintf(t->provider, sizeof t->provider, "vault");
        }
        if (made) add_way(t, kind, j->maker);
        end_of_one(j);
    }
}

static void on_externals(struct trace_job *j, int status, const struct json_t *doc, const struct err *e) {
    struct trace *t = now(j);
    if (status == 404 && !j->beta) {
        j->beta = true;
        ask_externals(j);
        return;
    }
    const struct json_t *found = e ? NULL : trace_external(doc, j->maker, t->name);
    add_way(t, "ExternalSecret", found ? jd_str(found, "metadata.name") : j->maker);
    if (status == 404) unknown(j, "the API server does not know " GROUP);
    else if (e) unknown(j, "%s", err_text(e));
    else if (!found) unknown(j, "no ExternalSecret of namespace %s writes it", t->ns);
    else {
        j->external = jd_copy(found);
        j->store = 0;
        ask_store(j);
    }
}

static void on_store(struct trace_job *j, int status, const struct json_t *doc, const struct err *e) {
    const char *kind, *name;
    if (!trace_store_ref(j->external, j->store, &kind, &name)) kind = name = "";
    if (j->store == 0) add_way(now(j), kind, name);
    if (status == 404) unknown(j, "%s %s is not there", kind, name);
    else if (e) unknown(j, "%s", err_text(e));
    else {
        trace_store(doc, now(j));
        /* Any store that is a Vault is the one that matters. */
        if (!str_eq(now(j)->provider, "vault") && trace_store_ref(j->external, j->store + 1, &kind, &name)) {
            j->store++;
            ask_store(j);
        } else end_of_one(j);
    }
}

static void on_answer(void *arg, int status, const struct json_t *doc, const struct err *e) {
    struct trace_job *j = arg;
    struct kube_ask *done = j->request;
    j->request = NULL;
    if (j->asked == ASK_SECRET) on_secret(j, status, doc, e);
    else if (j->asked == ASK_EXTERNAL) on_externals(j, status, doc, e);
    else on_store(j, status, doc, e);
    kube_ask_free(done);
}

/* ---- Questions ---- */

static void ask(struct trace_job *j, enum ask what, const char *base, const char *ns, const char *plural, const char *name) {
    struct buf path = {0};
    buf_adds(&path, base);
    if (ns) {
        buf_adds(&path, "/namespaces/");
        http_escape(&path, ns);
    }
    buf_printf(&path, "/%s", plural);
    if (name) {
        buf_addc(&path, '/');
        http_escape(&path, name);
    }
    j->asked = what;
    j->request = kube_ask_new(j->run->kube, "GET", buf_str(&path), NULL, 0, on_answer, j);
    buf_free(&path);
}

static const char *group(const struct trace_job *j) {
    return j->beta ? "/apis/" GROUP "/v1beta1" : "/apis/" GROUP "/v1";
}

static void ask_externals(struct trace_job *j) {
    ask(j, ASK_EXTERNAL, group(j), now(j)->ns, "externalsecrets", NULL);
}

static void ask_store(struct trace_job *j) {
    const char *kind, *name;
    if (!trace_store_ref(j->external, j->store, &kind, &name)) unknown(j, "it names no store");
    else if (str_eq(kind, "ClusterSecretStore")) ask(j, ASK_STORE, group(j), NULL, "clustersecretstores", name);
    else ask(j, ASK_STORE, group(j), now(j)->ns, "secretstores", name);
}

static void finish(void *arg) {
    struct trace_job *j = arg;
    struct buf reason = {0};
    struct run *run = j->run;
    enum op_answer answer = j->judge(run, j->list, j->data, &reason);
    struct err *e = answer == OP_DONE ? NULL : err_new(ERR_FAILED, "%s", buf_str(&reason));
    j->run = NULL;
    op_job_done(run, j->op, e, buf_str(&reason));
    buf_free(&reason);
}

static void next(struct trace_job *j) {
    if (j->at == j->list->n) {
        loop_defer(j->run->loop, finish, j);
        return;
    }
    struct trace *t = now(j);
    t->way[0] = t->provider[0] = t->server[0] = t->why[0] = '\0';
    ask(j, ASK_SECRET, "/api/v1", t->ns, "secrets", t->name);
}

/* ---- The job ---- */

static void start(struct run *r, struct op *op) {
    struct trace_job *j = op->data;
    j->run = r;
    j->op = op;
    j->at = 0;
    j->beta = false;
    next(j);
}

static void cancel(struct run *r, struct op *op) {
    struct trace_job *j = op->data;
    (void)r;
    if (j->run) stop(j);
    j->run = NULL;
}

static void drop(void *data) {
    struct trace_job *j = data;
    if (j->run) stop(j);
    if (j->drop) j->drop(j->data);
    mem_free(j->list);
    mem_free(j);
}

static const struct op_job job = {.start = start, .cancel = cancel};

struct op *script_secret_trace(struct script *s, const char *id, const char *what, struct trace_list *list,
                               enum op_answer (*judge)(struct run *r, const struct trace_list *l, void *data, struct buf *reason), void *data,
                               void (*drop_data)(void *data)) {
    struct trace_job *j = MEM_NEW(struct trace_job);
    *j = (struct trace_job){.list = list, .judge = judge, .data = data, .drop = drop_data};
    return script_job(s, id, what, &job, j, drop);
}
