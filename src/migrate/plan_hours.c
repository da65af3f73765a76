#include "migrate/plan_hours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/plan.h"

#define ZONES "/usr/share/zoneinfo"

static int minute_of(const char *text)
{
    return (text[0] - '0') * 600 + (text[1] - '0') * 60 + (text[3] - '0') * 10 + (text[4] - '0');
}

static bool zone_known(const char *zone)
{
    if (str_eq(zone, "UTC"))
        return true;
    const char *folder = getenv("TZDIR");
    char *path = str_printf("%s/%s", folder ? folder : ZONES, zone);
    bool known = !strstr(zone, "..") && file_exists(path);
    mem_free(path);
    return known;
}

/* Minute of the day at that moment in the zone. */
static int minute_in(const char *zone, int64_t unix_ms)
{
    char *before = mem_strdup(getenv("TZ"));
    time_t at = (time_t)(unix_ms / CLOCK_MS_PER_S);
    struct tm there;
    setenv("TZ", zone, 1);
    tzset();
    localtime_r(&at, &there);
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    mem_free(before);
    return there.tm_hour * 60 + there.tm_min;
}

bool plan_hours_open(const char *hours, int64_t unix_ms, struct buf *reason)
{
    if (!hours)
        return true;
    if (!plan_hours_valid(hours)) {
        buf_printf(reason, "hours '%s' of the plan cannot be read", hours);
        return false;
    }
    const char *zone = hours[11] ? hours + 12 : "UTC";
    if (!zone_known(zone)) {
        buf_printf(reason, "the time zone %s of the plan's hours is not known here (tzdata?)", zone);
        return false;
    }
    int from = minute_of(hours), to = minute_of(hours + 6), now = minute_in(zone, unix_ms);
    bool open = from <= to ? now >= from && now < to : now >= from || now < to;
    if (!open)
        buf_printf(reason, "it is %02d:%02d in %s; the plan lets a phase begin from %.5s to %.5s only", now / 60, now % 60, zone, hours,
                   hours + 6);
    return open;
}
