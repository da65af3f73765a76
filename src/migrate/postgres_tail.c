/* See postgres_tail.h. A stream that ends early (an API server's restart, one that does not follow) is begun again. */
#include "migrate/postgres_tail.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "client/kube_client.h"
#include "loop/timer.h"
#include "net/http.h"

#define TAIL_MAX ((size_t)1 << 20)
#define TAIL_BEGUN_MS INT64_C(1500) /* a quiet server's log may send nothing for long */
#define TAIL_AGAIN_MS INT64_C(200)

struct tail {
    unsigned refs;
    char *path, *error;
    struct run *run;
    struct op *op; /* until it is told that we follow */
    struct kube_request *request;
    struct timer *begun, *again;
    struct buf text;
    bool fresh, over;
};

static void tail_start(struct tail *t);

struct tail *tail_new(const char *path)
{
    struct tail *t = MEM_NEW(struct tail);
    t->refs = 1;
    t->path = mem_strdup(path);
    return t;
}

struct tail *tail_ref(struct tail *t)
{
    t->refs++;
    return t;
}

static void tail_stop(struct tail *t)
{
    kube_request_free(t->request);
    t->request = NULL;
    timer_free(t->begun);
    timer_free(t->again);
    t->begun = t->again = NULL;
    t->op = NULL;
}

void tail_unref(void *tail)
{
    struct tail *t = tail;
    if (!t || --t->refs)
        return;
    tail_stop(t);
    buf_free(&t->text);
    mem_free(t->path);
    mem_free(t->error);
    mem_free(t);
}

struct slice tail_text(const struct tail *t)
{
    return (struct slice){buf_str(&t->text), t->text.len};
}

const char *tail_error(const struct tail *t)
{
    return t->error;
}

/* Tells the job that the log is followed, from a turn of its own. */
static void on_begun(void *arg)
{
    struct tail *t = arg;
    struct op *op = t->op;
    t->op = NULL;
    if (op)
        op_job_done(t->run, op, NULL, t->error ? t->error : "followed");
}

static struct err *on_data(void *arg, const char *p, size_t n)
{
    struct tail *t = arg;
    if (!t->fresh)
        buf_clear(&t->text);
    t->fresh = true;
    buf_add(&t->text, p, n);
    if (t->text.len > TAIL_MAX)
        buf_consume(&t->text, t->text.len - TAIL_MAX / 2);
    if (t->op)
        timer_start(t->begun, 0, 0);
    return NULL;
}

static void on_done(void *arg, const struct http_result *result, const struct err *e)
{
    struct tail *t = arg;
    kube_request_free(t->request);
    t->request = NULL;
    bool refused = e && (err_kind(e) == ERR_DENIED || err_kind(e) == ERR_AUTH);
    t->over = refused || result->status == 404;
    if (refused)
        str_set(&t->error, err_text(e));
    if (t->op && t->over)
        timer_start(t->begun, 0, 0);
    if (!t->over)
        timer_start(t->again, TAIL_AGAIN_MS, 0);
}

static void on_again(void *arg)
{
    struct tail *t = arg;
    if (!t->request)
        tail_start(t);
}

static void tail_start(struct tail *t)
{
    t->fresh = false;
    struct kube_call call = {.path = t->path, .timeout_ms = -1, .on_data = on_data, .on_done = on_done, .arg = t};
    t->request = kube_start(t->run->kube, &call);
}

static void job_start(struct run *r, struct op *op)
{
    struct tail *t = op->data;
    tail_stop(t);
    t->run = r;
    t->op = op;
    t->begun = timer_new(r->loop, on_begun, t);
    t->again = timer_new(r->loop, on_again, t);
    timer_start(t->begun, TAIL_BEGUN_MS, 0);
    tail_start(t);
}

static void job_cancel(struct run *r, struct op *op)
{
    (void)r;
    tail_stop(op->data);
}

const struct op_job tail_job = {.start = job_start, .cancel = job_cancel};
