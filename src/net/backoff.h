/* Delays between tries: exponential with full jitter above the base, capped, without end; reset after a calm time.
 * Numbers of client-go's reflector: 800 ms, factor 2, jitter [d, 2d), cap 30 s, reset after 2 min. */
#ifndef FERRYMAN_NET_BACKOFF_H
#define FERRYMAN_NET_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ms, cap_ms, calm_ms; /* 0: 800, 30000, 120000 */
    int64_t next_ms;                   /* private */
    int64_t last_at_ms;                /* private, mono */
};

/* The delay before the next try; now_ms is clock_mono_ms. The cap is for d: a delay is below twice the cap. */
int64_t backoff_next(struct backoff *b, int64_t now_ms);
/* At least what the server asked for (Retry-After), in milliseconds. */
int64_t backoff_next_after(struct backoff *b, int64_t now_ms, int64_t asked_ms);
void backoff_reset(struct backoff *b);

#endif
