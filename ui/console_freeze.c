/* Freezing: what is looked at becomes a copy of the world, made through the same stream that attach reads; one can
 * still scroll, filter and open rows in it while the world goes on. */
#include "ui/console_private.h"
#include "world/stream.h"

#define CHUNK ((size_t)256 * 1024)

static struct world *copy_world(struct world *from, struct err **ret_err) {
    struct world *to = world_new();
    struct stream_writer *writer = stream_writer_new(from, &(struct stream_hello){.version = FERRYMAN_VERSION});
    struct stream_reader *reader = stream_reader_new(to, NULL, NULL);
    struct err *e = NULL;
    bool more = true;
    while (more && !e) {
        struct buf out = {0};
        more = stream_writer_fill(writer, &out, CHUNK);
        e = stream_reader_feed(reader, buf_str(&out), out.len);
        buf_free(&out);
    }
    stream_reader_free(reader);
    stream_writer_free(writer);
    world_set_now(to, world_now(from));
    *ret_err = e;
    return to;
}

void freeze_end(struct console *c) {
    if (!c->frozen) return;
    c->ui.world = c->o.world;
    c->ui.epoch++;
    list_follow(&c->ui);
    world_free(c->frozen);
    c->frozen = NULL;
}

void freeze_toggle(struct console *c) {
    struct err *e = NULL;
    if (c->frozen) {
        freeze_end(c);
        return;
    }
    struct world *copy = copy_world(c->o.world, &e);
    if (e) {
        ui_message(&c->ui, STYLE_BAD, "the view cannot be frozen: %s", err_text(e));
        err_free(e);
        world_free(copy);
        return;
    }
    c->frozen = copy;
    c->frozen_seq = world_seq(c->o.world);
    c->ui.world = copy;
    c->ui.epoch++;
    list_follow(&c->ui);
}
