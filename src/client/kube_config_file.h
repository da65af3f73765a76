/* The kubeconfig files as they lie on disk: which are read, which of them defines a name, and what a stanza says with
 * the place where it says it. What it means is kube_config.c's and kube_config_user.c's business. */
#ifndef FERRYMAN_CLIENT_KUBE_CONFIG_FILE_H
#define FERRYMAN_CLIENT_KUBE_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct kube_files;
struct secret;
struct yaml_node;

/* One named entry of clusters, users or contexts. Borrowed from the files. */
struct kube_stanza {
    const char *file;             /* that defines it */
    bool inline_only;             /* the files that it names are not opened */
    const struct yaml_node *body; /* the map below "cluster", "user" or "context"; NULL if it is empty */
    const struct yaml_node *at;   /* its name: for messages about what is missing */
};

/* The files in the order in which they win: `file` alone if given (it must exist), else those of the KUBECONFIG list
 * that exist, else ~/.kube/config. None at all is no error: kube_files_count says 0. */
struct err *kube_files_load(const char *file, struct kube_files **ret) MUST_CHECK;
/* One text as if it were the only file; the files it refers to are refused, not read (for fuzzing). */
struct err *kube_files_parse(const char *text, size_t n, const char *name, struct kube_files **ret) MUST_CHECK;
void kube_files_free(struct kube_files *f);
size_t kube_files_count(const struct kube_files *f);
/* The paths that were read, or looked for and not found, separated by commas. */
const char *kube_files_tried(const struct kube_files *f);
/* The stanza of `name` in `list` ("clusters", …), of the first file that has one; false if none has. */
bool kube_files_find(const struct kube_files *f, const char *list, const char *name, struct kube_stanza *ret);
/* Every name in `list`, separated by commas; "none" if there is none. */
void kube_files_names(const struct kube_files *f, const char *list, struct buf *out);
/* current-context of the first file that sets it; NULL if none does. */
const char *kube_files_current(const struct kube_files *f);

/* An ERR_DATA that begins with FILE:LINE:COL of the node (of the stanza's name if it is NULL). */
struct err *kube_stanza_err(const struct kube_stanza *s, const struct yaml_node *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4) MUST_CHECK;
/* The text of a member of `map` (the body or what lies below it), borrowed; NULL if it is absent, null or empty. */
struct err *kube_stanza_text(const struct kube_stanza *s, const struct yaml_node *map, const char *key,
                             const char **ret) MUST_CHECK;
/* The same copied over *ret, which is freed first. */
struct err *kube_stanza_copy(const struct kube_stanza *s, const struct yaml_node *map, const char *key, char **ret)
    MUST_CHECK;
/* Leaves *ret alone if the member is absent. */
struct err *kube_stanza_bool(const struct kube_stanza *s, const char *key, bool *ret) MUST_CHECK;
/* Path of a file that the stanza names, against the folder of the stanza's own file; malloc'd, NULL if absent. */
struct err *kube_stanza_path(const struct kube_stanza *s, const char *key, char **ret) MUST_CHECK;
/* KEY-data (base64) or else the file that KEY names; absent leaves `ret` empty. The caller wipes it if it is secret. */
struct err *kube_stanza_bytes(const struct kube_stanza *s, const char *key, struct buf *ret) MUST_CHECK;
/* A list of strings, NULL-terminated; NULL if absent. */
struct err *kube_stanza_list(const struct kube_stanza *s, const struct yaml_node *map, const char *key, char ***ret)
    MUST_CHECK;
void kube_strings_free(char **list);

#endif
