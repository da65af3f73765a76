/* `lvs --reportformat json` through a configured command (ssh in practice) → snapshots. */
#ifndef FERRYMAN_SOURCE_LVM_SOURCE_H
#define FERRYMAN_SOURCE_LVM_SOURCE_H

#include <stdint.h>

#include "world/world.h"

struct loop;
struct lvm_source;

struct lvm_source_options {
    struct loop *loop;
    struct world *world;
    const char *const *command;      /* argv, NULL-terminated; copied. Run without a shell, stdin /dev/null, deadline 30 s */
    int64_t poll_ms;                 /* 0: 60 s */
};

struct lvm_source *lvm_source_new(const struct lvm_source_options *o);
void lvm_source_free(struct lvm_source *s);
void lvm_source_poke(struct lvm_source *s);

#endif
