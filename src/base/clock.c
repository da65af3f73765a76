#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#if defined(CLOCK_BOOTTIME)
#define CLOCK_MONO_ID CLOCK_BOOTTIME
#else
#define CLOCK_MONO_ID CLOCK_MONOTONIC
#endif

enum { SECONDS_PER_DAY = 86400 };

/* How the sandbox's plan time runs; set once at the start. */
static double plan_scale = 1.0;
static int64_t plan_origin_ms;
static int64_t plan_advance_ms;

static int64_t read_clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_clock_ns(CLOCK_MONO_ID);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / CLOCK_NS_PER_MS;
}

int64_t clock_wall_ms(void)
{
    return read_clock_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

int64_t clock_plan_ms(void)
{
    int64_t wall = clock_wall_ms();
    if (plan_scale <= 1.0)
        return wall + plan_advance_ms;
    return plan_origin_ms + (int64_t)((double)(wall - plan_origin_ms) * plan_scale) + plan_advance_ms;
}

void clock_plan_advance(int64_t ms)
{
    plan_advance_ms = ms;
}

void clock_plan_scale(double scale, int64_t origin_ms)
{
    plan_scale = scale;
    plan_origin_ms = origin_ms;
}

double clock_plan_rate(void)
{
    return plan_scale;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counting years from March so that the leap day
 * comes last. Valid for years 1 to 9999. */
static int64_t days_from_civil(int year, int month, int day)
{
    int y = year - (month <= 2);
    int era = y / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Takes `count` digits off the front of *s. */
static bool take_digits(struct slice *s, size_t count, int *ret)
{
    int v = 0;
    if (s->n < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += count;
    s->n -= count;
    *ret = v;
    return true;
}

/* Takes one character of `set` off the front of *s; 0 if there is none. */
static char take_char(struct slice *s, const char *set)
{
    for (; s->n > 0 && *set; set++) {
        if (*s->p == *set) {
            s->p++;
            s->n--;
            return *set;
        }
    }
    return 0;
}

/* ".123…" to milliseconds (cut, not rounded); nothing there is 0. */
static bool take_fraction_ms(struct slice *s, int *ret)
{
    int ms = 0, unit = 100, digit;
    *ret = 0;
    if (!take_char(s, "."))
        return true;
    if (!take_digits(s, 1, &digit))
        return false;
    do {
        ms += digit * unit;
        unit /= 10;
    } while (take_digits(s, 1, &digit));
    *ret = ms;
    return true;
}

/* "Z" or "+hh:mm" to seconds east of Greenwich. */
static bool take_offset(struct slice *s, int *ret)
{
    int hours, minutes;
    *ret = 0;
    if (take_char(s, "Zz"))
        return true;
    char sign = take_char(s, "+-");
    if (!sign || !take_digits(s, 2, &hours) || !take_char(s, ":") || !take_digits(s, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *ret = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_parse_rfc3339(struct slice text, int64_t *ret_ms)
{
    int year, month, day, hour, minute, second, ms, offset;
    struct slice s = text;
    if (!take_digits(&s, 4, &year) || !take_char(&s, "-") || !take_digits(&s, 2, &month) || !take_char(&s, "-") ||
        !take_digits(&s, 2, &day) || !take_char(&s, "Tt ") || !take_digits(&s, 2, &hour) || !take_char(&s, ":") ||
        !take_digits(&s, 2, &minute) || !take_char(&s, ":") || !take_digits(&s, 2, &second) ||
        !take_fraction_ms(&s, &ms) || !take_offset(&s, &offset) || s.n > 0)
        return false;
    if (year <= 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    *ret_ms = seconds * CLOCK_MS_PER_S + ms;
    return true;
}

/* Times outside of the years 0 to 9999 become "?". */
static char *format_time(int64_t unix_ms, bool with_date, char *buf, size_t size)
{
    int64_t seconds = unix_ms / CLOCK_MS_PER_S - (unix_ms % CLOCK_MS_PER_S < 0);
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900 || tm.tm_year < -1900)
        snprintf(buf, size, "?");
    else if (with_date)
        snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
    else
        snprintf(buf, size, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
    return buf;
}

char *clock_format_utc(int64_t unix_ms, char *buf, size_t size)
{
    return format_time(unix_ms, true, buf, size);
}

char *clock_format_hms(int64_t unix_ms, char *buf, size_t size)
{
    return format_time(unix_ms, false, buf, size);
}

/* A time ahead in one unit: "in 40s", "in 3m", "in 5h", "in 2d". */
static void format_ahead(int64_t seconds, char *buf, size_t size)
{
    if (seconds < 60)
        snprintf(buf, size, "in %" PRId64 "s", seconds);
    else if (seconds < 3600)
        snprintf(buf, size, "in %" PRId64 "m", seconds / 60);
    else if (seconds < SECONDS_PER_DAY)
        snprintf(buf, size, "in %" PRId64 "h", seconds / 3600);
    else
        snprintf(buf, size, "in %" PRId64 "d", seconds / SECONDS_PER_DAY);
}

char *clock_format_age(int64_t age_ms, char *buf, size_t size)
{
    int64_t s = age_ms / CLOCK_MS_PER_S, days = s / SECONDS_PER_DAY;
    if (s == 0)
        snprintf(buf, size, "now");
    else if (s < 0)
        format_ahead(-s, buf, size);
    else if (s < 60)
        snprintf(buf, size, "%" PRId64 "s", s);
    else if (s < 3600)
        snprintf(buf, size, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < SECONDS_PER_DAY)
        snprintf(buf, size, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else if (days < 100)
        snprintf(buf, size, "%" PRId64 "d%" PRId64 "h", days, s % SECONDS_PER_DAY / 3600);
    else
        snprintf(buf, size, "%" PRId64 "d", days);
    return buf;
}
