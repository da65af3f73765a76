/* Writes JSON into a buf: commas and escapes are its business, nesting is the caller's. Strings are written as valid
 * UTF-8 (malformed bytes become U+FFFD); control characters are escaped. */
#ifndef FERRYMAN_BASE_JSON_WRITER_H
#define FERRYMAN_BASE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_writer {
    struct buf *out;
    bool comma; /* the next value or key needs one */
};

void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);     /* { */
void jw_end_object(struct json_writer *w); /* } */
void jw_array(struct json_writer *w);
void jw_end_array(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);
void jw_key_slice(struct json_writer *w, struct slice key);
void jw_str(struct json_writer *w, const char *s);      /* NULL: null */
void jw_slice(struct json_writer *w, struct slice s);   /* absent: null */
void jw_int(struct json_writer *w, int64_t v);
void jw_real(struct json_writer *w, double v);          /* not finite: null */
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w, struct slice json);  /* a value that is JSON already */

#endif
