/* What the vault_parse files share: values, and the frames that answers come in. Nothing else includes it. */
#ifndef FERRYMAN_CLIENT_VAULT_PARSE_PRIVATE_H
#define FERRYMAN_CLIENT_VAULT_PARSE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json_reader.h"
#include "base/str.h"
#include "client/vault_parse.h"

/* Copies foreign text cleaned, cut at a character. */
void vault_text(char *dst, size_t size, struct slice foreign);
#define TEXT(r, field) vault_text(field, sizeof(field), json_string(r))
/* Each reads one value. */
enum vault_flag vault_flag_of(struct json_reader *r);
int64_t vault_time_ms(struct json_reader *r);     /* Unix ms; -1, also for Go's zero time */
int64_t vault_duration_of(struct json_reader *r); /* ms; -1 */
/* "FailureTolerance" is "failure_tolerance": case and underscores do not count. */
bool vault_key_is(struct slice key, const char *snake);

/* Consumes one member's value. */
typedef void (*vault_member_fn)(struct json_reader *r, struct slice key, void *ret);
/* The object that the reader stands at; false, and skipped, if it is none. */
bool vault_read_object(struct json_reader *r, vault_member_fn member, void *ret);
/* An answer whose members stand at the top; a logical answer, whose members stand below "data". */
struct err *vault_read_top(struct slice json, const char *what, vault_member_fn member, void *ret) MUST_CHECK;
struct err *vault_read_data(struct slice json, const char *what, vault_member_fn member, void *ret) MUST_CHECK;
struct err *vault_wrong(const char *what, const char *why) MUST_CHECK;

#endif
