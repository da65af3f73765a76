/* Values as the operator reads them: units once, thousands apart, ages for durations, "?" for what is not known. */
#ifndef FERRYMAN_UI_FORMAT_H
#define FERRYMAN_UI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "world/tables.h"
#include "world/world.h"

void format_int(struct buf *out, int64_t v);        /* 2,730,012 */
void format_gib(struct buf *out, int64_t bytes);    /* 2, 0.5, 1,024; below 0.1 GiB: 64 Mi */
void format_bytes(struct buf *out, int64_t bytes);  /* 1.5 GiB, 212 MiB, 12 B */
void format_ms(struct buf *out, int64_t ms);        /* 412 ms, 3.2 s; from 10 s on as an age */
void format_age(struct buf *out, int64_t now, int64_t at); /* 3m12s; ahead: in 3m */
void format_hms(struct buf *out, int64_t at);       /* 16:18:03 */
void format_utc(struct buf *out, int64_t at);       /* 2026-04-25 16:18:03Z */
/* A cell by the type of its column: COL_TIME as an age, COL_BYTES with its unit. Null appends nothing and gives
 * false. */
bool format_cell(struct buf *out, enum col_type type, struct cell c, int64_t now);

#endif
