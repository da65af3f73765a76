/* The lvs source with scripts in the place of ssh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/lvm_source.h"
#include "world/world.h"

#define UUID_A "5b85626b-1111-4222-8333-444444444444"
#define UUID_B "ab9749d4-1111-4222-8333-444444444444"

enum { WAIT_MS = 10000 };

struct stage {
    struct loop *loop;
    struct world *world;
    struct lvm_source *source;
    char script[64];
    bool (*want)(struct stage *s);
    bool done;
};

static void write_script(struct stage *s, const char *body)
{
    char *text = str_printf("#!/bin/sh\n%s\n", body);
    struct err *e = file_write_durable(s->script, text, strlen(text), 0700);
    assert_null(e);
    mem_free(text);
}

static int setup(void **state)
{
    struct stage *s = MEM_NEW(struct stage);
    s->loop = loop_new();
    s->world = world_new();
    world_set_now(s->world, clock_wall_ms());
    snprintf(s->script, sizeof s->script, "/tmp/ferryman-lvs-%d", (int)getpid());
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    lvm_source_free(s->source);
    assert_int_equal(world_count(s->world, T_SNAPSHOTS), 0);
    world_free(s->world);
    loop_free(s->loop);
    unlink(s->script);
    mem_free(s);
    return 0;
}

static void start(struct stage *s, const char *program)
{
    const char *command[] = {program, "--reportformat", "json", NULL};
    s->source = lvm_source_new(
        &(struct lvm_source_options){.loop = s->loop, .world = s->world, .command = command, .poll_ms = 100});
}

static void poll_want(void *arg)
{
    struct stage *s = arg;
    s->done = s->want(s);
}

static void await(struct stage *s, bool (*want)(struct stage *s))
{
    struct timer *t = timer_new(s->loop, poll_want, s);
    s->want = want;
    s->done = false;
    timer_start(t, 0, 5);
    bool ok = loop_run_until(s->loop, &s->done, WAIT_MS);
    timer_free(t);
    assert_true(ok);
}

static struct slice source(struct stage *s, int col)
{
    return row_text(world_find(s->world, T_SOURCES, SLICE_LIT("lvm/lvs")), col);
}

static struct slice lv(struct stage *s, const char *key, int col)
{
    const struct row *r = world_find(s->world, T_SNAPSHOTS, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static void put_volume(struct stage *s, const char *name, const char *handle, const char *claim)
{
    struct cell cells[VOLUMES_COLS] = {
        [VOLUMES_NAME] = cell_text(name),
        [VOLUMES_HANDLE] = cell_text(handle),
        [VOLUMES_CLAIM] = cell_text(claim),
    };
    world_upsert(s->world, T_VOLUMES, slice_of(name), "kube/persistentvolumes", cells);
}

static bool polled(struct stage *s)
{
    return slice_is(source(s, SOURCES_STATE), "POLLED");
}

#define REPORT                                                                                                         \
    "cat <<'END'\n"                                                                                                    \
    "{\"report\":[{\"lv\":[{\"lv_name\":\"data\",\"vg_name\":\"pve\",\"lv_attr\":\"twi-aotz--\",\"lv_size\":\"100\","  \
    "\"data_percent\":\"85.00\",\"metadata_percent\":\"2.10\"},"                                                       \
    "{\"lv_name\":\"vm-9999-pvc-" UUID_A                                                                               \
    "\",\"vg_name\":\"pve\",\"lv_attr\":\"Vwi-aotz--\",\"pool_lv\":\"data\",\"data_percent\":\"99.99\"},"              \
    "{\"lv_name\":\"snap_vm-9999-pvc-" UUID_A                                                                          \
    "_20260425\",\"vg_name\":\"pve\",\"lv_attr\":\"Vri---tz-k\",\"origin\":\"vm-9999-pvc-" UUID_A                      \
    "\",\"lv_time\":\"2026-04-25 03:00:12 +0000\"},"                                                                   \
    "{\"lv_name\":\"snap_vm-9999-pvc-" UUID_B "\",\"vg_name\":\"pve\",\"lv_attr\":\"swi-a-s---\"},"                    \
    "{\"lv_name\":\"root\",\"vg_name\":\"pve\",\"lv_attr\":\"-wi-ao----\"}]}],\"log\":[]}\n"                           \
    "END"

static bool is_joined(struct stage *s)
{
    return slice_is(lv(s, "pve/vm-9999-pvc-" UUID_A, SNAPSHOTS_CLAIM), "vault/data-vault-0");
}

static void test_rows_and_claims(void **state)
{
    struct stage *s = *state;
    write_script(s, REPORT);
    start(s, s->script);
    await(s, polled);
    assert_int_equal(world_count(s->world, T_SNAPSHOTS), 5);
    assert_true(slice_is(lv(s, "pve/data", SNAPSHOTS_KIND), "pool"));
    assert_true(slice_is(lv(s, "pve/data", SNAPSHOTS_STATE), "FILLING"));
    assert_true(slice_is(lv(s, "pve/root", SNAPSHOTS_STATE), "OK"));
    assert_null(lv(s, "pve/vm-9999-pvc-" UUID_A, SNAPSHOTS_CLAIM).p);
    put_volume(s, "pvc-" UUID_A, "home/pve1/local-lvm/vm-9999-pvc-" UUID_A,
               "vault/data-vault-0"); /* volumes come later than lvs */
    put_volume(s, "pvc-" UUID_B, NULL, "immich/db");
    await(s, is_joined);
    assert_true(slice_is(lv(s, "pve/snap_vm-9999-pvc-" UUID_A "_20260425", SNAPSHOTS_CLAIM), "vault/data-vault-0"));
    assert_true(slice_is(lv(s, "pve/snap_vm-9999-pvc-" UUID_A "_20260425", SNAPSHOTS_STATE), "PRESENT"));
    assert_true(slice_is(lv(s, "pve/snap_vm-9999-pvc-" UUID_B, SNAPSHOTS_CLAIM), "immich/db"));
    assert_null(lv(s, "pve/root", SNAPSHOTS_CLAIM).p);
    assert_true(slice_contains(source(s, SOURCES_DETAIL), "--reportformat json"));
}

static bool failed_5(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "ended with status 5: Cannot process volume group pve");
}

static bool failed_to_parse(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "lvs report");
}

static void test_failure_keeps_rows_and_says_why(void **state)
{
    struct stage *s = *state;
    write_script(s, REPORT);
    start(s, s->script);
    await(s, polled);
    write_script(s, "echo '  Cannot process volume group pve' >&2; exit 5");
    await(s, failed_5);
    assert_true(slice_is(source(s, SOURCES_STATE), "DOWN"));
    assert_int_equal(world_count(s->world, T_SNAPSHOTS), 5);
    write_script(s, "echo '{\"report\":[{\"lv\":['");
    await(s, failed_to_parse);
    assert_int_equal(world_count(s->world, T_SNAPSHOTS), 5); /* half a report removes nothing */
    write_script(s, "echo '{\"report\":[{\"lv\":[]}],\"log\":[]}'");
    await(s, polled);
    assert_int_equal(world_count(s->world, T_SNAPSHOTS), 0);
}

static bool failed_somehow(struct stage *s)
{
    return slice_is(source(s, SOURCES_STATE), "DOWN") && source(s, SOURCES_ERROR).n > 0;
}

static void test_no_such_program(void **state)
{
    struct stage *s = *state;
    start(s, "/nonexistent/lvs");
    await(s, failed_somehow);
    assert_true(slice_contains(source(s, SOURCES_ERROR), "/nonexistent/lvs"));
}

static void test_free_while_it_runs(void **state)
{
    struct stage *s = *state;
    write_script(s, "exec sleep 600");
    start(s, s->script);
    loop_run_until(s->loop, &(bool){false}, 200);
    assert_true(slice_is(source(s, SOURCES_STATE), "STARTING"));
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static bool all_joined(struct stage *s)
{
    return polled(s) && world_count(s->world, T_SNAPSHOTS) == 1000 &&
           slice_is(lv(s, "pve/vm-1-disk-999", SNAPSHOTS_CLAIM), "media/library");
}

static bool none_joined(struct stage *s)
{
    return !lv(s, "pve/vm-1-disk-999", SNAPSHOTS_CLAIM).p;
}

/* More volumes than are read in one turn, and one whose name on the hypervisor only its handle knows. */
static void test_many_volumes(void **state)
{
    struct stage *s = *state;
    write_script(s, "echo '{\"report\":[{\"lv\":['\n"
                    "i=0; while [ $i -lt 1000 ]; do [ $i = 0 ] || echo ,\n"
                    "echo \"{\\\"lv_name\\\":\\\"vm-1-disk-$i\\\",\\\"vg_name\\\":\\\"pve\\\"}\"; i=$((i+1)); done\n"
                    "echo ']}]}'");
    put_volume(s, "library", "home/pve/local-lvm/vm-1-disk-999", "media/library");
    start(s, s->script);
    await(s, all_joined);
    world_remove(s->world, T_VOLUMES, SLICE_LIT("library"));
    await(s, none_joined);
    put_volume(s, "library", "home/pve/local-lvm/vm-1-disk-999", "media/library");
    await(s, all_joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_rows_and_claims),
        STAGED(test_failure_keeps_rows_and_says_why),
        STAGED(test_no_such_program),
        STAGED(test_free_while_it_runs),
        STAGED(test_many_volumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
