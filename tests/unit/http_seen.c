#include "tests/unit/http_seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

int world_setup(void **state) {
    struct world *w = MEM_NEW(struct world);
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    w->http = http_new(w->loop, &(struct http_options){.base_url = tiny_http_url(w->server), .name = "vault-0"});
    *state = w;
    return 0;
}

int world_teardown(void **state) {
    struct world *w = *state;
    http_free(w->http);
    tiny_http_free(w->server);
    loop_free(w->loop);
    mem_free(w);
    return 0;
}

bool seen_head(void *arg, const struct http_head *head) {
    struct seen *s = arg;
    s->heads++;
    s->head_status = head->status;
    if (s->free_at == FREE_IN_HEAD) {
        http_request_free(s->request);
        s->request = NULL;
        s->done = true;
    }
    return !s->refuse_head;
}

struct err *seen_data(void *arg, const char *p, size_t n) {
    struct seen *s = arg;
    buf_add(&s->chunks, p, n);
    s->datas++;
    s->got_data = true;
    if (s->free_at == FREE_IN_DATA) {
        http_request_free(s->request);
        s->request = NULL;
        s->done = true;
    }
    if (s->victim != NULL) {
        http_request_free(s->victim);
        s->victim = NULL;
    }
    if (s->reset_in_data)
        http_reset(s->http, "canary failed");
    if (s->pause_in_data)
        http_request_pause(s->request, true);
    return s->refuse_data ? err_new(ERR_PROTOCOL, "not what I want") : NULL;
}

static void seen_done(void *arg, const struct http_result *r);

struct http_call seen_call(struct seen *s, const char *path) {
    return (struct http_call){.path = path, .on_done = seen_done, .on_head = seen_head, .arg = s};
}

static void seen_done(void *arg, const struct http_result *r) {
    struct seen *s = arg;
    if (s->restart) {
        s->restart = false;
        http_request_free(s->request);
        struct http_call call = seen_call(s, "/again");
        s->request = http_start(s->http, &call);
        return;
    }
    if (s->free_at == FREE_IN_DONE) {
        http_request_free(s->request); /* the result stays usable until we return */
        s->request = NULL;
    }
    s->done_count++;
    s->status = r->status;
    s->failed = r->error != NULL;
    if (r->error != NULL) {
        snprintf(s->error, sizeof s->error, "%s", err_text(r->error));
        s->kind = err_kind(r->error);
    }
    buf_add(&s->body, buf_str(r->body), r->body->len);
    if (r->head.content_type.p != NULL)
        snprintf(s->content_type, sizeof s->content_type, "%.*s", SLICE_FMT(r->head.content_type));
    if (r->head.location.p != NULL)
        snprintf(s->location, sizeof s->location, "%.*s", SLICE_FMT(r->head.location));
    snprintf(s->remote, sizeof s->remote, "%s", r->remote_address);
    s->retry_after_s = r->head.retry_after_s;
    s->connected = r->connected;
    s->total_us = r->total_us;
    s->connect_us = r->connect_us;
    s->done = true;
}

void seen_clear(struct seen *s) {
    http_request_free(s->request);
    buf_free(&s->body);
    buf_free(&s->chunks);
}

void world_wait(struct world *w, const bool *flag) {
    assert_true(loop_run_until(w->loop, flag, 20000));
}

void world_run(struct world *w, int64_t ms) {
    bool never = false;
    loop_run_until(w->loop, &never, ms);
}

void exchange(struct world *w, struct http_call call, struct seen *s) {
    s->http = w->http;
    s->request = http_start(w->http, &call);
    world_wait(w, &s->done);
}
