#!/usr/bin/python3
"""Checks that the sources agree with the layers of docs/architecture.md.

  1. A module includes only itself and modules on lower layers, and DEPENDS in its CMakeLists.txt names only such modules.
  2. A module includes only what its DEPENDS reach.
  3. The parts inside a module that has inner layers ("### Inside `module`") keep the same rule among themselves.
  4. Clocks, randomness and sleeping are injected: only the files in SYSTEM_FILES may call the system for them.
  5. A folder is not read by a range-based `for`, whose step to the next entry throws; `increment(error_code)` does not. Tests may.
  6. No `co_await` in a condition whose temporaries it would have to keep: GCC 12 resumes such a coroutine in the wrong place.

Prints one `file:line: what is wrong` per finding and fails if there is any.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
LAYER_ROW = re.compile(r"^\|\s*(\d+)\s*\|([^|]*)\|")
HEADING = re.compile(r"^#+ (.*)")
KIND = re.compile(r"_(test|fuzz|bench)$")
TESTING = re.compile(r"^testing$|^(test|fake)_")  # headers that tests of a module share; nothing else includes them

SYSTEM_CALLS = re.compile(
    r"\b(system_clock::now|steady_clock::now|high_resolution_clock|random_device|this_thread::sleep_\w+|usleep\(|nanosleep\("
    r"|clock_gettime\(|gettimeofday\(|getrandom\(|RAND_bytes\(|std::rand\b)")
SYSTEM_FILES = {"src/runtime/real_lane.cpp", "src/base/random.cpp", "src/executor/sandbox/detached.cpp"}

READ_FOLDER = re.compile(r"\bfor\s*\([^;]*[^:]:\s[^;]*directory_iterator\b")

TRAP = re.compile(r"\b(if|while)\s*\(\s*!?\s*\(?\s*co_await\b|\?\s*co_await\b|&&\s*!?\s*co_await\b")


class Layers:
    """The layer of each module, and of each part inside a module."""

    def __init__(self, page):
        self.modules, self.inner = {}, {}
        table = None
        for line in page.splitlines():
            heading, row = HEADING.match(line), LAYER_ROW.match(line)
            if heading:
                inside = re.match(r"Inside `(\w+)`", heading.group(1))
                table = self.modules if heading.group(1) == "Layers" else None
                if inside:
                    table = self.inner.setdefault(inside.group(1), {})
            elif row and table is not None:
                for name in re.findall(r"`([\w.]+)`", row.group(2)):
                    table[name] = int(row.group(1))

    def part(self, module, path):
        """The part of `module` a file belongs to: its folder, or `stem.hpp` for the files at the top of the module."""
        if len(path.parts) > 1:
            return path.parts[0]
        return KIND.sub("", path.stem) + ".hpp"


def read_module(folder, key="DEPENDS"):
    """The dependencies that a module's CMakeLists.txt declares, each with its line."""
    listing = folder / "CMakeLists.txt"
    if not listing.exists():
        return {}
    text = re.sub(r"#.*", "", listing.read_text())
    depends = {}

    def add(name, offset):
        if name != folder.name:
            depends.setdefault(name, text.count("\n", 0, offset) + 1)

    for call in re.finditer(r"\bdms_module\(([^)]*)\)", text):
        keyword = None
        for word in re.finditer(r"\S+", call.group(1)):
            if word.group() in ("NAME", "DEPENDS", "LIBS", "TEST_DEPENDS", "TEST_LIBS"):
                keyword = word.group()
            elif keyword == key:
                add(word.group(), call.start(1) + word.start())
    for call in re.finditer(r"\btarget_link_libraries\(([^)]*)\)", text):
        for word in re.finditer(r"\bdms_(?!flags\b)(\w+)", call.group(1)):
            add(word.group(1), call.start(1) + word.start())
    return depends


def reach(module, depends):
    seen, left = set(), [module]
    while left:
        for other in depends.get(left.pop(), {}):
            if other not in seen:
                seen.add(other)
                left.append(other)
    return seen


def check_depends(root, layers, depends):
    for module, names in depends.items():
        listing = f"src/{module}/CMakeLists.txt"
        if module not in layers.modules:
            yield f"src/{module}: docs/architecture.md gives this module no layer"
            continue
        for other, number in names.items():
            if other not in layers.modules:
                yield f"{listing}:{number}: depends on {other}, which is no module of docs/architecture.md"
            elif layers.modules[other] >= layers.modules[module]:
                yield (f"{listing}:{number}: {module} (layer {layers.modules[module]}) depends on {other} "
                       f"(layer {layers.modules[other]}): a module includes lower layers only")


def is_test_file(path):
    return bool(KIND.search(path.stem) or TESTING.search(path.stem))


def check_include(layers, module, path, target, reachable, test_reachable):
    """What is wrong with `#include "target"` in src/module/path, or None."""
    target = pathlib.PurePosixPath(target)
    other = target.parts[0]
    if len(target.parts) < 2 or other not in layers.modules:
        return f'include "{target}" as "module/file.hpp"'
    if other != module:
        if layers.modules[other] >= layers.modules[module]:
            return f"{module} (layer {layers.modules[module]}) includes {target} (layer {layers.modules[other]}): a module includes lower layers only"
        if other not in (test_reachable if is_test_file(path) else reachable):
            return f"{module} includes {target}, but its DEPENDS do not reach {other}"
        return None
    inner = layers.inner.get(module)
    is_test = is_test_file(path)
    if TESTING.search(target.stem) and not is_test:
        return f"{target} is for tests only"
    if not inner or TESTING.search(path.stem) or TESTING.search(target.stem):
        return None
    own = layers.part(module, path)
    included = layers.part(module, pathlib.PurePosixPath(*target.parts[1:]))
    if own == included:
        return None
    if included not in inner:
        return f"docs/architecture.md gives {module}'s part {included} no layer"
    if own not in inner:  # a test that drives the whole module
        return None if is_test else f"docs/architecture.md gives {module}'s part {own} no layer"
    if inner[included] >= inner[own]:
        return f"inside {module}, {own} (layer {inner[own]}) includes {included} (layer {inner[included]}): a module includes lower layers only"
    return None


def check_file(layers, module, file, root, reachable, test_reachable):
    name = file.relative_to(root).as_posix()
    path = pathlib.PurePosixPath(file.relative_to(root / "src" / module).as_posix())
    for number, line in enumerate(file.read_text().splitlines(), 1):
        include = INCLUDE.match(line)
        problem = include and check_include(layers, module, path, include.group(1), reachable, test_reachable)
        if problem:
            yield f"{name}:{number}: {problem}"
        call = SYSTEM_CALLS.search(line.split("//")[0])
        if call and name not in SYSTEM_FILES and not path.stem.endswith("_bench"):
            yield f"{name}:{number}: {call.group(1).rstrip('(')}: time and randomness are injected"
        if READ_FOLDER.search(line.split("//")[0]) and not is_test_file(path):
            yield f"{name}:{number}: this loop throws when the folder changes: use increment(error_code)"
        if TRAP.search(line.split("//")[0]):
            yield f"{name}:{number}: co_await inside a condition: name its result first"


def check(root):
    layers = Layers((root / "docs/architecture.md").read_text())
    folders = sorted(f for f in (root / "src").iterdir() if f.is_dir() and any(f.rglob("*.[ch]pp")))
    depends = {folder.name: read_module(folder) for folder in folders}
    problems = list(check_depends(root, layers, depends))
    for folder in folders:
        if folder.name not in layers.modules:
            continue
        reachable = reach(folder.name, depends)
        test_reachable = reach(folder.name, {**depends, folder.name: read_module(folder, "TEST_DEPENDS")})
        for file in sorted(folder.rglob("*.[ch]pp")):
            problems += check_file(layers, folder.name, file, root, reachable, reachable | test_reachable)
    return problems, len(folders)


def main():
    problems, modules = check(pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    for problem in problems:
        print(problem)
    print(f"{modules} modules, {len(problems)} violations")
    return 1 if problems or not modules else 0


if __name__ == "__main__":
    sys.exit(main())
