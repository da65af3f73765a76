/* See vault.h. The machine moves on twice a second and with every request; what changed is then told to the pods: their
 * readiness, their labels (as Vault's service registration sets them) and their logs. */
#include "sandbox/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/kubectl.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/save.h"
#include "sandbox/vault_private.h"

#define VAULT_TICK_MS 500
#define VAULT_FIRST_LEADER 2
#define VAULT_FIRST_INDEX 2730010
#define VAULT_LEADER_AGE_MS (INT64_C(9) * 24 * 3600 * 1000 + INT64_C(4) * 3600 * 1000)
#define VAULT_PRESTOP_MS 5000     /* the chart's preStop hook */
#define VAULT_UNREADY_MS 10000    /* two failed readiness probes */
#define VAULT_LAG_WRITES 60       /* a tick, while a follower lags */

struct vault *vault_of(struct sandbox *s)
{
    return rest_of(s)->vault;
}

/* ---- What the pods show ---- */

static void PRINTF_LIKE(3, 4) pod_say(struct vault *v, int i, const char *fmt, ...)
{
    if (!v->pod[i].name)
        return;
    char when[32];
    clock_format_utc(sandbox_now_ms(v->s), when, sizeof when);
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    char *line = str_printf("%s [INFO]  %s\n", when, text);
    kube_pod_log(v->s, VAULT_NAMESPACE, v->pod[i].name, line, strlen(line));
    mem_free(line);
    mem_free(text);
}

static void pod_label(struct vault *v, int i, const char *label, bool value)
{
    kube_pod_label(v->s, VAULT_NAMESPACE, v->pod[i].name, label, value ? "true" : "false");
}

static bool pod_is_ready(const struct vault *v, int i)
{
    const struct vault_node *n = &v->c.node[i];
    return !n->hung && (n->stage == VAULT_RUNS || n->stage == VAULT_INSTALL);
}

static void show_stage(struct vault *v, int i)
{
    static const char *const words[] = {[VAULT_NEW] = "core: security barrier not initialized",
                                        [VAULT_SEALED] = "core: vault is sealed",
                                        [VAULT_INSTALL] = "storage.raft: installing snapshot",
                                        [VAULT_RUNS] = "core: vault is unsealed",
                                        [VAULT_REMOVED] = "core: node has been removed from the HA cluster"};
    const struct vault_node *n = &v->c.node[i];
    if (words[n->stage])
        pod_say(v, i, "%s", words[n->stage]);
    pod_label(v, i, v->openbao ? "openbao-initialized" : "vault-initialized", n->stage != VAULT_NEW);
    pod_label(v, i, v->openbao ? "openbao-sealed" : "vault-sealed", !pod_is_ready(v, i));
    kube_pod_label(v->s, VAULT_NAMESPACE, v->pod[i].name, v->openbao ? "openbao-version" : "vault-version", v->version);
    if (!v->openbao)
        pod_label(v, i, "vault-perf-standby", false);
}

/* A hung process cannot change its labels; its readiness fails after two probes. */
static void show_pod(struct vault *v, int i)
{
    struct vault_seen *seen = &v->pod[i].seen;
    const struct vault_node *n = &v->c.node[i];
    if (!v->pod[i].name || n->stage == VAULT_DOWN)
        return;
    bool ready = pod_is_ready(v, i), active = i == v->c.leader;
    if (n->hung) {
        if (seen->ready && v->c.now - n->stage_since >= VAULT_UNREADY_MS) {
            seen->ready = false;
            kube_pod_ready(v->s, VAULT_NAMESPACE, v->pod[i].name, false);
        }
        return;
    }
    if (!seen->known || seen->stage != n->stage)
        show_stage(v, i);
    if (!seen->known || seen->active != active) {
        pod_label(v, i, v->openbao ? "openbao-active" : "vault-active", active);
        pod_say(v, i, active ? "core: acquired lock, enabling active operation" : "core: entering standby mode");
    }
    if (!seen->known || seen->ready != ready)
        kube_pod_ready(v->s, VAULT_NAMESPACE, v->pod[i].name, ready);
    *seen = (struct vault_seen){.known = true, .ready = ready, .stage = n->stage, .active = active};
}

/* Listens for the nodes that have a process, and only for them. */
static void vault_set_servers(void *arg)
{
    struct vault *v = arg;
    v->servers_due = false;
    for (int i = 0; i < VAULT_NODES; i++) {
        struct http_server *server = v->pod[i].server;
        bool up = v->c.node[i].stage != VAULT_DOWN;
        if (up == http_server_is_up(server))
            continue;
        struct err *e = NULL;
        if (up)
            e = http_server_up(server);
        else
            http_server_down(server);
        if (e)
            fprintf(stderr, "ferryman-sandbox: vault-%d: %s\n", i, err_text(e));
        err_free(e);
    }
}

/* Not from here: we may be inside a request of the very server. */
static void vault_servers_later(struct vault *v)
{
    if (v->servers_due)
        return;
    v->servers_due = true;
    loop_defer(v->s->loop, vault_set_servers, v);
}

void vault_volume_keep(struct vault_volume *volume, const struct vault_node *n)
{
    if (!n->data)
        return; /* it has not joined yet */
    volume->applied = n->applied;
    volume->removed = n->removed_data;
    str_copy(volume->id, sizeof volume->id, n->own_id);
}

static void pod_end(struct vault *v, int i)
{
    struct vault_pod *pod = &v->pod[i];
    bool graceful = pod->stop_code == 0;
    struct vault_volume *volume = pod->volume ? map_gets(v->volumes, pod->volume) : NULL;
    if (volume)
        vault_volume_keep(volume, &v->c.node[i]);
    pod->stop_at = 0;
    pod->seen.known = false;
    vault_cluster_stop(&v->c, i, graceful);
    vault_held_drop(v, i);
    forward_clear(v->s, VAULT_NAMESPACE, pod->name);
    vault_servers_later(v);
    char *name = pod->name;
    pod->name = NULL;
    kube_pod_exited(v->s, VAULT_NAMESPACE, name, pod->stop_code);
    mem_free(name);
}

/* A majority that is gone is said aloud, with what it would take to have it back. */
static void PRINTF_LIKE(2, 3) alarm_say(struct vault *v, const char *fmt, ...)
{
    char when[32];
    clock_format_utc(sandbox_now_ms(v->s), when, sizeof when);
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    buf_printf(&v->alarms, "%s %s\n", when, text);
    fprintf(stderr, "ferryman-sandbox: vault: %s\n", text);
    mem_free(text);
}

static void vault_watch_quorum(struct vault *v)
{
    bool quorum = vault_cluster_has_quorum(&v->c), lost = vault_cluster_is_lost(&v->c);
    if (!quorum && v->was_quorum)
        alarm_say(v, "QUORUM LOST: %d of %d voters take part", vault_cluster_present(&v->c), vault_cluster_voters(&v->c));
    else if (quorum && !v->was_quorum)
        alarm_say(v, "quorum is back: %d of %d voters take part", vault_cluster_present(&v->c), vault_cluster_voters(&v->c));
    if (lost && !v->was_lost)
        alarm_say(v, "QUORUM LOST FOR GOOD: too few voters hold data; only volumes of before, a snapshot or peers.json help");
    v->was_quorum = quorum;
    v->was_lost = lost;
}

static void say_gave_up(struct vault *v, int gave_up_before)
{
    if (v->c.gave_up != VAULT_NONE && v->c.gave_up != gave_up_before)
        pod_say(v, v->c.gave_up, "core: post-unseal setup failed: error=\"failed to setup audit table: open "
                                 "/vault/audit/vault-audit.log: permission denied\"");
}

void vault_move(struct vault *v)
{
    int gave_up = v->c.gave_up;
    int64_t now = clock_mono_ms();
    for (int i = 0; i < VAULT_NODES; i++) {
        if (v->pod[i].stop_at && v->pod[i].stop_at <= now)
            pod_end(v, i);
    }
    if (v->lagging) {
        for (int n = 0; n < VAULT_LAG_WRITES; n++) {
            if (!vault_cluster_write(&v->c))
                break;
        }
    }
    v->c.stalled = v->stall == STALL_STORAGE && v->c.leader == v->stall_node;
    vault_cluster_tick(&v->c, now);
    vault_watch_quorum(v);
    say_gave_up(v, gave_up);
    if (v->c.leader != v->leader_seen) {
        v->leader_seen = v->c.leader;
        v->active_plan_ms = sandbox_now_ms(v->s);
    }
    for (int i = 0; i < VAULT_NODES; i++) {
        if (v->c.node[i].stable_since != v->pod[i].stable_since_seen) {
            v->pod[i].stable_since_seen = v->c.node[i].stable_since;
            v->pod[i].stable_plan_ms = sandbox_now_ms(v->s);
        }
        show_pod(v, i);
    }
    vault_held_check(v);
}

static void vault_on_timer(void *arg)
{
    vault_move(arg);
}

/* ---- Pods ---- */

/* N of vault-N; VAULT_NONE for other names. */
static int pod_ordinal(const char *name)
{
    if (strlen(name) != 7 || !str_starts(name, "vault-") || name[6] < '0' || name[6] >= '0' + VAULT_NODES)
        return VAULT_NONE;
    return name[6] - '0';
}

static const struct pod_claim *pod_claim(const struct pod_info *info, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i < info->claim_count; i++) {
        const struct pod_claim *claim = &info->claims[i];
        if ((claim->mount_path && strlen(claim->mount_path) > n && str_eq(claim->mount_path + strlen(claim->mount_path) - n, what)) ||
            (claim->claim && str_starts(claim->claim, what) && claim->claim[n] == '-'))
            return claim;
    }
    return NULL;
}

static bool claim_is_block(const struct pod_claim *claim)
{
    return claim && claim->storage_class && !str_starts(claim->storage_class, "nfs");
}

static struct vault_volume *volume_of(struct vault *v, const char *handle)
{
    struct vault_volume *volume = map_gets(v->volumes, handle);
    if (!volume) {
        volume = MEM_NEW(struct vault_volume);
        map_puts(v->volumes, handle, volume);
    }
    return volume;
}

/* The volume's content, as it was left; empty if nobody has ever joined with it. */
static void node_begin(struct vault *v, int i)
{
    struct vault_pod *pod = &v->pod[i];
    struct vault_volume *volume = volume_of(v, pod->volume);
    bool fresh = !volume->id[0];
    char *made_up = fresh && v->unstable_ids ? vault_random_uuid() : NULL;
    vault_cluster_own_id(&v->c, i, made_up ? made_up : fresh || !v->unstable_ids ? pod->name : volume->id);
    mem_free(made_up);
    v->c.node[i].removed_data = volume->removed;
    vault_cluster_start(&v->c, i, fresh, volume->applied);
    v->c.node[i].hold_sealed = v->sealed_starts;
}

static void vault_pod_start(struct sandbox *s, const struct pod_info *info)
{
    struct vault *v = vault_of(s);
    int i = pod_ordinal(info->name);
    if (i == VAULT_NONE)
        return;
    struct vault_pod *pod = &v->pod[i];
    if (pod->name && v->c.node[i].stage != VAULT_DOWN && pod->original)
        vault_cluster_stop(&v->c, i, false); /* killed: the same pod starts anew */
    bool starts = pod->original; /* else it has been running since before the sandbox began */
    if (starts && (i == v->failing_node || !vault_may_write(v, info))) {
        kube_pod_exited(s, info->ns, info->name, 1);
        return;
    }
    const struct pod_claim *data = pod_claim(info, "data"), *audit = pod_claim(info, "audit");
    str_set(&pod->name, info->name);
    str_set(&pod->volume, data && data->volume_handle ? data->volume_handle : info->uid);
    if (info->ip && info->ip[0])
        str_set(&pod->ip, info->ip);
    pod->stop_at = 0;
    pod->seen.known = false;
    pod->original = true;
    if (starts) {
        node_begin(v, i);
        v->c.node[i].audit_broken = v->audit_unwritable && claim_is_block(audit);
        pod->audit_full = v->audit_full && claim_is_block(audit);
    } else {
        vault_volume_keep(volume_of(v, pod->volume), &v->c.node[i]);
    }
    forward_set(s, VAULT_NAMESPACE, pod->name, VAULT_PORT, "127.0.0.1", s->ports.vault[i]);
    vault_servers_later(v);
    vault_move(v);
}

static void vault_pod_stop(struct sandbox *s, const struct pod_info *info)
{
    struct vault *v = vault_of(s);
    int i = pod_ordinal(info->name);
    if (i == VAULT_NONE || !v->pod[i].name || v->c.node[i].stage == VAULT_DOWN) {
        kube_pod_exited(s, info->ns, info->name, 0);
        return;
    }
    bool hung = v->c.node[i].hung;
    int64_t wait = hung || info->grace_ms < VAULT_PRESTOP_MS ? info->grace_ms : VAULT_PRESTOP_MS;
    v->pod[i].stop_code = hung || info->grace_ms < VAULT_PRESTOP_MS ? 137 : 0;
    v->pod[i].stop_at = clock_mono_ms() + (wait > 0 ? wait : 1);
}

static bool vault_proxy(struct sandbox *s, const char *ns, const char *pod, unsigned port, const char *path,
                        struct http_request *r)
{
    (void)ns;
    int i = pod_ordinal(pod);
    if (i == VAULT_NONE || port != VAULT_PORT)
        return false;
    vault_node_handle(s, i, path, r);
    return true;
}

static const struct pod_backend vault_backend = {.ns = VAULT_NAMESPACE,
                                                 .app = VAULT_APP,
                                                 .start = vault_pod_start,
                                                 .stop = vault_pod_stop,
                                                 .proxy = vault_proxy};

void vault_node_handle(struct sandbox *s, int node, const char *path, struct http_request *r)
{
    vault_answer(vault_of(s), node, path, r);
}

bool vault_audit_is_full(struct sandbox *s)
{
    return s->rest && s->rest->vault && s->rest->vault->audit_full;
}

int vault_active_node(struct sandbox *s)
{
    const struct vault *v = vault_of(s);
    return v && v->c.leader != VAULT_NONE && !v->c.node[v->c.leader].hung ? v->c.leader : VAULT_NONE;
}

static void vault_on_request(void *arg, struct http_request *r)
{
    const struct vault_pod *pod = arg;
    vault_answer(pod->v, (int)(pod - pod->v->pod), http_request_path(r), r);
}

/* ---- The part ---- */

static void volume_free(void *value)
{
    mem_free(value);
}

static void vault_free(struct vault *v)
{
    struct sandbox *s = v->s;
    loop_undefer(s->loop, v);
    timer_free(v->timer);
    vault_held_drop(v, VAULT_NONE);
    for (int i = 0; i < VAULT_NODES; i++) {
        http_server_free(v->pod[i].server);
        mem_free(v->pod[i].name);
        mem_free(v->pod[i].volume);
        mem_free(v->pod[i].ip);
    }
    map_free(v->volumes, volume_free);
    map_free(v->cubbyhole, volume_free);
    jd_free(v->autopilot);
    buf_free(&v->alarms);
    mem_free(v->version);
    mem_free(v->cluster_id);
    mem_free(v);
    rest_of(s)->vault = NULL;
    rest_free(s);
}

static struct json_t *autopilot_defaults(void)
{
    struct json_t *o = jd_object();
    jd_set(o, "cleanup_dead_servers", jd_bool(false));
    jd_set(o, "last_contact_threshold", jd_string("10s"));
    jd_set(o, "dead_server_last_contact_threshold", jd_string("24h0m0s"));
    jd_set(o, "max_trailing_logs", jd_int(VAULT_MAX_TRAILING));
    jd_set(o, "min_quorum", jd_int(0));
    jd_set(o, "server_stabilization_time", jd_string("10s"));
    jd_set(o, "disable_upgrade_migration", jd_bool(false));
    return o;
}

static struct err *vault_listen(struct vault *v)
{
    for (int i = 0; i < VAULT_NODES; i++) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        struct http_server_options o = {.handle = vault_on_request, .arg = &v->pod[i],
                                        .port = sandbox_saved_port(v->s, name)};
        v->pod[i].v = v;
        struct err *e = http_server_new(v->s->loop, &o, &v->pod[i].server);
        if (e)
            return err_wrap(e, "vault-%d", i);
        v->s->ports.vault[i] = http_server_port(v->pod[i].server);
    }
    return NULL;
}

struct err *vault_new_token(struct vault *v)
{
    char *token = str_printf("%s\n", rest_vault_token(v->s));
    struct err *e = rest_write(v->s, "vault-token", token, 0600);
    mem_free(token);
    v->token_created_ms = clock_mono_ms();
    v->token_expires_ms = v->token_created_ms + VAULT_TOKEN_TTL_S * CLOCK_MS_PER_S;
    return e;
}

static struct err *vault_start(struct sandbox *s)
{
    struct vault *v = rest_of(s)->vault = MEM_NEW(struct vault);
    v->s = s;
    v->timer = timer_new(s->loop, vault_on_timer, v);
    v->volumes = map_new();
    v->cubbyhole = map_new();
    v->autopilot = autopilot_defaults();
    v->cluster_id = mem_strdup("a54c42b3-c2e7-dedc-8747-3d29bea69241");
    int64_t now = clock_mono_ms();
    vault_cluster_init(&v->c, now, VAULT_FIRST_LEADER, now, VAULT_FIRST_INDEX);
    vault_set_version(v, "1.18.1", false);
    v->leader_seen = VAULT_FIRST_LEADER;
    v->stall_node = v->failing_node = VAULT_NONE;
    v->was_quorum = true;
    v->active_plan_ms = sandbox_now_ms(s) - VAULT_LEADER_AGE_MS;
    if (sandbox_saved(s, "vault"))
        vault_load(v, sandbox_saved(s, "vault"));
    for (int i = 0; i < VAULT_NODES; i++) {
        v->pod[i].stable_since_seen = v->c.node[i].stable_since;
        v->pod[i].stable_plan_ms = v->active_plan_ms + INT64_C(10000);
    }
    struct err *e = vault_listen(v);
    if (!e)
        e = vault_new_token(v);
    if (e) {
        vault_free(v);
        return e;
    }
    timer_start(v->timer, VAULT_TICK_MS, VAULT_TICK_MS);
    kube_register_backend(s, &vault_backend);
    return NULL;
}

static void vault_stop(struct sandbox *s)
{
    if (vault_of(s))
        vault_free(vault_of(s));
}

const struct sandbox_part vault_part = {.name = "vault",
                                        .start = vault_start,
                                        .stop = vault_stop,
                                        .save = vault_save,
                                        .scenarios = vault_scenarios,
                                        .scenario_count = VAULT_SCENARIOS,
                                        .commands = vault_commands,
                                        .command_count = VAULT_COMMANDS};
