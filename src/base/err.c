/* An error keeps its whole chain as one text: err_wrap puts the context in front. Nothing in the program asks for the
 * links one by one, and a flat text cannot be read half-built. */
#include "base/err.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

struct err {
    enum err_kind kind;
    char *text; /* cleaned: one line, valid UTF-8, no control characters */
};

/* As in sysexits.h where it has one. */
static const int exit_statuses[] = {
    [ERR_FAILED] = 2,       [ERR_UNKNOWN] = 2, [ERR_USAGE] = 64, [ERR_DATA] = 65,     [ERR_UNAVAILABLE] = 69,
    [ERR_LOCKED] = 75,      [ERR_DENIED] = 77, [ERR_AUTH] = 77,  [ERR_PROTOCOL] = 69, [ERR_CANCELLED] = 2,
    [ERR_SYSTEM] = 2,
};

/* A new error around `text`, which it takes over and cleans. */
static struct err *err_make(enum err_kind kind, char *text)
{
    struct err *e = MEM_NEW(struct err);
    e->kind = kind;
    e->text = utf8_cleaned(slice_of(text));
    mem_free(text);
    return e;
}

struct err *err_new(enum err_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    return err_make(kind, text);
}

struct err *err_list(enum err_kind kind, const char *lines)
{
    struct err *e = MEM_NEW(struct err);
    struct buf text = {0};
    struct slice rest = slice_of(lines), line;
    e->kind = kind;
    while (slice_cut(&rest, '\n', &line)) {
        if (text.len) buf_addc(&text, '\n');
        utf8_clean(&text, line);
    }
    e->text = buf_steal(&text);
    return e;
}

struct err *err_sys(int errnum, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_printf(&b, ": %s", strerror(errnum));
    return err_make(ERR_SYSTEM, buf_steal(&b));
}

struct err *err_wrap(struct err *cause, const char *fmt, ...)
{
    if (!cause)
        return NULL;
    va_list ap;
    va_start(ap, fmt);
    char *context = str_vprintf(fmt, ap);
    va_end(ap);
    struct buf b = {0};
    utf8_clean(&b, slice_of(context));
    buf_adds(&b, ": ");
    buf_adds(&b, cause->text);
    mem_free(context);
    mem_free(cause->text);
    cause->text = buf_steal(&b);
    return cause;
}

struct err *err_copy(const struct err *e)
{
    return e ? err_make(e->kind, mem_strdup(e->text)) : NULL;
}

enum err_kind err_kind(const struct err *e)
{
    return e->kind;
}

void err_set_kind(struct err *e, enum err_kind kind)
{
    if (e)
        e->kind = kind;
}

const char *err_text(const struct err *e)
{
    return e->text;
}

int err_exit_status(const struct err *e)
{
    return e ? exit_statuses[e->kind] : 0;
}

void err_free(struct err *e)
{
    if (!e)
        return;
    mem_free(e->text);
    mem_free(e);
}

void err_ignore(struct err *e, const char *reason)
{
    (void)reason;
    err_free(e);
}
