#include "engine_sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/kube_config.h"
#include "migrate/plan.h"
#include "setup.h"
#include "source/alert_source.h"
#include "source/kube_source.h"
#include "source/lvm_source.h"
#include "source/pg_source.h"
#include "source/probe_source.h"
#include "source/source.h"
#include "source/vault_source.h"

#define CA_MAX_BYTES ((size_t)1024 * 1024)

/* Any source but Kubernetes': what is needed to ask it again and to end it. */
struct started {
    void *source;
    void (*poke)(void *source);
    void (*free)(void *source);
};

struct engine_sources {
    struct loop *loop;
    struct world *world;
    const struct setup *setup;
    struct kube_source *kube;
    struct started *list;
    size_t count;
    struct source_row **off; /* rows of servers that the plan does not name */
    size_t noff;
};

#define STARTED(prefix)                                                         \
    static void prefix##_poke_any(void *source) { prefix##_source_poke(source); } \
    static void prefix##_free_any(void *source) { prefix##_source_free(source); }
STARTED(vault)
STARTED(pg)
STARTED(alert)
STARTED(lvm)
STARTED(probe)
#undef STARTED

static void keep(struct engine_sources *s, void *source, void (*poke)(void *), void (*drop)(void *)) {
    s->list = mem_reallocarray(s->list, s->count + 1, sizeof *s->list);
    s->list[s->count++] = (struct started){source, poke, drop};
}

static void off(struct engine_sources *s, const char *server, const char *why) {
    struct source_row *r = source_row_new(s->world, server, "none", 0);
    source_row_off(r, why);
    s->off = mem_reallocarray(s->off, s->noff + 1, sizeof *s->off);
    s->off[s->noff++] = r;
}

/* A list with a NULL at its end, of borrowed strings. */
static const char **terminated(const struct plan_strings *list) {
    const char **v = mem_calloc(list->n + 1, sizeof *v);
    for (size_t i = 0; i < list->n; i++) v[i] = list->v[i];
    return v;
}

/* Another cluster under the same context name: everything is shown, nothing of this plan may ever act on it. */
static void on_cluster(void *arg, const char *uid, bool mismatch) {
    struct engine_sources *s = arg;
    const int cols[] = {PLAN_STATE};
    const struct cell cells[] = {cell_text(s->setup->plan == NULL ? "NONE" : mismatch ? "MISMATCH" : "OK")};
    world_patch(s->world, T_PLAN, SLICE_LIT("plan"), cols, cells, 1);
    if (mismatch) timeline_add(s->world, "BAD", "plan", "this is another cluster: its uid is %s, the plan pins %s", uid, s->setup->plan->cluster);
}

/* The workloads that the plan moves: theirs are the claims that can be hostile. */
static struct kube_plan_object *plan_objects(const struct plan *p) {
    struct kube_plan_object *v = mem_calloc(p->nworkloads + 1, sizeof *v);
    for (size_t i = 0; i < p->nworkloads; i++) {
        const struct plan_workload *w = &p->workloads[i];
        const struct plan_postgres *pg = w->kind == &plan_kind_postgres ? w->spec : NULL;
        const struct plan_raft *raft = w->kind == &plan_kind_raft ? w->spec : NULL;
        v[i] = (struct kube_plan_object){w->ns, pg ? "Deployment" : "StatefulSet", pg ? pg->deployment : raft ? raft->statefulset : w->name};
    }
    return v;
}

/* FERRYMAN_CLAIMS_ONLY=claims or =claims,volumes: what `make bench` measures lists with. */
static enum kube_extent extent(void) {
    const char *only = getenv("FERRYMAN_CLAIMS_ONLY");
    if (!only || !*only) return KUBE_EVERYTHING;
    return str_eq(only, "claims,volumes") ? KUBE_CLAIMS_AND_VOLUMES : KUBE_CLAIMS;
}

static void start_kube(struct engine_sources *s, const struct plan *p) {
    static const char *const none[] = {NULL};
    const char **namespaces = p ? plan_namespaces(p) : NULL, **classes = p ? terminated(&p->source_classes) : NULL;
    const char **remaining = p ? terminated(&p->remaining) : NULL;
    struct kube_plan_object *objects = p ? plan_objects(p) : NULL;
    s->kube = kube_source_new(&(struct kube_source_options){
        .loop = s->loop, .world = s->world, .config = s->setup->kube,
        .namespaces = namespaces ? namespaces : none,
        .source_classes = classes ? classes : none,
        .target_class = p ? p->target_class : NULL,
        .target_encrypted = p && p->target_encrypted,
        .cluster_uid = p ? p->cluster : NULL,
        .objects = objects, .nobjects = p ? p->nworkloads : 0, .remaining = remaining,
        .extent = extent(),
        .on_cluster = on_cluster, .arg = s,
    });
    mem_free(namespaces);
    mem_free(classes);
    mem_free(remaining);
    mem_free(objects);
}

/* VAULT_TOKEN, else ~/.vault-token, as Vault's own client has it. */
static struct secret *env_token(void) {
    const char *env = getenv("VAULT_TOKEN");
    struct secret *token = NULL;
    if (env && *env) return secret_new(env, strlen(env));
    char *path = file_resolve(".", "~/.vault-token");
    struct err *e = file_exists(path) ? secret_from_file(path, &token) : NULL;
    if (e) log_warn("%s", err_text(e));
    err_free(e);
    mem_free(path);
    return token;
}

static void start_probes(struct engine_sources *s, const char *workload, const struct plan_items *http) {
    for (size_t i = 0; i < http->n; i++) {
        const struct plan_http *h = (const struct plan_http *)http->v + i;
        keep(s, probe_source_new(&(struct probe_source_options){
                 .loop = s->loop, .world = s->world, .workload = workload, .url = h->url, .expect = (int)h->expect, .body = h->body,
             }), probe_poke_any, probe_free_any);
    }
}

static void start_vault(struct engine_sources *s, const struct plan_workload *w) {
    const struct plan_raft *p = w->spec;
    const struct plan_pairs *urls = &p->vault.urls;
    const char **names = mem_calloc(urls->n + 1, sizeof *names), **values = mem_calloc(urls->n + 1, sizeof *values);
    struct secret *token = str_eq(p->vault.token, "env") ? env_token() : NULL;
    struct buf ca = {0};
    struct err *e = p->vault.ca_file ? file_read(p->vault.ca_file, CA_MAX_BYTES, &ca) : NULL;
    if (e) timeline_add(s->world, "BAD", w->name, "ca_file: %s", err_text(e));
    err_free(e);
    for (size_t i = 0; i < urls->n; i++) {
        names[i] = urls->keys[i];
        values[i] = urls->values[i];
    }
    keep(s, vault_source_new(&(struct vault_source_options){
             .loop = s->loop, .world = s->world, .workload = w->name, .ns = w->ns, .statefulset = p->statefulset,
             .kube = kube_source_client(s->kube), .direct = str_eq(p->vault.via, "direct"), .node_names = names, .node_urls = values,
             .scheme = p->vault.scheme, .port = (unsigned)p->vault.port, .ca_pem = ca.len ? buf_str(&ca) : NULL,
             .tls_server_name = p->vault.tls_server_name, .insecure = p->vault.insecure, .token_file = p->vault.token_file,
             .token = token,
         }), vault_poke_any, vault_free_any);
    start_probes(s, w->name, &p->http);
    secret_free(token);
    buf_free(&ca);
    mem_free(names);
    mem_free(values);
}

static void start_postgres(struct engine_sources *s, const struct plan_workload *w) {
    const struct plan_postgres *p = w->spec;
    const struct kube_config *k = s->setup->kube;
    const char *kubectl[8] = {"kubectl"};
    const char **preload = terminated(&p->restart_for_preload);
    size_t n = 1;
    if (k->file) {
        kubectl[n++] = "--kubeconfig";
        kubectl[n++] = k->file;
    }
    if (k->context) {
        kubectl[n++] = "--context";
        kubectl[n++] = k->context;
    }
    keep(s, pg_source_new(&(struct pg_source_options){
             .loop = s->loop, .world = s->world, .workload = w->name, .ns = w->ns, .deployment = p->deployment,
             .conninfo = p->postgres.conninfo, .database = p->postgres.database, .password_file = p->postgres.password_file,
             .preload = preload, .kubectl = str_eq(p->postgres.via, "port-forward") ? kubectl : NULL, .port = (unsigned)p->postgres.port,
         }), pg_poke_any, pg_free_any);
    start_probes(s, w->name, &p->http);
    mem_free(preload);
}

static void start_watchers(struct engine_sources *s, const struct plan *p) {
    const char **ignore = terminated(&p->alerts_ignore), **command = terminated(&p->snapshot_command);
    if (p->alertmanager)
        keep(s, alert_source_new(&(struct alert_source_options){
                 .loop = s->loop, .world = s->world, .url = p->alertmanager, .watchdog = p->watchdog, .ignore = ignore,
             }), alert_poke_any, alert_free_any);
    if (p->snapshot_command.n)
        keep(s, lvm_source_new(&(struct lvm_source_options){.loop = s->loop, .world = s->world, .command = command}),
             lvm_poke_any, lvm_free_any);
    mem_free(ignore);
    mem_free(command);
}

static void note_what_is_off(struct engine_sources *s, const struct plan *p) {
    static const struct {
        const char *server, *why;
    } servers[] = {
        {"vault", "no workload of kind raft-rolling in the plan"}, {"postgres", "no workload of kind postgres-dump-restore in the plan"},
        {"alerts", "no alerts: in the plan"}, {"lvm", "no snapshots: in the plan"}, {"http", "no http: in the plan"},
    };
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        bool found = false;
        for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
            found = found || slice_is(row_text(r, SOURCES_SERVER), servers[i].server);
        if (!found) off(s, servers[i].server, p ? servers[i].why : "no plan; start with --plan FILE");
    }
}

struct engine_sources *engine_sources_new(struct loop *l, struct world *w, const struct setup *setup) {
    struct engine_sources *s = MEM_NEW(struct engine_sources);
    const struct plan *p = setup->plan;
    *s = (struct engine_sources){.loop = l, .world = w, .setup = setup};
    start_kube(s, p);
    for (size_t i = 0; p && i < p->nworkloads; i++) {
        if (p->workloads[i].kind == &plan_kind_raft) start_vault(s, &p->workloads[i]);
        if (p->workloads[i].kind == &plan_kind_postgres) start_postgres(s, &p->workloads[i]);
    }
    if (p) start_watchers(s, p);
    note_what_is_off(s, p);
    return s;
}

void engine_sources_free(struct engine_sources *s) {
    if (!s) return;
    for (size_t i = s->count; i-- > 0;) s->list[i].free(s->list[i].source);
    kube_source_free(s->kube); /* last: the others ask through its client */
    for (size_t i = 0; i < s->noff; i++) source_row_free(s->off[i], false);
    mem_free(s->off);
    mem_free(s->list);
    mem_free(s);
}

struct kube_client *engine_sources_kube(struct engine_sources *s) {
    return kube_source_client(s->kube);
}

void engine_sources_poke(struct engine_sources *s) {
    kube_source_poke(s->kube);
    for (size_t i = 0; i < s->count; i++) s->list[i].poke(s->list[i].source);
}

void engine_sources_log(struct engine_sources *s, const char *ns, const char *pod, const char *container) {
    kube_source_log(s->kube, ns, pod, container);
}
