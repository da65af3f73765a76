/* A writer is a reader of the world's changes (world.h) that writes what it meets. Two things come on top: the records
 * around the first pass, which is the snapshot, and the noting that a pass took so long that states in between are
 * lost. */
#include "world/stream.h"

#include <unistd.h>

#include "base/json_writer.h"
#include "base/mem.h"
#include "world/freshness.h"
#include "world/world.h"

enum { LAGGED_AFTER_MS = 2000 };

struct stream_writer {
    struct world *w;
    struct world_reader *reader;
    char *version, *plan, *context; /* of the hello */
    unsigned peer;
    bool greeted;
    bool in_snapshot;
    bool tick_due;        /* it was behind when the tick came: told when it has caught up */
    uint64_t committed;   /* seq of the last commit */
    int64_t behind_since; /* 0: it is not behind, or still in the snapshot */
};

struct stream_writer *stream_writer_new(struct world *w, const struct stream_hello *hello)
{
    struct stream_writer *s = MEM_NEW(struct stream_writer);
    s->w = w;
    s->reader = world_reader_new(w);
    s->version = mem_strdup(hello->version);
    s->plan = mem_strdup(hello->plan);
    s->context = mem_strdup(hello->context);
    s->peer = hello->peer;
    return s;
}

void stream_writer_free(struct stream_writer *s)
{
    if (!s)
        return;
    world_reader_free(s->reader);
    mem_free(s->version);
    mem_free(s->plan);
    mem_free(s->context);
    mem_free(s);
}

static void record_begin(struct json_writer *jw, struct buf *out, const char *type)
{
    jw_init(jw, out);
    jw_object(jw);
    jw_key(jw, "t");
    jw_str(jw, type);
}

static void record_end(struct json_writer *jw)
{
    jw_end_object(jw);
    buf_addc(jw->out, '\n');
}

/* A record with one number, or none if `key` is NULL. */
static void write_number(struct buf *out, const char *type, const char *key, int64_t v)
{
    struct json_writer jw;
    record_begin(&jw, out, type);
    if (key) {
        jw_key(&jw, key);
        jw_int(&jw, v);
    }
    record_end(&jw);
}

static void write_hello(struct stream_writer *s, struct buf *out)
{
    struct json_writer jw;
    record_begin(&jw, out, "hello");
    jw_key(&jw, "schema");
    jw_int(&jw, STREAM_SCHEMA);
    jw_key(&jw, "version");
    jw_str(&jw, s->version);
    jw_key(&jw, "plan");
    jw_str(&jw, s->plan);
    jw_key(&jw, "context");
    jw_str(&jw, s->context);
    if (s->peer) {
        jw_key(&jw, "peer");
        jw_int(&jw, s->peer);
    }
    jw_key(&jw, "pid");
    jw_int(&jw, getpid());
    jw_key(&jw, "now");
    jw_int(&jw, world_now(s->w));
    record_end(&jw);
}

/* The members of the "row" object. */
static void write_cells(struct json_writer *jw, const struct row *r)
{
    const struct world_table_info *info = world_table_info(row_table(r));
    struct cell cells[WORLD_COLS_MAX];
    row_cells(r, cells);
    for (size_t i = 0; i < info->ncols; i++) {
        if (cells[i].type == CELL_NULL)
            continue;
        jw_key(jw, info->cols[i].name);
        if (cells[i].type == CELL_TEXT)
            jw_slice(jw, cells[i].s);
        else if (info->cols[i].type == COL_BOOL)
            jw_bool(jw, cells[i].i != 0);
        else
            jw_int(jw, cells[i].i);
    }
}

static void write_row(const struct stream_writer *s, const struct row *r, bool removed, struct buf *out)
{
    struct json_writer jw;
    record_begin(&jw, out, removed ? "remove" : "upsert");
    jw_key(&jw, "table");
    jw_str(&jw, world_table_info(row_table(r))->name);
    jw_key(&jw, "key");
    jw_slice(&jw, row_key(r));
    if (!removed && *row_src(s->w, r)) {
        jw_key(&jw, "src");
        jw_str(&jw, row_src(s->w, r));
    }
    jw_key(&jw, "seq");
    jw_int(&jw, (int64_t)row_seq(r));
    if (!removed) {
        jw_key(&jw, "at");
        jw_int(&jw, row_changed(r));
        jw_key(&jw, "row");
        jw_object(&jw);
        write_cells(&jw, r);
        jw_end_object(&jw);
    }
    record_end(&jw);
}

/* Time goes on also where something changes in every second, just before it would be told. */
static void write_due_tick(struct stream_writer *s, struct buf *out)
{
    if (s->tick_due)
        write_number(out, "tick", "now", world_now(s->w));
    s->tick_due = false;
}

/* Everything is written: what stands there now belongs together. */
static void caught_up(struct stream_writer *s, struct buf *out)
{
    uint64_t seq = world_seq(s->w);
    if (s->in_snapshot) {
        s->in_snapshot = false;
        write_number(out, "end", "seq", (int64_t)seq);
    } else if (seq == s->committed) {
        write_due_tick(s, out);
        return;
    }
    if (s->behind_since && world_now(s->w) - s->behind_since > LAGGED_AFTER_MS)
        write_number(out, "lagged", "ms", world_now(s->w) - s->behind_since);
    s->behind_since = 0;
    s->committed = seq;
    write_number(out, "commit", "seq", (int64_t)seq);
    write_due_tick(s, out);
}

static void note_behind(struct stream_writer *s)
{
    if (!s->in_snapshot && !s->behind_since)
        s->behind_since = world_now(s->w);
}

bool stream_writer_fill(struct stream_writer *s, struct buf *out, size_t max)
{
    size_t start = out->len;
    bool first = !s->greeted;
    if (first) {
        s->greeted = true;
        write_hello(s, out);
    }
    if (world_reader_restarted(s->reader) || first) {
        s->in_snapshot = true;
        write_number(out, "begin", NULL, 0);
    }
    while (out->len - start < max) {
        bool removed = false;
        const struct row *r = world_reader_next(s->reader, &removed);
        if (!r)
            break;
        write_row(s, r, removed, out);
    }
    if (world_reader_behind(s->reader)) {
        note_behind(s);
        return true;
    }
    caught_up(s, out);
    return false;
}

void stream_writer_tick(struct stream_writer *s, struct buf *out)
{
    if (!s->greeted || s->in_snapshot || world_reader_behind(s->reader)) {
        if (s->greeted)
            note_behind(s);
        s->tick_due = s->greeted;
        return;
    }
    s->tick_due = false;
    write_number(out, "tick", "now", world_now(s->w));
}

void stream_writer_bye(struct stream_writer *s, const char *reason, struct buf *out)
{
    struct json_writer jw;
    if (!s->greeted)
        write_hello(s, out);
    s->greeted = true;
    record_begin(&jw, out, "bye");
    jw_key(&jw, "reason");
    jw_str(&jw, reason);
    record_end(&jw);
}

void stream_row_json(const struct world *w, const struct row *r, bool with_freshness, struct buf *out)
{
    struct json_writer jw;
    jw_init(&jw, out);
    jw_object(&jw);
    if (with_freshness) {
        jw_key(&jw, "key");
        jw_slice(&jw, row_key(r));
    }
    write_cells(&jw, r);
    if (with_freshness) {
        struct fresh f = world_freshness(w, r);
        jw_key(&jw, "freshness");
        jw_str(&jw, freshness_name(f.state));
        if (f.age_ms >= 0) {
            jw_key(&jw, "freshness_age_ms");
            jw_int(&jw, f.age_ms);
        }
    }
    jw_end_object(&jw);
}
