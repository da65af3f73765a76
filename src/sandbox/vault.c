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

/* What a data volume holds. */
struct vault_volume {
    int64_t applied;
};

static struct vault *vault_of(struct sandbox *s)
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

static void pod_end(struct vault *v, int i)
{
    struct vault_pod *pod = &v->pod[i];
    bool graceful = pod->stop_code == 0;
    struct vault_volume *volume = pod->volume ? map_gets(v->volumes, pod->volume) : NULL;
    if (volume)
        volume->applied = v->c.node[i].applied;
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

/* Moves the machine to now and shows what came of it. */
static void vault_move(struct vault *v)
{
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
    vault_cluster_tick(&v->c, now);
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

static const char *pod_data_volume(const struct pod_info *info)
{
    for (size_t i = 0; i < info->claim_count; i++) {
        const struct pod_claim *claim = &info->claims[i];
        if ((claim->mount_path && strstr(claim->mount_path, "/data")) ||
            (claim->claim && str_starts(claim->claim, "data-")))
            return claim->volume_handle;
    }
    return NULL;
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
    const char *handle = pod_data_volume(info);
    str_set(&pod->name, info->name);
    str_set(&pod->volume, handle ? handle : info->uid);
    if (info->ip && info->ip[0])
        str_set(&pod->ip, info->ip);
    pod->stop_at = 0;
    pod->seen.known = false;
    struct vault_volume *volume = map_gets(v->volumes, pod->volume);
    bool fresh = !volume;
    if (fresh) {
        volume = MEM_NEW(struct vault_volume);
        map_puts(v->volumes, pod->volume, volume);
    }
    if (!pod->original)
        pod->original = true; /* it has been running since before the sandbox began */
    else
        vault_cluster_start(&v->c, i, fresh, volume->applied);
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

/* ---- Scenarios and commands ---- */

static struct err *scenario_hung(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on && v->c.leader == VAULT_NONE)
        return err_new(ERR_FAILED, "there is no leader to hang");
    if (on)
        v->hung_node = v->c.leader;
    vault_cluster_hang(&v->c, v->hung_node, on);
    if (on)
        v->c.node[v->hung_node].stage_since = v->c.now;
    vault_move(v);
    return NULL;
}

/* The follower with the lowest ordinal. */
static int vault_a_follower(const struct vault *v)
{
    return v->c.leader == 0 ? 1 : 0;
}

static struct err *scenario_sealed(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on)
        v->sealed_node = vault_a_follower(v);
    vault_cluster_seal(&v->c, v->sealed_node, on);
    vault_move(v);
    return NULL;
}

static struct err *scenario_denied(struct sandbox *s, bool on)
{
    vault_of(s)->denied = on;
    return NULL;
}

static struct err *scenario_lag(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on)
        v->lag_node = vault_a_follower(v);
    v->lagging = on;
    vault_cluster_lag(&v->c, v->lag_node, on);
    vault_move(v);
    return NULL;
}

static struct err *scenario_snapshot_cut(struct sandbox *s, bool on)
{
    vault_of(s)->snapshot_cut = on;
    return NULL;
}

static const struct scenario vault_scenarios[] = {
    {"leader-hung", "the active Vault accepts connections and answers nothing", scenario_hung},
    {"vault-sealed", "a follower is sealed and stays so", scenario_sealed},
    {"vault-403", "Vault refuses the token", scenario_denied},
    {"vault-lag", "a follower applies nothing while the others go on", scenario_lag},
    {"vault-snapshot-cut", "snapshots end early, with status 200", scenario_snapshot_cut},
};

static struct err *command_leader(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct vault *v = vault_of(s);
    int64_t to = VAULT_NONE;
    if (argc != 2 || !slice_to_i64(slice_of(argv[1]), &to) || to < 0 || to >= VAULT_NODES)
        return err_new(ERR_USAGE, "leader 0|1|2");
    if (to == v->c.leader)
        return NULL;
    if (!vault_node_takes_part(&v->c, (int)to) || v->c.leader == VAULT_NONE || v->c.node[v->c.leader].hung)
        return err_new(ERR_FAILED, "vault-%d cannot take over now", (int)to);
    vault_move(v);
    if (v->c.node[to].applied < v->c.index)
        return err_new(ERR_FAILED, "vault-%d is %lld entries behind", (int)to,
                       (long long)(v->c.index - v->c.node[to].applied));
    vault_cluster_step_down(&v->c, (int)to);
    buf_printf(out, "vault-%d takes over\n", (int)to);
    return NULL;
}

/* Vault and OpenBao differ in bodies and codes; the version decides which. */
static void vault_set_version(struct vault *v, const char *version, bool openbao)
{
    char *end;
    str_set(&v->version, version);
    v->openbao = openbao;
    v->major = (unsigned)strtoul(version, &end, 10);
    v->minor = *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
    v->c.removed_checker = !openbao && vault_is_at_least(v, 1, 19);
}

static struct err *command_vault(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct vault *v = vault_of(s);
    if (argc < 3 || argc > 4 || !str_eq(argv[1], "version") || (argc == 4 && !str_eq(argv[3], "openbao")))
        return err_new(ERR_USAGE, "vault version X.Y.Z [openbao]");
    vault_set_version(v, argv[2], argc == 4);
    for (int i = 0; i < VAULT_NODES; i++)
        v->pod[i].seen.known = false;
    vault_move(v);
    buf_printf(out, "%s %s\n", v->openbao ? "OpenBao" : "Vault", v->version);
    return NULL;
}

static const struct control_command vault_commands[] = {
    {"leader", "leader 0|1|2", "the active Vault steps down for that node", command_leader},
    {"vault", "vault version X.Y.Z [openbao]", "which version, and product, the nodes answer as", command_vault},
};

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

/* The machine as its bytes: a saved sandbox is gone on with by the same program. */
static struct err *vault_save(struct sandbox *s, const char *folder, struct json_t *state)
{
    struct vault *v = vault_of(s);
    struct buf text = {0};
    struct json_t *volumes = jd_object();
    struct slice key;
    size_t it = 0;
    (void)folder;
    for (int i = 0; i < VAULT_NODES; i++) {
        struct vault_volume *volume = v->pod[i].volume ? map_gets(v->volumes, v->pod[i].volume) : NULL;
        if (volume)
            volume->applied = v->c.node[i].applied;
    }
    for (void *value; map_each(v->volumes, &it, &key, &value);) {
        char *handle = slice_dup(key);
        jd_set(volumes, handle, jd_int(((const struct vault_volume *)value)->applied));
        mem_free(handle);
    }
    hash_base64_encode(&v->c, sizeof v->c, &text);
    jd_set(state, "cluster", jd_string(buf_str(&text)));
    jd_set(state, "volumes", volumes);
    jd_set(state, "autopilot", jd_copy(v->autopilot));
    jd_set(state, "version", jd_string(v->version));
    jd_set(state, "openbao", jd_bool(v->openbao));
    jd_set(state, "cluster_id", jd_string(v->cluster_id));
    jd_set(state, "active_plan_ms", jd_int(v->active_plan_ms));
    jd_set(state, "now", jd_int(clock_mono_ms()));
    buf_free(&text);
    return NULL;
}

static void vault_load(struct vault *v, const struct json_t *state)
{
    struct buf bytes = {0};
    struct json_t *volumes = jd_get(state, "volumes");
    if (hash_base64_decode(slice_of(jd_str(state, "cluster")), &bytes) && bytes.len == sizeof v->c) {
        memcpy(&v->c, bytes.p, sizeof v->c);
        vault_cluster_shift(&v->c, clock_mono_ms() - jd_num(state, "now", 0));
    }
    buf_free(&bytes);
    for (void *it = jd_iter(volumes); it; it = jd_iter_next(volumes, it)) {
        struct vault_volume *volume = MEM_NEW(struct vault_volume);
        volume->applied = jd_int_value(jd_iter_value(it), 0);
        mem_free(map_puts(v->volumes, jd_iter_key(it), volume));
    }
    jd_free(v->autopilot);
    v->autopilot = jd_copy(jd_get(state, "autopilot"));
    str_set(&v->cluster_id, jd_str(state, "cluster_id"));
    vault_set_version(v, jd_str(state, "version"), jd_flag(state, "openbao", false));
    v->leader_seen = v->c.leader;
    v->active_plan_ms = jd_num(state, "active_plan_ms", v->active_plan_ms);
    for (int i = 0; i < VAULT_NODES; i++) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        struct json_t *pod = kube_get(v->s->kube, KIND_POD, VAULT_NAMESPACE, name);
        v->pod[i].original = !pod || !str_eq(jd_str(pod, "status.phase"), "Running"); /* one that comes is new */
        jd_free(pod);
    }
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
    v->active_plan_ms = sandbox_now_ms(s) - VAULT_LEADER_AGE_MS;
    if (sandbox_saved(s, "vault"))
        vault_load(v, sandbox_saved(s, "vault"));
    for (int i = 0; i < VAULT_NODES; i++) {
        v->pod[i].stable_since_seen = v->c.node[i].stable_since;
        v->pod[i].stable_plan_ms = v->active_plan_ms + INT64_C(10000);
    }
    v->token_created_ms = now;
    v->token_expires_ms = now + VAULT_TOKEN_TTL_S * CLOCK_MS_PER_S;
    struct err *e = vault_listen(v);
    char *token = str_printf("%s\n", rest_vault_token(s));
    if (!e)
        e = rest_write(s, "vault-token", token, 0600);
    mem_free(token);
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
                                        .scenario_count = ARRAY_LEN(vault_scenarios),
                                        .commands = vault_commands,
                                        .command_count = ARRAY_LEN(vault_commands)};
