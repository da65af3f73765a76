/* Facts of dumps: dump.NAME, or rehearse.dump.NAME when the file's prefix says that it is the rehearsal's (dump_job.h). */
#ifndef FERRYMAN_MIGRATE_DUMP_FACT_H
#define FERRYMAN_MIGRATE_DUMP_FACT_H

#include <stdbool.h>
#include <stdint.h>

struct json_t;
struct run;

bool dump_fact_rehearsal(const char *prefix); /* NULL: no */
void dump_fact_set(struct run *r, const char *prefix, const char *name, const char *value);
void dump_fact_set_int(struct run *r, const char *prefix, const char *name, int64_t value);
void dump_fact_set_json(struct run *r, const char *prefix, const char *name, const struct json_t *value);
const char *dump_fact(const struct run *r, const char *prefix, const char *name); /* NULL or "": not noted */
struct json_t *dump_fact_json(const struct run *r, const char *prefix, const char *name);
/* Takes all of them back. */
void dump_fact_clear(struct run *r, const char *prefix);

#endif
