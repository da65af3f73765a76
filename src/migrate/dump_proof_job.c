/* The proof of a dump, on a thread of its own: dump_verify says what is in the file; here it is compared with what was noted when it was
 * written. Paused and stopped through the gate. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/dump_fact.h"
#include "migrate/dump_file.h"
#include "migrate/dump_job.h"
#include "migrate/job_gate.h"
#include "migrate/run.h"

enum { PROGRESS_MS = 250, PASSES = 2 };

/* What the thread sees. */
struct reading {
    struct job_gate *gate;
    char *file, *passphrase_file, *run;
    char *sha256; /* noted when it was written */
    int64_t before, last; /* progress of two passes as one */
    struct dump_verdict verdict;
    struct err *e;
    struct proof *owner;  /* NULL: given up */
};

struct proof {
    struct run *r;
    struct op *op;
    char *prefix;
    struct timer *timer;
    struct reading *reading; /* NULL: not under way */
};

static void reading_free(struct reading *x) {
    dump_verdict_clear(&x->verdict);
    job_gate_free(x->gate);
    mem_free(x->file);
    mem_free(x->passphrase_file);
    mem_free(x->sha256);
    mem_free(x->run);
    err_free(x->e);
    mem_free(x);
}

static bool go_on(void *arg, int64_t done, int64_t total) {
    struct reading *x = arg;
    if (done < x->last) x->before += x->last;
    x->last = done;
    return job_gate_pass(x->gate, x->before + done, PASSES * total, 0, "reading back");
}

static void read_back(void *arg) {
    struct reading *x = arg;
    struct dump_reader_options o = {.file = x->file, .passphrase_file = x->passphrase_file, .watch = {go_on, x}};
    x->e = *x->file ? dump_verify(&o, &x->verdict) : err_new(ERR_FAILED, "there is no dump that could be proved; carry out the phase dump");
    if (!x->e && dump_verdict_well(&x->verdict) && str_eq(x->sha256, x->verdict.sha256)) dump_supersede(x->file, x->run);
}

/* The manifest could be of another dump of the same passphrase: the facts are of this one. */
static struct err *compare(struct proof *p) {
    const struct reading *x = p->reading;
    struct err *e = dump_verdict_error(&x->verdict, x->file);
    if (e) return e;
    if (!str_eq(dump_fact(p->r, p->prefix, "sha256"), x->verdict.sha256))
        return err_new(ERR_FAILED, "dump %s is not the one that this run wrote: its SHA-256 is %.16s…, noted is %.16s…; dump again", x->file,
                       x->verdict.sha256, dump_fact(p->r, p->prefix, "sha256"));
    struct json_t *rows = dump_fact_json(p->r, p->prefix, "rows");
    bool same = rows && jd_equal(rows, x->verdict.tables);
    if (rows) jd_free(rows);
    if (!same) return err_new(ERR_FAILED, "dump %s: its rows are not the ones that were counted when it was written; dump again", x->file);
    return NULL;
}

static void on_read(void *arg) {
    struct reading *x = arg;
    struct proof *p = x->owner;
    if (!p) {
        reading_free(x);
        return;
    }
    struct err *e = x->e;
    char *detail = NULL;
    x->e = NULL;
    if (!e) e = compare(p);
    if (!e) {
        dump_fact_set_int(p->r, p->prefix, "proved_at", clock_plan_ms());
        detail = str_printf("%s%s; %s", x->verdict.manifest.iterations ? "HMAC, " : "", "SHA-256, size, trailer and rows are right",
                            x->verdict.check[DUMP_CHECK_ROWS].text);
    }
    timer_free(p->timer);
    p->timer = NULL;
    p->reading = NULL;
    reading_free(x);
    op_job_done(p->r, p->op, e, detail);
    mem_free(detail);
}

static void on_timer(void *arg) {
    struct proof *p = arg;
    struct job_seen seen;
    job_gate_look(p->reading->gate, &seen);
    op_job_progress(p->r, p->op, seen.done, seen.done < seen.total ? seen.total : 0, "bytes", seen.text);
}

static void proof_start(struct run *r, struct op *op) {
    struct proof *p = op->data;
    const struct plan_postgres *plan = r->workload->spec;
    const char *file = dump_fact(r, p->prefix, "file");
    struct reading *x = p->reading = MEM_NEW(struct reading);
    p->r = r;
    p->op = op;
    x->owner = p;
    x->gate = job_gate_new();
    x->file = mem_strdup(file ? file : "");
    x->sha256 = mem_strdup(dump_fact(r, p->prefix, "sha256"));
    x->run = mem_strdup(r->id);
    x->passphrase_file = plan->dump.encrypt.none ? NULL : mem_strdup(plan->dump.encrypt.passphrase_file);
    dump_fact_set(r, p->prefix, "proved_at", "");
    p->timer = timer_new(r->loop, on_timer, p);
    timer_start(p->timer, PROGRESS_MS, PROGRESS_MS);
    work_start_thread(r->loop, read_back, on_read, x);
}

static void proof_cancel(struct run *r, struct op *op) {
    struct proof *p = op->data;
    (void)r;
    if (!p->reading) return;
    job_gate_stop(p->reading->gate);
    p->reading->owner = NULL;
    p->reading = NULL;
    timer_free(p->timer);
    p->timer = NULL;
}

static void proof_pause(struct run *r, struct op *op, bool paused) {
    struct proof *p = op->data;
    (void)r;
    if (p->reading) job_gate_pause(p->reading->gate, paused);
}

static void proof_free(void *data) {
    struct proof *p = data;
    mem_free(p->prefix);
    mem_free(p);
}

const struct op_job dump_proof_job = {.start = proof_start, .cancel = proof_cancel, .pause = proof_pause};

struct op *script_dump_proof(struct script *s, const char *id, const char *what, const char *file_prefix) {
    struct proof *p = MEM_NEW(struct proof);
    p->prefix = mem_strdup(file_prefix);
    return script_job(s, id, what, &dump_proof_job, p, proof_free);
}
