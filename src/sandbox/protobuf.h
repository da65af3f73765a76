/* As much of Kubernetes' protobuf as kubectl sends for small bodies: "k8s\0", then runtime.Unknown, whose field 2 is the
 * object. Answers are JSON, which it takes, too. */
#ifndef FERRYMAN_SANDBOX_PROTOBUF_H
#define FERRYMAN_SANDBOX_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

bool protobuf_is(struct slice body);
/* The object's own message; the absent slice if the envelope is malformed. */
struct slice protobuf_object(struct slice body);
/* The last length-delimited field of that number; the absent slice if there is none or the bytes are malformed. */
struct slice protobuf_field(struct slice message, uint64_t number);
/* The last varint field of that number. */
bool protobuf_number(struct slice message, uint64_t number, int64_t *ret);

#endif
