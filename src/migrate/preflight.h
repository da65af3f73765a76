/* Questions of every preflight, whatever is moved: whose cluster it is, the target class, room, gates, credentials, who else has a hand in
 * it. Each appends one operation, whose result is one line of the checklist. */
#ifndef FERRYMAN_MIGRATE_PREFLIGHT_H
#define FERRYMAN_MIGRATE_PREFLIGHT_H

#include "migrate/op.h"
#include "migrate/run.h"

/* uid of kube-system against the plan's pin (safety 1) → fact cluster.uid. */
void preflight_script_cluster(struct run *r, struct script *s);
/* Nodes, drivers, attach slots, thin pool, alerts, backups, credentials (preflight_place.c): facts of the world. */
void preflight_script_class(struct run *r, struct script *s);
void preflight_script_nodes(struct run *r, struct script *s);
void preflight_script_pool(struct run *r, struct script *s);
void preflight_script_snapshots(struct run *r, struct script *s);
void preflight_script_alerts(struct run *r, struct script *s);
void preflight_script_backups(struct run *r, struct script *s);
void preflight_script_credentials(struct run *r, struct script *s);
/* Who restarts or reverts the object at `path`; what: "deployment x". */
void preflight_script_managers(struct run *r, struct script *s, const char *path, const char *what);

#endif
