/* The tables of the manual page, of the key reference and of completion, made from command.def. */
#include <string.h>

#include "base/str.h"
#include "ui/command.h"

/* roff: a backslash and a leading dot or quote mean something. */
static void add_man(struct buf *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '\\') buf_adds(out, "\\e");
        else if (*p == '-') buf_adds(out, "\\-");
        else if (*p == '^') buf_adds(out, "\\(ha");
        else buf_addc(out, *p);
    }
}

static void man_command(struct buf *out, const struct command_info *c, bool new_group) {
    if (new_group) buf_printf(out, ".SS %s\n", c->group);
    buf_adds(out, ".TP\n.B \"");
    add_man(out, c->keys);
    if (c->palette) {
        buf_adds(out, *c->keys ? "  :" : ":");
        add_man(out, c->palette);
    }
    buf_adds(out, "\"\n\\&");
    add_man(out, c->help);
    buf_printf(out, "%s.\n", c->arming ? " (needs an armed console)" : "");
}

/* A pipe would end the cell. */
static void add_md(struct buf *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '|') buf_addc(out, '\\');
        buf_addc(out, *p);
    }
}

static void md_keys(struct buf *out, const char *keys) {
    struct slice rest = slice_of(keys), word;
    bool any = false;
    while (slice_cut(&rest, ' ', &word)) {
        if (!word.n) continue;
        buf_printf(out, "%s`%.*s`", any ? " " : "", SLICE_FMT(word));
        any = true;
    }
}

static void md_command(struct buf *out, const struct command_info *c, bool new_group) {
    if (new_group) buf_printf(out, "%s### %s\n\n| key | palette | what it does | in `keys.yaml` |\n|-|-|-|-|\n",
                              out->len ? "\n" : "", c->group);
    buf_adds(out, "| ");
    md_keys(out, c->keys);
    buf_adds(out, " | ");
    if (c->palette) buf_printf(out, "`:%s`", c->palette);
    buf_adds(out, " | ");
    add_md(out, c->help);
    buf_printf(out, "%s | `%s` |\n", c->arming ? " (armed)" : "", c->id);
}

struct err *command_document(const char *kind, struct buf *out) {
    static const char *const kinds[] = {"man", "md"};
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && !str_eq(kinds[k], kind)) k++;
    if (k == sizeof kinds / sizeof *kinds)
        return err_new(ERR_USAGE, "'%s' is none of man, md", kind ? kind : "");
    const char *group = "";
    for (int i = 1; i < COMMAND_COUNT; i++) {
        const struct command_info *c = command_info((enum command)i);
        bool new_group = !str_eq(group, c->group);
        group = c->group;
        if (k == 0) man_command(out, c, new_group);
        else md_command(out, c, new_group);
    }
    return NULL;
}
