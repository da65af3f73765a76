/* A snapshot of a run: taken from the active node, proved, on the disk; or nothing at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/snapshot_file.h"
#include "migrate/snapshot_job.h"
#include "tests/unit/snapshot_archive.h"
#include "tests/unit/vault_run_stage.h"

#define SNAPSHOT "/v1/sys/storage/raft/snapshot"
#define APPLIED 2730000
#define PASSPHRASE "correct horse\n"

static struct archive archive;
static struct {
    int leaders;      /* times asked */
    bool lost, again; /* from the second time on: not active any more; active, but since later */
    int64_t applied;
} node;

static int react(struct vault_run_stage *s, const struct tiny_request *rq) {
    if (str_eq(rq->path, SNAPSHOT)) {
        assert_int_equal(node.leaders, 1); /* asked right before */
        assert_true(tiny_request_has(rq, "X-Vault-Token: " TOKEN));
        return 0;
    }
    assert_string_equal(rq->path, "/v1/sys/leader");
    bool after = node.leaders++ > 0;
    snprintf(s->text, sizeof s->text, "{\"ha_enabled\":true,\"is_self\":%s,\"active_time\":\"2026-11-22T11:03:5%dZ\",\"raft_applied_index\":%lld}",
             after && node.lost ? "false" : "true", after && node.again, (long long)node.applied);
    return 200;
}

static int setup(void **state) {
    struct vault_run_stage *s = *state = vault_run_stage_new(false, "");
    struct plan_raft *p = s->plan->workloads[0].spec;
    char *file = str_printf("%s/passphrase", s->w->dir);
    archive = (struct archive){0};
    archive_members(&archive);
    archive_pack(&archive);
    memset(&node, 0, sizeof node);
    node.applied = APPLIED;
    assert_null(file_write_durable(file, PASSPHRASE, strlen(PASSPHRASE), 0600));
    p->snapshot.encrypt.passphrase_file = file;
    p->snapshot.directory = str_printf("%s/snapshots", s->w->dir);
    s->react = react;
    s->answer = (struct tiny_answer){.headers = "Content-Type: application/gzip\r\n", .body = archive.gz.p, .body_len = archive.gz.len,
                                     .framing = TINY_CHUNKED, .fragment = 3000};
    return 0;
}

/* Deriving keys takes its time: only where it matters. */
static int setup_enciphered(void **state) {
    setup(state);
    struct vault_run_stage *s = *state;
    struct plan_raft *p = s->plan->workloads[0].spec;
    p->snapshot.encrypt.none = false;
    return 0;
}

static const char *dir_of(const struct vault_run_stage *s) {
    return ((const struct plan_raft *)s->plan->workloads[0].spec)->snapshot.directory;
}

static size_t count_files(const struct vault_run_stage *s, const char *suffix) {
    DIR *d = opendir(dir_of(s));
    size_t n = 0;
    for (struct dirent *x; d && (x = readdir(d));) n += x->d_name[0] != '.' && str_ends(x->d_name, suffix);
    if (d) closedir(d);
    return n;
}

static int teardown(void **state) {
    struct vault_run_stage *s = *state;
    DIR *d = opendir(dir_of(s));
    for (struct dirent *x; d && (x = readdir(d));)
        if (x->d_name[0] != '.') unlinkat(dirfd(d), x->d_name, 0);
    if (d) closedir(d);
    rmdir(dir_of(s));
    vault_run_stage_free(s);
    archive_free(&archive);
    return 0;
}

/* Deriving keys takes as long as the machine needs. */
static void end(struct op_stage *w) {
    (void)loop_run_until(w->loop, &w->done, 120000);
    op_stage_end(w);
}

static void take(struct vault_run_stage *s) {
    struct script *script = script_new();
    node.leaders = 0;
    snapshot_script(s->w->run, script);
    op_stage_begin(s->w, script);
    end(s->w);
}

/* A thread that is still writing when a stream breaks removes what it wrote as soon as it sees that. */
static void wait_until_nothing_is_left(struct vault_run_stage *s) {
    int64_t end = clock_mono_ms() + 20000;
    bool never = false;
    while (count_files(s, "") > 0 && clock_mono_ms() < end) (void)loop_run_until(s->w->loop, &never, 5);
    assert_int_equal(count_files(s, ""), 0);
}

/* It ended with that, and nothing is left of it. */
static void refuse(struct vault_run_stage *s, const char *part) {
    take(s);
    op_stage_assert_error(s->w, ERR_FAILED, part);
    wait_until_nothing_is_left(s);
    assert_false(run_has(s->w->run, "snapshot.file"));
    assert_false(run_has(s->w->run, "snapshot.proved_at"));
}

static void test_taken_and_proved(void **state) {
    struct vault_run_stage *s = *state;
    struct run *r = s->w->run;
    struct buf why = {0}, bytes = {0};
    struct stat st;
    take(s);
    op_stage_assert_fine(s->w);
    const char *file = run_fact(r, "snapshot.file");
    assert_true(str_ends(file, ".snap.enc"));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, archive.gz.len + 16);
    assert_int_equal(count_files(s, ""), 3);
    assert_int_equal(run_fact_int(r, "snapshot.index", 0), 2730012);
    assert_int_equal(run_fact_int(r, "snapshot.term", 0), 33);
    assert_int_equal(run_fact_int(r, "snapshot.bytes", 0), archive.gz.len);
    assert_string_equal(run_fact(r, "snapshot.node"), "vault-0");
    assert_in_range(run_fact_int(r, "snapshot.proved_at", 0), run_fact_int(r, "snapshot.at", 0), clock_wall_ms());
    char hex[HASH_HEX_SIZE];
    assert_null(file_read(file, 1 << 20, &bytes));
    hash_hex(bytes.p, bytes.len, hex);
    assert_string_equal(run_fact(r, "snapshot.sha256"), hex);
    assert_null(memmem(bytes.p, bytes.len, archive.gz.p + 20, 64)); /* no plain text of it */
    assert_true(snapshot_is_fresh(r, "vault-0", &why));
    assert_false(snapshot_is_fresh(r, "vault-1", &why));
    op_stage_assert_in(buf_str(&why), "the snapshot is from vault-0, active is vault-1 now");
    assert_int_equal(node.leaders, 2);
    buf_free(&why);
    buf_free(&bytes);
}

static void test_freshness(void **state) {
    struct vault_run_stage *s = *state;
    struct run *r = s->w->run;
    struct buf why = {0};
    assert_false(snapshot_is_fresh(r, "vault-0", &why));
    op_stage_assert_in(buf_str(&why), "there is no snapshot yet");
    take(s);
    op_stage_assert_fine(s->w);
    assert_true(snapshot_is_fresh(r, "vault-0", &why));
    run_set_int(r, "snapshot.at", clock_wall_ms() - SNAPSHOT_FRESH_MS - 1000);
    assert_false(snapshot_is_fresh(r, "vault-0", &why));
    op_stage_assert_in(buf_str(&why), "60 minutes old");
    run_set_int(r, "snapshot.at", clock_wall_ms() + 3600000);
    assert_false(snapshot_is_fresh(r, "vault-0", &why));
    op_stage_assert_in(buf_str(&why), "the clock was set back");
    run_set_int(r, "snapshot.at", clock_wall_ms());
    run_set(r, "snapshot.proved_at", "");
    assert_false(snapshot_is_fresh(r, "vault-0", &why));
    op_stage_assert_in(buf_str(&why), "not proved yet");
    run_set_int(r, "snapshot.proved_at", clock_wall_ms());
    assert_int_equal(unlink(run_fact(r, "snapshot.file")), 0);
    assert_false(snapshot_is_fresh(r, "vault-0", &why));
    op_stage_assert_in(buf_str(&why), "is not there any more");
    buf_free(&why);
}

/* HTTP 200, a body that ends as it must, and not whole. */
static void test_truncated(void **state) {
    struct vault_run_stage *s = *state;
    static const size_t cuts[] = {1, 8, 9, 1000};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        s->answer.body_len = archive.gz.len - cuts[i];
        refuse(s, "the snapshot that came is damaged: cut off");
    }
    s->answer.body_len = archive.gz.len;
    archive.gz.p[archive.gz.len / 2] ^= 1;
    refuse(s, "the snapshot that came is damaged");
}

static void test_connection(void **state) {
    struct vault_run_stage *s = *state;
    s->answer.fate = TINY_RESET_MIDDLE;
    refuse(s, "vault-0");
    s->answer.fate = TINY_TRUNCATED;
    refuse(s, "vault-0");
    s->answer = (struct tiny_answer){.status = 403, .body = "{\"errors\":[\"permission denied\"]}"};
    refuse(s, "permission denied");
    s->answer = (struct tiny_answer){.status = 307, .headers = "Location: http://127.0.0.1:1/\r\n"};
    refuse(s, "vault-0");
}

static void test_old_index(void **state) {
    struct vault_run_stage *s = *state;
    node.applied = 2730013;
    refuse(s, "its index is 2730012, and vault-0 had applied 2730013");
    node.applied = 2730012;
    take(s);
    op_stage_assert_fine(s->w);
}

static void test_leadership_lost(void **state) {
    struct vault_run_stage *s = *state;
    node.lost = true;
    refuse(s, "lost its leadership meanwhile");
    node.lost = false;
    node.again = true; /* and won again */
    refuse(s, "lost its leadership meanwhile");
}

static int sleeping(struct vault_run_stage *s, const struct tiny_request *rq) {
    (void)rq;
    snprintf(s->text, sizeof s->text, "{\"ha_enabled\":true}");
    return 200;
}

static void test_nobody_active(void **state) {
    struct vault_run_stage *s = *state;
    s->react = sleeping;
    refuse(s, "no node is active: vault-0: not active; vault-1: ");
}

/* The one before stays what can be gone back to until the new one is whole. */
static void test_the_one_before_stays(void **state) {
    struct vault_run_stage *s = *state;
    take(s);
    op_stage_assert_fine(s->w);
    char *file = mem_strdup(run_fact(s->w->run, "snapshot.file"));
    s->answer.body_len--;
    take(s);
    op_stage_assert_error(s->w, ERR_FAILED, "cut off");
    struct buf why = {0};
    assert_string_equal(run_fact(s->w->run, "snapshot.file"), file);
    assert_true(snapshot_is_fresh(s->w->run, "vault-0", &why));
    assert_int_equal(count_files(s, ".snap"), 1);
    buf_free(&why);
    mem_free(file);
}

static bool has_part(struct op_stage *w) {
    char *dir = str_printf("%s/snapshots", w->dir);
    DIR *d = opendir(dir);
    bool any = false;
    for (struct dirent *x; d && (x = readdir(d));) any = any || str_ends(x->d_name, ".part");
    if (d) closedir(d);
    mem_free(dir);
    return any;
}

static bool has_no_part(struct op_stage *w) {
    return !has_part(w);
}

static void test_interrupted(void **state) {
    struct vault_run_stage *s = *state;
    struct script *script = script_new();
    s->answer.fate = TINY_STALLED;
    snapshot_script(s->w->run, script);
    op_stage_begin(s->w, script);
    AWAIT(s->w, has_part);
    op_runner_free(s->w->runner);
    s->w->runner = NULL;
    AWAIT(s->w, has_no_part);
    wait_until_nothing_is_left(s);
    s->answer.fate = TINY_COMPLETE;
    take(s);
    op_stage_assert_fine(s->w);
}

static bool has_file(struct op_stage *w) {
    return run_has(w->run, "snapshot.file");
}

/* Between the writing and the proof; deriving the key leaves time for it. */
static void test_changed_on_the_disk(void **state) {
    struct vault_run_stage *s = *state;
    struct script *script = script_new();
    snapshot_script(s->w->run, script);
    op_stage_begin(s->w, script);
    s->w->want = has_file;
    s->w->reached = false;
    assert_true(loop_run_until(s->w->loop, &s->w->reached, 120000));
    int fd = open(run_fact(s->w->run, "snapshot.file"), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 5000), 1);
    close(fd);
    end(s->w);
    op_stage_assert_error(s->w, ERR_FAILED, "is not proved: ");
    assert_false(run_has(s->w->run, "snapshot.proved_at"));
}

static void test_purge(void **state) {
    struct vault_run_stage *s = *state;
    for (int i = 0; i < 3; i++) {
        take(s);
        op_stage_assert_fine(s->w);
    }
    char *other = str_printf("%s/vault-20200101T000000Z.snap", dir_of(s));
    assert_null(file_write_durable(other, "not ours", 8, 0600));
    assert_int_equal(count_files(s, ".snap"), 4);
    struct script *script = script_new();
    snapshot_script_purge(s->w->run, script);
    op_stage_run(s->w, script);
    op_stage_assert_fine(s->w);
    assert_int_equal(count_files(s, ".snap"), 2);
    assert_int_equal(count_files(s, ".json"), 1);
    assert_true(file_exists(run_fact(s->w->run, "snapshot.file")));
    assert_true(file_exists(other));
    mem_free(other);
}

/* Anchors do not lie on what is moved away from; local folders, also ones that are not there yet, will do. */
static void test_place(void **state) {
    (void)state;
    assert_null(snapshot_place("/tmp/ferryman-not-there/at/all"));
    assert_null(snapshot_place("/tmp"));
    static const struct {
        long type;
        bool in_pod;
        const char *part;
    } cases[] = {
        {0x6969, false, "/var/backups lies on NFS"},     {0x6969, true, "/var/backups lies on NFS"},
        {0x794c7630, true, "goes with it"},              {0x01021994, true, "goes with it"},
        {0x794c7630, false, NULL},                       {0xef53, true, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err *e = snapshot_place_judge("/var/backups", cases[i].type, cases[i].in_pod);
        assert_int_equal(e != NULL, cases[i].part != NULL);
        if (e) op_stage_assert_in(err_text(e), cases[i].part);
        err_free(e);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_ENCIPHERED(f) cmocka_unit_test_setup_teardown(f, setup_enciphered, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_ENCIPHERED(test_taken_and_proved), TEST(test_freshness),    TEST(test_truncated),
        TEST(test_connection),       TEST(test_old_index),    TEST(test_leadership_lost),
        TEST(test_nobody_active),    TEST(test_the_one_before_stays), TEST(test_interrupted),
        TEST_ENCIPHERED(test_changed_on_the_disk), TEST(test_purge),     cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
