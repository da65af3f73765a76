#include "sandbox_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/str.h"
#include "cli.h"

#define READY_TIMEOUT_MS INT64_C(60000)

struct sandbox_child {
    pid_t pid;
    int life; /* our end of its stdin: closing it ends the sandbox, however we end */
    int out;
    char *dir;
    bool temporary;
    char *plan, *kubeconfig;
};

char *sandbox_child_program(const struct cli *cli) {
    char *self = program_path(), *dir = file_dirname(self ? self : cli->program);
    char *beside = str_printf("%s/ferryman-sandbox", dir);
    mem_free(dir);
    mem_free(self);
    if (file_exists(beside)) return beside;
    mem_free(beside);
    return mem_strdup(FERRYMAN_BINDIR "/ferryman-sandbox");
}

static struct err *choose_dir(struct cli *cli, struct sandbox_child *s) {
    const char *tmp = getenv("TMPDIR");
    if (cli->dir) {
        s->dir = mem_strdup(cli->dir);
        return file_mkdirs(s->dir, 0700);
    }
    s->dir = str_printf("%s/ferryman-sandbox-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    s->temporary = true;
    if (!mkdtemp(s->dir)) return err_sys(errno, "cannot make a folder for the sandbox at %s; set TMPDIR or give --dir", s->dir);
    return NULL;
}

/* The cluster is a new one each time, and so is the journal of what is done to it: it lies in the sandbox's folder, and one that is there
 * from an earlier cluster is put aside. */
static struct err *choose_state(const struct sandbox_child *s) {
    char *state = str_printf("%s/state", s->dir), *aside = str_printf("%s.%lld", state, (long long)clock_wall_ms());
    struct err *e = NULL;
    if (file_exists(state) && rename(state, aside)) e = err_sys(errno, "cannot put %s aside", state);
    else if (setenv("FERRYMAN_STATE", state, 1)) e = err_sys(errno, "cannot set FERRYMAN_STATE");
    mem_free(state);
    mem_free(aside);
    return e;
}

static struct err *start(struct sandbox_child *s, const char *program) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) return err_sys(errno, "cannot make a pipe to the sandbox");
    fflush(NULL);
    s->pid = fork();
    if (s->pid < 0) return err_sys(errno, "cannot start %s", program);
    if (s->pid == 0) {
        setsid();
        dup2(in[0], 0);
        dup2(out[1], 1);
        /* one of our own making goes with the sandbox, also when we are killed */
        execl(program, "ferryman-sandbox", "--dir", s->dir, s->temporary ? "--temporary" : (char *)NULL, (char *)NULL);
        fprintf(stderr, "ferryman: cannot run %s: %s; build or install it beside ferryman\n", program, strerror(errno));
        _exit(69);
    }
    close(in[0]);
    close(out[1]);
    s->life = in[1];
    s->out = out[0];
    return NULL;
}

/* Waits for the line `ready`; the loop does not exist yet, so this is a plain poll with a deadline. */
static struct err *await_ready(struct sandbox_child *s) {
    int64_t end = clock_mono_ms() + READY_TIMEOUT_MS;
    struct buf seen = {0};
    struct err *e = NULL;
    while (!e && !strstr(buf_str(&seen), "ready\n")) {
        char chunk[512];
        struct pollfd p = {.fd = s->out, .events = POLLIN};
        int64_t left = end - clock_mono_ms();
        if (left <= 0) {
            e = err_new(ERR_UNAVAILABLE, "the sandbox in %s was not ready within %d s; its log is there", s->dir, (int)(READY_TIMEOUT_MS / 1000));
        } else if (poll(&p, 1, (int)left) > 0) {
            ssize_t n = read(s->out, chunk, sizeof chunk);
            if (n > 0) buf_add(&seen, chunk, (size_t)n);
            else if (n == 0) e = err_new(ERR_UNAVAILABLE, "the sandbox in %s ended before it was ready; see the lines above", s->dir);
        }
    }
    buf_free(&seen);
    return e;
}

struct err *sandbox_child_start(struct cli *cli, struct sandbox_child **ret) {
    struct sandbox_child *s = MEM_NEW(struct sandbox_child);
    s->life = s->out = -1;
    char *program = sandbox_child_program(cli);
    struct err *e = choose_dir(cli, s);
    if (!e) e = choose_state(s);
    if (!e) e = start(s, program);
    if (!e) fprintf(stderr, "ferryman: starting the sandbox in %s: an API server, three Vault nodes, a real PostgreSQL …\n", s->dir);
    if (!e) e = await_ready(s);
    mem_free(program);
    if (e) {
        sandbox_child_free(s);
        return e;
    }
    s->plan = str_printf("%s/plan.yaml", s->dir);
    s->kubeconfig = str_printf("%s/kubeconfig", s->dir);
    if (!cli->plan) cli->plan = s->plan;
    cli->kubeconfig = s->kubeconfig;
    if (!cli->dir) cli->dir = mem_strdup(s->dir);
    *ret = s;
    return NULL;
}

/* Removes a folder that we made ourselves, and nothing outside it: links are removed, not followed. */
static void remove_tree(const char *path) {
    struct stat st;
    DIR *d = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..")) continue;
        char *child = str_printf("%s/%s", path, entry->d_name);
        remove_tree(child);
        mem_free(child);
    }
    if (d) closedir(d);
    remove(path);
}

static void end(struct sandbox_child *s) {
    int status;
    if (s->life >= 0) close(s->life);
    if (s->pid <= 0) return;
    kill(s->pid, SIGTERM);
    while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR) continue;
}

void sandbox_child_free(struct sandbox_child *s) {
    if (!s) return;
    end(s);
    if (s->out >= 0) close(s->out);
    if (s->temporary && s->dir) remove_tree(s->dir);
    mem_free(s->dir);
    mem_free(s->plan);
    mem_free(s->kubeconfig);
    mem_free(s);
}
