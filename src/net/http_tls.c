/* How a connection is made: TLS from bytes in memory, the server's name, the proxy, dead peers.
 *
 * A server name that differs from the host (kubeconfig's tls-server-name) goes into the URL, where libcurl takes SNI,
 * verification and the Host header from; CURLOPT_CONNECT_TO then leads the connection to the real host. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/secret.h"
#include "net/http_private.h"

enum {
    HTTP_KEEPALIVE_IDLE_S = 10,
    HTTP_KEEPALIVE_INTERVAL_S = 5,
    HTTP_USER_TIMEOUT_MS = 20000, /* a dead peer is noticed after about 20 s */
};

static char *url_part(CURLU *u, CURLUPart part, unsigned flags) {
    char *text = NULL, *copy = NULL;
    if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

static void cut_slashes(char *url) {
    for (size_t n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
        url[n - 1] = '\0';
}

/* The URL with the server's name in it, and where that name leads. */
static void http_use_server_name(struct http *h, CURLU *u, const char *server_name, const char *port) {
    char *to = str_printf("%s:%s:%s:%s", server_name, port, h->host, port);
    if (curl_url_set(u, CURLUPART_HOST, server_name, 0) == CURLUE_OK)
        h->connect_to = curl_slist_append(NULL, to);
    mem_free(to);
}

static void http_parse_url(struct http *h, CURLU *u, const struct http_options *o) {
    char *scheme = url_part(u, CURLUPART_SCHEME, 0), *port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    h->host = url_part(u, CURLUPART_HOST, 0);
    h->https = str_eq(scheme, "https");
    if (h->host == NULL || port == NULL || (!h->https && !str_eq(scheme, "http"))) {
        h->unusable = err_new(ERR_DATA, "the URL \"%s\" is neither http nor https", o->base_url);
    } else {
        h->authority = str_printf("%s:%s", h->host, port);
        if (o->server_name != NULL && h->https)
            http_use_server_name(h, u, o->server_name, port);
        h->url = url_part(u, CURLUPART_URL, 0);
        cut_slashes(h->url);
    }
    mem_free(scheme);
    mem_free(port);
}

/* What errors may say of the proxy: not its password. */
static void http_parse_proxy(struct http *h) {
    CURLU *u = curl_url();
    if (curl_url_set(u, CURLUPART_URL, h->proxy_url, CURLU_NON_SUPPORT_SCHEME | CURLU_DEFAULT_SCHEME) == CURLUE_OK) {
        char *host = url_part(u, CURLUPART_HOST, 0), *port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
        h->proxy = port != NULL ? str_printf("%s:%s", host, port) : mem_strdup(host);
        mem_free(host);
        mem_free(port);
    }
    curl_url_cleanup(u);
}

void http_tls_prepare(struct http *h, const struct http_options *o) {
    CURLU *u = curl_url();
    if (curl_url_set(u, CURLUPART_URL, o->base_url, 0) == CURLUE_OK)
        http_parse_url(h, u, o);
    else
        h->unusable = err_new(ERR_DATA, "\"%s\" is not a URL", o->base_url);
    curl_url_cleanup(u);
    if (h->proxy_url != NULL)
        http_parse_proxy(h);
}

/* CURLOPT_SOCKOPTFUNCTION */
static int http_socket_options(void *unused, curl_socket_t fd, curlsocktype purpose) {
    (void)unused;
    (void)purpose;
#ifdef TCP_USER_TIMEOUT
    unsigned ms = HTTP_USER_TIMEOUT_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms); /* only an improvement: it may fail */
#else
    (void)fd;
#endif
    return CURL_SOCKOPT_OK;
}

static CURLcode http_set_blob(CURL *easy, CURLoption option, const char *pem, size_t n) {
    struct curl_blob blob = {.data = (void *)(uintptr_t)pem, .len = n, .flags = CURL_BLOB_NOCOPY};
    return curl_easy_setopt(easy, option, &blob);
}

static CURLcode http_setup_tls(struct http *h, CURL *easy) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (code == CURLE_OK && h->insecure)
        code = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    if (code == CURLE_OK && h->insecure)
        code = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (code == CURLE_OK && h->ca_pem != NULL)
        code = http_set_blob(easy, CURLOPT_CAINFO_BLOB, h->ca_pem, strlen(h->ca_pem));
    if (code == CURLE_OK && h->cert_pem != NULL)
        code = http_set_blob(easy, CURLOPT_SSLCERT_BLOB, h->cert_pem, strlen(h->cert_pem));
    if (code == CURLE_OK && h->key_pem != NULL)
        code = http_set_blob(easy, CURLOPT_SSLKEY_BLOB, secret_bytes(h->key_pem), secret_len(h->key_pem));
    return code;
}

/* Proxies of the environment are not used for this machine itself, as every other client of Kubernetes has it. */
static bool http_is_loopback(const char *host) {
    return str_ieq(host, "localhost") || str_starts(host, "127.") || str_eq(host, "[::1]");
}

/* A proxy that is given is used whatever NO_PROXY says (client-go's proxy-url does so). */
static CURLcode http_setup_proxy(struct http *h, CURL *easy) {
    if (h->proxy_url == NULL && h->env_proxy && !http_is_loopback(h->host))
        return CURLE_OK;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PROXY, h->proxy_url != NULL ? h->proxy_url : "");
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_NOPROXY, "") : code;
}

CURLcode http_tls_setup(struct http *h, CURL *easy) {
    CURLcode code = http_setup_tls(h, easy);
    if (code == CURLE_OK)
        code = http_setup_proxy(h, easy);
    if (code != CURLE_OK)
        return code;
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, h->connect_to);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)HTTP_KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)HTTP_KEEPALIVE_INTERVAL_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, http_socket_options);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, h);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_timeout_ms);
    /* Without TLS there is nothing to wait for: with HTTP/2 in mind libcurl would hold every further request back until
     * the first answer, and a server that says nothing would block them all. */
    bool http1 = h->http1_only || !h->https;
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, http1 ? 0L : 1L);
    return CURLE_OK;
}
