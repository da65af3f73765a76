#include "ui/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define GIB (INT64_C(1) << 30)
#define MIB (INT64_C(1) << 20)

void format_int(struct buf *out, int64_t v) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, v < 0 ? -(uint64_t)v : (uint64_t)v);
    if (v < 0) buf_addc(out, '-');
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) buf_addc(out, ',');
        buf_addc(out, digits[i]);
    }
}

/* One decimal where it says something: 2, 0.5, 212.4, 1,024. */
static void add_scaled(struct buf *out, int64_t bytes, int64_t unit) {
    int64_t whole = bytes / unit, tenths = (bytes % unit * 10 + unit / 2) / unit;
    if (tenths == 10) {
        whole++;
        tenths = 0;
    }
    format_int(out, whole);
    if (tenths && whole < 100) buf_printf(out, ".%d", (int)tenths);
}

void format_gib(struct buf *out, int64_t bytes) {
    if (bytes >= GIB / 10 || bytes <= 0) {
        add_scaled(out, bytes, GIB);
    } else {
        add_scaled(out, bytes, MIB);
        buf_adds(out, " Mi");
    }
}

void format_bytes(struct buf *out, int64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int64_t unit = 1;
    size_t u = 0;
    while (u + 1 < sizeof units / sizeof *units && bytes / unit >= 1024) {
        unit *= 1024;
        u++;
    }
    add_scaled(out, bytes, unit);
    buf_printf(out, " %s", units[u]);
}

void format_ms(struct buf *out, int64_t ms) {
    char age[32];
    if (ms < 1000) buf_printf(out, "%" PRId64 " ms", ms);
    else if (ms < 10000) buf_printf(out, "%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
    else buf_adds(out, clock_format_age(ms, age, sizeof age));
}

void format_age(struct buf *out, int64_t now, int64_t at) {
    char age[32];
    buf_adds(out, clock_format_age(now - at, age, sizeof age));
}

void format_hms(struct buf *out, int64_t at) {
    char text[32];
    buf_adds(out, clock_format_hms(at, text, sizeof text));
}

void format_utc(struct buf *out, int64_t at) {
    char text[40];
    clock_format_utc(at, text, sizeof text);
    char *t = strchr(text, 'T');
    if (t) *t = ' ';
    buf_adds(out, text);
}

bool format_cell(struct buf *out, enum col_type type, struct cell c, int64_t now) {
    if (c.type == CELL_NULL) return false;
    if (c.type == CELL_TEXT) {
        buf_add_slice(out, c.s);
        return true;
    }
    switch (type) {
    case COL_TEXT:
    case COL_STATE:
    case COL_INT: format_int(out, c.i); break;
    case COL_BYTES: format_bytes(out, c.i); break;
    case COL_TIME: format_age(out, now, c.i); break;
    case COL_MS: format_ms(out, c.i); break;
    case COL_BOOL: buf_adds(out, c.i ? "yes" : "no"); break;
    }
    return true;
}
