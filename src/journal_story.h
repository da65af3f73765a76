/* A journal told in the operator's words, for `ferryman journal show`. */
#ifndef FERRYMAN_JOURNAL_STORY_H
#define FERRYMAN_JOURNAL_STORY_H

#include <stdbool.h>

#include "base/buf.h"

struct json_t;
struct story;

struct story *story_new(void);
void story_free(struct story *s);
/* The next record, oldest first (borrowed). As journal_read wants it. */
void story_add(void *story, const struct json_t *record);
/* One line a happening: time (UTC), age, who, where, what; an act and its outcome are one line. */
void story_text(const struct story *s, bool torn, struct buf *out);
/* {"schema":1,"journal":…,"plan":…,"head":…,"torn":…,"records":[…]} */
void story_json(const struct story *s, const char *head, bool torn, struct buf *out);

#endif
