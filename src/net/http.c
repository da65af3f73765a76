/* The transport: its options, its life, and giving all its connections up.
 *
 * libcurl runs our callbacks inside its own calls and forbids most of its calls there. So a request is begun and
 * finished by deferred work only; what callers do inside on_head and on_data (free, reset) is remembered and done when
 * libcurl has returned (http_after_curl). on_done always comes from deferred work and may do anything. */
#include "net/http.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "net/http_private.h"

#ifndef FERRYMAN_VERSION
#define FERRYMAN_VERSION "0"
#endif

enum { HTTP_CONNECT_TIMEOUT_MS = 10000 };

static void http_global_init(void) {
    static bool done;
    if (!done)
        curl_global_init(CURL_GLOBAL_DEFAULT);
    done = true;
}

struct http *http_new(struct loop *l, const struct http_options *o) {
    http_global_init();
    struct http *h = MEM_NEW(struct http);
    h->loop = l;
    h->name = mem_strdup(o->name != NULL ? o->name : o->base_url);
    h->user_agent = mem_strdup(o->user_agent != NULL ? o->user_agent : "ferryman/" FERRYMAN_VERSION);
    h->insecure = o->insecure;
    h->env_proxy = o->env_proxy;
    h->http1_only = o->http1_only;
    h->connect_timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
    h->ca_pem = mem_strdup(o->ca_pem);
    h->cert_pem = mem_strdup(o->client_cert_pem);
    h->key_pem = o->client_key_pem != NULL ? secret_ref(o->client_key_pem) : NULL;
    h->proxy_url = mem_strdup(o->proxy_url);
    http_tls_prepare(h, o);
    http_multi_open(h);
    return h;
}

static void http_destroy(struct http *h) {
    while (h->requests != NULL)
        http_request_drop(h->requests);
    http_multi_close(h);
    char *strings[] = {h->name, h->url, h->host, h->authority, h->proxy, h->user_agent, h->ca_pem, h->cert_pem,
                       h->reset_reason};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    if (h->proxy_url != NULL)
        secret_wipe(h->proxy_url, strlen(h->proxy_url)); /* it may carry a password */
    mem_free(h->proxy_url);
    secret_free(h->key_pem);
    curl_slist_free_all(h->connect_to);
    err_free(h->unusable);
    mem_free(h);
}

void http_free(struct http *h) {
    if (h == NULL)
        return;
    if (h->in_curl > 0)
        h->dead = true;
    else
        http_destroy(h);
}

/* Fails what runs and starts over with an empty connection pool. Requests that have not begun are not hurt. */
static void http_rebuild(struct http *h, const char *reason) {
    for (struct http_request *r = h->requests, *next; r != NULL; r = next) {
        next = r->next;
        if (r->state == HTTP_RUNNING) {
            http_request_observe(r);
            http_request_fail(r, http_error(r, ERR_UNAVAILABLE, "connection given up: %s", reason));
        }
    }
    http_multi_close(h);
    http_multi_open(h);
}

void http_reset(struct http *h, const char *reason) {
    if (h->in_curl > 0)
        str_set(&h->reset_reason, reason);
    else
        http_rebuild(h, reason);
}

static void http_sweep(struct http *h) {
    for (struct http_request *r = h->requests, *next; r != NULL; r = next) {
        next = r->next;
        if (r->freed)
            http_request_drop(r);
    }
}

void http_after_curl(struct http *h, CURLMcode code) {
    if (h->dead) {
        http_destroy(h);
        return;
    }
    http_sweep(h);
    http_drain(h);
    /* after an error libcurl calls every transfer uncertain (curl_multi_socket_action(3)) */
    if (h->reset_reason == NULL && code != CURLM_OK)
        str_set(&h->reset_reason, curl_multi_strerror(code));
    if (h->reset_reason != NULL) {
        char *reason = h->reset_reason;
        h->reset_reason = NULL;
        http_rebuild(h, reason);
        mem_free(reason);
    }
}

void http_escape(struct buf *out, const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 128 && (isalnum(c) || strchr("-._~", c) != NULL))
            buf_addc(out, *p);
        else
            buf_printf(out, "%%%02X", c);
    }
}
