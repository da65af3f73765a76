/* See toy_shell.h. The text is interpreted as it is read; what is not to be carried out (the other branch of an if) is read with
 * `run` off. */
#include "sandbox/toy_shell.h"

#include <ctype.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "sandbox/toy_private.h"

#define DEPTH_MAX 20
#define LOOP_MAX 1000

static int run_list(struct shell *s, bool run, struct buf *out);

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
    return n ? mem_strdup(toy_var(s, name)) : mem_strdup("$");
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
                    toy_words_add(ret, buf_str(&field));
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
        toy_words_add(ret, buf_str(&field));
    buf_free(&field);
}

static char *expand_one(struct shell *s, const char *raw)
{
    struct words w = {0};
    expand(s, raw, false, &w);
    char *text = mem_strdup(w.n ? w.list[0] : "");
    toy_words_clear(&w);
    return text;
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
    toy_set_var(s, name, value);
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
        status = toy_run_program(&x);
        if (r.to && !str_eq(r.to, "/dev/null")) {
            int bad = toy_write_file(&x, "sh", r.to, buf_slice(&own));
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
    toy_words_clear(&args);
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
        toy_set_var(s, name, items.list[i]);
        s->p = body;
        status = run_list(s, true, out);
    }
    s->p = body;
    (void)run_list(s, false, out);
    (void)!take(s, "done");
    toy_words_clear(&items);
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
