/* Takes a stream apart line by line. Its size is not trusted (a line is bounded, so are keys and texts), nor is its
 * text, which is cleaned once more; records, tables and columns that it does not know are passed over.
 *
 * A snapshot is a sweep over every table: what it does not name is gone when it ends. */
#include "world/stream.h"

#include <string.h>

#include "base/json_reader.h"
#include "base/json_splitter.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "world/world.h"
#include "world/world_internal.h"

struct stream_reader {
    struct world *w;
    struct stream_reader_events ev;
    void *arg;
    struct json_splitter *lines;
    bool greeted;
    bool in_snapshot;
    uint32_t sweep;
    struct buf key, src; /* of the record that is being read */
    struct buf texts;    /* its cells, where they are not as they stand in the line */
};

/* What a record says; what was not there is absent or -1. Slices point into the line or into the reader's buffers. */
struct record {
    char type[12];
    enum world_table table;
    int64_t at, now, ms, schema, peer;
    struct slice row; /* {…}, of an upsert whose table came after it */
    bool have_row, have_key;
    struct cell cells[WORLD_COLS_MAX];
    char *version, *plan, *context, *reason;
};

static struct err *read_line(void *arg, enum json_piece kind, const char *p, size_t n);

static struct json_splitter *new_lines(struct stream_reader *s)
{
    return json_splitter_new(JSON_SPLIT_LINES, STREAM_LINE_MAX, read_line, s);
}

struct stream_reader *stream_reader_new(struct world *w, const struct stream_reader_events *ev, void *arg)
{
    struct stream_reader *s = MEM_NEW(struct stream_reader);
    s->w = w;
    s->ev = ev ? *ev : (struct stream_reader_events){0};
    s->arg = arg;
    s->lines = new_lines(s);
    return s;
}

void stream_reader_reset(struct stream_reader *s)
{
    json_splitter_free(s->lines);
    s->lines = new_lines(s);
    s->greeted = s->in_snapshot = false;
}

void stream_reader_free(struct stream_reader *s)
{
    if (!s)
        return;
    json_splitter_free(s->lines);
    buf_free(&s->key);
    buf_free(&s->src);
    buf_free(&s->texts);
    mem_free(s);
}

struct err *stream_reader_feed(struct stream_reader *s, const char *p, size_t n)
{
    return err_wrap(json_splitter_feed(s->lines, p, n), "reading ferryman's stream");
}

/* ---- Reading a record -------------------------------------------------------------------------------------------- */

/* The text so that it stays valid while the record is read: itself if it is clean and stands in the line, else a clean
 * copy. texts has room for it (read_line), so that earlier copies do not move. */
static struct slice keep_text(struct stream_reader *s, const struct json_reader *r, struct slice text)
{
    bool clean = utf8_is_clean(text);
    if (clean && text.p >= r->start && text.p < r->end)
        return text;
    size_t from = s->texts.len;
    if (clean)
        buf_add_slice(&s->texts, text);
    else
        utf8_clean(&s->texts, text);
    return (struct slice){buf_str(&s->texts) + from, s->texts.len - from};
}

/* The next value as a cell of the column's type; null if it is of another. */
static struct cell read_cell(struct stream_reader *s, struct json_reader *r, enum col_type type)
{
    enum json_type is = json_peek(r);
    if (type == COL_TEXT || type == COL_STATE) {
        struct slice text = json_string(r);
        return is == JSON_STRING && text.p ? cell_slice(keep_text(s, r, text)) : CELL_NONE;
    }
    if (is == JSON_BOOL && type == COL_BOOL)
        return cell_bool(json_bool(r, false));
    if (is == JSON_NUMBER && type != COL_BOOL) {
        int64_t v = json_int(r, INT64_MIN);
        return v == INT64_MIN ? CELL_NONE : cell_int(v); /* out of range */
    }
    json_skip(r);
    return CELL_NONE;
}

/* The column of this name, looked for from *hint on: rows come in the order of columns. */
static int find_col(const struct world_table_info *info, struct slice name, size_t *hint)
{
    for (size_t i = 0; i < info->ncols; i++) {
        size_t col = (*hint + i) % info->ncols;
        if (slice_is(name, info->cols[col].name)) {
            *hint = col + 1;
            return (int)col;
        }
    }
    return -1;
}

static void read_row(struct stream_reader *s, struct json_reader *r, struct record *rec)
{
    const struct world_table_info *info = world_table_info(rec->table);
    struct slice name;
    size_t hint = 0;
    if (!json_enter_object(r))
        return;
    rec->have_row = true;
    while (json_next_key(r, &name)) {
        int col = find_col(info, name, &hint);
        if (col >= 0)
            rec->cells[col] = read_cell(s, r, info->cols[col].type);
        else
            json_skip(r);
    }
}

static void read_text(struct json_reader *r, struct buf *ret)
{
    struct slice text = json_string(r);
    buf_clear(ret);
    if (utf8_is_clean(text))
        buf_add_slice(ret, text);
    else
        utf8_clean(ret, text);
}

static void read_word(struct json_reader *r, char **ret)
{
    struct slice text = json_string(r);
    mem_free(*ret);
    *ret = text.p ? utf8_cleaned(text) : NULL;
}

/* Members of the rarer records. */
static void read_other_member(struct json_reader *r, struct slice name, struct record *rec)
{
    const struct {
        const char *name;
        int64_t *number;
        char **word;
    } members[] = {
        {"now", &rec->now, NULL},          {"ms", &rec->ms, NULL},
        {"schema", &rec->schema, NULL},    {"version", NULL, &rec->version},
        {"plan", NULL, &rec->plan},        {"context", NULL, &rec->context},
        {"reason", NULL, &rec->reason},    {"peer", &rec->peer, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (!slice_is(name, members[i].name))
            continue;
        if (members[i].number)
            *members[i].number = json_int(r, -1);
        else
            read_word(r, members[i].word);
        return;
    }
    json_skip(r);
}

static void read_member(struct stream_reader *s, struct json_reader *r, struct slice name, struct record *rec)
{
    if (slice_is(name, "t")) {
        struct slice type = json_string(r);
        if (type.n < sizeof rec->type) {
            memcpy(rec->type, type.p ? type.p : "", type.n);
            rec->type[type.n] = '\0';
        }
    } else if (slice_is(name, "table")) {
        rec->table = world_table_by_name(json_string(r));
    } else if (slice_is(name, "key")) {
        rec->have_key = json_peek(r) == JSON_STRING;
        read_text(r, &s->key);
    } else if (slice_is(name, "src")) {
        read_text(r, &s->src);
    } else if (slice_is(name, "at")) {
        rec->at = json_int(r, -1);
    } else if (slice_is(name, "row")) {
        if (rec->table != T_COUNT)
            read_row(s, r, rec);
        else
            rec->row = json_raw(r);
    } else {
        read_other_member(r, name, rec);
    }
}

/* ---- Applying it ------------------------------------------------------------------------------------------------- */

static struct err *apply_hello(struct stream_reader *s, const struct record *rec)
{
    if (rec->schema != STREAM_SCHEMA)
        return err_new(ERR_PROTOCOL,
                       "it has schema %lld (ferryman %s), and this is ferryman %s, which reads schema %d: use the same "
                       "version at both ends",
                       (long long)rec->schema, rec->version ? rec->version : "unknown", FERRYMAN_VERSION,
                       STREAM_SCHEMA);
    s->greeted = true;
    if (rec->now >= 0)
        world_set_now(s->w, rec->now);
    if (s->ev.on_hello)
        s->ev.on_hello(s->arg, rec->version ? rec->version : "", rec->plan, rec->context,
                       rec->peer > 0 ? (unsigned)rec->peer : 0);
    return NULL;
}

static void apply_snapshot_end(struct stream_reader *s)
{
    if (!s->in_snapshot)
        return;
    s->in_snapshot = false;
    for (int t = 0; t < T_COUNT; t++)
        world_sweep_end_all(s->w, (enum world_table)t, s->sweep);
}

static void apply_upsert(struct stream_reader *s, const struct record *rec)
{
    if (rec->have_row && rec->have_key && rec->table != T_COUNT)
        world_upsert_at(s->w, rec->table, buf_slice(&s->key), buf_str(&s->src), rec->cells,
                        rec->at >= 0 ? rec->at : world_now(s->w));
}

static struct err *apply(struct stream_reader *s, const struct record *rec)
{
    const char *t = rec->type;
    if (str_eq(t, "hello"))
        return apply_hello(s, rec);
    if (!s->greeted)
        return err_new(ERR_PROTOCOL, "it does not begin with a hello: this is not a stream of ferryman's");
    if (str_eq(t, "upsert")) {
        apply_upsert(s, rec);
    } else if (str_eq(t, "remove")) {
        if (rec->table != T_COUNT && rec->have_key)
            world_remove(s->w, rec->table, buf_slice(&s->key));
    } else if (str_eq(t, "commit")) {
        if (s->ev.on_commit)
            s->ev.on_commit(s->arg);
    } else if (str_eq(t, "tick")) {
        if (rec->now >= 0)
            world_set_now(s->w, rec->now);
        if (s->ev.on_tick)
            s->ev.on_tick(s->arg);
    } else if (str_eq(t, "begin")) {
        s->in_snapshot = true;
        s->sweep = world_sweep_begin(s->w);
    } else if (str_eq(t, "end")) {
        apply_snapshot_end(s);
    } else if (str_eq(t, "lagged")) {
        if (s->ev.on_lagged)
            s->ev.on_lagged(s->arg, rec->ms);
    } else if (str_eq(t, "bye")) {
        if (s->ev.on_bye)
            s->ev.on_bye(s->arg, rec->reason ? rec->reason : "");
    }
    return NULL;
}

/* The row of a record in which it stood before its table. */
static void read_late_row(struct stream_reader *s, struct record *rec)
{
    struct json_reader r;
    json_reader_init(&r, rec->row.p, rec->row.n);
    read_row(s, &r, rec);
    json_reader_free(&r);
}

static struct err *read_line(void *arg, enum json_piece kind, const char *p, size_t n)
{
    (void)kind;
    struct stream_reader *s = arg;
    struct json_reader r;
    struct record rec = {.table = T_COUNT, .at = -1, .now = -1, .ms = -1, .schema = -1, .peer = -1};
    struct slice name;
    buf_clear(&s->key);
    buf_clear(&s->src);
    buf_clear(&s->texts);
    buf_reserve(&s->texts, n * 3); /* one malformed byte becomes three */
    json_reader_init(&r, p, n);
    if (json_enter_object(&r))
        while (json_next_key(&r, &name))
            read_member(s, &r, name, &rec);
    struct err *err = json_finish(&r, s->greeted ? "a record" : "its first line");
    if (!err && rec.row.p && rec.table != T_COUNT && !rec.have_row)
        read_late_row(s, &rec);
    if (!err)
        err = apply(s, &rec);
    json_reader_free(&r);
    mem_free(rec.version);
    mem_free(rec.plan);
    mem_free(rec.context);
    mem_free(rec.reason);
    return err;
}
