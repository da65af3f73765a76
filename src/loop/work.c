/* Jobs and name resolution share libuv's pool of four threads. A job that was started always ends; a resolution that
 * nobody wants any more is cancelled if it waits, and forgotten if it runs. Numeric addresses never touch the pool. */
#include "loop/work.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/mem.h"
#include "loop/loop.h"

struct work {
    uv_work_t uv;
    uv_thread_t thread; /* of work_start_thread, */
    uv_async_t ended;   /* which says so from it */
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void work_run(uv_work_t *req) {
    struct work *w = req->data;
    w->run(w->arg);
}

static void work_done(uv_work_t *req, int status) {
    (void)status; /* never cancelled */
    struct work *w = req->data;
    w->done(w->arg);
    mem_free(w);
}

struct work *work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg) {
    struct work *w = MEM_NEW(struct work);
    *w = (struct work){.run = run, .done = done, .arg = arg};
    w->uv.data = w;
    uv_queue_work(loop_uv(l), &w->uv, work_run, work_done);
    return w;
}

static void work_thread_run(void *arg) {
    struct work *w = arg;
    w->run(w->arg);
    uv_async_send(&w->ended);
}

static void work_thread_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

static void work_thread_ended(uv_async_t *ended) {
    struct work *w = ended->data;
    uv_thread_join(&w->thread);
    w->done(w->arg);
    uv_close((uv_handle_t *)ended, work_thread_closed);
}

struct work *work_start_thread(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg) {
    struct work *w = MEM_NEW(struct work);
    *w = (struct work){.run = run, .done = done, .arg = arg};
    w->ended.data = w;
    uv_async_init(loop_uv(l), &w->ended, work_thread_ended);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = uv_thread_create(&w->thread, work_thread_run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code < 0) {
        fprintf(stderr, "ferryman: no thread can be started: %s\n", uv_strerror(code));
        abort();
    }
    return w;
}

enum { RESOLVE_MAX = 32 };

struct resolve {
    uv_getaddrinfo_t uv;
    struct loop *loop;
    void (*fn)(void *arg, const char *const *addresses, const struct err *e);
    void *arg;
    char *host;
    int code;        /* why it could not even start */
    bool on_pool;    /* libuv holds it */
    bool answering;  /* the callback runs: it may free us */
    bool freed;
};

static void resolve_destroy(struct resolve *r) {
    mem_free(r->host);
    mem_free(r);
}

/* The one callback; frees afterwards what was freed inside it. */
static void resolve_answer(struct resolve *r, const char *const *addresses, struct err *e) {
    r->answering = true;
    r->fn(r->arg, addresses, e);
    r->answering = false;
    err_free(e);
    if (r->freed)
        resolve_destroy(r);
}

static struct err *resolve_error(const struct resolve *r, int code) {
    return err_new(ERR_UNAVAILABLE, "cannot resolve \"%s\": %s", r->host, uv_strerror(code));
}

static void resolve_numeric(void *arg) {
    struct resolve *r = arg;
    const char *addresses[] = {r->host, NULL};
    resolve_answer(r, addresses, NULL);
}

static void resolve_failed(void *arg) {
    struct resolve *r = arg;
    resolve_answer(r, NULL, resolve_error(r, r->code));
}

static bool resolve_format(const struct addrinfo *ai, char *out, socklen_t size) {
    return getnameinfo(ai->ai_addr, ai->ai_addrlen, out, size, NULL, 0, NI_NUMERICHOST) == 0;
}

static bool resolve_known(const char *const *addresses, int count, const char *address) {
    for (int i = 0; i < count; i++)
        if (strcmp(addresses[i], address) == 0)
            return true;
    return false;
}

static void resolve_found(struct resolve *r, const struct addrinfo *res) {
    char text[RESOLVE_MAX][INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    const char *addresses[RESOLVE_MAX + 1] = {NULL};
    int count = 0;
    for (const struct addrinfo *ai = res; ai != NULL && count < RESOLVE_MAX; ai = ai->ai_next)
        if (resolve_format(ai, text[count], sizeof text[count]) && !resolve_known(addresses, count, text[count])) {
            addresses[count] = text[count];
            count++;
        }
    if (count > 0)
        resolve_answer(r, addresses, NULL);
    else
        resolve_answer(r, NULL, resolve_error(r, UV_EAI_NODATA));
}

static void resolve_done(uv_getaddrinfo_t *req, int status, struct addrinfo *res) {
    struct resolve *r = req->data;
    r->on_pool = false;
    if (r->freed)
        resolve_destroy(r);
    else if (status < 0)
        resolve_answer(r, NULL, resolve_error(r, status));
    else
        resolve_found(r, res);
    uv_freeaddrinfo(res);
}

static bool resolve_is_numeric(const char *host) {
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

struct resolve *resolve_start(struct loop *l, const char *host,
                              void (*fn)(void *arg, const char *const *addresses, const struct err *e), void *arg) {
    struct resolve *r = MEM_NEW(struct resolve);
    *r = (struct resolve){.loop = l, .fn = fn, .arg = arg, .host = mem_strdup(host)};
    r->uv.data = r;
    if (resolve_is_numeric(host)) {
        loop_defer(l, resolve_numeric, r);
        return r;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    r->code = uv_getaddrinfo(loop_uv(l), &r->uv, resolve_done, host, NULL, &hints);
    if (r->code < 0)
        loop_defer(l, resolve_failed, r);
    else
        r->on_pool = true;
    return r;
}

void resolve_free(struct resolve *r) {
    if (r == NULL)
        return;
    loop_undefer(r->loop, r);
    r->freed = true;
    if (r->on_pool)
        uv_cancel((uv_req_t *)&r->uv);
    else if (!r->answering)
        resolve_destroy(r);
}
