/* What the reader makes of any text, the writer writes again: the reader reads it back, and a second copy of the copy is
 * the same to the byte. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_reader.h"
#include "base/json_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void value_copy(struct json_reader *r, struct json_writer *w)
{
    struct slice key;

    switch (json_peek(r)) {
    case JSON_OBJECT:
        jw_object(w);
        if (json_enter_object(r))
            while (json_next_key(r, &key)) {
                jw_key_slice(w, key);
                value_copy(r, w);
            }
        jw_end_object(w);
        break;
    case JSON_ARRAY:
        jw_array(w);
        if (json_enter_array(r))
            while (json_next_item(r))
                value_copy(r, w);
        jw_end_array(w);
        break;
    case JSON_STRING:
        jw_slice(w, json_string(r));
        break;
    case JSON_NUMBER:
        jw_real(w, json_real(r, 0));
        break;
    case JSON_BOOL:
        jw_bool(w, json_bool(r, false));
        break;
    case JSON_NULL:
    case JSON_NOTHING:
        jw_raw(w, json_raw(r));
        break;
    }
}

/* Copies the text into out; false if it is not good JSON. */
static bool copy(const char *p, size_t n, struct buf *out)
{
    struct json_reader r;
    struct json_writer w;
    struct err *e;

    json_reader_init(&r, p, n);
    jw_init(&w, out);
    value_copy(&r, &w);
    e = json_finish(&r, "the text");
    json_reader_free(&r);
    if (!e)
        return true;
    err_free(e);
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once = {0}, twice = {0};

    if (copy((const char *)data, size, &once) &&
        (!copy(once.p, once.len, &twice) || !slice_eq(buf_slice(&once), buf_slice(&twice))))
        abort();
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
