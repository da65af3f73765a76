#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "world/freshness.h"
#include "world/world.h"

enum { NOW = 1000000 };
#define NEVER INT64_MIN

/* A world with one source and one claim from it. NEVER leaves a cell null. */
static struct world *world_with(const char *state, int64_t last_ok, int64_t stale_after)
{
    struct world *w = world_new();
    world_set_now(w, NOW);
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[SOURCES_STATE] = cell_text(state);
    cells[SOURCES_LAST_OK] = last_ok == NEVER ? CELL_NONE : cell_int(last_ok);
    cells[SOURCES_STALE_AFTER] = stale_after == NEVER ? CELL_NONE : cell_int(stale_after);
    world_upsert(w, T_SOURCES, SLICE_LIT("kube/x"), NULL, cells);
    struct cell claim[WORLD_COLS_MAX] = {{0}};
    world_upsert(w, T_CLAIMS, SLICE_LIT("c"), "kube/x", claim);
    return w;
}

/* The claim, its source's row and the source by name agree. */
static void assert_fresh(struct world *w, enum freshness want, int64_t age)
{
    struct fresh all[] = {
        world_freshness(w, world_find(w, T_CLAIMS, SLICE_LIT("c"))),
        world_freshness(w, world_find(w, T_SOURCES, SLICE_LIT("kube/x"))),
        world_source_freshness(w, "kube/x"),
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_string_equal(freshness_name(all[i].state), freshness_name(want));
        assert_int_equal(all[i].age_ms, age);
        assert_int_equal(fresh_usable(all[i]), want == FRESH_LIVE || want == FRESH_POLLED);
    }
    world_free(w);
}

static void test_every_state(void **state)
{
    (void)state;
    assert_fresh(world_with("LIVE", NOW - 10, 100), FRESH_LIVE, 10);
    assert_fresh(world_with("POLLED", NOW - 100, 100), FRESH_POLLED, 100);
    assert_fresh(world_with("STALE", NOW - 10, 100), FRESH_STALE, 10);
    assert_fresh(world_with("DENIED", NEVER, 100), FRESH_DENIED, -1);
    assert_fresh(world_with("DENIED", NOW - 500, 100), FRESH_DENIED, 500);
    assert_fresh(world_with("DOWN", NOW - 500, 100), FRESH_DOWN, 500);
    assert_fresh(world_with("OFF", NEVER, NEVER), FRESH_OFF, -1);
    assert_fresh(world_with("STARTING", NEVER, 100), FRESH_STARTING, -1);
}

static void test_age_makes_stale(void **state)
{
    (void)state;
    assert_fresh(world_with("LIVE", NOW - 101, 100), FRESH_STALE, 101);
    assert_fresh(world_with("POLLED", NOW - 101, 100), FRESH_STALE, 101);
    assert_fresh(world_with("LIVE", NOW - 999999, NEVER), FRESH_LIVE, 999999);
    assert_fresh(world_with("LIVE", NEVER, NEVER), FRESH_STALE, -1);
}

/* The stream's time moves once a second, so a proof may be a little ahead; one that is far ahead proves nothing. */
static void test_last_ok_in_the_future(void **state)
{
    (void)state;
    assert_fresh(world_with("LIVE", NOW + 1500, 100), FRESH_LIVE, 0);
    assert_fresh(world_with("LIVE", NOW + 3600000, 100), FRESH_STALE, -1);
    assert_fresh(world_with("LIVE", INT64_MAX, 100), FRESH_STALE, -1);
    assert_fresh(world_with("LIVE", INT64_MIN + 1, 100), FRESH_STALE, -1);
}

static void test_unknown_words_are_down(void **state)
{
    (void)state;
    assert_fresh(world_with("SPLENDID", NOW, 100), FRESH_DOWN, 0);
    assert_int_equal(freshness_by_name((struct slice){NULL, 0}), FRESH_DOWN);
    assert_int_equal(freshness_by_name(SLICE_LIT("live")), FRESH_DOWN);
    for (int f = FRESH_LIVE; f <= FRESH_STARTING; f++)
        assert_int_equal(freshness_by_name(slice_of(freshness_name((enum freshness)f))), f);
}

static void test_source_that_has_gone(void **state)
{
    (void)state;
    struct world *w = world_with("LIVE", NOW, 100);
    world_remove(w, T_SOURCES, SLICE_LIT("kube/x"));
    struct fresh f = world_freshness(w, world_find(w, T_CLAIMS, SLICE_LIT("c")));
    assert_true(f.state == FRESH_DOWN && f.age_ms == -1);
    world_free(w);
}

static void test_our_own_rows_are_live(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    world_upsert(w, T_PLAN, SLICE_LIT("plan"), NULL, cells);
    struct fresh f = world_freshness(w, world_find(w, T_PLAN, SLICE_LIT("plan")));
    assert_true(f.state == FRESH_LIVE && f.age_ms == 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state),
        cmocka_unit_test(test_age_makes_stale),
        cmocka_unit_test(test_last_ok_in_the_future),
        cmocka_unit_test(test_unknown_words_are_down),
        cmocka_unit_test(test_source_that_has_gone),
        cmocka_unit_test(test_our_own_rows_are_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
