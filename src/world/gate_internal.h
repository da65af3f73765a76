/* The gates, one per file gate_*.c; gates.c puts them into its table. */
#ifndef FERRYMAN_WORLD_GATE_INTERNAL_H
#define FERRYMAN_WORLD_GATE_INTERNAL_H

#include "world/gate.h"

extern const struct gate gate_hostile, gate_raft, gate_extensions, gate_alerts, gate_http, gate_backups, gate_snapshots,
    gate_pool, gate_extensions_equal, gate_rows_equal, gate_tombstone;

#endif
