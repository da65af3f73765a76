/* A snapshot under way. The file is opened (a thread: keys), the active node is found (sys/leader, is_self, and its applied index), asked for
 * the snapshot at once, and what comes is handed in batches to threads that prove, encipher and write it, one batch after another; the
 * stream waits while they lag. When the last byte is written the node is asked once more whether it is still active, and the file is
 * committed.
 *
 * What threads use lives in struct sink, which outlives the operation when that is given up while a thread is at work: its end frees the
 * sink and removes the file. */
#include "migrate/snapshot_job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/job_gate.h"
#include "migrate/raft.h"
#include "migrate/run_vault.h"
#include "migrate/snapshot_file.h"
#include "world/world.h"

#define SNAPSHOT_PATH "/v1/sys/storage/raft/snapshot"
#define LEADER_PATH "/v1/sys/leader"

enum { PROGRESS_MS = 250, FREE_PERCENT = 10 };
#define PENDING_MAX ((size_t)4 * 1024 * 1024) /* then the stream waits */
#define MINUTE_MS (INT64_C(60) * CLOCK_MS_PER_S)

/* What threads see. */
struct sink {
    char *dir, *prefix, *passphrase_file;
    struct snapshot_writer *writer;
    struct buf batch;
    int64_t applied;
    struct snapshot_manifest manifest;
    struct snapshot_said said;
    struct err *e;
    bool busy;             /* a thread has it */
    struct taking *owner;  /* NULL: given up */
    void (*then)(struct taking *t);
};

struct taking {
    struct run *r;
    struct op *op;
    struct sink *sink;
    struct run_vault_asked *asked;
    struct run_vault_stream *stream;
    struct timer *timer;
    struct buf pending;    /* came while a thread was at work */
    int64_t came;          /* bytes */
    char node[256];        /* asked now, or active */
    char hint[256];        /* the leader as the world had it; "" */
    int64_t ordinal;       /* of the node that is asked next */
    int64_t active_ms;     /* since when it is active, by itself */
    bool ended;            /* the stream has */
    bool paused, held;     /* by the operator; because the disk lags */
    struct buf answers;    /* of nodes that are not active */
};

char *snapshot_dir(const struct run *r) {
    const struct plan_raft *p = raft_spec(r);
    return p->snapshot.directory ? mem_strdup(p->snapshot.directory) : str_printf("%s/snapshots", r->dir);
}

/* ---- The sink ---- */

static void sink_free(struct sink *k) {
    snapshot_writer_free(k->writer);
    snapshot_manifest_clear(&k->manifest);
    snapshot_said_clear(&k->said);
    buf_free(&k->batch);
    mem_free(k->dir);
    mem_free(k->prefix);
    mem_free(k->passphrase_file);
    err_free(k->e);
    mem_free(k);
}

static void sink_done(void *arg) {
    struct sink *k = arg;
    k->busy = false;
    if (k->owner) {
        k->then(k->owner);
        return;
    }
    if (k->writer) snapshot_writer_discard(k->writer);
    sink_free(k);
}

static void sink_start(struct taking *t, void (*run)(void *arg), void (*then)(struct taking *t)) {
    t->sink->busy = true;
    t->sink->then = then;
    work_start_thread(t->r->loop, run, sink_done, t->sink);
}

static void sink_leave(struct sink *k) {
    k->owner = NULL;
    if (!k->busy) sink_free(k);
}

static void sink_open(void *arg) {
    struct sink *k = arg;
    k->e = snapshot_writer_open(k->dir, k->prefix, k->passphrase_file, &k->writer);
}

static void sink_write(void *arg) {
    struct sink *k = arg;
    k->e = snapshot_writer_add(k->writer, buf_slice(&k->batch));
    buf_clear(&k->batch);
}

static void sink_commit(void *arg) {
    struct sink *k = arg;
    k->e = snapshot_writer_commit(k->writer, k->applied, &k->manifest, &k->said);
}

/* ---- Ends ---- */

static void taking_free(struct taking *t) {
    t->op->data = NULL;
    run_vault_ask_free(t->asked);
    run_vault_stream_free(t->stream);
    timer_free(t->timer);
    sink_leave(t->sink);
    buf_free(&t->pending);
    buf_free(&t->answers);
    mem_free(t);
}

/* e is taken over. Nothing of what is not whole is kept. */
static void finish(struct taking *t, struct err *e, const char *detail) {
    struct run *r = t->r;
    struct op *op = t->op;
    if (e && !t->sink->busy && t->sink->writer) snapshot_writer_discard(t->sink->writer);
    taking_free(t);
    op_job_done(r, op, e, detail);
}

static void clear_facts(struct run *r) {
    static const char *const names[] = {"file", "sha256", "bytes", "index", "term", "node", "at", "proved_at"};
    char name[64];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(name, sizeof name, "snapshot.%s", names[i]);
        if (run_has(r, name)) run_set(r, name, "");
    }
}

static void set_facts(struct taking *t) {
    const struct snapshot_manifest *m = &t->sink->manifest;
    char hash[HASH_HEX_SIZE];
    struct run *r = t->r;
    snapshot_writer_hash(t->sink->writer, hash);
    clear_facts(r); /* of the one before, which served until now */
    run_set(r, "snapshot.file", snapshot_writer_file(t->sink->writer));
    run_set(r, "snapshot.sha256", hash);
    run_set_int(r, "snapshot.bytes", m->bytes);
    run_set_int(r, "snapshot.index", m->index);
    run_set_int(r, "snapshot.term", m->term);
    run_set(r, "snapshot.node", m->node);
    run_set_int(r, "snapshot.at", m->at_ms);
}

static void on_committed(struct taking *t) {
    struct sink *k = t->sink;
    struct err *e = k->e;
    char *detail = NULL;
    k->e = NULL;
    if (!e) {
        set_facts(t);
        const char *slash = strrchr(snapshot_writer_file(k->writer), '/');
        detail = str_printf("%s: %.1f MiB from %s, index %lld, term %lld, %zu of %s vote, %s", slash ? slash + 1 : snapshot_writer_file(k->writer),
                            (double)k->manifest.bytes / 1048576, k->manifest.node, (long long)k->manifest.index, (long long)k->manifest.term,
                            k->said.voters, buf_str(&k->said.nodes), k->manifest.iterations ? "enciphered" : "not enciphered");
    }
    finish(t, e, detail);
    mem_free(detail);
}

/* ---- Who is active ---- */

static bool take_leader(const struct vault_reply *reply, struct vault_leader *ret, struct buf *why) {
    struct err *e = reply->fate == VAULT_ANSWERED && reply->status == 200 ? vault_parse_leader(reply->body, ret) : NULL;
    bool answered = reply->fate == VAULT_ANSWERED && reply->status == 200 && !e;
    if (e) buf_adds(why, err_text(e));
    else if (!answered && reply->error) buf_adds(why, err_text(reply->error));
    else if (!answered) buf_printf(why, "status %d", reply->status);
    err_free(e);
    return answered;
}

/* A leadership that was lost and won again meanwhile is seen by its beginning. */
static void on_asked_after(void *arg, const struct vault_reply *reply) {
    struct taking *t = arg;
    struct vault_leader l = {0};
    struct buf why = {0};
    struct err *e = NULL;
    run_vault_ask_free(t->asked);
    t->asked = NULL;
    if (!take_leader(reply, &l, &why))
        e = err_new(ERR_UNAVAILABLE, "%s sent it, and does not say whether it is still active: %s; begin again", t->node, buf_str(&why));
    else if (!l.is_self || l.active_ms != t->active_ms)
        e = err_new(ERR_FAILED, "%s sent it, and lost its leadership meanwhile; begin again, from the one that is active now", t->node);
    buf_free(&why);
    if (e) finish(t, e, NULL);
    else sink_start(t, sink_commit, on_committed);
}

static void ask_leader(struct taking *t, void (*fn)(void *arg, const struct vault_reply *reply)) {
    t->asked = run_vault_ask(t->r, &(struct run_vault_call){.node = t->node, .path = LEADER_PATH}, fn, t);
}

/* ---- What comes ---- */

static void hold(struct taking *t) {
    bool held = t->paused || t->pending.len >= PENDING_MAX;
    if (held != t->held && t->stream) run_vault_stream_pause(t->stream, held);
    t->held = held;
}

static void pump(struct taking *t);

static void on_written(struct taking *t) {
    struct err *e = t->sink->e;
    t->sink->e = NULL;
    if (e) finish(t, e, NULL);
    else pump(t);
}

/* The next batch, or the end. */
static void pump(struct taking *t) {
    if (t->sink->busy) return;
    if (t->pending.len > 0) {
        struct buf empty = t->sink->batch;
        t->sink->batch = t->pending;
        t->pending = empty;
        sink_start(t, sink_write, on_written);
        hold(t);
    } else if (t->ended && !t->asked) {
        timer_stop(t->timer);
        ask_leader(t, on_asked_after);
    }
}

static void on_data(void *arg, struct slice bytes) {
    struct taking *t = arg;
    t->came += (int64_t)bytes.n;
    buf_add_slice(&t->pending, bytes);
    pump(t);
    hold(t);
}

static void on_end(void *arg, const struct err *e) {
    struct taking *t = arg;
    if (e) {
        finish(t, err_wrap(err_copy(e), "%s", t->node), NULL);
        return;
    }
    run_vault_stream_free(t->stream);
    t->stream = NULL;
    t->ended = true;
    pump(t);
}

/* ---- Beginning ---- */

static void ask_next(struct taking *t);

/* Nothing lies between the answer and the request. */
static void on_asked_before(void *arg, const struct vault_reply *reply) {
    struct taking *t = arg;
    struct vault_leader l = {0};
    struct buf why = {0};
    run_vault_ask_free(t->asked);
    t->asked = NULL;
    bool answered = take_leader(reply, &l, &why);
    if (answered && l.is_self && l.applied > 0) {
        buf_free(&why);
        t->active_ms = l.active_ms;
        t->sink->applied = l.applied;
        t->sink->manifest.node = mem_strdup(t->node);
        t->sink->manifest.at_ms = clock_wall_ms();
        timer_start(t->timer, PROGRESS_MS, PROGRESS_MS);
        t->stream = run_vault_stream(t->r, t->node, SNAPSHOT_PATH, 0, on_data, on_end, t);
        hold(t);
        return;
    }
    buf_printf(&t->answers, "%s%s: %s", t->answers.len ? "; " : "", t->node, !answered ? buf_str(&why) : l.is_self ? "it does not say what it has applied" : "not active");
    buf_free(&why);
    ask_next(t);
}

/* The leader of the world's view first, then all of them. */
static void ask_next(struct taking *t) {
    int64_t n = raft_replicas(t->r);
    if (t->ordinal < 0 && t->hint[0]) {
        str_copy(t->node, sizeof t->node, t->hint);
        t->ordinal = 0;
        ask_leader(t, on_asked_before);
        return;
    }
    for (t->ordinal = t->ordinal < 0 ? 0 : t->ordinal; t->ordinal < n;) {
        snprintf(t->node, sizeof t->node, "%s-%d", raft_spec(t->r)->statefulset, (int)t->ordinal++);
        if (str_eq(t->node, t->hint)) continue;
        ask_leader(t, on_asked_before);
        return;
    }
    finish(t, err_new(ERR_UNAVAILABLE, "no node is active: %s", buf_str(&t->answers)), NULL);
}

static void on_open(struct taking *t) {
    struct err *e = t->sink->e;
    t->sink->e = NULL;
    if (e) finish(t, e, NULL);
    else ask_next(t);
}

static void on_timer(void *arg) {
    struct taking *t = arg;
    char text[sizeof t->node + 100];
    int64_t before = run_fact_int(t->r, "snapshot.bytes", 0);
    snprintf(text, sizeof text, "from %s · %.1f MiB", t->node, (double)t->came / 1048576);
    op_job_progress(t->r, t->op, t->came, t->came < before ? before : 0, "bytes", text);
}

static void take_start(struct run *r, struct op *op) {
    const struct plan_raft *p = raft_spec(r);
    struct taking *t = MEM_NEW(struct taking);
    struct sink *k = MEM_NEW(struct sink);
    const char *leader = raft_leader(r);
    op->data = t;
    t->r = r;
    t->op = op;
    t->sink = k;
    t->ordinal = -1;
    t->timer = timer_new(r->loop, on_timer, t);
    str_copy(t->hint, sizeof t->hint, leader ? leader : "");
    k->owner = t;
    k->dir = snapshot_dir(r);
    k->prefix = mem_strdup(r->workload->name);
    k->passphrase_file = p->snapshot.encrypt.none ? NULL : mem_strdup(p->snapshot.encrypt.passphrase_file);
    k->manifest = (struct snapshot_manifest){.run = mem_strdup(r->id), .workload = mem_strdup(r->workload->name),
                                             .reason = p->snapshot.encrypt.none ? mem_strdup(p->snapshot.encrypt.reason) : NULL};
    sink_start(t, sink_open, on_open);
}

static void take_cancel(struct run *r, struct op *op) {
    (void)r;
    if (op->data) taking_free(op->data);
}

static void take_pause(struct run *r, struct op *op, bool paused) {
    struct taking *t = op->data;
    (void)r;
    if (!t) return;
    t->paused = paused;
    hold(t);
}

static const struct op_job take_job = {.start = take_start, .cancel = take_cancel, .pause = take_pause};

/* ---- Room ---- */

static char *existing(const char *path) {
    char *p = mem_strdup(path);
    struct statvfs s;
    while (statvfs(p, &s) != 0 && errno == ENOENT && !str_eq(p, "/") && !str_eq(p, ".")) {
        char *up = file_dirname(p);
        mem_free(p);
        p = up;
    }
    return p;
}

/* What is taken next is about as large as what was taken last; the first one's size nobody knows, and the writer looks as it writes. */
static enum op_answer judge_room(const struct run *r, const char *dir, struct buf *reason) {
    struct statvfs s;
    char *path = existing(dir);
    struct err *e = statvfs(path, &s) ? err_sys(errno, "%s", path) : snapshot_place(dir);
    mem_free(path);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    double size = (double)s.f_blocks * (double)s.f_frsize, available = (double)s.f_bavail * (double)s.f_frsize;
    double need = (double)run_fact_int(r, "snapshot.bytes", 0) * 1.1;
    buf_printf(reason, "%s: %.0f MiB free", dir, available / 1048576);
    if (available - need >= size * FREE_PERCENT / 100) return OP_DONE;
    buf_printf(reason, ", about %.0f are needed, and %d %% of the disk (%.0f MiB) must stay free: make room there, or set snapshot.directory of the "
                       "plan to another disk", need / 1048576, FREE_PERCENT, size * FREE_PERCENT / 100 / 1048576);
    return OP_REFUSE;
}

static enum op_answer see_room(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen;
    if (r->preview) return OP_DONE;
    char *dir = snapshot_dir(r);
    enum op_answer answer = judge_room(r, dir, reason);
    mem_free(dir);
    return answer;
}

/* ---- The proof from the disk ---- */

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

static const struct op_job prove_job = {.start = prove_start, .cancel = prove_cancel, .pause = prove_pause};

/* ---- Scripts ---- */

void snapshot_script(struct run *r, struct script *s) {
    char *dir = snapshot_dir(r);
    script_check(s, "snapshot room", "room for the snapshot", see_room);
    script_job(s, "snapshot take", script_fmt(s, "GET " SNAPSHOT_PATH " of the active node (" LEADER_PATH " before and after) into %s", dir), &take_job, NULL, NULL);
    script_job(s, "snapshot prove", "read it back from the disk and prove it", &prove_job, NULL, NULL);
    mem_free(dir);
}

static void call_if_old(struct run *r, struct script *s, struct op *op) {
    struct buf why = {0};
    const char *leader = raft_leader(r);
    char active[256] = "";
    (void)op;
    if (leader) str_copy(active, sizeof active, leader);
    if (r->preview || !*active || !snapshot_is_fresh(r, active, &why)) snapshot_script(r, s);
    buf_free(&why);
}

void snapshot_script_fresh(struct run *r, struct script *s) {
    (void)r;
    script_call(s, "snapshot", call_if_old, NULL, NULL);
}

bool snapshot_is_fresh(const struct run *r, const char *active, struct buf *reason) {
    int64_t age = clock_wall_ms() - run_fact_int(r, "snapshot.at", 0);
    if (r->preview) return true;
    if (!run_has(r, "snapshot.proved_at")) buf_adds(reason, run_has(r, "snapshot.file") ? "the snapshot is not proved yet" : "there is no snapshot yet");
    else if (!str_eq(run_fact(r, "snapshot.node"), active))
        buf_printf(reason, "the snapshot is from %s, active is %s now", run_fact(r, "snapshot.node"), active ? active : "nobody that is known");
    else if (age > SNAPSHOT_FRESH_MS) buf_printf(reason, "the snapshot is %lld minutes old, 60 at most are allowed", (long long)(age / MINUTE_MS));
    else if (age < -MINUTE_MS) buf_adds(reason, "the snapshot is from a time that has not come yet: the clock was set back");
    else if (!file_exists(run_fact(r, "snapshot.file"))) buf_printf(reason, "the snapshot %s is not there any more", run_fact(r, "snapshot.file"));
    else return true;
    return false;
}

/* ---- Clean-up ---- */

struct purge {
    char *dir, *prefix, *run, *kept;
    size_t n;
    struct err *e;
    struct run *r;
    struct op *op; /* NULL: given up */
};

static void purge_run(void *arg) {
    struct purge *p = arg;
    p->e = snapshot_remove(p->dir, p->prefix, p->run, p->kept, &p->n);
}

static void purge_done(void *arg) {
    struct purge *p = arg;
    if (p->op) {
        char text[100];
        snprintf(text, sizeof text, "%zu removed", p->n);
        p->op->data = NULL;
        op_job_done(p->r, p->op, p->e, text);
        p->e = NULL;
    }
    err_free(p->e);
    mem_free(p->dir);
    mem_free(p->prefix);
    mem_free(p->run);
    mem_free(p->kept);
    mem_free(p);
}

static void purge_start(struct run *r, struct op *op) {
    struct purge *p = MEM_NEW(struct purge);
    *p = (struct purge){.dir = snapshot_dir(r), .prefix = mem_strdup(r->workload->name), .run = mem_strdup(r->id), .r = r, .op = op,
                        .kept = run_has(r, "snapshot.file") ? mem_strdup(run_fact(r, "snapshot.file")) : NULL};
    op->data = p;
    work_start(r->loop, purge_run, purge_done, p);
}

static void purge_cancel(struct run *r, struct op *op) {
    struct purge *p = op->data;
    (void)r;
    if (p) p->op = NULL;
    op->data = NULL;
}

static const struct op_job purge_job = {.start = purge_start, .cancel = purge_cancel};

void snapshot_script_purge(struct run *r, struct script *s) {
    char *dir = snapshot_dir(r);
    script_job(s, "snapshots purge", script_fmt(s, "remove the snapshots of this run in %s, but the newest", dir), &purge_job, NULL, NULL);
    mem_free(dir);
}
