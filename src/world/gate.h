/* Gates: named questions over the world, answered with a reason in words. A gate reads tables and `now` only, so every
 * console, `status` and test gets the same answer. One file per gate (gate_*.c), one row in the table of gates.c. */
#ifndef FERRYMAN_WORLD_GATE_H
#define FERRYMAN_WORLD_GATE_H

#include <stdint.h>

#include "base/buf.h"

struct world;
struct row;

enum gate_answer { GATE_PASS, GATE_WAIT, GATE_FAIL, GATE_NO_DATA, GATE_NOT_ASKED };

struct gate {
    const char *name;     /* "no hostile claim on NFS" */
    const char *kind;     /* NULL: asked once; else for each row of plan_workloads of this kind */
    const char *doc;
    /* Appends the reason; `workload` is the row of plan_workloads or NULL. Facts that are not usable (freshness.h)
     * must end in GATE_NO_DATA with the source and age in the reason. */
    enum gate_answer (*ask)(const struct world *w, const struct row *workload, struct buf *reason);
    /* For a gate that is asked once and looks through large tables: GATE_PASS, or the answer that `ask` gives without
     * looking at them; and those tables, as bits. As long as none of them changes, the last answer holds for a minute. */
    enum gate_answer (*ready)(const struct world *w, const struct row *workload, struct buf *reason);
    uint64_t tables;
};

extern const struct gate *const gate_table[]; /* NULL-terminated, in the order of screens */

const char *gate_answer_word(enum gate_answer a);
/* Asks all and writes T_GATES. Cheap: called once a second when anything has changed. */
void gates_update(struct world *w);

#endif
