#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

static void test_sha256(void **state)
{
    (void)state;
    char hex[HASH_HEX_SIZE];
    hash_hex("abc", 3, hex); /* FIPS 180-2, B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_base64_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *text;
    } cases[] = {
        /* RFC 4648 §10 */
        {"", ""},           {"f", "Zg=="},          {"fo", "Zm8="},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "+//+"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        hash_base64_encode(cases[i].plain, strlen(cases[i].plain), &b);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_clear(&b);
        assert_true(hash_base64_decode(slice_of(cases[i].text), &b));
        assert_string_equal(buf_str(&b), cases[i].plain);
        buf_free(&b);
    }
}

static void test_base64_all_bytes(void **state)
{
    (void)state;
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct buf text = {0}, back = {0};
        hash_base64_encode(bytes, n, &text);
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_true(hash_base64_decode(buf_slice(&text), &back));
        assert_int_equal(back.len, n);
        assert_memory_equal(buf_str(&back), bytes, n);
        buf_free(&text);
        buf_free(&back);
    }
}

static void test_base64_white_space(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(hash_base64_decode(SLICE_LIT(" Zm9v\r\n YmE\t=\n"), &b));
    assert_string_equal(b.p, "fooba");
    buf_free(&b);
}

static void test_base64_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg===", "Zm8", "Zm8==", "Zm9v=", "=", "====", "Zg==Zg==", "Zm9*", "Zm9v-_", "Zm\x80v",
        "Z=g=",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b = {0};
        buf_adds(&b, "before");
        if (hash_base64_decode(slice_of(bad[i]), &b))
            fail_msg("%s was taken", bad[i]);
        assert_string_equal(b.p, "before");
        assert_int_equal(b.len, 6);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),             cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_all_bytes),   cmocka_unit_test(test_base64_white_space),
        cmocka_unit_test(test_base64_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
