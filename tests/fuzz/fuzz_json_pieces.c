/* The pieces of a body do not depend on the sizes of the chunks it arrives in (taken from the input's first bytes),
 * whatever the limit is; and those of a body that the reader finds good are what the reader finds in its list. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_reader.h"
#include "base/json_splitter.h"

#define HEAD 8 /* bytes of the input that are no body */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *piece_add(void *arg, enum json_piece kind, const char *p, size_t n)
{
    struct buf *out = arg;

    if (kind == JSON_PIECE_REST)
        return NULL;
    buf_add(out, p, n);
    buf_addc(out, '\n');
    return NULL;
}

/* Splits the body in chunks of the given sizes, over and over; returns whether it ended well. */
static bool split(enum json_split_mode mode, const char *p, size_t n, const uint8_t sizes[4], size_t max, struct buf *out)
{
    struct json_splitter *s = json_splitter_new(mode, max, piece_add, out);
    struct err *e = NULL;
    bool well;

    for (size_t i = 0, at = 0; at < n && !e; i++) {
        size_t part = sizes ? (size_t)sizes[i % 4] + 1 : n;

        part = part < n - at ? part : n - at;
        e = json_splitter_feed(s, p + at, part);
        at += part;
    }
    if (!e)
        e = json_splitter_finish(s);
    well = !e;
    err_free(e);
    json_splitter_free(s);
    return well;
}

/* The elements of every list `items` of the body, as they stand; false if it is no object of good JSON. */
static bool read_items(const char *p, size_t n, struct buf *out)
{
    struct json_reader r;
    struct slice key, item;
    struct err *e;
    bool is_object;

    json_reader_init(&r, p, n);
    is_object = json_enter_object(&r);
    while (is_object && json_next_key(&r, &key)) {
        if (!slice_is(key, "items")) {
            json_skip(&r);
            continue;
        }
        if (json_enter_array(&r))
            while (json_next_item(&r)) {
                item = json_raw(&r);
                buf_add_slice(out, item);
                buf_addc(out, '\n');
            }
    }
    e = json_finish(&r, "the body");
    json_reader_free(&r);
    is_object = is_object && !e;
    err_free(e);
    return is_object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data + HEAD;
    struct buf whole = {0}, chunks = {0}, items = {0};
    size_t n, max;

    if (size <= HEAD)
        return 0;
    n = size - HEAD;
    max = data[4] < 128 ? n + 64 : (size_t)data[5];
    for (int mode = JSON_SPLIT_ITEMS; mode <= (int)JSON_SPLIT_LINES; mode++) {
        bool well = split((enum json_split_mode)mode, p, n, NULL, max, &whole);

        if (split((enum json_split_mode)mode, p, n, data, max, &chunks) != well ||
            !slice_eq(buf_slice(&whole), buf_slice(&chunks)))
            abort();
        /* Keys are compared as they stand: one with an escape is `items` to the reader only. */
        if (mode == JSON_SPLIT_ITEMS && max > n && !memchr(p, '\\', n) && read_items(p, n, &items) &&
            (!well || !slice_eq(buf_slice(&whole), buf_slice(&items))))
            abort();
        buf_clear(&whole);
        buf_clear(&chunks);
    }
    buf_free(&whole);
    buf_free(&chunks);
    buf_free(&items);
    return 0;
}
