#!/usr/bin/env python3
"""Every test that doc/safety.md names is there: its file, and in it the function or the words."""
import os, re, sys

src = os.environ.get("top_srcdir", ".")
text = open(os.path.join(src, "doc/safety.md"), encoding="utf-8").read()
named = missing = 0
for row in (line for line in text.splitlines() if line.startswith("|") and "`tests/" in line):
    for part in row.rstrip(" |").split("`tests/")[1:]:
        file, _, words = part.partition("`")
        path = os.path.join(src, "tests", file)
        if not os.path.exists(path):
            print(f"FAIL: doc/safety.md names tests/{file}, which is not there")
            missing += 1
            continue
        source = open(path, encoding="utf-8").read()
        for word in (w.strip() for w in words.split("·")[0].split(",")):
            named += 1
            if word and not re.search(rf"\b{re.escape(word)}", source):
                print(f"FAIL: tests/{file} has no \"{word}\"")
                missing += 1
print(f"{'FAIL' if missing or not named else 'PASS'}: {named} tests named in doc/safety.md, {missing} of them missing")
sys.exit(bool(missing or not named))
