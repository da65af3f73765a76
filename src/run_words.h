/* What `ferryman run` and `rollback` are given on the command line, before anything is known: WORKLOAD[/PHASE], --confirm PHASE=TYPED,
 * --skip PHASE=REASON, --override GATE=REASON, --through-windows. */
#ifndef FERRYMAN_RUN_WORDS_H
#define FERRYMAN_RUN_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct cli;
struct cli_words;

struct run_pair {
    char *name, *value;
    bool used;
};

struct run_pairs {
    struct run_pair *v;
    size_t n;
};

struct run_words {
    char *workload, *phase;     /* phase NULL: every remaining one; of a rollback "rollback" */
    bool rollback, through_windows;
    const char *arm;
    struct run_pairs confirm, skip, override;
};

struct err *run_words_read(const struct cli *cli, bool rollback, struct run_words *ret) MUST_CHECK;
void run_words_clear(struct run_words *w);
struct run_pair *run_pair_find(struct run_pairs *list, const char *name); /* NULL: none */
/* The command that goes on from here: with the pairs that were not used yet. */
void run_words_again(const struct cli *cli, const struct run_words *w, struct buf *out);

#endif
