#include "migrate/raft_cron.h"

#include <stddef.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"

#define MINUTE_MS INT64_C(60000)
#define MINUTES_MAX 1440

static bool number(struct slice text, const char *const *names, int64_t first, int64_t *ret) {
    for (int64_t i = 0; names && names[i]; i++)
        if (text.n == 3 && strncasecmp(text.p, names[i], 3) == 0) {
            *ret = first + i;
            return true;
        }
    return slice_to_i64(text, ret);
}

/* Whether value is in "a", "a-b", "*", each with "/step", in a list. */
static bool in_field(struct slice field, int64_t value, int64_t low, int64_t high, const char *const *names) {
    struct slice part;
    while (slice_cut(&field, ',', &part)) {
        struct slice rest = part, range, first;
        int64_t from = low, to = high, step = 1;
        slice_cut(&rest, '/', &range);
        if (rest.p && (!slice_to_i64(rest, &step) || step < 1)) return false;
        if (!slice_is(range, "*") && !slice_is(range, "?")) {
            struct slice last = range;
            slice_cut(&last, '-', &first);
            if (!number(first, names, low, &from)) return false;
            to = rest.p && !last.p ? high : from;
            if (last.p && !number(last, names, low, &to)) return false;
        }
        if (value >= from && value <= to && (value - from) % step == 0) return true;
    }
    return false;
}

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static bool is_at(const struct slice f[5], const struct tm *t) {
    bool any_day = f[2].p[0] == '*' || f[2].p[0] == '?', any_weekday = f[4].p[0] == '*' || f[4].p[0] == '?';
    bool day = in_field(f[2], t->tm_mday, 1, 31, NULL);
    bool weekday = in_field(f[4], t->tm_wday, 0, 7, days) || (t->tm_wday == 0 && in_field(f[4], 7, 0, 7, days));
    bool matches = any_day || any_weekday ? day && weekday : day || weekday;
    return matches && in_field(f[0], t->tm_min, 0, 59, NULL) && in_field(f[1], t->tm_hour, 0, 23, NULL) &&
           in_field(f[3], t->tm_mon + 1, 1, 12, months);
}

static const char *spelled_out(const char *schedule) {
    static const char *const words[][2] = {
        {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(schedule, words[i][0])) return words[i][1];
    return schedule;
}

bool raft_cron_due(const char *schedule, int64_t from_ms, int64_t to_ms) {
    struct slice rest = slice_of(spelled_out(schedule ? schedule : "")), f[5] = {{0}}, field;
    size_t n = 0;
    while (slice_cut(&rest, ' ', &field)) {
        if (field.n == 0) continue;
        if (n == 5) return false;
        f[n++] = field;
    }
    if (n < 5) return false;
    int64_t minute = from_ms / MINUTE_MS + 1;
    for (int i = 0; i < MINUTES_MAX && minute * MINUTE_MS <= to_ms; i++, minute++) {
        time_t at = (time_t)(minute * 60);
        struct tm t;
        if (gmtime_r(&at, &t) && is_at(f, &t)) return true;
    }
    return false;
}
