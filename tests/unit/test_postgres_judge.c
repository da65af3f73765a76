/* Pod templates judged before they meet a fresh block volume (design §8: 2, 3, 11, 18, 19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/pod_judge.h"
#include "migrate/postgres_judge.h"
#include "migrate/postgres_room.h"

#define DATA "/var/lib/postgresql/data"
#define PGDATA DATA "/pgdata"

/* Single quotes for double ones. */
static struct json_t *doc_of(const char *text)
{
    char *p = mem_strdup(text);
    struct json_t *d = NULL;
    for (char *q = p; *q; q++)
        if (*q == '\'')
            *q = '"';
    struct err *e = jd_parse(p, strlen(p), "test", &d);
    if (e)
        fail_msg("%s in %s", err_text(e), text);
    mem_free(p);
    return d;
}

static struct json_t *with_init(const char *command)
{
    struct buf b = {0};
    buf_printf(&b, "{'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'" DATA "'}]}],"
                   "'initContainers':[{'name':'config',%s'volumeMounts':[{'name':'data','mountPath':'" DATA "'}]}]}", command);
    struct json_t *d = doc_of(buf_str(&b));
    buf_free(&b);
    return d;
}

static void assert_init(const char *command, bool good, const char *says)
{
    struct json_t *d = with_init(command);
    struct buf out = {0};
    if (judge_first_writers(d, "data", PGDATA, &out) != good || !strstr(buf_str(&out), says))
        fail_msg("%s: %s", command, buf_str(&out));
    buf_free(&out);
    jd_free(d);
}

static void test_init_containers(void **state)
{
    (void)state;
    assert_init("'command':['sh','-c','test -f $PGDATA/PG_VERSION && cp /config/x.conf $PGDATA/ || true'],", true, "none writes before initdb");
    assert_init("'command':['sh','-c','cp /config/x.conf $PGDATA/'],", false, "init container config writes into the data directory");
    assert_init("'command':['sh','-c','echo include >> " PGDATA "/postgresql.conf'],", false, "PG_VERSION");
    assert_init("'command':['sh','-c'],'args':['mv /a $PGDATA/b'],", false, "so initdb would refuse");
    assert_init("'command':['cp','/config/x.conf','" PGDATA "/x.conf'],", false, "writes into");
    assert_init("'command':['chown','-R','999:999','" DATA "'],", true, "1 init containers");
    assert_init("'command':['sh','-c','echo $PGDATA >&2; ls $PGDATA >/dev/null 2>&1'],", true, "");
    assert_init("'command':['sh','-c','touch " DATA "/marker'],", true, ""); /* beside PGDATA, not in it */
    assert_init("'command':['sh','/scripts/prepare.sh'],", false, "whose text is not in the template");
    assert_init("", false, "the image's own");
    assert_init("'command':['sh','-c','sh /scripts/prepare.sh && recp x $PGDATA'],", true, ""); /* no word of writing */
}

static void test_hooks_and_read_only_mounts(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_t *d = doc_of("{'containers':[{'name':'db','lifecycle':{'postStart':{'exec':{'command':['sh','-c','touch $PGDATA/ready']}}},"
                              "'volumeMounts':[{'name':'data','mountPath':'" DATA "'},{'name':'sql','mountPath':'/docker-entrypoint-initdb.d'}]}],"
                              "'initContainers':[{'name':'look','command':['x'],'volumeMounts':[{'name':'data','mountPath':'/d','readOnly':true}]}]}");
    assert_false(judge_first_writers(d, "data", PGDATA, &out));
    assert_non_null(strstr(buf_str(&out), "the postStart hook of db"));
    buf_clear(&out);
    assert_false(judge_initdb_scripts(d, "data", &out));
    assert_non_null(strstr(buf_str(&out), "volume sql"));
    jd_free(d);
    buf_free(&out);
}

static void assert_pgdata(const char *mount, const char *pgdata, bool good, const char *says)
{
    struct buf text = {0}, out = {0};
    buf_printf(&text, "{'name':'db','volumeMounts':[{'name':'data',%s}]}", mount);
    struct json_t *d = doc_of(buf_str(&text));
    if (judge_pgdata(d, "data", pgdata, &out) != good || !strstr(buf_str(&out), says))
        fail_msg("%s %s: %s", mount, pgdata, buf_str(&out));
    jd_free(d);
    buf_free(&text);
    buf_free(&out);
}

static void test_pgdata(void **state)
{
    (void)state;
    assert_pgdata("'mountPath':'" DATA "'", PGDATA, true, "a folder below");
    assert_pgdata("'mountPath':'" DATA "/'", PGDATA, true, "a folder below");
    assert_pgdata("'mountPath':'" DATA "'", DATA, false, "lost+found");
    assert_pgdata("'mountPath':'" DATA "'", DATA "//", false, "lost+found");
    assert_pgdata("'mountPath':'" DATA "','subPath':'pg'", DATA, true, "subPath pg");
    assert_pgdata("'mountPath':'/var/lib/postgres'", "/var/lib/postgresql/data", false, "would not be on it");
}

static void assert_owner(const char *text, bool good, const char *says)
{
    struct json_t *d = doc_of(text);
    struct buf out = {0};
    if (pod_judge_owner(d, "data", &out) != good || !strstr(buf_str(&out), says))
        fail_msg("%s: %s", text, buf_str(&out));
    jd_free(d);
    buf_free(&out);
}

static void test_owner_of_a_block_volume(void **state)
{
    (void)state;
    assert_owner("{'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'}]}]}", true, "begins as root");
    assert_owner("{'securityContext':{'runAsUser':999},'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'}]}]}", false,
                 "no fsGroup");
    assert_owner("{'securityContext':{'runAsUser':999,'fsGroup':999},'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'}]}]}",
                 true, "fsGroup 999");
    assert_owner("{'containers':[{'name':'db','securityContext':{'runAsNonRoot':true},'volumeMounts':[{'name':'data','mountPath':'/d'}]}]}", false,
                 "permission denied");
    assert_owner("{'securityContext':{'runAsUser':999},'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'}]}],"
                 "'initContainers':[{'name':'own','securityContext':{'runAsUser':0},'command':['chown','999','/d'],"
                 "'volumeMounts':[{'name':'data','mountPath':'/d'}]}]}",
                 true, "init container own");
}

static void test_shm(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_t *d = doc_of("{'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'},{'name':'shm','mountPath':'/dev/shm'}]}],"
                              "'volumes':[{'name':'data'},{'name':'shm','emptyDir':{'medium':'Memory','sizeLimit':'256Mi'}}]}");
    struct json_t *plain = doc_of("{'containers':[{'name':'db','volumeMounts':[{'name':'data','mountPath':'/d'}]}]}");
    assert_int_equal(judge_shm_bytes(d, "data"), 256 << 20);
    assert_int_equal(judge_shm_bytes(plain, "data"), 64 << 20);
    assert_true(judge_shm(256 << 20, 64 << 20, 2, &out));
    assert_false(judge_shm(64 << 20, 512 << 20, 2, &out));
    assert_non_null(strstr(buf_str(&out), "/dev/shm has 64 MiB and maintenance_work_mem is 512 MiB"));
    assert_true(judge_shm(64 << 20, 512 << 20, 0, &out));
    jd_free(d);
    jd_free(plain);
    buf_free(&out);
}

static void test_pod_that_would_be(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_t *runs = doc_of("{'containers':[{'name':'db','image':'pg:15','volumeMounts':[{'name':'data','mountPath':'/d'},"
                                 "{'name':'kube-api-access-x1','mountPath':'/var/run/secrets/kubernetes.io/serviceaccount'}]}]}");
    struct json_t *would = doc_of("{'containers':[{'name':'db','image':'pg:15','volumeMounts':[{'name':'data','mountPath':'/d'},"
                                  "{'name':'kube-api-access-y2','mountPath':'/var/run/secrets/kubernetes.io/serviceaccount'}]}]}");
    assert_true(pod_judge_same(runs, would, &out));
    buf_clear(&out);
    jd_put(would, "securityContext.fsGroup", jd_int(999));
    jd_put(would, "containers.0.image", jd_string("pg:16"));
    jd_put(would, "initContainers", doc_of("[{'name':'new'}]"));
    assert_false(pod_judge_same(runs, would, &out));
    assert_non_null(strstr(buf_str(&out), "securityContext of the pod: runs with none, would have {\"fsGroup\":999}"));
    assert_non_null(strstr(buf_str(&out), "image of db: runs with \"pg:15\", would have \"pg:16\""));
    assert_non_null(strstr(buf_str(&out), "init container new would be new"));
    jd_free(runs);
    jd_free(would);
    buf_free(&out);
}

#define MOUNTS "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'old'}}]"

static void test_mounters(void **state)
{
    (void)state;
    static const char *const quiesce[] = {"deployment/app", "cronjob/backup"};
    struct claim_mounters m = {0};
    struct json_t *pods = doc_of(
        "{'items':["
        "{'metadata':{'name':'pg-5c-x','ownerReferences':[{'controller':true,'kind':'ReplicaSet','name':'pg-5c'}]},'spec':{" MOUNTS "}},"
        "{'metadata':{'name':'backup-29-x','ownerReferences':[{'controller':true,'kind':'Job','name':'backup-29'}]},'spec':{" MOUNTS "}},"
        "{'metadata':{'name':'debug'},'spec':{" MOUNTS "}},"
        "{'metadata':{'name':'ended'},'spec':{" MOUNTS "},'status':{'phase':'Succeeded'}},"
        "{'metadata':{'name':'elsewhere'},'spec':{}}]}");
    struct json_t *crons = doc_of("{'items':[{'metadata':{'name':'backup'},'spec':{'jobTemplate':{'spec':{'template':{'spec':{" MOUNTS "}}}}}},"
                                  "{'metadata':{'name':'export'},'spec':{'jobTemplate':{'spec':{'template':{'spec':{" MOUNTS "}}}}}}]}");
    struct json_t *deployments = doc_of("{'items':[{'metadata':{'name':'pg'},'spec':{'template':{'spec':{" MOUNTS "}}}},"
                                        "{'metadata':{'name':'reader'},'spec':{'template':{'spec':{" MOUNTS "}}}}]}");
    judge_mounters(pods, "pod", "old", "pg", quiesce, 2, &m);
    judge_mounters(crons, "cronjob", "old", "pg", quiesce, 2, &m);
    judge_mounters(deployments, "deployment", "old", "pg", quiesce, 2, &m);
    struct json_t *jobs = doc_of("{'items':[{'metadata':{'name':'new'},'status':{},'spec':{'template':{'spec':{" MOUNTS "}}}},"
                                 "{'metadata':{'name':'over'},'status':{'conditions':[{'type':'Complete','status':'True'}]},"
                                 "'spec':{'template':{'spec':{" MOUNTS "}}}}]}");
    judge_mounters(jobs, "job", "old", "pg", quiesce, 2, &m);
    jd_free(jobs);
    assert_string_equal(buf_str(&m.known), "pod/backup-29-x, cronjob/backup");
    assert_string_equal(buf_str(&m.foreign), "pod/debug, cronjob/export, deployment/reader, job/new");
    buf_free(&m.known);
    buf_free(&m.foreign);
    jd_free(pods);
    jd_free(crons);
    jd_free(deployments);
}

static void test_circles(void **state)
{
    (void)state;
    assert_string_equal(judge_circle(SLICE_LIT("authentik-server"), SLICE_LIT("x")), "authentik");
    assert_string_equal(judge_circle(SLICE_LIT("sso"), SLICE_LIT("quay.io/keycloak/keycloak:26")), "Keycloak");
    assert_null(judge_circle(SLICE_LIT("immich-server"), SLICE_LIT("ghcr.io/immich-app/immich-server:v1")));
    assert_null(judge_circle((struct slice){NULL, 0}, (struct slice){NULL, 0}));
}

static void test_sizes(void **state)
{
    (void)state;
    struct buf out = {0};
    int64_t gib = INT64_C(1) << 30, limit;
    assert_true(judge_size(5 * gib, gib, 10 * gib, &out));
    assert_false(judge_size(6 * gib + gib / 2, gib, 10 * gib, &out));
    assert_non_null(strstr(buf_str(&out), "Raise claim.size"));
    buf_clear(&out);
    assert_true(room_enough(100 * gib, 20 * gib, 10 * gib, &out));
    assert_false(room_enough(100 * gib, 20 * gib, 11 * gib, &out));
    assert_non_null(strstr(buf_str(&out), "20.0 GiB free, a dump takes about 11.0 GiB; 10 % of the disk (10.0 GiB) must stay free"));
    assert_true(room_enough(100 * gib, 10 * gib, -1, &out));
    assert_true(judge_driver(SLICE_LIT("nfs.csi.k8s.io, csi.x.dev 29 volumes"), SLICE_LIT("csi.x.dev"), &limit));
    assert_int_equal(limit, 29);
    assert_true(judge_driver(SLICE_LIT("nfs.csi.k8s.io, csi.x.dev 29 volumes"), SLICE_LIT("nfs.csi.k8s.io"), &limit));
    assert_int_equal(limit, -1);
    assert_false(judge_driver(SLICE_LIT("nfs.csi.k8s.io"), SLICE_LIT("csi.x.dev"), &limit));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_containers),
        cmocka_unit_test(test_hooks_and_read_only_mounts),
        cmocka_unit_test(test_pgdata),
        cmocka_unit_test(test_owner_of_a_block_volume),
        cmocka_unit_test(test_shm),
        cmocka_unit_test(test_pod_that_would_be),
        cmocka_unit_test(test_mounters),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
