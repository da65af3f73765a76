/* A pull reader over JSON bytes: no tree, no allocation but one scratch buffer for strings with escapes.
 *
 * Use: json_reader_init on the whole text of one value, then json_next until JSON_END or JSON_ERROR. On the list path,
 * json_splitter (json_splitter.h) cuts the items out of an arriving body so that each is read from complete bytes.
 *
 *     struct json_reader r; struct slice key;
 *     json_reader_init(&r, p, n);
 *     if (!json_enter_object(&r)) …;
 *     while (json_next_key(&r, &key)) {
 *         if (slice_is(key, "name")) name = json_string(&r);
 *         else json_skip(&r);
 *     }
 *     if (json_failed(&r)) …
 *
 * Every value must be consumed (read or json_skip'ped). After an error all calls do nothing and return empty values;
 * check json_failed once at the end. Depth is bounded (JSON_DEPTH_MAX); a number that json_real reads and no double can
 * hold, raw control characters in strings, bad escapes, trailing bytes are errors, in skipped values too; lone surrogates and malformed UTF-8 become U+FFFD; \u0000 is kept
 * as a NUL byte in the slice. Duplicate keys are all delivered. */
#ifndef FERRYMAN_BASE_JSON_READER_H
#define FERRYMAN_BASE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 128

/* libjansson has functions of these two names: other symbols, so that the linker cannot give ours to its callers. */
#define json_string json_reader_string
#define json_real json_reader_real

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_OBJECT, JSON_ARRAY, JSON_NOTHING };

struct json_reader {
    const char *start, *p, *end;
    const char *error;       /* static text, NULL if none */
    size_t error_at;         /* byte offset of the error */
    struct buf scratch[2];   /* unescaped key and value */
    unsigned depth;
    bool first[JSON_DEPTH_MAX];
    bool is_object[JSON_DEPTH_MAX];
};

/* Borrows the bytes until json_reader_free. */
void json_reader_init(struct json_reader *r, const char *p, size_t n);
void json_reader_free(struct json_reader *r);

/* Type of the value that comes next (JSON_NOTHING at the end or after an error). */
enum json_type json_peek(struct json_reader *r);
/* Enter the coming object or array; if it is null or of another type, it is skipped and false returned (no error:
 * Go writes null for absent lists and maps). */
bool json_enter_object(struct json_reader *r);
bool json_enter_array(struct json_reader *r);
/* Next key of the object that was entered; false at its end (which is consumed). The key is valid until the next key. */
bool json_next_key(struct json_reader *r, struct slice *ret_key);
/* Whether the array that was entered has another element; false at its end (which is consumed). */
bool json_next_item(struct json_reader *r);
/* Reads the value. Another type is skipped and gives the absent slice / the fallback. The slice is valid until the next
 * json_string call (it points into the text, or into scratch if it had escapes). */
struct slice json_string(struct json_reader *r);
int64_t json_int(struct json_reader *r, int64_t fallback);   /* a fraction is cut off; out of range: fallback */
double json_real(struct json_reader *r, double fallback);
bool json_bool(struct json_reader *r, bool fallback);
void json_skip(struct json_reader *r);
/* Skips the value and returns its bytes as they stand. */
struct slice json_raw(struct json_reader *r);
bool json_failed(const struct json_reader *r);
/* After the top value: ERR_PROTOCOL with offset if anything was wrong or bytes are left, else NULL. `what` names the
 * text, e.g. "PersistentVolumeClaimList from home". */
struct err *json_finish(struct json_reader *r, const char *what) MUST_CHECK;

#endif
