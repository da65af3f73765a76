/* The lists of the PostgreSQL screen. For screen_postgres.c. */
#ifndef FERRYMAN_UI_POSTGRES_LISTS_H
#define FERRYMAN_UI_POSTGRES_LISTS_H

#include "ui/list.h"

enum postgres_list { PG_EXTENSIONS, PG_DATABASES, PG_PROGRESS, PG_INDEXES, PG_ACTIVITY, PG_SETTINGS, PG_LISTS };

struct postgres_list_info {
    const char *title; /* "EXTENSIONS" */
    struct list_spec spec;
};

extern const struct postgres_list_info postgres_lists[PG_LISTS];

#endif
