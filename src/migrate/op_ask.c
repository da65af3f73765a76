/* One request or query of an operation, and what its answer means for it. */
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/vault_client.h"
#include "migrate/op_private.h"
#include "migrate/run.h"
#include "migrate/run_vault.h"
#include "net/http.h"

#define LOOK_BODY_MAX ((size_t)64 * 1024 * 1024)
#define VAULT_LOOK_MS 5000 /* a node that takes longer is one that does not answer */
#define WRITING "fieldManager=ferryman&fieldValidation=Strict"

struct ask {
    struct run *run;
    const struct op *op;
    bool looks;      /* 404 is an answer */
    char *method, *path; /* for the remedy of a 403 */
    struct kube_request *request;
    struct run_asked *query;
    struct run_vault_asked *vault;
    ask_fn fn;
    void *arg;
    bool freed, delivering;
};

static void destroy(struct ask *a) {
    kube_request_free(a->request);
    run_query_free(a->query);
    run_vault_ask_free(a->vault);
    mem_free(a->method);
    mem_free(a->path);
    mem_free(a);
}

void ask_free(struct ask *a) {
    if (!a) return;
    a->freed = true;
    if (!a->delivering) destroy(a);
}

static void deliver(struct ask *a, const struct reply *reply) {
    a->delivering = true;
    a->fn(a->arg, reply);
    a->delivering = false;
    if (a->freed) destroy(a);
}

/* ---- Kubernetes ---- */

static enum reply_kind kind_of(const struct ask *a, const struct http_result *x, const struct err *e) {
    if (!e) return REPLY_OK;
    if (a->looks && x->status == 404) return REPLY_OK;
    if (x->status == 403 && err_kind(e) == ERR_UNAVAILABLE) return REPLY_AGAIN; /* it has only just started */
    if (x->status == 0 || x->error || x->status == 401 || x->status == 429 || x->status >= 500) return REPLY_AGAIN;
    return x->status == 404 || x->status == 409 || x->status == 422 ? REPLY_CONFLICT : REPLY_REFUSED;
}

static const char *verb_of(const char *method) {
    return str_eq(method, "GET") ? "get" : str_eq(method, "POST") ? "create" : str_eq(method, "DELETE") ? "delete" : "patch";
}

/* What helps against a refusal: a quota is refused with the code of a missing right. */
static struct err *with_remedy(const struct ask *a, const struct http_result *x, const struct err *e) {
    const char *text = err_text(e);
    if (x->status == 403 && strstr(text, "exceeded quota"))
        return err_new(ERR_DENIED, "%s; raise the ResourceQuota of the namespace or remove what uses it up, then try again", text);
    if (x->status == 403)
        return err_new(ERR_DENIED, "%s; this needs the right to %s there: have it granted, then try again", text, verb_of(a->method));
    if (x->status == 409 && !a->looks)
        return err_new(err_kind(e), "%s; somebody else writes it: its managedFields say who; stop that, then try again", text);
    if (x->status == 422 && !a->looks)
        return err_new(err_kind(e), "%s; correct in the plan or in the object what this names, then try again", text);
    return err_copy(e);
}

static void on_answer(void *arg, const struct http_result *x, const struct err *e) {
    struct ask *a = arg;
    struct json_t *doc = NULL;
    struct reply reply = {.kind = kind_of(a, x, e), .status = x->status};
    struct err *bad = reply.kind == REPLY_OK ? NULL : with_remedy(a, x, e);
    if (!e) {
        struct err *unread = jd_parse(buf_str(x->body), x->body->len, a->path, &doc);
        reply.text = (struct slice){buf_str(x->body), x->body->len};
        if (unread && a->looks && slice_starts(x->head.content_type, "application/json")) {
            reply.kind = REPLY_AGAIN; /* cut short on the way */
            bad = unread;
        } else err_ignore(unread, "a log; or an act that was accepted: what became of it is looked at");
    }
    reply.doc = doc;
    reply.e = bad;
    reply.after_ms = x->head.retry_after_s > 0 ? x->head.retry_after_s * CLOCK_MS_PER_S : 0;
    deliver(a, &reply);
    err_free(bad);
    jd_free(doc);
}

static struct ask *ask_new(struct run *r, const struct op *op, bool looks, ask_fn fn, void *arg) {
    struct ask *a = MEM_NEW(struct ask);
    *a = (struct ask){.run = r, .op = op, .looks = looks, .fn = fn, .arg = arg};
    return a;
}

static void send(struct ask *a, const char *method, const char *path, const struct json_t *body, struct kube_call call) {
    struct buf text = {0};
    if (body) jd_dump(body, &text);
    a->method = mem_strdup(method);
    a->path = mem_strdup(path);
    call.method = a->method;
    call.path = a->path;
    call.body = body ? buf_str(&text) : NULL;
    call.on_done = on_answer;
    call.arg = a;
    a->request = kube_start(a->run->kube, &call);
    buf_free(&text);
}

/* The path of something that writes: field manager, strict fields, and perhaps a dry run. */
static char *writing_path(const struct op *op, bool dry) {
    if (str_eq(op->method, "DELETE")) return mem_strdup(op->path);
    return str_printf("%s%c" WRITING "%s", op->path, strchr(op->path, '?') ? '&' : '?', dry ? "&dryRun=All" : "");
}

/* ---- PostgreSQL ---- */

/* Lock timeouts, deadlocks and serialization failures: the statement was rolled back and may be tried again. */
static bool is_passing(const struct err *e) {
    static const char *const states[] = {"(SQLSTATE 55P03)", "(SQLSTATE 40P01)", "(SQLSTATE 40001)"};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_ends(err_text(e), states[i])) return true;
    return false;
}

static void on_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct ask *a = arg;
    struct reply reply = {.rows = rows, .e = e};
    reply.kind = !e ? REPLY_OK : err_kind(e) == ERR_UNAVAILABLE ? REPLY_AGAIN : is_passing(e) ? REPLY_CONFLICT : REPLY_REFUSED;
    deliver(a, &reply);
}

static void query(struct ask *a, const char *sql, bool write, int64_t timeout_ms, int64_t begin_by_ms) {
    const struct op *op = a->op;
    struct run_query q = {.db = op->db, .database = op->database, .sql = sql, .write = write, .identity_any = op->identity_any,
                          .timeout_ms = timeout_ms, .begin_by_ms = begin_by_ms};
    a->query = op->hold ? run_pg_hold(a->run, &q, on_rows, a) : run_query(a->run, &q, on_rows, a);
}

/* ---- Vault ---- */

/* Our own trouble that trying again does not cure: another cluster's node, no right to the pod proxy, no token. */
static bool is_final(const struct err *e) {
    return err_kind(e) == ERR_DATA || err_kind(e) == ERR_DENIED || err_kind(e) == ERR_AUTH;
}

/* A look is answered by whatever Vault says; of an act, what it says of having carried it out. */
static enum reply_kind vault_kind(const struct ask *a, const struct vault_reply *v) {
    if (v->fate != VAULT_ANSWERED) return v->fate == VAULT_BLOCKED && is_final(v->error) ? REPLY_REFUSED : REPLY_AGAIN;
    if (a->looks || !v->error) return REPLY_OK;
    return v->status == 307 || v->status == 429 || v->status >= 500 ? REPLY_AGAIN : REPLY_REFUSED;
}

static struct err *vault_remedy(const struct ask *a, const struct vault_reply *v) {
    if (v->fate == VAULT_ANSWERED && v->status == 403)
        return err_new(ERR_DENIED, "%s; the token needs a policy that allows %s on %s: have it granted, then try again", err_text(v->error),
                       str_eq(a->method, "GET") ? "read" : str_ends(a->path, "sys/step-down") ? "update and sudo" : "update",
                       str_starts(a->path, "/v1/") ? a->path + 4 : a->path);
    return err_copy(v->error);
}

static void on_vault(void *arg, const struct vault_reply *v) {
    struct ask *a = arg;
    struct json_t *doc = NULL;
    struct reply reply = {.kind = vault_kind(a, v), .status = v->status};
    struct err *bad = reply.kind == REPLY_OK ? NULL : vault_remedy(a, v);
    if (reply.kind == REPLY_OK && v->body.n > 0) {
        reply.text = v->body;
        struct err *unread = jd_parse(v->body.p, v->body.n, a->path, &doc);
        if (unread && a->looks) {
            reply.kind = REPLY_AGAIN; /* cut short on the way */
            bad = unread;
        } else err_ignore(unread, "it was accepted: what became of it is looked at");
    }
    reply.doc = doc;
    reply.e = bad;
    deliver(a, &reply);
    err_free(bad);
    jd_free(doc);
}

static void vault(struct ask *a, const char *method, const char *path, const struct json_t *body, int64_t timeout_ms, int64_t begin_by_ms) {
    struct buf text = {0};
    if (body) jd_dump(body, &text);
    a->method = mem_strdup(method);
    a->path = mem_strdup(path);
    a->vault = run_vault_ask(a->run, &(struct run_vault_call){
        .node = a->op->vault, .method = method, .path = path, .body = body ? buf_str(&text) : NULL, .token = a->op->token,
        .timeout_ms = timeout_ms, .begin_by_ms = begin_by_ms,
    }, on_vault, a);
    buf_free(&text);
}

/* ---- The three ways to ask ---- */

bool op_looks(const struct op *op) {
    return op->get || op->look || (op->method && op->kind != OP_ACT);
}

struct ask *ask_look(struct run *r, const struct op *op, int64_t timeout_ms, ask_fn fn, void *arg) {
    struct ask *a = ask_new(r, op, true, fn, arg);
    struct kube_call call = {.timeout_ms = timeout_ms, .max_body = LOOK_BODY_MAX, .content_type = op->content_type};
    if (op->look) query(a, op->look, false, timeout_ms, 0);
    else if (op->vault) vault(a, "GET", op->get, NULL, timeout_ms < VAULT_LOOK_MS ? timeout_ms : VAULT_LOOK_MS, 0);
    else if (op->method && op->kind != OP_ACT) send(a, op->method, op->path, op->body, call);
    else send(a, "GET", op->get, NULL, call);
    return a;
}

struct ask *ask_act(struct run *r, const struct op *op, int64_t timeout_ms, int64_t begin_by_ms, ask_fn fn, void *arg) {
    struct ask *a = ask_new(r, op, false, fn, arg);
    if (op->sql) {
        query(a, op->sql, true, timeout_ms, begin_by_ms);
        return a;
    }
    if (op->vault) {
        vault(a, op->method, op->path, op->body, timeout_ms, begin_by_ms);
        return a;
    }
    char *path = writing_path(op, false);
    send(a, op->method, path, op->body, (struct kube_call){.timeout_ms = timeout_ms, .content_type = op->content_type, .fresh = true, .begin_by_ms = begin_by_ms});
    mem_free(path);
    return a;
}

struct ask *ask_dry(struct run *r, const struct op *op, const char *name, ask_fn fn, void *arg) {
    struct ask *a = ask_new(r, op, false, fn, arg);
    struct json_t *body = jd_copy(op->body), *all = jd_array();
    char *path = writing_path(op, true);
    jd_append(all, jd_string("All"));
    if (str_eq(op->method, "DELETE")) jd_set(body, "dryRun", all);
    else jd_free(all);
    if (name) jd_put(body, "metadata.name", jd_string(name));
    send(a, op->method, path, body, (struct kube_call){.content_type = op->content_type});
    jd_free(body);
    mem_free(path);
    return a;
}
