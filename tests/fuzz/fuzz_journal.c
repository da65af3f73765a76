/* Any bytes give a verified chain of records, perhaps with a torn end, or a fault with its line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/journal_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_record(void *arg, const struct json_t *record)
{
    size_t *n = arg;
    if (jd_num(record, "seq", -1) != (int64_t)++*n || !jd_str(record, "t") || !jd_str(record, "hash"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    struct journal_scanned s = {0}, again = {0};
    size_t n = 0;
    struct err *e = journal_scan(bytes, "journal", on_record, &n, &s);
    if (n != s.records || s.good > size || (!e && s.torn != (s.good < size)) || (!e && (s.records > 0) != (s.plan != NULL)))
        abort();
    if (e && (err_kind(e) != ERR_DATA || !strstr(err_text(e), "journal:")))
        abort();
    /* What was whole is whole without the rest, too. */
    struct err *whole = journal_scan((struct slice){bytes.p, s.good}, "journal", NULL, NULL, &again);
    if (whole || again.records != s.records || strcmp(again.head, s.head) != 0 || again.torn)
        abort();
    mem_free(s.plan);
    mem_free(again.plan);
    err_free(e);
    return 0;
}
