/* What real API servers said (tests/wire/README.md), through splitter, parsers and judgement into rows. FILE.rows says
 * what must come out: of a list its rows in the order of their text, of a watch a line for each event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/kube_client.h"
#include "kube_feed.h"

enum { FILE_MAX = 4 * 1024 * 1024, ROWS_MAX = 512, STEP = 997 };

/* The recording's namespaces and names, so that its events are wanted. */
static const char *const namespaces[] = {"wire", "vault", "immich", "backup", NULL};
static const struct kube_plan_object objects[] = {
    {"vault", "StatefulSet", "vault"},
    {"immich", "Deployment", "immich-postgres"},
    {"backup", "CronJob", "flaky-backup"},
};

static struct kube_feed *feed_for(struct slice kind) {
    bool events = slice_is(kind, "Event");
    return kube_feed_new(&(struct kube_source_options){
        .namespaces = events ? namespaces : NULL,
        .objects = events ? objects : NULL,
        .nobjects = events ? ARRAY_LEN(objects) : 0,
    });
}

/* ---- One exchange ------------------------------------------------------------------------------------------------ */

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_table(const struct world *w, enum world_table t, struct buf *out) {
    char *lines[ROWS_MAX];
    size_t n = 0;
    for (const struct row *r = world_first(w, t); r && n < ROWS_MAX; r = world_next(w, r)) {
        struct buf b = {0};
        kube_feed_row(r, &b);
        lines[n++] = buf_steal(&b);
    }
    qsort(lines, n, sizeof *lines, compare_texts);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s\n", lines[i]);
        mem_free(lines[i]);
    }
}

static void add_tables(const struct world *w, struct buf *out) {
    static const enum world_table tables[] = {T_CLAIMS, T_PODS, T_WORKLOADS, T_JOBS, T_EVENTS, T_LEASES};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) add_table(w, tables[i], out);
}

static void add_status(struct slice body, struct buf *out) {
    struct kube_status s;
    kube_status_parse(body, &s);
    buf_printf(out, "Status ");
    if (s.code) buf_printf(out, "%d", s.code);
    else buf_addc(out, '-');
    buf_printf(out, " %s\n", s.reason[0] ? s.reason : "-");
}

/* What the event has made of its object. */
static void watch_line(struct kube_feed *f, struct slice line, struct buf *out) {
    uint64_t before = world_seq(f->world);
    struct kube_arena arena = {0};
    struct kube_meta meta = {0};
    const char *type = kube_feed_event(f, line);
    const char *object = strstr(line.p, "\"object\":") + strlen("\"object\":");
    struct slice json = {object, line.n - (size_t)(object - line.p) - 1}, kind = kube_feed_kind(json);
    buf_adds(out, type);
    if (str_eq(type, "ERROR")) buf_printf(out, " %s\n", buf_str(&f->last_error));
    else if (str_eq(type, "BOOKMARK")) {
        err_ignore(kube_meta_parse(&arena, json, &meta), "a bookmark has no uid");
        const char *rv = strstr(object, "\"resourceVersion\":\"") + strlen("\"resourceVersion\":\"");
        buf_printf(out, " %.*s\n", (int)strcspn(rv, "\""), rv);
        assert_int_equal(world_seq(f->world), before);
    } else if (!kube_feed_listener(f, kind)) buf_printf(out, " %.*s\n", SLICE_FMT(kind));
    else {
        assert_null(kube_meta_parse(&arena, json, &meta));
        enum world_table t = kube_feed_listener(f, kind)->kind->table;
        const struct row *r = world_find(f->world, t, meta.uid);
        buf_addc(out, ' ');
        if (r) kube_feed_row(r, out);
        else buf_printf(out, "%s key=%.*s", world_table_info(t)->name, SLICE_FMT(meta.uid));
        buf_addc(out, '\n');
    }
    kube_arena_free(&arena);
}

static void watch(struct slice body, struct buf *out) {
    struct slice line;
    struct kube_feed *f = feed_for(SLICE_LIT(""));
    while (slice_cut(&body, '\n', &line)) {
        char *copy = slice_dup(line); /* NUL-terminated, for strstr */
        if (line.n) watch_line(f, (struct slice){copy, line.n}, out);
        mem_free(copy);
    }
    assert_int_equal(f->unreadable, 0);
    kube_feed_free(f);
}

static void exchange(struct slice body, struct buf *out) {
    struct slice kind = kube_feed_kind(body);
    if (slice_starts(body, "{\"type\":")) watch(body, out);
    else if (!slice_starts(body, "{")) buf_adds(out, "no JSON\n");
    else if (slice_is(kind, "Status")) add_status(body, out);
    else {
        struct kube_feed *f = feed_for(kind);
        if (!kube_feed_listener(f, kind)) {
            buf_printf(out, "%.*s%s\n", SLICE_FMT(kind), kube_feed_is_list(body) ? "List" : "");
        } else if (kube_feed_is_list(body)) {
            kube_feed_list(f, body, STEP);
        } else {
            char *json = slice_dup(body), *name = slice_dup(kind);
            kube_feed_object(f, name, json, false);
            mem_free(json);
            mem_free(name);
        }
        assert_int_equal(f->unreadable, 0);
        add_tables(f->world, out);
        kube_feed_free(f);
    }
}

/* ---- A file ------------------------------------------------------------------------------------------------------ */

static bool next_block(struct slice *rest, struct slice *ret) {
    static const char mark[] = "\n### ";
    if (!rest->n) return false;
    const char *next = memmem(rest->p, rest->n, mark, sizeof mark - 1);
    size_t n = next ? (size_t)(next + 1 - rest->p) : rest->n;
    *ret = (struct slice){rest->p, n};
    *rest = (struct slice){rest->p + n, rest->n - n};
    return true;
}

static void replay(const char *txt, struct buf *out) {
    struct buf file = {0};
    assert_null(file_read(txt, FILE_MAX, &file));
    struct slice rest = buf_slice(&file), block, comment, status;
    while (next_block(&rest, &block)) {
        assert_true(slice_cut(&block, '\n', &comment));
        assert_true(slice_cut(&block, '\n', &status));
        buf_printf(out, "%.*s\n", SLICE_FMT(comment));
        exchange(slice_trim(block), out);
    }
    buf_free(&file);
}

static void test_transcripts(void **state) {
    (void)state;
    glob_t found;
    unsigned wrong = 0;
    assert_int_equal(glob(WIRE_DIR "/1.*/*.rows", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 30);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buf got = {0}, want = {0};
        char *txt = str_printf("%.*s.txt", (int)(strlen(found.gl_pathv[i]) - strlen(".rows")), found.gl_pathv[i]);
        assert_null(file_read(found.gl_pathv[i], FILE_MAX, &want));
        replay(txt, &got);
        struct slice a = buf_slice(&got), b = buf_slice(&want), x = {0}, y = {0};
        unsigned line = 0;
        while (slice_eq(x, y) && (a.n || b.n)) {
            line++;
            if (!slice_cut(&a, '\n', &x)) x = SLICE_LIT("(end)");
            if (!slice_cut(&b, '\n', &y)) y = SLICE_LIT("(end)");
        }
        if (!slice_eq(x, y)) {
            wrong++;
            print_error("%s:%u\n  want %.*s\n  got  %.*s\n", found.gl_pathv[i], line, SLICE_FMT(y), SLICE_FMT(x));
        }
        buf_free(&got);
        buf_free(&want);
        mem_free(txt);
    }
    globfree(&found);
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
