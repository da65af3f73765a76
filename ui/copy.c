/* Out of the console: to the terminal's clipboard (OSC 52) and into a file. */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "ui/console_private.h"
#include "world/stream.h"

#define OSC52_MAX 74994 /* encoded bytes that every terminal takes */

static void row_name(const struct row *r, struct buf *out) {
    const struct world_table_info *info = world_table_info(row_table(r));
    struct slice ns = info->namespace_col >= 0 ? row_text(r, info->namespace_col) : (struct slice){NULL, 0};
    struct slice name = info->name_col >= 0 ? row_text(r, info->name_col) : (struct slice){NULL, 0};
    if (!name.n) name = row_key(r);
    if (ns.n) buf_printf(out, "%.*s/", SLICE_FMT(ns));
    buf_add_slice(out, name);
}

static void to_clipboard(struct console *c, const struct buf *text, const char *what) {
    struct buf out = {0};
    buf_adds(&out, "\033]52;c;");
    size_t head = out.len;
    hash_base64_encode(text->p, text->len, &out);
    if (out.len - head > OSC52_MAX) {
        ui_message(&c->ui, STYLE_WARN, "too long for the clipboard (%zu bytes): S saves the screen to a file",
                   text->len);
    } else {
        buf_addc(&out, '\a');
        term_raw(c->o.term, out.p, out.len);
        ui_message(&c->ui, STYLE_OK, "copied %s (if the terminal allows it)", what);
    }
    buf_free(&out);
}

void copy_selection(struct console *c, bool whole_row) {
    struct opened *top = console_top(c);
    struct list *l = console_list(c);
    const struct row *r = l ? list_selected(l) : NULL;
    struct buf text = {0};
    if (r && whole_row) {
        stream_row_json(c->ui.world, r, true, &text);
        to_clipboard(c, &text, "the row as JSON");
    } else if (r) {
        row_name(r, &text);
        to_clipboard(c, &text, buf_str(&text));
    } else if (top->ops->copy && top->ops->copy(top->state, &text)) {
        to_clipboard(c, &text, text.len < 60 ? buf_str(&text) : "the text of this line");
    } else {
        ui_message(&c->ui, STYLE_WARN, "nothing is selected that could be copied");
    }
    buf_free(&text);
}

static char *screen_path(struct console *c, const char *dir) {
    char stamp[40];
    size_t kept = 0;
    clock_format_utc(world_now(c->ui.world), stamp, sizeof stamp);
    for (const char *p = stamp; *p; p++)
        if (*p != '-' && *p != ':') stamp[kept++] = *p;
    stamp[kept] = 0;
    return str_printf("%s/%s-%s.txt", dir, console_top(c)->ops->id, stamp);
}

void copy_save_screen(struct console *c) {
    if (!c->o.state_dir) {
        ui_message(&c->ui, STYLE_WARN, "there is no folder to save to");
        return;
    }
    char *dir = str_printf("%s/screens", c->o.state_dir), *path = screen_path(c, dir);
    struct buf text = {0};
    console_text(c, &text);
    struct err *e = file_mkdirs(dir, 0700);
    if (!e) e = file_write_durable(path, buf_str(&text), text.len, 0600);
    if (e) ui_message(&c->ui, STYLE_BAD, "not saved: %s", err_text(e));
    else ui_message(&c->ui, STYLE_OK, "saved to %s", path);
    err_free(e);
    buf_free(&text);
    mem_free(path);
    mem_free(dir);
}
