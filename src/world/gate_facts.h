/* What gates have in common: whether facts may be rested on, the plan, and lists of names in a reason. For gate_*.c. */
#ifndef FERRYMAN_WORLD_GATE_FACTS_H
#define FERRYMAN_WORLD_GATE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "world/freshness.h"
#include "world/gate.h"

struct world;
struct row;

/* GATE_PASS if the facts are usable, else GATE_NOT_ASKED (OFF) or GATE_NO_DATA; then the reason says which source it is
 * and how old. `what` names it. */
enum gate_answer gate_fresh(struct fresh f, struct slice what, struct buf *reason);
/* The same of the source with this key; of all sources of a server (one that is not usable decides); of a row. */
enum gate_answer gate_source(const struct world *w, const char *src, struct buf *reason);
enum gate_answer gate_server(const struct world *w, const char *server, struct buf *reason);
enum gate_answer gate_row(const struct world *w, const struct row *r, struct buf *reason);

/* The plan's row; NULL if there is no plan. */
const struct row *gate_plan(const struct world *w);
/* Whether the word stands in a space-separated list (absent: in none). */
bool gate_list_has(struct slice list, struct slice word);
bool gate_list_has_claim(struct slice list, struct slice ns, struct slice name); /* as "ns/name" */

/* The gate on alerts, of those that concern a namespace alone: with its label, without any, or that began at `since` or later. ns absent:
 * of all. */
enum gate_answer gate_alerts_of(const struct world *w, struct slice ns, int64_t since, struct buf *reason);

/* An age in steps that grow with it, so that a reason does not change every second. */
void gate_add_age(struct buf *out, int64_t age_ms);
/* Hundredths of a percent as "61.2 %". */
void gate_add_percent(struct buf *out, int64_t hundredths);

/* Names for a reason: the first two in the alphabet, whatever order they came in, and how many more there are.
 * Zero-initialise; borrows the slices. */
struct gate_names {
    struct {
        struct slice ns, name; /* ns decides the order only */
    } first[2];
    size_t count;
};

void gate_name(struct gate_names *names, struct slice ns, struct slice name);
void gate_add_names(struct buf *out, const struct gate_names *names); /* "a, b, +2" */

#endif
