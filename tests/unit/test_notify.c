/* Who wants to know is told, in order and one at a time; nothing waits for it, and nothing is said that is a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/notify.h"
#include "migrate/plan.h"
#include "tests/unit/tiny_http.h"
#include "world/world.h"

enum { WAIT_MS = 60000 };

static struct stage {
    struct loop *loop;
    struct world *world;
    struct timer *poll;
    struct plan plan;
    struct plan_notify receiver;
    struct notify *notify;
    char dir[64], *words[3];
    bool (*want)(void);
    bool reached;
} s;

static void poll_want(void *arg) {
    (void)arg;
    if (s.want && s.want()) s.reached = true;
}

static int setup(void **state) {
    (void)state;
    s = (struct stage){.loop = loop_new(), .world = world_new()};
    s.poll = timer_new(s.loop, poll_want, NULL);
    timer_start(s.poll, 2, 2);
    snprintf(s.dir, sizeof s.dir, "/tmp/ferryman-test-notify-XXXXXX");
    assert_non_null(mkdtemp(s.dir));
    s.plan.name = (char *)(uintptr_t)"nfs-hostile";
    return 0;
}

static int teardown(void **state) {
    (void)state;
    notify_free(s.notify);
    timer_free(s.poll);
    loop_free(s.loop);
    world_free(s.world);
    char *command = str_printf("rm -rf '%s'", s.dir);
    assert_int_equal(system(command), 0);
    mem_free(command);
    for (size_t i = 0; i < ARRAY_LEN(s.words); i++) mem_free(s.words[i]);
    mem_free(s.receiver.url);
    return 0;
}

static void begin(void) {
    s.plan.notify = (struct plan_items){.v = &s.receiver, .n = 1};
    s.notify = notify_new(s.loop, s.world, &s.plan);
}

/* A command: this shell script in the stage's folder, which it finds as $D. */
static void command(const char *body) {
    s.words[0] = str_printf("%s/hook", s.dir);
    s.words[1] = mem_strdup("an argument");
    char *text = str_printf("#!/bin/sh\nD=%s\n%s\n", s.dir, body);
    assert_null(file_write_durable(s.words[0], text, strlen(text), 0700));
    mem_free(text);
    s.receiver.command = (struct plan_strings){.v = s.words, .n = 2};
    begin();
}

static void await(bool (*want)(void), const char *what) {
    s.want = want;
    s.reached = false;
    if (!loop_run_until(s.loop, &s.reached, WAIT_MS)) fail_msg("not reached: %s", what);
}

#define AWAIT(want) await(want, #want)

static bool is_idle(void) {
    return !notify_busy(s.notify);
}

static void event(const char *state, const char *text) {
    notify_event(s.notify, "vault", "phase", "pod-1", state, text);
}

/* "LEVEL object: text" of each, oldest first; to be freed. */
static char *timeline(void) {
    struct buf out = {0};
    for (int64_t last = 0, next; ; last = next) {
        const struct row *found = NULL;
        next = INT64_MAX;
        for (const struct row *r = world_first(s.world, T_TIMELINE); r; r = world_next(s.world, r)) {
            int64_t n;
            assert_true(slice_to_i64(row_key(r), &n));
            if (n <= last || n >= next) continue;
            next = n;
            found = r;
        }
        if (!found) break;
        buf_printf(&out, "%.*s %.*s: %.*s\n", SLICE_FMT(row_text(found, TIMELINE_LEVEL)), SLICE_FMT(row_text(found, TIMELINE_OBJECT)),
                   SLICE_FMT(row_text(found, TIMELINE_TEXT)));
    }
    return buf_steal(&out);
}

static void assert_timeline(const char *expected) {
    char *text = timeline();
    assert_string_equal(text, expected);
    mem_free(text);
}

static struct buf contents(const char *name) {
    struct buf b = {0};
    char *path = str_printf("%s/%s", s.dir, name);
    struct err *e = file_read(path, 1 << 20, &b);
    if (e) fail_msg("%s", err_text(e));
    mem_free(path);
    return b;
}

static void assert_event(struct slice line, const char *state, const char *text) {
    struct json_t *d = NULL;
    assert_null(jd_parse(line.p, line.n, "what was told", &d));
    assert_int_equal(jd_len(d), 8);
    assert_int_equal(jd_num(d, "schema", 0), 1);
    assert_int_equal(strlen(jd_str(d, "at")), strlen("2026-11-22T11:03:55Z"));
    assert_string_equal(jd_str(d, "plan"), "nfs-hostile");
    assert_string_equal(jd_str(d, "workload"), "vault");
    assert_string_equal(jd_str(d, "event"), "phase");
    assert_string_equal(jd_str(d, "name"), "pod-1");
    assert_string_equal(jd_str(d, "state"), state);
    assert_string_equal(jd_str(d, "text"), text);
    jd_free(d);
}

static void test_command_in_order(void **state) {
    static const char *const states[] = {"begun", "paused", "resumed", "done"};
    (void)state;
    command("[ \"$1\" = 'an argument' ] && mkdir $D/alone && cat >> $D/out && rmdir $D/alone");
    for (size_t i = 0; i < ARRAY_LEN(states); i++) event(states[i], "vault-0: swap and rejoin");
    assert_true(notify_busy(s.notify));
    AWAIT(is_idle);
    struct buf out = contents("out");
    struct slice rest = buf_slice(&out), line;
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        assert_true(slice_cut(&rest, '\n', &line));
        assert_event(line, states[i], "vault-0: swap and rejoin");
    }
    assert_int_equal(rest.n, 0);
    assert_timeline("");
    buf_free(&out);
}

/* Our tokens are not the hook's. */
static void test_clean_environment(void **state) {
    (void)state;
    setenv("VAULT_TOKEN", "hvs.secret", 1);
    setenv("PGPASSWORD", "secret", 1);
    command("cat > /dev/null; env > $D/env");
    event("done", "x");
    AWAIT(is_idle);
    struct buf env = contents("env");
    assert_non_null(strstr(buf_str(&env), "PATH="));
    assert_null(strstr(buf_str(&env), "secret"));
    buf_free(&env);
    unsetenv("VAULT_TOKEN");
    unsetenv("PGPASSWORD");
}

/* Foreign text is clean before it is told. */
static void test_text_is_clean(void **state) {
    (void)state;
    command("cat > $D/out");
    event("failed", "a\x1b[31mb\xff");
    AWAIT(is_idle);
    struct buf out = contents("out");
    assert_null(strchr(buf_str(&out), '\x1b'));
    assert_null(strstr(buf_str(&out), "u001b"));
    buf_free(&out);
}

static void test_failing_is_said_once(void **state) {
    (void)state;
    command("cat > /dev/null; echo 'token=hvs.secret' >&2; [ -e $D/well ] || exit 3");
    for (int i = 0; i < 3; i++) event("begun", "x");
    AWAIT(is_idle);
    char *expected = str_printf("WARN notify: %s: it ended with status 3; what happens goes on without it\n", s.words[0]);
    assert_timeline(expected);
    char *well = str_printf("%s/well", s.dir);
    assert_null(file_write_durable(well, "", 0, 0600));
    event("done", "x");
    AWAIT(is_idle);
    event("done", "x");
    AWAIT(is_idle);
    char *all = str_printf("%sGOOD notify: %s works again\nWARN notify: %s: 3 notices did not reach it\n", expected, s.words[0], s.words[0]);
    assert_timeline(all);
    mem_free(expected);
    mem_free(well);
    mem_free(all);
}

static void test_no_such_program(void **state) {
    (void)state;
    command("true");
    assert_int_equal(unlink(s.words[0]), 0);
    event("begun", "x");
    event("done", "x");
    AWAIT(is_idle);
    char *text = timeline();
    assert_true(str_starts(text, "WARN notify: "));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n')); /* one line */
    mem_free(text);
}

static bool is_held(void) {
    char *path = str_printf("%s/held", s.dir);
    bool there = file_exists(path);
    mem_free(path);
    return there;
}

/* 64 wait at most; the oldest go, and are counted. */
static void test_at_most_64_wait(void **state) {
    char *fifo = str_printf("%s/fifo", s.dir), *go = str_printf("%s/go", s.dir), text[32];
    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    command("cat >> $D/out; [ -e $D/go ] || { : > $D/held; read x < $D/fifo; }; exit 0");
    event("begun", "first");
    AWAIT(is_held);
    for (int i = 1; i <= 70; i++) {
        snprintf(text, sizeof text, "event %d", i);
        event("begun", text);
    }
    assert_null(file_write_durable(go, "", 0, 0600));
    int fd = open(fifo, O_WRONLY);
    assert_int_equal(write(fd, "x\n", 2), 2);
    close(fd);
    AWAIT(is_idle);
    struct buf out = contents("out");
    struct slice rest = buf_slice(&out), line;
    assert_true(slice_cut(&rest, '\n', &line));
    assert_event(line, "begun", "first");
    for (int i = 7; i <= 70; i++) {
        snprintf(text, sizeof text, "event %d", i);
        assert_true(slice_cut(&rest, '\n', &line));
        assert_event(line, "begun", text);
    }
    char *expected = str_printf("WARN notify: %s: 6 notices did not reach it\n", s.words[0]);
    assert_timeline(expected);
    mem_free(expected);
    mem_free(fifo);
    mem_free(go);
    buf_free(&out);
}

/* ---- Webhooks ---- */

static struct tiny_http *hook(const char *path) {
    struct tiny_http *t = tiny_http_new(s.loop);
    s.receiver.url = str_printf("%s%s", tiny_http_url(t), path);
    begin();
    return t;
}

static void test_webhook(void **state) {
    (void)state;
    struct tiny_http *t = hook("/services/T000?key=k#part");
    tiny_http_answer(t, "/services/T000", &(struct tiny_answer){.status = 204});
    event("begun", "one");
    event("done", "two");
    AWAIT(is_idle);
    assert_int_equal(tiny_http_count(t), 2);
    for (int i = 0; i < 2; i++) {
        const struct tiny_request *rq = tiny_http_request(t, i);
        assert_string_equal(rq->method, "POST");
        assert_string_equal(rq->target, "/services/T000?key=k");
        assert_true(tiny_request_has(rq, "Content-Type: application/json"));
        assert_event(slice_of(rq->body), i ? "done" : "begun", i ? "two" : "one");
    }
    assert_timeline("");
    notify_free(s.notify);
    s.notify = NULL;
    tiny_http_free(t);
}

/* Who knows the path of a webhook may post there. */
static void test_webhook_fails(void **state) {
    (void)state;
    struct tiny_http *t = hook("/services/SECRET");
    tiny_http_answer(t, "/services/SECRET", &(struct tiny_answer){.status = 500, .body = "SECRET"});
    tiny_http_answer(t, "/services/SECRET", &(struct tiny_answer){.fate = TINY_RESET});
    for (int i = 0; i < 2; i++) event("begun", "x");
    AWAIT(is_idle);
    char *text = timeline();
    assert_non_null(strstr(text, ": it answered with status 500; what happens goes on without it\n"));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
    assert_null(strstr(text, "SECRET"));
    mem_free(text);
    notify_free(s.notify);
    s.notify = notify_new(s.loop, s.world, &s.plan);
    event("begun", "x"); /* reset: a transport error */
    AWAIT(is_idle);
    text = timeline();
    assert_true(strchr(text, '\n') < strrchr(text, '\n'));
    assert_null(strstr(text, "SECRET"));
    mem_free(text);
    notify_free(s.notify);
    s.notify = NULL;
    tiny_http_free(t);
}

static bool is_asked(void) {
    return is_held();
}

/* The end of the process waits for nobody: what is under way is given up. */
static void test_end_in_the_middle(void **state) {
    (void)state;
    command("cat > /dev/null; : > $D/held; read x < $D/hook.fifo || exec cat");
    event("begun", "x");
    event("done", "x");
    AWAIT(is_asked);
    notify_free(s.notify);
    s.notify = NULL;
}

static void test_nobody_wants_to_know(void **state) {
    (void)state;
    s.notify = notify_new(s.loop, s.world, &s.plan);
    event("begun", "x");
    assert_false(notify_busy(s.notify));
    notify_event(NULL, "vault", "phase", "pod-1", "begun", "x");
    assert_false(notify_busy(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_command_in_order), TEST(test_clean_environment), TEST(test_text_is_clean),   TEST(test_failing_is_said_once),
        TEST(test_no_such_program),  TEST(test_at_most_64_wait),   TEST(test_webhook),         TEST(test_webhook_fails),
        TEST(test_end_in_the_middle), TEST(test_nobody_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
