/* What utf8_clean lets through is valid, clean, and stays as it is when it is cleaned again; clipping never exceeds. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice foreign = {.p = (const char *)data, .n = size};
    struct buf once = {0};
    utf8_clean(&once, foreign);
    struct slice clean = buf_slice(&once);
    if (!utf8_is_clean(clean) || (clean.n > 0 && !utf8_valid(clean.p, clean.n))) {
        abort();
    }
    struct buf twice = {0};
    utf8_clean(&twice, clean);
    if (!slice_eq(buf_slice(&twice), clean)) {
        abort();
    }
    size_t cols = 0;
    struct slice head = utf8_clip(clean, 20, &cols);
    if (cols > 20 || head.n > clean.n || utf8_columns(head) != cols) {
        abort();
    }
    buf_free(&twice);
    buf_free(&once);
    return 0;
}
