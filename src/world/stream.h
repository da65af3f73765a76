/* The stream: the world as newline-delimited JSON, for consoles, attach, watch --json and tests (doc/stream.md).
 *
 *   {"t":"hello","schema":1,"version":"0.1.0","plan":"nfs-hostile","context":"home","peer":1,"pid":123,"now":…}
 *   {"t":"begin"} … {"t":"end","seq":N}                       the snapshot
 *   {"t":"upsert","table":"claims","key":"…","src":"kube/persistentvolumeclaims","seq":N,"at":…,"row":{…}}
 *   {"t":"remove","table":"claims","key":"…","seq":N}
 *   {"t":"commit","seq":N}                                    everything up to N belongs together
 *   {"t":"tick","now":…}                                      once a second; the reader's only clock
 *   {"t":"lagged","ms":…}                                     this reader was behind: intermediate states were dropped
 *   {"t":"bye","reason":"…"}
 *
 * Nulls are left out of `row`. Unknown records, tables and columns are passed over, so that an older reader keeps
 * working. */
#ifndef FERRYMAN_WORLD_STREAM_H
#define FERRYMAN_WORLD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define STREAM_SCHEMA 1
#define STREAM_LINE_MAX (1024 * 1024)

struct world;
struct row;

/* Writer: turns the world's changes into text, at most about `max` bytes at a call, so that a reader that does not
 * read costs nothing but its place. */
struct stream_writer;

struct stream_hello {
    const char *version, *plan, *context;
    unsigned peer; /* number of this reader: whose arming and dialogs are its own; 0: none (watch --json) */
};

struct stream_writer *stream_writer_new(struct world *w, const struct stream_hello *hello);
void stream_writer_free(struct stream_writer *s);
/* Appends what is new (hello and snapshot first); returns true if there is more to write. */
bool stream_writer_fill(struct stream_writer *s, struct buf *out, size_t max);
/* Appends a tick (also refreshes nothing else). While the reader is behind it waits, and is told behind the next commit. */
void stream_writer_tick(struct stream_writer *s, struct buf *out);
/* The last record: this stream ends, and why. */
void stream_writer_bye(struct stream_writer *s, const char *reason, struct buf *out);
/* One row as the "row" object: for --json and status. With freshness it has "key", "freshness" and, if there ever was a
 * proof of life, "freshness_age_ms" as well. */
void stream_row_json(const struct world *w, const struct row *r, bool with_freshness, struct buf *out);

/* Reader: applies a stream to a world of its own. Events may be NULL; what they are given is valid during the call,
 * and they must not feed, reset or free the reader. */
struct stream_reader;

struct stream_reader_events {
    void (*on_commit)(void *arg);              /* a consistent state: time to draw */
    void (*on_tick)(void *arg);
    /* plan and context may be NULL; peer 0: none */
    void (*on_hello)(void *arg, const char *version, const char *plan, const char *context, unsigned peer);
    void (*on_lagged)(void *arg, int64_t ms);
    void (*on_bye)(void *arg, const char *reason);
};

struct stream_reader *stream_reader_new(struct world *w, const struct stream_reader_events *ev, void *arg);
/* Any chunking. ERR_PROTOCOL if it is no stream or has another schema: the remedy names both versions. */
struct err *stream_reader_feed(struct stream_reader *s, const char *p, size_t n) MUST_CHECK;
/* A new connection follows: the next snapshot replaces everything, and until it has ended nothing is removed. */
void stream_reader_reset(struct stream_reader *s);
void stream_reader_free(struct stream_reader *s);

#endif
