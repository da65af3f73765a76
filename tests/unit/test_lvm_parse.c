/* lvs reports, its numbers and times, and what is none of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "client/lvm_parse.h"

static void hear(void *arg, const struct lvm_volume *v)
{
    struct buf *b = arg;
    buf_printf(b, "%s/%s %d pool=%s origin=%s %lld %lld %lld %lld\n", buf_str(&v->group), buf_str(&v->name),
               (int)v->kind, buf_str(&v->pool), buf_str(&v->origin), (long long)v->size, (long long)v->data,
               (long long)v->metadata, (long long)v->created_ms);
}

static void test_report(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err *e =
        lvm_parse(SLICE_LIT(
                      "  {\n      \"report\": [\n          {\n              \"lv\": [\n"
                      "{\"lv_name\":\"data\",\"vg_name\":\"pve\",\"lv_attr\":\"twi-aotz--\",\"lv_size\":"
                      "\"2040109465600\",\"pool_lv\":\"\","
                      "\"origin\":\"\",\"data_percent\":\"61.20\",\"metadata_percent\":\"2.10\",\"lv_time\":\"2024-05-"
                      "01 10:00:00 +0200\"},\n"
                      "{\"lv_name\":\"vm-9999-pvc-1\",\"vg_name\":\"pve\",\"lv_attr\":\"Vwi-aotz--\",\"lv_size\":\"10."
                      "00g\",\"pool_lv\":\"data\","
                      "\"origin\":\"\",\"data_percent\":\"45.12\",\"metadata_percent\":\"\",\"lv_time\":\"2026-04-25 "
                      "03:00:12 +0000\"},\n"
                      "{\"lv_name\":\"snap_vm-9999-pvc-1_20260425\",\"vg_name\":\"pve\",\"lv_attr\":\"Vri---tz-k\","
                      "\"lv_size\":\"\","
                      "\"pool_lv\":\"data\",\"origin\":\"vm-9999-pvc-1\",\"data_percent\":\"\",\"metadata_percent\":"
                      "\"\",\"lv_time\":\"\"},\n"
                      "{\"lv_name\":\"[data_tdata]\",\"vg_name\":\"pve\"}, {\"lv_name\":\"nameless group\"}, null, 3\n"
                      "]}], \"log\": []}\n"),
                  hear, &b);
    assert_null(e);
    assert_string_equal(buf_str(&b), "pve/data 0 pool= origin= 2040109465600 6120 210 1714550400000\n"
                                     "pve/vm-9999-pvc-1 1 pool=data origin= 10737418240 4512 -1 1777086012000\n"
                                     "pve/snap_vm-9999-pvc-1_20260425 2 pool=data origin=vm-9999-pvc-1 -1 -1 -1 -1\n");
    buf_free(&b);
}

/* json_std: numbers are numbers. Without lv_attr the kind follows from what only a pool or a snapshot has. */
static void test_numbers_and_no_attr(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err *e =
        lvm_parse(SLICE_LIT(
                      "{\"report\":[{\"vg\":[{\"vg_name\":\"pve\"}],\"lv\":[{\"lv_name\":\"data\",\"vg_name\":\"pve\","
                      "\"lv_size\":1024,\"data_percent\":97.5,\"metadata_percent\":null,\"lv_time\":1777086012}]},"
                      "{\"lv\":[{\"lv_name\":\"p\",\"vg_name\":\"v\",\"metadata_percent\":1.0},"
                      "{\"lv_name\":\"s\",\"vg_name\":\"v\",\"origin\":\"o\"}]}],\"log\":[]}"),
                  hear, &b);
    assert_null(e);
    assert_string_equal(buf_str(&b), "pve/data 1 pool= origin= 1024 9750 -1 1777086012000\n"
                                     "v/p 0 pool= origin= -1 -1 100 -1\n"
                                     "v/s 2 pool= origin=o -1 -1 -1 -1\n");
    buf_free(&b);
}

static void test_no_report(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "  LV   VG  Attr\n  data pve twi\n",
                                        "{}",
                                        "[]",
                                        "{\"report\":[]}",
                                        "{\"report\":{\"lv\":[]}}",
                                        "{\"report\":[{\"lv\":[{\"lv_name\":\"a\"",
                                        "{\"report\":[{\"lv\":{}}]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf b = {0};
        struct err *e = lvm_parse(slice_of(texts[i]), hear, &b);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        assert_int_equal(b.len, 0);
        err_free(e);
        buf_free(&b);
    }
}

struct number {
    const char *text;
    int64_t n; /* -1: refused */
};

static void expect(const struct number *cases, size_t count, bool (*parse)(struct slice text, int64_t *ret))
{
    for (size_t i = 0; i < count; i++) {
        int64_t n = -1;
        bool ok = parse(slice_of(cases[i].text), &n);
        if (ok != (cases[i].n >= 0) || (ok && n != cases[i].n))
            fail_msg("\"%s\": %d %lld, wanted %lld", cases[i].text, ok, (long long)n, (long long)cases[i].n);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", 0},
        {"10737418240", 10737418240},
        {"10737418240B", 10737418240},
        {"512b", 512},
        {"10.00g", 10737418240},
        {"1.50m", 1572864},
        {"<1.82t", 2001111162552},
        {"10G", 10000000000},
        {" 4k ", 4096},
        {"1.5", 1},
        {"", -1},
        {"-5", -1},
        {"g", -1},
        {"1x", -1},
        {"1gg", -1},
        {"1.2.3g", -1},
        {"99999999999999999999", -1},
        {"99999999999999e", -1},
        {"9223372036854775807", INT64_MAX},
        {"8e", -1},
    };
    expect(cases, ARRAY_LEN(cases), lvm_size);
}

static void test_percents(void **state)
{
    (void)state;
    static const struct number cases[] = {{"61.20", 6120}, {"0.00", 0},      {"100.00", 10000}, {"45", 4500},
                                          {"2.1", 210},    {"99.999", 9999}, {"", -1},          {"-1.00", -1},
                                          {"1e3", -1},     {"5000", -1},     {"nan", -1}};
    expect(cases, ARRAY_LEN(cases), lvm_percent);
}

static void test_times(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"2026-04-25 03:00:12 +0000", 1777086012000},
        {"2026-04-25 05:00:12 +0200", 1777086012000},
        {"2026-04-25 03:00:12", 1777086012000},
        {"2026-04-25 03:00:12 UTC", 1777086012000},
        {"1777086012", 1777086012000},
        {"", -1},
        {"yesterday", -1},
        {"2026-04-25T03:00:12Z", -1},
        {"2026-13-45 03:00:12 +0000", -1},
        {"2026-04-25 03:00:12 CEST", -1},
        {"-5", -1},
        {"9223372036854775807", -1},
    };
    expect(cases, ARRAY_LEN(cases), lvm_time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),    cmocka_unit_test(test_numbers_and_no_attr),
        cmocka_unit_test(test_no_report), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_percents),  cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
