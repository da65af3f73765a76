/* metadata.managedFields: who set which field last. */
#ifndef FERRYMAN_SANDBOX_FIELDS_H
#define FERRYMAN_SANDBOX_FIELDS_H

#include <stdbool.h>

struct json_t;

struct fields_author {
    const char *manager;     /* "kubectl", "kube-controller-manager" … */
    const char *operation;   /* "Update" or "Apply" */
    const char *subresource; /* NULL, "status", "scale" */
    const char *api_version;
    const char *time;        /* RFC 3339 */
};

/* Writes into now.metadata.managedFields what changed from `before` (NULL: all is new): the author gets the changed
 * fields, the others lose them. With subresource "status" only status counts, else everything but status. */
void fields_update(const struct json_t *before, struct json_t *now, const struct fields_author *by);
/* Server-side apply: `applied` is the author's whole intent; its set replaces the one that it had. */
void fields_apply(const struct json_t *applied, struct json_t *now, const struct fields_author *by);
/* A field of `applied` that differs in `current` and belongs to another manager is a conflict: sets the manager's name
 * and the field's path (malloc'd) and returns true. */
bool fields_conflict(const struct json_t *applied, const struct json_t *current, const char *manager,
                     char **ret_manager, char **ret_path);

#endif
