/* What is kept of psql's errors does not depend on how they arrive, and is clean whatever they hold. The first line is the list of expected
 * errors. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "migrate/pg_tool.h"
#include "migrate/restore_errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_errors(const char *expected, const char *p, size_t n, size_t step, struct buf *said) {
    struct restore_errors *x = NULL;
    struct err *e = restore_errors_new(expected, &x);
    if (e) {
        err_free(e);
        return false;
    }
    for (size_t at = 0; at < n; at += step) restore_errors_add(x, p + at, n - at < step ? n - at : step);
    if (restore_errors_failed(x)) restore_errors_text(x, said);
    if (!utf8_is_clean(buf_slice(said))) abort();
    buf_printf(said, " %d %lld %lld %lld", (int)restore_errors_whole(x), (long long)restore_errors_line(x), (long long)restore_errors_notices(x),
               (long long)restore_errors_expected(x));
    restore_errors_free(x);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *rest = size ? memchr(text, '\n', size) : NULL;
    struct buf whole = {0}, bytes = {0};
    size_t head = rest ? (size_t)(rest - text) : size;
    char *expected = mem_strndup(text, head);
    if (rest && read_errors(expected, rest + 1, size - head - 1, size, &whole)) {
        read_errors(expected, rest + 1, size - head - 1, 1, &bytes);
        if (!slice_eq(buf_slice(&whole), buf_slice(&bytes))) abort();
    }
    buf_clear(&bytes);
    pg_tool_reason((struct slice){text, size}, &bytes);
    if (!utf8_is_clean(buf_slice(&bytes))) abort();
    (void)pg_tool_version((struct slice){text, size});
    mem_free(expected);
    buf_free(&whole);
    buf_free(&bytes);
    return 0;
}
