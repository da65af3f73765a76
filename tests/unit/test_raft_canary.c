/* The canary's objects, and what its log proves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_canary_pod.h"
#include "tests/unit/vault_run_stage.h"

#define SET                                                                                                                                \
    "{'spec':{'selector':{'matchLabels':{'app':'vault'}},'template':{'metadata':{'labels':{'app':'vault'},'annotations':{'inject':'yes'}},'spec':{"    \
    "'serviceAccountName':'vault','priorityClassName':'high','hostNetwork':true,'securityContext':{'fsGroup':1000,'runAsUser':100},'tolerations':[{'operator':" \
    "'Exists'}],'affinity':{'podAntiAffinity':{'x':1},'nodeAffinity':{'y':2}},'volumes':[{'name':'keys','secret':{'secretName':'keys'}}],'containers':["  \
    "{'name':'unseal','image':'busybox','volumeMounts':[{'name':'keys','mountPath':'/keys'}]},{'name':'vault','image':'hashicorp/vault:1.18.1','command':['vault'"  \
    "],'args':['server'],'env':[{'name':'VAULT_TOKEN','value':'hvs.x'}],'securityContext':{'allowPrivilegeEscalation':false},'volumeMounts':[{'name':'data','mountPath':" \
    "'/vault/data'},{'name':'audit','mountPath':'/it\\'s here','subPath':'a'},{'name':'home','mountPath':'/home'}]}]}},'volumeClaimTemplates':[{'metadata':{'name':" \
    "'data'},'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'nfs','resources':{'requests':{'storage':'10Gi'}}}},{'metadata':{'name':'audit'},'spec':{"   \
    "'accessModes':['ReadWriteOncePod'],'volumeMode':'Filesystem','resources':{'requests':{'storage':'512Mi'}}}}]}}"

static struct json_t *set_of(void) {
    char *p = mem_strdup(SET);
    struct json_t *d = NULL;
    for (char *q = p; *q; q++)
        if (*q == '\'' && (q == p || q[-1] != '\\')) *q = '"';
    for (char *q = p; (q = strstr(q, "\\'"));) memmove(q, q + 1, strlen(q)); /* an apostrophe that stays */
    struct err *e = jd_parse(p, strlen(p), "test", &d);
    if (e) fail_msg("%s", err_text(e));
    mem_free(p);
    return d;
}

static int setup(void **state) {
    *state = vault_run_stage_new(false, "");
    return 0;
}

static int teardown(void **state) {
    vault_run_stage_free(*state);
    return 0;
}

static void test_pod(void **state) {
    struct vault_run_stage *s = *state;
    struct json_t *set = set_of(), *pod = canary_pod(s->w->run, set);
    const struct json_t *c = jd_get(pod, "spec.containers.0");
    assert_string_equal(jd_str(pod, "metadata.name"), "ferryman-canary-vault");
    /* nothing selects it, nothing is injected, and it has no more rights than the set's pods: none */
    assert_null(jd_member(jd_get(pod, "metadata.labels"), "app"));
    assert_null(jd_member(jd_get(pod, "metadata.annotations"), "inject"));
    assert_false(jd_flag(pod, "spec.automountServiceAccountToken", true));
    assert_null(jd_get(pod, "spec.hostNetwork"));
    assert_null(jd_get(pod, "spec.priorityClassName"));
    assert_null(jd_get(c, "env"));
    assert_int_equal(jd_len(jd_get(pod, "spec.containers")), 1);
    /* as the server would run */
    assert_string_equal(jd_str(c, "image"), "hashicorp/vault:1.18.1");
    assert_int_equal(jd_num(pod, "spec.securityContext.fsGroup", 0), 1000);
    assert_false(jd_flag(c, "securityContext.allowPrivilegeEscalation", true));
    assert_string_equal(jd_str(c, "command.0"), "sh"); /* not the server */
    assert_null(jd_get(c, "args"));
    /* where it may land, without the rule that keeps servers apart */
    assert_non_null(jd_get(pod, "spec.affinity.nodeAffinity"));
    assert_null(jd_get(pod, "spec.affinity.podAntiAffinity"));
    assert_non_null(jd_get(pod, "spec.tolerations"));
    /* its own claims alone */
    assert_int_equal(jd_len(jd_get(pod, "spec.volumes")), 2);
    assert_string_equal(jd_str(pod, "spec.volumes.0.persistentVolumeClaim.claimName"), "ferryman-canary-vault-data");
    assert_int_equal(jd_len(jd_get(c, "volumeMounts")), 2);
    assert_string_equal(jd_str(c, "volumeMounts.1.subPath"), "a");
    assert_string_equal(jd_str(pod, "spec.restartPolicy"), "Never");
    assert_non_null(strstr(jd_str(c, "command.2"), "'/it'\\''s here'"));
    jd_free(pod);
    jd_free(set);
}

static void test_claims(void **state) {
    struct vault_run_stage *s = *state;
    struct json_t *set = set_of();
    struct json_t *claim = canary_claim(s->w->run, jd_get(set, "spec.volumeClaimTemplates.0"));
    assert_string_equal(jd_str(claim, "spec.storageClassName"), "lvm"); /* the target's */
    assert_string_equal(jd_str(claim, "spec.resources.requests.storage"), "1Gi");
    assert_string_equal(jd_str(claim, "spec.accessModes.0"), "ReadWriteOnce");
    assert_non_null(jd_member(jd_get(claim, "metadata.annotations"), "ferryman.io/run"));
    jd_free(claim);
    claim = canary_claim(s->w->run, jd_get(set, "spec.volumeClaimTemplates.1"));
    assert_string_equal(jd_str(claim, "spec.resources.requests.storage"), "512Mi");
    assert_string_equal(jd_str(claim, "spec.accessModes.0"), "ReadWriteOncePod");
    jd_free(claim);
    jd_free(set);
}

#define OK_DATA "ferryman-canary ok path=/vault/data uid=100 free=204800\n"
#define OK_AUDIT "ferryman-canary ok path=/vault/audit uid=100 free=102400\n"
#define BEGIN "ferryman-canary begin uid=100 gid=1000 groups=1000\n"

static void judge(const char *log, bool good, bool done, const char *text) {
    struct json_t *mounts = jd_array();
    static const char *const paths[] = {"/vault/data", "/vault/audit"};
    struct canary_proof proof;
    struct buf out = {0};
    for (size_t i = 0; i < 2; i++) {
        struct json_t *m = jd_object();
        jd_set(m, "path", jd_string(paths[i]));
        jd_append(mounts, m);
    }
    if (canary_judge(slice_of(log), mounts, "1f2e", 100, &proof, &out) != good || proof.done != done || !strstr(buf_str(&out), text))
        fail_msg("%s: %s", log, buf_str(&out));
    buf_free(&out);
    jd_free(mounts);
}

static void test_proof(void **state) {
    (void)state;
    judge(BEGIN OK_DATA OK_AUDIT "ferryman-canary done 1f2e\n", true, true, "written, synced and read back as user 100, /vault/data (200 MiB free), /vault/audit (100 MiB free)");
    judge(BEGIN OK_DATA OK_AUDIT, false, false, "did not come to its end");
    judge(BEGIN OK_DATA OK_AUDIT "ferryman-canary done ffff\n", false, false, "did not come to its end"); /* another run's */
    judge(BEGIN OK_DATA "ferryman-canary done 1f2e\n", false, true, "/vault/audit: nothing was said of it");
    judge(BEGIN "ferryman-canary fail path=/vault/data uid=100 dd: can't open: Permission denied\n" OK_AUDIT "ferryman-canary done 1f2e\n", false, true,
          "/vault/data: dd: can't open: Permission denied. The server's user may not write to a fresh volume: set securityContext.fsGroup");
    judge(BEGIN "ferryman-canary fail path=/vault/data uid=100 dd: No space left\n" OK_AUDIT "ferryman-canary done 1f2e\n", false, true, "look at the thin pool");
    judge("ferryman-canary begin uid=0 gid=0\n" OK_DATA OK_AUDIT "ferryman-canary done 1f2e\n", false, true, "it ran as user 0, the template says 100");
    judge("", false, false, "nothing was said");
    judge("exec: \"sh\": executable file not found in $PATH", false, false, "nothing was said");
    judge("ferryman-canary ok path=/vault/data\x1b[2J uid=100\nferryman-canary done 1f2e", false, true, "nothing was said");
}

static void never(const char *status, bool never_ran, const char *text) {
    struct json_t *pod = jd_object(), *d = NULL;
    struct buf out = {0};
    assert_null(jd_parse(status, strlen(status), "status", &d));
    jd_set(pod, "status", d);
    if (canary_never_ran(pod, &out) != never_ran || !strstr(buf_str(&out), text)) fail_msg("%s: %s", status, buf_str(&out));
    buf_free(&out);
    jd_free(pod);
}

static void test_that_never_ran(void **state) {
    (void)state;
    never("{\"phase\":\"Succeeded\"}", false, "");
    never("{\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":\"Error\",\"exitCode\":1}}}]}", false, "");
    never("{\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":\"StartError\",\"message\":\"exec: sh: not found\"}}}]}", true,
          "StartError: exec: sh: not found. The canary needs sh");
    never("{\"phase\":\"Failed\",\"reason\":\"DeadlineExceeded\",\"message\":\"Pod was active too long\"}", true, "DeadlineExceeded: Pod was active too long");
    never("{\"phase\":\"Failed\"}", true, "it failed: no reason given");
}

static void test_no_mounts_prove_nothing(void **state) {
    struct canary_proof proof;
    struct buf out = {0};
    (void)state;
    assert_false(canary_judge(SLICE_LIT(BEGIN "ferryman-canary done 1f2e\n"), NULL, "1f2e", -1, &proof, &out));
    buf_free(&out);
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_pod), T(test_claims), cmocka_unit_test(test_proof), cmocka_unit_test(test_that_never_ran), cmocka_unit_test(test_no_mounts_prove_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
