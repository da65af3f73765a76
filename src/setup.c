#include "setup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

/* Two consoles meet at one engine exactly if they name the same plan, kubeconfig and context. */
struct err *setup_socket_path(const struct cli *cli, char **ret) {
    if (cli->socket) {
        *ret = mem_strdup(cli->socket);
        return NULL;
    }
    struct buf id = {0};
    char hex[HASH_HEX_SIZE];
    add_path(&id, cli->plan);
    add_path(&id, cli->kubeconfig ? cli->kubeconfig : getenv("KUBECONFIG"));
    buf_printf(&id, "%s\n", cli->context ? cli->context : "");
    hash_hex(id.p, id.len, hex);
    buf_free(&id);
    char *dir = file_runtime_dir();
    struct err *e = file_mkdirs(dir, 0700);
    if (!e) *ret = str_printf("%s/engine-%.12s.sock", dir, hex);
    mem_free(dir);
    return e;
}
