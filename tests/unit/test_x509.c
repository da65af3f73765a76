#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/x509.h"

/* Subject O=storage, O=system:masters, CN=alice. */
static const char alice[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIByzCCAXGgAwIBAgIUFVFIrIIgCzONkAvFBY9E1XFi6qAwCgYIKoZIzj0EAwIw\n"
    "OzEQMA4GA1UECgwHc3RvcmFnZTEXMBUGA1UECgwOc3lzdGVtOm1hc3RlcnMxDjAM\n"
    "BgNVBAMMBWFsaWNlMB4XDTI2MTEyMjA4NTI1MloXDTM2MTExOTA4NTI1MlowOzEQ\n"
    "MA4GA1UECgwHc3RvcmFnZTEXMBUGA1UECgwOc3lzdGVtOm1hc3RlcnMxDjAMBgNV\n"
    "BAMMBWFsaWNlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXGomH2m+eKO3i3tP\n"
    "KNDEvBgT4m5R9dVQORW1nd8ilznJkcSC5VwV3WyU+SslEIPVGsDKys32HCShXxVD\n"
    "8Vh476NTMFEwHQYDVR0OBBYEFK0DjcDYN8G6dHrRvL27UEuRKEs3MB8GA1UdIwQY\n"
    "MBaAFK0DjcDYN8G6dHrRvL27UEuRKEs3MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI\n"
    "zj0EAwIDSAAwRQIhAIKrTnCHfwMs5kVPpheoFlbCPERBiWkZVCuf4yUd6g8uAiBH\n"
    "cdOQDVb4gk6jqOx58dVR1j6U2CMIqoqagnTCW6n4mQ==\n"
    "-----END CERTIFICATE-----\n";

static void test_subject_and_end(void **state)
{
    (void)state;
    struct x509_info info;
    assert_true(x509_read(alice, strlen(alice), &info));
    assert_string_equal(info.common_name, "alice");
    assert_string_equal(info.organizations, "storage, system:masters");
    assert_int_equal(info.not_after_ms, INT64_C(2110697572000));
    x509_info_free(&info);
    assert_null(info.common_name);
}

static void test_no_certificate(void **state)
{
    (void)state;
    struct x509_info info;
    assert_false(x509_read("", 0, &info));
    assert_false(x509_read("nonsense", 8, &info));
    assert_false(x509_read(alice, strlen(alice) / 2, &info));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject_and_end),
        cmocka_unit_test(test_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
