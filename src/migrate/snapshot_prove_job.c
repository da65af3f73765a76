/* The proof from the disk, on a thread of its own: snapshot_verify says what is in the file; here it is compared with what was noted when it was
 * written. Paused and stopped through the gate. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/job_gate.h"
#include "migrate/raft.h"
#include "migrate/snapshot_file.h"
#include "migrate/snapshot_job_private.h"

enum { PROGRESS_MS = 250 };

struct reading {
    struct job_gate *gate;
    char *file, *passphrase_file;
    int64_t before, last; /* progress of two passes as one */
    struct snapshot_verdict verdict;
    struct err *e;
    struct run *r;
    struct op *op;        /* NULL: given up */
    struct timer *timer;
};

static void reading_free(struct reading *x) {
    snapshot_verdict_clear(&x->verdict);
    job_gate_free(x->gate);
    timer_free(x->timer);
    mem_free(x->file);
    mem_free(x->passphrase_file);
    err_free(x->e);
    mem_free(x);
}

static bool go_on(void *arg, int64_t done, int64_t total) {
    struct reading *x = arg;
    if (done < x->last) x->before += x->last;
    x->last = done;
    return job_gate_pass(x->gate, x->before + done, 2 * total, 0, "reading back");
}

static void read_back(void *arg) {
    struct reading *x = arg;
    struct snapshot_verify_options o = {.file = x->file, .passphrase_file = x->passphrase_file, .watch = {go_on, x}};
    x->e = *x->file ? snapshot_verify(&o, &x->verdict) : err_new(ERR_FAILED, "there is none that could be proved");
}

/* The manifest could be of another: the facts are of this one. */
static struct err *compare(const struct reading *x) {
    const struct snapshot_verdict *v = &x->verdict;
    if (v->damage) return err_new(ERR_FAILED, "%s is not proved: %s; take another", x->file, err_text(v->damage));
    if (!str_eq(run_fact(x->r, "snapshot.sha256"), v->file_sha256))
        return err_new(ERR_FAILED, "%s is not the one that this run wrote: its SHA-256 is %.16s…, noted is %.16s…; take another", x->file, v->file_sha256,
                       run_fact(x->r, "snapshot.sha256"));
    if (run_fact_int(x->r, "snapshot.index", -1) != v->said.index)
        return err_new(ERR_FAILED, "%s: its index is not the one that was noted; take another", x->file);
    return NULL;
}

static void on_read(void *arg) {
    struct reading *x = arg;
    if (!x->op) {
        reading_free(x);
        return;
    }
    struct err *e = x->e;
    char *detail = NULL;
    x->e = NULL;
    if (!e) e = compare(x);
    if (!e) {
        run_set_int(x->r, "snapshot.proved_at", clock_wall_ms());
        detail = str_printf("%ssizes, SHA-256 and index %lld are right, and the gzip member ends as it must", x->verdict.enciphered ? "HMAC, " : "",
                            (long long)x->verdict.said.index);
    }
    struct run *r = x->r;
    struct op *op = x->op;
    op->data = NULL;
    reading_free(x);
    op_job_done(r, op, e, detail);
    mem_free(detail);
}

static void on_read_timer(void *arg) {
    struct reading *x = arg;
    struct job_seen seen;
    job_gate_look(x->gate, &seen);
    op_job_progress(x->r, x->op, seen.done, seen.done < seen.total ? seen.total : 0, "bytes", seen.text);
}

static void prove_start(struct run *r, struct op *op) {
    const struct plan_raft *p = raft_spec(r);
    struct reading *x = MEM_NEW(struct reading);
    op->data = x;
    x->r = r;
    x->op = op;
    x->gate = job_gate_new();
    x->file = mem_strdup(run_has(r, "snapshot.file") ? run_fact(r, "snapshot.file") : "");
    x->passphrase_file = p->snapshot.encrypt.none ? NULL : mem_strdup(p->snapshot.encrypt.passphrase_file);
    x->timer = timer_new(r->loop, on_read_timer, x);
    timer_start(x->timer, PROGRESS_MS, PROGRESS_MS);
    work_start_thread(r->loop, read_back, on_read, x);
}

static void prove_cancel(struct run *r, struct op *op) {
    struct reading *x = op->data;
    (void)r;
    if (!x) return;
    op->data = NULL;
    job_gate_stop(x->gate);
    timer_free(x->timer);
    x->timer = NULL;
    x->op = NULL;
}

static void prove_pause(struct run *r, struct op *op, bool paused) {
    struct reading *x = op->data;
    (void)r;
    if (x) job_gate_pause(x->gate, paused);
}

const struct op_job snapshot_prove_job = {.start = prove_start, .cancel = prove_cancel, .pause = prove_pause};
