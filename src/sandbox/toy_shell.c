/* See toy_shell.h. The text is interpreted as it is read; what is not to be carried out (the other branch of an if) is read with
 * `run` off. */
#include "sandbox/toy_shell.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#define WORDS_MAX 64
#define DEPTH_MAX 20
#define LOOP_MAX 1000

struct shell {
    const struct toy_shell *o;
    const char *p;
    struct map *vars, *files;
    struct buf *log;    /* standard error, and output that nobody takes */
    int status, depth, loops;
    bool over, errexit, quiet; /* quiet: a condition is looked at, which may fail */
};

struct words {
    char *list[WORDS_MAX];
    size_t n;
};

static int run_list(struct shell *s, bool run, struct buf *out);

static void words_clear(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->list[i]);
    w->n = 0;
}

static void words_add(struct words *w, const char *text)
{
    if (w->n < WORDS_MAX)
        w->list[w->n++] = mem_strdup(text);
}

static const char *var(const struct shell *s, const char *name)
{
    const char *value = map_gets(s->vars, name);
    return value ? value : "";
}

static void set_var(struct shell *s, const char *name, const char *value)
{
    mem_free(map_puts(s->vars, name, mem_strdup(value)));
}

/* ---- Words: read raw, then expanded ---- */

static void skip_blanks(struct shell *s)
{
    for (;;) {
        while (*s->p == ' ' || *s->p == '\t' || (s->p[0] == '\\' && s->p[1] == '\n'))
            s->p += *s->p == '\\' ? 2 : 1;
        if (*s->p != '#')
            return;
        while (*s->p && *s->p != '\n')
            s->p++;
    }
}

/* The end of "$( … )" whose inside begins at p. */
static const char *end_of_command(const char *p)
{
    int depth = 1;
    for (; *p; p++) {
        if (*p == '\'') {
            while (p[1] && *++p != '\'')
                ;
        } else if (*p == '(') {
            depth++;
        } else if (*p == ')' && --depth == 0) {
            return p;
        }
    }
    return p;
}

static const char *end_of_word(const char *p)
{
    bool quoted = false;
    for (; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (p[0] == '$' && p[1] == '(')
            p = end_of_command(p + 2);
        else if (!quoted && *p == '\'')
            while (p[1] && *++p != '\'')
                ;
        else if (!quoted && strchr(" \t\n;&|<>()", *p))
            break;
        if (!*p)
            break;
    }
    return p;
}

/* Takes the raw word at p; malloc'd. */
static char *raw_word(struct shell *s)
{
    const char *end = end_of_word(s->p);
    char *word = mem_strndup(s->p, (size_t)(end - s->p));
    s->p = end;
    return word;
}

/* Output of the command between "$(" and ")", without the newlines at its end. */
static char *substitute(struct shell *s, const char *from, const char *to)
{
    char *text = mem_strndup(from, (size_t)(to - from));
    struct buf out = {0};
    const char *was = s->p;
    bool quiet = s->quiet;
    s->p = text;
    s->quiet = true;
    if (s->depth++ < DEPTH_MAX)
        run_list(s, true, &out);
    s->depth--;
    s->p = was;
    s->quiet = quiet;
    while (out.len && out.p[out.len - 1] == '\n')
        out.len--;
    char *result = mem_strndup(buf_str(&out), out.len);
    buf_free(&out);
    mem_free(text);
    return result;
}

/* One "$…" at *p, which is moved behind it; malloc'd. */
static char *dollar(struct shell *s, const char **p)
{
    char name[64] = "";
    size_t n = 0;
    bool brace = (*p)[1] == '{';
    if ((*p)[1] == '(') {
        const char *end = end_of_command(*p + 2);
        char *value = substitute(s, *p + 2, end);
        *p = *end ? end + 1 : end;
        return value;
    }
    *p += brace ? 2 : 1;
    if (**p == '?') {
        ++*p;
        return str_printf("%d", s->status);
    }
    if (isdigit((unsigned char)**p) && !brace)
        name[n++] = *(*p)++;
    else
        while ((isalnum((unsigned char)**p) || **p == '_') && n + 1 < sizeof name)
            name[n++] = *(*p)++;
    if (brace) {
        while (**p && **p != '}')
            ++*p;
        *p += **p == '}';
    }
    return n ? mem_strdup(var(s, name)) : mem_strdup("$");
}

/* The fields that a raw word becomes; `split` off: one, as in an assignment. */
static void expand(struct shell *s, const char *p, bool split, struct words *ret)
{
    struct buf field = {0};
    bool quoted = false, any = false;
    while (*p) {
        if (*p == '\'' && !quoted) {
            for (p++; *p && *p != '\''; p++)
                buf_addc(&field, *p);
            p += *p == '\'';
            any = true;
        } else if (*p == '"') {
            quoted = !quoted;
            any = true;
            p++;
        } else if (*p == '\\' && p[1]) {
            buf_addc(&field, p[1]);
            p += 2;
        } else if (*p == '$' && p[1]) {
            char *value = dollar(s, &p);
            for (const char *c = value; *c; c++) {
                if (quoted || !split || !strchr(" \t\n", *c)) {
                    buf_addc(&field, *c);
                } else if (field.len || any) {
                    words_add(ret, buf_str(&field));
                    buf_clear(&field);
                    any = false;
                }
            }
            mem_free(value);
        } else {
            buf_addc(&field, *p++);
        }
    }
    if (field.len || any || !split)
        words_add(ret, buf_str(&field));
    buf_free(&field);
}

static char *expand_one(struct shell *s, const char *raw)
{
    struct words w = {0};
    expand(s, raw, false, &w);
    char *text = mem_strdup(w.n ? w.list[0] : "");
    words_clear(&w);
    return text;
}

/* ---- The programs ---- */

struct program {
    struct shell *s;
    struct words *args;
    struct slice in;
    struct buf *out, *err;
};

static const char *refusal(const struct shell *s, const char *path)
{
    return s->o->refuses && !str_eq(path, "/dev/null") ? s->o->refuses(s->o->arg, path) : NULL;
}

static int write_file(struct program *x, const char *who, const char *path, struct slice text)
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
    if (of && write_file(x, "dd", of, text))
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
        if (x->args->list[i][0] != '-' && write_file(x, x->args->list[0], x->args->list[i], SLICE_LIT("")))
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
            words_add(&lines, text);
        mem_free(text);
    }
    for (size_t i = 0; i < lines.n; i++)
        if (last ? (int64_t)(lines.n - i) <= n : (int64_t)i < n)
            buf_printf(x->out, "%s\n", lines.list[i]);
    words_clear(&lines);
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
        set_var(x->s, name, i + 1 < w->n ? w->list[i + 1] : "");
    }
    return 0;
}

static int run_program(struct program *x)
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

/* ---- Commands ---- */

static bool at_word(const struct shell *s, const char *word)
{
    size_t n = strlen(word);
    return strncmp(s->p, word, n) == 0 && strchr(" \t\n;&|()", s->p[n]);
}

static bool is_assignment(const char *raw)
{
    const char *p = raw;
    while (isalnum((unsigned char)*p) || *p == '_')
        p++;
    return p > raw && *p == '=' && !isdigit((unsigned char)raw[0]);
}

/* The status of an assignment is that of its command. */
static int assign(struct shell *s, const char *raw)
{
    const char *eq = strchr(raw, '=');
    char *name = mem_strndup(raw, (size_t)(eq - raw));
    s->status = 0;
    char *value = expand_one(s, eq + 1);
    set_var(s, name, value);
    mem_free(value);
    mem_free(name);
    return s->status;
}

struct redirect {
    char *to;     /* of standard output; NULL: none */
    bool append, merge, drop;
};

/* ">x", ">>x", "2>&1", "2>x", "<x" at the place where a word could be. */
static bool read_redirect(struct shell *s, bool run, struct redirect *r)
{
    bool errors = s->p[0] == '2' && s->p[1] == '>';
    if (!errors && s->p[0] != '>' && s->p[0] != '<')
        return false;
    bool in = s->p[0] == '<';
    s->p += errors ? 2 : 1;
    if (!errors && !in && *s->p == '>') {
        r->append = true;
        s->p++;
    }
    if (*s->p == '&') {
        s->p += 2;
        r->merge = r->merge || errors;
        return true;
    }
    skip_blanks(s);
    char *raw = raw_word(s);
    if (errors)
        r->drop = true;
    else if (run && !in)
        r->to = expand_one(s, raw);
    mem_free(raw);
    return true;
}

static int run_simple(struct shell *s, bool run, struct slice in, struct buf *out)
{
    struct words args = {0};
    struct redirect r = {0};
    struct buf own = {0}, err = {0};
    int status = 0;
    for (skip_blanks(s); *s->p && !strchr("\n;&|()", *s->p); skip_blanks(s)) {
        if (read_redirect(s, run, &r))
            continue;
        char *raw = raw_word(s);
        if (run && !args.n && is_assignment(raw))
            status = assign(s, raw);
        else if (run)
            expand(s, raw, true, &args);
        mem_free(raw);
    }
    if (run && args.n) {
        struct program x = {.s = s, .args = &args, .in = in, .out = &own, .err = r.merge ? &own : &err};
        status = run_program(&x);
        if (r.to && !str_eq(r.to, "/dev/null")) {
            int bad = write_file(&x, "sh", r.to, buf_slice(&own));
            status = bad ? bad : status;
        } else if (!r.to) {
            buf_add(out, own.p, own.len);
        }
        if (!r.drop)
            buf_add(s->log, err.p, err.len);
    }
    mem_free(r.to);
    buf_free(&own);
    buf_free(&err);
    words_clear(&args);
    return status;
}

static void skip_ends(struct shell *s)
{
    for (skip_blanks(s); *s->p == '\n' || *s->p == ';'; skip_blanks(s))
        s->p++;
}

static bool take(struct shell *s, const char *word)
{
    skip_ends(s);
    if (!at_word(s, word))
        return false;
    s->p += strlen(word);
    return true;
}

static int run_if(struct shell *s, bool run, struct buf *out)
{
    bool quiet = s->quiet;
    s->p += s->p[0] == 'e' ? 4 : 2; /* elif, if */
    s->quiet = true;
    int status = run_list(s, run, out);
    s->quiet = quiet;
    bool yes = run && status == 0;
    status = 0;
    if (take(s, "then")) {
        int of = run_list(s, yes && !s->over, out);
        status = yes ? of : status;
    }
    skip_ends(s);
    if (at_word(s, "elif"))
        return run_if(s, run && !yes && !s->over, out);
    if (take(s, "else")) {
        int of = run_list(s, run && !yes && !s->over, out);
        status = yes ? status : of;
    }
    (void)!take(s, "fi");
    return status;
}

static int run_for(struct shell *s, bool run, struct buf *out)
{
    struct words items = {0};
    int status = 0;
    s->p += 3;
    skip_blanks(s);
    char *name = raw_word(s);
    if (take(s, "in"))
        for (skip_blanks(s); *s->p && !strchr("\n;", *s->p); skip_blanks(s)) {
            char *raw = raw_word(s);
            if (run)
                expand(s, raw, true, &items);
            mem_free(raw);
        }
    (void)!take(s, "do");
    const char *body = s->p;
    for (size_t i = 0; run && i < items.n && !s->over && s->loops++ < LOOP_MAX; i++) {
        set_var(s, name, items.list[i]);
        s->p = body;
        status = run_list(s, true, out);
    }
    s->p = body;
    (void)run_list(s, false, out);
    (void)!take(s, "done");
    words_clear(&items);
    mem_free(name);
    return status;
}

static int run_command(struct shell *s, bool run, struct slice in, struct buf *out)
{
    skip_blanks(s);
    if (at_word(s, "if"))
        return run_if(s, run, out);
    if (at_word(s, "for"))
        return run_for(s, run, out);
    if (at_word(s, "{")) {
        s->p++;
        int status = run_list(s, run, out);
        (void)!take(s, "}");
        return status;
    }
    return run_simple(s, run, in, out);
}

static int run_pipeline(struct shell *s, bool run, struct buf *out)
{
    struct buf in = {0};
    int status = 0;
    skip_blanks(s);
    bool not = at_word(s, "!");
    s->p += not;
    for (bool more = true; more;) {
        struct buf next = {0};
        status = run_command(s, run && !s->over, buf_slice(&in), &next);
        buf_free(&in);
        skip_blanks(s);
        more = s->p[0] == '|' && s->p[1] != '|';
        s->p += more;
        while (more && (*s->p == '\n' || *s->p == ' '))
            s->p++;
        if (more)
            in = next;
        else
            buf_add(out, next.p, next.len);
        if (!more)
            buf_free(&next);
    }
    return not ? !status : status;
}

static int run_and_or(struct shell *s, bool run, struct buf *out)
{
    int status = run_pipeline(s, run, out);
    bool alone = true;
    for (skip_blanks(s); (s->p[0] == '&' && s->p[1] == '&') || (s->p[0] == '|' && s->p[1] == '|'); skip_blanks(s)) {
        bool wants = (s->p[0] == '&') == (status == 0), now = run && wants && !s->over;
        s->p += 2;
        alone = false;
        while (*s->p == '\n' || *s->p == ' ')
            s->p++;
        int of = run_pipeline(s, now, out);
        status = now ? of : status;
    }
    if (run && status && s->errexit && !s->quiet && alone && !s->over)
        s->over = true;
    return status;
}

static bool at_end(const struct shell *s)
{
    static const char *const words[] = {"then", "else", "elif", "fi", "do", "done", "}"};
    if (!*s->p || *s->p == ')')
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (at_word(s, words[i]))
            return true;
    return false;
}

static int run_list(struct shell *s, bool run, struct buf *out)
{
    int status = 0;
    struct buf none = {0};
    if (s->depth++ > DEPTH_MAX)
        s->over = true;
    for (skip_ends(s); !at_end(s); skip_ends(s)) {
        const char *was = s->p;
        int of = run_and_or(s, run && !s->over, run ? out : &none);
        if (run && (!s->over || of))
            status = s->status = of;
        if (*s->p == '&')
            s->p++;
        if (s->p == was)
            s->p++; /* what is not understood */
    }
    s->depth--;
    buf_free(&none);
    return status;
}

static void free_value(void *value)
{
    mem_free(value);
}

int toy_shell_run(const struct toy_shell *sh, const char *script, struct buf *out)
{
    struct shell s = {.o = sh, .p = script, .vars = map_new(), .files = map_new(), .log = out};
    int status = run_list(&s, true, out);
    map_free(s.vars, free_value);
    map_free(s.files, free_value);
    return status;
}
