/* ferryman commands: what documents and shells are made of, from the tables that the program itself runs by. Not listed in the help;
 * tests/documents.sh compares what it prints with what is in doc/. */
#include <getopt.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli.h"
#include "ui/command.h"

static void add_words(struct buf *out) {
    for (const struct subcommand *const *c = cli_subcommands(); *c; c++)
        if ((*c)->summary) buf_printf(out, "%s ", (*c)->name);
    for (const struct option *o = cli_options(); o->name; o++)
        if (!str_eq(o->name, "socket")) buf_printf(out, "--%s ", o->name);
    if (out->len) out->len--;
}

static void bash_completion(struct buf *out) {
    buf_adds(out, "# Completion of ferryman for bash; made by: ferryman commands bash\n"
                  "_ferryman() {\n"
                  "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                  "    case $prev in\n"
                  "    --plan|--kubeconfig|--log|--dir|check) COMPREPLY=(); return ;;\n"
                  "    --theme) COMPREPLY=($(compgen -W 'colour-blind dark light high-contrast mono' -- \"$cur\")); return ;;\n"
                  "    --color) COMPREPLY=($(compgen -W 'auto always never' -- \"$cur\")); return ;;\n"
                  "    --context) COMPREPLY=($(compgen -W \"$(kubectl config get-contexts -o name 2>/dev/null)\" -- \"$cur\")); return ;;\n"
                  "    plan) COMPREPLY=($(compgen -W 'check show preview' -- \"$cur\")); return ;;\n"
                  "    journal) COMPREPLY=($(compgen -W 'show verify import' -- \"$cur\")); return ;;\n"
                  "    --arm) COMPREPLY=($(compgen -W \"$(kubectl config get-contexts -o name 2>/dev/null)\" -- \"$cur\")); return ;;\n"
                  "    esac\n"
                  "    COMPREPLY=($(compgen -W '");
    add_words(out);
    buf_adds(out, "' -- \"$cur\"))\n}\ncomplete -o default -F _ferryman ferryman\n");
}

static void zsh_completion(struct buf *out) {
    buf_adds(out, "#compdef ferryman\n# Completion of ferryman for zsh; made by: ferryman commands zsh\n_arguments -s \\\n    '1:command:((");
    for (const struct subcommand *const *c = cli_subcommands(); *c; c++)
        if ((*c)->summary) buf_printf(out, "%s\\:\"%s\" ", (*c)->name, (*c)->summary);
    buf_adds(out, "))'");
    for (const struct option *o = cli_options(); o->name; o++)
        if (!str_eq(o->name, "socket"))
            buf_printf(out, " \\\n    '--%s%s'", o->name, o->has_arg ? "=[]:value:_files" : "[]");
    buf_addc(out, '\n');
}

static int run(struct cli *cli) {
    struct buf out = {0};
    const char *kind = cli->nargs == 1 ? cli->args[0] : NULL;
    struct err *e = NULL;
    if (!kind) e = err_new(ERR_USAGE, "commands man|md|bash|zsh");
    else if (str_eq(kind, "bash")) bash_completion(&out);
    else if (str_eq(kind, "zsh")) zsh_completion(&out);
    else e = command_document(kind, &out);
    if (!e && fwrite(buf_str(&out), 1, out.len, stdout) != out.len) e = err_new(ERR_SYSTEM, "standard output cannot be written");
    buf_free(&out);
    return cli_report(e);
}

const struct subcommand command_commands = {
    .name = "commands",
    .usage = "commands man|md|bash|zsh",
    .run = run,
};
