#include "sandbox/protobuf.h"

#include <string.h>

static bool read_varint(struct slice *s, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; s->n > 0 && shift < 64; shift += 7) {
        unsigned char byte = (unsigned char)*s->p;
        s->p++, s->n--;
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Takes the next field off: its number, and its bytes or its value. False at the end and for what is malformed. */
static bool next_field(struct slice *s, uint64_t *ret_number, struct slice *ret_bytes, uint64_t *ret_value)
{
    uint64_t tag, n;

    *ret_bytes = (struct slice){0};
    if (s->n == 0 || !read_varint(s, &tag) || !read_varint(s, &n))
        return false;
    *ret_number = tag >> 3;
    *ret_value = n;
    if ((tag & 7) == 0)
        return true;
    if ((tag & 7) != 2 || n > s->n)
        return false;
    *ret_bytes = (struct slice){s->p, (size_t)n};
    s->p += n;
    s->n -= (size_t)n;
    return true;
}

bool protobuf_is(struct slice body)
{
    return body.n >= 4 && memcmp(body.p, "k8s", 4) == 0;
}

struct slice protobuf_object(struct slice body)
{
    return protobuf_field((struct slice){body.p + 4, body.n - 4}, 2);
}

struct slice protobuf_field(struct slice message, uint64_t number)
{
    struct slice found = {0}, bytes;
    uint64_t at, value;

    while (next_field(&message, &at, &bytes, &value))
        if (at == number && bytes.p)
            found = bytes;
    return found;
}

bool protobuf_number(struct slice message, uint64_t number, int64_t *ret)
{
    struct slice bytes;
    uint64_t at, value;
    bool found = false;

    while (next_field(&message, &at, &bytes, &value)) {
        if (at == number && !bytes.p) {
            *ret = (int64_t)value;
            found = true;
        }
    }
    return found;
}
