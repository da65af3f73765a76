/* Any bytes give a document or an error that names the file; the tree of a document can be walked, its places are real. */
#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Visits every node; nesting is bounded by the parser. */
static void node_walk(const struct yaml_node *node) {
    bool truth = false;
    int64_t number = 0;
    if (node->line == 0 || node->column == 0) {
        abort();
    }
    (void)yaml_is_null(node);
    (void)yaml_bool(node, &truth);
    (void)yaml_int(node, &number);
    for (size_t i = 0; node->kind != YAML_SCALAR && i < node->count; i++) {
        if (node->kind == YAML_MAP && yaml_get(node, node->keys[i]->text) != node->values[i]) {
            abort();
        }
        node_walk(node->values[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct yaml_doc *doc = NULL;
    struct err *err = yaml_parse((const char *)data, size, "plan.yaml", &doc);
    if (err != NULL) {
        if (doc != NULL || !str_starts(err_text(err), "plan.yaml")) {
            abort();
        }
        err_free(err);
        return 0;
    }
    if (doc->root != NULL) {
        node_walk(doc->root);
    }
    yaml_free(doc);
    return 0;
}
