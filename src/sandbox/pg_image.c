/* The image: a folder that an installed server's programs believe to be their own installation.
 *
 * PostgreSQL finds its share and library folders relative to the running program, by the way they lie to each other
 * in the installation (make_relative_path in src/port/path.c). So bin is copied, and share and lib are laid out below the image as
 * they are below their common parent; everything in them is a link, but the extension folder is a real one, with the
 * stand-ins beside the links. */
#include "sandbox/pg_entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Whether the folder holds what we run. */
static bool install_is_server(const char *bin)
{
    static const char *const programs[] = {"postgres", "initdb"};
    bool all = true;
    for (size_t i = 0; i < ARRAY_LEN(programs) && all; i++) {
        char *path = str_printf("%s/%s", bin, programs[i]);
        all = access(path, X_OK) == 0;
        mem_free(path);
    }
    return all;
}

/* Looks at PARENT/<prefix>N<suffix> for the largest N; sets *best if it is larger than *best_n. */
static void install_look(const char *parent, const char *prefix, const char *suffix, long *best_n, char **best)
{
    DIR *d = opendir(parent);
    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d));) {
        if (!str_starts(e->d_name, prefix))
            continue;
        const char *digits = e->d_name + strlen(prefix);
        char *end;
        long n = strtol(digits, &end, 10);
        if (end == digits || n <= *best_n)
            continue;
        char *bin = str_printf("%s/%s%s", parent, e->d_name, suffix);
        if (install_is_server(bin)) {
            *best_n = n;
            str_set(best, bin);
        }
        mem_free(bin);
    }
    closedir(d);
}

struct err *pg_install_find(char **ret_bin)
{
    static const struct {
        const char *parent, *prefix, *suffix;
    } places[] = {
        {"/usr/lib/postgresql", "", "/bin"},
        {"/usr", "pgsql-", "/bin"},
        {"/opt/homebrew/opt", "postgresql@", "/bin"},
        {"/usr/local/opt", "postgresql@", "/bin"},
        {"/home/linuxbrew/.linuxbrew/opt", "postgresql@", "/bin"},
    };
    static const char *const plain[] = {"/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"};
    long n = 0;
    char *bin = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        install_look(places[i].parent, places[i].prefix, places[i].suffix, &n, &bin);
    for (size_t i = 0; i < ARRAY_LEN(plain) && !bin; i++) {
        if (install_is_server(plain[i]))
            bin = mem_strdup(plain[i]);
    }
    if (!bin)
        return err_new(ERR_UNAVAILABLE, "no PostgreSQL server is installed (looked in /usr/lib/postgresql/*/bin, "
                                        "/usr/pgsql-*/bin, Homebrew's postgresql@N): install package postgresql");
    *ret_bin = bin;
    return NULL;
}

void pg_install_clear(struct pg_install *in)
{
    mem_free(in->bin);
    mem_free(in->share);
    mem_free(in->lib);
    *in = (struct pg_install){0};
}

/* One answer of pg_config, e.g. of --sharedir. */
static struct err *install_ask(const char *pg_config, const char *what, char **ret)
{
    struct buf out = {0};
    struct err *e = pg_run((const char *const[]){pg_config, what, NULL}, NULL, &out);
    if (!e)
        *ret = slice_dup(slice_trim(buf_slice(&out)));
    buf_free(&out);
    return e;
}

struct err *pg_install_read(const char *bin, struct pg_install *ret)
{
    char *pg_config = str_printf("%s/pg_config", bin);
    if (access(pg_config, X_OK) != 0)
        str_set(&pg_config, "pg_config");
    struct pg_install in = {.bin = mem_strdup(bin)};
    struct err *e = install_ask(pg_config, "--sharedir", &in.share);
    if (!e)
        e = install_ask(pg_config, "--pkglibdir", &in.lib);
    if (e)
        pg_install_clear(&in);
    else
        *ret = in;
    mem_free(pg_config);
    return err_wrap(e, "PostgreSQL in %s", bin);
}

/* Length of the longest folder that all three paths lie below, including its slash. */
static size_t image_common(const struct pg_install *in)
{
    size_t common = 0;
    for (size_t i = 0; in->bin[i] && in->bin[i] == in->share[i] && in->bin[i] == in->lib[i]; i++) {
        if (in->bin[i] == '/')
            common = i + 1;
    }
    return common;
}

/* mkdir -p of a path of ours. */
static struct err *image_mkdirs(const char *path)
{
    char *p = mem_strdup(path);
    struct err *e = NULL;
    for (char *slash = p + 1; !e; slash++) {
        slash += strcspn(slash, "/");
        char kept = *slash;
        *slash = '\0';
        if (mkdir(p, 0755) != 0 && errno != EEXIST)
            e = err_sys(errno, "cannot create folder %s", p);
        *slash = kept;
        if (!kept)
            break;
    }
    mem_free(p);
    return e;
}

static struct err *image_copy_bytes(int from, int to, const char *path)
{
    static char bytes[1 << 16];
    ssize_t n;
    while ((n = read(from, bytes, sizeof bytes)) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, bytes + done, (size_t)(n - done));
            if (w < 0)
                return err_sys(errno, "cannot write %s", path);
            done += w;
        }
    }
    return n < 0 ? err_sys(errno, "cannot read for %s", path) : NULL;
}

static struct err *image_copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_sys(errno, "cannot open %s", from);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    struct err *e = out < 0 ? err_sys(errno, "cannot create %s", to) : image_copy_bytes(in, out, to);
    close(in);
    if (out >= 0 && close(out) != 0 && !e)
        e = err_sys(errno, "cannot write %s", to);
    return e;
}

/* Links every entry of a folder into another, or copies the files it has. */
static struct err *image_fill(const char *from, const char *to, bool copy, const char *except)
{
    struct err *e = image_mkdirs(to);
    DIR *d = e ? NULL : opendir(from);
    if (!d)
        return e ? e : err_sys(errno, "cannot read folder %s", from);
    for (const struct dirent *entry; !e && (entry = readdir(d));) {
        if (entry->d_name[0] == '.' || str_eq(entry->d_name, except))
            continue;
        char *source = str_printf("%s/%s", from, entry->d_name);
        char *target = str_printf("%s/%s", to, entry->d_name);
        struct stat st;
        if (copy && stat(source, &st) == 0 && S_ISREG(st.st_mode))
            e = image_copy(source, target);
        else if (!copy && symlink(source, target) != 0 && errno != EEXIST)
            e = err_sys(errno, "cannot link %s", target);
        mem_free(source);
        mem_free(target);
    }
    closedir(d);
    return e;
}

static struct err *image_write_files(const char *extension_dir)
{
    struct err *e = NULL;
    for (const struct pg_image_file *f = pg_image_files; !e && f->name; f++) {
        char *path = str_printf("%s/%s", extension_dir, f->name);
        unlink(path); /* a link to the real thing, if that is installed */
        FILE *out = fopen(path, "w");
        if (!out || fputs(f->text, out) < 0)
            e = err_sys(errno, "cannot write %s", path);
        if (out && fclose(out) != 0 && !e)
            e = err_sys(errno, "cannot write %s", path);
        mem_free(path);
    }
    return e;
}

/* Preload libraries of the stand-ins: small modules that do nothing when they are loaded, under other names. */
static struct err *image_add_libraries(const char *from, const char *to)
{
    static const char *const names[][2] = {{"tsm_system_rows", "vchord"}, {"tsm_system_time", "vectors"}};
    static const char *const endings[] = {".so", ".dylib"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool found = false;
        for (size_t k = 0; k < ARRAY_LEN(endings) && !found; k++) {
            char *source = str_printf("%s/%s%s", from, names[i][0], endings[k]);
            char *target = str_printf("%s/%s%s", to, names[i][1], endings[k]);
            struct err *e = NULL;
            if (access(source, R_OK) == 0) {
                found = true;
                unlink(target);
                e = image_copy(source, target);
            }
            mem_free(source);
            mem_free(target);
            if (e)
                return e;
        }
        if (!found)
            return err_new(ERR_UNAVAILABLE, "%s has no module %s: install PostgreSQL's contrib modules", from,
                           names[i][0]);
    }
    return NULL;
}

/* Builds the whole image at `image`. */
static struct err *image_make(const char *image, const struct pg_install *in)
{
    size_t common = image_common(in);
    char *bin = str_printf("%s/%s", image, in->bin + common);
    char *share = str_printf("%s/%s", image, in->share + common);
    char *lib = str_printf("%s/%s", image, in->lib + common);
    char *extension = str_printf("%s/extension", share);
    char *installed = str_printf("%s/extension", in->share);
    struct err *e = image_fill(in->bin, bin, true, NULL);
    if (!e)
        e = image_fill(in->share, share, false, "extension");
    if (!e)
        e = image_fill(installed, extension, false, NULL);
    if (!e)
        e = image_write_files(extension);
    if (!e)
        e = image_fill(in->lib, lib, false, NULL);
    if (!e)
        e = image_add_libraries(in->lib, lib);
    mem_free(bin);
    mem_free(share);
    mem_free(lib);
    mem_free(extension);
    mem_free(installed);
    return e;
}

struct err *pg_image_build(const char *root, const struct pg_install *in, char **ret_bin)
{
    char *image = str_printf("%s/images/immich-postgres", root);
    char *bin = str_printf("%s/%s", image, in->bin + image_common(in));
    struct err *e = NULL;
    if (access(image, F_OK) != 0) {
        /* Under a name of its own first: two pods may start at once. */
        char *draft = str_printf("%s/images/draft-%ld", root, (long)getpid());
        e = image_make(draft, in);
        if (!e && rename(draft, image) != 0 && access(image, F_OK) != 0)
            e = err_sys(errno, "cannot rename %s", draft);
        mem_free(draft);
    }
    mem_free(image);
    if (e)
        mem_free(bin);
    else
        *ret_bin = bin;
    return err_wrap(e, "image immich-postgres");
}

struct err *pg_image_hide(const char *root, const char *extension, bool hide)
{
    char *images = str_printf("%s/images", root);
    char *name = str_printf("%s.control%s", extension, hide ? "" : ".hidden");
    const char *const argv[] = {"find", images, "-name", name, NULL};
    struct buf found = {0};
    struct err *e = pg_run(argv, NULL, &found);
    struct slice rest = buf_slice(&found), line;
    while (!e && slice_cut(&rest, '\n', &line)) {
        char *from = slice_dup(line);
        char *to = hide ? str_printf("%s.hidden", from) : mem_strndup(from, line.n > 7 ? line.n - strlen(".hidden") : 0);
        if (line.n && rename(from, to) != 0)
            e = err_sys(errno, "cannot rename %s", from);
        mem_free(from);
        mem_free(to);
    }
    buf_free(&found);
    mem_free(images);
    mem_free(name);
    return e;
}

struct err *pg_image_drift(const char *root, bool major)
{
    char *images = str_printf("%s/images", root);
    char *edit = str_printf("s/^default_version = .*/default_version = '%s'/", major ? "1.0.0" : "0.8.1");
    const char *const argv[] = {"find", images, "-name", "vector.control", "-exec", "sed", "-i", edit, "{}", ";", NULL};
    struct err *e = pg_run(argv, NULL, NULL);
    mem_free(images);
    mem_free(edit);
    return e;
}
