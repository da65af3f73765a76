/* A body of Vault's as it comes. Its end is judged here: libcurl says whether chunks and lengths were kept; a 2xx that has neither is
 * refused by its head, because a connection that dies in the middle of it would look like its end. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/vault_client_private.h"
#include "net/http.h"

enum { STREAM_ERROR_MAX = 64 * 1024 };

struct vault_stream {
    struct vault_asking asking;
    struct http_request *http;
    struct kube_request *kube;
    bool endless; /* by its head */
    void (*on_data)(void *arg, struct slice bytes);
    void (*on_end)(void *arg, const struct err *e);
    void *arg;
};

static bool on_head(void *arg, const struct http_head *head) {
    struct vault_stream *s = arg;
    bool streams = head->status >= 200 && head->status <= 299;
    s->endless = streams && !head->framed;
    return !s->endless;
}

static struct err *on_data(void *arg, const char *p, size_t n) {
    struct vault_stream *s = arg;
    s->on_data(s->arg, (struct slice){p, n}); /* may free s */
    return NULL;
}

/* The error of what has ended, or NULL. */
static struct err *end_of(const struct vault_stream *s, const struct http_result *result, const struct err *error) {
    const struct vault_asking *a = &s->asking;
    struct err *e = NULL;
    if (s->endless)
        return err_new(ERR_PROTOCOL, "%s: %s %s: HTTP %d with neither a length nor chunks: a broken connection would look like its end",
                       a->client->name, a->method, a->path, result->status);
    if (!error && result->status >= 200 && result->status <= 299) return NULL;
    if (error && result->status >= 200 && result->status <= 299)
        return err_wrap(err_copy(error), "%s: the body ended before its end", a->client->name);
    vault_judge(a, result, error, &e);
    return e ? e : err_new(ERR_PROTOCOL, "%s: %s %s: HTTP %d", a->client->name, a->method, a->path, result->status);
}

static void ended(struct vault_stream *s, const struct http_result *result, const struct err *error) {
    struct err *e = end_of(s, result, error);
    s->on_end(s->arg, e); /* may free s */
    err_free(e);
}

static void on_http(void *arg, const struct http_result *result) {
    ended(arg, result, result->error);
}

static void on_kube(void *arg, const struct http_result *result, const struct err *e) {
    ended(arg, result, e);
}

static void start_proxied(struct vault_stream *s, const struct vault_stream_call *call) {
    struct vault_client *c = s->asking.client;
    static const char *const headers[] = {"X-Vault-Request: true", "Accept: */*", NULL};
    char *path = str_printf("%s%s", c->prefix, call->path);
    s->kube = kube_start(c->kube, &(struct kube_call){
        .path = path, .headers = headers, .secret_header = call->token ? "X-Vault-Token" : NULL, .secret_value = call->token,
        .max_body = STREAM_ERROR_MAX, .timeout_ms = -1, .idle_timeout_ms = s->asking.timeout_ms, .fresh = true, .raw_errors = true,
        .on_head = on_head, .on_data = on_data, .on_done = on_kube, .arg = s,
    });
    mem_free(path);
}

static void start_direct(struct vault_stream *s, const struct vault_stream_call *call) {
    static const char *const headers[] = {"X-Vault-Request: true", NULL};
    s->http = http_start(s->asking.client->http, &(struct http_call){
        .path = call->path, .headers = headers, .secret_header = call->token ? "X-Vault-Token" : NULL, .secret_value = call->token,
        .max_body = STREAM_ERROR_MAX, .idle_timeout_ms = s->asking.timeout_ms, .fresh = true,
        .on_head = on_head, .on_data = on_data, .on_done = on_http, .arg = s,
    });
}

struct vault_stream *vault_stream_new(struct vault_client *c, const struct vault_stream_call *call) {
    struct vault_stream *s = MEM_NEW(struct vault_stream);
    *s = (struct vault_stream){
        .asking = {.client = c, .method = mem_strdup("GET"), .path = mem_strdup(call->path), .started_ms = clock_mono_ms(),
                   .timeout_ms = call->idle_ms ? call->idle_ms : VAULT_IDLE_MS},
        .on_data = call->on_data, .on_end = call->on_end, .arg = call->arg,
    };
    if (c->kube) start_proxied(s, call);
    else start_direct(s, call);
    return s;
}

void vault_stream_free(struct vault_stream *s) {
    if (!s) return;
    http_request_free(s->http);
    kube_request_free(s->kube);
    vault_asking_clear(&s->asking);
    mem_free(s);
}

void vault_stream_pause(struct vault_stream *s, bool paused) {
    if (s->http) http_request_pause(s->http, paused);
    if (s->kube) kube_request_pause(s->kube, paused);
}
