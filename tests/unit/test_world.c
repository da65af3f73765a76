#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "world/world.h"

static struct slice key_of(const char *s)
{
    return slice_of(s);
}

/* A claim with a namespace and a name, and a number to tell versions apart. */
static bool put_claim(struct world *w, const char *key, const char *ns, const char *name, int64_t request)
{
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[CLAIMS_NAMESPACE] = cell_text(ns);
    cells[CLAIMS_NAME] = cell_text(name);
    cells[CLAIMS_REQUEST] = cell_int(request);
    return world_upsert(w, T_CLAIMS, slice_of(key), "kube/persistentvolumeclaims", cells);
}

static void assert_text(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_FMT(s), want);
}

static void test_tables_know_their_columns(void **state)
{
    (void)state;
    for (int t = 0; t < T_COUNT; t++) {
        const struct world_table_info *info = world_table_info((enum world_table)t);
        assert_int_equal(world_table_by_name(slice_of(info->name)), t);
        assert_true(info->ncols > 0 && info->ncols <= WORLD_COLS_MAX);
        for (size_t i = 0; i < info->ncols; i++)
            assert_int_equal(world_col_by_name((enum world_table)t, slice_of(info->cols[i].name)), i);
    }
    assert_int_equal(world_table_by_name(SLICE_LIT("claim")), T_COUNT);
    assert_int_equal(world_table_by_name((struct slice){NULL, 0}), T_COUNT);
    assert_int_equal(world_col_by_name(T_CLAIMS, SLICE_LIT("nothing")), -1);
    assert_int_equal(world_table_info(T_CLAIMS)->namespace_col, CLAIMS_NAMESPACE);
    assert_int_equal(world_table_info(T_CLAIMS)->name_col, CLAIMS_NAME);
    assert_int_equal(world_table_info(T_VOLUMES)->namespace_col, -1);
    assert_int_equal(world_table_info(T_PROGRESS)->name_col, -1);
}

static void test_cells_come_back(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0,   1,         -1,        63, 64, -64, -65, 127, 128, 8191, 8192, INT32_MAX,
                                      INT32_MIN, INT64_MAX, INT64_MIN};
    struct world *w = world_new();
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct cell cells[WORLD_COLS_MAX] = {{0}};
        cells[CLAIMS_NAMESPACE] = cell_text("");
        cells[CLAIMS_REQUEST] = cell_int(numbers[i]);
        cells[CLAIMS_USED_BY] = cell_text("pod a, pod b");
        cells[CLAIMS_VERSION] = cell_text("last");
        world_upsert(w, T_CLAIMS, SLICE_LIT("k"), NULL, cells);
        const struct row *r = world_find(w, T_CLAIMS, SLICE_LIT("k"));
        assert_true(row_int(r, CLAIMS_REQUEST, 7) == numbers[i]);
        assert_text(row_text(r, CLAIMS_NAMESPACE), "");
        assert_text(row_text(r, CLAIMS_USED_BY), "pod a, pod b");
        assert_text(row_text(r, CLAIMS_VERSION), "last");
        assert_null(row_text(r, CLAIMS_NAME).p);
        assert_int_equal(row_int(r, CLAIMS_CAPACITY, 7), 7);
        assert_int_equal(row_int(r, CLAIMS_VERSION, 7), 7);
        assert_int_equal(row_cell(r, CLAIMS_COLS).type, CELL_NULL);
        assert_int_equal(row_cell(r, -1).type, CELL_NULL);
        struct cell all[WORLD_COLS_MAX];
        row_cells(r, all);
        assert_true(all[CLAIMS_REQUEST].type == CELL_INT && all[CLAIMS_REQUEST].i == numbers[i]);
        assert_int_equal(all[WORLD_COLS_MAX - 1].type, CELL_NULL);
    }
    world_free(w);
}

static void test_cells_of_another_type_are_null(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[CLAIMS_NAME] = cell_int(3);
    cells[CLAIMS_REQUEST] = cell_text("3");
    world_upsert(w, T_CLAIMS, SLICE_LIT("k"), NULL, cells);
    const struct row *r = world_find(w, T_CLAIMS, SLICE_LIT("k"));
    assert_int_equal(row_cell(r, CLAIMS_NAME).type, CELL_NULL);
    assert_int_equal(row_cell(r, CLAIMS_REQUEST).type, CELL_NULL);
    world_free(w);
}

static void test_long_text_and_keys_are_cut(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct buf text = {0};
    while (text.len < WORLD_TEXT_MAX + 10)
        buf_adds(&text, "ä");
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[CLAIMS_NAME] = cell_text(buf_str(&text));
    assert_true(world_upsert(w, T_CLAIMS, buf_slice(&text), NULL, cells));
    assert_false(world_upsert(w, T_CLAIMS, buf_slice(&text), NULL, cells));
    const struct row *r = world_find(w, T_CLAIMS, buf_slice(&text));
    assert_int_equal(row_key(r).n, WORLD_KEY_MAX);
    assert_true(row_text(r, CLAIMS_NAME).n <= WORLD_TEXT_MAX);
    assert_true(slice_ends(row_text(r, CLAIMS_NAME), "ä…"));
    assert_true(world_remove(w, T_CLAIMS, buf_slice(&text)));
    buf_free(&text);
    world_free(w);
}

static void test_measurements_are_no_change_of_what_a_row_says(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cell cells[RAFT_PEERS_COLS] = {[RAFT_PEERS_HEALTH] = cell_text("OK"), [RAFT_PEERS_PROBE] = cell_int(3)};
    world_set_now(w, 1000);
    assert_true(world_upsert(w, T_RAFT_PEERS, key_of("v/v-0"), "vault/v-0", cells));
    world_set_now(w, 2000);
    cells[RAFT_PEERS_PROBE] = CELL_NONE;
    assert_true(world_upsert(w, T_RAFT_PEERS, key_of("v/v-0"), "vault/v-0", cells)); /* readers get it */
    assert_int_equal(row_changed(world_find(w, T_RAFT_PEERS, key_of("v/v-0"))), 1000);
    cells[RAFT_PEERS_HEALTH] = cell_text("SEALED");
    assert_true(world_upsert(w, T_RAFT_PEERS, key_of("v/v-0"), "vault/v-0", cells));
    assert_int_equal(row_changed(world_find(w, T_RAFT_PEERS, key_of("v/v-0"))), 2000);
    world_free(w);
}

static void test_upsert_tells_changes(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_set_now(w, 1000);
    assert_true(put_claim(w, "a", "ns", "x", 1));
    uint64_t seq = world_seq(w);
    world_set_now(w, 2000);
    assert_false(put_claim(w, "a", "ns", "x", 1));
    assert_int_equal(world_seq(w), seq);
    assert_int_equal(row_changed(world_find(w, T_CLAIMS, key_of("a"))), 1000);
    assert_true(put_claim(w, "a", "ns", "x", 2));
    const struct row *r = world_find(w, T_CLAIMS, key_of("a"));
    assert_true(world_seq(w) > seq && row_seq(r) == world_seq(w));
    assert_int_equal(row_changed(r), 2000);
    assert_int_equal(row_table(r), T_CLAIMS);
    assert_string_equal(row_src(w, r), "kube/persistentvolumeclaims");
    struct cell cells[WORLD_COLS_MAX];
    row_cells(r, cells);
    assert_true(world_upsert(w, T_CLAIMS, key_of("a"), "kube/other", cells));
    assert_string_equal(row_src(w, world_find(w, T_CLAIMS, key_of("a"))), "kube/other");
    assert_int_equal(world_count(w, T_CLAIMS), 1);
    assert_null(world_find(w, T_VOLUMES, key_of("a")));
    world_free(w);
}

static void test_patch(void **state)
{
    (void)state;
    struct world *w = world_new();
    const int cols[] = {CLAIMS_STATE, CLAIMS_REQUEST};
    const struct cell cells[] = {cell_text("HOSTILE"), CELL_NONE};
    assert_false(world_patch(w, T_CLAIMS, key_of("a"), cols, cells, 2));
    put_claim(w, "a", "ns", "x", 1);
    assert_true(world_patch(w, T_CLAIMS, key_of("a"), cols, cells, 2));
    const struct row *r = world_find(w, T_CLAIMS, key_of("a"));
    assert_text(row_text(r, CLAIMS_STATE), "HOSTILE");
    assert_text(row_text(r, CLAIMS_NAME), "x");
    assert_int_equal(row_cell(r, CLAIMS_REQUEST).type, CELL_NULL);
    assert_string_equal(row_src(w, r), "kube/persistentvolumeclaims");
    world_free(w);
}

static void test_find_name(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_claim(w, "old", "ns", "x", 1);
    put_claim(w, "new", "ns", "x", 1);
    put_claim(w, "other", "ns2", "x", 1);
    assert_text(row_key(world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), SLICE_LIT("x"))), "new");
    assert_text(row_key(world_find_name(w, T_CLAIMS, SLICE_LIT("ns2"), SLICE_LIT("x"))), "other");
    put_claim(w, "old", "ns", "x", 2);
    assert_text(row_key(world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), SLICE_LIT("x"))), "old");
    put_claim(w, "old", "ns", "y", 2);
    assert_text(row_key(world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), SLICE_LIT("x"))), "new");
    assert_text(row_key(world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), SLICE_LIT("y"))), "old");
    world_remove(w, T_CLAIMS, key_of("new"));
    assert_null(world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), SLICE_LIT("x")));
    assert_null(world_find_name(w, T_CLAIMS, (struct slice){NULL, 0}, SLICE_LIT("x")));

    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[VOLUMES_NAME] = cell_text("pvc-1");
    world_upsert(w, T_VOLUMES, key_of("v"), NULL, cells);
    assert_non_null(world_find_name(w, T_VOLUMES, (struct slice){NULL, 0}, SLICE_LIT("pvc-1")));
    memset(cells, 0, sizeof cells);
    cells[NODES_NAME] = cell_text("node-1");
    world_upsert(w, T_NODES, key_of("n"), NULL, cells);
    assert_non_null(world_find_name(w, T_NODES, (struct slice){NULL, 0}, SLICE_LIT("node-1")));
    assert_null(world_find_name(w, T_NODES, (struct slice){NULL, 0}, SLICE_LIT("node-2")));
    assert_null(world_find_name(w, T_PROGRESS, (struct slice){NULL, 0}, SLICE_LIT("x")));
    world_free(w);
}

static void test_many_rows_come_and_go(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct world *w = world_new();
    char key[32];
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        put_claim(w, key, "ns", key, i);
    }
    for (int i = 0; i < N; i += 3) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_true(world_remove(w, T_CLAIMS, slice_of(key)));
        assert_false(world_remove(w, T_CLAIMS, slice_of(key)));
    }
    size_t seen = 0;
    int64_t sum = 0, want = 0;
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r)) {
        seen++;
        sum += row_int(r, CLAIMS_REQUEST, 0);
    }
    assert_int_equal(seen, world_count(w, T_CLAIMS));
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_true(!world_find(w, T_CLAIMS, slice_of(key)) == (i % 3 == 0));
        assert_true(!world_find_name(w, T_CLAIMS, SLICE_LIT("ns"), slice_of(key)) == (i % 3 == 0));
        want += i % 3 ? i : 0;
    }
    assert_true(sum == want);
    world_free(w);
}

static void test_sweep_removes_what_was_not_named(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_claim(w, "stays", "ns", "a", 1);
    put_claim(w, "goes", "ns", "b", 1);
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    world_upsert(w, T_CLAIMS, key_of("foreign"), "kube/other", cells);
    uint32_t failed = world_sweep_begin(w); /* never ended: removes nothing */
    uint32_t sweep = world_sweep_begin(w);
    assert_true(failed != sweep);
    put_claim(w, "stays", "ns", "a", 1);
    put_claim(w, "comes", "ns", "c", 1);
    const int cols[] = {CLAIMS_STATE};
    const struct cell judged[] = {cell_text("FINE")};
    world_patch(w, T_CLAIMS, key_of("goes"), cols, judged, 1); /* a judgement is no sighting */
    world_sweep_end(w, T_CLAIMS, "kube/persistentvolumeclaims", sweep);
    assert_non_null(world_find(w, T_CLAIMS, key_of("stays")));
    assert_non_null(world_find(w, T_CLAIMS, key_of("comes")));
    assert_non_null(world_find(w, T_CLAIMS, key_of("foreign")));
    assert_null(world_find(w, T_CLAIMS, key_of("goes")));
    world_sweep_end(w, T_CLAIMS, "kube/nobody", world_sweep_begin(w));
    assert_int_equal(world_count(w, T_CLAIMS), 3);
    world_free(w);
}

static void test_overlapping_sweeps(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_claim(w, "a", "ns", "a", 1);
    put_claim(w, "b", "ns", "b", 1);
    uint32_t first = world_sweep_begin(w);
    put_claim(w, "a", "ns", "a", 1);
    uint32_t second = world_sweep_begin(w); /* another table's */
    put_claim(w, "b", "ns", "b", 1);
    world_sweep_end(w, T_PODS, "kube/pods", second);
    world_sweep_end(w, T_CLAIMS, "kube/persistentvolumeclaims", first);
    assert_int_equal(world_count(w, T_CLAIMS), 2);
    world_free(w);
}

struct seen {
    struct world *w;
    int inserts, changes, removals, nested;
    char old_name[32];
};

static void note(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    struct seen *s = arg;
    if (t != T_CLAIMS)
        return;
    s->inserts += !old;
    s->changes += old && now;
    s->removals += !now;
    if (old)
        snprintf(s->old_name, sizeof s->old_name, "%.*s", SLICE_FMT(row_text(old, CLAIMS_NAME)));
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    cells[TIMELINE_TEXT] = cell_text("a claim changed");
    char key[16];
    snprintf(key, sizeof key, "%d", s->nested++);
    world_upsert(s->w, T_TIMELINE, slice_of(key), NULL, cells);
}

static void leave(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    (void)t;
    (void)old;
    (void)now;
    struct seen *s = arg;
    s->nested++;
    world_unwatch(s->w, leave, arg);
}

static void test_watchers_see_both(void **state)
{
    (void)state;
    struct seen s = {.w = world_new()}, once = {.w = s.w};
    world_watch(s.w, leave, &once);
    world_watch(s.w, note, &s);
    put_claim(s.w, "a", "ns", "x", 1);
    assert_int_equal(once.nested, 1);
    put_claim(s.w, "a", "ns", "x", 1);
    put_claim(s.w, "a", "ns", "y", 1);
    assert_string_equal(s.old_name, "x");
    world_remove(s.w, T_CLAIMS, key_of("a"));
    assert_string_equal(s.old_name, "y");
    assert_true(s.inserts == 1 && s.changes == 1 && s.removals == 1 && once.nested == 1);
    assert_int_equal(world_count(s.w, T_TIMELINE), 3);
    world_unwatch(s.w, note, &s);
    put_claim(s.w, "b", "ns", "x", 1);
    assert_int_equal(s.inserts, 1);
    world_free(s.w);
}

/* More sources than can be told apart: the rest have one name that no source has. */
static void test_too_many_sources(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    char src[32];
    for (int i = 0; i < 65540; i++) {
        snprintf(src, sizeof src, "s/%d", i);
        world_upsert(w, T_LOGS, key_of("k"), src, cells);
    }
    assert_string_equal(row_src(w, world_find(w, T_LOGS, key_of("k"))), "?");
    world_upsert(w, T_LOGS, key_of("k"), "s/65000", cells);
    assert_string_equal(row_src(w, world_find(w, T_LOGS, key_of("k"))), "s/65000");
    world_upsert(w, T_LOGS, key_of("k"), NULL, cells);
    assert_string_equal(row_src(w, world_find(w, T_LOGS, key_of("k"))), "");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_know_their_columns),
        cmocka_unit_test(test_cells_come_back),
        cmocka_unit_test(test_cells_of_another_type_are_null),
        cmocka_unit_test(test_long_text_and_keys_are_cut),
        cmocka_unit_test(test_measurements_are_no_change_of_what_a_row_says),
        cmocka_unit_test(test_upsert_tells_changes),
        cmocka_unit_test(test_patch),
        cmocka_unit_test(test_find_name),
        cmocka_unit_test(test_many_rows_come_and_go),
        cmocka_unit_test(test_sweep_removes_what_was_not_named),
        cmocka_unit_test(test_overlapping_sweeps),
        cmocka_unit_test(test_watchers_see_both),
        cmocka_unit_test(test_too_many_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
