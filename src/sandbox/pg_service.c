/* The database's Service: one port for the life of the sandbox, which leads to the ready pod that the EndpointSlices
 * name and refuses where there is none. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/pg.h"
#include "sandbox/pg_pod.h"
#include "sandbox/pg_private.h"
#include "sandbox/rest.h"
#include "sandbox/save.h"
#include "sandbox/tcp_forward.h"

struct endpoint {
    char *address, *ns, *name;
    unsigned port;
};

/* The first ready endpoint of the Service's slices. */
static bool find_endpoint(void *arg, struct json_t *slice)
{
    struct endpoint *e = arg;
    struct json_t *list = jd_get(slice, "endpoints");

    if (!str_eq(object_label(slice, "kubernetes.io/service-name"), PG_APP))
        return true;
    for (size_t i = 0; i < jd_len(list); i++) {
        struct json_t *at = jd_at(list, i);
        if (!jd_flag(at, "conditions.ready", false) || !jd_str(at, "addresses.0"))
            continue;
        *e = (struct endpoint){.address = mem_strdup(jd_str(at, "addresses.0")),
                               .ns = mem_strdup(jd_str(at, "targetRef.namespace") ? jd_str(at, "targetRef.namespace") : ""),
                               .name = mem_strdup(jd_str(at, "targetRef.name") ? jd_str(at, "targetRef.name") : ""),
                               .port = (unsigned)jd_num(slice, "ports.0.port", PG_PORT)};
        return false;
    }
    return true;
}

static struct endpoint endpoint_of(struct sandbox *s)
{
    struct endpoint e = {0};

    if (s->kube)
        each_object(s->kube, KIND_ENDPOINTSLICE, PG_NAMESPACE, find_endpoint, &e);
    return e;
}

static void endpoint_clear(struct endpoint *e)
{
    mem_free(e->address);
    mem_free(e->ns);
    mem_free(e->name);
}

static bool service_target(void *arg, const char **ret_address, unsigned *ret_port)
{
    static char address[64];
    struct sandbox *s = arg;
    struct endpoint e = endpoint_of(s);
    const struct pg_job *j = e.name ? pg_find(pg_of(s), e.ns, e.name) : NULL;

    if (e.address) {
        str_copy(address, sizeof address, j ? j->address : e.address);
        *ret_address = address;
        *ret_port = j ? j->port : e.port;
    }
    bool found = e.address != NULL;
    endpoint_clear(&e);
    return found;
}

static void service_update(void *arg)
{
    struct sandbox *s = arg;
    struct pg *pg = s->rest ? s->rest->pg : NULL;

    if (!pg || !pg->service || !s->kube || sandbox_stopping(s))
        return;
    struct endpoint e = endpoint_of(s);
    const struct pg_job *j = e.name ? pg_find(pg, e.ns, e.name) : NULL;
    bool listens = e.address && (!j || (j->pod && pg_pod_is_ready(j->pod)));
    struct err *err = tcp_forward_open(pg->service, listens);
    if (err)
        sandbox_fail(s, err);
    else if (listens)
        pg_release(s);
    endpoint_clear(&e);
}

void pg_service_update(struct sandbox *s)
{
    if (!sandbox_stopping(s))
        loop_defer(s->loop, service_update, s);
}

static void service_on_change(void *arg, enum kube_id kind, const struct change_event *ev)
{
    struct sandbox *s = arg;

    (void)ev;
    if (kind == KIND_ENDPOINTSLICE)
        pg_service_update(s);
}

bool pg_service_pod(struct sandbox *s, char **ret_ns, char **ret_name)
{
    struct endpoint e = endpoint_of(s);

    if (!e.name) {
        endpoint_clear(&e);
        return false;
    }
    *ret_ns = e.ns;
    *ret_name = e.name;
    mem_free(e.address);
    return true;
}

struct err *pg_service_start(struct sandbox *s)
{
    struct err *e = tcp_forward_new(s->loop,
                                    &(struct tcp_forward_options){.address = "127.0.0.1", .port = sandbox_saved_port(s, "postgres"),
                                                                  .target = service_target, .arg = s},
                                    &pg_of(s)->service);

    if (e)
        return e;
    s->ports.postgres = tcp_forward_port(pg_of(s)->service);
    (void)loopback_mark_port(s->ports.postgres); /* while it refuses, nobody is to take it for free */
    store_observe(s->kube->store, service_on_change, s);
    return NULL;
}
