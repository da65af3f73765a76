/* Moving a PostgreSQL workload, the pure parts: what pods and logs mean, preload lists, likeness of clusters, the pod of a rehearsal,
 * what may be purged, what a rollback loses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/plan.h"
#include "migrate/postgres_cleanup.h"
#include "migrate/retired_volume.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_rehearse.h"
#include "migrate/postgres_rollback.h"
#include "migrate/run.h"

/* JSON with ' for ". */
static struct json_t *json(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    struct json_t *d = NULL;
    struct err *e = jd_parse(copy, strlen(copy), "the test", &d);
    assert_null(e);
    mem_free(copy);
    return d;
}

/* ---- The end of a server ---- */

static void test_clean_stop(void **state)
{
    (void)state;
    assert_true(stop_was_clean(SLICE_LIT("x LOG:  database system is ready to accept connections\nLOG:  shutting down\n"
                                         "LOG:  database system is shut down\n")));
    assert_true(stop_was_clean(SLICE_LIT("LOG:  database system is shut down\n")));
    /* the temporary server of the first boot ended, the one that serves has not */
    assert_false(stop_was_clean(SLICE_LIT("LOG:  database system is shut down\nLOG:  database system is ready to accept connections\n")));
    assert_false(stop_was_clean(SLICE_LIT("LOG:  received smart shutdown request\nLOG:  shutting down\n")));
    assert_false(stop_was_clean(SLICE_LIT("")));
}

/* ---- Logs of a first boot ---- */

static void explains(const char *log, const char *means)
{
    struct buf out = {0};
    boot_explain(slice_of(log), &out);
    if (!strstr(buf_str(&out), means))
        fail_msg("'%s' does not say '%s'", buf_str(&out), means);
    buf_free(&out);
}

static void test_explain(void **state)
{
    (void)state;
    explains("initdb: error: directory \"/var/lib/postgresql/data\" exists but is not empty\ninitdb: detail: It contains a lost+found directory\n",
             "lost+found");
    explains("initdb: error: directory \"/var/lib/postgresql/data/pgdata\" exists but is not empty\ninitdb: hint: If you want\n", "PG_VERSION");
    explains("initdb: error: could not change permissions of directory \"/x\": Operation not permitted\n", "fsGroup");
    explains("mkdir: cannot create directory '/x': Permission denied\n", "fsGroup");
    explains("Error: Database is uninitialized and superuser password is not specified.\n", "POSTGRES_PASSWORD");
    explains("LOG: starting\nFATAL:  could not load library \"x\"\nLOG: bye\n", "FATAL:  could not load library");
    explains("only this line\n\n", "only this line");
    explains("", "empty");
    explains("bad \xff\xfe bytes FATAL\n", "FATAL");
}

/* ---- Pods ---- */

static void pod_says(const char *text, bool failed, bool crashed, const char *words)
{
    struct json_t *pod = json(text);
    struct buf reason = {0};
    bool has_crashed = !crashed;
    assert_int_equal(boot_pod_failed(pod, &reason, &has_crashed), failed);
    assert_int_equal(has_crashed, crashed);
    if (!strstr(buf_str(&reason), words))
        fail_msg("'%s' does not say '%s'", buf_str(&reason), words);
    buf_free(&reason);
    jd_free(pod);
}

static void test_pods(void **state)
{
    (void)state;
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Running','podIP':'10.1.1.1','containerStatuses':[{'name':'c','state':{'running':{}}}]}}",
             false, false, "runs");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False','message':'0/3 nodes'}]}}",
             false, false, "0/3 nodes");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Pending'}}", false, false, "waiting for its volumes");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Pending','containerStatuses':[{'name':'c','state':{'waiting':{'reason':'ErrImagePull',"
             "'message':'no such image'}}}]}}", false, false, "ErrImagePull: no such image");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Running','podIP':'10.1.1.1','containerStatuses':[{'name':'c','restartCount':2,'state':"
             "{'waiting':{'reason':'CrashLoopBackOff'}},'lastState':{'terminated':{'exitCode':1}}}]}}", true, true, "status 1, 2 restarts");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Pending','initContainerStatuses':[{'name':'i','restartCount':1,'state':"
             "{'terminated':{'exitCode':3}}}]}}", true, true, "container i");
    pod_says("{'metadata':{'name':'p'},'status':{'phase':'Failed'}}", true, false, "pod p");
    pod_says("{}", false, false, "no name");
}

static void test_pick(void **state)
{
    (void)state;
    struct json_t *list = json("{'items':["
                               "{'metadata':{'name':'old','uid':'1','deletionTimestamp':'x'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'c'}}]}},"
                               "{'metadata':{'name':'other','uid':'2'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'z'}}]}},"
                               "{'metadata':{'name':'done','uid':'3'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'c'}}]},'status':{'phase':'Succeeded'}},"
                               "{'metadata':{'name':'new','uid':'4'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'c'}}]}}]}");
    assert_string_equal(jd_str(boot_pick(list, "c", NULL), "metadata.name"), "new");
    assert_null(boot_pick(list, "c", "4"));
    assert_null(boot_pick(list, "nobody", NULL));
    assert_null(boot_pick(NULL, "c", NULL));
    jd_free(list);
}

/* ---- Inside ---- */

static void test_preload(void **state)
{
    (void)state;
    const char *const names[] = {"vchord", "vectors", "pg_prewarm"};
    struct buf missing = {0};
    assert_true(preload_has(SLICE_LIT("vchord, \"vectors\" ,pg_prewarm"), names, 3, &missing));
    assert_true(preload_has(SLICE_LIT("$libdir/vchord.so, vectors.so, 'pg_prewarm'"), names, 3, &missing));
    assert_int_equal(missing.len, 0);
    assert_false(preload_has(SLICE_LIT("vchord2, vectors"), names, 3, &missing));
    assert_string_equal(buf_str(&missing), "vchord, pg_prewarm");
    buf_clear(&missing);
    assert_false(preload_has(SLICE_LIT("\"\", '"), names, 1, &missing));
    assert_true(preload_has(SLICE_LIT(""), names, 0, &missing));
    buf_free(&missing);
}

static void test_locale(void **state)
{
    (void)state;
    struct json_t *was = json("{'databases':{'postgres':{'encoding':'UTF8','collate':'en_US.utf8','ctype':'en_US.utf8','provider':'c'},"
                              "'app':{'encoding':'LATIN1','collate':'C','ctype':'C','provider':'c'}}}");
    struct json_t *same = json("{'databases':{'postgres':{'encoding':'UTF8','collate':'en_US.utf8','ctype':'en_US.utf8','provider':'c'}}}");
    struct json_t *other = json("{'databases':{'postgres':{'encoding':'UTF8','collate':'C','ctype':'en_US.utf8','provider':'c'}}}");
    struct buf out = {0};
    assert_true(fresh_same_locale(was, same, &out));
    buf_clear(&out);
    assert_false(fresh_same_locale(was, other, &out));
    assert_non_null(strstr(buf_str(&out), "database postgres: collate was en_US.utf8, is C"));
    buf_clear(&out);
    assert_false(fresh_same_locale(NULL, same, &out));
    assert_false(fresh_same_locale(was, NULL, &out));
    buf_free(&out);
    jd_free(was);
    jd_free(same);
    jd_free(other);
}

/* ---- A run ---- */

static char deployment_name[] = "db", volume_name[] = "data", claim_name[] = "new", apply_word[] = "console", workload_name[] = "shop",
            workload_ns[] = "shop-ns", target_class[] = "encrypted";
static struct plan_postgres spec = {.deployment = deployment_name,
                                    .volume = volume_name,
                                    .claim = {.name = claim_name, .size = 1 << 30, .apply = apply_word}};
static struct plan_workload workload = {.name = workload_name, .ns = workload_ns, .kind = &plan_kind_postgres, .spec = &spec};
static struct plan plan = {.target_class = target_class};

static struct run *a_run(bool preview)
{
    return run_new(&(struct run){.plan = &plan, .workload = &workload, .id = "0123456789abcdef", .preview = preview});
}

static void test_interrupted(void **state)
{
    (void)state;
    struct run *r = a_run(true);
    const char *why;
    assert_false(move_interrupted(r, &why));
    run_restore_fact(r, "claim.new.uid", "u1");
    assert_false(move_interrupted(r, &why));
    run_restore_fact(r, "boot.begun", "u1");
    assert_true(move_interrupted(r, &why));
    assert_non_null(strstr(why, "first boot"));
    run_restore_fact(r, "target.claim.uid", "u1");
    assert_false(move_interrupted(r, &why));
    run_restore_fact(r, "restore.begun", "u1");
    assert_true(move_interrupted(r, &why));
    assert_non_null(strstr(why, "restore"));
    run_restore_fact(r, "restore.done", "u0"); /* of a claim that was discarded */
    assert_true(move_interrupted(r, &why));
    run_restore_fact(r, "restore.done", "u1");
    assert_false(move_interrupted(r, &why));
    run_free(r);
}

static void test_rehearse_pod(void **state)
{
    (void)state;
    struct run *r = a_run(true);
    struct json_t *deployment = json("{'spec':{'template':{'metadata':{'labels':{'app':'db'},'annotations':{'inject':'no'}},'spec':{'containers':"
                                     "[{'name':'c'}],'securityContext':{'fsGroup':999},'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'old'}},"
                                     "{'name':'shm','emptyDir':{}},{'name':'backups','persistentVolumeClaim':{'claimName':'shared'}}]}}}}");
    struct json_t *pod = rehearse_pod(r, deployment, "ferryman-scratch-shop");
    assert_string_equal(jd_str(pod, "kind"), "Pod");
    assert_string_equal(jd_str(pod, "spec.volumes.0.persistentVolumeClaim.claimName"), "ferryman-scratch-shop");
    assert_null(jd_get(pod, "spec.volumes.2.persistentVolumeClaim"));
    assert_non_null(jd_get(pod, "spec.volumes.2.emptyDir"));
    assert_int_equal(jd_num(pod, "spec.securityContext.fsGroup", 0), 999);
    assert_null(jd_member(jd_get(pod, "metadata.labels"), "app")); /* no service may select it */
    assert_string_equal(jd_string_value(jd_member(jd_get(pod, "metadata.annotations"), "ferryman.io/run")), "0123456789abcdef");
    assert_string_equal(jd_string_value(jd_member(jd_get(pod, "metadata.annotations"), "inject")), "no");
    /* the deployment itself is untouched */
    assert_string_equal(jd_str(deployment, "spec.template.spec.volumes.0.persistentVolumeClaim.claimName"), "old");
    jd_free(pod);
    pod = rehearse_pod(r, NULL, "x");
    assert_string_equal(jd_str(pod, "metadata.name"), "x");
    jd_free(pod);
    jd_free(deployment);
    run_free(r);
}

/* ---- Purging ---- */

static bool is_source(void *arg, const char *class)
{
    (void)arg;
    return str_eq(class, "nfs");
}

static const struct retired_classes source_classes = {is_source, NULL, "a source class of the plan"};

#define VOLUME(phase, ref, class, path) \
    "{'metadata':{'name':'v','uid':'vu'},'spec':{'storageClassName':'" class "','claimRef':{'uid':'" ref "'},'nfs':{'server':'s','path':'" path \
    "'}},'status':{'phase':'" phase "'}}"

static void purge_says(const char *volume, const char *others, const char *words)
{
    struct retired_volume f = {.name = "v", .uid = "vu", .handle = "s:/a/b", .claim_uid = "cu"};
    struct json_t *v = json(volume), *all = json(others);
    struct buf reason = {0};
    bool may = retired_may_purge(&f, v, all, &source_classes, &reason);
    assert_int_equal(may, words == NULL);
    if (words && !strstr(buf_str(&reason), words))
        fail_msg("'%s' does not say '%s'", buf_str(&reason), words);
    buf_free(&reason);
    jd_free(v);
    jd_free(all);
}

static void test_may_purge(void **state)
{
    (void)state;
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), "{'items':[]}", NULL);
    purge_says(VOLUME("Bound", "cu", "nfs", "/a/b"), "{'items':[]}", "not Released");
    purge_says(VOLUME("Released", "other", "nfs", "/a/b"), "{'items':[]}", "not by the retired one");
    purge_says(VOLUME("Released", "cu", "block", "/a/b"), "{'items':[]}", "not a source class");
    purge_says("{'metadata':{'name':'v','uid':'another'}}", "{'items':[]}", "another one now");
    purge_says("{'metadata':{'name':'v','uid':'vu'},'spec':{'storageClassName':'nfs','claimRef':{'uid':'cu'},'csi':{'volumeHandle':'h2'}},'status':"
               "{'phase':'Released'}}", "{'items':[]}", "has handle h2");
    /* itself in the list does no harm; a neighbour neither; the same, a parent and a child do */
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), "{'items':[" VOLUME("Released", "cu", "nfs", "/a/b") "]}", NULL);
#define OTHER(server, path) "{'items':[{'metadata':{'name':'o','uid':'ou'},'spec':{'nfs':{'server':'" server "','path':'" path "'}}}]}"
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), OTHER("s", "/a/bc"), NULL);
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), OTHER("t", "/a/b"), NULL);
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), OTHER("s", "/a/b/"), "volume o lies on");
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), OTHER("s", "/a"), "volume o lies on");
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"), OTHER("s", "/a/b/c"), "volume o lies on");
    purge_says(VOLUME("Released", "cu", "nfs", "/a/b"),
               "{'items':[{'metadata':{'name':'o','uid':'ou'},'spec':{'csi':{'volumeAttributes':{'server':'s','share':'/a'}}}}]}", "volume o lies on");
}

/* csi-driver-nfs puts every volume into a folder of its own below one share: that is no sharing. */
static void test_may_purge_below_a_share(void **state)
{
#define PROVISIONED(name, uid, more) \
    "{'metadata':{'name':'" name "','uid':'" uid "'},'spec':{'storageClassName':'nfs','claimRef':{'uid':'cu'},'csi':{'volumeHandle':'s#e/k#" name "##'," \
    "'volumeAttributes':{'server':'s','share':'/e/k'" more "}}},'status':{'phase':'Released'}}"
    static const struct {
        const char *ours, *other, *words;
    } cases[] = {
        {PROVISIONED("v", "vu", ",'subdir':'v'"), PROVISIONED("o", "ou", ",'subdir':'o'"), NULL},
        {PROVISIONED("v", "vu", ",'subDir':'/v/'"), PROVISIONED("o", "ou", ",'subdir':'v'"), "volume o lies on s:/e/k/v, too"},
        {PROVISIONED("v", "vu", ""), PROVISIONED("o", "ou", ""), NULL}, /* by their handles */
        {PROVISIONED("v", "vu", ""), "{'metadata':{'name':'all','uid':'au'},'spec':{'nfs':{'server':'s','path':'/e/k'}}}", "volume all lies on s:/e/k, too"},
        {PROVISIONED("v", "vu", ""), "{'metadata':{'name':'file','uid':'fu'},'spec':{'csi':{'volumeHandle':'h','volumeAttributes':{'server':'s','share':'/e/k/v/w'}}}}",
         "volume file lies on s:/e/k/v/w, too"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct retired_volume f = {.name = "v", .uid = "vu", .handle = "s#e/k#v##", .claim_uid = "cu"};
        char *list = str_printf("{'items':[%s,%s]}", cases[i].ours, cases[i].other);
        struct json_t *v = json(cases[i].ours), *all = json(list);
        struct buf reason = {0};
        assert_int_equal(retired_may_purge(&f, v, all, &source_classes, &reason), cases[i].words == NULL);
        if (cases[i].words)
            assert_string_equal(buf_str(&reason), cases[i].words);
        buf_free(&reason);
        jd_free(v);
        jd_free(all);
        mem_free(list);
    }
}

static void touch(const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_remove_dump(void **state)
{
    (void)state;
    char dir[] = "/tmp/ferryman-test-XXXXXX", file[256];
    assert_non_null(mkdtemp(dir));
    touch(dir, "d.sql");
    touch(dir, "d.sql.hmac");
    touch(dir, "d.sql.json");
    snprintf(file, sizeof file, "%s/d.sql", dir);
    assert_null(cleanup_remove_dump(file));
    assert_null(cleanup_remove_dump(file)); /* again: nothing is there */
    snprintf(file, sizeof file, "%s/folder", dir);
    assert_int_equal(mkdir(file, 0700), 0);
    touch(file, "toc.dat");
    assert_null(cleanup_remove_dump(file));
    assert_int_equal(rmdir(dir), 0); /* which shows that nothing is left */
}

/* ---- Losses ---- */

static void test_losses(void **state)
{
    (void)state;
    struct json_t *then = json("{'immich':{'public.asset':100,'public.album':5,'public.gone':1}}");
    struct json_t *now = json("{'immich':{'public.asset':103,'public.album':5,'public.new':2,'public.touched':7}}");
    struct json_t *writes_then = json("{'immich':{'public.asset':10,'public.album':4,'public.touched':1}}");
    struct json_t *writes_now = json("{'immich':{'public.asset':14,'public.album':4,'public.touched':9}}");
    struct json_t *losses = jd_array();
    rollback_losses(then, now, writes_then, writes_now, losses);
    assert_int_equal(jd_len(losses), 3);
    assert_string_equal(jd_str(losses, "0.table"), "public.asset");
    assert_int_equal(jd_num(losses, "0.rows", 0), 3);
    assert_int_equal(jd_num(losses, "0.writes", 0), 4);
    assert_string_equal(jd_str(losses, "1.table"), "public.new");
    assert_string_equal(jd_str(losses, "2.table"), "public.touched");
    jd_free(losses);
    losses = jd_array();
    rollback_losses(then, NULL, NULL, NULL, losses);
    assert_int_equal(jd_len(losses), 0);
    rollback_losses(then, then, NULL, NULL, losses);
    assert_int_equal(jd_len(losses), 0);
    jd_free(losses);
    jd_free(then);
    jd_free(now);
    jd_free(writes_then);
    jd_free(writes_now);
}

static void test_reindex_needed(void **state)
{
    (void)state;
    struct json_t *inventory = json("{'invalid_indexes':{'a':['public.i','public.k'],'b':[]}}"), *needed = jd_array();
    restore_reindex_needed(inventory, needed);
    assert_int_equal(jd_len(needed), 2);
    assert_string_equal(jd_str(needed, "1.index"), "public.k");
    assert_string_equal(jd_str(needed, "1.database"), "a");
    restore_reindex_needed(NULL, needed);
    assert_int_equal(jd_len(needed), 2);
    jd_free(needed);
    jd_free(inventory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_stop),  cmocka_unit_test(test_explain),     cmocka_unit_test(test_pods),
        cmocka_unit_test(test_pick),        cmocka_unit_test(test_preload),     cmocka_unit_test(test_locale),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_rehearse_pod), cmocka_unit_test(test_may_purge), cmocka_unit_test(test_may_purge_below_a_share),
        cmocka_unit_test(test_remove_dump), cmocka_unit_test(test_losses),      cmocka_unit_test(test_reindex_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
