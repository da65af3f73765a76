/* The kinds of workload; a new one is a file and its line here. */
#include "migrate/plan.h"

const struct plan_kind *const plan_kinds[] = {
    &plan_kind_postgres,
    &plan_kind_raft,
    NULL,
};
