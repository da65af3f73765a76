/* Pod specs (of pods and of templates) and pods. */
#include <string.h>

#include "base/mem.h"
#include "client/kube_parse_private.h"

/* ---- Pod specs --------------------------------------------------------------------------------------------------- */

/* Names of images whose data NFS can hurt. */
static const char *const database_images[] = {
    "postgres", "postgis",   "pgvecto",   "timescale", "patroni",  "spilo",    "vault", "openbao",
    "etcd",     "consul",    "mysql",     "mariadb",   "percona",  "galera",   "mongo", "redis",
    "valkey",   "cockroach", "cassandra", "scylla",    "influxdb", "rabbitmq",
};

/* "registry/path/name:tag@digest": whether the name is that of a database. A tool for one (exporter, backup, client) is
 * not. */
static bool is_database(struct slice image) {
    static const char *const tools[] = {"exporter", "backup",  "client",    "operator",
                                        "proxy",    "pgadmin", "commander", "injector"};
    struct slice name = image, part;
    while (slice_cut(&image, '/', &part)) name = part;
    slice_cut(&name, '@', &part);
    slice_cut(&part, ':', &name);
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (slice_contains(name, tools[i])) return false;
    for (size_t i = 0; i < ARRAY_LEN(database_images); i++)
        if (slice_contains(name, database_images[i])) return true;
    return false;
}

struct container {
    struct slice name, image, restart;
};

static const struct kube_field container_fields[] = {
    KUBE_FIELD("name", kube_read_text, struct container, name),
    KUBE_FIELD("image", kube_read_text, struct container, image),
    KUBE_FIELD("restartPolicy", kube_read_text, struct container, restart),
    KUBE_FIELDS_END,
};

static void read_containers(struct kube_reader *k, struct kube_podspec *spec, bool init) {
    bool first = !init;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct container c = {0};
        kube_read_fields(k, container_fields, &c);
        if (first) {
            spec->container = c.name;
            spec->image = c.image;
        }
        first = false;
        if (!init || slice_is(c.restart, "Always")) spec->containers++;
        if (!init && !spec->database_image.p && c.image.p && is_database(c.image)) spec->database_image = c.image;
    }
}

static void read_main_containers(struct kube_reader *k, void *at) {
    read_containers(k, at, false);
}

static void read_init_containers(struct kube_reader *k, void *at) {
    read_containers(k, at, true);
}

struct pod_volume {
    struct slice name, claim;
    bool ephemeral;
};

static const struct kube_field pod_volume_claim[] = {
    KUBE_FIELD("claimName", kube_read_text, struct pod_volume, claim),
    KUBE_FIELDS_END,
};

static const struct kube_field pod_volume_fields[] = {
    KUBE_FIELD("name", kube_read_text, struct pod_volume, name),
    KUBE_INTO("persistentVolumeClaim", pod_volume_claim),
    KUBE_FIELD("ephemeral", kube_read_present, struct pod_volume, ephemeral),
    KUBE_FIELDS_END,
};

static void add_once(struct kube_reader *k, struct kube_texts *list, struct slice s) {
    for (size_t i = 0; i < list->n; i++)
        if (slice_eq(list->v[i], s)) return;
    kube_texts_add(k, list, s);
}

static void read_pod_volumes(struct kube_reader *k, void *at) {
    struct kube_podspec *spec = at;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct pod_volume v = {0};
        kube_read_fields(k, pod_volume_fields, &v);
        if (v.claim.n) add_once(k, &spec->claims, v.claim);
        else if (v.ephemeral && v.name.n) kube_texts_add(k, &spec->ephemeral, v.name);
    }
}

static const struct kube_field podspec_fields[] = {
    KUBE_FIELD("nodeName", kube_read_text, struct kube_podspec, node),
    {"containers", sizeof "containers" - 1, read_main_containers, 0, NULL},
    {"initContainers", sizeof "initContainers" - 1, read_init_containers, 0, NULL},
    {"volumes", sizeof "volumes" - 1, read_pod_volumes, 0, NULL},
    KUBE_FIELDS_END,
};

void kube_read_podspec(struct kube_reader *k, void *at) {
    kube_read_fields(k, podspec_fields, at);
}

/* ---- Pods -------------------------------------------------------------------------------------------------------- */

struct container_status {
    struct slice waiting, waiting_message, terminated;
    bool ready;
    int64_t restarts, started, exit_code;
};

static const struct kube_field state_waiting[] = {
    KUBE_FIELD("reason", kube_read_text, struct container_status, waiting),
    KUBE_FIELD("message", kube_read_text, struct container_status, waiting_message),
    KUBE_FIELDS_END,
};

static const struct kube_field state_running[] = {
    KUBE_FIELD("startedAt", kube_read_time, struct container_status, started),
    KUBE_FIELDS_END,
};

static const struct kube_field state_terminated[] = {
    KUBE_FIELD("reason", kube_read_text, struct container_status, terminated),
    KUBE_FIELD("exitCode", kube_read_int, struct container_status, exit_code),
    KUBE_FIELDS_END,
};

static const struct kube_field container_state[] = {
    KUBE_INTO("waiting", state_waiting),
    KUBE_INTO("running", state_running),
    KUBE_INTO("terminated", state_terminated),
    KUBE_FIELDS_END,
};

static const struct kube_field container_status_fields[] = {
    KUBE_FIELD("ready", kube_read_bool, struct container_status, ready),
    KUBE_FIELD("restartCount", kube_read_int, struct container_status, restarts),
    KUBE_INTO("state", container_state),
    KUBE_FIELDS_END,
};

/* What one container adds to the picture of its pod. */
static void count_container(struct kube_pod *p, const struct container_status *c, bool init) {
    if (c->ready && (!init || c->started != KUBE_NONE)) p->ready++;
    if (c->restarts > 0) p->restarts += c->restarts;
    if (c->started != KUBE_NONE && !init && (p->started == KUBE_NONE || c->started < p->started))
        p->started = c->started;
    if (c->waiting.n && !slice_is(c->waiting, "PodInitializing") && !slice_is(c->waiting, "ContainerCreating")) {
        p->reason = c->waiting;
        p->message = c->waiting_message;
    } else if (!p->reason.p && c->terminated.n && c->exit_code != 0) {
        p->reason = c->terminated;
    } else if (!p->reason.p && slice_is(c->waiting, "ContainerCreating")) {
        p->reason = c->waiting;
    }
}

static void read_statuses(struct kube_reader *k, struct kube_pod *p, bool init) {
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct container_status c = {.restarts = KUBE_NONE, .started = KUBE_NONE, .exit_code = KUBE_NONE};
        kube_read_fields(k, container_status_fields, &c);
        count_container(p, &c, init);
    }
}

static void read_main_statuses(struct kube_reader *k, void *at) {
    read_statuses(k, at, false);
}

static void read_init_statuses(struct kube_reader *k, void *at) {
    read_statuses(k, at, true);
}

static void read_pod_conditions(struct kube_reader *k, void *at) {
    struct kube_pod *p = at;
    struct kube_condition c;
    if (!json_enter_array(&k->json)) return;
    while (kube_next_condition(k, &c))
        if (slice_is(c.type, "PodScheduled") && slice_is(c.status, "False") && !p->reason.p) {
            p->reason = c.reason;
            p->message = c.message;
        }
}

static void read_pod_reason(struct kube_reader *k, void *at) {
    struct slice s = kube_text(k);
    if (s.n) ((struct kube_pod *)at)->reason = s;
}

static const struct kube_field pod_status[] = {
    KUBE_FIELD("phase", kube_read_text, struct kube_pod, phase),
    KUBE_FIELD("podIP", kube_read_text, struct kube_pod, ip),
    {"reason", sizeof "reason" - 1, read_pod_reason, 0, NULL},
    {"conditions", sizeof "conditions" - 1, read_pod_conditions, 0, NULL},
    {"containerStatuses", sizeof "containerStatuses" - 1, read_main_statuses, 0, NULL},
    {"initContainerStatuses", sizeof "initContainerStatuses" - 1, read_init_statuses, 0, NULL},
    KUBE_FIELDS_END,
};

static const struct kube_field pod_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_pod, meta),
    KUBE_FIELD("spec", kube_read_podspec, struct kube_pod, spec),
    KUBE_INTO("status", pod_status),
    KUBE_FIELDS_END,
};

/* A deployment's pods belong to a replica set NAME-HASH; the hash is a label of the pod. */
static struct slice owner_of(struct kube_arena *a, const struct kube_meta *m) {
    struct slice name = m->owner_name, hash = kube_pair_get(&m->labels, "pod-template-hash");
    if (!m->owner_kind.p || !name.p) return (struct slice){NULL, 0};
    if (slice_is(m->owner_kind, "ReplicaSet") && hash.n && name.n > hash.n + 1 && name.p[name.n - hash.n - 1] == '-' &&
        !memcmp(name.p + name.n - hash.n, hash.p, hash.n))
        return kube_arena_printf(a, "Deployment/%.*s", (int)(name.n - hash.n - 1), name.p);
    return kube_arena_printf(a, "%.*s/%.*s", SLICE_FMT(m->owner_kind), SLICE_FMT(name));
}

struct err *kube_pod_parse(struct kube_arena *a, struct slice json, struct kube_pod *ret) {
    struct kube_pod p = {.meta = KUBE_META_INIT, .started = KUBE_NONE};
    struct err *e = kube_read_object(a, json, "Pod", pod_fields, &p, &p.meta);
    if (e) return e;
    struct kube_reader k = {.arena = a};
    for (size_t i = 0; i < p.spec.ephemeral.n; i++)
        kube_texts_add(&k, &p.spec.claims,
                       kube_arena_printf(a, "%.*s-%.*s", SLICE_FMT(p.meta.name), SLICE_FMT(p.spec.ephemeral.v[i])));
    p.owner = owner_of(a, &p.meta);
    *ret = p;
    return NULL;
}
