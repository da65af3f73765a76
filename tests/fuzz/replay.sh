# Gives each fuzz target its seeds, and changes of them (replay.c). Run by `make check`.
set -u
status=0
for seeds in "$top_srcdir"/tests/fuzz/seeds/*/; do
    noun=$(basename "$seeds")
    if "$top_builddir/tests/fuzz/fuzz_$noun" "$seeds"*; then
        echo "ok - fuzz_$noun"
    else
        echo "not ok - fuzz_$noun"
        status=1
    fi
done
for target in "$top_builddir"/tests/fuzz/fuzz_*; do
    case $target in *.o | *.log | *.trs) continue ;; esac
    noun=${target##*/fuzz_}
    if [ ! -d "$top_srcdir/tests/fuzz/seeds/$noun" ]; then
        echo "not ok - fuzz_$noun has no seeds in tests/fuzz/seeds/$noun"
        status=1
    fi
done
exit "$status"
