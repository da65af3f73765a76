/* The programs that the toy shell knows, as busybox words them. */
#include "sandbox/toy_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

void toy_words_clear(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->list[i]);
    w->n = 0;
}

void toy_words_add(struct words *w, const char *text)
{
    if (w->n < WORDS_MAX)
        w->list[w->n++] = mem_strdup(text);
}

const char *toy_var(const struct shell *s, const char *name)
{
    const char *value = map_gets(s->vars, name);
    return value ? value : "";
}

void toy_set_var(struct shell *s, const char *name, const char *value)
{
    mem_free(map_puts(s->vars, name, mem_strdup(value)));
}

static const char *refusal(const struct shell *s, const char *path)
{
    return s->o->refuses && !str_eq(path, "/dev/null") ? s->o->refuses(s->o->arg, path) : NULL;
}

int toy_write_file(struct program *x, const char *who, const char *path, struct slice text)
{
    const char *why = refusal(x->s, path);
    if (why) {
        buf_printf(x->err, "%s: can't open '%s': %s\n", who, path, why);
        return 1;
    }
    mem_free(map_puts(x->s->files, path, slice_dup(text)));
    return 0;
}

/* The value of the operand "of=PATH". */
static const char *operand(const struct words *w, const char *key)
{
    for (size_t i = 1; i < w->n; i++)
        if (str_starts(w->list[i], key))
            return w->list[i] + strlen(key);
    return NULL;
}

static int run_dd(struct program *x)
{
    const char *of = operand(x->args, "of="), *from = operand(x->args, "if=");
    struct slice text = from ? SLICE_LIT("0") : x->in;
    if (of && toy_write_file(x, "dd", of, text))
        return 1;
    if (!of)
        buf_add_slice(x->out, text);
    buf_printf(x->err, "0+1 records in\n0+1 records out\n%zu bytes copied, 0.004 s, %zu B/s\n", text.n, text.n * 250);
    return 0;
}

static int run_cat(struct program *x)
{
    if (x->args->n < 2)
        buf_add_slice(x->out, x->in);
    for (size_t i = 1; i < x->args->n; i++) {
        const char *text = map_gets(x->s->files, x->args->list[i]);
        if (!text) {
            buf_printf(x->err, "cat: can't open '%s': No such file or directory\n", x->args->list[i]);
            return 1;
        }
        buf_adds(x->out, text);
    }
    return 0;
}

static int run_touch(struct program *x)
{
    for (size_t i = 1; i < x->args->n; i++)
        if (x->args->list[i][0] != '-' && toy_write_file(x, x->args->list[0], x->args->list[i], SLICE_LIT("")))
            return 1;
    return 0;
}

static int run_rm(struct program *x)
{
    for (size_t i = 1; i < x->args->n; i++)
        mem_free(map_del(x->s->files, slice_of(x->args->list[i])));
    return 0;
}

static int run_id(struct program *x)
{
    const struct toy_shell *o = x->s->o;
    const char *what = x->args->n > 1 ? x->args->list[1] : "";
    if (str_eq(what, "-u"))
        buf_printf(x->out, "%lld\n", (long long)o->uid);
    else if (str_eq(what, "-g"))
        buf_printf(x->out, "%lld\n", (long long)o->gid);
    else if (str_eq(what, "-G"))
        buf_printf(x->out, "%s\n", o->groups);
    else
        buf_printf(x->out, "uid=%lld gid=%lld groups=%s\n", (long long)o->uid, (long long)o->gid, o->groups);
    return 0;
}

static int run_df(struct program *x)
{
    const char *where = x->args->n > 1 ? x->args->list[x->args->n - 1] : "/";
    const char *why = refusal(x->s, where);
    bool full = why && strstr(why, "space");
    buf_printf(x->out, "Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/mapper/vol          1992552  %7d %9d  %d%% %s\n",
               full ? 1992552 : 24, full ? 0 : 1891288, full ? 100 : 1, where);
    return 0;
}

static int run_echo(struct program *x)
{
    bool bare = x->args->n > 1 && str_eq(x->args->list[1], "-n");
    for (size_t i = bare ? 2 : 1; i < x->args->n; i++)
        buf_printf(x->out, "%s%s", i > (bare ? 2U : 1U) ? " " : "", x->args->list[i]);
    if (!bare)
        buf_addc(x->out, '\n');
    return 0;
}

/* tr FROM TO, -d FROM: single characters. */
static int run_tr(struct program *x)
{
    bool drop = x->args->n > 1 && str_eq(x->args->list[1], "-d");
    const char *from = x->args->n > 1U + drop ? x->args->list[1 + drop] : "", *to = !drop && x->args->n > 2 ? x->args->list[2] : "";
    char what = str_eq(from, "\\n") ? '\n' : from[0], by = str_eq(to, "\\n") ? '\n' : to[0];
    for (size_t i = 0; i < x->in.n; i++) {
        if (x->in.p[i] != what)
            buf_addc(x->out, x->in.p[i]);
        else if (by)
            buf_addc(x->out, by);
    }
    return 0;
}

/* tail and head with "-n N" or "-N"; -1 is what scripts mean without a number that is read here. */
static int run_part(struct program *x, bool last)
{
    struct slice rest = x->in, line;
    struct words lines = {0};
    int64_t n = 10;
    for (size_t i = 1; i < x->args->n; i++) {
        const char *t = x->args->list[i];
        (void)!slice_to_i64(slice_of(t[0] == '-' ? t + 1 + (t[1] == 'n') : t), &n);
    }
    while (slice_cut(&rest, '\n', &line)) {
        char *text = slice_dup(line);
        if (line.n || rest.n)
            toy_words_add(&lines, text);
        mem_free(text);
    }
    for (size_t i = 0; i < lines.n; i++)
        if (last ? (int64_t)(lines.n - i) <= n : (int64_t)i < n)
            buf_printf(x->out, "%s\n", lines.list[i]);
    toy_words_clear(&lines);
    return 0;
}

static int run_test(struct program *x)
{
    struct words *w = x->args;
    size_t n = w->n - (str_eq(w->list[0], "[") && str_eq(w->list[w->n - 1], "]"));
    bool not = n > 1 && str_eq(w->list[1], "!");
    char **a = w->list + 1 + not;
    bool is = false;
    n -= 1U + not;
    if (n == 3 && (str_eq(a[1], "=") || str_eq(a[1], "==")))
        is = str_eq(a[0], a[2]);
    else if (n == 3 && str_eq(a[1], "!="))
        is = !str_eq(a[0], a[2]);
    else if (n == 3 && a[1][0] == '-') {
        long x1 = strtol(a[0], NULL, 10), x2 = strtol(a[2], NULL, 10);
        is = str_eq(a[1], "-eq") ? x1 == x2 : str_eq(a[1], "-ne") ? x1 != x2 : str_eq(a[1], "-lt") ? x1 < x2 : str_eq(a[1], "-gt") ? x1 > x2
             : str_eq(a[1], "-le") ? x1 <= x2 : x1 >= x2;
    } else if (n == 2 && str_eq(a[0], "-z"))
        is = !a[1][0];
    else if (n == 2 && str_eq(a[0], "-n"))
        is = a[1][0];
    else if (n == 2 && str_eq(a[0], "-w"))
        is = !refusal(x->s, a[1]);
    else if (n == 2 && str_eq(a[0], "-d"))
        is = true;
    else if (n == 2)
        is = map_gets(x->s->files, a[1]) != NULL;
    else if (n == 1)
        is = a[0][0];
    return is != not ? 0 : 1;
}

static int run_set(struct program *x)
{
    struct words *w = x->args;
    if (w->n > 1 && w->list[1][0] == '-' && !str_eq(w->list[1], "--")) {
        x->s->errexit = x->s->errexit || strchr(w->list[1], 'e');
        return 0;
    }
    for (size_t i = 1; i <= 9; i++) {
        char name[] = {(char)('0' + i), '\0'};
        toy_set_var(x->s, name, i + 1 < w->n ? w->list[i + 1] : "");
    }
    return 0;
}

int toy_run_program(struct program *x)
{
    const char *name = x->args->list[0], *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    if (str_eq(name, "dd"))
        return run_dd(x);
    if (str_eq(name, "cat"))
        return run_cat(x);
    if (str_eq(name, "touch") || str_eq(name, "mkdir"))
        return run_touch(x);
    if (str_eq(name, "rm"))
        return run_rm(x);
    if (str_eq(name, "id"))
        return run_id(x);
    if (str_eq(name, "df"))
        return run_df(x);
    if (str_eq(name, "echo"))
        return run_echo(x);
    if (str_eq(name, "tr"))
        return run_tr(x);
    if (str_eq(name, "tail") || str_eq(name, "head"))
        return run_part(x, name[0] == 't');
    if (str_eq(name, "[") || str_eq(name, "test"))
        return run_test(x);
    if (str_eq(name, "set"))
        return run_set(x);
    if (str_eq(name, "exit")) {
        x->s->over = true;
        return x->args->n > 1 ? atoi(x->args->list[1]) : x->s->status;
    }
    return str_eq(name, "false") ? 1 : 0;
}
