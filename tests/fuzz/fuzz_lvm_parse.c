/* Any bytes give volumes with clean names and numbers in their bounds, or a protocol error. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "client/lvm_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_volume(void *arg, const struct lvm_volume *v)
{
    (void)arg;
    if (v->name.len == 0 || v->group.len == 0 || !utf8_is_clean(buf_slice(&v->name)) ||
        !utf8_is_clean(buf_slice(&v->origin)))
        abort();
    if (v->size < -1 || v->data < -1 || v->data > 100000 || v->metadata < -1 || v->metadata > 100000)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    int64_t n;
    struct err *e = lvm_parse(text, on_volume, NULL);
    if (e && err_kind(e) != ERR_PROTOCOL)
        abort();
    err_free(e);
    if (lvm_size(text, &n) && n < 0)
        abort();
    if (lvm_percent(text, &n) && (n < 0 || n > 100000))
        abort();
    (void)lvm_time(text, &n);
    return 0;
}
