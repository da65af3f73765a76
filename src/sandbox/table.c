/* meta.k8s.io/v1 Table: what `kubectl get` prints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

/* A cell is written by a function of its own, or is the text at a path. */
typedef void (*cell_fn)(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms);

struct column {
    const char *name, *type, *format;
    int priority;
    cell_fn fn;
    const char *path;
};

static void text(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    const char *s = jd_str(doc, path);

    (void)now_ms;
    jw_str(w, s ? s : "");
}

static void text_or_none(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    const char *s = jd_str(doc, path);

    (void)now_ms;
    jw_str(w, s && s[0] ? s : "<none>");
}

static void text_or_unset(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    const char *s = jd_str(doc, path);

    (void)now_ms;
    jw_str(w, s && s[0] ? s : "<unset>");
}

static void number(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)now_ms;
    jw_int(w, jd_num(doc, path, 0));
}

static void flag(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)now_ms;
    jw_bool(w, jd_flag(doc, path, false));
}

static void flag_word(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)now_ms;
    jw_str(w, jd_flag(doc, path, false) ? "True" : "False");
}

static void count(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)now_ms;
    jw_int(w, (int64_t)jd_len(jd_get(doc, path)));
}

/* Ages as kubectl writes them. */
static void since(struct json_writer *w, int64_t ms)
{
    char b[32];
    long long s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;

    if (s < 120)
        snprintf(b, sizeof b, "%llds", s < 0 ? 0 : s);
    else if (m < 10 && s % 60)
        snprintf(b, sizeof b, "%lldm%llds", m, s % 60);
    else if (m < 180)
        snprintf(b, sizeof b, "%lldm", m);
    else if (h < 8 && m % 60)
        snprintf(b, sizeof b, "%lldh%lldm", h, m % 60);
    else if (h < 48)
        snprintf(b, sizeof b, "%lldh", h);
    else if (d < 8 && h % 24)
        snprintf(b, sizeof b, "%lldd%lldh", d, h % 24);
    else
        snprintf(b, sizeof b, "%lldd", d);
    jw_str(w, b);
}

static void age(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    const char *t = jd_str(doc, path);
    int64_t ms;

    if (t && clock_parse_rfc3339(slice_of(t), &ms))
        since(w, now_ms - ms);
    else
        jw_str(w, "<none>");
}

static void phase(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    if (object_terminating(doc))
        jw_str(w, "Terminating");
    else
        text(w, doc, path, now_ms);
}

static void access_modes(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    static const struct {
        const char *mode, *brief;
    } modes[] = {{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"},
                 {"ReadWriteOncePod", "RWOP"}};
    struct json_t *list = jd_get(doc, path);
    char b[64] = "";

    (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        for (size_t j = 0; j < ARRAY_LEN(modes); j++)
            if (str_eq(jd_string_value(jd_at(list, i)), modes[j].mode))
                snprintf(b + strlen(b), sizeof b - strlen(b), "%s%s", b[0] ? "," : "", modes[j].brief);
    jw_str(w, b);
}

static void claim_ref(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    char b[600];

    (void)path, (void)now_ms;
    if (!jd_get(doc, "spec.claimRef")) {
        jw_str(w, "");
        return;
    }
    snprintf(b, sizeof b, "%s/%s", jd_str(doc, "spec.claimRef.namespace"), jd_str(doc, "spec.claimRef.name"));
    jw_str(w, b);
}

static void ratio(struct json_writer *w, int64_t a, int64_t b)
{
    char t[48];

    snprintf(t, sizeof t, "%lld/%lld", (long long)a, (long long)b);
    jw_str(w, t);
}

static void ready_replicas(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)path, (void)now_ms;
    ratio(w, jd_num(doc, "status.readyReplicas", 0), jd_num(doc, "spec.replicas", 1));
}

static void pod_ready(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "status.containerStatuses");
    int64_t ready = 0;

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        ready += jd_flag(jd_at(list, i), "ready", false);
    ratio(w, ready, (int64_t)jd_len(jd_get(doc, "spec.containers")));
}

static void pod_status(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "status.containerStatuses");
    const char *reason = NULL;

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list) && !reason; i++) {
        reason = jd_str(jd_at(list, i), "state.waiting.reason");
        if (!reason)
            reason = jd_str(jd_at(list, i), "state.terminated.reason");
    }
    if (object_terminating(doc))
        reason = "Terminating";
    const char *p = jd_str(doc, "status.phase");
    jw_str(w, reason ? reason : p ? p : "Unknown");
}

static void pod_restarts(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "status.containerStatuses");
    int64_t n = 0;
    char b[24];

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        n += jd_num(jd_at(list, i), "restartCount", 0);
    snprintf(b, sizeof b, "%lld", (long long)n);
    jw_str(w, b);
}

static void node_status(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "status.conditions");
    bool ready = false;
    char b[64];

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "type"), "Ready"))
            ready = str_eq(jd_str(jd_at(list, i), "status"), "True");
    snprintf(b, sizeof b, "%s%s", ready ? "Ready" : "NotReady",
             jd_flag(doc, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
    jw_str(w, b);
}

static void node_roles(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)path, (void)now_ms;
    jw_str(w, object_label(doc, "node-role.kubernetes.io/control-plane") ? "control-plane" : "<none>");
}

static void job_completions(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)path, (void)now_ms;
    ratio(w, jd_num(doc, "status.succeeded", 0), jd_num(doc, "spec.completions", 1));
}

static void job_status(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "status.conditions");
    const char *s = "Running";

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "type"), "Complete") || str_eq(jd_str(jd_at(list, i), "type"), "Failed"))
            s = jd_str(jd_at(list, i), "type");
    jw_str(w, s);
}

static void event_object(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    const char *kind = jd_str(doc, "involvedObject.kind"), *name = jd_str(doc, "involvedObject.name");
    char b[400], *p;

    (void)path, (void)now_ms;
    snprintf(b, sizeof b, "%s/%s", kind ? kind : "", name ? name : "");
    for (p = b; *p && *p != '/'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    jw_str(w, b);
}

static void event_seen(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    (void)path;
    age(w, doc, jd_str(doc, "lastTimestamp") ? "lastTimestamp" : "eventTime", now_ms);
}

static void service_ports(struct json_writer *w, const struct json_t *doc, const char *path, int64_t now_ms)
{
    struct json_t *list = jd_get(doc, "spec.ports");
    char b[200] = "";

    (void)path, (void)now_ms;
    for (size_t i = 0; i < jd_len(list); i++)
        snprintf(b + strlen(b), sizeof b - strlen(b), "%s%lld/TCP", i ? "," : "",
                 (long long)jd_num(jd_at(list, i), "port", 0));
    jw_str(w, b);
}

#define NAME {"Name", "string", "name", 0, text, "metadata.name"}
#define AGE {"Age", "string", "", 0, age, "metadata.creationTimestamp"}

static const struct column claim_columns[] = {
    NAME,
    {"Status", "string", "", 0, phase, "status.phase"},
    {"Volume", "string", "", 0, text, "spec.volumeName"},
    {"Capacity", "string", "", 0, text, "status.capacity.storage"},
    {"Access Modes", "string", "", 0, access_modes, "status.accessModes"},
    {"StorageClass", "string", "", 0, text, "spec.storageClassName"},
    {"VolumeAttributesClass", "string", "", 0, text_or_unset, "spec.volumeAttributesClassName"},
    AGE,
    {"VolumeMode", "string", "", 1, text, "spec.volumeMode"},
    {0}};
static const struct column volume_columns[] = {
    NAME,
    {"Capacity", "string", "", 0, text, "spec.capacity.storage"},
    {"Access Modes", "string", "", 0, access_modes, "spec.accessModes"},
    {"Reclaim Policy", "string", "", 0, text, "spec.persistentVolumeReclaimPolicy"},
    {"Status", "string", "", 0, phase, "status.phase"},
    {"Claim", "string", "", 0, claim_ref, NULL},
    {"StorageClass", "string", "", 0, text, "spec.storageClassName"},
    {"VolumeAttributesClass", "string", "", 0, text_or_unset, "spec.volumeAttributesClassName"},
    {"Reason", "string", "", 0, text, "status.reason"},
    AGE,
    {"VolumeMode", "string", "", 1, text, "spec.volumeMode"},
    {0}};
static const struct column pod_columns[] = {
    NAME,
    {"Ready", "string", "", 0, pod_ready, NULL},
    {"Status", "string", "", 0, pod_status, NULL},
    {"Restarts", "string", "", 0, pod_restarts, NULL},
    AGE,
    {"IP", "string", "", 1, text_or_none, "status.podIP"},
    {"Node", "string", "", 1, text_or_none, "spec.nodeName"},
    {"Nominated Node", "string", "", 1, text_or_none, "status.nominatedNodeName"},
    {"Readiness Gates", "string", "", 1, text_or_none, "none"},
    {0}};
static const struct column deployment_columns[] = {
    NAME,
    {"Ready", "string", "", 0, ready_replicas, NULL},
    {"Up-to-date", "integer", "", 0, number, "status.updatedReplicas"},
    {"Available", "integer", "", 0, number, "status.availableReplicas"},
    AGE,
    {0}};
static const struct column replicaset_columns[] = {
    NAME,
    {"Desired", "integer", "", 0, number, "spec.replicas"},
    {"Current", "integer", "", 0, number, "status.replicas"},
    {"Ready", "integer", "", 0, number, "status.readyReplicas"},
    AGE,
    {0}};
static const struct column statefulset_columns[] = {NAME, {"Ready", "string", "", 0, ready_replicas, NULL}, AGE, {0}};
static const struct column cronjob_columns[] = {
    NAME,
    {"Schedule", "string", "", 0, text, "spec.schedule"},
    {"Timezone", "string", "", 0, text_or_none, "spec.timeZone"},
    {"Suspend", "string", "", 0, flag_word, "spec.suspend"},
    {"Active", "integer", "", 0, count, "status.active"},
    {"Last Schedule", "string", "", 0, age, "status.lastScheduleTime"},
    AGE,
    {0}};
static const struct column job_columns[] = {
    NAME,
    {"Status", "string", "", 0, job_status, NULL},
    {"Completions", "string", "", 0, job_completions, NULL},
    {"Duration", "string", "", 0, age, "status.startTime"},
    AGE,
    {0}};
static const struct column event_columns[] = {
    {"Last Seen", "string", "", 0, event_seen, NULL},
    {"Type", "string", "", 0, text, "type"},
    {"Reason", "string", "", 0, text, "reason"},
    {"Object", "string", "", 0, event_object, NULL},
    {"Message", "string", "", 0, text, "message"},
    {"Name", "string", "name", 1, text, "metadata.name"},
    {0}};
static const struct column node_columns[] = {
    NAME,
    {"Status", "string", "", 0, node_status, NULL},
    {"Roles", "string", "", 0, node_roles, NULL},
    AGE,
    {"Version", "string", "", 0, text, "status.nodeInfo.kubeletVersion"},
    {"Internal-IP", "string", "", 1, text, "status.addresses.0.address"},
    {"OS-Image", "string", "", 1, text, "status.nodeInfo.osImage"},
    {"Kernel-Version", "string", "", 1, text, "status.nodeInfo.kernelVersion"},
    {"Container-Runtime", "string", "", 1, text, "status.nodeInfo.containerRuntimeVersion"},
    {0}};
static const struct column class_columns[] = {
    NAME,
    {"Provisioner", "string", "", 0, text, "provisioner"},
    {"ReclaimPolicy", "string", "", 0, text, "reclaimPolicy"},
    {"VolumeBindingMode", "string", "", 0, text, "volumeBindingMode"},
    {"AllowVolumeExpansion", "boolean", "", 0, flag, "allowVolumeExpansion"},
    AGE,
    {0}};
static const struct column attachment_columns[] = {
    NAME,
    {"Attacher", "string", "", 0, text, "spec.attacher"},
    {"PV", "string", "", 0, text, "spec.source.persistentVolumeName"},
    {"Node", "string", "", 0, text, "spec.nodeName"},
    {"Attached", "boolean", "", 0, flag, "status.attached"},
    AGE,
    {0}};
static const struct column csinode_columns[] = {NAME, {"Drivers", "integer", "", 0, count, "spec.drivers"}, AGE, {0}};
static const struct column lease_columns[] = {
    NAME, {"Holder", "string", "", 0, text, "spec.holderIdentity"}, AGE, {0}};
static const struct column namespace_columns[] = {NAME, {"Status", "string", "", 0, text, "status.phase"}, AGE, {0}};
static const struct column service_columns[] = {
    NAME,
    {"Type", "string", "", 0, text, "spec.type"},
    {"Cluster-IP", "string", "", 0, text, "spec.clusterIP"},
    {"External-IP", "string", "", 0, text_or_none, "none"},
    {"Port(s)", "string", "", 0, service_ports, NULL},
    AGE,
    {0}};
static const struct column secret_columns[] = {
    NAME, {"Type", "string", "", 0, text, "type"}, {"Data", "integer", "", 0, count, "data"}, AGE, {0}};
static const struct column configmap_columns[] = {NAME, {"Data", "integer", "", 0, count, "data"}, AGE, {0}};
static const struct column pdb_columns[] = {
    NAME,
    {"Min Available", "string", "", 0, number, "spec.minAvailable"},
    {"Max Unavailable", "string", "", 0, number, "spec.maxUnavailable"},
    {"Allowed Disruptions", "integer", "", 0, number, "status.disruptionsAllowed"},
    AGE,
    {0}};
static const struct column hpa_columns[] = {
    NAME,
    {"Reference", "string", "", 0, text, "spec.scaleTargetRef.name"},
    {"MinPods", "integer", "", 0, number, "spec.minReplicas"},
    {"MaxPods", "integer", "", 0, number, "spec.maxReplicas"},
    {"Replicas", "integer", "", 0, number, "status.currentReplicas"},
    AGE,
    {0}};
static const struct column slice_columns[] = {
    NAME,
    {"AddressType", "string", "", 0, text, "addressType"},
    {"Endpoints", "integer", "", 0, count, "endpoints"},
    AGE,
    {0}};
static const struct column plain_columns[] = {NAME, AGE, {0}};

static const struct column *columns_of(const struct kube_kind *kind)
{
    static const struct column *const known[KIND_COUNT] = {
        [KIND_CLAIM] = claim_columns,           [KIND_VOLUME] = volume_columns,
        [KIND_POD] = pod_columns,               [KIND_DEPLOYMENT] = deployment_columns,
        [KIND_REPLICASET] = replicaset_columns, [KIND_STATEFULSET] = statefulset_columns,
        [KIND_CRONJOB] = cronjob_columns,       [KIND_JOB] = job_columns,
        [KIND_EVENT] = event_columns,           [KIND_NODE] = node_columns,
        [KIND_STORAGECLASS] = class_columns,    [KIND_ATTACHMENT] = attachment_columns,
        [KIND_CSINODE] = csinode_columns,       [KIND_LEASE] = lease_columns,
        [KIND_NAMESPACE] = namespace_columns,   [KIND_SERVICE] = service_columns,
        [KIND_SECRET] = secret_columns,         [KIND_CONFIGMAP] = configmap_columns,
        [KIND_PDB] = pdb_columns,               [KIND_HPA] = hpa_columns,
        [KIND_ENDPOINTSLICE] = slice_columns,   [KIND_EVENT_NEW] = event_columns,
    };

    return known[kind->id] ? known[kind->id] : plain_columns;
}

void table_columns(struct buf *out, const struct kube_kind *kind)
{
    struct json_writer w;

    jw_init(&w, out);
    jw_array(&w);
    for (const struct column *c = columns_of(kind); c->name; c++) {
        jw_object(&w);
        jw_key(&w, "name");
        jw_str(&w, c->name);
        jw_key(&w, "type");
        jw_str(&w, c->type);
        jw_key(&w, "format");
        jw_str(&w, c->format);
        jw_key(&w, "description");
        jw_str(&w, "");
        jw_key(&w, "priority");
        jw_int(&w, c->priority);
        jw_end_object(&w);
    }
    jw_end_array(&w);
}

static void row_object(struct buf *out, const struct kube_kind *kind, const struct version *v, const struct json_t *doc,
                       const char *include)
{
    if (str_eq(include, "None"))
        return;
    buf_adds(out, ",\"object\":");
    if (str_eq(include, "Object")) {
        represent_object(out, kind, version_json(v));
        return;
    }
    buf_adds(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
    jd_dump(jd_member(doc, "metadata"), out);
    buf_addc(out, '}');
}

void table_row(struct buf *out, const struct kube_kind *kind, const struct version *v, const char *include,
               int64_t now_ms)
{
    struct json_t *doc = version_doc(v);
    struct json_writer w;

    buf_adds(out, "{\"cells\":");
    jw_init(&w, out);
    jw_array(&w);
    for (const struct column *c = columns_of(kind); c->name; c++)
        c->fn(&w, doc, c->path, now_ms);
    jw_end_array(&w);
    row_object(out, kind, v, doc, include);
    buf_addc(out, '}');
    jd_free(doc);
}
