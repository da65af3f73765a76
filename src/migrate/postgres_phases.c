/* The table of the kind: what an operator starts, in order. */
#include "migrate/postgres.h"

static const struct phase *const order[] = {
    &postgres_phase_preflight, &postgres_phase_inventory, &postgres_phase_rehearse, &postgres_phase_quiesce,
    &postgres_phase_counts,    &postgres_phase_dump,      &postgres_phase_swap,     &postgres_phase_preload,
    &postgres_phase_restore,   &postgres_phase_reindex,   &postgres_phase_verify,   &postgres_phase_resume,
    &postgres_phase_cleanup,   NULL,
};

const struct phase_table postgres_phases = {
    .kind = &plan_kind_postgres,
    .phases = order,
    .rollback = &postgres_phase_rollback,
    .one_claim = true,
};
