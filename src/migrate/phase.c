#include "migrate/phase.h"

#include "base/mem.h"
#include "base/str.h"

/* Kinds that can be moved; those that are only watched have no table. */
static const struct phase_table *const tables[] = {&postgres_phases, &raft_phases};

const struct phase_table *phase_table_of(const struct plan_kind *kind) {
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i]->kind == kind) return tables[i];
    return NULL;
}

const struct phase *phase_by_id(const struct phase_table *t, const char *id) {
    for (size_t i = 0; t->phases[i]; i++)
        if (str_eq(t->phases[i]->id, id)) return t->phases[i];
    return NULL;
}
