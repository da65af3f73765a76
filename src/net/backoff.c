#include "net/backoff.h"

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

enum { BACKOFF_FIRST_MS = 800, BACKOFF_CAP_MS = 30000, BACKOFF_CALM_MS = 120000 };

/* A number in [0, bound). */
static int64_t backoff_jitter(int64_t bound) {
    uint64_t r = 0;
    if (bound <= 0 || getentropy(&r, sizeof r) != 0)
        return 0;
    return (int64_t)(r % (uint64_t)bound);
}

static int64_t backoff_or(int64_t value, int64_t otherwise) {
    return value > 0 ? value : otherwise;
}

int64_t backoff_next(struct backoff *b, int64_t now_ms) {
    int64_t first = backoff_or(b->first_ms, BACKOFF_FIRST_MS), cap = backoff_or(b->cap_ms, BACKOFF_CAP_MS);
    bool calm = b->next_ms > 0 && now_ms - b->last_at_ms > backoff_or(b->calm_ms, BACKOFF_CALM_MS);
    int64_t base = b->next_ms <= 0 || calm ? first : b->next_ms;
    if (base > cap)
        base = cap;
    b->next_ms = base > cap / 2 ? cap : base * 2;
    b->last_at_ms = now_ms;
    return base + backoff_jitter(base);
}

int64_t backoff_next_after(struct backoff *b, int64_t now_ms, int64_t asked_ms) {
    int64_t own = backoff_next(b, now_ms);
    return own > asked_ms ? own : asked_ms;
}

void backoff_reset(struct backoff *b) {
    b->next_ms = 0;
    b->last_at_ms = 0;
}
