/* The environment that children get (child.h says which names). */
#ifndef FERRYMAN_LOOP_CHILD_ENV_H
#define FERRYMAN_LOOP_CHILD_ENV_H

#include <stdbool.h>

/* A NULL-terminated list of "NAME=value"; `added` (NULL-terminated, may be NULL) wins over what is passed on. */
char **child_env_new(const char *const *added, bool inherit);
void child_env_free(char **env);

#endif
