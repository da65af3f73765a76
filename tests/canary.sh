# The sanitizers see what they are there for: a leak, an overflow and undefined behaviour each end a program with the
# report that belongs to it. Run by `make check` in a build with --enable-sanitizers.
set -u
status=0

# expect PROGRAM TEXT: the program fails and its report says TEXT.
expect() {
    local output code
    output=$("$top_builddir/tests/$1" 2>&1)
    code=$?
    if [ "$code" -eq 0 ]; then
        echo "not ok - $1 ended well: this build would not notice the fault"
        status=1
    elif ! grep -q "$2" <<<"$output"; then
        echo "not ok - $1 failed with status $code, but without \"$2\":"
        printf '%s\n' "$output"
        status=1
    else
        echo "ok - $1 is caught: $2"
    fi
}

expect canary_leak 'LeakSanitizer: detected memory leaks'
expect canary_overflow 'AddressSanitizer: heap-buffer-overflow'
expect canary_undefined 'runtime error: signed integer overflow'
exit "$status"
