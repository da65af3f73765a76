/* Judging a pod template before it meets a fresh block volume (design §8, hazards 2, 3, 11, 18, 19). Pure: manifests in, words out.
 * Each returns whether it may go on; what was found is appended either way. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_JUDGE_H
#define FERRYMAN_MIGRATE_POSTGRES_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_t;

/* Init containers and postStart hooks that write to the data volume without asking for PG_VERSION: initdb refuses a folder that is not
 * empty. What a program does whose text is not in the template is not known, and counts as writing. */
bool judge_first_writers(const struct json_t *pod_spec, const char *volume, const char *pgdata, struct buf *out);
/* Folders of scripts that run on first boot; true if there is none. */
bool judge_initdb_scripts(const struct json_t *pod_spec, const char *volume, struct buf *out);
/* PGDATA is a folder below the mount point, or the mount has a subPath: a fresh ext4 root has lost+found. */
bool judge_pgdata(const struct json_t *container, const char *volume, const char *pgdata, struct buf *out);
/* /dev/shm for index builds by several workers at once, which take maintenance_work_mem in it. */
bool judge_shm(int64_t have, int64_t work_mem, int64_t workers, struct buf *out);
/* What a pod's /dev/shm takes: 64 MiB unless something is mounted there; INT64_MAX: no limit of its own. */
int64_t judge_shm_bytes(const struct json_t *pod_spec, const char *volume);
/* Who mounts a claim beside the deployment itself. */
struct claim_mounters {
    struct buf foreign, known; /* "cronjob/x, pod y": not in, and in the plan's quiesce */
};
/* Adds what of a list (pods, deployments, statefulsets, jobs, cronjobs; kind in lower case) mounts the claim. Pods and jobs of what is
 * listed in quiesce, or of the deployment, are theirs. */
void judge_mounters(const struct json_t *list, const char *kind, const char *claim, const char *deployment, const char *const *quiesce,
                    size_t nquiesce, struct claim_mounters *m);

/* What logs people in, gives out secrets or keeps the state of the tools that deploy, by its name or image: "Keycloak"; NULL: none that is
 * known. If it needs the database that is moved, our own way in may go with it (safety 22, 29). */
const char *judge_circle(struct slice name, struct slice image);

/* Used bytes and the write-ahead log against 70 % of the new claim. */
bool judge_size(int64_t used, int64_t wal, int64_t claim, struct buf *out);
/* "nfs.csi.k8s.io, csi.x.dev 29 volumes": whether the driver is there, and how many volumes it takes (-1: no limit is known). */
bool judge_driver(struct slice drivers, struct slice driver, int64_t *ret_limit);

#endif
