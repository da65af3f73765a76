/* See alerts.h. The shape is Alertmanager's API v2 (api/v2/openapi.yaml of prometheus/alertmanager): alerts as
 * Prometheus sends them again every half minute, so that updatedAt of a live Watchdog is never much older than that. */
#include "sandbox/alerts.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "sandbox/http_server.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/save.h"

#define ALERT_RESENT_MS 30000
#define ALERT_EXPIRES_MS 240000
#define HOUR_MS INT64_C(3600000)

struct alerts {
    struct sandbox *s;
    struct http_server *server;
    bool want_down, watchdog_gone;
    int64_t watchdog_last_ms; /* when it was sent for the last time; plan time */
    int64_t firing_since_ms;  /* 0: the scenario's alert does not fire */
};

/* What fires always. age_ms: how long before the sandbox began it did. */
struct alert_seed {
    const char *name, *ns, *severity, *summary;
    int64_t age_ms;
};

static const struct alert_seed alerts_always[] = {
    {"Watchdog", "monitoring", "none", "Always firing: the alerting pipeline works", 214 * 24 * HOUR_MS},
    {"KubeJobFailed", "media", "warning", "Job media/subtitles-29091320 failed to complete", 31 * HOUR_MS},
};

static struct alerts *alerts_of(struct sandbox *s)
{
    return rest_of(s)->alerts;
}

static struct json_t *alert_labels(const struct alert_seed *a)
{
    struct json_t *labels = jd_object();
    jd_set(labels, "alertname", jd_string(a->name));
    jd_set(labels, "namespace", jd_string(a->ns));
    jd_set(labels, "prometheus", jd_string("monitoring/prometheus"));
    jd_set(labels, "severity", jd_string(a->severity));
    return labels;
}

static struct json_t *alert_status(void)
{
    struct json_t *status = jd_object();
    jd_set(status, "inhibitedBy", jd_array());
    jd_set(status, "mutedBy", jd_array());
    jd_set(status, "silencedBy", jd_array());
    jd_set(status, "state", jd_string("active"));
    return status;
}

static struct json_t *alert_new(const struct alert_seed *a, int64_t starts_ms, int64_t updated_ms)
{
    struct json_t *o = jd_object(), *receiver = jd_object(), *receivers = jd_array();
    char fingerprint[HASH_HEX_SIZE];
    hash_hex(a->name, strlen(a->name), fingerprint);
    fingerprint[16] = '\0';
    jd_put(o, "annotations.summary", jd_string(a->summary));
    jd_set(o, "endsAt", rest_time(updated_ms + ALERT_EXPIRES_MS, 3));
    jd_set(o, "fingerprint", jd_string(fingerprint));
    jd_set(receiver, "name", jd_string(str_eq(a->severity, "none") ? "null" : "mail"));
    jd_append(receivers, receiver);
    jd_set(o, "receivers", receivers);
    jd_set(o, "startsAt", rest_time(starts_ms, 3));
    jd_set(o, "status", alert_status());
    jd_set(o, "updatedAt", rest_time(updated_ms, 3));
    jd_set(o, "generatorURL", jd_string("http://prometheus.monitoring/graph"));
    jd_set(o, "labels", alert_labels(a));
    return o;
}

/* When Prometheus sent its alerts for the last time. */
static int64_t alerts_sent_ms(const struct alerts *a)
{
    int64_t age = sandbox_now_ms(a->s) - a->s->started_ms;
    return a->s->started_ms + age - age % ALERT_RESENT_MS;
}

static struct json_t *alerts_list(struct alerts *a)
{
    static const struct alert_seed scenario = {"KubePersistentVolumeFillingUp", "immich", "critical",
                                               "The claim immich/immich-postgresql-data is 97 % full", 0};
    int64_t now = sandbox_now_ms(a->s), sent = alerts_sent_ms(a);
    struct json_t *list = jd_array();
    for (size_t i = 0; i < ARRAY_LEN(alerts_always); i++) {
        bool watchdog = i == 0;
        int64_t updated = watchdog && a->watchdog_gone ? a->watchdog_last_ms : sent;
        if (updated + ALERT_EXPIRES_MS > now)
            jd_append(list, alert_new(&alerts_always[i], a->s->started_ms - alerts_always[i].age_ms, updated));
    }
    if (a->firing_since_ms)
        jd_append(list, alert_new(&scenario, a->firing_since_ms,
                                  sent > a->firing_since_ms ? sent : a->firing_since_ms));
    return list;
}

static struct json_t *alerts_status(const struct alerts *a)
{
    struct json_t *o = jd_object();
    jd_put(o, "cluster.status", jd_string("ready"));
    jd_put(o, "cluster.name", jd_string("01JSANDBOX0000000000000000"));
    jd_put(o, "cluster.peers", jd_array());
    jd_put(o, "versionInfo.version", jd_string("0.28.1"));
    jd_put(o, "config.original", jd_string("route:\n  receiver: mail\n"));
    jd_set(o, "uptime", rest_time(a->s->started_ms - 40 * 24 * HOUR_MS, 3));
    return o;
}

static void alerts_handle(void *arg, struct http_request *r)
{
    struct alerts *a = arg;
    const char *path = http_request_path(r);
    if (!str_eq(http_request_method(r), "GET"))
        http_reply_str(r, 405, "application/json", "{\"code\":405,\"message\":\"method not allowed\"}\n");
    else if (str_eq(path, "/api/v2/alerts"))
        rest_reply(r, 200, alerts_list(a));
    else if (str_eq(path, "/api/v2/status"))
        rest_reply(r, 200, alerts_status(a));
    else if (str_eq(path, "/-/healthy") || str_eq(path, "/-/ready"))
        http_reply_str(r, 200, "text/plain", "OK");
    else
        http_reply_str(r, 404, "application/json", "{\"code\":404,\"message\":\"path not found\"}\n");
}

static void alerts_set_server(void *arg)
{
    struct alerts *a = arg;
    struct err *e = NULL;
    if (a->want_down)
        http_server_down(a->server);
    else if (!http_server_is_up(a->server))
        e = http_server_up(a->server);
    if (e)
        fprintf(stderr, "ferryman-sandbox: alertmanager: %s\n", err_text(e));
    err_free(e);
}

static struct err *scenario_down(struct sandbox *s, bool on)
{
    alerts_of(s)->want_down = on;
    loop_defer(s->loop, alerts_set_server, alerts_of(s));
    return NULL;
}

static struct err *scenario_watchdog(struct sandbox *s, bool on)
{
    struct alerts *a = alerts_of(s);
    a->watchdog_gone = on;
    a->watchdog_last_ms = alerts_sent_ms(a);
    return NULL;
}

static struct err *scenario_firing(struct sandbox *s, bool on)
{
    alerts_of(s)->firing_since_ms = on ? sandbox_now_ms(s) : 0;
    return NULL;
}

static const struct scenario alerts_scenarios[] = {
    {"alertmanager-down", "Alertmanager refuses connections", scenario_down},
    {"watchdog-gone", "the Watchdog alert is not sent any more, and expires after 4 min", scenario_watchdog},
    {"alert-firing", "one more alert fires", scenario_firing},
};

static void alerts_free(struct alerts *a)
{
    struct sandbox *s = a->s;
    loop_undefer(s->loop, a);
    http_server_free(a->server);
    mem_free(a);
    rest_of(s)->alerts = NULL;
    rest_free(s);
}

static struct err *alerts_start(struct sandbox *s)
{
    struct alerts *a = rest_of(s)->alerts = MEM_NEW(struct alerts);
    a->s = s;
    struct err *e = http_server_new(s->loop, &(struct http_server_options){.handle = alerts_handle, .arg = a,
                                                                   .port = sandbox_saved_port(s, "alertmanager")},
                                    &a->server);
    if (e) {
        alerts_free(a);
        return e;
    }
    s->ports.alertmanager = http_server_port(a->server);
    return NULL;
}

static void alerts_stop(struct sandbox *s)
{
    if (alerts_of(s))
        alerts_free(alerts_of(s));
}

const struct sandbox_part alerts_part = {.name = "alertmanager",
                                         .start = alerts_start,
                                         .stop = alerts_stop,
                                         .scenarios = alerts_scenarios,
                                         .scenario_count = ARRAY_LEN(alerts_scenarios)};
