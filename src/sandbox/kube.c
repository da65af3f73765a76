/* The Kubernetes part: brings the API up, knows its scenarios and its control commands. */
#include "sandbox/kube.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "sandbox/controllers.h"
#include "sandbox/http_server.h"
#include "sandbox/kube_faults.h"
#include "sandbox/kube_foreign.h"
#include "sandbox/kube_when.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"
#include "sandbox/rest.h"
#include "sandbox/set_hazards.h"
#include "sandbox/save.h"

/* ---- Scenarios --------------------------------------------------------------------------------------------------- */

static struct err *set_down(struct sandbox *s, bool on)
{
    if (!on)
        return http_server_up(s->kube->server);
    http_server_down(s->kube->server);
    return NULL;
}

static struct err *set_gone(struct sandbox *s, bool on)
{
    if (on) {
        store_compact(s->kube->store);
        watch_end_all(s->kube, true);
    }
    return NULL;
}

static struct err *set_expired(struct sandbox *s, bool on)
{
    s->kube->faults.token_expired = on;
    if (on)
        watch_end_all(s->kube, false);
    return NULL;
}

static struct err *set_slow(struct sandbox *s, bool on)
{
    s->kube->faults.slow = on;
    return NULL;
}

static struct err *set_denied(struct sandbox *s, bool on)
{
    s->kube->faults.denied = on;
    if (on)
        watch_end_all(s->kube, false);
    return NULL;
}

static struct err *set_500(struct sandbox *s, bool on)
{
    s->kube->faults.error_500 = on;
    if (on)
        watch_end_all(s->kube, false);
    return NULL;
}

static struct err *set_truncated(struct sandbox *s, bool on)
{
    s->kube->faults.truncated = on;
    if (on)
        watch_end_all(s->kube, false);
    return NULL;
}

static struct err *set_garbage(struct sandbox *s, bool on)
{
    s->kube->faults.garbage = on;
    if (on)
        watch_end_all(s->kube, false);
    return NULL;
}

static struct err *set_long_line(struct sandbox *s, bool on)
{
    s->kube->faults.long_line = on;
    watch_wake_all(s->kube);
    return NULL;
}

static struct err *set_quiet(struct sandbox *s, bool on)
{
    s->kube->faults.quiet = on;
    if (!on)
        watch_wake_all(s->kube);
    return NULL;
}

static struct err *set_claims_pending(struct sandbox *s, bool on)
{
    s->kube->faults.claims_pending = on;
    if (!on)
        controllers_wake(s->kube, KIND_CLAIM);
    return NULL;
}

static struct err *set_webhook(struct sandbox *s, bool on)
{
    char fault[] = "fault", dry[] = "dry-write", any[] = "*", code[] = "400", always[] = "0", clear[] = "clear";
    char *plant[] = {fault, dry, any, code, always, NULL}, *end[] = {fault, clear, NULL};
    struct buf out = {0};
    struct err *e = kube_run_fault(s, on ? 5 : 2, on ? plant : end, &out);

    buf_free(&out);
    return e;
}

static const struct scenario kube_scenarios[] = {
    {"api-down", "the API's port is closed and its connections are cut", set_down},
    {"watch-gone-410", "history is compacted: every watch ends with 410, old resource versions are refused", set_gone},
    {"token-expired", "401 for the token; open watches end", set_expired},
    {"slow-api", "every request waits 2 to 5 s", set_slow},
    {"denied-cluster-list", "403 for lists across namespaces, and outside immich and vault", set_denied},
    {"api-500", "every request fails with 500", set_500},
    {"api-truncated", "bodies are cut in their middle", set_truncated},
    {"api-garbage", "bodies turn into malformed JSON", set_garbage},
    {"api-longline", "each watch gets one line of 10 MB", set_long_line},
    {"other-cluster", "kube-system has another uid: another cluster answers to the same context",
     kube_set_other_cluster},
    {"claim-pending", "the provisioner of proxmox-lvm-encrypted does nothing", set_claims_pending},
    {"quota-exceeded", "the quota of namespace immich is used up", kube_set_quota_exceeded},
    {"gitops", "argocd-controller sets claim names and replicas back to the seed's, every second", kube_set_gitops},
    {"app-scaled-up", "keda-operator scales immich-server up from 0, every second", kube_set_scaler},
    {"service-elsewhere", "the database's Service leads to another PostgreSQL server", kube_set_elsewhere},
    {"webhook-refuses-dry-run", "an admission webhook refuses what it cannot try", set_webhook},
    {"fsgroup-missing", "the set's template has lost its fsGroup: a pod on block storage cannot write", set_fsgroup_missing},
    {"ordered-ready", "the set's pod management policy is OrderedReady", set_ordered_ready},
    {"foreign-helm-upgrade", "helm changes the set's template (another image)", set_helm_upgrade},
    {"nowhere-to-land", "every node is cordoned", set_nowhere_to_land},
    {"claim-mounted-by-another", "a pod of somebody else's mounts audit-vault-0 and audit-vault-1", set_claim_mounted},
    {"pvc-race", "somebody else deletes a pod of the set right before its claims are deleted: it is back on the old ones", set_pvc_race},
    {"retain-reverted", "when a claim is deleted, somebody sets its volume back to Delete", set_retain_reverted},
    {"circle-in-secrets", "the passphrase of the encrypted class comes out of this very Vault", set_circle},
    {"quiet-watch", "watches stay open and deliver nothing, not even bookmarks", set_quiet},
};

/* ---- Control commands -------------------------------------------------------------------------------------------- */

static struct err *read_count(int argc, char **argv, int64_t *ret)
{
    if (argc == 2 && slice_to_i64(slice_of(argv[1]), ret) && *ret >= 0)
        return NULL;
    return err_new(ERR_USAGE, "usage: %s N", argv[0]);
}

static struct err *run_claims(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    int64_t n;
    struct err *e = read_count(argc, argv, &n);
    size_t count;

    if (e)
        return e;
    bulk_claims(s->kube, n);
    store_all(s->kube->store, KIND_CLAIM, &count);
    buf_printf(out, "%zu claims\n", count);
    return NULL;
}

static struct err *run_rate(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    int64_t n;
    struct err *e = read_count(argc, argv, &n);

    (void)out;
    if (!e)
        bulk_rate(s->kube, n);
    return e;
}

/* "NS/NAME" into its halves; the namespace is malloc'd. */
static struct err *split(const char *text, char **ret_ns, const char **ret_name)
{
    const char *slash = text ? strchr(text, '/') : NULL;

    if (!slash || slash == text || !slash[1])
        return err_new(ERR_USAGE, "\"%s\" is no NAMESPACE/NAME", text ? text : "");
    *ret_ns = mem_strndup(text, (size_t)(slash - text));
    *ret_name = slash + 1;
    return NULL;
}

static struct err *refused(struct refusal *f)
{
    struct err *e = f ? err_new(ERR_FAILED, "%s", f->message) : NULL;

    refusal_free(f);
    return e;
}

static struct err *create_claim(struct kube *k, const char *ns, const char *name, const char *size, const char *class)
{
    struct json_t *doc = object_parse(
        "{'metadata':{'name':'%s','namespace':'%s'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':"
        "{'storage':'%s'}},'storageClassName':'%s'}}",
        name, ns, size, class);
    struct err *e = refused(kube_create(k, KIND_CLAIM, doc, "sandbox", false));

    jd_free(doc);
    return e;
}

static struct err *run_create(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    char *ns = NULL;
    const char *name;

    (void)out;
    if (argc < 3 || argc > 5 || !str_eq(argv[1], "claim"))
        return err_new(ERR_USAGE, "usage: create claim NS/NAME [SIZE [CLASS]]");
    struct err *e = split(argv[2], &ns, &name);
    if (!e)
        e = create_claim(s->kube, ns, name, argc > 3 ? argv[3] : "1Gi", argc > 4 ? argv[4] : "nfs-proxmox");
    free(ns);
    return e;
}

/* A claim that waits for its first consumer is bound as if a pod on the first node had come. */
static struct err *run_bind(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    char *ns = NULL;
    const char *name;

    (void)out;
    if (argc != 3 || !str_eq(argv[1], "claim"))
        return err_new(ERR_USAGE, "usage: bind claim NS/NAME");
    struct err *e = split(argv[2], &ns, &name);
    struct json_t *doc = e ? NULL : kube_get(s->kube, KIND_CLAIM, ns, name);
    if (!e && !doc)
        e = err_new(ERR_FAILED, "no claim %s", argv[2]);
    if (doc) {
        object_set_annotation(doc, "volume.kubernetes.io/selected-node", "worker-1");
        kube_write(s->kube, KIND_CLAIM, doc, "kube-scheduler");
    }
    jd_free(doc);
    free(ns);
    return e;
}

static struct err *run_delete(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    char *ns = NULL;
    const char *name;
    enum kube_id kind = argc > 1 && str_eq(argv[1], "pod") ? KIND_POD : KIND_CLAIM;

    (void)out;
    if (argc != 3 || (kind == KIND_CLAIM && !str_eq(argv[1], "claim")))
        return err_new(ERR_USAGE, "usage: delete claim|pod NS/NAME");
    struct err *e = split(argv[2], &ns, &name);
    if (!e && !store_get(s->kube->store, kind, ns, name))
        e = err_new(ERR_FAILED, "no %s %s", argv[1], argv[2]);
    if (!e)
        kube_delete(s->kube, kind, ns, name, NULL, -1, false, NULL, NULL);
    free(ns);
    return e;
}

static struct err *run_touch(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    static unsigned serial;
    char *ns = NULL, text[24];
    const char *name;

    (void)out;
    if (argc != 3 || !str_eq(argv[1], "claim"))
        return err_new(ERR_USAGE, "usage: touch claim NS/NAME");
    struct err *e = split(argv[2], &ns, &name);
    struct json_t *doc = e ? NULL : kube_get(s->kube, KIND_CLAIM, ns, name);
    if (!e && !doc)
        e = err_new(ERR_FAILED, "no claim %s", argv[2]);
    if (doc) {
        snprintf(text, sizeof text, "%u", ++serial);
        object_set_annotation(doc, "sandbox/touched", text);
        kube_write(s->kube, KIND_CLAIM, doc, "sandbox");
    }
    jd_free(doc);
    free(ns);
    return e;
}

static struct err *run_kill(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    char *ns = NULL;
    const char *name;

    (void)out;
    if (argc != 3 || !str_eq(argv[1], "pod"))
        return err_new(ERR_USAGE, "usage: kill pod NS/NAME");
    struct err *e = split(argv[2], &ns, &name);
    if (!e)
        e = kube_pod_kill(s, ns, name);
    free(ns);
    return e;
}

static struct err *run_compact(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)argc, (void)argv;
    store_compact(s->kube->store);
    buf_printf(out, "resource version %llu\n", (unsigned long long)store_rv(s->kube->store));
    return NULL;
}

static const struct control_command kube_commands[] = {
    {"claims", "claims N", "adds bound claims until there are N", run_claims},
    {"rate", "rate N", "N modifications of claims a second (0 ends it)", run_rate},
    {"create", "create claim NS/NAME [SIZE [CLASS]]", "a new claim", run_create},
    {"bind", "bind claim NS/NAME", "lets a waiting claim bind", run_bind},
    {"delete", "delete claim|pod NS/NAME", "as kubectl delete does it", run_delete},
    {"touch", "touch claim NS/NAME", "changes an annotation", run_touch},
    {"kill", "kill pod NS/NAME", "its main process dies (137) and is started again", run_kill},
    {"fault", "fault [dry-]VERB RESOURCE CODE [COUNT]",
     "the next requests get this code; also drop, drop-after-commit, hang", kube_run_fault},
    {"fault", "fault list|clear", "the faults that are planted", kube_run_fault},
    {"deny", "deny VERB RESOURCE [NAMESPACE], deny clear", "takes a right away", kube_run_deny},
    {"audit", "audit [log|clear]", "what was changed how often, and by whom", kube_run_audit},
    {"lease", "lease steal NS/NAME [HOLDER]", "somebody else takes the Lease", kube_run_lease},
    {"patch", "patch claim NS/DEPLOYMENT CLAIM [MANAGER]", "a foreign manager changes the claim of the first volume",
     kube_run_patch},
    {"patch", "patch replicas NS/DEPLOYMENT N [MANAGER]", "a foreign manager scales", kube_run_patch},
    {"when", "when before|after [dry-]VERB RESOURCE[/NAME] [xN] LINE",
     "LINE is carried out together with the next such request", kube_run_when},
    {"when", "when list|clear", "what waits for that", kube_run_when},
    {"hazard", "hazard recreate-pod|revert-retain CLAIM", "what pvc-race and retain-reverted do, now", set_run_hazard},
    {"run", "run cronjob NS/NAME", "a Job from it, now, also when it is suspended", kube_run_cronjob},
    {"compact", "compact", "forgets history, without ending watches", run_compact},
};

/* ---- The part ---------------------------------------------------------------------------------------------------- */

static void wake_watches(void *arg, enum kube_id kind, const struct change_event *ev)
{
    (void)kind, (void)ev;
    watch_wake_all(arg);
}

static struct err *listen_tls(struct kube *k)
{
    struct http_server_options o = {.key_pem = k->key_pem, .cert_pem = k->cert_pem, .client_ca_pem = k->ca_pem,
                                    .port = sandbox_saved_port(k->sb, "kube"),
                                    .handle = api_handle, .arg = k};
    struct err *e = http_server_new(k->sb->loop, &o, &k->server);

    if (!e)
        k->sb->ports.kube = http_server_port(k->server);
    return e;
}

static struct err *kube_start(struct sandbox *s)
{
    struct kube *k = s->kube = MEM_NEW(struct kube);

    k->sb = s;
    k->store = store_new();
    const char *token = s->saved ? jd_str(sandbox_saved(s, "kube"), "token") : NULL;
    k->token = token ? mem_strdup(token) : rest_random_hex(24);
    k->viewer_token = str_printf("viewer-%s", k->token);
    k->plan = kube_plan_new();
    k->kubelet = kubelet_new(k);
    struct err *e = s->saved ? kube_load(k) : NULL;
    if (!s->saved)
        seed_cluster(k);
    if (s->extra_claims)
        bulk_claims(k, s->extra_claims);
    k->foreign = kube_foreign_new(k);
    if (s->saved)
        kube_audit_load(k, sandbox_saved(s, "kube"));
    store_compact(k->store);
    store_observe(k->store, wake_watches, k);
    k->controllers = controllers_new(k);
    if (!e)
        e = pki_create(k);
    if (!e)
        e = listen_tls(k);
    return e ? e : kubeconfig_write(k);
}

static void kube_stop(struct sandbox *s)
{
    struct kube *k = s->kube;

    loop_undefer(s->loop, k);
    bulk_free(k);
    kube_foreign_free(k->foreign);
    kube_plan_free(k->plan);
    kube_when_free(k);
    free(k->viewer_token);
    http_server_free(k->server);
    controllers_free(k->controllers);
    kubelet_free(k->kubelet);
    store_free(k->store);
    free(k->token);
    free(k->ca_pem);
    free(k->key_pem);
    free(k->cert_pem);
    free(k);
    s->kube = NULL;
}

const struct sandbox_part kube_part = {.name = "kube",
                                       .start = kube_start,
                                       .stop = kube_stop,
                                       .save = kube_save,
                                       .scenarios = kube_scenarios,
                                       .scenario_count = ARRAY_LEN(kube_scenarios),
                                       .commands = kube_commands,
                                       .command_count = ARRAY_LEN(kube_commands)};
