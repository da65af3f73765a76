#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/yaml.h"

static struct yaml_doc *parsed(const char *text)
{
    struct yaml_doc *doc = NULL;
    struct err *e = yaml_parse(text, strlen(text), "plan.yaml", &doc);

    if (e)
        fail_msg("%s", err_text(e));
    return doc;
}

static void expect_error(const char *text, const char *want)
{
    struct yaml_doc *doc = NULL;
    struct err *e = yaml_parse(text, strlen(text), "plan.yaml", &doc);

    if (!e)
        fail_msg("accepted: %s", text);
    assert_null(doc);
    assert_int_equal(err_kind(e), ERR_DATA);
    if (!strstr(err_text(e), want))
        fail_msg("'%s' is not in: %s", want, err_text(e));
    err_free(e);
}

static void test_tree_with_places(void **state)
{
    struct yaml_doc *doc = parsed("# a plan\nplan: nfs\nsource: { classes: [a, 'b'] }\n"
                                  "workloads:\n  - name: one\n    hours: \"08:00\"\n  - name: two\n");
    const struct yaml_node *root = doc->root, *list, *classes;

    (void)state;
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->keys[2]->text, "workloads");
    assert_int_equal(root->keys[2]->line, 4);
    assert_int_equal(root->keys[2]->column, 1);
    assert_string_equal(yaml_str(root, "plan"), "nfs");
    assert_int_equal(yaml_get(root, "plan")->line, 2);
    assert_int_equal(yaml_get(root, "plan")->column, 7);
    classes = yaml_get(yaml_get(root, "source"), "classes");
    assert_int_equal(classes->kind, YAML_LIST);
    assert_int_equal(classes->count, 2);
    assert_false(classes->values[0]->quoted);
    assert_true(classes->values[1]->quoted);
    assert_string_equal(classes->values[1]->text, "b");
    list = yaml_get(root, "workloads");
    assert_int_equal(list->count, 2);
    assert_string_equal(yaml_str(list->values[0], "hours"), "08:00");
    assert_string_equal(yaml_str(list->values[1], "name"), "two");
    assert_int_equal(yaml_get(list->values[1], "name")->line, 7);
    assert_null(yaml_get(root, "absent"));
    assert_null(yaml_get(list, "name"));
    assert_null(yaml_get(NULL, "name"));
    assert_null(yaml_str(root, "workloads"));
    assert_string_equal(doc->file, "plan.yaml");
    yaml_free(doc);
}

static void test_json_is_yaml(void **state)
{
    struct yaml_doc *doc = parsed("{\"clusters\":[{\"name\":\"home\",\"cluster\":{\"server\":\"https:\\/\\/h:1\"}}],"
                                  "\"n\":null}\n");
    const struct yaml_node *first = yaml_get(doc->root, "clusters")->values[0];

    (void)state;
    assert_string_equal(yaml_str(yaml_get(first, "cluster"), "server"), "https://h:1");
    assert_true(yaml_is_null(yaml_get(doc->root, "n")));
    yaml_free(doc);
}

static void test_block_texts(void **state)
{
    struct yaml_doc *doc = parsed("key: |\n  one\n  two\nfolded: >-\n  one\n  two\n");

    (void)state;
    assert_string_equal(yaml_str(doc->root, "key"), "one\ntwo\n");
    assert_string_equal(yaml_str(doc->root, "folded"), "one two");
    assert_true(yaml_get(doc->root, "key")->quoted);
    yaml_free(doc);
}

static void test_empty_and_first_documents(void **state)
{
    static const char *const empty[] = {"", "\n", "# only words\n"};
    struct yaml_doc *doc;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        doc = parsed(empty[i]);
        assert_null(doc->root);
        assert_null(yaml_get(doc->root, "a"));
        yaml_free(doc);
    }
    doc = parsed("---\na: 1\n---\nb: [\n");
    assert_string_equal(yaml_str(doc->root, "a"), "1");
    yaml_free(doc);
    doc = parsed("just a text\n");
    assert_string_equal(doc->root->text, "just a text");
    yaml_free(doc);
    yaml_free(NULL);
}

static void test_scalars(void **state)
{
    struct yaml_doc *doc = parsed("[ ~, null, '', \"null\", true, 'true', yes, Off, y, 42, -7, +7, '42', 042, 0, 1.5,"
                                  " 9223372036854775807, 9223372036854775808, !!str 12, -, 1 2 ]\n");
    struct yaml_node **v = doc->root->values;
    int64_t n = 0;
    bool b = false;

    (void)state;
    assert_true(yaml_is_null(v[0]) && yaml_is_null(v[1]));
    assert_false(yaml_is_null(v[2]) || yaml_is_null(v[3]) || yaml_is_null(NULL) || yaml_is_null(doc->root));
    assert_true(yaml_bool(v[4], &b) && b);
    assert_false(yaml_bool(v[5], &b));
    assert_true(yaml_bool(v[6], &b) && b);
    assert_true(yaml_bool(v[7], &b) && !b);
    assert_false(yaml_bool(v[8], &b));
    assert_true(yaml_int(v[9], &n) && n == 42);
    assert_true(yaml_int(v[10], &n) && n == -7);
    assert_true(yaml_int(v[11], &n) && n == 7);
    assert_false(yaml_int(v[12], &n) || yaml_int(v[13], &n));
    assert_true(yaml_int(v[14], &n) && n == 0);
    assert_false(yaml_int(v[15], &n));
    assert_true(yaml_int(v[16], &n) && n == INT64_MAX);
    assert_false(yaml_int(v[17], &n) || yaml_int(v[18], &n) || yaml_int(v[19], &n) || yaml_int(v[20], &n));
    assert_false(yaml_int(doc->root, &n) || yaml_int(NULL, &n) || yaml_bool(NULL, &b));
    assert_true(v[18]->quoted);
    yaml_free(doc);
}

static void test_null_member_reads_as_absent(void **state)
{
    struct yaml_doc *doc = parsed("a:\nb: ~\nc: ''\n");

    (void)state;
    assert_null(yaml_str(doc->root, "a"));
    assert_null(yaml_str(doc->root, "b"));
    assert_string_equal(yaml_str(doc->root, "c"), "");
    yaml_free(doc);
}

static void test_errors_have_places(void **state)
{
    (void)state;
    expect_error("a: 1\nb: [1, 2\n", "plan.yaml:3:1: ");
    expect_error("a: 1\na: 2\n", "plan.yaml:2:1: duplicate key 'a'");
    expect_error("m: {x: 1, \"x\": 2}\n", "plan.yaml:1:11: duplicate key 'x'");
    expect_error("a: 1\n b: 2\n", "plan.yaml:2:");
    expect_error("? [a]\n: 1\n", "plan.yaml:1:3: a key must be");
    expect_error("a: \"x\\0y\"\n", "plan.yaml:1:4: a NUL character");
    expect_error("a: b\nc: \377\n", "plan.yaml:2:4: ");
    expect_error("a: !!binary aGk=\n", "plan.yaml:1:4: unknown tag");
    expect_error("a: !!str [1]\n", "plan.yaml:1:4: ");
    expect_error("a: *nobody\n", "plan.yaml:1:4: no complete node before this has the anchor 'nobody'");
    expect_error("a: 1\n]\n", "plan.yaml:2:1: ");
    expect_error("\t- a\n", "plan.yaml:1:1: ");
}

/* Names from the file come out without what a terminal would obey. */
static void test_errors_are_clean(void **state)
{
    (void)state;
    expect_error("\"\\e[2J\": 1\n\"\\e[2J\": 2\n", "duplicate key '\357\277\275[2J'");
}

static void test_aliases(void **state)
{
    struct yaml_doc *doc = parsed("base: &b {x: 1}\nother: *b\nkey: &k name\nmap: {*k : 2}\n");

    (void)state;
    assert_ptr_equal(yaml_get(doc->root, "base"), yaml_get(doc->root, "other"));
    assert_string_equal(yaml_str(yaml_get(doc->root, "map"), "name"), "2");
    yaml_free(doc);
    expect_error("a: &a [*a]\n", "no complete node");
    expect_error("k: &k [1]\nm: {*k : 2}\n", "a key must be");
}

static void test_no_billion_laughs(void **state)
{
    struct buf text = {0};

    (void)state;
    buf_adds(&text, "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&text, "l%d: &l%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_printf(&text, "%s*l%d", j ? ", " : "", i - 1);
        buf_adds(&text, "]\n");
    }
    expect_error(text.p, "too large");
    buf_free(&text);
}

static void test_nesting_is_bounded(void **state)
{
    struct buf text = {0};
    struct yaml_doc *doc;

    (void)state;
    for (int i = 0; i < 5000; i++)
        buf_addc(&text, '[');
    expect_error(text.p, "nested too deeply");
    buf_clear(&text);
    for (int i = 0; i < 40; i++)
        buf_addc(&text, '[');
    for (int i = 0; i < 40; i++)
        buf_addc(&text, ']');
    doc = parsed(text.p);
    yaml_free(doc);
    /* Deep by aliases: each names the one before. */
    buf_clear(&text);
    buf_adds(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 100; i++)
        buf_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    expect_error(text.p, "nested too deeply");
    buf_free(&text);
}

static void test_size_is_bounded(void **state)
{
    size_t n = ((size_t)8 << 20) + 2;
    char *text = mem_alloc(n);

    (void)state;
    memset(text, 'x', n);
    text[n - 1] = '\0';
    expect_error(text, "larger than 8 MiB");
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_with_places),
        cmocka_unit_test(test_json_is_yaml),
        cmocka_unit_test(test_block_texts),
        cmocka_unit_test(test_empty_and_first_documents),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_null_member_reads_as_absent),
        cmocka_unit_test(test_errors_have_places),
        cmocka_unit_test(test_errors_are_clean),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_no_billion_laughs),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_size_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
