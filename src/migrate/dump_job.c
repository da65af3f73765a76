/* A dump under way: while the file is opened (pool: deriving keys takes a while) the server is asked who it is, a pg_dumpall that fits is
 * found and started; a thread of our own serves its pipe, and when both have ended well the file is committed (pool).
 *
 * What threads use lives in struct pump, which outlives the operation when that is given up while a thread is at work: the thread is
 * told to stop, and its end frees the pump and removes the file. */
#include "migrate/dump_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "loop/child.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/dump_fact.h"
#include "migrate/dump_file.h"
#include "migrate/dump_scan.h"
#include "migrate/job_gate.h"
#include "migrate/pg_tool.h"
#include "migrate/run.h"

enum { PIPE_SIZE = 1024 * 1024, PROGRESS_MS = 250, LOCK_WAIT_MS = 60000, FILL_NS = 1000 * 1000 };

/* What threads see. */
struct pump {
    struct job_gate *gate;
    char *dir, *prefix, *passphrase_file;
    struct dump_writer *writer;
    struct dump_manifest manifest;
    int fd, pipe_size;      /* what pg_dumpall writes */
    struct err *e;
    bool busy;              /* a thread has it */
    struct dumping *owner;  /* NULL: given up */
    void (*then)(struct dumping *d);
};

struct dumping {
    struct run *r;
    struct op *op;
    struct run_asked *asked;
    struct pg_tool *tool;
    struct child *child;
    struct timer *timer;
    struct pump *pump;
    char *program;
    int64_t began_ms;       /* mono */
    int64_t total;          /* bytes by the rehearsal, or rows by the counts; 0 unknown */
    bool total_rows;
    bool opened, piped;     /* the file is; pg_dumpall has its pipe */
    bool pumped, ended;     /* the pipe is; pg_dumpall is */
    int status, signal;
    struct buf reason;      /* pg_dumpall's */
};

struct spec {
    char *prefix;           /* NULL: the workload's name */
    enum run_db db;
    struct dumping *dumping;
};

static const struct spec *spec_of(const struct dumping *d) {
    return d->op->data;
}

/* ---- The pump ---- */

static void pump_free(struct pump *p) {
    dump_writer_free(p->writer);
    dump_manifest_clear(&p->manifest);
    job_gate_free(p->gate);
    if (p->fd >= 0) close(p->fd);
    mem_free(p->dir);
    mem_free(p->prefix);
    mem_free(p->passphrase_file);
    err_free(p->e);
    mem_free(p);
}

static void pump_done(void *arg) {
    struct pump *p = arg;
    p->busy = false;
    if (p->owner) {
        p->then(p->owner);
        return;
    }
    if (p->writer) dump_writer_discard(p->writer);
    pump_free(p);
}

static void pump_open(void *arg) {
    struct pump *p = arg;
    struct dump_writer_options o = {.dir = p->dir, .prefix = p->prefix, .passphrase_file = p->passphrase_file};
    p->e = dump_writer_open(&o, &p->writer);
}

static bool report(struct pump *p) {
    const struct dump_scan *s = dump_writer_scan(p->writer);
    struct buf now = {0};
    dump_scan_now(s, &now);
    bool go_on = job_gate_pass(p->gate, dump_scan_bytes(s), 0, dump_scan_rows(s), buf_str(&now));
    buf_free(&now);
    return go_on;
}

/* pg_dump writes 4 KiB at a time; to wake for each of them would cost both of us more than the work. So a large pipe gets a moment to fill. */
static void let_fill(struct pump *p, size_t got) {
    if (p->pipe_size >= PIPE_SIZE && got < PIPE_SIZE / 4) job_gate_rest(p->gate, FILL_NS);
}

/* Until the end of what pg_dumpall writes, an error of the disk, or told to stop. Closing the pipe then ends pg_dumpall. */
static void pump_read(void *arg) {
    struct pump *p = arg;
    char *chunk = mem_alloc(PIPE_SIZE);
    while (!p->e && report(p)) {
        ssize_t n = read(p->fd, chunk, PIPE_SIZE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) p->e = err_sys(errno, "the pipe of pg_dumpall");
        if (n <= 0) break;
        p->e = dump_writer_add(p->writer, chunk, (size_t)n);
        if (!p->e) let_fill(p, (size_t)n);
    }
    mem_free(chunk);
    close(p->fd);
    p->fd = -1;
    if (!p->e) p->e = dump_writer_sync(p->writer);
}

static void pump_commit(void *arg) {
    struct pump *p = arg;
    p->e = dump_writer_commit(p->writer, &p->manifest);
}

/* On a thread of its own where it takes long. */
static void pump_start(struct dumping *d, void (*run)(void *arg), void (*then)(struct dumping *d)) {
    d->pump->busy = true;
    d->pump->then = then;
    if (run == pump_read) work_start_thread(d->r->loop, run, pump_done, d->pump);
    else work_start(d->r->loop, run, pump_done, d->pump);
}

/* ---- Ends ---- */

/* A thread that is at work keeps the pump, and frees it when it has seen the gate. */
static void pump_leave(struct pump *p) {
    job_gate_stop(p->gate);
    p->owner = NULL;
    if (!p->busy) pump_free(p);
}

static void dumping_free(struct dumping *d) {
    struct spec *spec = d->op->data;
    spec->dumping = NULL;
    run_query_free(d->asked);
    run_pg_env_cancel(d->r, d);
    pg_tool_free(d->tool);
    child_free(d->child);
    timer_free(d->timer);
    pump_leave(d->pump);
    buf_free(&d->reason);
    mem_free(d->program);
    mem_free(d);
}

/* e is taken over. */
static void finish(struct dumping *d, struct err *e, const char *detail) {
    struct run *r = d->r;
    struct op *op = d->op;
    dumping_free(d);
    if (e && err_kind(e) == ERR_UNAVAILABLE) { /* the server is gone: nothing of the dump is kept */
        struct err *told = err_new(ERR_UNAVAILABLE, "%s; no file of it is kept: look at the server's pod and its log, then run the phase again",
                                   err_text(e));
        err_free(e);
        e = told;
    }
    op_job_done(r, op, e, detail);
}

static void set_facts(struct dumping *d) {
    const struct spec *s = spec_of(d);
    const struct dump_manifest *m = &d->pump->manifest;
    dump_fact_set(d->r, s->prefix, "file", dump_writer_file(d->pump->writer));
    dump_fact_set(d->r, s->prefix, "sha256", m->sha256);
    dump_fact_set_int(d->r, s->prefix, "bytes", m->bytes);
    dump_fact_set_json(d->r, s->prefix, "rows", m->tables);
    dump_fact_set(d->r, s->prefix, "strategy", m->strategy);
    dump_fact_set_int(d->r, s->prefix, "server", m->server_version);
    dump_fact_set(d->r, s->prefix, "identifier", m->identifier);
    dump_fact_set_int(d->r, s->prefix, "seconds", (clock_mono_ms() - d->began_ms + 500) / CLOCK_MS_PER_S);
    dump_fact_set_int(d->r, s->prefix, "at", clock_plan_ms());
}

static void on_committed(struct dumping *d) {
    struct err *e = d->pump->e;
    char *detail = NULL;
    d->pump->e = NULL;
    if (!e) {
        const struct dump_manifest *m = &d->pump->manifest;
        set_facts(d);
        detail = str_printf("%s: %.1f MiB, %lld rows in %lld tables, SHA-256 %.12s…, %s", dump_writer_file(d->pump->writer),
                            (double)m->bytes / 1048576, (long long)m->rows, (long long)dump_scan_tables(dump_writer_scan(d->pump->writer)),
                            m->sha256, m->iterations ? "enciphered" : "not enciphered");
    }
    finish(d, e, detail);
    mem_free(detail);
}

static struct err *child_error(const struct dumping *d) {
    struct buf why = {0};
    pg_tool_reason((struct slice){buf_str(&d->reason), d->reason.len}, &why);
    struct err *e = d->signal ? err_new(ERR_FAILED, "%s was ended by signal %d: %s; start the phase again", d->program, d->signal,
                                        buf_str(&why))
                              : err_new(ERR_FAILED, "%s ended with status %d: %s; look after the server, then start the phase again",
                                        d->program, d->status, buf_str(&why));
    buf_free(&why);
    return e;
}

static struct err *judge(struct dumping *d) {
    struct err *e = d->pump->e;
    struct buf why = {0};
    d->pump->e = NULL;
    if (e) return e;
    if (d->status != 0) return child_error(d);
    if (!dump_scan_complete(dump_writer_scan(d->pump->writer), &why))
        e = err_new(ERR_FAILED, "%s ended well, but its dump is not whole: %s; start the phase again", d->program, buf_str(&why));
    buf_free(&why);
    return e;
}

/* Both the pipe and the program have ended. */
static void conclude(struct dumping *d) {
    if (!d->pumped || !d->ended) return;
    struct err *e = judge(d);
    if (e) {
        finish(d, e, NULL);
        return;
    }
    d->pump->manifest.ended_ms = clock_wall_ms();
    timer_stop(d->timer);
    pump_start(d, pump_commit, on_committed);
}

static void on_pumped(struct dumping *d) {
    d->pumped = true;
    if (d->pump->e && !d->ended) { /* it may wait for the server, and would not see its pipe closed for long */
        child_free(d->child);
        d->child = NULL;
        d->ended = true;
    }
    conclude(d);
}

static void on_exit(void *arg, const struct child_exit *x) {
    struct dumping *d = arg;
    d->ended = true;
    d->status = x->status;
    d->signal = x->signal;
    buf_add(&d->reason, buf_str(&x->err), x->err.len);
    conclude(d);
}

/* ---- Progress: never the whole before it is whole ---- */

static void on_timer(void *arg) {
    struct dumping *d = arg;
    struct job_seen seen;
    char text[300];
    job_gate_look(d->pump->gate, &seen);
    int64_t done = d->total_rows ? seen.rows : seen.done;
    if (d->total_rows) snprintf(text, sizeof text, "%s · %.1f MiB", seen.text, (double)seen.done / 1048576);
    else snprintf(text, sizeof text, "%s · %lld rows", seen.text, (long long)seen.rows);
    op_job_progress(d->r, d->op, done, done < d->total ? d->total : 0, d->total_rows ? "rows" : "bytes", text);
}

static int64_t sum_rows(struct json_t *counts) {
    int64_t sum = 0;
    for (void *d = jd_iter(counts); d; d = jd_iter_next(counts, d)) {
        struct json_t *tables = jd_iter_value(d);
        for (void *t = jd_iter(tables); t; t = jd_iter_next(tables, t)) sum += jd_int_value(jd_iter_value(t), 0);
    }
    return sum;
}

/* The rehearsal's dump says how large this one will be; the exact counts, how many rows; else nobody knows. */
static void estimate(struct dumping *d) {
    d->total = dump_fact_rehearsal(spec_of(d)->prefix) ? 0 : run_fact_int(d->r, "rehearse.dump.bytes", 0);
    if (d->total > 0 || dump_fact_rehearsal(spec_of(d)->prefix)) return;
    struct json_t *counts = run_fact_json(d->r, "counts");
    d->total = counts ? sum_rows(counts) : 0;
    d->total_rows = d->total > 0;
    if (counts) jd_free(counts);
}

/* ---- Beginning ---- */

/* When there is something to read from and to write to. */
static void begin_reading(struct dumping *d) {
    if (!d->opened || !d->piped) return;
    estimate(d);
    timer_start(d->timer, PROGRESS_MS, PROGRESS_MS);
    pump_start(d, pump_read, on_pumped);
}

static void on_env(void *arg, const char *const *env, const struct err *e) {
    struct dumping *d = arg;
    int pipe_fd[2];
    char lock_wait[64];
    if (e) {
        finish(d, err_copy(e), NULL);
        return;
    }
    if (pipe2(pipe_fd, O_CLOEXEC)) {
        finish(d, err_sys(errno, "a pipe for pg_dumpall"), NULL);
        return;
    }
#ifdef F_SETPIPE_SZ
    d->pump->pipe_size = fcntl(pipe_fd[1], F_SETPIPE_SZ, PIPE_SIZE); /* a smaller one works too */
#endif
    snprintf(lock_wait, sizeof lock_wait, "--lock-wait-timeout=%d", LOCK_WAIT_MS);
    const char *argv[] = {d->program, "--no-password", lock_wait, NULL};
    struct child_options o = {.argv = argv, .env = env, .stdout_fd = pipe_fd[1], .on_exit = on_exit, .arg = d};
    struct err *failed = child_spawn(d->r->loop, &o, &d->child);
    close(pipe_fd[1]);
    d->pump->fd = pipe_fd[0];
    if (failed) {
        finish(d, failed, NULL);
        return;
    }
    d->pump->manifest.started_ms = clock_wall_ms();
    d->piped = true;
    begin_reading(d);
}

static void on_open(struct dumping *d) {
    struct err *e = d->pump->e;
    d->pump->e = NULL;
    d->opened = true;
    if (e) finish(d, e, NULL);
    else begin_reading(d);
}

static void on_tool(void *arg, const char *path, int version, const struct err *e) {
    struct dumping *d = arg;
    if (e) {
        finish(d, err_copy(e), NULL);
        return;
    }
    d->program = mem_strdup(path);
    if (version / 10000 != d->pump->manifest.server_version / 10000)
        run_note(d->r, "WARN", "%s is of version %d.%d, newer than the server: its dump may hold settings that the server does not know",
                 path, version / 10000, version % 10000);
    run_pg_env(d->r, spec_of(d)->db, "-c lc_messages=C", on_env, d);
}

/* Only a superuser gets the roles' passwords out (safety 10). */
static void on_server(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct dumping *d = arg;
    struct dump_manifest *m = &d->pump->manifest;
    if (e || pg_rows_count(rows) != 1) {
        finish(d, e ? err_copy(e) : err_new(ERR_PROTOCOL, "dump: the server did not say its version"), NULL);
        return;
    }
    if (!pg_rows_bool(rows, 0, 2, false)) {
        finish(d, err_new(ERR_DENIED, "dump: the user is no superuser, so the dump would lack every role's password; name a superuser in "
                          "postgres.conninfo of the plan"), NULL);
        return;
    }
    m->server_version = pg_rows_int(rows, 0, 0, 0);
    m->identifier = utf8_cleaned(pg_rows_text(rows, 0, 1));
    d->tool = pg_tool_find(d->r->loop, "pg_dumpall", (int)m->server_version, on_tool, d);
}

static struct pump *pump_new(struct dumping *d) {
    const struct plan_postgres *plan = d->r->workload->spec;
    const struct spec *s = spec_of(d);
    struct pump *p = MEM_NEW(struct pump);
    p->owner = d;
    p->fd = -1;
    p->gate = job_gate_new();
    p->dir = plan->dump.directory ? mem_strdup(plan->dump.directory) : str_printf("%s/dumps", d->r->dir);
    p->prefix = mem_strdup(s->prefix ? s->prefix : d->r->workload->name);
    p->passphrase_file = plan->dump.encrypt.none ? NULL : mem_strdup(plan->dump.encrypt.passphrase_file);
    p->manifest = (struct dump_manifest){.run = mem_strdup(d->r->id), .workload = mem_strdup(d->r->workload->name),
                                         .strategy = mem_strdup("dumpall"),
                                         .reason = plan->dump.encrypt.none ? mem_strdup(plan->dump.encrypt.reason) : NULL};
    return p;
}

static void dump_start(struct run *r, struct op *op) {
    struct spec *s = op->data;
    struct dumping *d = s->dumping = MEM_NEW(struct dumping);
    d->r = r;
    d->op = op;
    d->began_ms = clock_mono_ms();
    d->timer = timer_new(r->loop, on_timer, d);
    d->pump = pump_new(d);
    dump_fact_clear(r, s->prefix);
    pump_start(d, pump_open, on_open); /* while the server is asked */
    struct run_query q = {.db = s->db, .sql = "SELECT current_setting('server_version_num'), (SELECT system_identifier::text FROM "
                                              "pg_control_system()), current_setting('is_superuser')::bool"};
    d->asked = run_query(r, &q, on_server, d);
}

static void dump_cancel(struct run *r, struct op *op) {
    struct spec *s = op->data;
    (void)r;
    if (s->dumping) dumping_free(s->dumping);
}

static void dump_pause(struct run *r, struct op *op, bool paused) {
    struct spec *s = op->data;
    (void)r;
    if (s->dumping) job_gate_pause(s->dumping->pump->gate, paused);
}

static void spec_free(void *data) {
    struct spec *s = data;
    mem_free(s->prefix);
    mem_free(s);
}

const struct op_job dump_job = {.start = dump_start, .cancel = dump_cancel, .pause = dump_pause};

struct op *script_dump(struct script *s, const char *id, const char *what, enum run_db db, const char *file_prefix) {
    struct spec *spec = MEM_NEW(struct spec);
    spec->prefix = mem_strdup(file_prefix);
    spec->db = db;
    return script_job(s, id, what, &dump_job, spec, spec_free);
}
