/* The sandbox's patches: RFC 6902, RFC 7386, strategic merge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "sandbox/object.h"
#include "sandbox/patch.h"

static void expect(struct json_t *doc, const char *want)
{
    struct json_t *w = object_parse("%s", want);

    if (!jd_equal(doc, w)) {
        struct buf b = {0};
        jd_dump(doc, &b);
        print_error("got %s\nnot %s\n", b.p, want);
        buf_free(&b);
        fail();
    }
    jd_free(w);
    jd_free(doc);
}

static struct json_t *applied(const char *doc_text, const char *ops_text)
{
    struct json_t *doc = object_parse("%s", doc_text), *ops = object_parse("%s", ops_text);

    assert_null(patch_json(doc, ops));
    jd_free(ops);
    return doc;
}

static enum err_kind refused(const char *doc_text, const char *ops_text)
{
    struct json_t *doc = object_parse("%s", doc_text), *ops = object_parse("%s", ops_text);
    struct err *e = patch_json(doc, ops);

    assert_non_null(e);
    enum err_kind kind = err_kind(e);
    err_free(e);
    jd_free(ops);
    jd_free(doc);
    return kind;
}

static void test_json_patch(void **state)
{
    (void)state;
    expect(applied("{'a':1}", "[{'op':'add','path':'/b','value':[1]},{'op':'add','path':'/b/-','value':2},"
                              "{'op':'add','path':'/b/0','value':0}]"),
           "{'a':1,'b':[0,1,2]}");
    expect(applied("{'a':{'b':1},'l':[1,2,3]}", "[{'op':'remove','path':'/a/b'},{'op':'remove','path':'/l/1'}]"),
           "{'a':{},'l':[1,3]}");
    expect(applied("{'a':1}", "[{'op':'move','from':'/a','path':'/b'},{'op':'copy','from':'/b','path':'/c'}]"),
           "{'b':1,'c':1}");
    expect(applied("{'m':{'x/y':1,'t~u':2}}", "[{'op':'replace','path':'/m/x~1y','value':3},"
                                              "{'op':'test','path':'/m/t~0u','value':2}]"),
           "{'m':{'x/y':3,'t~u':2}}");
}

static void test_json_patch_refusals(void **state)
{
    (void)state;
    assert_int_equal(refused("{'a':1}", "[{'op':'test','path':'/a','value':2}]"), ERR_FAILED);
    assert_int_equal(refused("{'a':1}", "[{'op':'replace','path':'/b','value':2}]"), ERR_FAILED);
    assert_int_equal(refused("{'a':[1]}", "[{'op':'replace','path':'/a/1','value':2}]"), ERR_FAILED);
    assert_int_equal(refused("{'a':[1]}", "[{'op':'remove','path':'/a/-1'}]"), ERR_FAILED);
    assert_int_equal(refused("{'a':1}", "[{'op':'remove','path':'/a/b/c'}]"), ERR_FAILED);
    assert_int_equal(refused("{'a':1}", "{'op':'remove','path':'/a'}"), ERR_DATA);
    assert_int_equal(refused("{'a':1}", "[{'op':'explode','path':'/a'}]"), ERR_DATA);
    assert_int_equal(refused("{'a':1}", "[{'op':'add','path':'/b'}]"), ERR_DATA);
    assert_int_equal(refused("{'a':1}", "[{'op':'remove','path':'a'}]"), ERR_DATA);
}

static void test_merge_patch(void **state)
{
    struct json_t *doc = object_parse("{'a':1,'b':{'c':1,'d':2},'l':[1,2]}");
    struct json_t *patch = object_parse("{'a':null,'b':{'c':null,'e':{'f':null,'g':1}},'l':[3]}");

    (void)state;
    patch_merge(doc, patch);
    expect(doc, "{'b':{'d':2,'e':{'g':1}},'l':[3]}");
    jd_free(patch);
}

static void test_strategic_merge(void **state)
{
    struct json_t *doc = object_parse("{'containers':[{'name':'a','image':'1','env':[{'name':'X','value':'1'}]},"
                                      "{'name':'b'}],'args':['x']}");
    struct json_t *patch = object_parse("{'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'a','image':"
                                        "'2','env':[{'name':'Y','value':'2'}]},{'name':'b','$patch':'delete'},{'name':'c'}],"
                                        "'args':['y']}");

    (void)state;
    patch_strategic(doc, patch);
    expect(doc, "{'containers':[{'name':'a','image':'2','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]},"
                "{'name':'c'}],'args':['y']}");
    jd_free(patch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_patch),
        cmocka_unit_test(test_json_patch_refusals),
        cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_strategic_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
