/* What a scanner says of a dump does not depend on how the bytes arrive: at once, byte by byte, or in sevens. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "migrate/dump_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan(const uint8_t *data, size_t size, size_t step, struct buf *said) {
    struct dump_scan *s = dump_scan_new();
    for (size_t at = 0; at < size; at += step) dump_scan_add(s, (const char *)data + at, size - at < step ? size - at : step);
    struct json_t *rows = dump_scan_rows_json(s);
    jd_dump(rows, said);
    jd_free(rows);
    buf_printf(said, " %d %lld %lld ", (int)dump_scan_complete(s, said), (long long)dump_scan_rows(s), (long long)dump_scan_tables(s));
    dump_scan_now(s, said);
    for (int64_t line = 0; line < 50; line++) dump_scan_at_line(s, line, said);
    dump_scan_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole = {0}, bytes = {0}, sevens = {0};
    scan(data, size, size ? size : 1, &whole);
    scan(data, size, 1, &bytes);
    scan(data, size, 7, &sevens);
    if (!slice_eq(buf_slice(&whole), buf_slice(&bytes)) || !slice_eq(buf_slice(&whole), buf_slice(&sevens))) abort();
    buf_free(&whole);
    buf_free(&bytes);
    buf_free(&sevens);
    return 0;
}
