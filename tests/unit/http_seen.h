/* What the tests of HTTP share: a world of loop, server and client, and requests that note what they saw. */
#ifndef FERRYMAN_TESTS_HTTP_SEEN_H
#define FERRYMAN_TESTS_HTTP_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/http.h"
#include "tests/unit/tiny_http.h"

/* What one request saw; `free_at` says in which callback the request is freed. */
enum free_at { FREE_LATER, FREE_IN_HEAD, FREE_IN_DATA, FREE_IN_DONE };

struct seen {
    struct http *http;
    struct http_request *request;
    struct http_request *victim;      /* freed in on_data */
    struct buf body, chunks;
    char error[512], content_type[64], location[128], remote[64];
    enum err_kind kind;
    int status, heads, done_count, head_status, datas;
    int64_t retry_after_s, total_us, connect_us;
    enum free_at free_at;
    bool done, failed, connected, got_data, refuse_head, refuse_data, reset_in_data, pause_in_data, restart;
};

struct world {
    struct loop *loop;
    struct tiny_http *server;
    struct http *http;
};

/* cmocka fixtures: *state is a struct world. */
int world_setup(void **state);
int world_teardown(void **state);
/* Runs the loop until the flag is set, or fails the test after 20 s. */
void world_wait(struct world *w, const bool *flag);
void world_run(struct world *w, int64_t ms);

bool seen_head(void *arg, const struct http_head *head);
struct err *seen_data(void *arg, const char *p, size_t n);
/* A GET that notes its head and its end in s; set .on_data = seen_data for a stream. */
struct http_call seen_call(struct seen *s, const char *path);
/* Starts the call for s and waits for its end. */
void exchange(struct world *w, struct http_call call, struct seen *s);
void seen_clear(struct seen *s);

#endif
