/* ferryman watch --headless --json. */
#ifndef FERRYMAN_WATCH_STREAM_H
#define FERRYMAN_WATCH_STREAM_H

#include <stdint.h>

#include "base/err.h"

struct setup;

/* Until a signal, the end of the reader, or for_ms (0: without end). */
struct err *watch_stream(const struct setup *setup, int64_t for_ms) MUST_CHECK;

#endif
