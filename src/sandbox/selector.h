/* Label and field selectors of lists and watches. */
#ifndef FERRYMAN_SANDBOX_SELECTOR_H
#define FERRYMAN_SANDBOX_SELECTOR_H

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/kube_kind.h"

struct version;
struct selector;

/* Either text may be NULL or empty; *ret is NULL if nothing is selected. The error's text is the API's message. */
struct err *selector_parse(const struct kube_kind *kind, const char *labels, const char *fields,
                           struct selector **ret) MUST_CHECK;
bool selector_match(const struct selector *s, const struct version *v);
void selector_free(struct selector *s);

#endif
