#include "migrate/script_try.h"

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/kube_ask.h"
#include "migrate/run.h"

struct attempt {
    struct run *run;
    struct op *op;
    char *path;
    op_see_fn see;
    struct kube_ask *ask;
};

static void on_answer(void *arg, int status, const struct json_t *doc, const struct err *e) {
    struct attempt *a = arg;
    struct buf reason = {0};
    bool answered = !e || status == 403 || status == 404;
    struct seen seen = {.status = status, .doc = e ? NULL : doc};
    struct err *bad = answered ? NULL : err_copy(e);
    if (answered && a->see(a->run, a->op, &seen, &reason) != OP_DONE) bad = err_new(ERR_FAILED, "%s", buf_str(&reason));
    kube_ask_free(a->ask);
    a->ask = NULL;
    op_job_done(a->run, a->op, bad, buf_str(&reason));
    buf_free(&reason);
}

static void start(struct run *r, struct op *op) {
    struct attempt *a = op->data;
    a->run = r;
    a->op = op;
    a->ask = kube_ask_new(r->kube, "GET", a->path, NULL, 0, on_answer, a);
}

static void cancel(struct run *r, struct op *op) {
    struct attempt *a = op->data;
    (void)r;
    kube_ask_free(a->ask);
    a->ask = NULL;
}

static void drop(void *data) {
    struct attempt *a = data;
    kube_ask_free(a->ask);
    mem_free(a->path);
    mem_free(a);
}

static const struct op_job job = {.start = start, .cancel = cancel};

struct op *script_try(struct script *s, const char *id, const char *what, const char *path, op_see_fn see) {
    struct attempt *a = MEM_NEW(struct attempt);
    a->path = mem_strdup(path);
    a->see = see;
    return script_job(s, id, script_fmt(s, "%s (GET %s)", what, path), &job, a, drop);
}
