/* Commands: the one table (command.def) from which keymap, footer, help screen, palette, manual page and completion
 * come. */
#ifndef FERRYMAN_UI_COMMAND_H
#define FERRYMAN_UI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct key;

enum command {
    COMMAND_NONE,
#define COMMAND(ID, id, keys, group, arming, palette, help) COMMAND_##ID,
#include "ui/command.def"
#undef COMMAND
    COMMAND_COUNT
};

struct command_info {
    const char *id;      /* in keys.yaml: "sort_next" */
    const char *keys;    /* default keys, space separated: "o", "Down j" */
    const char *group;   /* heading in help: "Screens", "Lists", … */
    bool arming;         /* acts on the cluster: needs an armed console */
    const char *palette; /* after ':'; NULL: not there */
    const char *help;    /* one line */
};

/* Commands of these groups have their keys on one screen only (screen_ops.group), where they go before what the keys do elsewhere. */
#define COMMAND_GROUP_PHASE "Phase screen"
#define COMMAND_GROUP_WINDOW "Window screen"

const struct command_info *command_info(enum command c);
bool command_is_local(enum command c); /* of such a group */
bool command_is_of(enum command c, const char *group);
/* By id or palette name; COMMAND_NONE if there is none. */
enum command command_by_name(const char *name);

/* Keys to commands: the defaults, overridden by a file { command: [key, …] }. */
struct keymap;

/* path: NULL or not there: the defaults. ERR_DATA with file:line:column for unknown commands and keys and keys given
 * twice. */
struct err *keymap_load(const char *path, struct keymap **ret) MUST_CHECK;
void keymap_free(struct keymap *m);
/* group: of the screen, if it has keys of its own, which go first; NULL: it has none. */
enum command keymap_find(const struct keymap *m, struct key key, const char *group);
/* "j Down": appends the keys of a command as people write them; the first only if `first`. */
void keymap_keys(const struct keymap *m, enum command c, bool first, struct buf *out);

/* "Enter", "^L", "Space", "j", "F1" */
void key_format(struct key key, struct buf *out);
bool key_parse(const char *name, struct key *ret);

/* The tables of the manual page and of the key reference; kind is man or md. */
struct err *command_document(const char *kind, struct buf *out) MUST_CHECK;

#endif
