/* Strings and numbers of json_reader: its other half, for nobody else. */
#ifndef FERRYMAN_BASE_JSON_SCALAR_H
#define FERRYMAN_BASE_JSON_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json_reader.h"

/* Notes the error, if it is the first, and moves to the end of the text. */
void json_fail(struct json_reader *r, const char *at, const char *text);
/* At a '"': reads to the closing one; absent on error. Bytes that are not the text's own go to scratch. */
struct slice json_scan_string(struct json_reader *r, struct buf *scratch);
bool json_skip_string(struct json_reader *r);
/* Checks the grammar and moves behind the number; what is no number at all is "expected a value". */
bool json_skip_number(struct json_reader *r);
/* The value of a number's text, fraction cut off; false if an int64_t cannot hold it. */
bool json_number_int(struct slice text, int64_t *ret);
/* False if no finite double is near. */
bool json_number_real(struct slice text, double *ret);

#endif
