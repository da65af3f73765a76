/* The ways to the servers of a run: conninfo's address, the pod's own, or a port-forward to the pod, whose uid is read again once it
 * listens (a name is not an identity). And what is to be expected there. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "client/pg_conn.h"
#include "client/pg_forward.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/run_pg_private.h"
#include "net/http.h"

#define PASSWORD_MAX_BYTES ((size_t)1 << 20)
#define WAY_MS 25000
#define LOOPBACK "127.0.0.1"

static const struct plan_postgres *plan_of(const struct run *r) {
    return r->workload->spec;
}

bool run_pg_forwards(const struct run *r) {
    return str_eq(plan_of(r)->postgres.via, "port-forward");
}

/* ---- What is expected there ---- */

/* The target's identifier is born by the swap; after a rollback the old one serves again. What the plan pins is the source's. */
const char *run_pg_expected(const struct run *r, enum run_db db) {
    bool moved = run_has(r, "pg.identifier.new") && !run_has(r, "rolled_back.at");
    const char *name = db == DB_SCRATCH ? "pg.identifier.scratch" : moved ? "pg.identifier.new" : "pg.identifier.old";
    if (db == DB_SERVER && !moved && plan_of(r)->postgres.identifier) return plan_of(r)->postgres.identifier;
    return run_has(r, name) ? run_fact(r, name) : NULL;
}

/* A rollback leads from one to the other; which one serves is judged by the rollback's own first boot. */
const char *run_pg_also_expected(const struct run *r, enum run_db db) {
    bool back = db == DB_SERVER && r->runner && str_eq(op_runner_phase(r->runner), "rollback");
    return back && run_has(r, "pg.identifier.old") ? run_fact(r, "pg.identifier.old") : NULL;
}

/* ---- Password ---- */

/* host:port:database:user:password lines are .pgpass's form; anything else in the file is the password itself. */
static bool is_pgpass(const struct buf *text) {
    struct slice rest = buf_slice(text), line;
    int colons = 0;
    slice_cut(&rest, '\n', &line);
    for (size_t i = 0; i < line.n; i++) colons += line.p[i] == ':';
    return colons >= 4;
}

static struct err *from_file(struct run_pg *p, const char *file, bool *ret_pgpass) {
    struct buf text = {0};
    struct err *e = file_read(file, PASSWORD_MAX_BYTES, &text);
    *ret_pgpass = !e && is_pgpass(&text);
    if (text.p) secret_wipe(text.p, text.len);
    buf_free(&text);
    if (e) return err_wrap(e, "postgres of %s: password_file", p->run->workload->name);
    return *ret_pgpass ? NULL : secret_from_file(file, &p->password);
}

/* The bootstrap user's password is the same on the old server, the new one and the scratch one: it comes from the pod's environment. */
struct err *run_pg_password(struct run_pg *p) {
    const struct run *r = p->run;
    const char *file = plan_of(r)->postgres.password_file;
    bool pgpass = false;
    if (p->password_known) return NULL;
    struct err *e = file ? from_file(p, file, &pgpass) : NULL;
    if (!e && !p->password)
        e = pg_password_find("postgres", plan_of(r)->postgres.conninfo, pgpass ? file : NULL, run_has(r, "pg.database") ? run_fact(r, "pg.database") : NULL,
                             run_has(r, "pg.user") ? run_fact(r, "pg.user") : NULL, &p->password);
    p->password_known = !e;
    return e;
}

void run_pg_password_forget(struct run_pg *p) {
    secret_free(p->password);
    p->password = NULL;
    p->password_known = false;
}

/* ---- Port-forwards ---- */

static struct session *next_waiting(const struct way *w, bool all) {
    for (struct session *s = w->pg->sessions; s; s = s->next)
        if (s->db == w->db && s->pod_uid && (all || s->state == SESSION_WAITING)) return s;
    return NULL;
}

/* From the start for each: what is told to one may end others. */
static void for_waiting(struct way *w, const struct err *e) {
    for (struct session *s; (s = next_waiting(w, e != NULL)) != NULL;) {
        if (e) session_fail(s, err_copy(e));
        else session_connect(s, LOOPBACK, w->port);
    }
}

void run_pg_way_close(struct way *w) {
    timer_free(w->timer);
    pg_forward_free(w->forward);
    kube_request_free(w->check);
    mem_free(w->pod_uid);
    w->timer = NULL;
    w->forward = NULL;
    w->check = NULL;
    w->pod_uid = NULL;
    w->port = w->listens = 0;
}

static void way_fails(struct way *w, struct err *e) {
    run_pg_way_close(w);
    for_waiting(w, e);
    err_free(e);
}

static void on_pod(void *arg, const struct http_result *x, const struct err *e) {
    struct way *w = arg;
    struct json_t *doc = NULL;
    const char *pod = run_pg_pod_fact(w->pg->run, w->db, "name");
    struct err *bad = e ? err_copy(e) : jd_parse(buf_str(x->body), x->body->len, "pod", &doc);
    const char *uid = jd_str(doc, "metadata.uid");
    if (!bad && !str_eq(uid, w->pod_uid))
        bad = err_new(ERR_FAILED, "the port-forward leads to pod %s with uid %s, expected is %s: the pod was replaced", pod ? pod : "", uid ? uid : "none", w->pod_uid);
    jd_free(doc);
    if (bad) {
        way_fails(w, bad);
        return;
    }
    w->port = w->listens;
    timer_stop(w->timer);
    for_waiting(w, NULL);
}

static void on_port(void *arg, unsigned port) {
    struct way *w = arg;
    struct run *r = w->pg->run;
    const char *pod = run_pg_pod_fact(r, w->db, "name");
    struct buf path = {0};
    w->listens = port;
    buf_printf(&path, "/api/v1/namespaces/");
    http_escape(&path, r->workload->ns);
    buf_adds(&path, "/pods/");
    http_escape(&path, pod ? pod : "");
    kube_request_free(w->check);
    w->check = kube_start(r->kube, &(struct kube_call){.path = buf_str(&path), .timeout_ms = 10000, .on_done = on_pod, .arg = w});
    buf_free(&path);
}

static void on_forward_end(void *arg, const struct err *e) {
    way_fails(arg, err_copy(e));
}

static struct err *way_open(struct way *w, const char *pod) {
    struct run *r = w->pg->run;
    const struct kube_config *k = r->config;
    const char *kubectl[8] = {"kubectl"};
    size_t n = 1;
    if (k->file && !k->in_cluster) {
        kubectl[n++] = "--kubeconfig";
        kubectl[n++] = k->file;
    }
    if (k->context) {
        kubectl[n++] = "--context";
        kubectl[n++] = k->context;
    }
    char *object = str_printf("pod/%s", pod);
    struct err *e = pg_forward_start(r->loop, &(struct pg_forward_options){
        .kubectl = kubectl, .ns = r->workload->ns, .object = object, .port = (unsigned)plan_of(r)->postgres.port,
        .on_port = on_port, .on_end = on_forward_end, .arg = w,
    }, &w->forward);
    mem_free(object);
    return e;
}

static void on_late(void *arg) {
    struct way *w = arg;
    const char *pod = run_pg_pod_fact(w->pg->run, w->db, "name");
    way_fails(w, err_new(ERR_UNAVAILABLE, "kubectl port-forward pod/%s: %s within %d s", pod ? pod : "", w->listens ? "the pod was not answered for" : "does not listen",
                         WAY_MS / 1000));
}

static void way_of(struct way *w, struct session *s, const char *pod) {
    if (w->forward && !str_eq(w->pod_uid, s->pod_uid)) run_pg_way_close(w); /* of the pod before */
    if (w->port) {
        session_connect(s, LOOPBACK, w->port);
        return;
    }
    if (w->forward) return; /* on_pod comes */
    w->pod_uid = mem_strdup(s->pod_uid);
    w->timer = timer_new(w->pg->run->loop, on_late, w);
    timer_start(w->timer, WAY_MS, 0);
    struct err *e = way_open(w, pod);
    if (e) way_fails(w, e);
}

void run_pg_way(struct session *s, const char *pod, const char *ip) {
    const struct run *r = s->pg->run;
    if (run_pg_forwards(r)) way_of(&s->pg->ways[s->db], s, pod);
    else if (s->db == DB_SERVER) session_connect(s, NULL, 0);
    else session_connect(s, ip, (unsigned)plan_of(r)->postgres.port);
}
