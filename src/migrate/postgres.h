/* kind: postgres-dump-restore. The phases (one file each, postgres_*.c; table in postgres_phases.c) and what they share: names and
 * paths of the objects, walking manifests, the inventory and the counts of a server.
 *
 * Everything below is pure but for the script_* functions, which append operations. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_H
#define FERRYMAN_MIGRATE_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "migrate/phase.h"
#include "migrate/plan.h"
#include "migrate/run.h"

struct json_t;
struct pg_rows;

extern const struct phase postgres_phase_preflight, postgres_phase_inventory, postgres_phase_rehearse, postgres_phase_quiesce,
    postgres_phase_counts, postgres_phase_dump, postgres_phase_swap, postgres_phase_preload, postgres_phase_restore,
    postgres_phase_reindex, postgres_phase_verify, postgres_phase_resume, postgres_phase_cleanup, postgres_phase_rollback;

/* ---- Names and paths (postgres_names.c) ---- */

const struct plan_postgres *postgres_spec(const struct run *r);

/* A path by value: `postgres_path_deployment(r).p` lives to the end of the full expression. Names are escaped. */
struct kpath {
    char p[1024];
};

struct kpath postgres_path_deployment(const struct run *r);
struct kpath postgres_path_claims(const struct run *r);
struct kpath postgres_path_claim(const struct run *r, const char *name);
struct kpath postgres_path_volume(const char *name);
struct kpath postgres_path_pods(const struct run *r);
/* Pods with these labels ("app=x,tier=y"); an unknown fact of a preview is taken as it is. */
struct kpath postgres_path_pods_of(const struct run *r, const char *selector);
struct kpath postgres_path_pod(const struct run *r, const char *name);
struct kpath postgres_path_pod_log(const struct run *r, const char *pod, const char *container, bool previous, int lines);
/* "deployment/immich-server", "statefulset/…", "cronjob/…" as in quiesce: → its path; "" for another kind. */
struct kpath postgres_path_app(const struct run *r, const char *kind_name);
struct kpath postgres_path_secret(const struct run *r, const char *name);

/* "ferryman-scratch-WORKLOAD"; with a hash where that is too long for a name. Buffers of 64 bytes do. */
const char *postgres_scratch_name(const struct run *r, char *buf, size_t size);
/* A new object of that kind ("v1", "PersistentVolumeClaim") with name, namespace, our label and our annotation ferryman.io/run. */
struct json_t *postgres_object_new(const struct run *r, const char *api, const char *kind, const char *name) MUST_CHECK;
/* The claim of the plan as an object to be created, with the class, size and annotations of the plan (name NULL: the plan's). */
struct json_t *postgres_claim_object(const struct run *r, const char *name) MUST_CHECK;

/* ---- Walking manifests (postgres_names.c); all borrow from their argument ---- */

/* spec of a pod, or spec.template.spec of a deployment (or of anything that has a template). */
struct json_t *postgres_pod_spec(const struct json_t *object);
/* The claim that the volume of that name stands for; NULL. */
const char *postgres_volume_claim(const struct json_t *pod_spec, const char *volume);
/* Index of that volume in the pod spec; -1. */
int postgres_volume_index(const struct json_t *pod_spec, const char *volume);
/* The container that is the database: the one that mounts the volume (the first, if several do); NULL. */
struct json_t *postgres_container(const struct json_t *pod_spec, const char *volume);
/* Where that container mounts the volume ("/var/lib/postgresql/data") and its subPath ("" if none). */
const char *postgres_mount_path(const struct json_t *container, const char *volume, const char **ret_sub_path);
/* Value of an environment variable that is written out; NULL if it is absent or comes from elsewhere. */
const char *postgres_env(const struct json_t *container, const char *name);
/* Next element of items that mounts the claim and is not finished; *it begins at 0. NULL: no more. */
struct json_t *postgres_next_mounting(const struct json_t *list, const char *claim, size_t *it);
bool postgres_mounts(const struct json_t *pod_spec, const char *claim);
bool postgres_pod_finished(const struct json_t *pod);     /* Succeeded or Failed */
bool postgres_pod_ready(const struct json_t *pod);        /* condition Ready, and not being deleted */
bool postgres_job_ended(const struct json_t *job);        /* Complete, Failed or suspended; a new one's status says nothing yet */
int64_t postgres_pod_restarts(const struct json_t *pod);
const char *postgres_owner(const struct json_t *object, const char **ret_kind); /* name of its controller; NULL */
/* imageIDs of its containers, {"name":"imageID"}. */
struct json_t *postgres_pod_images(const struct json_t *pod) MUST_CHECK;
/* matchLabels and matchExpressions as the text of ?labelSelector= (not escaped); malformed: "". */
void postgres_selector(const struct json_t *selector, struct buf *out);
/* Notes pod.server.{name,uid,ip,restarts} (what "server") or pod.scratch.{…}, and deployment.image for the server if it is not noted. */
void postgres_note_pod(struct run *r, const char *what, const struct json_t *pod);
/* Notes PREFIX.name, .uid, .handle, .reclaim, .class of a volume ("volume.old", "volume.new"). */
void postgres_note_volume(struct run *r, const char *prefix, const struct json_t *volume);

/* Facts of preflight beside those of doc/journal.md: deployment.selector ("app=immich-postgresql"), deployment.volume.at
 * ("/spec/template/spec/volumes/0"), deployment.container, pg.data (PGDATA), postgres.preload.first (shared_preload_libraries). */

/* A number with commas: 111,843. */
void postgres_number(struct buf *out, int64_t n);

/* ---- Inventory and counts of a server (postgres_inventory.c, postgres_counts.c); used on old, new and scratch ---- */

/* Appends queries whose results are collected as the fact (JSON), e.g. "inventory", "verify.inventory", "rehearse.inventory",
 * "fresh.inventory". Members: server{version,number,identifier,checksums,preload,…} databases{NAME:{owner,encoding,collate,ctype,
 * provider,collversion,connect,limit,acl,…}} roles{NAME:{super,login,…,password: none|md5|scram}} memberships[] tablespaces{}
 * settings{"DB/ROLE":[…]} configuration{} hba[] slots[] prepared stale_collations[] and, per database that can be connected to,
 * inside{DB:{extensions{NAME:{version,schema,default,installable}} objects{KIND:n} sequences{NAME:"last,called"}
 * large_objects{count,bytes} acls{KIND:md5} collations[] invalid_indexes[]}}. */
void postgres_script_inventory(struct run *r, struct script *s, enum run_db db, const char *fact);
/* {"db":{"schema.table":n}} of all tables but those of extensions whose rows a dump leaves out. */
void postgres_script_counts(struct run *r, struct script *s, enum run_db db, const char *fact);
/* {"db":{"schema.table":n}}: inserted + updated + deleted tuples since the statistics began. */
void postgres_script_writes(struct run *r, struct script *s, enum run_db db, const char *fact);
/* {"db":{"schema.table":"hash"}} of the rows' contents, whatever their order: of the tables of the plan's verify.hash. */
void postgres_script_hashes(struct run *r, struct script *s, enum run_db db, const char *fact);

/* Whether two counts are the same: appends how many tables and rows, or the first differences ("immich public.asset 111,843, in the
 * dump 111,842"). `other` names the second ("in the dump"). only: "all", or a list of tables of the plan (NULL: all). */
bool postgres_counts_equal(const struct json_t *a, const struct json_t *b, const char *other, const struct plan_strings *only,
                           struct buf *out);
/* Somebody wrote after the counts: counts and dump come next again. */
void postgres_dump_is_stale(struct run *r);
/* It was proved more than a day ago: swap does not begin on it. */
bool postgres_dump_is_old(const struct run *r);
/* So counts and dump come next again, while the old server has not been stopped: after that only forward with it, or back. */
bool postgres_dump_goes_off(const struct run *r);
/* The same of two facts that the run has; false, and the reason, also if one is missing. */
bool postgres_facts_equal(const struct run *r, const char *a, const char *b, const char *other, const struct plan_strings *only,
                          struct buf *out);

/* Waits until no client of the server but ours is left (by pid and application_name): safety 32. `when` names it in the id. */
void postgres_script_alone(struct run *r, struct script *s, const char *when);
/* What every phase asks before it begins: hours of the plan, freshness of the API server. */
bool postgres_may_begin(const struct run *r, struct buf *reason);
/* The plan names the claim that this run moves to; else appends what to put back. */
bool postgres_plan_holds(const struct run *r, struct buf *reason);

/* One criterion that verify froze: the fact criterion.NAME = {"state":"PASS","text":…,"at":…,"rank":…}; mirrored into T_CRITERIA. */
void postgres_criterion(struct run *r, const char *name, bool pass, int rank, const char *text);
/* Takes all of them back: what was verified does not serve any more. */
void postgres_criteria_forget(struct run *r);

/* Permissions: script_access_postgres of migrate/access.h (one operation of preflight). Who else has a hand in the objects: migrate/managers.h. */

/* ---- Statements (postgres_sql.c); each can be run by hand ---- */

extern const char *const postgres_sql_databases; /* names of the databases that take connections, but template0 */
extern const char *const postgres_sql_identifier;
extern const char *const postgres_sql_server;
extern const char *const postgres_sql_readonly;  /* value of default_transaction_read_only in postgresql.auto.conf: "", on, off */
extern const char *const postgres_sql_clients;   /* client backends: pid, user, database, application, address, state */

#endif
