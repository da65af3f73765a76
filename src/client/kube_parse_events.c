/* Events, in both shapes, and leases. The scheduler's events have firstTimestamp and lastTimestamp null and eventTime
 * set, controllers' the reverse (tests/wire has both); a series says how often and when last. */
#include "client/kube_parse_private.h"

struct raw_event {
    struct kube_event e;
    int64_t event_time, series_count, series_last;
    struct slice component, controller;
};

static const struct kube_field event_object[] = {
    KUBE_FIELD("kind", kube_read_text, struct raw_event, e.object_kind),
    KUBE_FIELD("namespace", kube_read_text, struct raw_event, e.object_ns),
    KUBE_FIELD("name", kube_read_text, struct raw_event, e.object_name),
    KUBE_FIELD("uid", kube_read_text, struct raw_event, e.object_uid),
    KUBE_FIELDS_END,
};

static const struct kube_field event_series[] = {
    KUBE_FIELD("count", kube_read_int, struct raw_event, series_count),
    KUBE_FIELD("lastObservedTime", kube_read_time, struct raw_event, series_last),
    KUBE_FIELDS_END,
};

static const struct kube_field event_source[] = {
    KUBE_FIELD("component", kube_read_text, struct raw_event, component),
    KUBE_FIELDS_END,
};

static const struct kube_field event_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct raw_event, e.meta),
    KUBE_FIELD("type", kube_read_text, struct raw_event, e.type),
    KUBE_FIELD("reason", kube_read_text, struct raw_event, e.reason),
    KUBE_FIELD("message", kube_read_text, struct raw_event, e.message),
    KUBE_FIELD("note", kube_read_text, struct raw_event, e.message),
    KUBE_INTO("involvedObject", event_object),
    KUBE_INTO("regarding", event_object),
    KUBE_INTO("source", event_source),
    KUBE_INTO("deprecatedSource", event_source),
    KUBE_FIELD("reportingComponent", kube_read_text, struct raw_event, controller),
    KUBE_FIELD("reportingController", kube_read_text, struct raw_event, controller),
    KUBE_FIELD("count", kube_read_int, struct raw_event, e.count),
    KUBE_FIELD("deprecatedCount", kube_read_int, struct raw_event, e.count),
    KUBE_FIELD("firstTimestamp", kube_read_time, struct raw_event, e.first),
    KUBE_FIELD("deprecatedFirstTimestamp", kube_read_time, struct raw_event, e.first),
    KUBE_FIELD("lastTimestamp", kube_read_time, struct raw_event, e.last),
    KUBE_FIELD("deprecatedLastTimestamp", kube_read_time, struct raw_event, e.last),
    KUBE_FIELD("eventTime", kube_read_time, struct raw_event, event_time),
    KUBE_INTO("series", event_series),
    KUBE_FIELDS_END,
};

static int64_t first_of(int64_t a, int64_t b) {
    return a != KUBE_NONE ? a : b;
}

struct err *kube_event_parse(struct kube_arena *a, struct slice json, struct kube_event *ret) {
    struct raw_event r = {
        .e = {.meta = KUBE_META_INIT, .count = KUBE_NONE, .first = KUBE_NONE, .last = KUBE_NONE},
        .event_time = KUBE_NONE, .series_count = KUBE_NONE, .series_last = KUBE_NONE,
    };
    struct err *e = kube_read_object(a, json, "Event", event_fields, &r, &r.e.meta);
    if (e) return e;
    r.e.reporter = r.controller.n ? r.controller : r.component;
    r.e.first = first_of(r.e.first, first_of(r.event_time, r.e.meta.created));
    r.e.last = first_of(r.series_last, first_of(r.e.last, r.e.first));
    r.e.count = first_of(r.series_count, r.e.count);
    if (r.e.count == KUBE_NONE || r.e.count < 1) r.e.count = 1;
    *ret = r.e;
    return NULL;
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

static const struct kube_field lease_spec[] = {
    KUBE_FIELD("holderIdentity", kube_read_text, struct kube_lease, holder),
    KUBE_FIELD("leaseDurationSeconds", kube_read_int, struct kube_lease, duration_s),
    KUBE_FIELD("renewTime", kube_read_time, struct kube_lease, renewed),
    KUBE_FIELD("leaseTransitions", kube_read_int, struct kube_lease, transitions),
    KUBE_FIELDS_END,
};

static const struct kube_field lease_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_lease, meta),
    KUBE_INTO("spec", lease_spec),
    KUBE_FIELDS_END,
};

struct err *kube_lease_parse(struct kube_arena *a, struct slice json, struct kube_lease *ret) {
    struct kube_lease l = {
        .meta = KUBE_META_INIT, .duration_s = KUBE_NONE, .renewed = KUBE_NONE, .transitions = KUBE_NONE};
    struct err *e = kube_read_object(a, json, "Lease", lease_fields, &l, &l.meta);
    if (!e) *ret = l;
    return e;
}
