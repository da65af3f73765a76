#!/bin/sh
# The documents that are made from the program's own tables say what the program does. UPDATE=1 writes them anew.
set -eu
src=${top_srcdir:-.} build=${top_builddir:-.} failed=0
made() { # KIND FILE [HEAD]
    { [ -z "${3:-}" ] || cat "$src/$3"; "$build/ferryman" commands "$1"; } > documents.tmp
    if [ -n "${UPDATE:-}" ]; then cp documents.tmp "$src/$2"; fi
    if cmp -s documents.tmp "$src/$2"; then echo "PASS: $2 says what the program says"
    else echo "FAIL: $2 is old; write it anew: UPDATE=1 top_srcdir=$src top_builddir=$build tests/documents.sh"; failed=1; fi
}
made man doc/ferryman-keys.7 doc/ferryman-keys.head
made md doc/keys.md
made bash doc/completion/ferryman.bash
made zsh doc/completion/_ferryman
rm -f documents.tmp
exit $failed
