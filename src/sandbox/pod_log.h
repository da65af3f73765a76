/* What a pod's container has written: the present instance's log, the previous one's, and who follows it. */
#ifndef FERRYMAN_SANDBOX_POD_LOG_H
#define FERRYMAN_SANDBOX_POD_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct http_request;
struct pod_log;

struct pod_log *pod_log_new(void);
/* Ends what follows it, after all that was written. */
void pod_log_free(struct pod_log *l);
/* Kept are the last 256 KiB. */
void pod_log_add(struct pod_log *l, const char *p, size_t n);
/* The container has ended: so do its followers. */
void pod_log_end(struct pod_log *l);
/* It starts anew: what there is becomes the previous instance's. */
void pod_log_restart(struct pod_log *l);
struct slice pod_log_text(const struct pod_log *l);
/* The absent slice if there was no instance before. */
struct slice pod_log_previous(const struct pod_log *l);
/* Answers the request with `head` (a part of the log) and everything that is written from now on. */
void pod_log_follow(struct pod_log *l, struct http_request *r, struct slice head);

#endif
