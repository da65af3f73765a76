/* The log file (--log FILE): one line per record, UTC, level, text. Without a file nothing is written. What goes in is
 * cleaned (no control characters) and redacted: values after "Bearer ", X-Vault-Token and passwords in connection
 * strings or URLs never reach it. */
#ifndef FERRYMAN_BASE_LOG_H
#define FERRYMAN_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Appends to `path` (created 0600); NULL closes the log. */
struct err *log_open(const char *path, enum log_level level) MUST_CHECK;
void log_close(void);
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

struct buf;
/* Appends text with secrets replaced by "[redacted]", as the log does it. */
void log_redact(struct buf *out, const char *text);

#endif
