/* Faults of single requests, denied verbs, and the record of what was changed.
 *
 * A fault or a denial is meant for the program under test: requests of kubectl are never touched. */
#ifndef FERRYMAN_SANDBOX_KUBE_FAULTS_H
#define FERRYMAN_SANDBOX_KUBE_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct api_call;
struct buf;
struct json_t;
struct kube;
struct kube_plan;
struct refusal;
struct sandbox;

enum fault_end { FAULT_NONE, FAULT_REFUSED, FAULT_DROPPED };

struct kube_plan *kube_plan_new(void);
void kube_plan_free(struct kube_plan *p);

/* Whether a planned fault meets this request. REFUSED: *ret is the answer. DROPPED: it has been closed unanswered (c->r is
 * gone). c->drop_answer may be set: carry it out, then close instead of answering. */
enum fault_end kube_fault(struct api_call *c, const char *verb, struct refusal **ret);
/* Whether a `deny` forbids the verb; ns NULL: cluster-wide. */
bool kube_denied(const struct kube *k, const char *verb, const char *plural, const char *sub, const char *ns);

/* A request has changed something. */
void kube_audit(struct kube *k, const char *verb, const char *plural, const char *sub, const char *ns, const char *name,
                const char *manager);
void kube_audit_save(const struct kube *k, struct json_t *state);
void kube_audit_load(struct kube *k, const struct json_t *state);

struct err *kube_run_fault(struct sandbox *s, int argc, char **argv, struct buf *out);
struct err *kube_run_deny(struct sandbox *s, int argc, char **argv, struct buf *out);
struct err *kube_run_audit(struct sandbox *s, int argc, char **argv, struct buf *out);

#endif
