/* Vault for a run. A node is asked only after it has proved, lately, that it belongs to the cluster that is meant: sys/health, which needs no
 * token, goes first and is not repeated for a while, before an act for 2 s. Whatever is not an answer of that node takes the proof back, so a pod that was
 * replaced proves itself again. The token is read anew for each request that needs it, and kept nowhere. */
#include "migrate/run_vault.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "loop/loop.h"
#include "migrate/run_private.h"

#define PROOF_MS 30000    /* for so long a node that goes on answering is believed to be the same */
#define ACT_PROOF_MS 2000 /* and before an act (safety 2) */
#define CA_MAX_BYTES ((size_t)1024 * 1024)
#define HEALTH "/v1/sys/health"

struct node {
    char *name;
    struct vault_client *client;
    int64_t proved_ms; /* mono; 0: not proved */
    struct node *next;
};

struct run_vault {
    struct run *run;
    struct node *nodes;
    bool ca_read;
    struct buf ca;
    struct err *unusable; /* ca_file */
};

struct run_vault_asked {
    struct run_vault *vault;
    struct node *node; /* NULL: it could not be asked */
    char *name, *method, *path, *body;
    bool token, proving, delivering, freed;
    int64_t timeout_ms, begin_by_ms;
    struct vault_request *request;
    struct err *unsent;
    void (*fn)(void *arg, const struct vault_reply *reply);
    void *arg;
};

struct run_vault_stream {
    struct run_vault_asked *proof; /* of the node, before anything is streamed */
    struct vault_stream *stream;
    struct run *run;
    char *node, *path;
    int64_t idle_ms;
    bool paused, delivering, freed;
    struct err *unsent;
    void (*on_data)(void *arg, struct slice bytes);
    void (*on_end)(void *arg, const struct err *e);
    void *arg;
};

static const struct plan_raft *spec_of(const struct run *r) {
    return r->workload->spec;
}

/* ---- Life ---- */

struct run_vault *run_vault_new(struct run *r) {
    struct run_vault *v = MEM_NEW(struct run_vault);
    v->run = r;
    return v;
}

void run_vault_free(struct run_vault *v) {
    if (!v) return;
    while (v->nodes) {
        struct node *n = v->nodes;
        v->nodes = n->next;
        vault_client_free(n->client);
        mem_free(n->name);
        mem_free(n);
    }
    buf_free(&v->ca);
    err_free(v->unusable);
    mem_free(v);
}

/* ---- The token ---- */

/* VAULT_TOKEN, else ~/.vault-token, as Vault's own client has it; a plan's file instead of both. */
static struct err *read_token(const struct run *r, struct secret **ret) {
    const struct plan_raft *p = spec_of(r);
    const char *env = getenv("VAULT_TOKEN");
    if (str_eq(p->vault.token, "none")) return err_new(ERR_AUTH, "the plan says 'token: none', and this needs one: name it in the plan");
    if (p->vault.token_file) return secret_from_file(p->vault.token_file, ret);
    if (env && *env) {
        *ret = secret_new(env, strlen(env));
        return NULL;
    }
    char *path = file_resolve(".", "~/.vault-token");
    struct err *e = file_exists(path) ? secret_from_file(path, ret)
                                      : err_new(ERR_AUTH, "no Vault token: set VAULT_TOKEN, put one into ~/.vault-token, or name a file in the "
                                                          "plan (vault: { token: { file: … } })");
    mem_free(path);
    return e;
}

bool run_vault_has_token(const struct run *r) {
    struct secret *token = NULL;
    err_ignore(read_token(r, &token), "whether there is one is what is asked");
    bool has = token && secret_len(token) > 0;
    secret_free(token);
    return has;
}

/* ---- Nodes ---- */

static const char *url_of(const struct plan_raft *p, const char *name) {
    for (size_t i = 0; i < p->vault.urls.n; i++)
        if (str_eq(p->vault.urls.keys[i], name)) return p->vault.urls.values[i];
    return NULL;
}

static void read_ca(struct run_vault *v) {
    const char *file = spec_of(v->run)->vault.ca_file;
    if (v->ca_read || !file) return;
    err_free(v->unusable);
    v->unusable = file_read(file, CA_MAX_BYTES, &v->ca);
    v->ca_read = !v->unusable;
}

static struct err *node_find(struct run_vault *v, const char *name, struct node **ret) {
    const struct plan_raft *p = spec_of(v->run);
    bool direct = str_eq(p->vault.via, "direct");
    const char *url = direct ? url_of(p, name) : NULL;
    for (struct node *n = v->nodes; n; n = n->next)
        if (str_eq(n->name, name)) {
            *ret = n;
            return NULL;
        }
    read_ca(v);
    if (v->unusable) return err_wrap(err_copy(v->unusable), "vault: ca_file");
    if (direct && !url) return err_new(ERR_DATA, "%s: the plan has no URL of it: add it to 'urls' of the workload's vault:", name);
    struct node *n = MEM_NEW(struct node);
    n->name = mem_strdup(name);
    n->client = vault_client_new(&(struct vault_client_options){
        .loop = v->run->loop, .name = name, .url = url, .ca_pem = v->ca.len ? buf_str(&v->ca) : NULL,
        .tls_server_name = p->vault.tls_server_name, .insecure = p->vault.insecure, .kube = direct ? NULL : v->run->kube,
        .ns = v->run->workload->ns, .pod = name, .scheme = p->vault.scheme, .port = (unsigned)p->vault.port,
    });
    n->next = v->nodes;
    v->nodes = n;
    *ret = n;
    return NULL;
}

/* ---- Identity ---- */

static bool is_health(const char *path) {
    size_t n = strlen(HEALTH);
    return strncmp(path, HEALTH, n) == 0 && (path[n] == '\0' || path[n] == '?');
}

/* What this health says about whose node it is; NULL: ours, or it has no cluster yet. */
static struct err *judge_identity(struct run_vault *v, struct node *n, struct slice body) {
    struct vault_health h;
    const char *pin = spec_of(v->run)->vault.cluster_id;
    const char *noted = run_has(v->run, "vault.cluster_id") ? run_fact(v->run, "vault.cluster_id") : NULL;
    struct err *e = vault_parse_health(body, &h);
    n->proved_ms = 0;
    if (e) return err_wrap(e, "%s: whose node it is could not be read", n->name);
    if (!h.cluster_id[0] && (h.sealed || !h.initialized)) return NULL; /* wiped or sealed: it does not know yet, and is asked again */
    if (pin && !str_eq(pin, h.cluster_id))
        return err_new(ERR_DATA, "%s: another Vault answers there: its cluster_id is %s, the plan pins %s; nothing is asked of it",
                       n->name, h.cluster_id[0] ? h.cluster_id : "not given", pin);
    if (noted && !str_eq(noted, h.cluster_id))
        return err_new(ERR_DATA, "%s: another Vault answers there: its cluster_id is %s, this run began with %s; nothing is asked of it",
                       n->name, h.cluster_id[0] ? h.cluster_id : "not given", noted);
    n->proved_ms = clock_mono_ms();
    return NULL;
}

static bool is_proved(const struct node *n, bool for_act) {
    return n->proved_ms > 0 && clock_mono_ms() - n->proved_ms < (for_act ? ACT_PROOF_MS : PROOF_MS);
}

/* ---- Asking ---- */

static void asked_destroy(struct run_vault_asked *a) {
    loop_undefer(a->vault->run->loop, a);
    vault_request_free(a->request);
    err_free(a->unsent);
    mem_free(a->name);
    mem_free(a->method);
    mem_free(a->path);
    mem_free(a->body);
    mem_free(a);
}

void run_vault_ask_free(struct run_vault_asked *a) {
    if (!a) return;
    a->freed = true;
    if (!a->delivering) asked_destroy(a);
}

static void deliver(struct run_vault_asked *a, const struct vault_reply *reply) {
    a->delivering = true;
    a->fn(a->arg, reply);
    a->delivering = false;
    if (a->freed) asked_destroy(a);
}

static void deliver_error(struct run_vault_asked *a, const struct err *e) {
    deliver(a, &(struct vault_reply){.fate = VAULT_BLOCKED, .error = e, .ms = -1});
}

static void deliver_unsent(void *arg) {
    struct run_vault_asked *a = arg;
    deliver_error(a, a->unsent);
}

/* e is taken over; it is told from the loop. */
static void unsent(struct run_vault_asked *a, struct err *e) {
    err_free(a->unsent);
    a->unsent = e;
    loop_defer(a->vault->run->loop, deliver_unsent, a);
}

static void on_reply(void *arg, const struct vault_reply *reply) {
    struct run_vault_asked *a = arg;
    bool answered = reply->fate == VAULT_ANSWERED, own = answered && is_health(a->path) && reply->status != 307;
    struct err *e = own ? judge_identity(a->vault, a->node, reply->body) : NULL;
    if (!answered) a->node->proved_ms = 0;
    if (e) deliver_error(a, e);
    else deliver(a, reply); /* may free a */
    err_free(e);
}

static void on_proof(void *arg, const struct vault_reply *reply);

static void send(struct run_vault_asked *a) {
    struct secret *token = NULL;
    struct err *e = NULL;
    bool act = a->method && !str_eq(a->method, "GET");
    a->proving = !is_proved(a->node, act) && !is_health(a->path);
    if (!a->proving && a->token) e = read_token(a->vault->run, &token);
    if (!e && a->begin_by_ms && clock_mono_ms() > a->begin_by_ms)
        e = err_new(ERR_UNAVAILABLE, "%s %s was not sent to %s: it came too late for what it rests on", a->method ? a->method : "GET", a->path, a->name);
    if (e) {
        unsent(a, err_wrap(e, "%s", a->name));
        return;
    }
    a->request = vault_ask(a->node->client, &(struct vault_call){
        .method = a->proving ? NULL : a->method, .path = a->proving ? HEALTH : a->path, .token = a->proving ? NULL : token,
        .body = a->proving ? NULL : a->body, .timeout_ms = a->timeout_ms, .fresh = act && !a->proving,
        .begin_by_ms = a->proving ? 0 : a->begin_by_ms, .on_reply = a->proving ? on_proof : on_reply, .arg = a,
    });
    secret_free(token);
}

/* The proof is there: the question itself. A node that does not even say how it is, or is not ours, is asked nothing more. */
static void on_proof(void *arg, const struct vault_reply *reply) {
    struct run_vault_asked *a = arg;
    struct err *e = NULL;
    if (reply->fate == VAULT_ANSWERED) e = judge_identity(a->vault, a->node, reply->body);
    if (reply->fate != VAULT_ANSWERED) {
        a->node->proved_ms = 0;
        deliver(a, reply);
    } else if (e) {
        deliver_error(a, e);
    } else {
        int64_t proved = a->node->proved_ms;
        vault_request_free(a->request);
        a->request = NULL;
        a->node->proved_ms = clock_mono_ms(); /* or it has no cluster yet: asked once, believed once */
        send(a);
        a->node->proved_ms = proved;
    }
    err_free(e);
}

struct run_vault_asked *run_vault_ask(struct run *r, const struct run_vault_call *c, void (*fn)(void *arg, const struct vault_reply *reply),
                                      void *arg) {
    struct run_vault_asked *a = MEM_NEW(struct run_vault_asked);
    *a = (struct run_vault_asked){
        .vault = r->vault, .name = mem_strdup(c->node), .method = mem_strdup(c->method), .path = mem_strdup(c->path), .body = mem_strdup(c->body),
        .token = c->token, .timeout_ms = c->timeout_ms ? c->timeout_ms : VAULT_TIMEOUT_MS, .begin_by_ms = c->begin_by_ms, .fn = fn, .arg = arg,
    };
    struct err *e = node_find(r->vault, c->node, &a->node);
    if (e) unsent(a, e);
    else send(a);
    return a;
}

/* ---- Streams ---- */

static void stream_destroy(struct run_vault_stream *s) {
    loop_undefer(s->run->loop, s);
    run_vault_ask_free(s->proof);
    vault_stream_free(s->stream);
    err_free(s->unsent);
    mem_free(s->node);
    mem_free(s->path);
    mem_free(s);
}

void run_vault_stream_free(struct run_vault_stream *s) {
    if (!s) return;
    s->freed = true;
    if (!s->delivering) stream_destroy(s);
}

static void stream_end(void *arg, const struct err *e) {
    struct run_vault_stream *s = arg;
    s->delivering = true;
    s->on_end(s->arg, e);
    s->delivering = false;
    if (s->freed) stream_destroy(s);
}

static void stream_unsent(void *arg) {
    struct run_vault_stream *s = arg;
    stream_end(s, s->unsent);
}

static void stream_data(void *arg, struct slice bytes) {
    struct run_vault_stream *s = arg;
    s->on_data(s->arg, bytes); /* may free s */
}

static void stream_begin(struct run_vault_stream *s) {
    struct node *n = NULL;
    struct secret *token = NULL;
    struct err *e = node_find(s->run->vault, s->node, &n);
    if (!e) e = read_token(s->run, &token);
    if (e) {
        s->unsent = e;
        loop_defer(s->run->loop, stream_unsent, s);
        return;
    }
    s->stream = vault_stream_new(n->client, &(struct vault_stream_call){
        .path = s->path, .token = token, .idle_ms = s->idle_ms, .on_data = stream_data, .on_end = stream_end, .arg = s,
    });
    vault_stream_pause(s->stream, s->paused);
    secret_free(token);
}

/* Sealed and wiped nodes have no snapshot; what health says of them is the reason. */
static void on_stream_proof(void *arg, const struct vault_reply *reply) {
    struct run_vault_stream *s = arg;
    bool healthy = reply->fate == VAULT_ANSWERED && (reply->status == 200 || reply->status == 429 || reply->status == 472 || reply->status == 473);
    if (healthy) stream_begin(s);
    else stream_end(s, reply->error);
}

struct run_vault_stream *run_vault_stream(struct run *r, const char *node, const char *path, int64_t idle_ms,
                                          void (*on_data)(void *arg, struct slice bytes), void (*on_end)(void *arg, const struct err *e), void *arg) {
    struct run_vault_stream *s = MEM_NEW(struct run_vault_stream);
    *s = (struct run_vault_stream){.run = r, .node = mem_strdup(node), .path = mem_strdup(path), .idle_ms = idle_ms,
                                   .on_data = on_data, .on_end = on_end, .arg = arg};
    s->proof = run_vault_ask(r, &(struct run_vault_call){.node = node, .path = HEALTH}, on_stream_proof, s);
    return s;
}

void run_vault_stream_pause(struct run_vault_stream *s, bool paused) {
    s->paused = paused;
    if (s->stream) vault_stream_pause(s->stream, paused);
}
