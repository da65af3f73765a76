/* Refusals of the API: what becomes a Status object and an HTTP code. */
#ifndef FERRYMAN_SANDBOX_STATUS_H
#define FERRYMAN_SANDBOX_STATUS_H

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/kube_kind.h"

struct json_t;
struct buf;

struct refusal {
    unsigned code;
    const char *reason;      /* static; NULL: none */
    char *message;
    struct json_t *details;  /* NULL: none shown */
    char *cont;              /* metadata.continue of an expired list */
    unsigned retry_after;    /* seconds; 0: none */
};

struct refusal *refusal_new(unsigned code, const char *reason, struct json_t *details, const char *fmt, ...)
    PRINTF_LIKE(4, 5) MUST_CHECK;
void refusal_free(struct refusal *f);
/* {"kind":"Status",…}, compact, no newline. */
void refusal_dump(const struct refusal *f, struct buf *out);

/* The usual ones, worded as the API words them. */
struct refusal *refuse_not_found(const struct kube_kind *k, const char *name) MUST_CHECK;
struct refusal *refuse_exists(const struct kube_kind *k, const char *name) MUST_CHECK;
struct refusal *refuse_conflict(const struct kube_kind *k, const char *name, const char *why) MUST_CHECK;
struct refusal *refuse_bad_request(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_CHECK;
struct refusal *refuse_unknown_resource(void) MUST_CHECK;
/* 422 with one cause. */
struct refusal *refuse_invalid(const struct kube_kind *k, const char *name, const char *cause, const char *field,
                               const char *message) MUST_CHECK;

#endif
