/* A stream reader takes any bytes in any pieces; what it made of them, written and read again, gives an equal world. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "world/stream.h"
#include "world/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds the bytes in pieces of `step`; false when they were refused. */
static bool feed(struct world *w, const char *p, size_t n, size_t step)
{
    struct stream_reader *r = stream_reader_new(w, NULL, NULL);
    struct err *e = NULL;
    for (size_t at = 0; !e && at < n; at += step)
        e = stream_reader_feed(r, p + at, n - at < step ? n - at : step);
    bool ok = !e;
    err_free(e);
    stream_reader_free(r);
    return ok;
}

static void check_row(const struct world *w, const struct row *r)
{
    struct cell cells[WORLD_COLS_MAX];
    row_cells(r, cells);
    for (size_t i = 0; i < WORLD_COLS_MAX; i++)
        if (cells[i].type == CELL_TEXT && !utf8_is_clean(cells[i].s))
            abort();
    if (!utf8_is_clean(row_key(r)) || !utf8_is_clean(slice_of(row_src(w, r))))
        abort();
}

/* All rows of a are in b as they are in a. */
static void compare(const struct world *a, const struct world *b)
{
    for (int t = 0; t < T_COUNT; t++) {
        if (world_count(a, (enum world_table)t) != world_count(b, (enum world_table)t))
            abort();
        for (const struct row *r = world_first(a, (enum world_table)t); r; r = world_next(a, r)) {
            const struct row *other = world_find(b, (enum world_table)t, row_key(r));
            struct buf x = {0}, y = {0};
            check_row(a, r);
            if (!other)
                abort();
            stream_row_json(a, r, false, &x);
            stream_row_json(b, other, false, &y);
            if (!slice_eq(buf_slice(&x), buf_slice(&y)))
                abort();
            buf_free(&x);
            buf_free(&y);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *whole = world_new(), *pieces = world_new(), *again = world_new();
    bool ok = feed(whole, (const char *)data, size, size + 1);
    if (ok != feed(pieces, (const char *)data, size, 1 + size % 7))
        abort();
    compare(whole, pieces);
    struct stream_writer *s = stream_writer_new(whole, &(struct stream_hello){"0", NULL, NULL, 0});
    struct buf out = {0};
    stream_writer_fill(s, &out, SIZE_MAX);
    if (!feed(again, buf_str(&out), out.len, 4096))
        abort();
    compare(whole, again);
    buf_free(&out);
    stream_writer_free(s);
    world_free(again);
    world_free(pieces);
    world_free(whole);
    return 0;
}
