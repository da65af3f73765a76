/* The phases of a plan's workloads as text or JSON, from the tables of the kinds alone: no cluster is asked. */
#ifndef FERRYMAN_PLAN_SHOW_H
#define FERRYMAN_PLAN_SHOW_H

#include "base/buf.h"

struct plan;

void plan_show_text(const struct plan *p, struct buf *out);
/* {"schema":1,"plan":…,"workloads":[{"name",…,"phases":[{"id","title","stake","typed","optional","steps":[{"id","title"}]}]}]} */
void plan_show_json(const struct plan *p, struct buf *out);

#endif
