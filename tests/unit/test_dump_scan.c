#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_scan.h"

/* What pg_dumpall 15 writes, with everything in it that could be taken for something else. */
static const char globals[] =
    "--\n-- PostgreSQL database cluster dump\n--\n\n\\restrict AbC\n\nSET default_transaction_read_only = off;\n\n"
    "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n\n--\n-- Roles\n--\n\nCREATE ROLE immich;\n"
    "ALTER ROLE immich WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:x$y:z';\nCOMMENT ON ROLE immich IS 'a; COPY b FROM stdin;\n"
    "COPY c FROM stdin;\n1\n\\.\n-- PostgreSQL database cluster dump complete\n';\n\\unrestrict AbC\n\n";
static const char immich[] =
    "--\n-- Database \"immich\" dump\n--\n\n--\n-- PostgreSQL database dump\n--\n\n\\restrict k1\n\n"
    "CREATE DATABASE immich WITH TEMPLATE = template0;\n\\unrestrict k1\n\\connect immich\n\\restrict k1\n\n"
    "--\n-- Name: f(); Type: FUNCTION; Schema: public; Owner: immich\n--\n\n"
    "CREATE FUNCTION public.f() RETURNS void\n    LANGUAGE plpgsql\n    AS $_x$\nBEGIN\n  $$inner$$;\nCOPY public.fake FROM stdin;\n1\n2\n\\.\n"
    "\\connect other\n-- PostgreSQL database dump complete\nEND$_y$ $_$_x$;\n\n"
    "CREATE FUNCTION public.g() RETURNS text LANGUAGE sql AS 'select $1; -- ''\nCOPY public.fake2 FROM stdin;\n';\n"
    "COMMENT ON TABLE public.asset IS E'it\\'s; \\\\'';\nCOPY public.fake3 FROM stdin;\n';\n"
    "/* a /* nested */\nCOPY public.fake4 FROM stdin;\n\\.\n*/ SELECT a$b$c, $1, 'U&x' - -1 -- to the end ' \" $$ /*\n;\n"
    "CREATE TABLE public.\"a\nCOPY public.fake5 FROM stdin;\n\" (x int);\n"
    "--\n-- Data for Name: asset; Type: TABLE DATA; Schema: public; Owner: immich\n--\n\n"
    "COPY public.asset (id, \"from stdin;\", \"q\"\"(x)\") FROM stdin;\n1\ta\t\\N\n2\t'\t$$\n\\N\t\"\t-- x\n\\\\.\t;\t/*\n"
    "COPY public.fake6 FROM stdin;\tx\ty\n\\.\n\n"
    "COPY public.empty (id) FROM stdin;\n\\.\n\nCOPY public.nothing  FROM stdin;\n\n\n\\.\n\n"
    "COPY \"My.Schema\".\"Ta\"\"ble\ntwo\" (\"a)b\") FROM stdin;\nx\n\\.\n\n"
    "COPY public.asset (id) FROM stdin;\n9\n\\.\n\n"
    "SELECT pg_catalog.setval('public.s', 5, true);\n"
    "--\n-- Name: clip_index; Type: INDEX; Schema: public; Owner: immich\n--\n\nCREATE INDEX clip_index ON public.asset (id);\n\n\n"
    "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k1\n\n";
static const char second[] =
    "--\n-- Database \"my db\" dump\n--\n\n--\n-- PostgreSQL database dump\n--\n\n\\restrict k2\n\\unrestrict k2\n\\encoding SQL_ASCII\n"
    "\\connect -reuse-previous=on \"dbname='my \\'\"\"db'\"\n\\restrict k2\n\nCOPY public.asset (id) FROM stdin;\n1\n\\.\n\n"
    "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k2\n\n";
static const char trailer[] = "--\n-- PostgreSQL database cluster dump complete\n--\n\n";

static char *whole_dump(void) {
    return str_printf("%s%s%s%s", globals, immich, second, trailer);
}

static struct dump_scan *scan_in(const char *text, size_t n, size_t step) {
    struct dump_scan *s = dump_scan_new();
    for (size_t at = 0; at < n; at += step) {
        /* A copy of its own size, so that a read beyond it is seen. */
        size_t piece = n - at < step ? n - at : step;
        char *copy = mem_strndup(text + at, piece);
        char *exact = mem_alloc(piece);
        memcpy(exact, copy, piece);
        dump_scan_add(s, exact, piece);
        mem_free(exact);
        mem_free(copy);
    }
    return s;
}

static char *rows_text(const struct dump_scan *s) {
    struct buf out = {0};
    struct json_t *rows = dump_scan_rows_json(s);
    jd_dump(rows, &out);
    jd_free(rows);
    return buf_steal(&out);
}

static void assert_complete(const struct dump_scan *s) {
    struct buf why = {0};
    bool complete = dump_scan_complete(s, &why);
    if (!complete) print_error("%s\n", buf_str(&why));
    assert_true(complete);
    buf_free(&why);
}

static void test_nasty_dump_in_pieces_of_any_size(void **state) {
    (void)state;
    char *dump = whole_dump();
    size_t n = strlen(dump);
    for (size_t step = 1; step <= n; step = step < 70 ? step + 1 : step * 3) {
        struct dump_scan *s = scan_in(dump, n, step);
        char *rows = rows_text(s);
        assert_string_equal(rows, "{\"immich\":{\"public.asset\":6,\"public.empty\":0,\"public.nothing\":2,"
                                  "\"My.Schema.Ta\\\"ble two\":1},\"my '\\\"db\":{\"public.asset\":1}}");
        assert_complete(s);
        assert_int_equal(dump_scan_rows(s), 10);
        assert_int_equal(dump_scan_tables(s), 5);
        assert_int_equal(dump_scan_databases(s), 2);
        assert_int_equal(dump_scan_bytes(s), n);
        mem_free(rows);
        dump_scan_free(s);
    }
    mem_free(dump);
}

static void test_cut_off_anywhere_is_not_complete(void **state) {
    (void)state;
    char *dump = whole_dump();
    size_t n = strlen(dump), last_line = n - strlen("--\n\n");
    for (size_t cut = 0; cut < last_line; cut++) {
        struct dump_scan *s = dump_scan_new();
        struct buf why = {0};
        dump_scan_add(s, dump, cut);
        assert_false(dump_scan_complete(s, &why));
        assert_true(why.len > 10);
        buf_free(&why);
        dump_scan_free(s);
    }
    mem_free(dump);
}

static void assert_incomplete(const char *text, const char *reason) {
    struct dump_scan *s = scan_in(text, strlen(text), 7);
    struct buf why = {0};
    assert_false(dump_scan_complete(s, &why));
    if (!strstr(buf_str(&why), reason)) print_error("%s\n", buf_str(&why));
    assert_non_null(strstr(buf_str(&why), reason));
    buf_free(&why);
    dump_scan_free(s);
}

static void test_what_is_missing_is_said(void **state) {
    (void)state;
    char *lost = str_printf("%s%s", globals, immich), *half = str_printf("%s%.*s%s", globals, (int)(strstr(immich, "\\.\n\nCOPY public.empty") -
                                                                                                        immich), immich, trailer),
         *one = str_printf("%s%.*s%s", globals, (int)(strstr(immich, "--\n-- PostgreSQL database dump complete") - immich), immich, trailer),
         *more = str_printf("%s%s%s%s", globals, immich, trailer, "SELECT 1;\n"), *open = str_printf("%s%s\\restrict k9\n%s", globals, immich, trailer),
         *odd = str_printf("%sCOPY public.x TO stdout;\n%s", globals, trailer);
    assert_incomplete(lost, "cluster dump complete\" is missing");
    assert_incomplete(half, "it ends inside of the rows of public.asset");
    assert_incomplete(one, "1 databases begin in it, but 0 are complete");
    assert_incomplete(more, "there is more after its last line");
    assert_incomplete(open, "\\unrestrict is missing");
    assert_incomplete(odd, "is not what pg_dumpall writes");
    mem_free(lost), mem_free(half), mem_free(one), mem_free(more), mem_free(open), mem_free(odd);
}

static void test_strings_with_backslashes_when_they_escape(void **state) {
    (void)state;
    static const char text[] = "SET standard_conforming_strings = off;\nSELECT 'a\\';\nCOPY public.no FROM stdin;\n';\n"
                               "SET standard_conforming_strings = on;\nSELECT 'a\\';\nCOPY public.yes FROM stdin;\n1\n\\.\n";
    struct dump_scan *s = scan_in(text, sizeof text - 1, 3);
    char *rows = rows_text(s);
    assert_string_equal(rows, "{\"\":{\"public.yes\":1}}");
    mem_free(rows);
    dump_scan_free(s);
}

static void assert_at(const struct dump_scan *s, int64_t line, const char *expected) {
    struct buf out = {0};
    dump_scan_at_line(s, line, &out);
    assert_string_equal(buf_str(&out), expected);
    buf_free(&out);
}

static void test_lines_lead_to_what_stands_there(void **state) {
    (void)state;
    static const char text[] = "\\connect immich\n--\n-- Name: t; Type: TABLE; Schema: public; Owner: o\n--\n\nCREATE TABLE public.t (x int);\n"
                               "COPY public.t (x) FROM stdin;\n1\n2\n\\.\n--\n-- Name: i; Type: INDEX; Schema: public; Owner: o\n--\nCREATE INDEX;\n";
    struct dump_scan *s = scan_in(text, sizeof text - 1, 5);
    struct buf now = {0};
    assert_at(s, 1, "");
    assert_at(s, 6, "TABLE public.t");
    assert_at(s, 7, "COPY public.t in immich");
    assert_at(s, 10, "COPY public.t in immich"); /* where psql says that it failed */
    assert_at(s, 14, "INDEX public.i");
    dump_scan_now(s, &now);
    assert_string_equal(buf_str(&now), "INDEX public.i");
    buf_free(&now);
    dump_scan_free(s);
}

static void test_many_tables(void **state) {
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 3000; i++) buf_printf(&text, "COPY s.t%d (x) FROM stdin;\n%s\\.\n\n", i, i % 2 ? "1\n2\n3\n" : "");
    struct dump_scan *s = scan_in(text.p, text.len, 4096);
    assert_int_equal(dump_scan_tables(s), 3000);
    assert_int_equal(dump_scan_rows(s), 4500);
    dump_scan_free(s);
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nasty_dump_in_pieces_of_any_size), cmocka_unit_test(test_cut_off_anywhere_is_not_complete),
        cmocka_unit_test(test_what_is_missing_is_said),          cmocka_unit_test(test_strings_with_backslashes_when_they_escape),
        cmocka_unit_test(test_lines_lead_to_what_stands_there),  cmocka_unit_test(test_many_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
