/* What `lvs --reportformat json` says, one logical volume at a time: pure, from bytes. Every value may be a string or a
 * number; sizes are bytes ("10737418240", "10737418240B") or have lvm's suffixes ("10.00g", upper case for powers of
 * 1000 as lvm has it); times are lvm's default ("2026-04-25 03:00:12 +0100"), without zone (UTC), or seconds since the
 * epoch. */
#ifndef FERRYMAN_CLIENT_LVM_PARSE_H
#define FERRYMAN_CLIENT_LVM_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum lvm_kind { LVM_POOL, LVM_VOLUME, LVM_SNAPSHOT };

struct lvm_volume {
    struct buf name, group, pool, origin, attr;
    enum lvm_kind kind;
    int64_t size;           /* bytes; -1 */
    int64_t data, metadata; /* hundredths of a percent; -1 */
    int64_t created_ms;     /* Unix ms; -1 */
};

/* A reader of a report, which is borrowed until the reader is freed. A report of many volumes can be read in pieces. */
struct lvm_reader;
struct lvm_reader *lvm_reader_new(struct slice json);
void lvm_reader_free(struct lvm_reader *r);
/* The next volume that has a name and a group, without lvm's hidden ones ("[data_tdata]"); valid until the next call.
 * NULL at the end, or when the text goes no further. */
const struct lvm_volume *lvm_reader_next(struct lvm_reader *r);
/* After that: ERR_PROTOCOL if the text is no such report. */
struct err *lvm_reader_finish(struct lvm_reader *r) MUST_CHECK;

/* The whole report at once: calls each for every volume, which is valid during the call. */
struct err *lvm_parse(struct slice json, void (*each)(void *arg, const struct lvm_volume *v), void *arg) MUST_CHECK;

bool lvm_size(struct slice text, int64_t *ret_bytes);
bool lvm_percent(struct slice text, int64_t *ret_hundredths);
bool lvm_time(struct slice text, int64_t *ret_ms);

#endif
