/* The application's own login, tried on the server that the run leads to. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_LOGIN_H
#define FERRYMAN_MIGRATE_POSTGRES_LOGIN_H

#include "base/err.h"

struct json_t;
struct run;
struct script;
struct secret;

/* Nothing if the plan names no login. */
void postgres_script_login(struct run *r, struct script *s);
/* The decoded value of a key of a Secret object; the error never holds it. */
struct err *login_password(const struct json_t *doc, const char *secret, const char *key, struct secret **ret) MUST_CHECK;

#endif
