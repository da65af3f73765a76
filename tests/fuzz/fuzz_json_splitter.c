/* The pieces that a splitter delivers do not depend on how the body arrives: at once, or byte by byte. Pieces over the
 * limit end either way; where they do may differ (a long blank line is seen as one only when it arrives at once). */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_splitter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *piece_add(void *arg, enum json_piece kind, const char *p, size_t n) {
    struct buf *pieces = arg;
    buf_printf(pieces, "%d:", (int)kind);
    buf_add(pieces, p, n);
    buf_addc(pieces, '\n');
    return NULL;
}

/* Splits the body fed in steps of `step` bytes; the end of `pieces` says whether it ended well. */
static void split(enum json_split_mode mode, const uint8_t *data, size_t size, size_t step, size_t max_piece,
                  struct buf *pieces) {
    struct json_splitter *s = json_splitter_new(mode, max_piece, piece_add, pieces);
    struct err *err = NULL;
    for (size_t at = 0; at < size && err == NULL; at += step) {
        err = json_splitter_feed(s, (const char *)data + at, size - at < step ? size - at : step);
    }
    if (err == NULL) {
        err = json_splitter_finish(s);
    }
    buf_adds(pieces, err == NULL ? "well" : "fault");
    err_free(err);
    json_splitter_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum json_split_mode modes[] = {JSON_SPLIT_ITEMS, JSON_SPLIT_LINES};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct buf whole = {0};
        struct buf bytes = {0};
        split(modes[i], data, size, size > 0 ? size : 1, size + 64, &whole);
        split(modes[i], data, size, 1, size + 64, &bytes);
        if (!slice_eq(buf_slice(&whole), buf_slice(&bytes))) {
            abort();
        }
        buf_clear(&bytes);
        split(modes[i], data, size, 3, 16, &bytes);
        buf_free(&bytes);
        buf_free(&whole);
    }
    return 0;
}
