/* What the files of operations share. Nothing outside src/migrate/op*.c includes it. */
#ifndef FERRYMAN_MIGRATE_OP_PRIVATE_H
#define FERRYMAN_MIGRATE_OP_PRIVATE_H

#include "migrate/op.h"

struct script {
    struct op *first, *last;
    struct op *at; /* while an OP_CALL is carried out: the last of what it has appended */
    char **texts;  /* of script_fmt */
    size_t ntexts;
};

/* Carries out an OP_CALL, once. */
void script_call_now(struct run *r, struct script *s, struct op *op);

/* The judgement of what was seen: the rules of create, delete and patch, then the operation's own. */
enum op_answer op_judge(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);
/* There is such an object of ours and it is on its way out: neither done nor to be created yet. */
bool op_on_its_way_out(const struct op *op, const struct seen *seen);
/* The first test of a patch that does not hold in doc: appends "/spec/replicas is 3, not 2 (last set by kubectl)". False: all hold. */
bool op_failing_test(const struct op *op, const struct json_t *doc, struct buf *out);
/* Whether the text of an operation rests on facts that are not known yet. */
bool op_has_placeholder(const struct op *op);

/* ---- Asking (op_ask.c): one request or query and what its answer means ---- */

enum reply_kind {
    REPLY_OK,       /* 2xx; 404 of a look; rows */
    REPLY_AGAIN,    /* nothing was answered, 401, 429, 5xx: whether it was carried out is not known */
    REPLY_CONFLICT, /* 404, 409, 422; lock timeouts and deadlocks: it was not carried out; looking tells why */
    REPLY_REFUSED,  /* 403 and everything else: it was not carried out */
};

struct reply {
    enum reply_kind kind;
    int status;                 /* of HTTP; 0 for statements and where nothing was answered */
    struct json_t *doc;         /* borrowed, as text is */
    struct slice text;
    const struct pg_rows *rows;
    const struct err *e;        /* NULL for REPLY_OK; with the remedy for 403 */
    int64_t after_ms;           /* asked for by Retry-After; 0 */
};

struct ask;
typedef void (*ask_fn)(void *arg, const struct reply *reply);

/* Looks as the operation says (it has something to look at: op_looks). fn comes once, from the loop. */
bool op_looks(const struct op *op);
struct ask *ask_look(struct run *r, const struct op *op, int64_t timeout_ms, ask_fn fn, void *arg);
/* Sends the act, on a connection of its own; not after begin_by_ms (mono). */
struct ask *ask_act(struct run *r, const struct op *op, int64_t timeout_ms, int64_t begin_by_ms, ask_fn fn, void *arg);
/* Tries the request with dryRun=All; name (NULL: its own) for an object to be created. */
struct ask *ask_dry(struct run *r, const struct op *op, const char *name, ask_fn fn, void *arg);
/* Must be called for each, also inside fn; without a callback if it still runs. */
void ask_free(struct ask *a);

#endif
