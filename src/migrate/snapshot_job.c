/* A snapshot under way. The file is opened (a thread: keys), the active node is found (sys/leader, is_self, and its applied index), asked for
 * the snapshot at once, and what comes is handed in batches to threads that prove, encipher and write it, one batch after another; the
 * stream waits while they lag. When the last byte is written the node is asked once more whether it is still active, and the file is
 * committed.
 *
 * What threads use lives in struct sink, which outlives the operation when that is given up while a thread is at work: its end frees the
 * sink and removes the file. */
#include "migrate/snapshot_job_private.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "migrate/raft.h"
#include "migrate/run_vault.h"
#include "migrate/snapshot_file.h"

#define SNAPSHOT_PATH "/v1/sys/storage/raft/snapshot"
#define LEADER_PATH "/v1/sys/leader"

enum { PROGRESS_MS = 250 };
#define PENDING_MAX ((size_t)4 * 1024 * 1024) /* then the stream waits */

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
    bool held;             /* the stream waits, because the disk lags */
    struct buf answers;    /* of nodes that are not active */
};

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
    bool held = t->pending.len >= PENDING_MAX;
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

/* Not to be paused: while it is taken the node holds a lock that sealing and stepping down wait for. */
const struct op_job snapshot_take_job = {.start = take_start, .cancel = take_cancel};
