#include "ui/spark.h"

#define SAMPLES_MAX 64
#define STEPS 8

static const char *const heights[STEPS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const parts[STEPS] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}; /* eighths of a column */

/* The last of the samples, oldest first. */
static int read_samples(struct slice text, int64_t *v, int max) {
    struct slice word;
    int n = 0;
    while (slice_cut(&text, ' ', &word)) {
        int64_t sample;
        if (!slice_to_i64(word, &sample)) continue;
        if (n == max) {
            for (int i = 1; i < max; i++) v[i - 1] = v[i];
            n--;
        }
        v[n++] = sample;
    }
    return n;
}

int spark_add(struct buf *out, struct slice samples, int cols, int64_t *ret_moved) {
    int64_t v[SAMPLES_MAX];
    int n = cols < 1 ? 0 : read_samples(samples, v, cols < SAMPLES_MAX ? cols : SAMPLES_MAX);
    int64_t low = n ? v[0] : 0, high = low;
    for (int i = 1; i < n; i++) {
        if (v[i] < low) low = v[i];
        if (v[i] > high) high = v[i];
    }
    for (int i = 0; i < n; i++) {
        double share = high > low ? ((double)v[i] - (double)low) / ((double)high - (double)low) : 0;
        buf_adds(out, heights[(int)(share * (STEPS - 1) + 0.5)]);
    }
    if (ret_moved) *ret_moved = n ? (int64_t)((uint64_t)v[n - 1] - (uint64_t)v[0]) : 0;
    return n;
}

void spark_bar(struct buf *out, int64_t done, int64_t total, int cols) {
    double share = total > 0 && done > 0 ? (double)done / (double)total : 0;
    if (cols < 1) return;
    int eighths = share >= 1 ? cols * STEPS - 1 : (int)(share * cols * STEPS); /* what still runs is not done */
    int full = eighths / STEPS;
    for (int i = 0; i < full; i++) buf_adds(out, "█");
    int used = full;
    if (eighths % STEPS) {
        buf_adds(out, parts[eighths % STEPS]);
        used++;
    }
    for (int i = used; i < cols; i++) buf_adds(out, "·");
}
