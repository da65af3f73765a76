#include "sandbox/defaults.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/object.h"

#define STS_FORBIDDEN                                                                                                  \
    "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "                \
    "'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

static void fill(struct json_t *doc, const char *path, struct json_t *value)
{
    if (jd_get(doc, path))
        jd_free(value);
    else
        jd_put(doc, path, value);
}

static void container_defaults(struct json_t *list)
{
    for (size_t i = 0; i < jd_len(list); i++) {
        struct json_t *c = jd_at(list, i);
        fill(c, "resources", jd_object());
        fill(c, "terminationMessagePath", jd_string("/dev/termination-log"));
        fill(c, "terminationMessagePolicy", jd_string("File"));
        fill(c, "imagePullPolicy", jd_string("IfNotPresent"));
        for (size_t j = 0; j < jd_len(jd_get(c, "ports")); j++)
            fill(jd_at(jd_get(c, "ports"), j), "protocol", jd_string("TCP"));
    }
}

static void pod_defaults(struct json_t *spec)
{
    container_defaults(jd_get(spec, "initContainers"));
    container_defaults(jd_get(spec, "containers"));
    fill(spec, "restartPolicy", jd_string("Always"));
    fill(spec, "terminationGracePeriodSeconds", jd_int(30));
    fill(spec, "dnsPolicy", jd_string("ClusterFirst"));
    fill(spec, "securityContext", jd_object());
    fill(spec, "schedulerName", jd_string("default-scheduler"));
}

static void claim_defaults(struct json_t *spec)
{
    fill(spec, "volumeMode", jd_string("Filesystem"));
}

static void deployment_defaults(struct json_t *doc)
{
    fill(doc, "spec.replicas", jd_int(1));
    fill(doc, "spec.strategy.type", jd_string("RollingUpdate"));
    if (str_eq(jd_str(doc, "spec.strategy.type"), "RollingUpdate"))
        fill(doc, "spec.strategy.rollingUpdate", object_parse("{'maxUnavailable':'25%%','maxSurge':'25%%'}"));
    fill(doc, "spec.revisionHistoryLimit", jd_int(10));
    fill(doc, "spec.progressDeadlineSeconds", jd_int(600));
    fill(doc, "spec.template.metadata.creationTimestamp", jd_null());
    pod_defaults(jd_get(doc, "spec.template.spec"));
}

static void statefulset_defaults(struct json_t *doc)
{
    fill(doc, "spec.replicas", jd_int(1));
    fill(doc, "spec.serviceName", jd_string(""));
    fill(doc, "spec.podManagementPolicy", jd_string("OrderedReady"));
    fill(doc, "spec.updateStrategy.type", jd_string("RollingUpdate"));
    if (str_eq(jd_str(doc, "spec.updateStrategy.type"), "RollingUpdate"))
        fill(doc, "spec.updateStrategy.rollingUpdate.partition", jd_int(0));
    fill(doc, "spec.revisionHistoryLimit", jd_int(10));
    fill(doc, "spec.persistentVolumeClaimRetentionPolicy", object_parse("{'whenDeleted':'Retain',"
                                                                        "'whenScaled':'Retain'}"));
    fill(doc, "spec.template.metadata.creationTimestamp", jd_null());
    pod_defaults(jd_get(doc, "spec.template.spec"));
    struct json_t *vct = jd_get(doc, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(vct); i++) {
        fill(jd_at(vct, i), "kind", jd_string("PersistentVolumeClaim"));
        fill(jd_at(vct, i), "apiVersion", jd_string("v1"));
        claim_defaults(jd_get(jd_at(vct, i), "spec"));
        fill(jd_at(vct, i), "status.phase", jd_string("Pending"));
    }
}

static void job_defaults(struct json_t *spec)
{
    fill(spec, "parallelism", jd_int(1));
    fill(spec, "completions", jd_int(1));
    fill(spec, "backoffLimit", jd_int(6));
    fill(spec, "completionMode", jd_string("NonIndexed"));
    fill(spec, "suspend", jd_bool(false));
    pod_defaults(jd_get(spec, "template.spec"));
}

void defaults_set(enum kube_id kind, struct json_t *doc)
{
    struct json_t *spec = jd_get(doc, "spec");

    switch (kind) {
    case KIND_CLAIM:
        claim_defaults(spec);
        object_add_finalizer(doc, "kubernetes.io/pvc-protection");
        break;
    case KIND_VOLUME:
        fill(doc, "spec.persistentVolumeReclaimPolicy", jd_string("Retain"));
        fill(doc, "spec.volumeMode", jd_string("Filesystem"));
        object_add_finalizer(doc, "kubernetes.io/pv-protection");
        break;
    case KIND_STORAGECLASS:
        fill(doc, "reclaimPolicy", jd_string("Delete"));
        fill(doc, "volumeBindingMode", jd_string("Immediate"));
        break;
    case KIND_POD:
        pod_defaults(spec);
        break;
    case KIND_DEPLOYMENT:
        deployment_defaults(doc);
        break;
    case KIND_REPLICASET:
        fill(doc, "spec.replicas", jd_int(1));
        break;
    case KIND_STATEFULSET:
        statefulset_defaults(doc);
        break;
    case KIND_JOB:
        job_defaults(spec);
        break;
    case KIND_CRONJOB:
        fill(doc, "spec.concurrencyPolicy", jd_string("Allow"));
        fill(doc, "spec.suspend", jd_bool(false));
        fill(doc, "spec.successfulJobsHistoryLimit", jd_int(3));
        fill(doc, "spec.failedJobsHistoryLimit", jd_int(1));
        pod_defaults(jd_get(doc, "spec.jobTemplate.spec.template.spec"));
        break;
    case KIND_NAMESPACE:
        object_set_label(doc, "kubernetes.io/metadata.name", object_name(doc));
        fill(doc, "spec.finalizers", object_parse("['kubernetes']"));
        break;
    default:
        break;
    }
}

void defaults_status(enum kube_id kind, struct json_t *doc)
{
    if (!kube_kinds[kind].status || kind == KIND_ATTACHMENT || kind == KIND_NODE || kind == KIND_SERVICE)
        return;
    switch (kind) {
    case KIND_CLAIM:
    case KIND_VOLUME:
        jd_set(doc, "status", object_parse("{'phase':'Pending'}"));
        break;
    case KIND_POD:
        jd_set(doc, "status", object_parse("{'phase':'Pending','qosClass':'BestEffort'}"));
        break;
    case KIND_NAMESPACE:
        jd_set(doc, "status", object_parse("{'phase':'Active'}"));
        break;
    case KIND_STATEFULSET:
        jd_set(doc, "status", object_parse("{'replicas':0,'availableReplicas':0}"));
        break;
    case KIND_REPLICASET:
        jd_set(doc, "status", object_parse("{'replicas':0}"));
        break;
    default:
        jd_set(doc, "status", jd_object());
        break;
    }
}

/* ---- Validation -------------------------------------------------------------------------------------------------- */

static bool valid_name(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > 253 || !isalnum((unsigned char)name[0]) || !isalnum((unsigned char)name[n - 1]))
        return false;
    for (const char *p = name; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-' && *p != '.' && *p != ':')
            return false;
    return true;
}

static bool micro_time_ok(const struct json_t *doc, const char *path)
{
    const char *t = jd_str(doc, path);
    const char *dot = t ? strchr(t, '.') : NULL;

    return !t || (dot && strspn(dot + 1, "0123456789") == 6 && strlen(t) == strlen("2026-11-22T06:00:00.000000Z"));
}

static struct refusal *check_claim(const struct json_t *old, const struct json_t *doc)
{
    const struct kube_kind *kk = &kube_kinds[KIND_CLAIM];
    const char *size = jd_str(doc, "spec.resources.requests.storage");
    int64_t bytes;

    if (size && !str_quantity(slice_of(size), &bytes))
        return refuse_bad_request("PersistentVolumeClaim in version \"v1\" cannot be handled as a "
                                  "PersistentVolumeClaim: "
                                  "quantities must match the regular expression "
                                  "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    if (!old && !jd_len(jd_get(doc, "spec.accessModes")))
        return refuse_invalid(kk, object_name(doc), "FieldValueRequired", "spec.accessModes",
                              "Required value: at least 1 access mode is required");
    if (!old && !size)
        return refuse_invalid(kk, object_name(doc), "FieldValueRequired", "spec.resources[storage]", "Required value");
    if (!old)
        return NULL;
    struct json_t *a = jd_copy(jd_get(old, "spec")), *b = jd_copy(jd_get(doc, "spec"));
    bool bound = jd_str(old, "spec.volumeName") != NULL;
    jd_del(a, "resources");
    jd_del(b, "resources");
    if (!bound)
        jd_del(b, "volumeName");
    bool same = jd_equal(a, b);
    jd_free(a);
    jd_free(b);
    return same ? NULL
                : refuse_invalid(kk, object_name(doc), "FieldValueForbidden", "spec",
                                 "Forbidden: spec is immutable after creation except resources.requests and "
                                 "volumeAttributesClassName for bound claims");
}

static struct refusal *check_statefulset(const struct json_t *old, const struct json_t *doc)
{
    static const char *const mutable[] = {"replicas", "ordinals", "template", "updateStrategy", "minReadySeconds",
                                          "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"};
    struct json_t *a = jd_copy(jd_get(old, "spec")), *b = jd_copy(jd_get(doc, "spec"));

    for (size_t i = 0; i < ARRAY_LEN(mutable); i++) {
        jd_del(a, mutable[i]);
        jd_del(b, mutable[i]);
    }
    bool same = jd_equal(a, b);
    jd_free(a);
    jd_free(b);
    return same ? NULL
                : refuse_invalid(&kube_kinds[KIND_STATEFULSET], object_name(doc), "FieldValueForbidden", "spec",
                                 STS_FORBIDDEN);
}

static struct refusal *check_lease(const struct json_t *old, const struct json_t *doc)
{
    (void)old;
    if (micro_time_ok(doc, "spec.renewTime") && micro_time_ok(doc, "spec.acquireTime"))
        return NULL;
    return refuse_bad_request("Lease in version \"v1\" cannot be handled as a Lease: parsing time \"%s\" as "
                              "\"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
                              jd_str(doc, "spec.renewTime"));
}

struct refusal *defaults_check(enum kube_id kind, const struct json_t *old, const struct json_t *doc)
{
    const struct kube_kind *kk = &kube_kinds[kind];
    struct refusal *f = NULL;

    if (!old && !valid_name(object_name(doc)))
        return refuse_invalid(kk, object_name(doc), "FieldValueInvalid", "metadata.name",
                              "Invalid value: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                              "characters, '-' or '.', and must start and end with an alphanumeric character");
    if (jd_num(doc, "spec.replicas", 0) < 0) {
        char *text = str_printf("Invalid value: %lld: must be greater than or equal to 0",
                                (long long)jd_num(doc, "spec.replicas", 0));
        f = refuse_invalid(kk, object_name(doc), "FieldValueInvalid", "spec.replicas", text);
        free(text);
        return f;
    }
    if (kind == KIND_CLAIM)
        return check_claim(old, doc);
    if (kind == KIND_STATEFULSET && old)
        return check_statefulset(old, doc);
    if (kind == KIND_LEASE)
        return check_lease(old, doc);
    return NULL;
}
