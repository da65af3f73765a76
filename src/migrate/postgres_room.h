/* Room on the disk that takes the dump. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_ROOM_H
#define FERRYMAN_MIGRATE_POSTGRES_ROOM_H

#include <stdint.h>

#include "base/buf.h"
#include "migrate/op.h"

/* Whether `need` bytes fit and 10 % of the disk stay free (safety 28). need < 0: not known. Appends the numbers. */
bool room_enough(int64_t size, int64_t available, int64_t need, struct buf *out);
enum op_answer postgres_see_room(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);

#endif
