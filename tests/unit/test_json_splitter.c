#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json_splitter.h"
#include "base/mem.h"

/* Each piece as one line: "item: …", "line: …", "rest: …". */
static struct err *note(void *arg, enum json_piece kind, const char *p, size_t n)
{
    static const char *const names[] = {
        [JSON_PIECE_ITEM] = "item: ", [JSON_PIECE_LINE] = "line: ", [JSON_PIECE_REST] = "rest: "};
    struct buf *out = arg;

    buf_adds(out, names[kind]);
    buf_add(out, p, n);
    buf_addc(out, '\n');
    return NULL;
}

/* Feeds the text in chunks, each a copy of exact size, and finishes. */
static struct err *split(enum json_split_mode mode, const char *text, size_t chunk, size_t max, struct buf *out)
{
    struct json_splitter *s = json_splitter_new(mode, max, note, out);
    size_t n = strlen(text);
    struct err *e = NULL;

    for (size_t i = 0; i < n && !e; i += chunk) {
        size_t part = n - i < chunk ? n - i : chunk;
        char *copy = mem_alloc(part);

        memcpy(copy, text + i, part);
        e = json_splitter_feed(s, copy, part);
        mem_free(copy);
    }
    if (!e)
        e = json_splitter_finish(s);
    json_splitter_free(s);
    return e;
}

/* The pieces are the same in whatever chunks the text arrives. */
static void expect_pieces(enum json_split_mode mode, const char *text, const char *want)
{
    for (size_t chunk = 1; chunk <= strlen(text) + 1; chunk++) {
        struct buf out = {0};
        struct err *e = split(mode, text, chunk, 1000, &out);

        if (e)
            fail_msg("%s in chunks of %zu: %s", text, chunk, err_text(e));
        assert_string_equal(buf_str(&out), want);
        buf_free(&out);
    }
}

static void expect_error(enum json_split_mode mode, const char *text, const char *words)
{
    for (size_t chunk = 1; chunk <= strlen(text) + 1; chunk++) {
        struct buf out = {0};
        struct err *e = split(mode, text, chunk, 1000, &out);

        if (!e)
            fail_msg("accepted: %s in chunks of %zu", text, chunk);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        if (!strstr(err_text(e), words))
            fail_msg("%s: %s", text, err_text(e));
        err_free(e);
        buf_free(&out);
    }
}

static void test_list(void **state)
{
    (void)state;
    expect_pieces(JSON_SPLIT_ITEMS,
                  "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"7\",\"items\":[1]},"
                  "\"items\":[{\"a\":{\"b\":[1,2]}},{\"c\":\"}]\\\"{\"}],\"more\":true}\n",
                  "item: {\"a\":{\"b\":[1,2]}}\nitem: {\"c\":\"}]\\\"{\"}\n"
                  "rest: {\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"7\",\"items\":[1]},"
                  "\"items\":[],\"more\":true}\n");
}

static void test_pretty_list(void **state)
{
    (void)state;
    expect_pieces(JSON_SPLIT_ITEMS,
                  "{\n  \"kind\": \"PodList\",\n  \"items\": [\n    {\n      \"a\": 1\n    },\n    {\n    }\n  ]\n}\n",
                  "item: {\n      \"a\": 1\n    }\nitem: {\n    }\nrest: {\"kind\":\"PodList\",\"items\":[]}\n");
}

static void test_lists_without_items(void **state)
{
    (void)state;
    expect_pieces(JSON_SPLIT_ITEMS, "{\"items\":[]}", "rest: {\"items\":[]}\n");
    expect_pieces(JSON_SPLIT_ITEMS, "{\"items\": [ ] }", "rest: {\"items\":[]}\n");
    expect_pieces(JSON_SPLIT_ITEMS, "{\"items\":null,\"a\":1}", "rest: {\"items\":null,\"a\":1}\n");
    expect_pieces(JSON_SPLIT_ITEMS, "{\"items\":{\"a\":[1]}}", "rest: {\"items\":{\"a\":[1]}}\n");
    expect_pieces(JSON_SPLIT_ITEMS, "{}", "rest: {}\n");
    expect_pieces(JSON_SPLIT_ITEMS, " { \"kind\" : \"Status\", \"code\" : 403 } ",
                  "rest: {\"kind\":\"Status\",\"code\":403}\n");
}

static void test_items_of_other_types(void **state)
{
    (void)state;
    expect_pieces(JSON_SPLIT_ITEMS, "{\"items\":[1, \"a,]\\\\\" ,null,[2,[3]],true]}",
                  "item: 1\nitem: \"a,]\\\\\"\nitem: null\nitem: [2,[3]]\nitem: true\nrest: {\"items\":[]}\n");
}

static void test_malformed_bodies(void **state)
{
    (void)state;
    expect_error(JSON_SPLIT_ITEMS, "", "empty");
    expect_error(JSON_SPLIT_ITEMS, " \n", "empty");
    expect_error(JSON_SPLIT_ITEMS, "404 page not found", "byte 0x34");
    expect_error(JSON_SPLIT_ITEMS, "[]", "at byte 0");
    expect_error(JSON_SPLIT_ITEMS, "{\"items\":[{},,{}]}", "at byte 13");
    expect_error(JSON_SPLIT_ITEMS, "{\"items\":[{}{}]}", "at byte 12");
    expect_error(JSON_SPLIT_ITEMS, "{\"items\":[{},]}", "at byte 13");
    expect_error(JSON_SPLIT_ITEMS, "{\"items\":[,{}]}", "at byte 10");
    expect_error(JSON_SPLIT_ITEMS, "{\"items\":[{}}", "at byte 12");
    expect_error(JSON_SPLIT_ITEMS, "{\"a\":1,}", "at byte 7");
    expect_error(JSON_SPLIT_ITEMS, "{,}", "at byte 1");
    expect_error(JSON_SPLIT_ITEMS, "{\"a\",1}", "at byte 4");
    expect_error(JSON_SPLIT_ITEMS, "{\"a\":}", "at byte 5");
    expect_error(JSON_SPLIT_ITEMS, "{} x", "at byte 3");
    expect_error(JSON_SPLIT_ITEMS, "{}{}", "at byte 2");
}

static void test_cut_bodies(void **state)
{
    static const char body[] = "{\"kind\":\"L\",\"items\":[{\"a\":\"\\\\\"},{\"b\":[1]}],\"x\":{\"y\":12}}";

    (void)state;
    for (size_t n = 1; n < sizeof body - 1; n++) {
        char *cut = mem_strndup(body, n);

        expect_error(JSON_SPLIT_ITEMS, cut, "ended in the middle");
        mem_free(cut);
    }
}

static void test_lines(void **state)
{
    (void)state;
    expect_pieces(JSON_SPLIT_LINES, "{\"type\":\"ADDED\"}\n{\"type\":\"BOOKMARK\"}\n",
                  "line: {\"type\":\"ADDED\"}\nline: {\"type\":\"BOOKMARK\"}\n");
    expect_pieces(JSON_SPLIT_LINES, "", "");
    expect_pieces(JSON_SPLIT_LINES, "\n \n{}\n\n", "line: {}\n");
    expect_pieces(JSON_SPLIT_LINES, "{\"a\":1}\n{\"last\":\"}\"}", "line: {\"a\":1}\nline: {\"last\":\"}\"}\n");
    expect_error(JSON_SPLIT_LINES, "{\"a\":1}\n{\"last\":", "middle of a line");
    expect_error(JSON_SPLIT_LINES, "{\"a\":1}\n{\"last\":\"}", "middle of a line");
    expect_error(JSON_SPLIT_LINES, "12", "middle of a line");
}

static void expect_limit(enum json_split_mode mode, const char *text, size_t fits)
{
    for (size_t chunk = 1; chunk <= strlen(text); chunk++) {
        struct buf out = {0};
        struct err *e = split(mode, text, chunk, fits, &out);

        if (e)
            fail_msg("%s: %s", text, err_text(e));
        e = split(mode, text, chunk, fits - 1, &out);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        assert_non_null(strstr(err_text(e), "larger than"));
        err_free(e);
        buf_free(&out);
    }
}

static void test_pieces_are_bounded(void **state)
{
    (void)state;
    expect_limit(JSON_SPLIT_ITEMS, "{\"items\":[{\"abcdefghijklmnopqrstuvwxyz\":\"1234567890\"}]}", 43);
    expect_limit(JSON_SPLIT_ITEMS, "{\"abcdefghijklmnopqrstuvwxyz\":\"1234567890\",\"items\":[{}]}", 54);
    expect_limit(JSON_SPLIT_LINES, "{}\n{\"a\":\"123\"}\n{}\n", 11);
    expect_limit(JSON_SPLIT_LINES, "                     \n   {\"a\":\"123\"}\n                       ", 11);
}

/* Strings, escapes and brackets around every place of the 64-byte blocks, also where chunks meet. */
static void test_blocks(void **state)
{
    (void)state;
    for (size_t pad = 0; pad < 140; pad++) {
        struct buf text = {0}, want = {0}, out = {0};
        struct err *e;

        buf_adds(&want, "item: {\"k\":\"");
        for (size_t i = 0; i < pad; i++)
            buf_addc(&want, i % 7 == 3 ? '}' : 'x');
        buf_adds(&want, "\\\\\\\"]\\\\\",\"n\":[{\"m\":{}}]}\nitem: {}\nrest: {\"items\":[]}\n");
        buf_adds(&text, "{\"items\":[");
        buf_add(&text, want.p + 6, want.len - 6 - strlen("\nitem: {}\nrest: {\"items\":[]}\n"));
        buf_adds(&text, ",{}]}");
        for (size_t chunk = 1; chunk < 200; chunk += pad % 10 == 0 ? 1 : 13) {
            e = split(JSON_SPLIT_ITEMS, text.p, chunk, 1000, &out);
            assert_null(e);
            assert_string_equal(buf_str(&out), want.p);
            buf_clear(&out);
        }
        buf_free(&text);
        buf_free(&want);
        buf_free(&out);
    }
}

struct in_place {
    const char *from, *to;
    unsigned inside, outside;
};

static struct err *note_place(void *arg, enum json_piece kind, const char *p, size_t n)
{
    struct in_place *place = arg;

    if (kind != JSON_PIECE_ITEM)
        return NULL;
    if (p >= place->from && p + n <= place->to)
        place->inside++;
    else
        place->outside++;
    return NULL;
}

static void test_whole_pieces_are_not_copied(void **state)
{
    static const char body[] = "{\"items\":[{\"a\":1},{\"b\":2},{\"c\":3}]}";
    struct in_place place = {.from = body, .to = body + sizeof body - 1};
    struct json_splitter *s = json_splitter_new(JSON_SPLIT_ITEMS, 100, note_place, &place);

    (void)state;
    assert_null(json_splitter_feed(s, body, 20));
    assert_null(json_splitter_feed(s, body + 20, sizeof body - 1 - 20));
    assert_null(json_splitter_finish(s));
    assert_int_equal(place.inside, 2);
    assert_int_equal(place.outside, 1);
    json_splitter_free(s);
}

static struct err *refuse(void *arg, enum json_piece kind, const char *p, size_t n)
{
    (void)kind, (void)p, (void)n;
    ++*(unsigned *)arg;
    return err_new(ERR_DATA, "no more of these");
}

static void test_callback_stops_the_splitter(void **state)
{
    static const char body[] = "{\"items\":[{\"a\":1},{\"b\":2}]}";
    unsigned calls = 0;
    struct json_splitter *s = json_splitter_new(JSON_SPLIT_ITEMS, 100, refuse, &calls);
    struct err *e = json_splitter_feed(s, body, sizeof body - 1);

    (void)state;
    assert_non_null(e);
    assert_string_equal(err_text(e), "no more of these");
    err_free(e);
    e = json_splitter_feed(s, "{}", 2);
    assert_non_null(e);
    err_free(e);
    e = json_splitter_finish(s);
    assert_non_null(e);
    err_free(e);
    assert_int_equal(calls, 1);
    json_splitter_free(s);
    json_splitter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_pretty_list),
        cmocka_unit_test(test_lists_without_items),
        cmocka_unit_test(test_items_of_other_types),
        cmocka_unit_test(test_malformed_bodies),
        cmocka_unit_test(test_cut_bodies),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_pieces_are_bounded),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_whole_pieces_are_not_copied),
        cmocka_unit_test(test_callback_stops_the_splitter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
