/* What toy_shell.c (the language) and toy_programs.c share. */
#ifndef FERRYMAN_SANDBOX_TOY_PRIVATE_H
#define FERRYMAN_SANDBOX_TOY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "sandbox/toy_shell.h"

struct map;

#define WORDS_MAX 64

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

/* A program that runs. */
struct program {
    struct shell *s;
    struct words *args;
    struct slice in;
    struct buf *out, *err;
};

void toy_words_clear(struct words *w);
void toy_words_add(struct words *w, const char *text);
const char *toy_var(const struct shell *s, const char *name);
void toy_set_var(struct shell *s, const char *name, const char *value);
/* Returns 1, and says so as `who`, if the path refuses it. */
int toy_write_file(struct program *x, const char *who, const char *path, struct slice text);
/* Returns its status. */
int toy_run_program(struct program *x);

#endif
