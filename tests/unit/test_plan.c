/* Plans: what is read, and that every fault is told at once, at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/plan.h"

static const char good[] =
    "plan: nfs-hostile\n"
    "context: home\n"
    "cluster: 5f0c\n"
    "source: { storageClasses: [nfs-proxmox, nfs-truenas] }\n"
    "target: { storageClass: proxmox-lvm-encrypted, encrypted: required }\n"
    "remaining: [vault/vault-backup-host]\n"
    "hours: \"08:00-22:00 Europe/London\"\n"
    "workloads:\n"
    "  - name: immich-postgres\n"
    "    kind: postgres-dump-restore\n"
    "    namespace: immich\n"
    "    deployment: immich-postgresql\n"
    "    volume: data\n"
    "    claim: { name: new-claim, size: 10Gi, annotations: { a.b/c: d } }\n"
    "    quiesce: [deployment/immich-server, cronjob/backup]\n"
    "    postgres: { via: direct, conninfo: \"host=x dbname=immich\" }\n"
    "    dump: { strategy: dumpall, directory: dumps, encrypt: { passphrase_file: key } }\n"
    "    restart_for_preload: [vchord]\n"
    "    verify: { extensions: { drift: minor }, rows: all, login: { user: u, secret: s, key: k } }\n"
    "    http: [{ url: \"https://x/\", expect: 200, body: '\"version\"' }]\n"
    "    retain: 7d\n"
    "  - name: vault\n"
    "    kind: raft-rolling\n"
    "    namespace: vault\n"
    "    statefulset: vault\n"
    "    vault: { via: kube-proxy, token: { file: token }, cluster_id: a54c42b3 }\n"
    "    snapshot: { directory: snaps, encrypt: { passphrase_file: key } }\n"
    "    window: { duration: 24h, sample: 10s, max_gap: 5m }\n"
    "snapshots: { command: [ssh, pve, lvs], daily: \"03:00\" }\n"
    "backups: { cronjobs: [immich/backup], clean_days: 3 }\n"
    "alerts: { alertmanager: \"http://a:9093\", watchdog: Dog, ignore: [X] }\n"
    "notify: [{ command: [mail, -s, window] }, { url: \"https://hooks.example/x\" }]\n";

static void test_reads_a_whole_plan(void **state) {
    struct plan *p = NULL;
    (void)state;
    struct err *e = plan_parse(good, strlen(good), "/etc/ferry/plan.yaml", &p);
    if (e) print_error("%s\n", err_text(e));
    assert_null(e);
    assert_string_equal(p->name, "nfs-hostile");
    assert_int_equal(p->source_classes.n, 2);
    assert_string_equal(p->target_class, "proxmox-lvm-encrypted");
    assert_true(p->target_encrypted);
    assert_int_equal(p->nworkloads, 2);
    const struct plan_postgres *pg = p->workloads[0].spec;
    assert_string_equal(pg->postgres.conninfo, "host=x dbname=immich");
    assert_int_equal(pg->claim.size, INT64_C(10) << 30);
    assert_string_equal(pg->claim.apply, "console"); /* default */
    assert_string_equal(pg->claim.annotations.keys[0], "a.b/c");
    assert_string_equal(pg->dump.directory, "/etc/ferry/dumps"); /* against the plan's folder */
    assert_string_equal(pg->dump.encrypt.passphrase_file, "/etc/ferry/key");
    assert_int_equal(pg->retain_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(((const struct plan_http *)pg->http.v)->expect, 200);
    const struct plan_raft *raft = p->workloads[1].spec;
    assert_string_equal(raft->vault.token, "file");
    assert_string_equal(raft->vault.token_file, "/etc/ferry/token");
    assert_int_equal(raft->vault.port, 8200);
    assert_string_equal(raft->vault.cluster_id, "a54c42b3");
    assert_string_equal(raft->snapshot.directory, "/etc/ferry/snaps");
    assert_string_equal(raft->snapshot.encrypt.passphrase_file, "/etc/ferry/key");
    assert_int_equal(raft->window.fail_after_ms, 30000); /* default */
    assert_int_equal(p->backup_days, 3);
    assert_string_equal(p->watchdog, "Dog");
    const struct plan_notify *told = p->notify.v;
    assert_int_equal(p->notify.n, 2);
    assert_int_equal(told[0].command.n, 3);
    assert_null(told[0].url);
    assert_string_equal(told[1].url, "https://hooks.example/x");
    const char **ns = plan_namespaces(p);
    assert_string_equal(ns[0], "immich");
    assert_string_equal(ns[1], "vault");
    assert_null(ns[2]);
    free(ns);
    plan_free(p);
}

static void expect_faults(const char *text, const char *const *faults) {
    struct plan *p = NULL;
    struct err *e = plan_parse(text, strlen(text), "p.yaml", &p);
    assert_non_null(e);
    assert_null(p);
    assert_int_equal(err_exit_status(e), 65);
    for (; *faults; faults++) {
        if (!strstr(err_text(e), *faults)) print_error("not in it: %s\n%s\n", *faults, err_text(e));
        assert_non_null(strstr(err_text(e), *faults));
    }
    err_free(e);
}

static void test_tells_every_fault_at_once(void **state) {
    static const char text[] =
        "plan: Bad_Name\n"
        "contxt: home\n"
        "source: { storageClasses: [nfs] }\n"
        "target: { storageClass: lvm, encrypted: perhaps }\n"
        "hours: \"8-22\"\n"
        "remaining: [no-slash]\n"
        "workloads:\n"
        "  - name: a\n"
        "    kind: raft-roling\n"
        "    namespace: vault\n"
        "  - name: v\n"
        "    kind: raft-rolling\n"
        "    namespace: vault\n"
        "    statefulset: vault\n"
        "    vault: { via: direct, token: hvs.secret }\n"
        "    windw: { duration: 24h }\n"
        "    window: { duration: 1s, sample: abc }\n"
        "    retain: 7 days\n";
    static const char *const faults[] = {
        "p.yaml:1:7: plan: 'Bad_Name' is no Kubernetes name",
        "p.yaml:2:1: plan: unknown key 'contxt'; did you mean 'context'?",
        "'context' is missing",
        "p.yaml:4:41: encrypted: 'perhaps' is none of required, optional",
        "p.yaml:5:8: hours: '8-22'",
        "remaining: 'no-slash' is not NAMESPACE/NAME",
        "p.yaml:9:11: kind: 'raft-roling' is unknown; did you mean 'raft-rolling'?",
        "vault: via direct needs 'urls'",
        "token: must be env (VAULT_TOKEN or ~/.vault-token)",
        "p.yaml:16:5: workload v: unknown key 'windw'; did you mean 'window'?",
        "duration: '1s' is not between",
        "sample: 'abc' is not a duration",
        "retain: '7 days' is not a duration",
        NULL,
    };
    (void)state;
    expect_faults(text, faults);
}

/* Also where nothing is enciphered: it is not built. */
static void test_parallel_dumps_are_refused(void **state) {
    static const char *const faults[] = {"p.yaml:17:23: dump: this version does not dump in parallel; use strategy: dumpall", NULL};
    static const char line[] = "    dump: { strategy: dumpall, directory: dumps, encrypt: { passphrase_file: key } }\n";
    const char *at = strstr(good, line);
    (void)state;
    char *text = str_printf("%.*s    dump: { strategy: parallel, encrypt: { none: true, reason: why } }\n%s", (int)(at - good), good, at + sizeof line - 1);
    expect_faults(text, faults);
    free(text);
}

static void test_an_unknown_key_is_told_once(void **state) {
    static const char text[] = "plan: a\ncontext: b\nsource: { storageClasses: [n] }\ntarget: { storageClass: l }\nworkloads:\n"
                               "  - { name: v, kind: raft-rolling, namespace: v, statefulset: v, vault: { via: kube-proxy }, nmae: x }\n";
    struct plan *p = NULL;
    (void)state;
    struct err *e = plan_parse(text, strlen(text), "p.yaml", &p);
    assert_non_null(e);
    const char *first = strstr(err_text(e), "'nmae'");
    assert_non_null(first);
    assert_null(strstr(first + 1, "'nmae'"));
    err_free(e);
}

/* A snapshot is enciphered, or a reason is given: the fault says what to write. */
static void test_snapshots_are_enciphered(void **state) {
    static const char head[] = "plan: a\ncontext: b\nsource: { storageClasses: [n] }\ntarget: { storageClass: l }\nworkloads:\n"
                               "  - name: v\n    kind: raft-rolling\n    namespace: v\n    statefulset: v\n    vault: { via: kube-proxy }\n";
    static const struct {
        const char *tail, *fault;
    } cases[] = {
        {"", "p.yaml:6:5: 'snapshot' is missing: write snapshot: { encrypt: { passphrase_file: FILE } }"},
        {"    snapshot: { directory: x }\n", "p.yaml:11:15: snapshot: 'encrypt' is missing: write snapshot:"},
        {"    snapshot: { encrypt: none }\n", "encrypt: none needs a reason: { none: true, reason: \"…\" } (a snapshot holds every secret"},
        {"    snapshot: { encrypt: { none: maybe } }\n", "encrypt.none: 'maybe' is neither true nor false"},
        {"    snapshot: here\n", "snapshot: must be a map"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *faults[] = {cases[i].fault, NULL};
        char *text = str_printf("%s%s", head, cases[i].tail);
        expect_faults(text, faults);
        free(text);
    }
    struct plan *p = NULL;
    char *text = str_printf("%s    snapshot: { encrypt: { none: true, reason: test } }\n", head);
    assert_null(plan_parse(text, strlen(text), "p.yaml", &p));
    const struct plan_raft *raft = p->workloads[0].spec;
    assert_true(raft->snapshot.encrypt.none);
    assert_null(raft->snapshot.directory);
    plan_free(p);
    free(text);
}

static void test_who_is_told_is_a_command_or_a_url(void **state) {
    static const struct {
        const char *entry, *fault;
    } cases[] = {
        {"{}", "notify: every entry is either { command:"},
        {"{ command: [a], url: \"https://x/\" }", "notify: every entry is either { command:"},
        {"{ command: [] }", "notify: 'command' is empty"},
        {"{ url: \"ftp://x/\" }", "url: 'ftp://x/'"},
        {"{ comand: [a] }", "notify: unknown key 'comand'; did you mean 'command'?"},
        {"mail", "notify: every entry must be a map"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *faults[] = {cases[i].fault, NULL};
        char *text = str_printf("%snotify: [%s]\n", good, cases[i].entry), *twice = strstr(text, "notify: [{ command: [mail");
        memmove(twice, strchr(twice, '\n') + 1, strlen(strchr(twice, '\n') + 1) + 1);
        expect_faults(text, faults);
        free(text);
    }
}

/* On a sandbox's fast clock a sample still takes a second of real time. */
static void test_a_window_on_a_fast_clock(void **state) {
    struct plan_raft p = {.window = {.sample_ms = 10000}};
    (void)state;
    assert_null(plan_raft_window_fits(&p, 1));
    assert_null(plan_raft_window_fits(&p, 10));
    struct err *e = plan_raft_window_fits(&p, 60);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_USAGE);
    assert_non_null(strstr(err_text(e), "write sample: 60s or more"));
    err_free(e);
}

static void test_passwords_have_no_place_in_a_plan(void **state) {
    static const char text[] =
        "plan: a\ncontext: b\nsource: { storageClasses: [n] }\ntarget: { storageClass: l }\nworkloads:\n"
        "  - { name: v, kind: postgres-dump-restore, namespace: v, deployment: d, volume: v, claim: { name: c, size: 1Gi },\n"
        "      postgres: { via: direct, conninfo: \"host=x password=geheim\" }, dump: { encrypt: none } }\n";
    static const char *const faults[] = {"no password in a plan", "none needs a reason", NULL};
    (void)state;
    expect_faults(text, faults);
}

static void test_refuses_what_is_no_plan(void **state) {
    static const char *const empty[] = {"a plan is a map", NULL};
    static const char *const list[] = {"a plan is a map", NULL};
    static const char *const none[] = {"workloads: a list with at least one workload is missing", NULL};
    (void)state;
    expect_faults("", empty);
    expect_faults("[1, 2]", list);
    expect_faults("plan: x\n", none);
}

static void test_hours(void **state) {
    (void)state;
    assert_true(plan_hours_valid("08:00-22:00"));
    assert_true(plan_hours_valid("22:00-06:00 Europe/London"));
    assert_true(plan_hours_valid("00:00-24:00 UTC"));
    assert_false(plan_hours_valid("08:00-24:01"));
    assert_false(plan_hours_valid("8:00-22:00"));
    assert_false(plan_hours_valid("08:00"));
    assert_false(plan_hours_valid("08:00-22:00Europe"));
    assert_false(plan_hours_valid(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_whole_plan),           cmocka_unit_test(test_tells_every_fault_at_once),
        cmocka_unit_test(test_parallel_dumps_are_refused),   cmocka_unit_test(test_snapshots_are_enciphered),
        cmocka_unit_test(test_who_is_told_is_a_command_or_a_url), cmocka_unit_test(test_a_window_on_a_fast_clock),
        cmocka_unit_test(test_an_unknown_key_is_told_once),  cmocka_unit_test(test_passwords_have_no_place_in_a_plan),
        cmocka_unit_test(test_refuses_what_is_no_plan),      cmocka_unit_test(test_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
