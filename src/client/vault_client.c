#include "client/vault_client.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_client.h"
#include "client/vault_client_private.h"
#include "client/vault_parse.h"
#include "net/http.h"

enum { VAULT_MAX_BODY = 1024 * 1024, VAULT_SLACK_MS = 50, VAULT_PORT = 8200 };

struct vault_request {
    struct vault_asking asking;
    struct http_request *http;
    struct kube_request *kube;
    void (*on_reply)(void *arg, const struct vault_reply *r);
    void *arg;
};

struct vault_client *vault_client_new(const struct vault_client_options *o)
{
    struct vault_client *c = MEM_NEW(struct vault_client);
    c->name = mem_strdup(o->name);
    if (o->url) {
        size_t n = strlen(o->url);
        while (n > 0 && o->url[n - 1] == '/')
            n--;
        c->endpoint = mem_strndup(o->url, n);
        c->http = http_new(o->loop, &(struct http_options){
                                        .base_url = c->endpoint,
                                        .name = o->name,
                                        .ca_pem = o->ca_pem,
                                        .server_name = o->tls_server_name,
                                        .insecure = o->insecure,
                                        .http1_only = true,
                                        .connect_timeout_ms = VAULT_CONNECT_TIMEOUT_MS,
                                    });
        return c;
    }
    struct buf b = {0};
    buf_adds(&b, "/api/v1/namespaces/");
    http_escape(&b, o->ns);
    buf_printf(&b, "/pods/%s:", o->scheme ? o->scheme : "http");
    http_escape(&b, o->pod);
    buf_printf(&b, ":%u/proxy", o->port ? o->port : (unsigned)VAULT_PORT);
    c->prefix = buf_steal(&b);
    c->kube = o->kube;
    c->endpoint = str_printf("pod proxy %s:%s/%s:%u", o->scheme ? o->scheme : "http", o->ns, o->pod,
                             o->port ? o->port : (unsigned)VAULT_PORT);
    return c;
}

void vault_client_free(struct vault_client *c)
{
    if (!c)
        return;
    if (c->http)
        http_free(c->http);
    mem_free(c->name);
    mem_free(c->endpoint);
    mem_free(c->prefix);
    mem_free(c);
}

bool vault_client_is_proxied(const struct vault_client *c)
{
    return c->kube != NULL;
}

const char *vault_client_endpoint(const struct vault_client *c)
{
    return c->endpoint;
}

/* ---- What came --------------------------------------------------------------------------------------------------- */

static enum err_kind kind_of(int status)
{
    if (status == 401)
        return ERR_AUTH;
    if (status == 403)
        return ERR_DENIED;
    return status == 429 || status == 307 || status >= 500 ? ERR_UNAVAILABLE : ERR_FAILED;
}

/* Vault's refusal as an error: its own words, or what the status means. */
static struct err *refusal(const struct vault_asking *r, int status, struct slice body)
{
    struct buf text = {0};
    struct err *e;
    if (status >= 200 && status < 300)
        return NULL;
    if (status == 307)
        e = err_new(ERR_UNAVAILABLE, "%s: %s %s: HTTP 307, it is not the active node", r->client->name, r->method,
                    r->path);
    else if (vault_parse_errors(body, &text) && text.len > 0)
        e = err_new(kind_of(status), "%s: %s %s: HTTP %d: %s", r->client->name, r->method, r->path, status,
                    buf_str(&text));
    else
        e = err_new(kind_of(status), "%s: %s %s: HTTP %d", r->client->name, r->method, r->path, status);
    buf_free(&text);
    return e;
}

/* What the API server says of a pod that it could not reach, in its own and its proxy's words. */
static bool is_dial_failure(const char *text)
{
    static const char *const words[] = {"error trying to reach service",
                                        "Error trying to reach service",
                                        "dial tcp",
                                        "connection refused",
                                        "no route to host",
                                        "i/o timeout",
                                        "connection reset",
                                        "address not allowed",
                                        "EOF",
                                        "pod does not have",
                                        "has no IP",
                                        NULL};
    for (const char *const *w = words; *w; w++)
        if (strstr(text, *w))
            return true;
    return false;
}

/* The API server's own answer, a Status or a plain text, as the error of a fate. */
static enum vault_fate proxy_word(const struct vault_asking *r, int status, struct slice body, struct err **ret)
{
    struct kube_status s;
    kube_status_parse(body, &s);
    struct slice plain = slice_trim(body);
    char *text = s.code != 0 ? mem_strdup(s.message)
                             : slice_dup((struct slice){plain.p ? plain.p : "", plain.n < 200 ? plain.n : 200});
    enum vault_fate fate = VAULT_BLOCKED;
    const char *what = "the API server refuses the pod proxy";
    if (status == 404) {
        fate = VAULT_NO_POD;
        what = "no such pod";
    } else if ((status >= 500 || status == 400) && is_dial_failure(text)) {
        fate = VAULT_UNREACHABLE;
        what = "the API server cannot reach the pod";
    } else if (status == 403) {
        what = "the pod proxy is forbidden (verb get on pods/proxy is needed)";
    } else if (status == 429) {
        what = "the API server is busy";
    }
    *ret = err_new(fate == VAULT_BLOCKED ? kind_of(status) : ERR_UNAVAILABLE, "%s: %s: HTTP %d%s%s", r->client->name,
                   what, status, *text ? ": " : "", text);
    mem_free(text);
    return fate;
}

static bool deadline_passed(const struct vault_asking *r, int64_t limit_ms)
{
    return clock_mono_ms() - r->started_ms >= limit_ms - VAULT_SLACK_MS;
}

/* No whole answer came. */
static enum vault_fate failure(const struct vault_asking *r, const struct http_result *result, const struct err *e,
                               struct err **ret)
{
    bool late = deadline_passed(r, r->timeout_ms);
    if (r->client->kube && late && result->connected) {
        *ret = err_new(ERR_UNAVAILABLE, "%s: %s %s: no answer within %lld s (TCP unknown through the API server)",
                       r->client->name, r->method, r->path,
                       (long long)((clock_mono_ms() - r->started_ms + 500) / CLOCK_MS_PER_S));
        return VAULT_NO_ANSWER;
    }
    *ret = err_copy(e);
    if (r->client->kube)
        return VAULT_BLOCKED;
    int64_t limit =
        result->connected || r->timeout_ms < VAULT_CONNECT_TIMEOUT_MS ? r->timeout_ms : VAULT_CONNECT_TIMEOUT_MS;
    return result->tcp && deadline_passed(r, limit) ? VAULT_SILENT : VAULT_UNREACHABLE;
}

struct vault_reply vault_judge(const struct vault_asking *r, const struct http_result *result, const struct err *error, struct err **ret)
{
    struct slice body = buf_slice(result->body);
    struct vault_reply reply = {.status = result->status, .ms = -1};
    struct err *e = NULL;
    if (error) {
        reply.fate = failure(r, result, error, &e);
    } else if (result->status == 307 || result->status == 204 || vault_body_is_own(body)) {
        reply.fate = VAULT_ANSWERED;
        reply.body = body;
        reply.ms = result->total_us >= 0 ? result->total_us / 1000 : clock_mono_ms() - r->started_ms;
        e = refusal(r, result->status, body);
    } else if (r->client->kube) {
        reply.fate = proxy_word(r, result->status, body, &e);
    } else {
        reply.fate = VAULT_BLOCKED;
        e = err_new(ERR_PROTOCOL, "%s: %s %s: HTTP %d, but what answers at %s is not Vault", r->client->name, r->method,
                    r->path, result->status, r->client->endpoint);
    }
    reply.error = e;
    *ret = e;
    return reply;
}

static void deliver(struct vault_request *r, const struct http_result *result, const struct err *error)
{
    struct err *e;
    struct vault_reply reply = vault_judge(&r->asking, result, error, &e);
    r->on_reply(r->arg, &reply);
    err_free(e);
}

/* r may be freed in the callback: its requests keep their results until that returns, and nothing touches r after. */
static void on_http(void *arg, const struct http_result *result)
{
    deliver(arg, result, result->error);
}

static void on_kube(void *arg, const struct http_result *result, const struct err *e)
{
    deliver(arg, result, e);
}

void vault_asking_clear(struct vault_asking *a)
{
    mem_free(a->method);
    mem_free(a->path);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

struct vault_request *vault_ask(struct vault_client *c, const struct vault_call *call)
{
    static const char *const headers[] = {"X-Vault-Request: true", NULL};
    struct vault_request *r = MEM_NEW(struct vault_request);
    *r = (struct vault_request){
        .asking = {.client = c,
                   .method = mem_strdup(call->method ? call->method : "GET"),
                   .path = mem_strdup(call->path),
                   .started_ms = clock_mono_ms(),
                   .timeout_ms = call->timeout_ms ? call->timeout_ms : VAULT_TIMEOUT_MS},
        .on_reply = call->on_reply,
        .arg = call->arg,
    };
    const char *secret_header = call->token ? "X-Vault-Token" : NULL;
    if (c->kube) {
        char *path = str_printf("%s%s", c->prefix, call->path);
        r->kube = kube_start(c->kube, &(struct kube_call){
                                          .method = r->asking.method,
                                          .path = path,
                                          .headers = headers,
                                          .secret_header = secret_header,
                                          .secret_value = call->token,
                                          .body = call->body,
                                          .max_body = VAULT_MAX_BODY,
                                          .timeout_ms = r->asking.timeout_ms,
                                          .fresh = call->fresh,
                                          .begin_by_ms = call->begin_by_ms,
                                          .raw_errors = true,
                                          .on_done = on_kube,
                                          .arg = r,
                                      });
        mem_free(path);
        return r;
    }
    r->http = http_start(c->http, &(struct http_call){
                                      .method = r->asking.method,
                                      .path = call->path,
                                      .headers = headers,
                                      .secret_header = secret_header,
                                      .secret_value = call->token,
                                      .body = call->body,
                                      .body_len = call->body ? strlen(call->body) : 0,
                                      .max_body = VAULT_MAX_BODY,
                                      .timeout_ms = r->asking.timeout_ms,
                                      .fresh = call->fresh,
                                      .on_done = on_http,
                                      .arg = r,
                                  });
    return r;
}

void vault_request_free(struct vault_request *r)
{
    if (!r)
        return;
    http_request_free(r->http);
    kube_request_free(r->kube);
    vault_asking_clear(&r->asking);
    mem_free(r);
}
