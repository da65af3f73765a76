#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "world/world.h"

static void put(struct world *w, const char *key, int64_t count)
{
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[EVENTS_COUNT] = cell_int(count);
    world_upsert(w, T_EVENTS, slice_of(key), "kube/events", cells);
}

static void drop(struct world *w, const char *key)
{
    assert_true(world_remove(w, T_EVENTS, slice_of(key)));
}

/* What the reader meets until it has caught up: "a1 b2 -c". At most `max` rows. */
static const char *read_rows(struct world_reader *r, int max)
{
    static char text[256];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < max; i++) {
        bool removed = false;
        const struct row *row = world_reader_next(r, &removed);
        if (!row)
            break;
        n += (size_t)snprintf(text + n, sizeof text - n, removed ? "%s-%.*s" : "%s%.*s%d", n ? " " : "",
                              SLICE_FMT(row_key(row)), (int)row_int(row, EVENTS_COUNT, -1));
    }
    return text;
}

static void test_meets_each_row_once_in_its_latest_state(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", 1);
    put(w, "b", 1);
    struct world_reader *r = world_reader_new(w);
    assert_true(world_reader_behind(r));
    put(w, "a", 2);
    assert_string_equal(read_rows(r, 99), "b1 a2");
    assert_false(world_reader_behind(r));
    assert_string_equal(read_rows(r, 99), "");
    put(w, "a", 2);
    assert_false(world_reader_behind(r));
    put(w, "c", 1);
    put(w, "b", 2);
    put(w, "b", 3);
    assert_string_equal(read_rows(r, 99), "c1 b3");
    world_reader_free(r);
    world_free(w);
}

static void test_moves_on_when_its_next_row_moves(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", 1);
    put(w, "b", 1);
    put(w, "c", 1);
    struct world_reader *r = world_reader_new(w);
    assert_string_equal(read_rows(r, 1), "a1");
    put(w, "b", 2); /* was next */
    assert_string_equal(read_rows(r, 1), "c1");
    put(w, "b", 3); /* next and last */
    assert_string_equal(read_rows(r, 99), "b3");
    put(w, "a", 2);
    put(w, "a", 3);
    assert_string_equal(read_rows(r, 99), "a3");
    world_reader_free(r);
    world_free(w);
}

static void test_meets_removals(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world_reader *r = world_reader_new(w), *slow = world_reader_new(w);
    put(w, "a", 1);
    put(w, "b", 1);
    assert_string_equal(read_rows(r, 99), "a1 b1");
    drop(w, "a");
    put(w, "c", 1);
    assert_string_equal(read_rows(r, 99), "-a c1");
    put(w, "a", 2);
    drop(w, "b");
    drop(w, "c");
    assert_string_equal(read_rows(r, 2), "a2 -b");
    assert_string_equal(read_rows(slow, 99), "-a a2 -b -c");
    assert_string_equal(read_rows(r, 99), "-c");
    assert_string_equal(read_rows(r, 99), "");
    world_reader_free(slow);
    drop(w, "a");
    world_reader_free(r); /* with a tombstone that it has not passed */
    put(w, "d", 1);
    r = world_reader_new(w);
    assert_string_equal(read_rows(r, 99), "d1");
    drop(w, "d");
    world_free(w); /* frees the reader too */
}

static void test_no_reader_no_tombstone(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", 1);
    uint64_t seq = world_seq(w);
    drop(w, "a");
    assert_true(world_seq(w) > seq);
    struct world_reader *r = world_reader_new(w);
    assert_false(world_reader_behind(r));
    assert_null(world_reader_next(r, &(bool){false}));
    world_reader_free(r);
    world_free(w);
}

/* A reader that stands still must not hold tombstones without bound: it starts over. */
static void test_stalled_reader_is_sent_back(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct world_reader *r = world_reader_new(w);
    put(w, "a", 1);
    assert_string_equal(read_rows(r, 99), "a1");
    assert_false(world_reader_restarted(r));
    char key[32];
    int rounds = 0;
    while (!world_reader_restarted(r) && rounds < 100000) {
        snprintf(key, sizeof key, "k%d", rounds++);
        put(w, key, 1);
        drop(w, key);
    }
    assert_in_range(rounds, 1000, 99999);
    assert_false(world_reader_restarted(r));
    assert_string_equal(read_rows(r, 99), "a1");
    put(w, "b", 1);
    assert_string_equal(read_rows(r, 99), "b1");
    world_reader_free(r);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meets_each_row_once_in_its_latest_state),
        cmocka_unit_test(test_moves_on_when_its_next_row_moves),
        cmocka_unit_test(test_meets_removals),
        cmocka_unit_test(test_no_reader_no_tombstone),
        cmocka_unit_test(test_stalled_reader_is_sent_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
