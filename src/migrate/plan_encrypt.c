/* How a copy that is made on the way is enciphered: the same words for dumps and snapshots. */
#include "base/str.h"
#include "base/yaml.h"
#include "migrate/plan.h"

static const struct plan_field encrypt_fields[] = {
    {.name = "passphrase_file", .type = FIELD_PATH, .offset = offsetof(struct plan_encrypt, passphrase_file)},
    {.name = "reason", .type = FIELD_TEXT, .offset = offsetof(struct plan_encrypt, reason)},
    {.name = NULL},
};

/* encrypt: none | { none: true, reason: … } | { passphrase_file: … } */
void plan_encrypt_read(struct plan_reader *r, const struct yaml_node *node, struct plan_encrypt *e, const char *holds) {
    static const char *const none_key[] = {"none", NULL};
    if (node->kind == YAML_SCALAR && str_eq(node->text, "none")) {
        e->none = true;
    } else if (node->kind == YAML_MAP) {
        plan_read_fields(r, node, "encrypt", encrypt_fields, none_key, e);
        struct yaml_node *none = yaml_get(node, "none");
        if (none && !yaml_bool(none, &e->none)) plan_fault(r, none, "encrypt.none: '%s' is neither true nor false",
                                                           none->kind == YAML_SCALAR ? none->text : "…");
    } else {
        plan_fault(r, node, "encrypt: must be a map with passphrase_file, or none with a reason");
        return;
    }
    if (e->none && !e->reason) plan_fault(r, node, "encrypt: none needs a reason: { none: true, reason: \"…\" } (%s)", holds);
    if (!e->none && !e->passphrase_file) plan_fault(r, node, "encrypt: 'passphrase_file' is missing");
}

void plan_encrypt_drop(void *at) {
    plan_free_fields(encrypt_fields, at);
}
