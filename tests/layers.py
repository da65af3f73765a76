#!/usr/bin/env python3
"""Holds the layer graph: what a layer calls, what it includes, that it takes no name of an outside library's, and that
the build lists every file.

Calls are held by the linker. A static archive that is on the line satisfies an upward call silently, so each layer is
linked whole, with a main() that does nothing, against the archives and outside libraries it may use and nothing else.
Includes are held by reading them. Both checks first prove, on a copy with planted faults, that they can fail.

Run by `make check` from the build folder (make layers.conf writes what it needs); exit status 1 names each fault.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

GRAPH = {
    "base": [],
    "loop": ["base"],
    "net": ["loop"],
    "client": ["net"],
    "world": ["loop"],
    "source": ["client", "world"],
    "migrate": ["source"],
    "ui": ["world"],
    "sandbox": ["loop"],
    "main": ["migrate", "ui"],
}

# Header of an outside library -> the files that may include it.
OWNERS = [
    (r"jansson\.h|jansson_config\.h|yaml\.h|zlib\.h|zconf\.h|openssl/.*", r"src/base/", "src/base"),
    (r"uv\.h|uv/.*", r"src/loop/", "src/loop"),
    (r"curl/.*", r"src/net/", "src/net"),
    (r"libpq-fe\.h|libpq-events\.h|libpq/.*|postgres_ext\.h|pg_config.*\.h|postgresql/.*", r"src/client/pg_",
     "src/client/pg_*"),
    (r"microhttpd\.h", r"src/sandbox/", "src/sandbox"),
    (r"(ncursesw?/)?(curses|ncurses|ncurses_dll|term|panel|menu|form|unctrl)\.h", r"ui/", "ui"),
]

LONG_FILE = 600
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def may_use(layer):
    """Layers that `layer` may use: everything reachable in the graph, without itself."""
    found = []
    for lower in GRAPH[layer]:
        for name in [lower] + may_use(lower):
            if name not in found:
                found.append(name)
    return found


def folder_of(layer):
    return {"ui": "ui", "main": "src"}.get(layer, "src/" + layer)


def layer_of(path):
    """The layer of a file below src/ or ui/; None for a path that is in neither."""
    parts = path.split("/")
    if parts[0] == "ui":
        return "ui"
    if parts[0] != "src":
        return None
    return parts[1] if len(parts) > 2 else "main"


def c_files(root, *tops, ends=(".c", ".h")):
    for top in tops:
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(ends):
                    yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


# ---- Includes ---------------------------------------------------------------------------------------------------------

def project_include(root, path, name):
    """The path, from the top, of a quoted include; None when it is no file of the project."""
    candidates = [os.path.normpath(os.path.join(os.path.dirname(path), name)), "src/" + name, name]
    return next((c for c in candidates if os.path.isfile(os.path.join(root, c))), None)


def include_fault(root, path, kind, name):
    layer = layer_of(path)
    for pattern, owner, owner_name in OWNERS:
        if re.fullmatch(pattern, name) and not path.startswith(owner):
            return f"includes {name}, which belongs to {owner_name}"
    if kind == "<":
        return None
    target = project_include(root, path, name)
    if target is None:
        return f'includes "{name}", which is no file of the project'
    above = layer_of(target)
    if above is None:
        return f'includes "{name}", which is outside src and ui'
    if above != layer and above not in may_use(layer):
        return f'includes "{name}": {layer} may use {", ".join(may_use(layer)) or "no other layer"}'
    return None


def check_includes(root):
    faults = []
    for path in c_files(root, "src", "ui"):
        if layer_of(path) not in GRAPH:
            faults.append(f"{path}: src/{layer_of(path)} is not a layer of the graph in tests/layers.py")
            continue
        text = read(root, path)
        for match in INCLUDE.finditer(text):
            fault = include_fault(root, path, match.group(1), match.group(2))
            if fault:
                faults.append(f"{path}:{text.count(chr(10), 0, match.start(2)) + 1}: {fault}")
    return faults


# ---- Links ------------------------------------------------------------------------------------------------------------

class Build:
    """What make wrote into layers.conf, and where the archives are."""

    def __init__(self, folder):
        self.folder = folder
        self.conf = {}
        for line in read(folder, "layers.conf").splitlines():
            key, _, value = line.partition("=")
            self.conf[key] = value.split()

    def archives(self):
        return {layer: os.path.join(self.folder, f"src/lib{layer}.a") for layer in GRAPH if layer != "main"}

    def compile(self, source, output, work):
        return subprocess.run(self.conf["cc"] + ["-c", source, "-o", output], cwd=work, check=True)


def link_faults(build, layer, archives, work):
    """Links `layer` whole with what it may use; `archives` maps a layer to its archive. Returns the linker's faults."""
    main = os.path.join(work, "main.c")
    with open(main, "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    command = build.conf["cc"] + build.conf["ldflags"] + [main, "-o", os.path.join(work, "linked-" + layer)]
    command += ["-Wl,--whole-archive", archives[layer], "-Wl,--no-whole-archive"]
    command += ["-Wl,--start-group"] + [archives[lower] for lower in may_use(layer)] + ["-Wl,--end-group"]
    command += build.conf["libs." + layer]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=dict(os.environ, LC_ALL="C"))
    if done.returncode == 0:
        return []
    missing = {}
    for place, symbol in re.findall(r"([^\s:]+:?[^\s:]*): undefined reference to `([^']*)'", done.stderr):
        missing.setdefault(symbol, os.path.relpath(place) if place.startswith("/") else place)
    lines = [f"{place} calls {symbol}" for symbol, place in sorted(missing.items())]
    lines = lines or [line.strip() for line in done.stderr.splitlines() if line.strip()][-5:]
    hint = f"{layer} may call only: {', '.join(may_use(layer)) or 'itself'}, and its outside libraries"
    return [f"{layer} does not link alone: {line}" for line in lines] + [hint]


def check_links(build):
    archives = build.archives()
    with tempfile.TemporaryDirectory(prefix="layers-") as work:
        return [fault for layer in archives for fault in link_faults(build, layer, archives, work)]


# ---- Names ------------------------------------------------------------------------------------------------------------

def defined_symbols(command):
    """Global functions and variables that nm lists as defined: {symbol: first file}."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    symbols, place = {}, ""
    for line in done.stdout.splitlines():
        fields = line.split()
        if len(fields) == 1 and line.endswith(":"):
            place = fields[0][:-1]
        elif len(fields) == 3 and fields[1] in "TBDRVWui":
            symbols.setdefault(fields[2].split("@")[0], place)
    return symbols


def shared_libraries(build, work):
    """Every shared library that a program of ours loads, the indirect ones too, without the sanitizers' own."""
    program = os.path.join(work, "libraries")
    with open(program + ".c", "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    libraries = [lib for layer in GRAPH if layer != "main" for lib in build.conf["libs." + layer]]
    subprocess.run(build.conf["cc"] + [program + ".c", "-o", program, "-Wl,--no-as-needed"] +
                   list(dict.fromkeys(libraries)), check=True)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [path for path in re.findall(r"=> (/\S+)", listed) if not re.search(r"/lib(asan|ubsan|tsan|lsan)\b", path)]


def check_names(build, archives):
    """No symbol of ours has the name of a library's: the dynamic linker would give ours to the library's own calls."""
    ours = {}
    for archive in archives.values():
        for symbol, member in defined_symbols(["nm", "-g", "--defined-only", archive]).items():
            ours.setdefault(symbol, member)
    with tempfile.TemporaryDirectory(prefix="layers-") as work:
        libraries = shared_libraries(build, work)
    faults = []
    for library in libraries:
        theirs = defined_symbols(["nm", "-D", "--defined-only", library])
        faults += [f"{ours[symbol]} defines {symbol}, which {os.path.basename(library)} defines too"
                   for symbol in sorted(set(ours) & set(theirs)) if not re.match(r"_|asan|ubsan", symbol)]
    return faults


# ---- Headers, lists, sizes ---------------------------------------------------------------------------------------------

def header_fault(build, root, path):
    """A header compiles on its own, twice in one unit."""
    text = f'#include "{path}"\n#include "{path}"\n'
    done = subprocess.run(build.conf["cc"] + build.conf["cppflags"] + ["-I" + root, "-I" + os.path.join(root, "src"),
                          "-fsyntax-only", "-Wno-unused", "-x", "c", "-"], input=text, capture_output=True, text=True,
                          errors="replace", env=dict(os.environ, LC_ALL="C"))
    if done.returncode == 0:
        return []
    first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
    return [f"{path}: does not compile on its own: {first}"]


def check_headers(build, root):
    headers = [path for path in c_files(root, "src", "ui") if path.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return [fault for faults in pool.map(lambda path: header_fault(build, root, path), headers) for fault in faults]


def check_lists(root):
    """Every C file is in a fragment; one that is not would be missing from the distribution."""
    listed = set()
    for folder, _, files in os.walk(root):
        if ".git" in folder.split(os.sep):
            continue
        for name in files:
            if name.endswith(".am"):
                path = os.path.relpath(os.path.join(folder, name), root)
                listed.update(re.sub(r"#.*", "", read(root, path)).split())
    tops = [top for top in ("src", "ui", "tests") if os.path.isdir(os.path.join(root, top))]
    return [f"{path}: not in any sources.am" for path in c_files(root, *tops, ends=(".c", ".h", ".def", ".inc"))
            if path not in listed]


def long_files(root):
    for path in c_files(root, "src", "ui", "tests"):
        lines = read(root, path).count("\n")
        if lines > LONG_FILE:
            yield f"{path}: {lines} lines"


# ---- The checks can fail ------------------------------------------------------------------------------------------------

PLANTED_INCLUDES = {
    "src/base/planted.c": ('#include "loop/planted.h"', "may use no other layer"),
    "src/world/planted.c": ("#include <uv.h>", "belongs to src/loop"),
    "src/world/planted_net.c": ('#include "net/planted.h"', "world may use"),
    "src/client/kube_planted.c": ("#include <libpq-fe.h>", "belongs to src/client/pg_*"),
    "src/main_planted.c": ("#include <curses.h>", "belongs to ui"),
    "ui/planted.c": ('#include "client/planted.h"', "ui may use"),
}
PLANTED_CALLS = [("base", "loop"), ("world", "net"), ("ui", "client"), ("sandbox", "net")]


def prove_includes(root, work):
    """Plants one forbidden include per kind in a copy; returns those that the check did not see."""
    copy = os.path.join(work, "tree")
    for top in ("src", "ui"):
        shutil.copytree(os.path.join(root, top), os.path.join(copy, top), ignore=shutil.ignore_patterns("*.o", "*.a"))
    subprocess.run(["chmod", "-R", "u+w", copy], check=True)
    for header in ("src/loop/planted.h", "src/net/planted.h", "src/client/planted.h"):
        with open(os.path.join(copy, header), "w", encoding="utf-8") as f:
            f.write("\n")
    for path, (line, _) in PLANTED_INCLUDES.items():
        with open(os.path.join(copy, path), "w", encoding="utf-8") as f:
            f.write(line + "\n")
    faults = check_includes(copy)
    missed = [f"a planted fault was not found: {path}: {line}" for path, (line, reason) in PLANTED_INCLUDES.items()
              if not any(fault.startswith(path + ":1: ") and reason in fault for fault in faults)]
    if not any(fault.startswith("src/base/planted.c") for fault in check_lists(copy)):
        missed.append("a planted file that no sources.am lists was not found")
    return missed


def plant(build, archives, layer, code, work):
    """Gives `layer` a copy of its archive with one more member."""
    source = os.path.join(work, f"planted_{layer}.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(code)
    build.compile(source, source[:-2] + ".o", work)
    copy = os.path.join(work, f"lib{layer}.a")
    shutil.copy(archives[layer], copy)
    os.chmod(copy, 0o644)
    subprocess.run(build.conf["ar"] + ["rs", copy, source[:-2] + ".o"], check=True, capture_output=True)
    return dict(archives, **{layer: copy})


def prove_links(build, work):
    """Plants an upward call per pair in copies of the archives; returns those that linked all the same."""
    clean = build.archives()
    missed = []
    for lower, upper in PLANTED_CALLS:
        archives = plant(build, clean, upper, "int planted_above(void);\nint planted_above(void) { return 1; }\n", work)
        archives = plant(build, archives, lower, "int planted_above(void);\nint planted_below(void);\n"
                         "int planted_below(void) { return planted_above(); }\n", work)
        if not any("planted_above" in fault for fault in link_faults(build, lower, archives, work)):
            missed.append(f"a planted call from {lower} up to {upper} linked")
    archives = plant(build, clean, "base", "void *json_object(void);\nvoid *json_object(void) { return 0; }\n", work)
    if not any(" json_object," in fault for fault in check_names(build, archives)):
        missed.append("a planted function with the name of one of jansson's was not found")
    return missed


def prove(build, root):
    with tempfile.TemporaryDirectory(prefix="layers-") as work:
        return prove_includes(root, work) + prove_links(build, work)


def main():
    root = os.environ.get("top_srcdir") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    build = Build(os.environ.get("top_builddir") or os.getcwd())
    failed = False
    for name, faults in [
        ("the checks find planted faults", prove(build, root)),
        ("each layer links with what it may use", check_links(build)),
        ("no symbol takes a library's name", check_names(build, build.archives())),
        ("each layer includes what it may use", check_includes(root)),
        ("each header compiles on its own", check_headers(build, root)),
        ("each file is listed in a sources.am", check_lists(root)),
    ]:
        print(("not ok" if faults else "ok") + " - " + name)
        for fault in faults:
            print("    " + fault)
        failed = failed or bool(faults)
    for line in long_files(root):
        print(f"warning: {line}, more than {LONG_FILE}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
