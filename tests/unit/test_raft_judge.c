/* A raft set judged before anything of it moves: versions and the log, peers, autopilot, the set, automation, addresses, audit, the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "client/vault_parse.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_token.h"

/* Single quotes for double ones. */
static struct json_t *doc_of(const char *text) {
    char *p = mem_strdup(text);
    struct json_t *d = NULL;
    for (char *q = p; *q; q++)
        if (*q == '\'') *q = '"';
    struct err *e = jd_parse(p, strlen(p), "test", &d);
    if (e) fail_msg("%s in %s", err_text(e), text);
    mem_free(p);
    return d;
}

/* Says this, and is emptied. */
static void says(struct buf *out, const char *part) {
    if (!strstr(buf_str(out), part)) fail_msg("\"%s\" is not in \"%s\"", part, buf_str(out));
    buf_clear(out);
}

/* ---- Versions and the log ---- */

static void test_which_versions_remove_themselves(void **state) {
    (void)state;
    assert_false(raft_removes_itself(false, "1.18.5"));
    assert_true(raft_removes_itself(false, "1.19.0"));
    assert_true(raft_removes_itself(false, "1.21.2+ent"));
    assert_true(raft_removes_itself(false, "2.0.4"));
    assert_false(raft_removes_itself(true, "2.6.2")); /* OpenBao has no such check */
    assert_true(raft_removes_itself(false, "nightly"));
    assert_true(raft_removes_itself(false, NULL));
}

static void test_exposed_log(void **state) {
    struct buf out = {0};
    (void)state;
    assert_true(raft_judge_log(false, "1.18.1", 100, &out));
    says(&out, "no check");
    assert_true(raft_judge_log(true, "2.4.4", 100, &out));
    says(&out, "OpenBao 2.4.4");
    assert_false(raft_judge_log(false, "1.19.0", RAFT_LOG_KEPT - 1, &out));
    says(&out, "exposed: its index 18431 is below 18432");
    assert_true(raft_judge_log(false, "1.19.0", RAFT_LOG_KEPT, &out));
    says(&out, "begins with a snapshot");
    buf_free(&out);
}

/* ---- Peers ---- */

static struct vault_servers three(const char *id) {
    struct vault_servers s = {.count = 3};
    for (size_t i = 0; i < 3; i++) {
        struct vault_server *v = &s.list[i];
        v->voter = true;
        snprintf(v->address, sizeof v->address, "vault-%zu.vault-internal:8201", i);
        snprintf(v->id, sizeof v->id, "%s%zu", id, i);
    }
    return s;
}

static void test_stable_and_unstable_ids(void **state) {
    struct buf out = {0};
    bool stable;
    (void)state;
    struct vault_servers s = three("vault-");
    assert_true(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    assert_true(stable);
    says(&out, "3 voters, each a pod; node ids are the pods' names: a wiped node is the same voter from its first second on");
    s = three("6f1b2c3d-0000-0000-0000-00000000000");
    assert_true(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    assert_false(stable);
    says(&out, "comes back under a new id");
    s = three("vault-");
    strcpy(s.list[2].id, "a-uuid"); /* one that is not is enough */
    assert_true(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    assert_false(stable);
    buf_free(&out);
}

static void test_peers_that_are_not_right(void **state) {
    struct buf out = {0};
    bool stable;
    (void)state;
    struct vault_servers s = three("vault-");
    s.list[1].voter = false;
    assert_false(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    says(&out, "vault-1 (vault-1) is a peer without a vote");
    s = three("vault-");
    strcpy(s.list[2].address, "old.vault-internal:8201");
    strcpy(s.list[2].id, "old");
    assert_false(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    says(&out, "the peer old at old.vault-internal:8201 is no pod of the set");
    s = three("vault-");
    s.count = 2;
    assert_false(raft_judge_peers(&s, "vault", 3, NULL, &stable, &out));
    says(&out, "vault-2 is not a peer of the raft configuration");
    s = three("vault-");
    assert_false(raft_judge_peers(&s, "vault", 2, NULL, &stable, &out)); /* the third has no pod any more */
    says(&out, "vault-2");
    s = three("vault-");
    assert_false(raft_judge_peers(&s, "vaul", 3, NULL, &stable, &out));
    buf_free(&out);
}

static void test_peers_by_address(void **state) {
    struct buf out = {0};
    bool stable;
    (void)state;
    struct json_t *pods = doc_of("{'items':[{'metadata':{'name':'vault-0'},'status':{'podIP':'10.0.0.10'}},{'metadata':{'name':'vault-1'},'status':"
                                 "{'podIP':'10.0.0.11'}},{'metadata':{'name':'vault-2'},'status':{'podIP':'10.0.0.12'}}]}");
    struct vault_servers s = three("id-");
    for (size_t i = 0; i < 3; i++) snprintf(s.list[i].address, sizeof s.list[i].address, "10.0.0.1%zu:8201", i);
    assert_true(raft_judge_peers(&s, "vault", 3, pods, &stable, &out));
    assert_false(stable);
    assert_string_equal(raft_peer_pod(&s.list[2], "vault", 3, pods), "vault-2");
    assert_null(raft_peer_pod(&s.list[2], "vault", 3, NULL));
    jd_free(pods);
    buf_free(&out);
}

static void test_autopilot_may_not_prune(void **state) {
    struct buf out = {0};
    struct vault_autopilot_config c = {.cleanup = VAULT_NO, .dead_ms = 1000};
    (void)state;
    assert_true(raft_judge_cleanup(&c, 3, &out));
    says(&out, "removes no dead servers");
    c.cleanup = VAULT_YES;
    c.min_quorum = 3;
    assert_true(raft_judge_cleanup(&c, 3, &out));
    says(&out, "never one of 3");
    assert_false(raft_judge_cleanup(&c, 5, &out));
    says(&out, "set cleanup_dead_servers=false");
    c.dead_ms = 24 * 3600 * 1000;
    assert_true(raft_judge_cleanup(&c, 5, &out));
    buf_free(&out);
}

/* ---- The set ---- */

#define SET                                                                                                                               \
    "{'metadata':{'name':'vault'},'spec':{'replicas':3,'podManagementPolicy':'Parallel','updateStrategy':{'type':'OnDelete'},"             \
    "'template':{'metadata':{'labels':{'app':'vault','component':'server'}},'spec':{'containers':[{'name':'vault','volumeMounts':["        \
    "{'name':'data','mountPath':'/vault/data'},{'name':'audit','mountPath':'/vault/audit/'},{'name':'tmp','mountPath':'/vault/audit/tmp'}]}]}}," \
    "'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{'storageClassName':'nfs'}},{'metadata':{'name':'audit'}}]},"              \
    "'status':{'readyReplicas':3,'currentRevision':'a','updateRevision':'a'}}"

static void judge_with(const char *path, struct json_t *value, bool good, const char *says_so, const char *notes_so) {
    struct json_t *set = doc_of(SET);
    struct buf out = {0}, notes = {0};
    if (path) jd_put(set, path, value);
    if (raft_judge_set(set, &out, &notes) != good) fail_msg("%s: %s", path ? path : "as it is", buf_str(&out));
    says(&out, says_so);
    if (notes_so) says(&notes, notes_so);
    buf_free(&out);
    buf_free(&notes);
    jd_free(set);
}

static void test_the_set(void **state) {
    (void)state;
    judge_with(NULL, NULL, true, "3 replicas, OnDelete, Parallel, claims retained; templates data (nfs), audit (default class)", NULL);
    judge_with("spec.replicas", jd_int(2), false, "from 3 on", NULL);
    judge_with("spec.replicas", jd_int(9), false, "7 are the most", NULL);
    judge_with("status.readyReplicas", jd_int(2), false, "2 of 3 pods of set vault are ready", NULL);
    judge_with("metadata.deletionTimestamp", jd_string("2026-01-01T00:00:00Z"), false, "is being deleted", NULL);
    judge_with("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", jd_string("Delete"), false, "Set whenDeleted to Retain first", NULL);
    judge_with("spec.persistentVolumeClaimRetentionPolicy.whenScaled", jd_string("Delete"), true, "3 replicas", "scaling the set down would delete claims");
    judge_with("spec.volumeClaimTemplates", jd_array(), false, "no claim templates", NULL);
    judge_with("metadata.ownerReferences", doc_of("[{'kind':'Vault','name':'x','controller':true}]"), false, "owned by a Vault", NULL);
    judge_with("metadata.ownerReferences", doc_of("[{'kind':'Note','name':'x'}]"), true, "3 replicas", NULL);
    judge_with("spec.podManagementPolicy", jd_string("OrderedReady"), true, "OrderedReady", "the set makes none of a higher ordinal");
    judge_with("status.updateRevision", jd_string("b"), true, "3 replicas", "the pods predate the template");
    judge_with("spec.volumeClaimTemplates.0.metadata.annotations", doc_of("{'a':'b'}"), true, "3 replicas", "the claim template data has annotations");
}

static void test_rolling_updates(void **state) {
    (void)state;
    struct buf out = {0}, notes = {0};
    struct json_t *set = doc_of(SET);
    jd_put(set, "spec.updateStrategy", doc_of("{'type':'RollingUpdate'}"));
    assert_true(raft_judge_set(set, &out, &notes));
    says(&notes, "updateStrategy is RollingUpdate, not OnDelete");
    jd_put(set, "status.updateRevision", jd_string("b"));
    buf_clear(&out);
    assert_false(raft_judge_set(set, &out, &notes));
    says(&out, "a roll-out of set vault is under way");
    jd_free(set);
    buf_free(&out);
    buf_free(&notes);
}

static void test_open_secrets(void **state) {
    struct buf out = {0};
    (void)state;
    struct json_t *set = doc_of("{'spec':{'template':{'spec':{'containers':[{'env':[{'name':'VAULT_TOKEN','value':'x'},{'name':'HOME','value':'/'},"
                                "{'name':'AWS_SECRET_ACCESS_KEY','valueFrom':{}},{'name':'DB_PASSWORD','value':''}]}]}}}}");
    raft_say_open_secrets(set, &out);
    assert_string_equal(buf_str(&out), "VAULT_TOKEN");
    jd_free(set);
    buf_free(&out);
}

/* ---- Mounts and automation ---- */

static void test_mounters(void **state) {
    struct buf found = {0};
    (void)state;
    struct json_t *claims = doc_of("['data-vault-0','audit-vault-0','data-vault-1']");
    struct json_t *pods = doc_of(
        "{'items':[{'metadata':{'name':'vault-0','ownerReferences':[{'kind':'StatefulSet','name':'vault','controller':true}]},'spec':{'volumes':[{'name':'data',"
        "'persistentVolumeClaim':{'claimName':'data-vault-0'}}]}},"
        "{'metadata':{'name':'vault-1'},'spec':{'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'data-vault-1'}}]}},"
        "{'metadata':{'name':'shipper'},'spec':{'volumes':[{'name':'x','persistentVolumeClaim':{'claimName':'audit-vault-0'}}]}},"
        "{'metadata':{'name':'was'},'status':{'phase':'Succeeded'},'spec':{'volumes':[{'name':'x','persistentVolumeClaim':{'claimName':'audit-vault-0'}}]}},"
        "{'metadata':{'name':'vault-7','ownerReferences':[{'kind':'StatefulSet','name':'vault','controller':true}]},'spec':{'volumes':[{'name':'x',"
        "'persistentVolumeClaim':{'claimName':'data-vault-1'}}]}}]}");
    raft_find_mounters(pods, "pod", "vault", claims, &found);
    assert_string_equal(buf_str(&found), "pod/shipper (audit-vault-0), pod/vault-7 (data-vault-1)");
    buf_clear(&found);
    struct json_t *jobs = doc_of("{'items':[{'metadata':{'name':'backup'},'spec':{'jobTemplate':{'spec':{'template':{'spec':{'volumes':[{'name':'x',"
                                 "'persistentVolumeClaim':{'claimName':'data-vault-0'}}]}}}}}}]}");
    raft_find_mounters(jobs, "cronjob", "vault", claims, &found);
    assert_string_equal(buf_str(&found), "cronjob/backup (data-vault-0)");
    jd_free(jobs);
    jd_free(pods);
    jd_free(claims);
    buf_free(&found);
}

static void find_in(const char *kind, const char *list, const char *inits, const char *unseals) {
    struct buf i = {0}, u = {0};
    struct json_t *d = doc_of(list);
    raft_find_automation(d, kind, &i, &u);
    assert_string_equal(buf_str(&i), inits);
    assert_string_equal(buf_str(&u), unseals);
    buf_free(&i);
    buf_free(&u);
    jd_free(d);
}

static void test_automation(void **state) {
    (void)state;
    find_in("deployment", "{'items':[{'metadata':{'name':'x'},'spec':{'template':{'spec':{'containers':[{'name':'c','command':['sh','-c','vault operator "
                          "init']}]}}}}]}", "container c of deployment/x", "");
    find_in("deployment", "{'items':[{'metadata':{'name':'x'},'spec':{'replicas':0,'template':{'spec':{'containers':[{'name':'c','args':['vault operator "
                          "init']}]}}}}]}", "", ""); /* it stands still */
    find_in("cronjob", "{'items':[{'metadata':{'name':'x'},'spec':{'suspend':true,'jobTemplate':{'spec':{'template':{'spec':{'containers':[{'name':'c','args':["
                       "'curl http://vault:8200/v1/sys/init']}]}}}}}}]}", "", "");
    find_in("job", "{'items':[{'metadata':{'name':'x'},'spec':{'template':{'spec':{'containers':[{'name':'c','args':['curl -X PUT vault:8200/v1/sys/init']}]}}},"
                   "'status':{'conditions':[{'type':'Complete','status':'True'}]}}]}", "", "");
    find_in("statefulset", "{'items':[{'metadata':{'name':'vault'},'spec':{'template':{'spec':{'containers':[{'name':'vault'},{'name':'auto-unseal','command':["
                           "'sh','-c','vault operator unseal']}],'initContainers':[{'name':'boot','lifecycle':{'postStart':{'exec':{'command':['bao operator init']"
                           "}}}}]}}}}]}", "container boot of statefulset/vault", "container auto-unseal of statefulset/vault");
    find_in("pod", "{'items':[{'metadata':{'name':'x','ownerReferences':[{'kind':'Job','name':'y','controller':true}]},'spec':{'containers':[{'name':'c','args':["
                   "'vault operator init']}]}}]}", "", ""); /* found with its controller */
}

static void test_config_maps_that_initialise(void **state) {
    struct buf found = {0};
    (void)state;
    struct json_t *names = doc_of("['boot']");
    struct json_t *list = doc_of("{'items':[{'metadata':{'name':'a'},'spec':{'jobTemplate':{'spec':{'template':{'spec':{'volumes':[{'configMap':{'name':'boot'}}]}}}}}},"
                                 "{'metadata':{'name':'b'},'spec':{'suspend':true,'jobTemplate':{'spec':{'template':{'spec':{'volumes':[{'configMap':{'name':'boot'}}]}}}}}},"
                                 "{'metadata':{'name':'c'},'spec':{'jobTemplate':{'spec':{'template':{'spec':{'containers':[{'envFrom':[{'configMapRef':{'name':'other'}}]}]"
                                 "}}}}}}]}");
    raft_find_config_users(list, "cronjob", names, &found);
    assert_string_equal(buf_str(&found), "configmap/boot of cronjob/a"); /* one that nobody mounts, or only what stands still, does no harm */
    jd_free(list);
    jd_free(names);
    buf_free(&found);
}

static void test_configuration(void **state) {
    (void)state;
    assert_true(raft_text_joins("storage \"raft\" {\n  retry_join {\n"));
    assert_false(raft_text_joins("storage \"raft\" { path = \"/data\" }"));
    assert_string_equal(raft_text_seal("seal \"awskms\" {"), "awskms");
    assert_null(raft_text_seal("listener \"tcp\" {"));
    assert_false(raft_text_inits("initialized"));
    assert_false(raft_text_inits(NULL));
}

/* ---- Addresses ---- */

static void test_addresses(void **state) {
    (void)state;
    struct json_t *services = doc_of("{'items':[{'metadata':{'name':'vault'},'spec':{'clusterIP':'10.96.0.7','selector':{'app':'vault'}}},"
                                     "{'metadata':{'name':'vault-active'},'spec':{'selector':{'app':'vault','vault-active':'true'}}},"
                                     "{'metadata':{'name':'vault-internal'},'spec':{'clusterIP':'None','selector':{'app':'vault'}}},"
                                     "{'metadata':{'name':'other'},'spec':{'selector':{'app':'other'}}},{'metadata':{'name':'outside'},'spec':{}}]}");
    struct json_t *labels = doc_of("{'app':'vault','component':'server'}"), *own = raft_services_of(services, labels);
    assert_int_equal(jd_len(own), 4);
    assert_int_equal(raft_judge_address("http://vault-active.vault.svc:8200", NULL, "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("https://vault.vault.svc.cluster.local:8200", NULL, "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("http://vault-0.vault-internal.vault.svc:8200", NULL, "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("http://vault.vault:8200", NULL, "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("http://10.96.0.7:8200", NULL, "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("http://vault:8200", "vault", "vault", own), RAFT_ADDRESS_OWN);
    assert_int_equal(raft_judge_address("http://vault:8200", "immich", "vault", own), RAFT_ADDRESS_OTHER);
    assert_int_equal(raft_judge_address("http://vault.other.svc:8200", NULL, "vault", own), RAFT_ADDRESS_OTHER);
    assert_int_equal(raft_judge_address("http://other.vault.svc:8200", NULL, "vault", own), RAFT_ADDRESS_OTHER);
    assert_int_equal(raft_judge_address("https://vault.example.org", NULL, "vault", own), RAFT_ADDRESS_UNKNOWN);
    assert_int_equal(raft_judge_address("https://vault.lan:8200", NULL, "vault", own), RAFT_ADDRESS_UNKNOWN);
    assert_int_equal(raft_judge_address("http://10.1.2.3:8200", NULL, "vault", own), RAFT_ADDRESS_UNKNOWN);
    assert_int_equal(raft_judge_address("", NULL, "vault", own), RAFT_ADDRESS_UNKNOWN);
    jd_free(own);
    jd_free(labels);
    jd_free(services);
}

/* ---- Audit ---- */

static void test_audit_files(void **state) {
    struct buf out = {0};
    (void)state;
    struct json_t *set = doc_of(SET);
    struct json_t *answer = doc_of("{'data':{'file/':{'type':'file','options':{'file_path':'/vault/audit/audit.log'}},'out/':{'type':'file','options':{"
                                   "'file_path':'stdout'}},'tmp/':{'type':'file','options':{'file_path':'/vault/audit/tmp/a.log'}}}}");
    struct json_t *files = raft_audit_files(answer, set, &out);
    says(&out, "file/ /vault/audit/audit.log on audit, out/ to stdout, tmp/ /vault/audit/tmp/a.log on no claim");
    assert_int_equal(jd_len(files), 3);
    assert_string_equal(jd_str(files, "0.volume"), "audit");
    assert_string_equal(raft_volume_of(set, "/vault/data/x"), "data");
    assert_null(raft_volume_of(set, "/vault/database/x")); /* not below /vault/data */
    jd_free(files);
    files = raft_audit_files(NULL, set, &out);
    assert_int_equal(jd_len(files), 0);
    jd_free(files);
    jd_free(answer);
    jd_free(set);
    buf_free(&out);
}

/* ---- The token ---- */

#define HOUR (INT64_C(3600) * 1000)

static void test_tokens(void **state) {
    struct buf out = {0}, warn = {0};
    struct vault_token t = {.policies = "default, ferryman", .expires_ms = 1, .renewable = true};
    (void)state;
    assert_int_equal(raft_judge_token(&t, 8 * HOUR, true, 24 * HOUR, &out, &warn), OP_DONE);
    says(&out, "renewed, ends in 8h");
    says(&warn, "has to be renewed on the way");
    assert_int_equal(raft_judge_token(&t, 50 * HOUR, true, 24 * HOUR, &out, &warn), OP_DONE);
    assert_string_equal(buf_str(&warn), "");
    buf_clear(&out);
    assert_int_equal(raft_judge_token(&t, HOUR / 2, true, 24 * HOUR, &out, &warn), OP_REFUSE);
    says(&out, "log in anew");
    assert_int_equal(raft_judge_token(&t, 30 * HOUR, false, 24 * HOUR, &out, &warn), OP_REFUSE); /* it cannot be renewed, and must last for the window twice */
    says(&out, "not renewable");
    assert_int_equal(raft_judge_token(&t, 48 * HOUR, false, 24 * HOUR, &out, &warn), OP_DONE);
    buf_clear(&out);
    t.expires_ms = -1;
    strcpy(t.policies, "root");
    assert_int_equal(raft_judge_token(&t, -1000, false, 24 * HOUR, &out, &warn), OP_DONE);
    says(&out, "it does not end");
    says(&warn, "this is a root token");
    buf_free(&out);
    buf_free(&warn);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_versions_remove_themselves), cmocka_unit_test(test_exposed_log), cmocka_unit_test(test_stable_and_unstable_ids),
        cmocka_unit_test(test_peers_that_are_not_right), cmocka_unit_test(test_peers_by_address), cmocka_unit_test(test_autopilot_may_not_prune),
        cmocka_unit_test(test_the_set), cmocka_unit_test(test_rolling_updates), cmocka_unit_test(test_open_secrets), cmocka_unit_test(test_mounters),
        cmocka_unit_test(test_automation), cmocka_unit_test(test_config_maps_that_initialise), cmocka_unit_test(test_configuration), cmocka_unit_test(test_addresses), cmocka_unit_test(test_audit_files),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
