/* Transport and requests. A request waits until there are credentials, runs, and after a 401 waits and runs once more
 * if other credentials can be got; then it is done. A caller sees one answer, whatever happened below. */
#include "client/kube_client.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_client_private.h"
#include "client/kube_config.h"
#include "client/kube_config_file.h"
#include "client/kube_credentials.h"
#include "loop/loop.h"
#include "net/http.h"

enum { KUBE_TIMEOUT_MS = 30000 };

/* A server that has just started says 403 to everybody until it has read its roles (seen on 1.36, for about a second). */
#define KUBE_STARTING_MS 10000

enum kube_request_state { REQUEST_WAITING, REQUEST_RUNNING, REQUEST_DONE };

struct kube_request {
    struct kube_client *client;
    struct kube_request *prev, *next;
    enum kube_request_state state;
    bool delivering, freed, repeated, paused;
    unsigned generation;             /* of the credentials that it carries */
    struct kube_transport *transport;
    struct http_request *http;
    struct kube_call call;           /* its strings are our copies */
};

/* ---- The client -------------------------------------------------------------------------------------------------- */

/* Whether the host of a URL is this machine: compressing for it costs more than it saves. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, ":/");
    return str_starts(host, "127.") || str_starts(host, "[::1]") || (n == 9 && memcmp(host, "localhost", 9) == 0);
}

static void request_begin(void *arg);

/* New credentials, or the reason why there are none: whoever waits asks again. */
static void credentials_change(void *arg)
{
    struct kube_client *c = arg;
    for (struct kube_request *r = c->requests; r; r = r->next)
        if (r->state == REQUEST_WAITING)
            loop_defer(c->loop, request_begin, r);
}

struct kube_client *kube_client_new(struct loop *l, const struct kube_config *config,
                                    const struct kube_client_events *ev, void *arg)
{
    struct kube_client *c = MEM_NEW(struct kube_client);
    c->loop = l;
    c->config = config;
    if (ev)
        c->ev = *ev;
    c->arg = arg;
    c->name = str_printf("kube %s", config->context ? config->context : config->server);
    c->remote = !is_loopback(config->server);
    c->credentials = kube_credentials_new(l, config, credentials_change, c);
    c->identity = kube_identity_new(c);
    c->canary = kube_canary_new(c);
    return c;
}

static void transport_release(struct kube_transport *t)
{
    t->users--;
    if (!t->retired || t->users > 0)
        return;
    http_free(t->http);
    mem_free(t);
}

/* No new request goes to it; those on it end with an error. */
static void transport_retire(struct kube_transport *t, const char *reason)
{
    t->retired = true;
    t->users++;
    http_reset(t->http, reason);
    transport_release(t);
}

void kube_client_free(struct kube_client *c)
{
    if (!c)
        return;
    kube_canary_free(c->canary);
    kube_identity_free(c->identity);
    if (c->transport)
        transport_retire(c->transport, "the client ends");
    kube_credentials_free(c->credentials);
    err_free(c->health);
    mem_free(c->name);
    mem_free(c);
}

unsigned kube_client_take_count(struct kube_client *c)
{
    unsigned n = c->count;
    c->count = 0;
    return n;
}

void kube_client_health(struct kube_client *c, const struct err *e)
{
    bool same = e ? c->health && str_eq(err_text(e), err_text(c->health)) : c->healthy;
    if (same)
        return;
    bool returned = !e && c->health;
    if (returned && err_kind(c->health) == ERR_UNAVAILABLE)
        c->returned_ms = clock_mono_ms();
    c->healthy = !e;
    err_free(c->health);
    c->health = e ? err_copy(e) : NULL;
    if (c->ev.on_health)
        c->ev.on_health(c->arg, c->health);
    if (returned)
        kube_canary_returned(c->canary);
}

/* ---- Transport --------------------------------------------------------------------------------------------------- */

/* The transport for these credentials: another client certificate needs other connections. */
static struct kube_transport *transport_for(struct kube_client *c, const struct kube_auth *auth)
{
    if (c->transport && c->transport->connection == auth->connection)
        return c->transport;
    if (c->transport)
        transport_retire(c->transport, "the client certificate has changed");
    const struct kube_config *config = c->config;
    struct http_options o = {
        .base_url = config->server,
        .name = c->name,
        .ca_pem = config->ca_pem,
        .client_cert_pem = auth->cert_pem,
        .client_key_pem = auth->key_pem,
        .insecure = config->insecure,
        .server_name = config->tls_server_name,
        .proxy_url = config->proxy_url,
        .env_proxy = !config->proxy_url && c->remote, /* as Go: never for loopback */
    };
    c->transport = MEM_NEW(struct kube_transport);
    c->transport->http = http_new(c->loop, &o);
    c->transport->connection = auth->connection;
    return c->transport;
}

/* ---- Headers ----------------------------------------------------------------------------------------------------- */

struct header_list {
    char **list;
    size_t count;
};

static void header_add(struct header_list *h, char *line)
{
    h->list = mem_reallocarray(h->list, h->count + 2, sizeof *h->list);
    h->list[h->count++] = line;
    h->list[h->count] = NULL;
}

/* "KEY=value" as a header: keys are percent-encoded and sent in lower case (client-go). */
static void header_add_extra(struct header_list *h, const char *extra)
{
    const char *eq = strchr(extra, '=');
    char *key = mem_strndup(extra, (size_t)(eq - extra));
    for (char *p = key; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    struct buf escaped = {0};
    http_escape(&escaped, key);
    header_add(h, str_printf("Impersonate-Extra-%s: %s", buf_str(&escaped), eq + 1));
    buf_free(&escaped);
    mem_free(key);
}

static char **headers_for(const struct kube_config *config, const char *const *more)
{
    struct header_list h = {0};
    bool accepts = false;
    for (size_t i = 0; more && more[i]; i++) {
        accepts = accepts || str_starts(more[i], "Accept:");
        header_add(&h, mem_strdup(more[i]));
    }
    if (!accepts)
        header_add(&h, mem_strdup("Accept: application/json"));
    if (config->as_user)
        header_add(&h, str_printf("Impersonate-User: %s", config->as_user));
    if (config->as_uid)
        header_add(&h, str_printf("Impersonate-Uid: %s", config->as_uid));
    for (size_t i = 0; config->as_groups && config->as_groups[i]; i++)
        header_add(&h, str_printf("Impersonate-Group: %s", config->as_groups[i]));
    for (size_t i = 0; config->as_extra && config->as_extra[i]; i++)
        header_add_extra(&h, config->as_extra[i]);
    return h.list;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void request_unlink(struct kube_request *r)
{
    struct kube_client *c = r->client;
    if (!c)
        return;
    loop_undefer(c->loop, r);
    if (r->prev)
        r->prev->next = r->next;
    else
        c->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->client = NULL;
}

/* Lets go of the exchange; the answer's bytes stay until http_request_free. */
static void request_leave(struct kube_request *r)
{
    struct kube_transport *t = r->transport;
    r->transport = NULL;
    if (t)
        transport_release(t);
}

static void request_destroy(struct kube_request *r)
{
    char *strings[] = {(char *)(uintptr_t)r->call.method, (char *)(uintptr_t)r->call.path,
                       (char *)(uintptr_t)r->call.secret_header, (char *)(uintptr_t)r->call.body,
                       (char *)(uintptr_t)r->call.content_type};
    http_request_free(r->http);
    request_leave(r);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    kube_strings_free((char **)(uintptr_t)r->call.headers);
    secret_free(r->call.secret_value);
    mem_free(r);
}

/* Hands the outcome over: the last that happens to a request. */
static void request_deliver(struct kube_request *r, const struct http_result *result, const struct err *e)
{
    request_unlink(r);
    r->state = REQUEST_DONE;
    r->delivering = true;
    r->call.on_done(r->call.arg, result, e);
    r->delivering = false;
    if (r->freed)
        request_destroy(r);
}

/* Nothing was asked: e (taken over) says why. */
static void request_unsent(struct kube_request *r, struct err *e)
{
    struct buf empty = {0};
    struct http_result result = {
        .error = err_wrap(e, "%s", r->client->name),
        .body = &empty,
        .head.retry_after_s = -1,
        .connect_us = -1,
        .first_byte_us = -1,
        .total_us = -1,
        .remote_address = "",
    };
    if (err_kind(result.error) != ERR_CANCELLED)
        kube_client_health(r->client, result.error);
    request_deliver(r, &result, result.error);
    err_free(result.error);
}

/* What this outcome says about the server as a whole: an answer is life, except that 401 and 5xx are not all well; no
 * connection is death. A 401 to a request through the proxy may be the server's or what is behind it: it says nothing.
 * An answer that did not come in time may be this request's own trouble: the canary will tell. */
static void request_note_health(struct kube_request *r, const struct http_result *result, const struct err *e)
{
    struct kube_client *c = r->client;
    bool refused = result->status == 401 && !r->call.raw_errors;
    bool unreachable = result->status == 0 && !result->connected && e && err_kind(e) == ERR_UNAVAILABLE;
    if (!refused && !unreachable) {
        if (result->status > 0 && result->status < 500 && result->status != 401 && !result->error)
            kube_client_health(c, NULL);
        return;
    }
    /* Many requests fail of one cause: the first tells it, the canary keeps it up to date. */
    if (!c->health || err_kind(c->health) != err_kind(e))
        kube_client_health(c, e);
}

/* The error of an exchange, or NULL. */
static struct err *request_error(const struct kube_request *r, const struct http_result *result)
{
    const struct kube_client *c = r->client;
    if (result->error)
        return err_copy(result->error);
    if (r->call.raw_errors || (result->status >= 200 && result->status < 300))
        return NULL;
    struct err *e = kube_status_err(c->name, r->call.method, r->call.path, result->status, buf_slice(result->body));
    bool away = c->health && err_kind(c->health) == ERR_UNAVAILABLE;
    if (result->status == 403 && (away || (c->returned_ms > 0 && clock_mono_ms() - c->returned_ms < KUBE_STARTING_MS)))
        err_set_kind(e, ERR_UNAVAILABLE);
    return e;
}

static void request_http_done(void *arg, const struct http_result *result)
{
    struct kube_request *r = arg;
    struct kube_client *c = r->client;
    request_leave(r);
    if (result->status == 401 && !r->repeated && !r->call.raw_errors &&
        kube_credentials_refused(c->credentials, r->generation)) {
        http_request_free(r->http);
        r->http = NULL;
        r->repeated = true;
        r->state = REQUEST_WAITING;
        loop_defer(c->loop, request_begin, r);
        return;
    }
    struct err *e = request_error(r, result);
    request_note_health(r, result, e);
    request_deliver(r, result, e);
    err_free(e);
}

static bool request_http_head(void *arg, const struct http_head *head)
{
    struct kube_request *r = arg;
    if (head->http2 && !r->call.fresh)
        r->client->heard_ms = clock_mono_ms();
    bool may_repeat = head->status == 401 && !r->repeated && !r->call.raw_errors;
    return may_repeat || !r->call.on_head ? true : r->call.on_head(r->call.arg, head);
}

static struct err *request_http_data(void *arg, const char *p, size_t n)
{
    struct kube_request *r = arg;
    if (r->client->heard_ms > 0)
        r->client->heard_ms = clock_mono_ms();
    return r->call.on_data(r->call.arg, p, n);
}

static void request_run(struct kube_request *r, const struct kube_auth *auth)
{
    struct kube_client *c = r->client;
    const struct kube_call *call = &r->call;
    struct kube_transport *t = transport_for(c, auth);
    char **headers = headers_for(c->config, call->headers);
    struct http_call http = {
        .method = call->method,
        .path = call->path,
        .headers = (const char *const *)headers,
        .bearer = auth->bearer,
        .secret_header = call->secret_header ? call->secret_header : auth->basic ? "Authorization" : NULL,
        .secret_value = call->secret_header ? call->secret_value : auth->basic,
        .body = call->body,
        .body_len = call->body ? strlen(call->body) : 0,
        .content_type = call->content_type,
        .gzip = call->gzip && c->remote && !c->config->disable_compression,
        .fresh = call->fresh,
        .timeout_ms = call->timeout_ms == 0 ? KUBE_TIMEOUT_MS : call->timeout_ms < 0 ? 0 : call->timeout_ms,
        .idle_timeout_ms = call->idle_timeout_ms,
        .max_body = call->max_body,
        .on_head = request_http_head,
        .on_data = call->on_data ? request_http_data : NULL,
        .on_done = request_http_done,
        .arg = r,
    };
    r->generation = auth->generation;
    r->state = REQUEST_RUNNING;
    r->transport = t;
    t->users++;
    c->count++;
    r->http = http_start(t->http, &http);
    if (r->paused)
        http_request_pause(r->http, true);
    kube_strings_free(headers);
}

static void request_begin(void *arg)
{
    struct kube_request *r = arg;
    struct kube_auth auth;
    const struct err *e = NULL;
    if (r->state != REQUEST_WAITING)
        return;
    switch (kube_credentials_get(r->client->credentials, &auth, &e)) {
    case KUBE_AUTH_READY:
        if (r->call.begin_by_ms > 0 && clock_mono_ms() > r->call.begin_by_ms)
            request_unsent(r, err_new(ERR_CANCELLED, "%s was not sent: credentials came too late for it", r->call.method));
        else
            request_run(r, &auth);
        return;
    case KUBE_AUTH_PENDING:
        return; /* credentials_change comes */
    case KUBE_AUTH_FAILED:
        request_unsent(r, err_copy(e));
        return;
    }
}

static const char *const *headers_copy(const char *const *headers)
{
    struct header_list h = {0};
    for (size_t i = 0; headers && headers[i]; i++)
        header_add(&h, mem_strdup(headers[i]));
    return (const char *const *)h.list;
}

struct kube_request *kube_start(struct kube_client *c, const struct kube_call *call)
{
    struct kube_request *r = MEM_NEW(struct kube_request);
    r->client = c;
    r->call = *call;
    r->call.method = mem_strdup(call->method ? call->method : "GET");
    r->call.path = mem_strdup(call->path);
    r->call.headers = headers_copy(call->headers);
    r->call.secret_header = mem_strdup(call->secret_header);
    r->call.secret_value = call->secret_value ? secret_ref(call->secret_value) : NULL;
    r->call.body = mem_strdup(call->body);
    r->call.content_type = mem_strdup(call->content_type);
    r->next = c->requests;
    if (r->next)
        r->next->prev = r;
    c->requests = r;
    loop_defer(c->loop, request_begin, r);
    return r;
}

bool kube_request_waits(const struct kube_request *r)
{
    return r->state == REQUEST_WAITING;
}

void kube_request_pause(struct kube_request *r, bool paused)
{
    r->paused = paused;
    if (r->http && r->state == REQUEST_RUNNING)
        http_request_pause(r->http, paused);
}

void kube_request_free(struct kube_request *r)
{
    if (!r)
        return;
    if (r->delivering) {
        r->freed = true;
        return;
    }
    request_unlink(r);
    request_destroy(r);
}
