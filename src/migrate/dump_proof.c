/* Judges a dump by nothing but its files. */
#include <stdio.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_file.h"
#include "migrate/dump_scan.h"

const char *const dump_check_names[DUMP_CHECKS] = {"hmac", "sha256", "size", "trailer", "rows"};

static void judge(struct dump_verdict *v, enum dump_check check, bool pass, struct buf *text) {
    v->check[check].state = pass ? DUMP_PASS : DUMP_FAIL;
    v->check[check].text = buf_steal(text);
}

/* The first table whose number of rows differs, or that one side lacks. */
static bool rows_equal(struct json_t *found, struct json_t *expected, struct buf *why) {
    for (void *d = jd_iter(expected); d; d = jd_iter_next(expected, d)) {
        struct json_t *there = jd_iter_value(d), *here = jd_member(found, jd_iter_key(d));
        for (void *t = jd_iter(there); t; t = jd_iter_next(there, t)) {
            int64_t want = jd_int_value(jd_iter_value(t), -1), is = jd_int_value(jd_member(here, jd_iter_key(t)), -1);
            if (want == is) continue;
            buf_printf(why, "%s %s: %lld rows by the manifest, ", jd_iter_key(d), jd_iter_key(t), (long long)want);
            if (is < 0) buf_adds(why, "not in the dump");
            else buf_printf(why, "%lld in the dump", (long long)is);
            return false;
        }
    }
    if (jd_equal(found, expected)) return true;
    buf_adds(why, "there are tables in the dump that its manifest does not name");
    return false;
}

static void judge_text(struct dump_verdict *v, const struct dump_reader *r, const struct dump_scan *scan) {
    const struct dump_manifest *m = &v->manifest;
    struct buf text = {0};
    bool same = str_eq(v->sha256, m->sha256);
    buf_printf(&text, same ? "%.16s…" : "%.16s…, by the manifest %.16s…", v->sha256, m->sha256);
    judge(v, DUMP_CHECK_HASH, same, &text);
    int64_t bytes = dump_scan_bytes(scan);
    buf_printf(&text, bytes == m->bytes ? "%lld bytes" : "%lld bytes, by the manifest %lld", (long long)bytes, (long long)m->bytes);
    judge(v, DUMP_CHECK_SIZE, bytes == m->bytes && bytes == dump_reader_size(r), &text);
    bool whole = dump_scan_complete(scan, &text);
    if (whole) buf_printf(&text, "complete: %lld databases", (long long)dump_scan_databases(scan));
    judge(v, DUMP_CHECK_TRAILER, whole, &text);
    bool equal = rows_equal(v->tables, m->tables, &text);
    if (equal) buf_printf(&text, "%lld rows in %lld tables", (long long)dump_scan_rows(scan), (long long)dump_scan_tables(scan));
    judge(v, DUMP_CHECK_ROWS, equal, &text);
}

/* The second pass. */
static struct err *read_text(struct dump_reader *r, struct dump_verdict *v) {
    struct dump_scan *scan = dump_scan_new();
    const char *p;
    size_t n;
    struct err *e;
    while (!(e = dump_reader_next(r, &p, &n)) && n > 0) dump_scan_add(scan, p, n);
    if (!e) {
        v->tables = dump_scan_rows_json(scan);
        dump_reader_hash(r, v->sha256);
        judge_text(v, r, scan);
    }
    dump_scan_free(scan);
    return e;
}

struct err *dump_verify(const struct dump_reader_options *o, struct dump_verdict *ret) {
    struct dump_verdict v = {0};
    struct dump_reader *r = NULL;
    struct buf text = {0};
    struct err *e = dump_manifest_read(o->file, &v.manifest);
    if (!e) e = dump_reader_open(o, &r);
    enum dump_check first = v.manifest.iterations ? DUMP_CHECK_HMAC : DUMP_CHECK_HASH;
    if (e && err_kind(e) == ERR_FAILED) {
        buf_adds(&text, err_text(e));
        judge(&v, first, false, &text);
        err_free(e);
        e = NULL;
    } else if (!e) {
        buf_adds(&text, "the bytes are the ones that were written");
        if (first == DUMP_CHECK_HMAC) judge(&v, first, true, &text);
        buf_free(&text);
        e = read_text(r, &v);
    }
    dump_reader_free(r);
    if (e) dump_verdict_clear(&v);
    else *ret = v;
    return e;
}

/* The HMAC of a file that is not enciphered is not asked for; everything else must pass. */
bool dump_verdict_well(const struct dump_verdict *v) {
    for (int i = 0; i < DUMP_CHECKS; i++)
        if (v->check[i].state != DUMP_PASS && (i != DUMP_CHECK_HMAC || v->manifest.iterations)) return false;
    return true;
}

struct err *dump_verdict_error(const struct dump_verdict *v, const char *file) {
    for (int i = 0; i < DUMP_CHECKS; i++)
        if (v->check[i].state == DUMP_FAIL)
            return err_new(ERR_FAILED, "dump %s is not proved: %s: %s; dump again", file, dump_check_names[i], v->check[i].text);
    return NULL;
}

void dump_verdict_clear(struct dump_verdict *v) {
    for (int i = 0; i < DUMP_CHECKS; i++) mem_free(v->check[i].text);
    dump_manifest_clear(&v->manifest);
    if (v->tables) jd_free(v->tables);
    *v = (struct dump_verdict){0};
}
