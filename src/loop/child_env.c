/* The environment of children: a short list of what programs need to find the user's files and language, and what the
 * caller adds. Everything else (tokens in variables, LD_PRELOAD, PG*, KUBE*) stays with us. */
#include "loop/child_env.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

extern char **environ;

static const char *const passed_on[] = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSH_AUTH_SOCK", "KUBECONFIG",
};
static const char *const passed_on_prefix[] = {"LC_", "XDG_"};

static size_t env_name_len(const char *entry) {
    const char *eq = strchr(entry, '=');
    return eq != NULL ? (size_t)(eq - entry) : strlen(entry);
}

static bool env_passes(const char *entry) {
    size_t n = env_name_len(entry);
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
        if (strlen(passed_on[i]) == n && strncmp(entry, passed_on[i], n) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(passed_on_prefix); i++)
        if (str_starts(entry, passed_on_prefix[i]))
            return true;
    return false;
}

static bool env_names(const char *const *list, const char *entry) {
    size_t n = env_name_len(entry);
    for (; list != NULL && *list != NULL; list++)
        if (env_name_len(*list) == n && strncmp(*list, entry, n) == 0)
            return true;
    return false;
}

static size_t env_count(const char *const *list) {
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

char **child_env_new(const char *const *added, bool inherit) {
    size_t ours = env_count((const char *const *)environ), count = 0;
    char **env = mem_calloc(ours + env_count(added) + 1, sizeof *env);
    for (size_t i = 0; i < ours; i++)
        if ((inherit || env_passes(environ[i])) && !env_names(added, environ[i]))
            env[count++] = mem_strdup(environ[i]);
    for (; added != NULL && *added != NULL; added++)
        env[count++] = mem_strdup(*added);
    return env;
}

void child_env_free(char **env) {
    for (char **e = env; e != NULL && *e != NULL; e++)
        mem_free(*e);
    mem_free(env);
}
