#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

static int log_fd = -1;
static enum log_level log_limit;

struct err *log_open(const char *path, enum log_level level)
{
    int fd = -1;
    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd < 0)
            return err_sys(errno, "cannot open the log %s", path);
    }
    log_close();
    log_fd = fd;
    log_limit = level;
    return NULL;
}

void log_close(void)
{
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
}

/* "2026-04-25T16:18:03.250Z" */
static void add_time(struct buf *b)
{
    char text[32];
    int64_t now = clock_wall_ms();
    clock_format_utc(now, text, sizeof text);
    text[strcspn(text, "Z")] = '\0';
    buf_printf(b, "%s.%03dZ", text, (int)(now % CLOCK_MS_PER_S));
}

/* One write per record: records of several processes do not mix. */
void log_write(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn ", [LOG_INFO] = "info ", [LOG_DEBUG] = "debug"};
    if (log_fd < 0 || level > log_limit)
        return;
    struct buf text = {0}, redacted = {0}, line = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    log_redact(&redacted, buf_str(&text));
    add_time(&line);
    buf_printf(&line, " %s ", names[level]);
    utf8_clean(&line, buf_slice(&redacted));
    buf_addc(&line, '\n');
    ssize_t n;
    do
        n = write(log_fd, line.p, line.len);
    while (n < 0 && errno == EINTR);
    /* A full disk must not stop the program: the record is lost. */
    buf_free(&text);
    buf_free(&redacted);
    buf_free(&line);
}

/* Names whose value is secret when one of ":", "=" or a closing quote and those follows. */
static const char *const secret_names[] = {
    "password",      "passwd",        "passphrase",    "x-vault-token", "client_token", "access_token",
    "id_token",      "refresh_token", "client_secret", "client-secret", "secret_id",    "unseal_key",
    "root_token",
};

/* Words whose next word is secret. */
static const char *const secret_schemes[] = {"bearer ", "authorization: basic "};

/* Starts of tokens that are known by their look: Vault's service, batch and recovery tokens, JWTs. */
static const char *const token_starts[] = {"hvs.", "hvb.", "hvr.", "eyJ"};

enum { TOKEN_MIN = 20 };

static bool starts_ignoring_case(const char *s, const char *prefix)
{
    return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("._-", c));
}

/* Length of a value that ends at white space or punctuation of the text around it. */
static size_t bare_length(const char *s)
{
    return strcspn(s, " \t\r\n\"',;&)}]<>");
}

/* Length of a quoted value, with its quotes; to the end of the text if the closing one is missing. A backslash takes
 * the next character with it. */
static size_t quoted_length(const char *s)
{
    size_t n = 1;
    while (s[n] && s[n] != s[0])
        n += s[n] == '\\' && s[n + 1] ? 2 : 1;
    return s[n] ? n + 1 : n;
}

/* If s is `name`, a separator and a value: the length up to the value in *ret_lead, and the value's. */
static bool match_named(const char *s, const char *name, size_t *ret_lead, size_t *ret_value)
{
    if (!starts_ignoring_case(s, name))
        return false;
    const char *p = s + strlen(name);
    p += *p == '\\';
    p += *p == '"' || *p == '\'';
    p += strspn(p, " ");
    if (*p != ':' && *p != '=')
        return false;
    p += strspn(p, ":= ");
    if (*p == '\\' && p[1] == '"') { /* JSON inside a JSON string: its value ends at the next such quote */
        const char *end = strstr(p + 2, "\\\"");
        *ret_value = end ? (size_t)(end + 2 - p) : strlen(p);
    } else {
        *ret_value = *p == '"' || *p == '\'' ? quoted_length(p) : bare_length(p);
    }
    *ret_lead = (size_t)(p - s);
    return *ret_value > 0;
}

/* "://user:SECRET@": the part between the colon and the last @ of the authority. */
static bool match_url(const char *s, size_t *ret_lead, size_t *ret_value)
{
    if (!starts_ignoring_case(s, "://"))
        return false;
    const char *authority = s + 3, *end = authority + strcspn(authority, "/?# \t\r\n\"'"), *at = NULL;
    for (const char *p = authority; p < end; p++)
        if (*p == '@')
            at = p;
    const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (!colon)
        return false;
    *ret_lead = (size_t)(colon + 1 - s);
    *ret_value = (size_t)(at - colon - 1);
    return *ret_value > 0;
}

/* A token that is known by its look; `inside` says that s continues a word. */
static bool match_token(const char *s, bool inside, size_t *ret_lead, size_t *ret_value)
{
    for (size_t i = 0; i < ARRAY_LEN(token_starts) && !inside; i++) {
        if (strncmp(s, token_starts[i], strlen(token_starts[i])) != 0)
            continue;
        size_t n = 0;
        while (is_token_char(s[n]))
            n++;
        *ret_lead = 0;
        *ret_value = n;
        return n >= TOKEN_MIN;
    }
    return false;
}

/* Whether something secret begins a little after s: *ret_lead bytes to keep, *ret_value bytes to hide. */
static bool match_secret(const char *s, bool inside, size_t *ret_lead, size_t *ret_value)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_schemes); i++) {
        if (!starts_ignoring_case(s, secret_schemes[i]))
            continue;
        *ret_lead = strlen(secret_schemes[i]);
        *ret_lead += strspn(s + *ret_lead, " ");
        *ret_value = bare_length(s + *ret_lead);
        return *ret_value > 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++)
        if (match_named(s, secret_names[i], ret_lead, ret_value))
            return true;
    return match_url(s, ret_lead, ret_value) || match_token(s, inside, ret_lead, ret_value);
}

void log_redact(struct buf *out, const char *text)
{
    size_t lead, value;
    bool inside = false;
    while (*text) {
        if (!match_secret(text, inside, &lead, &value)) {
            inside = is_token_char(*text);
            buf_addc(out, *text++);
            continue;
        }
        buf_add(out, text, lead);
        buf_adds(out, "[redacted]");
        text += lead + value;
        inside = false;
    }
}
