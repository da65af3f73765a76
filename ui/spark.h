/* A row of small bars: how a number has moved. */
#ifndef FERRYMAN_UI_SPARK_H
#define FERRYMAN_UI_SPARK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* samples: numbers separated by blanks, oldest first; of more than `cols` the newest are taken. Bars are scaled between
 * the smallest and the largest; what is no number is left out. *ret_moved (may be NULL) gets newest less oldest of what
 * is drawn. Returns how many. */
int spark_add(struct buf *out, struct slice samples, int cols, int64_t *ret_moved);
/* "███████▍·····": done of total in `cols` columns; never full before total is reached, and not known without one. */
void spark_bar(struct buf *out, int64_t done, int64_t total, int cols);

#endif
