#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "world/gate.h"
#include "world/world.h"

#define HOUR INT64_C(3600000)
#define NOW (INT64_C(1777134667000))

/* A cell of a row, written short: {CLAIMS_NAME, "x", 0} or {CLAIMS_REQUEST, NULL, 7}. The list ends at col -1. */
struct set {
    int col;
    const char *text;
    int64_t number;
};

#define END_SET {-1, NULL, 0}
#define PUT(w, t, key, src, ...) put(w, t, key, src, (const struct set[]){__VA_ARGS__, END_SET})
#define PATCH(w, t, key, ...) patch(w, t, key, (const struct set[]){__VA_ARGS__, END_SET})

static struct cell cell_of(const struct set *s)
{
    return s->text ? cell_text(s->text) : cell_int(s->number);
}

static void put(struct world *w, enum world_table t, const char *key, const char *src, const struct set *sets)
{
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    for (; sets->col >= 0; sets++)
        cells[sets->col] = cell_of(sets);
    world_upsert(w, t, slice_of(key), src, cells);
}

static void patch(struct world *w, enum world_table t, const char *key, const struct set *sets)
{
    for (; sets->col >= 0; sets++) {
        struct cell c = cell_of(sets);
        assert_true(world_patch(w, t, slice_of(key), &sets->col, &c, 1));
    }
}

static void unset(struct world *w, enum world_table t, const char *key, int col)
{
    assert_true(world_patch(w, t, slice_of(key), &col, &CELL_NONE, 1));
}

static void put_source(struct world *w, const char *server, const char *kind, const char *state)
{
    char key[64];
    snprintf(key, sizeof key, "%s/%s", server, kind);
    PUT(w, T_SOURCES, key, NULL, {SOURCES_SERVER, server, 0}, {SOURCES_KIND, kind, 0}, {SOURCES_STATE, state, 0},
        {SOURCES_LAST_OK, NULL, NOW - 1000}, {SOURCES_STALE_AFTER, NULL, 60000});
}

static void put_claim(struct world *w, const char *ns, const char *name, const char *class, const char *state)
{
    char key[64];
    snprintf(key, sizeof key, "uid-%s-%s", ns, name);
    PUT(w, T_CLAIMS, key, "kube/persistentvolumeclaims", {CLAIMS_NAMESPACE, ns, 0}, {CLAIMS_NAME, name, 0},
        {CLAIMS_CLASS, class, 0}, {CLAIMS_STATE, state, 0}, {CLAIMS_PHASE, "Bound", 0},
        {CLAIMS_CREATED, NULL, NOW - 1000 * HOUR});
}

static void put_peer(struct world *w, const char *name, const char *role)
{
    char key[64], src[64];
    snprintf(key, sizeof key, "vault/%s", name);
    snprintf(src, sizeof src, "vault/%s", name);
    put_source(w, "vault", name, "POLLED");
    PUT(w, T_RAFT_PEERS, key, src, {RAFT_PEERS_WORKLOAD, "vault", 0}, {RAFT_PEERS_NAME, name, 0},
        {RAFT_PEERS_ROLE, role, 0}, {RAFT_PEERS_HEALTH, "OK", 0}, {RAFT_PEERS_AUTOPILOT, "OK", 0});
}

static void put_plan(struct world *w)
{
    PUT(w, T_PLAN, "plan", NULL, {PLAN_NAME, "nfs-hostile", 0}, {PLAN_STATE, "OK", 0},
        {PLAN_SOURCES, "nfs-proxmox nfs-truenas", 0}, {PLAN_TARGET, "encrypted", 0},
        {PLAN_REMAINING, "vault/vault-backup-host other/x", 0}, {PLAN_WATCHDOG, "Watchdog", 0},
        {PLAN_BACKUPS, "immich/postgresql-backup  vault/vault-raft-backup", 0}, {PLAN_SNAPSHOT_DAILY, "03:00", 0});
    PUT(w, T_PLAN_WORKLOADS, "vault", NULL, {PLAN_WORKLOADS_NAME, "vault", 0},
        {PLAN_WORKLOADS_KIND, "raft-rolling", 0});
    PUT(w, T_PLAN_WORKLOADS, "immich-postgres", NULL, {PLAN_WORKLOADS_NAME, "immich-postgres", 0},
        {PLAN_WORKLOADS_KIND, "postgres-dump-restore", 0}, {PLAN_WORKLOADS_IDENTIFIER, "7512", 0},
        {PLAN_WORKLOADS_TOMBSTONE, "immich/data-host", 0}, {PLAN_WORKLOADS_TOMBSTONE_UID, "uid-immich-data-host", 0},
        {PLAN_WORKLOADS_RETAIN_UNTIL, NULL, NOW + 24 * HOUR});
}

static void put_criterion(struct world *w, const char *name, const char *state, const char *text)
{
    char key[96];
    snprintf(key, sizeof key, "immich-postgres/%s", name);
    PUT(w, T_CRITERIA, key, NULL, {CRITERIA_WORKLOAD, "immich-postgres", 0}, {CRITERIA_NAME, name, 0}, {CRITERIA_STATE, state, 0},
        {CRITERIA_TEXT, text, 0}, {CRITERIA_AT, NULL, NOW - HOUR});
}

static void put_backup(struct world *w, const char *ns, const char *name, int64_t last_ok)
{
    PUT(w, T_WORKLOADS, name, "kube/cronjobs", {WORKLOADS_NAMESPACE, ns, 0}, {WORKLOADS_NAME, name, 0},
        {WORKLOADS_KIND, "CronJob", 0}, {WORKLOADS_STATE, "OK", 0}, {WORKLOADS_LAST_OK, NULL, last_ok},
        {WORKLOADS_CREATED, NULL, NOW - 1000 * HOUR});
}

static void put_extension(struct world *w, const char *name, const char *state)
{
    char key[64];
    snprintf(key, sizeof key, "immich-postgres/immich/%s", name);
    PUT(w, T_EXTENSIONS, key, "postgres/immich-postgres", {EXTENSIONS_WORKLOAD, "immich-postgres", 0},
        {EXTENSIONS_DATABASE, "immich", 0}, {EXTENSIONS_NAME, name, 0}, {EXTENSIONS_STATE, state, 0});
}

/* A world in which every gate passes. */
static struct world *good_world(void)
{
    struct world *w = world_new();
    world_set_now(w, NOW);
    put_plan(w);
    put_source(w, "kube", "persistentvolumeclaims", "LIVE");
    put_source(w, "kube", "persistentvolumes", "LIVE");
    put_source(w, "kube", "pods", "LIVE");
    put_source(w, "kube", "statefulsets", "LIVE");
    put_source(w, "kube", "deployments", "LIVE");
    put_source(w, "kube", "cronjobs", "LIVE");
    put_source(w, "postgres", "immich-postgres", "POLLED");
    put_source(w, "alerts", "alerts", "POLLED");
    put_source(w, "lvm", "lvs", "POLLED");
    put_source(w, "http", "probes", "POLLED");
    put_claim(w, "immich", "data-host", "nfs-truenas", "RETIRED");
    put_criterion(w, "extensions equal baseline", "PASS", "10 of 10, vector 0.8.0→0.8.1 patch");
    put_criterion(w, "rows equal baseline", "PASS", "343,222 rows in 15 tables, equal");
    PUT(w, T_PG_SERVERS, "immich-postgres", "postgres/immich-postgres", {PG_SERVERS_STATE, "OK", 0}, {PG_SERVERS_IDENTIFIER, "7512", 0});
    put_claim(w, "immich", "library", "nfs-proxmox", "FINE");
    put_claim(w, "vault", "vault-backup-host", "nfs-truenas", "HOSTILE");
    put_claim(w, "vault", "data-vault-0", "encrypted", "MOVED");
    put_claim(w, "vault", "elsewhere", "other-nfs", "HOSTILE");
    PUT(w, T_RAFT_CLUSTERS, "vault", "vault/vault-2", {RAFT_CLUSTERS_STATE, "OK", 0},
        {RAFT_CLUSTERS_LEADER, "vault-2", 0}, {RAFT_CLUSTERS_VOTERS, NULL, 3}, {RAFT_CLUSTERS_TOLERANCE, NULL, 1},
        {RAFT_CLUSTERS_HEALTHY, NULL, 1});
    put_peer(w, "vault-0", "VOTER");
    put_peer(w, "vault-1", "VOTER");
    put_peer(w, "vault-2", "LEADER");
    put_extension(w, "vector", "OK");
    put_extension(w, "plpgsql", "OK");
    PUT(w, T_DATABASES, "immich-postgres/immich", "postgres/immich-postgres",
        {DATABASES_WORKLOAD, "immich-postgres", 0}, {DATABASES_NAME, "immich", 0});
    PUT(w, T_PROBES, "https://immich.example", "http/probes", {PROBES_NAME, "https://immich.example", 0},
        {PROBES_STATE, "OK", 0});
    PUT(w, T_ALERTS, "w", "alerts/alerts", {ALERTS_NAME, "Watchdog", 0}, {ALERTS_STATE, "WATCHDOG", 0},
        {ALERTS_UPDATED, NULL, NOW - 40000}, {ALERTS_ENDS, NULL, NOW + 180000});
    PUT(w, T_ALERTS, "i", "alerts/alerts", {ALERTS_NAME, "Ignored", 0}, {ALERTS_STATE, "IGNORED", 0});
    put_backup(w, "immich", "postgresql-backup", NOW - 9 * HOUR);
    put_backup(w, "vault", "vault-raft-backup", NOW - HOUR);
    PUT(w, T_SNAPSHOTS, "pve/snap", "lvm/lvs", {SNAPSHOTS_KIND, "snapshot", 0},
        {SNAPSHOTS_CLAIM, "vault/data-vault-0", 0},
        {SNAPSHOTS_CREATED, NULL, NOW - 13 * HOUR});
    PUT(w, T_SNAPSHOTS, "pve/data", "lvm/lvs", {SNAPSHOTS_KIND, "pool", 0}, {SNAPSHOTS_DATA, NULL, 6125},
        {SNAPSHOTS_METADATA, NULL, 1203});
    return w;
}

static const struct row *gate_row_of(const struct world *w, const char *key)
{
    const struct row *r = world_find(w, T_GATES, slice_of(key));
    if (!r)
        fail_msg("there is no gate \"%s\"", key);
    return r;
}

/* Asks all; the gate's row must say so, and its reason contain `reason`. */
static void assert_gate(struct world *w, const char *key, const char *answer, const char *reason)
{
    gates_update(w);
    const struct row *r = gate_row_of(w, key);
    struct slice a = row_text(r, GATES_ANSWER), why = row_text(r, GATES_REASON);
    if (!slice_is(a, answer) || !slice_contains(why, reason))
        fail_msg("%s: %.*s \"%.*s\" is not %s \"%s\"", key, SLICE_FMT(a), SLICE_FMT(why), answer, reason);
}

/* The only gate of a good world that answers otherwise; frees the world. */
static void assert_only(struct world *w, const char *key, const char *answer, const char *reason)
{
    assert_gate(w, key, answer, reason);
    for (const struct row *r = world_first(w, T_GATES); r; r = world_next(w, r))
        if (!slice_is(row_key(r), key) && !slice_is(row_text(r, GATES_ANSWER), "PASS"))
            fail_msg("%.*s: %.*s \"%.*s\"", SLICE_FMT(row_key(r)), SLICE_FMT(row_text(r, GATES_ANSWER)),
                     SLICE_FMT(row_text(r, GATES_REASON)));
    world_free(w);
}

#define HOSTILE "no hostile claim on NFS"
#define RAFT "voters are healthy/vault"
#define EXTENSIONS "extensions available at their version/immich-postgres"
#define EXTENSIONS_EQUAL "extensions equal baseline/immich-postgres"
#define ROWS_EQUAL "rows equal baseline/immich-postgres"
#define SERVES "the new server serves/immich-postgres"
#define ALERTS "no alert firing, watchdog alive"
#define HTTP "applications answer"
#define BACKUPS "backup cron jobs succeeded lately"
#define SNAPSHOTS "volumes are in nightly snapshots"
#define POOL "thin pool is not filling"

static void test_all_pass(void **state)
{
    (void)state;
    struct world *w = good_world();
    gates_update(w);
    assert_int_equal(world_count(w, T_GATES), 11);
    assert_gate(w, HOSTILE, "PASS", "2 claims on source classes, none that NFS can hurt");
    assert_gate(w, RAFT, "PASS", "3 voters, all healthy, leader vault-2, tolerance 1");
    assert_gate(w, EXTENSIONS, "PASS", "2 of 2 as installed");
    assert_gate(w, ALERTS, "PASS", "the watchdog is alive");
    assert_gate(w, EXTENSIONS_EQUAL, "PASS", "10 of 10, vector 0.8.0→0.8.1 patch, at 2026-04-25T");
    assert_gate(w, ROWS_EQUAL, "PASS", "343,222 rows");
    assert_gate(w, SERVES, "PASS", "system identifier 7512; the old copy rests in immich/data-host");
    assert_gate(w, HTTP, "PASS", "1 of 1 as expected");
    assert_gate(w, BACKUPS, "PASS", "the oldest succeeded 9h");
    assert_gate(w, BACKUPS, "PASS", "(success of a job is not proof of a backup)");
    assert_gate(w, SNAPSHOTS, "PASS", "1 of 1 present");
    assert_gate(w, POOL, "PASS", "pve/data: data 61.2 %, metadata 12.0 %");
    world_free(w);
}

/* An empty world gives no green answer anywhere. */
static void test_nothing_known_passes_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    gates_update(w);
    assert_gate(w, HOSTILE, "NOT ASKED", "no plan");
    put_plan(w);
    gates_update(w);
    assert_int_equal(world_count(w, T_GATES), 11);
    for (const struct row *r = world_first(w, T_GATES); r; r = world_next(w, r)) {
        bool judged_once = slice_is(row_key(r), EXTENSIONS_EQUAL) || slice_is(row_key(r), ROWS_EQUAL);
        assert_true(slice_is(row_text(r, GATES_ANSWER), judged_once ? "WAIT" : "NO DATA"));
        assert_true(row_text(r, GATES_REASON).n > 0);
    }
    world_free(w);
}

/* Facts that are not fresh give no answer, whatever they say; sources that are off are not asked. */
static void test_sources_decide_first(void **state)
{
    (void)state;
    static const struct {
        const char *gate, *server, *kind;
    } cases[] = {
        {HOSTILE, "kube", "persistentvolumeclaims"}, {HOSTILE, "kube", "persistentvolumes"},
        {RAFT, "vault", "vault-2"},                  {EXTENSIONS, "postgres", "immich-postgres"},
        {ALERTS, "alerts", "alerts"},                {HTTP, "http", "probes"},
        {BACKUPS, "kube", "cronjobs"},               {SNAPSHOTS, "lvm", "lvs"},
        {POOL, "lvm", "lvs"},                        {SERVES, "postgres", "immich-postgres"},
        {SERVES, "kube", "persistentvolumeclaims"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = good_world();
        char key[64], want[96];
        snprintf(key, sizeof key, "%s/%s", cases[i].server, cases[i].kind);
        PATCH(w, T_SOURCES, key, {SOURCES_LAST_OK, NULL, NOW - 200000});
        snprintf(want, sizeof want, "%s is STALE, last answer 3m", key);
        assert_gate(w, cases[i].gate, "NO DATA", want);
        PATCH(w, T_SOURCES, key, {SOURCES_STATE, "DENIED", 0});
        assert_gate(w, cases[i].gate, "NO DATA", "is DENIED");
        PATCH(w, T_SOURCES, key, {SOURCES_STATE, "STARTING", 0});
        unset(w, T_SOURCES, key, SOURCES_LAST_OK);
        assert_gate(w, cases[i].gate, "NO DATA", "is STARTING, last answer: never");
        PATCH(w, T_SOURCES, key, {SOURCES_STATE, "OFF", 0});
        assert_gate(w, cases[i].gate, "NOT ASKED", "is not in the plan");
        world_remove(w, T_SOURCES, slice_of(key));
        assert_gate(w, cases[i].gate, "NO DATA", "");
        world_free(w);
    }
}

static void test_another_cluster_gives_no_answer(void **state)
{
    (void)state;
    struct world *w = good_world();
    PATCH(w, T_PLAN, "plan", {PLAN_STATE, "MISMATCH", 0});
    gates_update(w);
    for (const struct row *r = world_first(w, T_GATES); r; r = world_next(w, r))
        assert_true(slice_is(row_text(r, GATES_ANSWER), "NO DATA"));
    world_free(w);
}

static void test_hostile_claims(void **state)
{
    (void)state;
    struct world *w = good_world();
    put_claim(w, "vault", "data-vault-2", "nfs-proxmox", "HOSTILE");
    assert_gate(w, HOSTILE, "WAIT", "1 left: data-vault-2");
    put_claim(w, "vault", "data-vault-1", "nfs-proxmox", "HOSTILE");
    put_claim(w, "vault", "audit-vault-1", "nfs-truenas", "TERMINATING");
    put_claim(w, "vault", "audit-vault-2", "nfs-proxmox", "HOSTILE");
    assert_only(w, HOSTILE, "WAIT", "4 left: audit-vault-1, audit-vault-2, +2");

    w = good_world();
    put_source(w, "kube", "pods", "DENIED"); /* nobody knows who mounts what */
    assert_only(w, HOSTILE, "NO DATA", "kube/pods is DENIED");

    w = good_world();
    put_claim(w, "vault", "data-vault-2", "nfs-proxmox", "LOST");
    assert_only(w, HOSTILE, "WAIT", "1 left: data-vault-2");

    w = good_world();
    put_claim(w, "vault", "data-vault-2", "nfs-proxmox", "UNKNOWN");
    assert_only(w, HOSTILE, "NO DATA", "1 cannot be judged: data-vault-2");
}

static void test_raft(void **state)
{
    (void)state;
    struct world *w = good_world();
    PATCH(w, T_RAFT_PEERS, "vault/vault-1", {RAFT_PEERS_HEALTH, "SEALED", 0});
    assert_only(w, RAFT, "FAIL", "not healthy: vault-1");
    w = good_world();
    PATCH(w, T_RAFT_PEERS, "vault/vault-1", {RAFT_PEERS_AUTOPILOT, "UNHEALTHY", 0});
    assert_only(w, RAFT, "FAIL", "not healthy: vault-1");
    w = good_world();
    PATCH(w, T_RAFT_PEERS, "vault/vault-1", {RAFT_PEERS_HEALTH, "UNKNOWN", 0});
    assert_only(w, RAFT, "NO DATA", "health not known: vault-1");
    w = good_world();
    PATCH(w, T_SOURCES, "vault/vault-0", {SOURCES_STATE, "DOWN", 0});
    assert_only(w, RAFT, "NO DATA", "vault/vault-0 is DOWN");
    w = good_world();
    world_remove(w, T_RAFT_PEERS, SLICE_LIT("vault/vault-0"));
    assert_only(w, RAFT, "NO DATA", "2 voters seen, the raft configuration has 3");
    w = good_world();
    PATCH(w, T_RAFT_PEERS, "vault/vault-0", {RAFT_PEERS_ROLE, "NON-VOTER", 0});
    assert_only(w, RAFT, "NO DATA", "2 voters seen");
    w = good_world();
    PATCH(w, T_RAFT_PEERS, "vault/vault-2", {RAFT_PEERS_ROLE, "VOTER", 0});
    assert_only(w, RAFT, "NO DATA", "the leader has not answered as leader: vault-2");
}

static void test_raft_as_a_whole(void **state)
{
    (void)state;
    struct world *w = good_world();
    PATCH(w, T_RAFT_CLUSTERS, "vault", {RAFT_CLUSTERS_STATE, "STUCK", 0},
          {RAFT_CLUSTERS_VERDICT, "LEADER STUCK since 10:48:12Z", 0});
    assert_only(w, RAFT, "FAIL", "LEADER STUCK since 10:48:12Z");
    w = good_world();
    PATCH(w, T_RAFT_CLUSTERS, "vault", {RAFT_CLUSTERS_STATE, "NO LEADER", 0});
    assert_only(w, RAFT, "FAIL", "NO LEADER");
    w = good_world();
    PATCH(w, T_RAFT_CLUSTERS, "vault", {RAFT_CLUSTERS_HEALTHY, NULL, 0});
    assert_only(w, RAFT, "FAIL", "autopilot");
    w = good_world();
    PATCH(w, T_RAFT_CLUSTERS, "vault", {RAFT_CLUSTERS_TOLERANCE, NULL, 0});
    assert_only(w, RAFT, "FAIL", "tolerance 0");
    static const int needed[] = {RAFT_CLUSTERS_STATE, RAFT_CLUSTERS_HEALTHY, RAFT_CLUSTERS_TOLERANCE,
                                 RAFT_CLUSTERS_VOTERS, RAFT_CLUSTERS_LEADER};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        w = good_world();
        unset(w, T_RAFT_CLUSTERS, "vault", needed[i]);
        assert_only(w, RAFT, "NO DATA", "");
    }
    w = good_world();
    unset(w, T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_TOLERANCE);
    PATCH(w, T_RAFT_PEERS, "vault/vault-0", {RAFT_PEERS_HEALTH, "REMOVED", 0});
    assert_only(w, RAFT, "FAIL", "not healthy: vault-0"); /* bad news comes before what is missing */
    w = good_world();
    world_remove(w, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_only(w, RAFT, "NO DATA", "nothing is known about this cluster yet");
}

static void test_alerts(void **state)
{
    (void)state;
    struct world *w = good_world();
    PUT(w, T_ALERTS, "1", "alerts/alerts", {ALERTS_NAME, "VaultSealed", 0}, {ALERTS_STATE, "FIRING", 0});
    PUT(w, T_ALERTS, "2", "alerts/alerts", {ALERTS_NAME, "DiskFull", 0}, {ALERTS_STATE, "FIRING", 0});
    assert_only(w, ALERTS, "FAIL", "2 firing: DiskFull, VaultSealed");
    w = good_world();
    world_remove(w, T_ALERTS, SLICE_LIT("w"));
    assert_only(w, ALERTS, "NO DATA", "no alert Watchdog fires");
    w = good_world();
    PATCH(w, T_ALERTS, "w", {ALERTS_UPDATED, NULL, NOW - HOUR});
    assert_only(w, ALERTS, "NO DATA", "the watchdog was last sent 1h");
    w = good_world();
    PATCH(w, T_ALERTS, "w", {ALERTS_ENDS, NULL, NOW - 1});
    assert_only(w, ALERTS, "NO DATA", "alerting is not proved alive");
    w = good_world();
    world_remove(w, T_ALERTS, SLICE_LIT("w"));
    unset(w, T_PLAN, "plan", PLAN_WATCHDOG);
    assert_only(w, ALERTS, "NO DATA", "the plan names no watchdog");
}

static void test_http(void **state)
{
    (void)state;
    struct world *w = good_world();
    PUT(w, T_PROBES, "https://b", "http/probes", {PROBES_NAME, "https://b", 0}, {PROBES_STATE, "SILENT", 0});
    assert_only(w, HTTP, "FAIL", "1 of 2: https://b");
    w = good_world();
    PUT(w, T_PROBES, "https://b", "http/probes", {PROBES_NAME, "https://b", 0});
    assert_only(w, HTTP, "NO DATA", "no answer yet: https://b");
    w = good_world();
    world_remove(w, T_PROBES, SLICE_LIT("https://immich.example"));
    assert_only(w, HTTP, "NO DATA", "no probe has been made yet");
    w = good_world();
    put_source(w, "http", "b", "DOWN");
    PUT(w, T_PROBES, "https://b", "http/b", {PROBES_NAME, "https://b", 0}, {PROBES_STATE, "OK", 0});
    assert_only(w, HTTP, "NO DATA", "http/b is DOWN");
}

static void test_extensions(void **state)
{
    (void)state;
    struct world *w = good_world();
    put_extension(w, "vector", "DRIFT");
    put_extension(w, "cube", "DRIFT");
    assert_gate(w, EXTENSIONS, "WAIT", "another version of cube, vector");
    put_extension(w, "vchord", "UNAVAILABLE");
    assert_only(w, EXTENSIONS, "FAIL", "the image does not have vchord");
    w = good_world();
    put_extension(w, "vector", "UNKNOWN");
    assert_only(w, EXTENSIONS, "NO DATA", "version not known: vector");
    w = good_world();
    PATCH(w, T_DATABASES, "immich-postgres/immich", {DATABASES_ERROR, "permission denied", 0});
    assert_only(w, EXTENSIONS, "NO DATA", "could not be read: immich");
    w = good_world();
    world_remove(w, T_EXTENSIONS, SLICE_LIT("immich-postgres/immich/vector"));
    world_remove(w, T_EXTENSIONS, SLICE_LIT("immich-postgres/immich/plpgsql"));
    assert_only(w, EXTENSIONS, "NO DATA", "no extension has been seen yet");
}

/* Safety 6: both copies would diverge in silence. */
static void test_old_copy_is_back(void **state)
{
    (void)state;
    struct world *w = good_world();
    PATCH(w, T_PG_SERVERS, "immich-postgres", {PG_SERVERS_IDENTIFIER, "7497", 0});
    assert_only(w, SERVES, "FAIL", "7497 serves, it must be 7512: THE OLD COPY OR ANOTHER IS BACK");
    w = good_world();
    assert_true(world_remove(w, T_CLAIMS, SLICE_LIT("uid-immich-data-host")));
    assert_only(w, SERVES, "FAIL", "claim immich/data-host, is gone before its retention ended");
    w = good_world();
    PATCH(w, T_CLAIMS, "uid-immich-data-host", {CLAIMS_DELETING, NULL, NOW - 1000});
    assert_only(w, SERVES, "FAIL", "is being deleted");
    w = good_world();
    unset(w, T_PG_SERVERS, "immich-postgres", PG_SERVERS_IDENTIFIER);
    assert_only(w, SERVES, "NO DATA", "is not known");
    w = good_world();
    assert_true(world_remove(w, T_CLAIMS, SLICE_LIT("uid-immich-data-host")));
    PATCH(w, T_PLAN_WORKLOADS, "immich-postgres", {PLAN_WORKLOADS_RETAIN_UNTIL, NULL, NOW - 1});
    assert_gate(w, SERVES, "PASS", "7512");
    unset(w, T_PLAN_WORKLOADS, "immich-postgres", PLAN_WORKLOADS_TOMBSTONE);
    assert_gate(w, ROWS_EQUAL, "WAIT", "not verified yet"); /* rolled back: what was verified does not serve */
    assert_gate(w, SERVES, "WAIT", "nothing has been moved yet");
    world_free(w);
}

static void test_what_verify_froze(void **state)
{
    (void)state;
    struct world *w = good_world();
    put_criterion(w, "rows equal baseline", "FAIL", "immich public.asset: 111,843, now 111,842");
    assert_only(w, ROWS_EQUAL, "FAIL", "111,843, now 111,842");
    w = good_world();
    assert_true(world_remove(w, T_CRITERIA, SLICE_LIT("immich-postgres/extensions equal baseline")));
    assert_only(w, EXTENSIONS_EQUAL, "WAIT", "not verified yet");
}

static void test_backups(void **state)
{
    (void)state;
    struct world *w = good_world();
    put_backup(w, "immich", "postgresql-backup", NOW - 27 * HOUR);
    assert_only(w, BACKUPS, "FAIL", "immich/postgresql-backup last succeeded 1d3h");
    w = good_world();
    PATCH(w, T_WORKLOADS, "postgresql-backup", {WORKLOADS_STATE, "SUSPENDED", 0});
    assert_gate(w, BACKUPS, "WAIT", "immich/postgresql-backup is suspended");
    unset(w, T_WORKLOADS, "vault-raft-backup", WORKLOADS_LAST_OK);
    assert_only(w, BACKUPS, "FAIL", "vault/vault-raft-backup has never succeeded");
    w = good_world();
    unset(w, T_WORKLOADS, "vault-raft-backup", WORKLOADS_LAST_OK);
    PATCH(w, T_WORKLOADS, "vault-raft-backup", {WORKLOADS_CREATED, NULL, NOW - HOUR});
    assert_only(w, BACKUPS, "WAIT", "vault/vault-raft-backup has not succeeded yet");
    w = good_world();
    world_remove(w, T_WORKLOADS, SLICE_LIT("vault-raft-backup"));
    PUT(w, T_WORKLOADS, "d", "kube/deployments", {WORKLOADS_NAMESPACE, "vault", 0},
        {WORKLOADS_NAME, "vault-raft-backup", 0}, {WORKLOADS_KIND, "Deployment", 0},
        {WORKLOADS_LAST_OK, NULL, NOW});
    assert_only(w, BACKUPS, "FAIL", "vault/vault-raft-backup does not exist");
    w = good_world();
    unset(w, T_PLAN, "plan", PLAN_BACKUPS);
    assert_only(w, BACKUPS, "NOT ASKED", "no plan names backup cron jobs");
    w = good_world();
    PATCH(w, T_PLAN, "plan", {PLAN_BACKUPS, "immich/postgresql-backup", 0});
    assert_gate(w, BACKUPS, "PASS", "job succeeded 9h");
    world_free(w);
}

static void test_snapshots(void **state)
{
    (void)state;
    struct world *w = good_world();
    put_claim(w, "vault", "data-vault-1", "encrypted", "MOVED");
    assert_gate(w, SNAPSHOTS, "FAIL", "1 without a snapshot of the last 26 hours: data-vault-1");
    PATCH(w, T_CLAIMS, "uid-vault-data-vault-1", {CLAIMS_CREATED, NULL, NOW - HOUR});
    assert_only(w, SNAPSHOTS, "WAIT", "1 new: data-vault-1; next run 03:00");
    w = good_world();
    PATCH(w, T_SNAPSHOTS, "pve/snap", {SNAPSHOTS_CREATED, NULL, NOW - 27 * HOUR});
    assert_only(w, SNAPSHOTS, "FAIL", "data-vault-0");
    w = good_world();
    PATCH(w, T_SNAPSHOTS, "pve/snap", {SNAPSHOTS_KIND, "volume", 0});
    assert_only(w, SNAPSHOTS, "FAIL", "data-vault-0");
    w = good_world();
    unset(w, T_SNAPSHOTS, "pve/snap", SNAPSHOTS_CLAIM); /* volumes that are not matched yet are not missing */
    assert_only(w, SNAPSHOTS, "NO DATA", "none of 1 logical volumes could be told to be a claim's");
    w = good_world();
    PATCH(w, T_PLAN, "plan", {PLAN_TARGET, "not-yet", 0});
    assert_only(w, SNAPSHOTS, "WAIT", "no claim is on the target class yet");
}

static void test_pool(void **state)
{
    (void)state;
    struct world *w = good_world();
    PATCH(w, T_SNAPSHOTS, "pve/data", {SNAPSHOTS_DATA, NULL, 8000});
    assert_only(w, POOL, "FAIL", "pve/data: data 80.0 %, metadata 12.0 % (limit 80 %)");
    w = good_world();
    PUT(w, T_SNAPSHOTS, "pve/other", "lvm/lvs", {SNAPSHOTS_KIND, "pool", 0}, {SNAPSHOTS_DATA, NULL, 100},
        {SNAPSHOTS_METADATA, NULL, 9950});
    assert_only(w, POOL, "FAIL", "pve/other: data 1.0 %, metadata 99.5 %");
    w = good_world();
    unset(w, T_SNAPSHOTS, "pve/data", SNAPSHOTS_METADATA);
    assert_only(w, POOL, "NO DATA", "how full pve/data is was not reported");
    w = good_world();
    world_remove(w, T_SNAPSHOTS, SLICE_LIT("pve/data"));
    assert_only(w, POOL, "NO DATA", "no thin pool was reported");
}

/* Gates that look through large tables remember their answer; a snapshot ages although nothing changes. */
static void test_time_passes(void **state)
{
    (void)state;
    struct world *w = good_world();
    gates_update(w);
    assert_gate(w, SNAPSHOTS, "PASS", "present");
    world_set_now(w, NOW + 14 * HOUR);
    PATCH(w, T_SOURCES, "lvm/lvs", {SOURCES_LAST_OK, NULL, NOW + 14 * HOUR});
    PATCH(w, T_SOURCES, "kube/persistentvolumeclaims", {SOURCES_LAST_OK, NULL, NOW + 14 * HOUR});
    gates_update(w);
    assert_gate(w, SNAPSHOTS, "FAIL", "data-vault-0");
    world_free(w);
}

static void test_rows_of_gates(void **state)
{
    (void)state;
    struct world *w = good_world();
    gates_update(w);
    uint64_t seq = world_seq(w);
    world_set_now(w, NOW + 5000);
    gates_update(w);
    assert_int_equal(world_seq(w), seq); /* nothing new: no delta */
    const struct row *r = gate_row_of(w, RAFT);
    assert_true(slice_is(row_text(r, GATES_NAME), "voters are healthy"));
    assert_true(slice_is(row_text(r, GATES_WORKLOAD), "vault"));
    assert_true(row_int(r, GATES_SINCE, 0) == NOW);
    assert_true(row_int(r, GATES_RANK, 0) > row_int(gate_row_of(w, HOSTILE), GATES_RANK, 0));
    assert_null(row_text(gate_row_of(w, HOSTILE), GATES_WORKLOAD).p);
    put_claim(w, "vault", "a", "nfs-proxmox", "HOSTILE");
    gates_update(w);
    assert_true(row_int(gate_row_of(w, HOSTILE), GATES_SINCE, 0) == NOW + 5000);
    put_claim(w, "vault", "b", "nfs-proxmox", "HOSTILE");
    world_set_now(w, NOW + 6000);
    gates_update(w);
    assert_true(row_int(gate_row_of(w, HOSTILE), GATES_SINCE, 0) == NOW + 5000); /* another reason, the same answer */
    world_remove(w, T_PLAN_WORKLOADS, SLICE_LIT("vault"));
    gates_update(w);
    assert_null(world_find(w, T_GATES, SLICE_LIT(RAFT)));
    world_free(w);
}

static void test_every_gate_is_described(void **state)
{
    (void)state;
    for (int i = 0; gate_table[i]; i++) {
        assert_true(gate_table[i]->name && gate_table[i]->doc && gate_table[i]->ask);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(gate_table[i]->name, gate_table[j]->name);
    }
    assert_string_equal(gate_answer_word(GATE_NO_DATA), "NO DATA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_pass),
        cmocka_unit_test(test_nothing_known_passes_nothing),
        cmocka_unit_test(test_sources_decide_first),
        cmocka_unit_test(test_another_cluster_gives_no_answer),
        cmocka_unit_test(test_hostile_claims),
        cmocka_unit_test(test_raft),
        cmocka_unit_test(test_raft_as_a_whole),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_old_copy_is_back),
        cmocka_unit_test(test_what_verify_froze),
        cmocka_unit_test(test_backups),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_time_passes),
        cmocka_unit_test(test_rows_of_gates),
        cmocka_unit_test(test_every_gate_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
