/* Something that is to happen exactly when the program under test does something: `when after delete pods scenario api-down on` carries
 * out the rest of the line right after the API has carried out the first such request of a program other than kubectl. {name} in the line
 * is the name of the request's object. */
#ifndef FERRYMAN_SANDBOX_KUBE_WHEN_H
#define FERRYMAN_SANDBOX_KUBE_WHEN_H

#include <stdbool.h>

#include "base/err.h"

struct api_call;
struct buf;
struct kube;
struct kube_when;
struct sandbox;

void kube_when_free(struct kube *k);
/* Carries out what is to happen before this request, which is about to be carried out. Returns what is to happen after it (malloc'd; NULL:
 * nothing), for kube_when_after, and whether the request is a dry run. */
char *kube_when_before(struct api_call *c, const char *verb, bool *ret_dry) MUST_CHECK;
/* The request was carried out: the line is, at the end of this turn of the loop. Takes the line over. */
void kube_when_after(struct kube *k, char *line, const char *name);
/* when before|after [dry-]VERB RESOURCE[/NAME][*] [xN] LINE… · when list · when clear */
struct err *kube_run_when(struct sandbox *s, int argc, char **argv, struct buf *out) MUST_CHECK;
/* The same from a scenario; dropped again by kube_when_drop with the same line. */
void kube_when_plant(struct kube *k, bool before, const char *verb, const char *resource, int times, const char *line);
void kube_when_drop(struct kube *k, const char *line);

#endif
