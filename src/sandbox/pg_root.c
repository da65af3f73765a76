/* See pg_root.h. */
#include "sandbox/pg_root.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/guard.h"
#include "sandbox/pg_entry.h"

#define ROOT_PARENT "/var/tmp"
#define ROOT_PREFIX "ferryman-sandbox-"
#define ROOT_MARK ".ferryman-sandbox" /* in folders of DIR that are ours to remove */

/* rm takes care not to be led astray by links that another user plants meanwhile. */
void pg_root_remove(const char *path)
{
    struct err *e = pg_run((const char *const[]){"rm", "-rf", "--", path, NULL}, NULL, NULL);
    if (e)
        fprintf(stderr, "ferryman-sandbox: cannot remove %s: %s\n", path, err_text(e));
    err_free(e);
}

/* Removes the folders of sandboxes that are no more. Their names hold the process id. */
static void root_sweep(void)
{
    DIR *d = opendir(ROOT_PARENT);
    if (!d)
        return;
    for (const struct dirent *entry; (entry = readdir(d));) {
        if (!str_starts(entry->d_name, ROOT_PREFIX))
            continue;
        long pid = strtol(entry->d_name + strlen(ROOT_PREFIX), NULL, 10);
        char *path = str_printf(ROOT_PARENT "/%s", entry->d_name);
        struct stat st;
        if (pid > 1 && kill((pid_t)pid, 0) != 0 && errno == ESRCH && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
            st.st_uid == geteuid())
            pg_root_remove(path);
        mem_free(path);
    }
    closedir(d);
}

struct err *pg_root_folder(const struct pg_root *r, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(errno, "cannot create folder %s", path);
    if (r->user && lchown(path, r->uid, r->gid) != 0)
        return err_sys(errno, "cannot give folder %s to user %s", path, r->user);
    return NULL;
}

/* Makes way for a folder (or link) of ours: what an earlier sandbox left is removed, anything else is not touched. */
static struct err *root_clear_way(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return NULL;
    char *mark = str_printf("%s/" ROOT_MARK, path);
    bool ours = S_ISLNK(st.st_mode) || file_exists(mark);
    mem_free(mark);
    if (!ours)
        return err_new(ERR_USAGE, "%s is there and was not made by a sandbox: choose another folder", path);
    pg_root_remove(path);
    return NULL;
}

/* A folder of ours with the mark in it, empty. */
static struct err *root_subfolder(const struct pg_root *r, const char *name)
{
    char *path = str_printf("%s/%s", r->path, name), *mark = str_printf("%s/" ROOT_MARK, path);
    struct err *e = root_clear_way(path);
    if (!e)
        e = pg_root_folder(r, path);
    if (!e)
        e = file_write_durable(mark, "", 0, 0600);
    mem_free(path);
    mem_free(mark);
    return e;
}

/* A folder below /var/tmp that everybody may pass through, and links to it in DIR. */
static struct err *root_make_temporary(struct pg_root *r, const char *dir)
{
    static const char *const names[] = {"images", "volumes"};
    root_sweep();
    char *path = str_printf(ROOT_PARENT "/" ROOT_PREFIX "%ld-XXXXXX", (long)getpid());
    if (!mkdtemp(path) || chmod(path, 0711) != 0) {
        struct err *e = err_sys(errno, "cannot create folder %s", path);
        mem_free(path);
        return e;
    }
    r->path = path;
    r->temporary = true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *link = str_printf("%s/%s", dir, names[i]), *target = str_printf("%s/%s", path, names[i]);
        struct err *e = root_clear_way(link);
        if (!e && symlink(target, link) != 0)
            e = err_sys(errno, "cannot link %s", link);
        mem_free(link);
        mem_free(target);
        if (e)
            return e;
    }
    fprintf(stderr, "ferryman-sandbox: user %s cannot pass through %s: volumes are in %s\n", r->user, dir, path);
    return NULL;
}

/* PATH/run, or a short folder in /tmp if a socket's name would not fit into an address. */
static struct err *root_socket_dir(struct pg_root *r)
{
    struct sockaddr_un address;
    r->socket_dir = str_printf("%s/run", r->path);
    if (strlen(r->socket_dir) + strlen("/99999/.s.PGSQL.65535.lock") < sizeof address.sun_path)
        return pg_root_folder(r, r->socket_dir);
    str_set(&r->socket_dir, "/tmp/ferryman-XXXXXX");
    if (!mkdtemp(r->socket_dir))
        return err_sys(errno, "cannot create folder %s", r->socket_dir);
    r->socket_temporary = true;
    return pg_root_folder(r, r->socket_dir);
}

struct err *pg_root_run(const struct pg_root *r, unsigned serial, const char *password, char **ret_folder,
                        char **ret_password_file)
{
    char *folder = str_printf("%s/%u", r->socket_dir, serial), *file = str_printf("%s/password", folder);
    char *line = str_printf("%s\n", password);
    struct err *e = pg_root_folder(r, folder);
    if (!e)
        e = file_write_durable(file, line, strlen(line), 0600);
    mem_free(line);
    if (!e && r->user && lchown(file, r->uid, r->gid) != 0)
        e = err_sys(errno, "cannot give %s to user %s", file, r->user);
    if (e) {
        mem_free(folder);
        mem_free(file);
        return e;
    }
    *ret_folder = folder;
    *ret_password_file = file;
    return NULL;
}

struct err *pg_root_make(struct pg_root *ret, const char *dir)
{
    struct pg_root r = {0};
    struct err *e = guard_user(&r.user, &r.uid, &r.gid);
    if (!e && r.user && !guard_can_traverse(dir, r.uid, r.gid))
        e = root_make_temporary(&r, dir);
    else if (!e)
        r.path = mem_strdup(dir);
    if (!e)
        e = root_subfolder(&r, "images");
    if (!e)
        e = root_subfolder(&r, "volumes");
    if (!e)
        e = root_socket_dir(&r);
    if (e)
        pg_root_clear(&r);
    else
        *ret = r;
    return err_wrap(e, "PostgreSQL's folders");
}

struct err *pg_root_volume(const struct pg_root *r, const char *handle, char **ret_folder, bool *ret_fresh)
{
    char *name = mem_strdup(handle);
    for (char *p = name; *p; p++) {
        if (*p == '/' || (*p == '.' && p == name))
            *p = '_';
    }
    char *folder = str_printf("%s/volumes/%s", r->path, name);
    *ret_fresh = !file_exists(folder);
    mem_free(name);
    struct err *e = pg_root_folder(r, folder);
    if (e)
        mem_free(folder);
    else
        *ret_folder = folder;
    return e;
}

void pg_root_clear(struct pg_root *r)
{
    if (r->temporary)
        pg_root_remove(r->path);
    if (r->socket_temporary)
        pg_root_remove(r->socket_dir);
    mem_free(r->path);
    mem_free(r->socket_dir);
    mem_free(r->user);
    *r = (struct pg_root){0};
}
