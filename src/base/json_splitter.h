/* Cuts an arriving JSON body into complete pieces with memory bounded by one piece.
 *
 * JSON_SPLIT_ITEMS: the body is one object; every element of its member `items` is delivered by itself, and the rest
 * of the object (with "items":[] in place of the list) as the last piece, JSON_PIECE_REST.
 * An `items` that is no list (Go writes null for an absent one) stays in the rest as it is.
 * JSON_SPLIT_LINES: the body is values separated by newlines (watch streams); each line is one piece, without its
 * newline; blank lines are passed over. A last line without newline is a piece if it is a whole object or array.
 *
 * Only the ends of pieces are looked for: whether a piece is good JSON is for json_reader to say.
 *
 * A piece is at most `max_piece` bytes; a larger one is an error (ERR_PROTOCOL), never an unbounded buffer. */
#ifndef FERRYMAN_BASE_JSON_SPLITTER_H
#define FERRYMAN_BASE_JSON_SPLITTER_H

#include <stddef.h>

#include "base/err.h"

enum json_split_mode { JSON_SPLIT_ITEMS, JSON_SPLIT_LINES };
enum json_piece { JSON_PIECE_ITEM, JSON_PIECE_LINE, JSON_PIECE_REST };

struct json_splitter;

/* Called for each piece; the bytes are valid during the call only. An error it returns stops the splitter and comes out
 * of json_splitter_feed. */
typedef struct err *(*json_piece_fn)(void *arg, enum json_piece kind, const char *p, size_t n);

struct json_splitter *json_splitter_new(enum json_split_mode mode, size_t max_piece, json_piece_fn fn, void *arg);
/* The next bytes, however they are cut; what is complete goes to fn before it returns. */
struct err *json_splitter_feed(struct json_splitter *s, const char *p, size_t n) MUST_CHECK;
/* The body has ended (nothing can be fed any more): ERR_PROTOCOL if it was cut in the middle of a piece (or of the list). */
struct err *json_splitter_finish(struct json_splitter *s) MUST_CHECK;
void json_splitter_free(struct json_splitter *s);

#endif
