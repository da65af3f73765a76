#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "world/stream.h"
#include "world/world.h"

static const struct stream_hello hello = {"0.1.0", "nfs-hostile", "home", 0};

/* What the events said. */
struct told {
    int commits, ticks, hellos, byes;
    int64_t lagged;
    char text[128];
};

static void on_commit(void *arg)
{
    ((struct told *)arg)->commits++;
}

static void on_tick(void *arg)
{
    ((struct told *)arg)->ticks++;
}

static void on_hello(void *arg, const char *version, const char *plan, const char *context, unsigned peer)
{
    struct told *t = arg;
    assert_int_equal(peer, 0);
    t->hellos++;
    snprintf(t->text, sizeof t->text, "%s %s %s", version, plan ? plan : "-", context ? context : "-");
}

static void on_lagged(void *arg, int64_t ms)
{
    ((struct told *)arg)->lagged = ms;
}

static void on_bye(void *arg, const char *reason)
{
    struct told *t = arg;
    t->byes++;
    snprintf(t->text, sizeof t->text, "%s", reason);
}

static const struct stream_reader_events events = {on_commit, on_tick, on_hello, on_lagged, on_bye};

static void feed(struct stream_reader *r, const char *text)
{
    struct err *e = stream_reader_feed(r, text, strlen(text));
    if (e)
        fail_msg("%s", err_text(e));
}

static void put(struct world *w, const char *key, int64_t count)
{
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[EVENTS_COUNT] = cell_int(count);
    world_upsert(w, T_EVENTS, slice_of(key), "kube/events", cells);
}

/* ---- What is written --------------------------------------------------------------------------------------------- */

/* Writes everything and compares, with the pid (which nobody knows) cut out. */
static void assert_fill(struct stream_writer *s, const char *want)
{
    struct buf out = {0};
    assert_false(stream_writer_fill(s, &out, SIZE_MAX));
    char *pid = out.p ? strstr(out.p, "\"pid\":") : NULL;
    if (pid)
        memmove(pid, strchr(pid, ',') + 1, strlen(strchr(pid, ',') + 1) + 1);
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

static void test_records(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_set_now(w, 1000);
    struct stream_writer *s = stream_writer_new(w, &hello);
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[SETTINGS_NAME] = cell_text("a \"b\"");
    cells[SETTINGS_PENDING] = cell_bool(true);
    world_upsert(w, T_SETTINGS, SLICE_LIT("immich/a"), "postgres/immich", cells);
    put(w, "e", 2);
    world_remove(w, T_EVENTS, SLICE_LIT("e"));
    assert_fill(s, "{\"t\":\"hello\",\"schema\":1,\"version\":\"0.1.0\",\"plan\":\"nfs-hostile\","
                   "\"context\":\"home\",\"now\":1000}\n"
                   "{\"t\":\"begin\"}\n"
                   "{\"t\":\"upsert\",\"table\":\"settings\",\"key\":\"immich/a\",\"src\":\"postgres/immich\","
                   "\"seq\":1,\"at\":1000,"
                   "\"row\":{\"name\":\"a \\\"b\\\"\",\"pending\":true}}\n"
                   "{\"t\":\"remove\",\"table\":\"events\",\"key\":\"e\",\"seq\":3}\n"
                   "{\"t\":\"end\",\"seq\":3}\n"
                   "{\"t\":\"commit\",\"seq\":3}\n");
    assert_fill(s, "");
    world_upsert(w, T_LOGS, SLICE_LIT("1"), NULL, (struct cell[LOGS_COLS]){{0}});
    struct buf out = {0};
    stream_writer_tick(s, &out); /* behind: told when it has caught up */
    assert_string_equal(buf_str(&out), "");
    assert_fill(s, "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"1\",\"seq\":4,\"at\":1000,\"row\":{}}\n"
                   "{\"t\":\"commit\",\"seq\":4}\n"
                   "{\"t\":\"tick\",\"now\":1000}\n");
    stream_writer_tick(s, &out);
    stream_writer_bye(s, "the engine ends", &out);
    assert_string_equal(buf_str(&out), "{\"t\":\"tick\",\"now\":1000}\n"
                                       "{\"t\":\"bye\",\"reason\":\"the engine ends\"}\n");
    buf_free(&out);
    stream_writer_free(s);
    world_free(w);
}

static void test_fill_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_new();
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        put(w, key, i);
    }
    struct stream_writer *s = stream_writer_new(w, &hello);
    struct buf out = {0};
    int fills = 1;
    while (stream_writer_fill(s, &out, 2000)) {
        assert_true(out.len < 2200);
        buf_clear(&out);
        fills++;
    }
    assert_in_range(fills, 20, 200);
    buf_free(&out);
    stream_writer_free(s);
    world_free(w);
}

static void test_lagged_is_said_once_it_has_caught_up(void **state)
{
    (void)state;
    struct world *w = world_new(), *v = world_new();
    struct told told = {0};
    struct stream_writer *s = stream_writer_new(w, &hello);
    struct stream_reader *r = stream_reader_new(v, &events, &told);
    struct buf out = {0};
    world_set_now(w, 10000);
    assert_false(stream_writer_fill(s, &out, SIZE_MAX));
    put(w, "a", 1);
    stream_writer_tick(s, &out); /* the socket is full: nobody fills */
    world_set_now(w, 11900);
    put(w, "b", 1);
    stream_writer_tick(s, &out);
    assert_false(stream_writer_fill(s, &out, SIZE_MAX));
    feed(r, buf_str(&out));
    assert_int_equal(told.lagged, 0); /* under 2 s */
    buf_clear(&out);

    put(w, "a", 2);
    put(w, "b", 2);
    assert_true(stream_writer_fill(s, &out, 1));
    world_set_now(w, 14200);
    assert_false(stream_writer_fill(s, &out, SIZE_MAX));
    feed(r, buf_str(&out));
    assert_int_equal(told.lagged, 2300);
    told.lagged = 0;
    buf_clear(&out);
    put(w, "a", 3);
    assert_false(stream_writer_fill(s, &out, SIZE_MAX));
    feed(r, buf_str(&out));
    assert_int_equal(told.lagged, 0);
    buf_free(&out);
    stream_reader_free(r);
    stream_writer_free(s);
    world_free(v);
    world_free(w);
}

static void test_row_json(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct buf out = {0};
    world_set_now(w, 5000);
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[SOURCES_STATE] = cell_text("LIVE");
    cells[SOURCES_LAST_OK] = cell_int(4000);
    world_upsert(w, T_SOURCES, SLICE_LIT("kube/events"), NULL, cells);
    put(w, "e", 3);
    const struct row *r = world_find(w, T_EVENTS, SLICE_LIT("e"));
    stream_row_json(w, r, false, &out);
    stream_row_json(w, r, true, &out);
    assert_string_equal(buf_str(&out), "{\"count\":3}"
                                       "{\"key\":\"e\",\"count\":3,\"freshness\":\"LIVE\",\"freshness_age_ms\":1000}");
    buf_clear(&out);
    world_remove(w, T_SOURCES, SLICE_LIT("kube/events"));
    stream_row_json(w, r, true, &out);
    assert_string_equal(buf_str(&out), "{\"key\":\"e\",\"count\":3,\"freshness\":\"DOWN\"}");
    buf_free(&out);
    world_free(w);
}

/* ---- What is read ------------------------------------------------------------------------------------------------ */

#define HELLO "{\"t\":\"hello\",\"schema\":1,\"version\":\"0.1.0\",\"plan\":null,\"context\":\"c\",\"now\":7}\n"

static void test_events(void **state)
{
    (void)state;
    struct world *v = world_new();
    struct told told = {0};
    struct stream_reader *r = stream_reader_new(v, &events, &told);
    feed(r, HELLO);
    assert_string_equal(told.text, "0.1.0 - c");
    assert_int_equal(world_now(v), 7);
    feed(r, "{\"t\":\"begin\"}\n{\"t\":\"end\",\"seq\":0}\n{\"t\":\"commit\",\"seq\":0}\n{\"t\":\"tick\",\"now\":9}\n");
    assert_int_equal(world_now(v), 9);
    feed(r, "{\"t\":\"lagged\",\"ms\":2500}\n{\"t\":\"bye\",\"reason\":\"done\\u0007\"}\n");
    assert_true(told.hellos == 1 && told.commits == 1 && told.ticks == 1 && told.byes == 1 && told.lagged == 2500);
    assert_string_equal(told.text, "done\xef\xbf\xbd");
    stream_reader_free(r);

    r = stream_reader_new(v, NULL, NULL); /* nobody listens */
    feed(r, HELLO "{\"t\":\"commit\"}\n{\"t\":\"tick\"}\n{\"t\":\"lagged\"}\n{\"t\":\"bye\"}\n");
    stream_reader_free(r);
    world_free(v);
}

static void test_members_in_any_order_and_unknown_ones(void **state)
{
    (void)state;
    struct world *v = world_new();
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    feed(r, HELLO);
    feed(r, "{\"row\":{\"line\":\"x\\ty\",\"new\":{\"a\":[1]},\"pod\":\"p\"},"
            "\"key\":\"1\",\"table\":\"logs\",\"t\":\"upsert\"}\n");
    const struct row *row = world_find(v, T_LOGS, SLICE_LIT("1"));
    assert_non_null(row);
    assert_true(slice_is(row_text(row, LOGS_LINE), "x y"));
    assert_true(slice_is(row_text(row, LOGS_POD), "p"));
    assert_int_equal(row_changed(row), 7);
    feed(r, "{\"t\":\"upsert\",\"table\":\"dreams\",\"key\":\"1\",\"row\":{\"a\":1}}\n"
            "{\"t\":\"remove\",\"table\":\"dreams\",\"key\":\"1\"}\n"
            "{\"t\":\"sparkle\"}\n{\"t\":\"a very long name of a record\"}\n{}\n[]\n"
            "{\"t\":\"upsert\",\"table\":\"logs\",\"row\":{}}\n"
            "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"2\"}\n"
            "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"2\",\"row\":[]}\n"
            "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"2\",\"row\":{},\"table\":\"dreams\"}\n"
            "{\"t\":\"remove\",\"table\":\"logs\"}\n");
    assert_int_equal(world_count(v, T_LOGS), 1);
    assert_int_equal(world_seq(v), 1);
    stream_reader_free(r);
    world_free(v);
}

static void test_cells_of_another_type_are_null(void **state)
{
    (void)state;
    struct world *v = world_new();
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    feed(r, HELLO "{\"t\":\"upsert\",\"table\":\"settings\",\"key\":\"1\","
                  "\"row\":{\"name\":3,\"pending\":1,\"value\":null}}\n"
                  "{\"t\":\"upsert\",\"table\":\"events\",\"key\":\"1\",\"row\":{\"count\":true,\"first\":\"x\","
                  "\"last\":99999999999999999999}}\n");
    const struct row *a = world_find(v, T_SETTINGS, SLICE_LIT("1")), *b = world_find(v, T_EVENTS, SLICE_LIT("1"));
    for (int i = 0; i < SETTINGS_COLS; i++)
        assert_int_equal(row_cell(a, i).type, CELL_NULL);
    for (int i = 0; i < EVENTS_COLS; i++)
        assert_int_equal(row_cell(b, i).type, CELL_NULL);
    stream_reader_free(r);
    world_free(v);
}

/* Escapes to the terminal do not get past the reader, however they are written. */
static void test_text_is_cleaned_again(void **state)
{
    (void)state;
    struct world *v = world_new();
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    feed(r, HELLO "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"k\\u001b\",\"src\":\"s\\u0000x\","
                  "\"row\":{\"pod\":\"\\u001b[31m\",\"line\":"
                  "\"\xc2\x9b\xff\"}}\n");
    const struct row *row = world_first(v, T_LOGS);
    assert_true(slice_is(row_key(row), "k\xef\xbf\xbd"));
    assert_true(slice_is(row_text(row, LOGS_POD), "\xef\xbf\xbd[31m"));
    assert_true(slice_is(row_text(row, LOGS_LINE), "\xef\xbf\xbd\xef\xbf\xbd"));
    assert_string_equal(row_src(v, row), "s\xef\xbf\xbdx");
    stream_reader_free(r);
    world_free(v);
}

static void assert_refused(const char *text, const char *want)
{
    struct world *v = world_new();
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    struct err *e = stream_reader_feed(r, text, strlen(text));
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_PROTOCOL);
    if (!strstr(err_text(e), want))
        fail_msg("\"%s\" does not say \"%s\"", err_text(e), want);
    err_free(e);
    e = stream_reader_feed(r, HELLO, strlen(HELLO)); /* what follows an error is not read */
    assert_non_null(e);
    err_free(e);
    stream_reader_reset(r);
    feed(r, HELLO);
    stream_reader_free(r);
    world_free(v);
}

static void test_what_is_no_stream_is_refused(void **state)
{
    (void)state;
    assert_refused("HTTP/1.1 200 OK\n", "its first line");
    assert_refused("{\"t\":\"commit\"}\n", "does not begin with a hello");
    assert_refused("{}\n", "does not begin with a hello");
    assert_refused("{\"t\":\"hello\",\"schema\":2,\"version\":\"9.9\"}\n",
                   "schema 2 (ferryman 9.9), and this is ferryman");
    assert_refused("{\"t\":\"hello\"}\n", "reads schema 1");
    assert_refused(HELLO "{\"t\":\"upsert\",\"table\":\"logs\",\"key\":\"1\",\"row\":{\n", "malformed JSON");
    assert_refused(HELLO "{\"t\":\"tick\"} x\n", "malformed JSON");
}

static void test_a_line_without_end_is_refused(void **state)
{
    (void)state;
    struct world *v = world_new();
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    feed(r, HELLO "{\"t\":\"");
    char *chunk = mem_alloc(65536);
    memset(chunk, 'x', 65536);
    struct err *e = NULL;
    int chunks = 0;
    for (; !e && chunks < 100; chunks++)
        e = stream_reader_feed(r, chunk, 65536);
    assert_non_null(e);
    assert_in_range(chunks, STREAM_LINE_MAX / 65536 - 1, STREAM_LINE_MAX / 65536 + 1);
    err_free(e);
    mem_free(chunk);
    stream_reader_free(r);
    world_free(v);
}

/* The largest row that a world holds fits into a line. */
static void test_the_largest_row_fits(void **state)
{
    (void)state;
    struct world *w = world_new(), *v = world_new();
    char *text = mem_alloc(WORLD_TEXT_MAX + 1);
    memset(text, '"', WORLD_TEXT_MAX);
    text[WORLD_TEXT_MAX] = '\0';
    for (int t = 0; t < T_COUNT; t++) {
        struct cell cells[WORLD_COLS_MAX];
        const struct world_table_info *info = world_table_info((enum world_table)t);
        for (size_t i = 0; i < info->ncols; i++)
            cells[i] = info->cols[i].type == COL_TEXT || info->cols[i].type == COL_STATE ? cell_text(text)
                                                                                         : cell_int(INT64_MIN + 1);
        world_upsert(w, (enum world_table)t, slice_of(text), text, cells);
    }
    struct stream_writer *s = stream_writer_new(w, &hello);
    struct stream_reader *r = stream_reader_new(v, NULL, NULL);
    struct buf out = {0};
    stream_writer_fill(s, &out, SIZE_MAX);
    feed(r, buf_str(&out));
    for (int t = 0; t < T_COUNT; t++)
        assert_int_equal(world_count(v, (enum world_table)t), 1);
    buf_free(&out);
    mem_free(text);
    stream_reader_free(r);
    stream_writer_free(s);
    world_free(v);
    world_free(w);
}

/* ---- Both, at random --------------------------------------------------------------------------------------------- */

static uint32_t random_state;

/* xorshift: the same numbers on every machine. */
static uint32_t rnd(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static const char *rnd_text(void)
{
    static const char *const texts[] = {"", "x", "HOSTILE", "a \"quoted\" \\ text", "grüße, 世界", "pod vault-0, job b",
                                        "pv.spec.csi.driver nfs.csi.k8s.io, server 10.0.0.5, share /export/k8s"};
    return texts[rnd(ARRAY_LEN(texts))];
}

static void rnd_change(struct world *w)
{
    static const enum world_table tables[] = {T_CLAIMS, T_SETTINGS, T_EVENTS};
    static const char *const srcs[] = {"kube/a", "kube/b", ""};
    enum world_table t = tables[rnd(ARRAY_LEN(tables))];
    const struct world_table_info *info = world_table_info(t);
    char key[16];
    snprintf(key, sizeof key, "k%u", rnd(40));
    world_set_now(w, world_now(w) + rnd(100));
    if (rnd(4) == 0) {
        world_remove(w, t, slice_of(key));
        return;
    }
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    for (size_t i = 0; i < info->ncols; i++) {
        enum col_type type = info->cols[i].type;
        if (rnd(3) == 0)
            continue;
        if (type == COL_TEXT || type == COL_STATE)
            cells[i] = cell_text(rnd_text());
        else
            cells[i] = type == COL_BOOL ? cell_bool(rnd(2)) : cell_int((int64_t)rnd(1000000) - 500000);
    }
    world_upsert(w, t, slice_of(key), srcs[rnd(3)], cells);
}

static void assert_worlds_equal(const struct world *w, const struct world *v)
{
    for (int t = 0; t < T_COUNT; t++) {
        assert_int_equal(world_count(w, (enum world_table)t), world_count(v, (enum world_table)t));
        for (const struct row *a = world_first(w, (enum world_table)t); a; a = world_next(w, a)) {
            const struct row *b = world_find(v, (enum world_table)t, row_key(a));
            assert_non_null(b);
            struct buf x = {0}, y = {0};
            stream_row_json(w, a, false, &x);
            stream_row_json(v, b, false, &y);
            assert_string_equal(buf_str(&x), buf_str(&y));
            assert_string_equal(row_src(w, a), row_src(v, b));
            assert_true(row_changed(a) == row_changed(b));
            buf_free(&x);
            buf_free(&y);
        }
    }
}

/* Hands `out` over in pieces of random size. */
static void feed_pieces(struct stream_reader *r, struct buf *out)
{
    size_t at = 0;
    while (at < out->len) {
        size_t n = 1 + rnd(200);
        if (n > out->len - at)
            n = out->len - at;
        struct err *e = stream_reader_feed(r, out->p + at, n);
        if (e)
            fail_msg("%s", err_text(e));
        at += n;
    }
    buf_clear(out);
}

struct mirror {
    struct world *world;
    struct stream_writer *writer;
    struct stream_reader *reader;
    struct buf out;
};

static void mirror_connect(struct mirror *m, struct world *w)
{
    stream_writer_free(m->writer);
    m->writer = stream_writer_new(w, &hello);
    stream_reader_reset(m->reader);
    buf_clear(&m->out);
}

static void test_random_changes_arrive(void **state)
{
    (void)state;
    random_state = 20261122;
    struct world *w = world_new();
    struct mirror mirrors[3] = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(mirrors); i++) {
        mirrors[i].world = world_new();
        mirrors[i].reader = stream_reader_new(mirrors[i].world, NULL, NULL);
        mirror_connect(&mirrors[i], w);
    }
    int met = 0;
    for (int step = 0; step < 6000; step++) {
        for (uint32_t n = rnd(6); n > 0; n--)
            rnd_change(w);
        struct mirror *m = &mirrors[rnd(ARRAY_LEN(mirrors))];
        if (rnd(150) == 0)
            mirror_connect(m, w);
        bool more = stream_writer_fill(m->writer, &m->out, rnd(3) ? rnd(2000) : SIZE_MAX);
        feed_pieces(m->reader, &m->out);
        if (more)
            continue;
        met++;
        assert_worlds_equal(w, m->world);
    }
    assert_true(met > 500);
    for (size_t i = 0; i < ARRAY_LEN(mirrors); i++) {
        stream_writer_free(mirrors[i].writer);
        stream_reader_free(mirrors[i].reader);
        world_free(mirrors[i].world);
        buf_free(&mirrors[i].out);
    }
    world_free(w);
}

static void count_change(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    (void)t;
    (void)old;
    (void)now;
    ++*(int *)arg;
}

/* Connecting again is no change where nothing has changed, and nothing vanishes before the snapshot has ended. */
static void test_reconnecting_gives_only_differences(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct mirror m = {.world = world_new()};
    int changes = 0;
    m.reader = stream_reader_new(m.world, NULL, NULL);
    mirror_connect(&m, w);
    for (const char *key = "abcdefgh"; *key; key++)
        put(w, (const char[]){*key, '\0'}, 1);
    stream_writer_fill(m.writer, &m.out, SIZE_MAX);
    feed(m.reader, buf_str(&m.out));
    world_watch(m.world, count_change, &changes);
    put(w, "a", 2);
    world_remove(w, T_EVENTS, SLICE_LIT("b"));
    mirror_connect(&m, w);
    assert_true(stream_writer_fill(m.writer, &m.out, 400));
    feed(m.reader, buf_str(&m.out));
    assert_int_equal(world_count(m.world, T_EVENTS), 8);
    buf_clear(&m.out);
    assert_false(stream_writer_fill(m.writer, &m.out, SIZE_MAX));
    feed(m.reader, buf_str(&m.out));
    assert_int_equal(changes, 2);
    assert_worlds_equal(w, m.world);
    stream_writer_free(m.writer);
    stream_reader_free(m.reader);
    world_free(m.world);
    buf_free(&m.out);
    world_free(w);
}

/* A writer that could not write while very many rows went begins its snapshot again. */
static void test_after_a_long_stall(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct mirror m = {.world = world_new()};
    m.reader = stream_reader_new(m.world, NULL, NULL);
    mirror_connect(&m, w);
    put(w, "gone", 1);
    put(w, "stays", 1);
    stream_writer_fill(m.writer, &m.out, SIZE_MAX);
    feed(m.reader, buf_str(&m.out));
    buf_clear(&m.out);
    world_remove(w, T_EVENTS, SLICE_LIT("gone"));
    char key[32];
    for (int i = 0; i < 40000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(w, key, 1);
        world_remove(w, T_EVENTS, slice_of(key));
    }
    stream_writer_fill(m.writer, &m.out, SIZE_MAX);
    assert_non_null(strstr(buf_str(&m.out), "{\"t\":\"begin\"}"));
    feed(m.reader, buf_str(&m.out));
    assert_worlds_equal(w, m.world);
    stream_writer_free(m.writer);
    stream_reader_free(m.reader);
    world_free(m.world);
    buf_free(&m.out);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_fill_is_bounded),
        cmocka_unit_test(test_lagged_is_said_once_it_has_caught_up),
        cmocka_unit_test(test_row_json),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_members_in_any_order_and_unknown_ones),
        cmocka_unit_test(test_cells_of_another_type_are_null),
        cmocka_unit_test(test_text_is_cleaned_again),
        cmocka_unit_test(test_what_is_no_stream_is_refused),
        cmocka_unit_test(test_a_line_without_end_is_refused),
        cmocka_unit_test(test_the_largest_row_fits),
        cmocka_unit_test(test_random_changes_arrive),
        cmocka_unit_test(test_reconnecting_gives_only_differences),
        cmocka_unit_test(test_after_a_long_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
