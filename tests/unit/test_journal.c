#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/journal.h"
#include "migrate/journal_scan.h"

static char folder[64];
static struct loop *loop;

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/ferryman-journal-XXXXXX");
    loop = loop_new();
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    loop_free(loop);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct json_t *record(const char *type, int number) {
    struct json_t *d = jd_object();
    jd_set(d, "t", jd_string(type));
    jd_set(d, "number", jd_int(number));
    jd_set(d, "text", jd_string("a \"quoted\" line\nand ümlauts"));
    return d;
}

/* What callbacks saw. */
struct told {
    int count, failed;
    int order[600];
    bool done;
    int until;
    char text[400];
};

struct one {
    struct told *told;
    int number;
};

static struct one ones[600];

static void on_durable(void *arg, const struct err *e) {
    struct one *o = arg;
    struct told *t = o->told;
    t->order[t->count++] = o->number;
    if (e) {
        t->failed++;
        str_copy(t->text, sizeof t->text, err_text((struct err *)(uintptr_t)e));
    }
    t->done = t->count == t->until;
}

static void append(struct journal *j, struct told *t, const char *type, int number) {
    struct json_t *d = record(type, number);
    ones[number] = (struct one){t, number};
    journal_append(j, d, on_durable, &ones[number]);
    jd_free(d);
}

static void seen(void *arg, const struct json_t *d) {
    int *n = arg;
    assert_int_equal(jd_num(d, "seq", -1), *n + 1);
    if (*n == 0) assert_string_equal(jd_str(d, "t"), "journal");
    (*n)++;
}

static struct journal *opened(int *ret_seen) {
    struct journal *j = NULL;
    *ret_seen = 0;
    struct err *e = journal_open(loop, folder, "plan", seen, ret_seen, &j);
    if (e) fail_msg("%s", err_text(e));
    return j;
}

static void refused(enum err_kind kind, const char *part) {
    struct journal *j = NULL;
    struct err *e = journal_open(loop, folder, "plan", NULL, NULL, &j);
    assert_non_null(e);
    assert_int_equal(err_kind(e), kind);
    if (!strstr(err_text(e), part)) fail_msg("'%s' is not in '%s'", part, err_text(e));
    err_free(e);
}

/* A journal of 1 + n records, closed again. */
static void write_journal(int n) {
    struct told t = {.until = n};
    int count;
    struct journal *j = opened(&count);
    for (int i = 0; i < n; i++) append(j, &t, "note", i);
    journal_free(j);
    assert_int_equal(t.count, 0);
}

static void read_file(struct buf *b) {
    assert_null(file_read(in("journal.jsonl"), 1 << 20, b));
}

static void write_file(const char *p, size_t n) {
    int fd = open(in("journal.jsonl"), O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static void test_a_new_journal(void **state) {
    (void)state;
    int count;
    struct stat st;
    struct journal *j = opened(&count);
    char *id = mem_strdup(journal_id(j)), *head = mem_strdup(journal_head(j));
    assert_int_equal(count, 1);
    assert_int_equal(strlen(id), 16);
    assert_true(journal_has(j, head));
    assert_false(journal_has(j, JOURNAL_GENESIS));
    assert_int_equal(stat(journal_path(j), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(st.st_blocks * 512 >= 1024 * 1024 && st.st_size < 4096); /* room ahead, and the length is the records' */
    journal_free(j);
    j = opened(&count);
    assert_int_equal(count, 1);
    assert_string_equal(journal_id(j), id);
    assert_string_equal(journal_head(j), head);
    journal_free(j);
    mem_free(id);
    mem_free(head);
}

static void test_order_and_one_sync_for_many(void **state) {
    (void)state;
    struct told t = {.until = 500};
    int count;
    struct journal *j = opened(&count);
    char before[JOURNAL_HASH_SIZE];
    strcpy(before, journal_head(j));
    for (int i = 0; i < 500; i++) append(j, &t, i % 2 ? "act" : "outcome", i);
    assert_false(journal_settled(j));
    assert_string_equal(journal_head(j), before); /* nothing is durable before the loop was told */
    assert_int_equal(t.count, 0);
    assert_true(loop_run_until(loop, &t.done, 20000));
    assert_true(journal_settled(j));
    for (int i = 0; i < 500; i++) assert_int_equal(t.order[i], i);
    assert_int_equal(t.failed, 0);
    assert_true(journal_syncs(j) < 250);
    assert_true(journal_has(j, journal_head(j)) && journal_has(j, before));
    journal_free(j);
    j = opened(&count);
    assert_int_equal(count, 501);
    journal_free(j);
}

static void again(void *arg, const struct err *e) {
    struct one *o = arg;
    assert_null(e);
    o->told->order[o->told->count++] = o->number;
    o->told->done = true;
}

struct chained {
    struct journal *j;
    struct one last;
};

static void append_next(void *arg, const struct err *e) {
    struct chained *c = arg;
    assert_null(e);
    struct json_t *d = record("outcome", 2);
    journal_append(c->j, d, again, &c->last);
    jd_free(d);
}

static void test_appending_in_a_callback_and_forgetting(void **state) {
    (void)state;
    struct told t = {0};
    int count;
    struct chained c = {opened(&count), {&t, 7}};
    struct json_t *d = record("act", 1);
    append(c.j, &t, "note", 3);
    journal_append(c.j, d, append_next, &c);
    jd_free(d);
    journal_forget(c.j, &ones[3]);
    assert_true(loop_run_until(loop, &t.done, 20000));
    assert_int_equal(t.count, 1); /* the forgotten one was not told, but written */
    journal_free(c.j);
    struct journal *j = opened(&count);
    assert_int_equal(count, 4);
    journal_free(j);
}

static void test_shell_can_verify(void **state) {
    (void)state;
    write_journal(3);
    char command[512];
    snprintf(command, sizeof command,
             "n=0; while IFS= read -r line; do h=$(printf %%s \"${line%%,\\\"hash\\\":*}\" | sha256sum); "
             "case $line in *\"\\\"hash\\\":\\\"${h%%%% *}\\\"}\") n=$((n+1));; esac; done < %s; test $n = 4", in("journal.jsonl"));
    assert_int_equal(system(command), 0);
}

static void test_torn_at_every_byte(void **state) {
    (void)state;
    struct buf b = {0}, torn = {0};
    write_journal(3);
    read_file(&b);
    size_t last = b.len - 1;
    while (b.p[last - 1] != '\n') last--;
    for (size_t cut = last + 1; cut < b.len; cut++) {
        int count;
        bool is_torn = false;
        size_t records = 0;
        char head[JOURNAL_HASH_SIZE];
        write_file(b.p, cut);
        unlink(in("journal.torn"));
        assert_null(journal_read(in("journal.jsonl"), NULL, NULL, &records, head, &is_torn));
        assert_true(is_torn);
        assert_int_equal(records, 3);
        struct journal *j = opened(&count);
        assert_int_equal(count, 3);
        journal_free(j);
        assert_null(file_read(in("journal.torn"), 4096, &torn));
        assert_int_equal(torn.len, cut - last + 1);
        assert_memory_equal(torn.p, b.p + last, cut - last);
        assert_null(journal_read(in("journal.jsonl"), NULL, NULL, &records, head, &is_torn));
        assert_false(is_torn);
    }
    buf_free(&b);
    buf_free(&torn);
}

static void test_torn_first_record_and_unwritten_bytes(void **state) {
    (void)state;
    int count;
    struct buf b = {0};
    write_journal(1);
    read_file(&b);
    write_file(b.p, 40);
    struct journal *j = opened(&count);
    assert_int_equal(count, 1);
    journal_free(j);
    write_file(b.p, b.len);
    assert_int_equal(truncate(in("journal.jsonl"), (off_t)b.len + 300), 0);
    j = opened(&count);
    assert_int_equal(count, 2);
    journal_free(j);
    read_file(&b);
    assert_int_equal(b.p[b.len - 1], '\n');
    buf_free(&b);
}

static void test_flipped_byte_anywhere(void **state) {
    (void)state;
    struct buf b = {0};
    write_journal(3);
    read_file(&b);
    for (size_t i = 0; i < b.len; i++) {
        char place[64];
        size_t line = 1;
        for (size_t k = 0; k < i; k++) line += b.p[k] == '\n';
        b.p[i] = (char)(b.p[i] ^ 1);
        write_file(b.p, b.len);
        snprintf(place, sizeof place, "journal.jsonl:%zu: ", line);
        refused(ERR_DATA, place);
        b.p[i] = (char)(b.p[i] ^ 1);
    }
    assert_false(file_exists(in("journal.torn")));
    write_file(b.p, b.len);
    int count;
    journal_free(opened(&count));
    assert_int_equal(count, 4);
    buf_free(&b);
}

static void write_lines(struct slice *lines, const int *order, int n) {
    struct buf b = {0};
    for (int i = 0; i < n; i++) {
        buf_add_slice(&b, lines[order[i]]);
        buf_addc(&b, '\n');
    }
    write_file(b.p, b.len);
    buf_free(&b);
}

static void test_removed_moved_and_repeated_lines(void **state) {
    (void)state;
    struct buf b = {0};
    struct slice lines[5], rest;
    write_journal(3);
    read_file(&b);
    rest = buf_slice(&b);
    for (int i = 0; i < 5; i++) assert_true(slice_cut(&rest, '\n', &lines[i]));
    write_lines(lines, (int[]){0, 1, 3}, 3);
    refused(ERR_DATA, ":3: record 4 stands where 3 is expected");
    write_lines(lines, (int[]){0, 2, 1, 3}, 4);
    refused(ERR_DATA, ":2: record 3 stands where 2 is expected");
    write_lines(lines, (int[]){0, 1, 1, 2, 3}, 5);
    refused(ERR_DATA, ":3: record 2 stands where 3 is expected");
    write_lines(lines, (int[]){1, 2, 3}, 3);
    refused(ERR_DATA, ":1: record 2 stands where 1 is expected");
    write_lines(lines, (int[]){0, 4, 1}, 3);
    refused(ERR_DATA, ":2: not a whole record");
    /* A line whose hash is right, but which follows another one. */
    struct buf forged = {0};
    char hash[HASH_HEX_SIZE];
    buf_printf(&forged, "{\"seq\":2,\"at\":\"2026-01-01T00:00:00Z\",\"t\":\"note\",\"prev\":\"%064d\"", 1);
    hash_hex(forged.p, forged.len, hash);
    buf_printf(&forged, ",\"hash\":\"%s\"}", hash);
    lines[4] = buf_slice(&forged);
    write_lines(lines, (int[]){0, 4}, 2);
    refused(ERR_DATA, ":2: the record does not follow");
    buf_free(&forged);
    buf_free(&b);
}

static void test_another_plan_or_another_kind_of_file(void **state) {
    (void)state;
    struct journal *j = NULL;
    write_journal(0);
    struct err *e = journal_open(loop, folder, "other", NULL, NULL, &j);
    assert_int_equal(err_kind(e), ERR_DATA);
    assert_non_null(strstr(err_text(e), "journal of plan plan, not of other"));
    err_free(e);
    write_file("hello", 5);
    refused(ERR_DATA, "journal.jsonl:1: the last line is damaged");
    write_file("hello\n", 6);
    refused(ERR_DATA, "journal.jsonl:1: not a whole record");
    chmod(in("journal.jsonl"), 0644);
    refused(ERR_DENIED, "chmod 600");
}

static void test_two_writers(void **state) {
    (void)state;
    int count, ready[2], end[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        struct loop *own = loop_new();
        struct journal *j = NULL;
        close(end[1]);
        if (journal_open(own, folder, "plan", NULL, NULL, &j)) _exit(1);
        if (write(ready[1], "x", 1) != 1 || read(end[0], &c, 1) < 0) _exit(2);
        _exit(0);
    }
    char c, text[64];
    assert_int_equal(read(ready[0], &c, 1), 1);
    snprintf(text, sizeof text, "another ferryman (process %d)", (int)pid);
    refused(ERR_LOCKED, text);
    close(end[0]);
    close(end[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    journal_free(opened(&count));
    close(ready[0]);
    close(ready[1]);
}

static void test_no_room(void **state) {
    (void)state;
    struct told t = {.until = 60};
    struct rlimit old, small;
    int count;
    struct journal *j = opened(&count);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 30; i++) append(j, &t, "act", i);
    for (int i = 30; i < 60; i++) append(j, &t, "act", i);
    bool done = loop_run_until(loop, &t.done, 20000);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_true(done);
    assert_true(t.failed > 30);
    assert_non_null(strstr(t.text, "cannot write the journal"));
    assert_non_null(strstr(t.text, "free some space"));
    for (int i = 0; i < 60; i++) assert_int_equal(t.order[i], i);
    /* Broken once, broken for good, even with room again. */
    struct told more = {.until = 1};
    append(j, &more, "act", 60);
    assert_true(loop_run_until(loop, &more.done, 20000));
    assert_int_equal(more.failed, 1);
    journal_free(j);
    /* What was durable is whole, nothing is torn, and it goes on after it. */
    size_t records = 0;
    bool torn = true;
    char head[JOURNAL_HASH_SIZE];
    assert_null(journal_read(in("journal.jsonl"), NULL, NULL, &records, head, &torn));
    assert_false(torn);
    j = opened(&count);
    assert_int_equal(count, (int)records);
    more = (struct told){.until = 1};
    append(j, &more, "act", 1);
    assert_true(loop_run_until(loop, &more.done, 20000));
    assert_int_equal(more.failed, 0);
    journal_free(j);
}

static void killed(void *arg, const struct err *e) {
    struct told *t = arg;
    if (e || ++t->count < 20) return;
    kill(getpid(), SIGKILL);
}

/* Killed while records are on their way: those that were told are there, and the file can be opened. */
static void test_killed_while_writing(void **state) {
    (void)state;
    int status, count;
    pid_t pid = fork();
    if (pid == 0) {
        struct told t = {0};
        struct journal *j = NULL;
        bool never = false;
        struct loop *own = loop_new();
        if (journal_open(own, folder, "plan", NULL, NULL, &j)) _exit(1);
        for (int i = 0; i < 2000; i++) {
            struct json_t *d = record("act", i);
            journal_append(j, d, killed, &t);
            jd_free(d);
        }
        loop_run_until(own, &never, 20000);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    journal_free(opened(&count));
    assert_true(count >= 21);
}

/* Imports `bytes` into an empty or prepared folder. */
static struct err *import(struct slice bytes, size_t *ret_records) {
    char file[128], head[JOURNAL_HASH_SIZE];
    strcpy(file, in("from-elsewhere"));
    assert_null(file_write_durable(file, bytes.p, bytes.n, 0600));
    return journal_import(folder, "plan", file, ret_records, head);
}

static void import_refused(struct slice bytes, enum err_kind kind, const char *part) {
    size_t records = 77;
    struct err *e = import(bytes, &records);
    assert_non_null(e);
    assert_int_equal(err_kind(e), kind);
    if (!strstr(err_text(e), part)) fail_msg("'%s' is not in '%s'", part, err_text(e));
    assert_int_equal(records, 77);
    err_free(e);
}

static void test_import(void **state) {
    (void)state;
    struct buf longer = {0}, other = {0}, now = {0};
    size_t records = 0;
    int count;
    write_journal(2);
    unlink(in("journal.jsonl"));
    write_journal(5);
    read_file(&longer);
    /* Into nothing; what is torn at its end stays behind. */
    unlink(in("journal.jsonl"));
    assert_null(import((struct slice){longer.p, longer.len - 10}, &records));
    assert_int_equal(records, 5);
    /* A continuation; then there is nothing more in it, nor in a part of it. */
    assert_null(import(buf_slice(&longer), &records));
    assert_int_equal(records, 6);
    assert_null(import(buf_slice(&longer), &records));
    assert_int_equal(records, 0);
    assert_null(import((struct slice){longer.p, longer.len - 10}, &records));
    assert_int_equal(records, 0);
    read_file(&now);
    assert_int_equal(now.len, longer.len);
    assert_memory_equal(now.p, longer.p, now.len);
    journal_free(opened(&count));
    assert_int_equal(count, 6);
    /* Another one, a damaged one, one of another plan, one in use: what is there stays. */
    unlink(in("journal.jsonl"));
    write_journal(3);
    read_file(&other);
    import_refused(buf_slice(&longer), ERR_DATA, "not a continuation");
    longer.p[longer.len / 2] ^= 1;
    import_refused(buf_slice(&longer), ERR_DATA, "from-elsewhere:");
    size_t none;
    char head[JOURNAL_HASH_SIZE];
    struct err *e = journal_import(folder, "another", in("from-elsewhere"), &none, head);
    assert_int_equal(err_kind(e), ERR_DATA);
    err_free(e);
    struct journal *j = opened(&count);
    import_refused(buf_slice(&other), ERR_LOCKED, "another ferryman");
    journal_free(j);
    read_file(&now);
    assert_int_equal(now.len, other.len);
    assert_memory_equal(now.p, other.p, now.len);
    buf_free(&longer);
    buf_free(&other);
    buf_free(&now);
}

#ifdef FERRYMAN_FAILPOINTS
/* How many records a child that is killed at `point` leaves, and how many of them it was told of. */
static int records_after(const char *point, int *ret_told) {
    int status, told[2];
    char c;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("FERRYMAN_FAILPOINT", point, 1);
        struct loop *own = loop_new();
        struct journal *j = NULL;
        if (journal_open(own, folder, "plan", NULL, NULL, &j)) _exit(1);
        static const char *const types[] = {"note", "act", "outcome", "act", "outcome"};
        for (int i = 0; i < 5; i++) {
            struct told t = {.until = 1};
            append(j, &t, types[i], i);
            if (!loop_run_until(own, &t.done, 20000)) _exit(2);
            if (write(told[1], "x", 1) != 1) _exit(3);
        }
        _exit(0);
    }
    close(told[1]);
    for (*ret_told = 0; read(told[0], &c, 1) == 1;) ++*ret_told;
    close(told[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    bool torn;
    size_t records = 0;
    char head[JOURNAL_HASH_SIZE];
    assert_null(journal_read(in("journal.jsonl"), NULL, NULL, &records, head, &torn));
    unlink(in("journal.jsonl"));
    return (int)records;
}

static void test_failpoints(void **state) {
    (void)state;
    int told;
    assert_int_equal(records_after("journal.before", &told), 2);
    assert_int_equal(told, 1);
    assert_int_equal(records_after("journal.after", &told), 3);
    assert_int_equal(told, 1);
    assert_int_equal(records_after("journal.after:2", &told), 4);
    assert_int_equal(told, 2);
    assert_int_equal(records_after("journal.before@5", &told), 4);
    assert_int_equal(told, 3);
    assert_int_equal(records_after("journal.after@5", &told), 5);
    assert_int_equal(told, 3);
    assert_int_equal(records_after("journal.before@2", &told), 6); /* a note is not counted */
    assert_int_equal(told, 5);
    assert_int_equal(records_after("journal.typo", &told), 6);
}
#endif

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef FERRYMAN_FAILPOINTS
        TEST(test_failpoints), /* first: a process reads its wish once, and children inherit that */
#endif
        TEST(test_a_new_journal),
        TEST(test_order_and_one_sync_for_many),
        TEST(test_appending_in_a_callback_and_forgetting),
        TEST(test_shell_can_verify),
        TEST(test_torn_at_every_byte),
        TEST(test_torn_first_record_and_unwritten_bytes),
        TEST(test_flipped_byte_anywhere),
        TEST(test_removed_moved_and_repeated_lines),
        TEST(test_another_plan_or_another_kind_of_file),
        TEST(test_two_writers),
        TEST(test_no_room),
        TEST(test_killed_while_writing),
        TEST(test_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
