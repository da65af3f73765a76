/* Files: whole reads, durable writes, folders, XDG places. */
#ifndef FERRYMAN_BASE_FILE_H
#define FERRYMAN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Reads a regular file, FIFO or /dev/stdin whole; more than `max` bytes is ERR_DATA. Replaces what was in ret. */
struct err *file_read(const char *path, size_t max, struct buf *ret) MUST_CHECK;
/* Replaces path durably: temporary file beside it, mode, write, fsync, rename, fsync of the folder. */
struct err *file_write_durable(const char *path, const void *p, size_t n, unsigned mode) MUST_CHECK;
/* Creates the folder (with exactly `mode`) and its parents (0700). One that is there must be ours and not more open. */
struct err *file_mkdirs(const char *path, unsigned mode) MUST_CHECK;
bool file_exists(const char *path);
/* Folder part of a path ("." if none), and a relative path resolved against a folder ("~/" too). Both malloc'd. */
char *file_dirname(const char *path) MUST_CHECK;
char *file_resolve(const char *dir, const char *path) MUST_CHECK;
/* $XDG_CONFIG_HOME/ferryman, $XDG_STATE_HOME/ferryman, $XDG_RUNTIME_DIR/ferryman (or below the state folder). */
char *file_config_dir(void) MUST_CHECK;
char *file_state_dir(void) MUST_CHECK;
char *file_runtime_dir(void) MUST_CHECK;

#endif
