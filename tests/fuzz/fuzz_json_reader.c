/* The reader walks any bytes to their end; what it takes for good JSON is also good when it is skipped as a whole. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void value_walk(struct json_reader *r);

static void object_walk(struct json_reader *r) {
    struct slice key;
    if (json_enter_object(r)) {
        while (json_next_key(r, &key)) {
            value_walk(r);
        }
    }
}

static void array_walk(struct json_reader *r) {
    if (json_enter_array(r)) {
        while (json_next_item(r)) {
            value_walk(r);
        }
    }
}

/* Reads the coming value by its type; recursion is bounded by the reader's depth. */
static void value_walk(struct json_reader *r) {
    switch (json_peek(r)) {
    case JSON_OBJECT: object_walk(r); break;
    case JSON_ARRAY: array_walk(r); break;
    case JSON_STRING: (void)json_string(r); break;
    case JSON_NUMBER: (void)json_int(r, 0); break;
    case JSON_BOOL: (void)json_bool(r, false); break;
    case JSON_NULL:
    case JSON_NOTHING: json_skip(r); break;
    }
}

/* Whether the reader accepts the text, walked value by value or skipped at once. */
static bool accepts(const uint8_t *data, size_t size, void (*consume)(struct json_reader *)) {
    struct json_reader r;
    json_reader_init(&r, (const char *)data, size);
    consume(&r);
    struct err *err = json_finish(&r, "the fuzzed text");
    bool ok = err == NULL;
    err_free(err);
    json_reader_free(&r);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (accepts(data, size, value_walk) != accepts(data, size, json_skip)) {
        abort();
    }
    return 0;
}
