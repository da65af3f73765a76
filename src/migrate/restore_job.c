/* A restore under way: the server is asked for its version, a psql that fits is found, a thread of our own opens the dump (all of it is
 * authenticated first), psql is started, and a second thread feeds it. What psql says on stderr is judged as it comes (restore_errors.h);
 * the first error that is not expected ends it.
 *
 * As in dump_job.c, what threads use outlives the operation (struct feed). */
#include "migrate/restore_job.h"

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
#include "client/pg_conn.h"
#include "loop/child.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/dump_fact.h"
#include "migrate/dump_file.h"
#include "migrate/dump_scan.h"
#include "migrate/job_gate.h"
#include "migrate/pg_tool.h"
#include "migrate/restore_errors.h"
#include "migrate/run.h"

enum { PROGRESS_MS = 250, REST_OF_ERROR_MS = 200, HEAD = 4096 };

/* What threads see. */
struct feed {
    struct job_gate *gate;
    char *file, *passphrase_file;
    struct dump_reader *reader;
    struct dump_scan *scan;
    const char *first;        /* the first piece: read when it was opened, to see what psql must know */
    size_t first_n;
    int fd;                   /* psql's standard input */
    bool stopped_reading;     /* psql did */
    struct err *e;
    bool busy;                /* a thread has it */
    struct restoring *owner;  /* NULL: given up */
    void (*then)(struct restoring *x);
};

struct restoring {
    struct run *r;
    struct op *op;
    struct run_asked *asked;
    struct pg_tool *tool;
    struct child *child;
    struct timer *timer, *rest; /* progress; the rest of an error's lines */
    struct restore_errors *errors;
    struct feed *feed;
    char *program;
    int64_t began_ms;
    int version;              /* of psql */
    bool fed, ended;
    int status, signal;
    struct buf reason;
};

struct spec {
    enum run_db db;
    char *expected;
    struct restoring *restoring;
};

static const char *prefix_of(const struct restoring *x) {
    return ((struct spec *)x->op->data)->db == DB_SCRATCH ? "rehearsal" : NULL;
}

/* ---- The feed ---- */

static void feed_free(struct feed *f) {
    dump_reader_free(f->reader);
    dump_scan_free(f->scan);
    job_gate_free(f->gate);
    if (f->fd >= 0) close(f->fd);
    mem_free(f->file);
    mem_free(f->passphrase_file);
    err_free(f->e);
    mem_free(f);
}

static void feed_done(void *arg) {
    struct feed *f = arg;
    f->busy = false;
    if (f->owner) f->then(f->owner);
    else feed_free(f);
}

static void feed_start(struct restoring *x, void (*run)(void *arg), void (*then)(struct restoring *x)) {
    x->feed->busy = true;
    x->feed->then = then;
    work_start_thread(x->r->loop, run, feed_done, x->feed);
}

static bool watch(void *arg, int64_t done, int64_t total) {
    return job_gate_pass(arg, done, total, 0, "checking the dump before it is fed");
}

static void feed_open(void *arg) {
    struct feed *f = arg;
    struct dump_reader_options o = {.file = f->file, .passphrase_file = f->passphrase_file, .watch = {watch, f->gate}};
    f->e = dump_reader_open(&o, &f->reader);
    if (!f->e) f->e = dump_reader_next(f->reader, &f->first, &f->first_n);
}

static bool report(struct feed *f) {
    struct buf now = {0};
    dump_scan_now(f->scan, &now);
    bool go_on = job_gate_pass(f->gate, dump_scan_bytes(f->scan), dump_reader_size(f->reader), dump_scan_rows(f->scan), buf_str(&now));
    buf_free(&now);
    return go_on;
}

/* False: nobody reads any more. */
static bool write_all(struct feed *f, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* All of the dump, as fast as psql takes it; then that it was what it should be. */
static void feed_write(void *arg) {
    struct feed *f = arg;
    const char *p = f->first;
    size_t n = f->first_n;
    bool go_on = true;
    while (!f->e && n > 0 && (go_on = report(f)) && !f->stopped_reading) {
        dump_scan_add(f->scan, p, n);
        f->stopped_reading = !write_all(f, p, n);
        if (!f->stopped_reading) f->e = dump_reader_next(f->reader, &p, &n);
    }
    if (!f->e && go_on && !f->stopped_reading) f->e = dump_reader_finish(f->reader);
    report(f);
    close(f->fd);
    f->fd = -1;
}

/* ---- Ends ---- */

static void feed_leave(struct feed *f) {
    job_gate_stop(f->gate);
    f->owner = NULL;
    if (!f->busy) feed_free(f);
}

static void restoring_free(struct restoring *x) {
    struct spec *spec = x->op->data;
    spec->restoring = NULL;
    run_query_free(x->asked);
    run_pg_env_cancel(x->r, x);
    pg_tool_free(x->tool);
    child_free(x->child);
    timer_free(x->timer);
    timer_free(x->rest);
    restore_errors_free(x->errors);
    feed_leave(x->feed);
    buf_free(&x->reason);
    mem_free(x->program);
    mem_free(x);
}

static void finish(struct restoring *x, struct err *e, const char *detail) {
    struct run *r = x->r;
    struct op *op = x->op;
    restoring_free(x);
    op_job_done(r, op, e, detail);
}

/* SQLSTATE, place, what now; never the row. */
static struct err *server_error(const struct restoring *x) {
    struct buf what = {0}, where = {0};
    int64_t line = restore_errors_line(x->errors);
    restore_errors_text(x->errors, &what);
    if (line > 0) dump_scan_at_line(x->feed->scan, line, &where);
    struct err *e = err_new(ERR_FAILED, "the restore stopped at line %lld of the dump, %s: %s; the server's log has the whole message. "
                            "This half-restored target is to be discarded", (long long)line, where.len ? buf_str(&where) : "outside of any table",
                            buf_str(&what));
    buf_free(&what);
    buf_free(&where);
    return e;
}

static struct err *child_error(const struct restoring *x) {
    struct buf why = {0};
    char how[48];
    pg_tool_reason((struct slice){buf_str(&x->reason), x->reason.len}, &why);
    if (x->signal) snprintf(how, sizeof how, "was ended by signal %d", x->signal);
    else snprintf(how, sizeof how, "ended with status %d", x->status);
    struct err *e = err_new(ERR_FAILED, "%s %s before the dump was restored: %s. This half-restored target is to be discarded", x->program,
                            how, buf_str(&why));
    buf_free(&why);
    return e;
}

static struct err *judge(struct restoring *x) {
    struct feed *f = x->feed;
    struct err *e = f->e;
    f->e = NULL;
    if (restore_errors_failed(x->errors)) {
        err_free(e);
        return server_error(x);
    }
    if (e) return err_wrap(e, "restore");
    if (x->status != 0 || f->stopped_reading) return child_error(x);
    return NULL;
}

static void conclude(struct restoring *x) {
    if (!x->fed || !x->ended) return;
    struct err *e = judge(x);
    char *detail = NULL;
    if (!e) {
        int64_t seconds = (clock_mono_ms() - x->began_ms + 500) / CLOCK_MS_PER_S;
        run_set_int(x->r, prefix_of(x) ? "rehearse.seconds.restore" : "restore.seconds", seconds);
        detail = str_printf("%lld rows in %lld tables, %.1f MiB in %lld s; %lld errors, all expected; %lld notices",
                            (long long)dump_scan_rows(x->feed->scan), (long long)dump_scan_tables(x->feed->scan),
                            (double)dump_scan_bytes(x->feed->scan) / 1048576, (long long)seconds,
                            (long long)restore_errors_expected(x->errors), (long long)restore_errors_notices(x->errors));
    }
    finish(x, e, detail);
    mem_free(detail);
}

/* Ends psql now; its pipe breaks, and the feed ends with it. */
static void stop(void *arg) {
    struct restoring *x = arg;
    if (x->ended) return;
    job_gate_stop(x->feed->gate);
    child_free(x->child);
    x->child = NULL;
    x->ended = true;
    conclude(x);
}

static void on_fed(struct restoring *x) {
    x->fed = true;
    if (x->feed->e && !x->ended) { /* what it has read is not the dump: nothing more of it */
        stop(x);
        return;
    }
    conclude(x);
}

static void on_exit(void *arg, const struct child_exit *end) {
    struct restoring *x = arg;
    x->ended = true;
    x->status = end->status;
    x->signal = end->signal;
    buf_add(&x->reason, buf_str(&end->err), end->err.len);
    timer_stop(x->rest);
    conclude(x);
}

static void on_stderr(void *arg, const char *p, size_t n) {
    struct restoring *x = arg;
    bool before = restore_errors_failed(x->errors);
    restore_errors_add(x->errors, p, n);
    if (!restore_errors_failed(x->errors)) return;
    if (!before) job_gate_stop(x->feed->gate);
    timer_start(x->rest, restore_errors_whole(x->errors) ? 0 : REST_OF_ERROR_MS, 0);
}

/* The whole is never shown before psql has ended well. */
static void on_timer(void *arg) {
    struct restoring *x = arg;
    struct job_seen seen;
    char text[300];
    job_gate_look(x->feed->gate, &seen);
    if (seen.rows > 0) snprintf(text, sizeof text, "%s · %lld rows", seen.text, (long long)seen.rows);
    else str_copy(text, sizeof text, seen.text);
    int64_t done = seen.done < seen.total ? seen.done : seen.total > 0 ? seen.total - 1 : 0;
    op_job_progress(x->r, x->op, done, seen.total, "bytes", text);
}

/* ---- Beginning ---- */

static void on_env(void *arg, const char *const *env, const struct err *e) {
    struct restoring *x = arg;
    int pipe_fd[2];
    if (e) {
        finish(x, err_copy(e), NULL);
        return;
    }
    if (pipe2(pipe_fd, O_CLOEXEC)) {
        finish(x, err_sys(errno, "a pipe for psql"), NULL);
        return;
    }
    const char *argv[] = {x->program, "-X", "-q", "-w", "-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=0", "-o", "/dev/null", "-d", "postgres",
                          "-f", "-", NULL};
    struct child_options o = {.argv = argv, .env = env, .stdin_fd = pipe_fd[0], .on_stderr = on_stderr, .on_exit = on_exit, .arg = x};
    struct err *failed = child_spawn(x->r->loop, &o, &x->child);
    close(pipe_fd[0]);
    x->feed->fd = pipe_fd[1];
    if (failed) {
        finish(x, failed, NULL);
        return;
    }
    feed_start(x, feed_write, on_fed);
}

static void on_open(struct restoring *x) {
    struct feed *f = x->feed;
    struct spec *spec = x->op->data;
    struct err *e = f->e;
    f->e = NULL;
    if (!e && !pg_tool_restricts(x->version) && memmem(f->first, f->first_n < HEAD ? f->first_n : HEAD, "\n\\restrict ", 11))
        e = err_new(ERR_FAILED, "%s of version %d.%d does not know \\restrict, which is in the dump; install the newest "
                    "postgresql-client-%d", x->program, x->version / 10000, x->version % 10000, x->version / 10000);
    if (e) finish(x, e, NULL);
    else run_pg_env(x->r, spec->db, "-c default_transaction_read_only=off -c lc_messages=C", on_env, x);
}

static void on_tool(void *arg, const char *path, int version, const struct err *e) {
    struct restoring *x = arg;
    if (e) {
        finish(x, err_copy(e), NULL);
        return;
    }
    x->program = mem_strdup(path);
    x->version = version;
    timer_start(x->timer, PROGRESS_MS, PROGRESS_MS);
    feed_start(x, feed_open, on_open);
}

static struct err *prepare(struct restoring *x) {
    const struct spec *spec = x->op->data;
    const char *file = dump_fact(x->r, prefix_of(x), "file"), *proved = dump_fact(x->r, prefix_of(x), "proved_at");
    const char *expected = spec->expected && *spec->expected == '@' ? run_fact(x->r, spec->expected + 1) : spec->expected;
    if (!file || !*file) return err_new(ERR_FAILED, "restore: there is no dump; carry out the phase dump first");
    if (!proved || !*proved) return err_new(ERR_FAILED, "restore: the dump %s was not proved; carry out the phase dump again", file);
    x->feed->file = mem_strdup(file);
    return restore_errors_new(expected, &x->errors);
}

static void on_server(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct restoring *x = arg;
    struct err *failed = e ? err_copy(e) : pg_rows_count(rows) != 1 ? err_new(ERR_PROTOCOL, "restore: the server did not say its version")
                                                                    : prepare(x);
    if (failed) finish(x, failed, NULL);
    else x->tool = pg_tool_find(x->r->loop, "psql", (int)pg_rows_int(rows, 0, 0, 0), on_tool, x);
}

static void restore_start(struct run *r, struct op *op) {
    struct spec *spec = op->data;
    struct restoring *x = spec->restoring = MEM_NEW(struct restoring);
    const struct plan_postgres *plan = r->workload->spec;
    x->r = r;
    x->op = op;
    x->began_ms = clock_mono_ms();
    x->timer = timer_new(r->loop, on_timer, x);
    x->rest = timer_new(r->loop, stop, x);
    x->feed = MEM_NEW(struct feed);
    x->feed->fd = -1;
    x->feed->owner = x;
    x->feed->gate = job_gate_new();
    x->feed->scan = dump_scan_new();
    x->feed->passphrase_file = plan->dump.encrypt.none ? NULL : mem_strdup(plan->dump.encrypt.passphrase_file);
    struct run_query q = {.db = spec->db, .sql = "SELECT current_setting('server_version_num')"};
    x->asked = run_query(r, &q, on_server, x);
}

static void restore_cancel(struct run *r, struct op *op) {
    struct spec *spec = op->data;
    (void)r;
    if (spec->restoring) restoring_free(spec->restoring);
}

static void restore_pause(struct run *r, struct op *op, bool paused) {
    struct spec *spec = op->data;
    (void)r;
    if (spec->restoring) job_gate_pause(spec->restoring->feed->gate, paused);
}

static void spec_free(void *data) {
    struct spec *s = data;
    mem_free(s->expected);
    mem_free(s);
}

const struct op_job restore_job = {.start = restore_start, .cancel = restore_cancel, .pause = restore_pause};

struct op *script_restore(struct script *s, const char *id, const char *what, enum run_db db, const char *expected_json) {
    struct spec *spec = MEM_NEW(struct spec);
    spec->db = db;
    spec->expected = mem_strdup(expected_json);
    return script_job(s, id, what, &restore_job, spec, spec_free);
}

static void expect(struct json_t *list, const char *state, const char *name) {
    struct json_t *pair = jd_array();
    jd_append(pair, jd_string(state));
    jd_append(pair, jd_string(name));
    jd_append(list, pair);
}

/* pg_dumpall creates every role but those of the system, and every database but these three. */
void restore_expected(const struct json_t *inventory, struct buf *out) {
    static const char *const never[] = {"template0", "template1", "postgres"};
    struct json_t *list = jd_array(), *roles = jd_member(inventory, "roles"), *databases = jd_member(inventory, "databases");
    for (void *it = roles ? jd_iter(roles) : NULL; it; it = jd_iter_next(roles, it))
        if (!str_starts(jd_iter_key(it), "pg_")) expect(list, "42710", jd_iter_key(it));
    for (void *it = databases ? jd_iter(databases) : NULL; it; it = jd_iter_next(databases, it)) {
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LEN(never); i++) skip = skip || str_eq(jd_iter_key(it), never[i]);
        if (!skip) expect(list, "42P04", jd_iter_key(it));
    }
    jd_dump(list, out);
    jd_free(list);
}
