/* One line above the footer: what a key did when that cannot be seen. It goes with the next key, or after a while of
 * the stream's time. */
#include <stdarg.h>

#include "base/mem.h"
#include "base/str.h"
#include "ui/console_private.h"

#define MESSAGE_MS 6000

void ui_message(struct ui *ui, enum style s, const char *fmt, ...) {
    struct console *c = console_of(ui);
    va_list ap;
    va_start(ap, fmt);
    mem_free(c->message);
    c->message = str_vprintf(fmt, ap);
    va_end(ap);
    c->message_style = s;
    c->message_at = world_now(c->o.world);
    console_changed(c);
}

void message_clear(struct console *c) {
    str_set(&c->message, NULL);
}

bool message_shown(const struct console *c) {
    return c->message && world_now(c->o.world) - c->message_at < MESSAGE_MS;
}

void message_draw(struct console *c, int y) {
    draw_str(c->ui.draw, y, 1, term_cols(c->o.term) - 2, c->message_style, c->message);
}
