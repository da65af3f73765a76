/* What was compared with what: the inventory of the new server against that of the old one. Pure; each appends what is equal, or the
 * first differences with their names, and returns whether it may pass. Inventories: postgres.h. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_COMPARE_H
#define FERRYMAN_MIGRATE_POSTGRES_COMPARE_H

#include <stdbool.h>

#include "base/buf.h"

struct json_t;

enum drift { DRIFT_NONE, DRIFT_PATCH, DRIFT_MINOR, DRIFT_MAJOR, DRIFT_BACK };

/* How far the second version is from the first: "0.8.0" → "0.8.1" is a patch. DRIFT_BACK: it is older. What is no dotted number and
 * differs is major. */
enum drift drift_between(const char *from, const char *to);
/* policy: none, patch, minor, any. */
bool drift_allowed(enum drift d, const char *policy);
const char *drift_word(enum drift d);

bool compare_extensions(const struct json_t *old, const struct json_t *new, const char *policy, struct buf *out);
/* Before anything moves: whether the image that runs now could install each extension, and how far its default is. */
bool compare_available(const struct json_t *inventory, const char *policy, struct buf *out);
bool compare_databases(const struct json_t *old, const struct json_t *new, struct buf *out);
bool compare_roles(const struct json_t *old, const struct json_t *new, struct buf *out);    /* attributes, memberships */
bool compare_settings(const struct json_t *old, const struct json_t *new, struct buf *out); /* of databases and roles */
bool compare_objects(const struct json_t *old, const struct json_t *new, struct buf *out);  /* how many of each kind */
bool compare_acls(const struct json_t *old, const struct json_t *new, struct buf *out);
bool compare_sequences(const struct json_t *old, const struct json_t *new, struct buf *out);
bool compare_large_objects(const struct json_t *old, const struct json_t *new, struct buf *out);
bool compare_collations(const struct json_t *old, const struct json_t *new, struct buf *out); /* the new one's are of its system */
bool compare_indexes(const struct json_t *old, const struct json_t *new, struct buf *out);    /* the new one's are valid */
/* What pg_dumpall does not carry and now differs; true if nothing does. */
bool compare_configuration(const struct json_t *old, const struct json_t *new, struct buf *out);
/* Roles with md5 passwords that the rules of the new server would refuse; true if there is none. */
bool compare_md5(const struct json_t *new, struct buf *out);

#endif
