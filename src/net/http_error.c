/* What a failed exchange is told as: "NAME: METHOD /path: what happened; remedy". The query stays out (it may carry
 * selectors and tokens), foreign text is cleaned. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "net/http_private.h"

enum { HTTP_PATH_SHOWN = 160 };

/* The path without its query, cleaned and cut. */
static void http_path_text(struct buf *out, const char *path) {
    size_t n = strcspn(path, "?");
    utf8_clean(out, (struct slice){path, n < HTTP_PATH_SHOWN ? n : HTTP_PATH_SHOWN});
    if (n > HTTP_PATH_SHOWN)
        buf_adds(out, "...");
}

struct err *http_error(const struct http_request *r, enum err_kind kind, const char *fmt, ...) {
    struct buf where = {0};
    va_list ap;
    va_start(ap, fmt);
    char *what = str_vprintf(fmt, ap);
    va_end(ap);
    http_path_text(&where, r->path);
    struct err *e = err_new(kind, "%s: %s %s: %s", r->http->name, r->method, buf_str(&where), what);
    buf_free(&where);
    mem_free(what);
    return e;
}

static char *http_duration(int64_t ms) {
    if (ms < 1000)
        return str_printf("%lld ms", (long long)ms);
    return ms % 1000 == 0 ? str_printf("%lld s", (long long)(ms / 1000)) : str_printf("%.1f s", (double)ms / 1000.0);
}

/* The other end of the TCP connection, as configured. */
static char *http_peer(const struct http_request *r) {
    const struct http *h = r->http;
    return h->proxy != NULL ? str_printf("the proxy %s", h->proxy) : mem_strdup(h->authority);
}

/* How far the connection got. */
static char *http_reached(const struct http_request *r) {
    if (!r->tcp) {
        char *peer = http_peer(r), *text = str_printf("no TCP connection to %s", peer);
        mem_free(peer);
        return text;
    }
    const char *via = r->http->proxy != NULL ? "the proxy " : "";
    bool v6 = strchr(r->remote, ':') != NULL;
    return str_printf("TCP accepted by %s%s%s%s:%ld%s", via, v6 ? "[" : "", r->remote, v6 ? "]" : "", r->remote_port,
                      r->tls ? "" : ", TLS handshake not finished");
}

struct err *http_error_timeout(const struct http_request *r, int64_t ms, bool idle) {
    char *within = http_duration(ms), *reached = http_reached(r);
    struct err *e;
    if (r->lines.head.status == 0)
        e = http_error(r, ERR_UNAVAILABLE, "no answer within %s (%s)", within, reached);
    else if (idle)
        e = http_error(r, ERR_UNAVAILABLE, "the answer stopped: nothing received for %s (%s)", within, reached);
    else
        e = http_error(r, ERR_UNAVAILABLE, "the answer was not finished within %s (%s)", within, reached);
    mem_free(within);
    mem_free(reached);
    return e;
}

/* libcurl's own words for it. */
static char *http_curl_text(const struct http_request *r, CURLcode code) {
    const char *text = r->errbuf[0] != '\0' ? r->errbuf : curl_easy_strerror(code);
    return utf8_cleaned(slice_trim(slice_of(text)));
}

static struct err *http_error_connect(const struct http_request *r) {
    long number = 0;
    curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &number);
    char *peer = http_peer(r);
    const char *why = number != 0 ? strerror((int)number) : r->errbuf;
    struct err *e = http_error(r, ERR_UNAVAILABLE, "cannot connect to %s: %s", peer, why);
    mem_free(peer);
    return e;
}

/* Our own deadlines have their own texts: what libcurl gives up is connecting. */
static struct err *http_error_connect_timeout(const struct http_request *r) {
    char *within = http_duration(r->http->connect_timeout_ms), *reached = http_reached(r);
    struct err *e = http_error(r, ERR_UNAVAILABLE, "no connection within %s (%s)", within, reached);
    mem_free(within);
    mem_free(reached);
    return e;
}

static struct err *http_error_verify(const struct http_request *r, const char *text) {
    const char *remedy =
        "give the CA that signed it as certificate-authority (a proxy that opens TLS signs with its own)";
    if (strstr(text, "subject name") != NULL)
        remedy = "set tls-server-name to a name that its certificate has";
    else if (strstr(text, "expired") != NULL || strstr(text, "not yet valid") != NULL)
        remedy = "renew it, or correct this machine's clock";
    return http_error(r, ERR_UNAVAILABLE, "the server's certificate is not trusted: %s; %s", text, remedy);
}

static struct err *http_error_handshake(const struct http_request *r, const char *text) {
    if (strstr(text, "wrong version number") != NULL)
        return http_error(r, ERR_PROTOCOL, "%s does not speak TLS: is its scheme http?", r->http->authority);
    return http_error(r, ERR_UNAVAILABLE, "TLS with %s failed: %s", r->http->authority, text);
}

static struct err *http_error_lost(const struct http_request *r, const char *text) {
    long tunnel = 0, number = 0;
    curl_easy_getinfo(r->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &number);
    const char *proxy = r->http->proxy != NULL ? r->http->proxy : "of the environment";
    if (tunnel >= 300)
        return http_error(r, ERR_UNAVAILABLE,
                          "the proxy %s refused the tunnel to %s with HTTP %ld; "
                          "check proxy-url, HTTPS_PROXY and NO_PROXY",
                          proxy, r->http->authority, tunnel);
    if (number == ETIMEDOUT)
        return http_error(r, ERR_UNAVAILABLE, "connection lost: no sign of life from %s for 20 s", r->http->authority);
    return http_error(r, ERR_UNAVAILABLE, "connection lost: %s", text);
}

static struct err *http_error_text(const struct http_request *r, CURLcode code, const char *text) {
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return http_error(r, ERR_UNAVAILABLE, "cannot resolve \"%s\"", r->http->host);
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return http_error(r, ERR_UNAVAILABLE, "the proxy: %s; check proxy-url, HTTPS_PROXY and NO_PROXY", text);
    case CURLE_COULDNT_CONNECT:
        return http_error_connect(r);
    case CURLE_OPERATION_TIMEDOUT:
        return http_error_connect_timeout(r);
    case CURLE_PEER_FAILED_VERIFICATION:
        return http_error_verify(r, text);
    case CURLE_SSL_CONNECT_ERROR:
        return http_error_handshake(r, text);
    case CURLE_SSL_CERTPROBLEM:
        return http_error(r, ERR_AUTH, "client certificate or key unusable: %s; renew them in the kubeconfig", text);
    case CURLE_SSL_CACERT_BADFILE:
        return http_error(r, ERR_DATA, "certificate-authority holds no usable certificate: %s", text);
    case CURLE_GOT_NOTHING:
        return http_error(r, ERR_UNAVAILABLE, "the server closed the connection without an answer");
    case CURLE_PARTIAL_FILE:
        return http_error(r, ERR_UNAVAILABLE, "the connection ended in the middle of the answer");
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return http_error_lost(r, text);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return http_error(r, ERR_PROTOCOL, "what came back is not HTTP: %s", text);
    default:
        return http_error(r, ERR_FAILED, "%s", text);
    }
}

struct err *http_error_curl(const struct http_request *r, CURLcode code) {
    char *text = http_curl_text(r, code);
    struct err *e = http_error_text(r, code, text);
    mem_free(text);
    return e;
}
