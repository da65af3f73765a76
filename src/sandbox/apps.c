/* See apps.h. */
#include "sandbox/apps.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/pg.h"
#include "sandbox/pg_clients.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/save.h"
#include "sandbox/vault.h"

#define APP_DEPLOYMENT "immich-server"

struct apps {
    struct sandbox *s;
    struct http_server *server;
    bool down;
};

static bool app_has_pod(struct sandbox *s)
{
    struct json_t *doc = s->kube ? kube_get(s->kube, KIND_DEPLOYMENT, PG_NAMESPACE, APP_DEPLOYMENT) : NULL;
    bool ready = doc && jd_num(doc, "status.readyReplicas", 0) > 0;
    jd_free(doc);
    return ready;
}

/* The version, which it knows only with its database. */
static void app_about(struct http_request *r)
{
    struct json_t *o = jd_object();
    jd_set(o, "version", jd_string("v1.131.3"));
    jd_set(o, "versionUrl", jd_string("https://github.com/immich-app/immich/releases/tag/v1.131.3"));
    jd_set(o, "licensed", jd_bool(false));
    jd_set(o, "nodejs", jd_string("v22.14.0"));
    rest_reply(r, 200, o);
}

static void app_failed(struct http_request *r)
{
    http_reply_str(r, 502, "application/json", "{\"message\":\"Internal server error\",\"statusCode\":502}\n");
}

static void immich_handle(struct apps *a, const char *path, struct http_request *r)
{
    if (!app_has_pod(a->s))
        http_reply_str(r, 503, "text/plain; charset=utf-8", "no available server\n");
    else if (!pg_is_up(a->s))
        app_failed(r);
    else if (str_eq(path, "/api/server/about"))
        pg_clients_ask(a->s, r, app_about, app_failed);
    else if (str_eq(path, "/api/server/ping"))
        http_reply_str(r, 200, "application/json", "{\"res\":\"pong\"}\n");
    else if (str_eq(path, "/") || !path[0])
        http_reply_str(r, 200, "text/html", "<!DOCTYPE html>\n<title>Immich</title>\n");
    else
        http_reply_str(r, 404, "application/json", "{\"message\":\"Not Found\",\"statusCode\":404}\n");
}

static void apps_handle(void *arg, struct http_request *r)
{
    static const char immich[] = "/immich", vault[] = "/vault";
    struct apps *a = arg;
    const char *path = http_request_path(r);
    if (a->down) {
        http_reply_str(r, 502, "text/plain; charset=utf-8", "Bad Gateway\n");
    } else if (str_starts(path, immich)) {
        immich_handle(a, path + strlen(immich), r);
    } else if (str_starts(path, vault)) {
        int node = vault_active_node(a->s);
        if (node < 0)
            http_reply_str(r, 503, "text/plain; charset=utf-8", "no available server\n");
        else
            vault_node_handle(a->s, node, path + strlen(vault), r);
    } else {
        http_reply_str(r, 404, "text/plain; charset=utf-8", "404 page not found\n");
    }
}

static struct err *scenario_app_down(struct sandbox *s, bool on)
{
    rest_of(s)->apps->down = on;
    return NULL;
}

static const struct scenario apps_scenarios[] = {
    {"app-down", "the applications answer 502 from outside", scenario_app_down},
};

static void apps_free(struct apps *a)
{
    struct sandbox *s = a->s;
    http_server_free(a->server);
    mem_free(a);
    rest_of(s)->apps = NULL;
    rest_free(s);
}

static struct err *apps_start(struct sandbox *s)
{
    struct apps *a = rest_of(s)->apps = MEM_NEW(struct apps);
    a->s = s;
    struct err *e = http_server_new(s->loop, &(struct http_server_options){
                                                 .handle = apps_handle,
                                                 .port = sandbox_saved_port(s, "app"),
                                                 .arg = a,
                                             },
                                    &a->server);
    if (e) {
        apps_free(a);
        return e;
    }
    s->ports.app = http_server_port(a->server);
    return NULL;
}

static void apps_stop(struct sandbox *s)
{
    if (rest_of(s)->apps)
        apps_free(rest_of(s)->apps);
}

const struct sandbox_part apps_part = {.name = "apps",
                                       .start = apps_start,
                                       .stop = apps_stop,
                                       .scenarios = apps_scenarios,
                                       .scenario_count = ARRAY_LEN(apps_scenarios)};
