/* The glue between libcurl's multi interface and the loop: one fdwatch for each socket that libcurl names, one timer.
 *
 * Learnt the hard way: messages are read after every curl_multi_socket_action, or a lone
 * transfer that ends by time-out is lost; CURL_POLL_REMOVE frees the watch at once; a socket's watch is freed before
 * the socket is closed, or a stranger with the same number would be unwatched later. */
#include <unistd.h>

#include "base/mem.h"
#include "loop/fdwatch.h"
#include "loop/timer.h"
#include "net/http_private.h"

struct http_socket {
    struct http_socket *next;
    struct http *http;
    struct fdwatch *watch;
    curl_socket_t fd;
};

static void http_action(struct http *h, curl_socket_t fd, int mask) {
    int running = 0;
    h->in_curl++;
    CURLMcode code = curl_multi_socket_action(h->multi, fd, mask, &running);
    h->in_curl--;
    http_after_curl(h, code);
}

/* The http_socket may be gone when libcurl returns. */
static void http_socket_ready(void *arg, unsigned events) {
    const struct http_socket *s = arg;
    int in = (events & FD_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    int out = (events & FD_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    http_action(s->http, s->fd, in | out);
}

static void http_timer_fired(void *arg) {
    http_action(arg, CURL_SOCKET_TIMEOUT, 0);
}

static struct http_socket **http_socket_find(struct http *h, curl_socket_t fd) {
    struct http_socket **at = &h->sockets;
    while (*at != NULL && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

static void http_socket_drop(struct http *h, curl_socket_t fd) {
    struct http_socket **at = http_socket_find(h, fd), *s = *at;
    if (s == NULL)
        return;
    *at = s->next;
    fdwatch_free(s->watch);
    mem_free(s);
}

static struct http_socket *http_socket_add(struct http *h, curl_socket_t fd) {
    struct http_socket *s = MEM_NEW(struct http_socket);
    *s = (struct http_socket){.next = h->sockets, .http = h, .fd = fd};
    s->watch = fdwatch_new(h->loop, fd, http_socket_ready, s);
    h->sockets = s;
    return s;
}

/* CURLMOPT_SOCKETFUNCTION. Never call libcurl from here. */
static int http_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *http, void *unused) {
    (void)easy;
    (void)unused;
    struct http *h = http;
    if (what == CURL_POLL_REMOVE) {
        http_socket_drop(h, fd);
        return 0;
    }
    struct http_socket *s = *http_socket_find(h, fd);
    if (s == NULL)
        s = http_socket_add(h, fd);
    unsigned readable = (what & CURL_POLL_IN) != 0 ? FD_READABLE : 0u;
    fdwatch_set(s->watch, readable | ((what & CURL_POLL_OUT) != 0 ? FD_WRITABLE : 0u));
    return 0;
}

/* CURLMOPT_TIMERFUNCTION. Never call libcurl from here. */
static int http_timer_wanted(CURLM *multi, long ms, void *http) {
    (void)multi;
    struct http *h = http;
    if (ms < 0)
        timer_stop(h->timer);
    else
        timer_start(h->timer, ms, 0);
    return 0;
}

int http_close_socket(void *http, curl_socket_t fd) {
    http_socket_drop(http, fd);
    return close(fd);
}

void http_multi_open(struct http *h) {
    h->timer = timer_new(h->loop, http_timer_fired, h);
    h->multi = curl_multi_init();
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http_socket_wanted);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http_timer_wanted);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
}

/* The cleanup may still call back: watches and timer go afterwards. */
void http_multi_close(struct http *h) {
    curl_multi_cleanup(h->multi);
    h->multi = NULL;
    while (h->sockets != NULL)
        http_socket_drop(h, h->sockets->fd);
    timer_free(h->timer);
    h->timer = NULL;
}

void http_drain(struct http *h) {
    int left = 0;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        void *request = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &request);
        http_request_end(request, code); /* m is gone with this */
    }
}
