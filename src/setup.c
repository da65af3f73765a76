#include "setup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "client/kube_config.h"
#include "migrate/plan.h"

struct err *setup_load(const struct cli *cli, struct setup *ret) {
    struct setup s = {0};
    struct err *e = cli->plan ? plan_load(cli->plan, &s.plan) : NULL;
    const char *context = cli->context ? cli->context : s.plan ? s.plan->context : NULL;
    if (!e) e = kube_config_load(cli->kubeconfig, context, &s.kube);
    if (e) {
        setup_free(&s);
        return e;
    }
    *ret = s;
    return NULL;
}

void setup_free(struct setup *s) {
    plan_free(s->plan);
    kube_config_free(s->kube);
    *s = (struct setup){0};
}

static void add_path(struct buf *id, const char *path) {
    char *real = path ? realpath(path, NULL) : NULL;
    buf_printf(id, "%s\n", real ? real : path ? path : "");
    free(real);
}

/* Told before anything is started: an engine that cannot listen would only be waited for. */
static struct err *check_length(const char *path) {
    const struct sockaddr_un *sa = NULL;
    if (strlen(path) < sizeof sa->sun_path) return NULL;
    return err_new(ERR_USAGE,
                   "the engine's socket would be %s, which is longer than the %zu bytes that a socket's path may have; "
                   "set XDG_RUNTIME_DIR to a shorter folder", path, sizeof sa->sun_path - 1);
}

/* Two consoles meet at one engine exactly if they name the same plan, kubeconfig and context. */
struct err *setup_socket_path(const struct cli *cli, char **ret) {
    if (cli->socket) {
        struct err *e = check_length(cli->socket);
        if (!e) *ret = mem_strdup(cli->socket);
        return e;
    }
    struct buf id = {0};
    char hex[HASH_HEX_SIZE];
    add_path(&id, cli->plan);
    add_path(&id, cli->kubeconfig ? cli->kubeconfig : getenv("KUBECONFIG"));
    buf_printf(&id, "%s\n", cli->context ? cli->context : "");
    hash_hex(id.p, id.len, hex);
    buf_free(&id);
    char *dir = file_runtime_dir(), *path = str_printf("%s/engine-%.12s.sock", dir, hex);
    struct err *e = check_length(path);
    if (!e) e = file_mkdirs(dir, 0700);
    mem_free(dir);
    if (e) mem_free(path);
    else *ret = path;
    return e;
}
