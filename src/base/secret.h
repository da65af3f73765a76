/* Secrets in memory: pages locked where the limit allows, left out of core dumps, wiped when freed. A secret is never
 * logged, put into a row, argv or an error. */
#ifndef FERRYMAN_BASE_SECRET_H
#define FERRYMAN_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct secret;

struct secret *secret_new(const char *p, size_t n);
/* A file of at most 64 KiB; one trailing newline is removed. */
struct err *secret_from_file(const char *path, struct secret **ret) MUST_CHECK;
struct secret *secret_ref(struct secret *s);
void secret_free(struct secret *s); /* drops a reference; NULL is allowed */
/* NUL-terminated bytes, valid while a reference is held. */
const char *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);
bool secret_eq(const struct secret *a, const struct secret *b); /* in constant time */
/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *p, size_t n);
/* RLIMIT_CORE 0 and not dumpable: called first by every program that holds secrets. */
void secret_no_core(void);

#endif
