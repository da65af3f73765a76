#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "world/freshness.h"
#include "world/gate.h"
#include "world/status.h"
#include "world/tables.h"

/* Words in the documentation of state columns that are no states. */
static const char *const not_states[] = {"NFS", "UUID"};

static void assert_listed(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(not_states); i++)
        if (!strcmp(word, not_states[i]))
            return;
    if (!strcmp(word, "UNKNOWN") || !strcmp(word, "NO DATA"))
        return;
    if (status_level(slice_of(word)) == LEVEL_UNKNOWN)
        fail_msg("the state \"%s\" of tables.def has no level in status.c", word);
}

/* Cuts runs of capital words ("NOT READY", "NON-VOTER") out of a column's documentation. */
static void check_doc(const char *doc)
{
    char word[64];
    size_t n = 0;
    for (const char *p = doc;; p++) {
        bool capital = isupper((unsigned char)*p), inner = (*p == ' ' || *p == '-') && isupper((unsigned char)p[1]);
        if ((capital || (inner && n > 0)) && n < sizeof word - 1) {
            word[n++] = *p;
            continue;
        }
        word[n] = '\0';
        if (n > 1 && !islower((unsigned char)*p))
            assert_listed(word);
        n = 0;
        if (!*p)
            return;
    }
}

static void test_every_state_in_the_tables_has_a_level(void **state)
{
    (void)state;
    int found = 0;
    for (int t = 0; t < T_COUNT; t++) {
        const struct world_table_info *info = world_table_info((enum world_table)t);
        for (size_t i = 0; i < info->ncols; i++) {
            if (info->cols[i].type != COL_STATE)
                continue;
            found++;
            check_doc(info->cols[i].doc);
        }
    }
    assert_true(found > 20);
}

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum level level;
    } cases[] = {
        {"OK", LEVEL_OK},           {"HOSTILE", LEVEL_BAD},      {"RETIRED", LEVEL_WARN},   {"MOVED", LEVEL_OK},
        {"FINE", LEVEL_NONE},       {"PENDING", LEVEL_BUSY},     {"LEADER", LEVEL_LEADER},  {"VOTER", LEVEL_NONE},
        {"NON-VOTER", LEVEL_WARN},  {"NOT A PEER", LEVEL_BAD},   {"STALE", LEVEL_STALE},    {"OFF", LEVEL_NONE},
        {"DENIED", LEVEL_BAD},      {"NO DATA", LEVEL_UNKNOWN},  {"UNKNOWN", LEVEL_UNKNOWN}, {"PASS", LEVEL_OK},
        {"WAIT", LEVEL_WARN},       {"FAIL", LEVEL_BAD},         {"NOT ASKED", LEVEL_NONE}, {"ATTACHED", LEVEL_OK},
        {"WATCHDOG", LEVEL_OK},     {"FIRING", LEVEL_BAD},       {"NO LEADER", LEVEL_BAD},  {"PRESENT", LEVEL_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (status_level(slice_of(cases[i].word)) != cases[i].level)
            fail_msg("%s does not have level %d", cases[i].word, (int)cases[i].level);
}

static void test_what_is_not_listed_is_unknown(void **state)
{
    (void)state;
    static const char *const words[] = {"", "ok", "O", "OKAY", "OK ", "ZZZ", "HEALTHY", "NOT"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_int_equal(status_level(slice_of(words[i])), LEVEL_UNKNOWN);
    assert_int_equal(status_level((struct slice){NULL, 0}), LEVEL_UNKNOWN);
    assert_int_equal(status_level((struct slice){"OK\0X", 4}), LEVEL_UNKNOWN);
}

static void test_freshness_and_answers_have_levels(void **state)
{
    (void)state;
    for (int f = FRESH_LIVE; f <= FRESH_STARTING; f++)
        assert_listed(freshness_name((enum freshness)f));
    for (int a = GATE_PASS; a <= GATE_NOT_ASKED; a++)
        assert_listed(gate_answer_word((enum gate_answer)a));
}

static void test_ranks(void **state)
{
    (void)state;
    static const enum level order[] = {LEVEL_BAD,  LEVEL_WARN,   LEVEL_UNKNOWN, LEVEL_STALE,
                                       LEVEL_BUSY, LEVEL_LEADER, LEVEL_NONE,    LEVEL_OK};
    for (size_t i = 1; i < ARRAY_LEN(order); i++)
        assert_true(level_rank(order[i - 1]) < level_rank(order[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_in_the_tables_has_a_level),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_what_is_not_listed_is_unknown),
        cmocka_unit_test(test_freshness_and_answers_have_levels),
        cmocka_unit_test(test_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
