#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ui/list.h"
#include "ui/screen.h"

static void name_text(const struct world *w, const struct row *r, struct buf *out) {
    (void)w;
    buf_printf(out, "%.*s/%.*s", SLICE_FMT(row_text(r, CLAIMS_NAMESPACE)), SLICE_FMT(row_text(r, CLAIMS_NAME)));
}

static const struct list_col cols[] = {
    {.title = "STATE", .col = CLAIMS_STATE, .min = 12},
    {.title = "CLAIM", .col = -1, .text = name_text, .min = 20},
    {.title = "CLASS", .col = CLAIMS_CLASS, .min = 10},
    {.title = "GiB", .col = CLAIMS_REQUEST, .min = 5, .right = true},
    {.title = "AGE", .col = CLAIMS_CREATED, .min = 5, .right = true},
};

static bool not_hidden(void *arg, const struct row *r) {
    return !arg || !slice_is(row_text(r, CLAIMS_NAMESPACE), arg);
}

static const struct list_spec spec = {.table = T_CLAIMS, .cols = cols, .ncols = ARRAY_LEN(cols), .sort = 0,
                                      .noun = "claims", .accepts = not_hidden};

static void put(struct world *w, const char *key, const char *ns, const char *name, const char *state,
                const char *class, int64_t gib) {
    struct cell c[CLAIMS_COLS] = {{0}};
    c[CLAIMS_NAMESPACE] = cell_text(ns);
    c[CLAIMS_NAME] = cell_text(name);
    c[CLAIMS_STATE] = cell_text(state);
    c[CLAIMS_CLASS] = cell_text(class);
    if (gib >= 0) c[CLAIMS_REQUEST] = cell_int(gib << 30);
    world_upsert(w, T_CLAIMS, slice_of(key), "", c);
}

static void cut(struct world *w, const char *key) {
    world_remove(w, T_CLAIMS, slice_of(key));
}

static void check_order(struct list *l, const char *want) {
    struct buf is = {0};
    for (size_t i = 0; i < list_shown(l); i++)
        buf_printf(&is, "%s%.*s", i ? " " : "", SLICE_FMT(row_key(list_row(l, i))));
    assert_string_equal(buf_str(&is), want);
    buf_free(&is);
}

static void check_selected(struct list *l, const char *want) {
    const struct row *r = list_selected(l);
    assert_non_null(r);
    assert_true(slice_is(row_key(r), want));
}

static struct world *small_world(void) {
    struct world *w = world_new();
    put(w, "a", "vault", "data-10", "MOVED", "lvm", 2);
    put(w, "b", "vault", "data-2", "MOVED", "lvm", 20);
    put(w, "c", "immich", "library", "HOSTILE", "nfs-a", 500);
    put(w, "d", "media", "x", NULL, NULL, -1);
    put(w, "e", "media", "y", "FINE", "nfs-b", 1);
    return w;
}

static void worst_first_then_by_name(void **state) {
    struct ui ui = {.world = small_world()};
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    check_order(l, "c e b a d"); /* 2 before 10; what is not known stands last */
    list_sort_reverse(l);
    check_order(l, "b a e c d");
    assert_true(list_sort_by(l, "gi"));
    check_order(l, "e a b c d");
    list_sort_reverse(l);
    check_order(l, "c b a e d");
    assert_false(list_sort_by(l, "nothing"));
    assert_true(list_sort_by(l, "claim"));
    check_order(l, "c d e b a");
    list_free(l);
    assert_null(ui.lists);
    world_free(ui.world);
}

static void rows_move_as_they_change(void **state) {
    struct ui ui = {.world = small_world()};
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    put(ui.world, "e", "media", "y", "LOST", "nfs-b", 1);
    check_order(l, "c e b a d");
    put(ui.world, "c", "immich", "library", "MOVED", "lvm", 500);
    check_order(l, "e c b a d");
    cut(ui.world, "b");
    check_order(l, "e c a d");
    put(ui.world, "f", "aaa", "z", "HOSTILE", "nfs-a", 3);
    check_order(l, "f e c a d");
    list_free(l);
    world_free(ui.world);
}

static void selection_follows_its_row_and_falls_to_the_neighbour(void **state) {
    struct ui ui = {.world = small_world()};
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    check_selected(l, "c"); /* nobody has chosen yet: the worst */
    put(ui.world, "f", "aaa", "z", "HOSTILE", "nfs-a", 3);
    check_selected(l, "f");
    list_move(l, 2);
    check_selected(l, "e");
    put(ui.world, "e", "media", "y", "HOSTILE", "nfs-b", 1);
    check_selected(l, "e");
    put(ui.world, "0", "aaa", "a", "HOSTILE", "nfs-a", 3);
    check_selected(l, "e");
    check_order(l, "0 f c e b a d");
    cut(ui.world, "e");
    check_selected(l, "b");
    list_end(l);
    check_selected(l, "d");
    cut(ui.world, "d");
    check_selected(l, "a");
    list_home(l);
    check_selected(l, "0");
    list_move(l, 1000);
    check_selected(l, "a");
    list_move(l, -1000);
    check_selected(l, "0");
    list_free(l);
    world_free(ui.world);
}

static void check_filter(struct list *l, const char *filter, const char *want) {
    list_filter(l, filter);
    check_order(l, want);
}

static void filters(void **state) {
    struct ui ui = {.world = small_world()};
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    list_sort_by(l, "claim");
    check_filter(l, "", "c d e b a");
    check_filter(l, "VAULT", "b a");
    check_filter(l, "media/", "d e");
    check_filter(l, "vault 10", "a");
    check_filter(l, "class:nfs", "c e");
    check_filter(l, "cla:nfs", "c e"); /* CLAIM and CLASS */
    check_filter(l, "!class:nfs", "d b a");
    check_filter(l, "!vault !media", "c");
    check_filter(l, "class:", "c d e b a"); /* still being typed */
    check_filter(l, "!", "c d e b a");
    check_filter(l, "phase:bound", "");
    check_filter(l, "nocolumn:x", "");
    check_filter(l, "gib:500", "c");
    check_filter(l, "\"data-1\"", "a");
    check_filter(l, "   ", "c d e b a");
    assert_int_equal(list_total(l), 5);
    list_free(l);
    world_free(ui.world);
}

static void filtered_rows_come_and_go(void **state) {
    struct ui ui = {.world = small_world()};
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    list_filter(l, "nfs");
    check_order(l, "c e");
    put(ui.world, "c", "immich", "library", "MOVED", "lvm", 500);
    check_order(l, "e");
    put(ui.world, "a", "vault", "data-10", "HOSTILE", "nfs-a", 2);
    check_order(l, "a e");
    list_mark_matches(l, true);
    assert_int_equal(list_shown(l), 5);
    list_home(l);
    assert_true(list_match(l, 1));
    check_selected(l, "e");
    assert_false(list_match(l, 1));
    assert_true(list_match(l, -1));
    check_selected(l, "a");
    list_mark_matches(l, false);
    check_order(l, "a e");
    list_free(l);
    world_free(ui.world);
}

static void rows_that_do_not_belong(void **state) {
    struct ui ui = {.world = small_world()};
    char hidden[] = "media";
    (void)state;
    struct list *l = list_new(&ui, &spec, hidden);
    check_order(l, "c b a");
    put(ui.world, "e", "vault", "y", "FINE", "nfs-b", 1);
    check_order(l, "c e b a");
    put(ui.world, "a", "media", "data-10", "MOVED", "lvm", 2);
    check_order(l, "c e b");
    memcpy(hidden, "vault", sizeof hidden);
    list_refresh(l);
    check_order(l, "c a d");
    list_free(l);
    world_free(ui.world);
}

static void another_world(void **state) {
    struct ui ui = {.world = small_world()};
    struct world *first = ui.world, *second = world_new();
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    list_move(l, 2);
    check_selected(l, "b");
    put(second, "b", "vault", "data-2", "HOSTILE", "nfs", 20);
    put(second, "q", "vault", "q", "FINE", "nfs", 20);
    ui.world = second;
    list_follow(&ui);
    check_order(l, "b q");
    check_selected(l, "b");
    put(first, "new", "vault", "new", "HOSTILE", "nfs", 1); /* no longer looked at */
    check_order(l, "b q");
    ui.world = first;
    list_follow(&ui);
    check_order(l, "c new e b a d");
    check_selected(l, "b");
    list_free(l);
    world_free(first);
    world_free(second);
}

/* Against an order that is made anew: many random changes, in bursts and one by one. */
static void order_is_the_same_however_it_came(void **state) {
    static const char *const states[] = {"HOSTILE", "MOVED", "FINE", "RETIRED", NULL};
    struct ui ui = {.world = world_new()};
    unsigned seed = 7;
    (void)state;
    struct list *l = list_new(&ui, &spec, NULL);
    list_filter(l, "!class:none");
    for (int round = 0; round < 60; round++) {
        int changes = round % 3 == 0 ? 2000 : 15; /* a burst, or few */
        for (int i = 0; i < changes; i++) {
            char key[16], name[16];
            snprintf(key, sizeof key, "k%u", (unsigned)rand_r(&seed) % 700);
            snprintf(name, sizeof name, "n%u", (unsigned)rand_r(&seed) % 90);
            unsigned what = (unsigned)rand_r(&seed) % 8;
            if (what == 0) cut(ui.world, key);
            else put(ui.world, key, "ns", name, states[what % 5], what == 1 ? "none" : "nfs", (int64_t)(what * 3));
        }
        struct list *again = list_new(&ui, &spec, NULL);
        list_filter(again, "!class:none");
        assert_int_equal(list_shown(l), list_shown(again));
        for (size_t i = 0; i < list_shown(l); i++) assert_ptr_equal(list_row(l, i), list_row(again, i));
        list_free(again);
    }
    list_free(l);
    world_free(ui.world);
}

struct tally {
    int64_t rows, gib;
    int resets;
};

static void tally(void *arg, const struct row *r, int sign) {
    struct tally *t = arg;
    if (!r) *t = (struct tally){.resets = t->resets + 1};
    else if (slice_is(row_text(r, CLAIMS_NAMESPACE), "shown")) {
        t->rows += sign;
        t->gib += sign * (row_int(r, CLAIMS_REQUEST, 0) >> 30);
    }
}

static bool is_shown(void *arg, const struct row *r) {
    (void)arg;
    return slice_is(row_text(r, CLAIMS_NAMESPACE), "shown");
}

/* Whatever happens to the rows, what was told of them adds up to what is there. */
static void counts_what_belongs(void **state) {
    struct list_spec counting = spec;
    struct tally t = {0};
    struct world *w = world_new();
    struct ui ui = {.world = w};
    (void)state;
    counting.accepts = is_shown;
    counting.count = tally;
    put(w, "k0", "shown", "first", "FINE", "lvm", 7);
    struct list *l = list_new(&ui, &counting, &t);
    assert_int_equal(t.gib, 7);
    for (unsigned i = 0, random = 1; i < 5000; i++) {
        char key[8];
        random = random * 1103515245u + 12345u;
        snprintf(key, sizeof key, "k%u", random >> 16 & 63);
        if (random >> 24 & 3) put(w, key, random >> 26 & 1 ? "shown" : "other", key, "FINE", "lvm", random >> 27 & 15);
        else cut(w, key);
    }
    int64_t gib = 0;
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r))
        if (is_shown(NULL, r)) gib += row_int(r, CLAIMS_REQUEST, 0) >> 30;
    assert_true(t.rows > 0);
    assert_int_equal(t.rows, list_total(l));
    assert_int_equal(t.gib, gib);
    struct tally before = t;
    list_refresh(l);
    assert_int_equal(t.resets, before.resets + 1);
    assert_int_equal(t.gib, before.gib);
    list_free(l);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worst_first_then_by_name),
        cmocka_unit_test(rows_move_as_they_change),
        cmocka_unit_test(selection_follows_its_row_and_falls_to_the_neighbour),
        cmocka_unit_test(filters),
        cmocka_unit_test(filtered_rows_come_and_go),
        cmocka_unit_test(rows_that_do_not_belong),
        cmocka_unit_test(another_world),
        cmocka_unit_test(order_is_the_same_however_it_came),
        cmocka_unit_test(counts_what_belongs),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
