#!/usr/bin/python3
"""Checks the walls of the house: docs/architecture.md says which floor a room stands on, and the sources must agree.

  1. A room includes only itself and rooms on lower floors, and DEPENDS in its CMakeLists.txt names only such rooms.
  2. A room includes only what its DEPENDS reach.
  3. The parts inside a room that has inner floors ("### Inside `room`") keep the same rule among themselves.
  4. Clocks, randomness and sleeping are handed in: only the files in HANDED_IN may ask the system for them.
  5. No `co_await` in a condition whose temporaries it would have to keep: GCC 12 resumes such a coroutine in the wrong place.

Prints one `file:line: what is wrong` per finding and fails if there is any.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
FLOOR_ROW = re.compile(r"^\|\s*(\d+)\s*\|([^|]*)\|")
HEADING = re.compile(r"^#+ (.*)")
KIND = re.compile(r"_(test|fuzz|bench)$")
TESTING = "testing"  # testing.hpp: what the tests of a room share; nothing else includes it

SYSTEM_CALLS = re.compile(
    r"\b(system_clock::now|steady_clock::now|high_resolution_clock|random_device|this_thread::sleep_\w+|usleep\(|nanosleep\("
    r"|clock_gettime\(|gettimeofday\(|getrandom\(|RAND_bytes\(|std::rand\b)")
HANDED_IN = {"src/base/real_runtime.cpp", "src/base/random.cpp"}

TRAP = re.compile(r"\b(if|while)\s*\(\s*!?\s*\(?\s*co_await\b|\?\s*co_await\b|&&\s*!?\s*co_await\b")


class Floors:
    """Which floor each room, and each part inside a room, stands on."""

    def __init__(self, page):
        self.rooms, self.inner = {}, {}
        table = None
        for line in page.splitlines():
            heading, row = HEADING.match(line), FLOOR_ROW.match(line)
            if heading:
                inside = re.match(r"Inside `(\w+)`", heading.group(1))
                table = self.rooms if heading.group(1) == "Floors" else None
                if inside:
                    table = self.inner.setdefault(inside.group(1), {})
            elif row and table is not None:
                for name in re.findall(r"`([\w.]+)`", row.group(2)):
                    table[name] = int(row.group(1))

    def part(self, room, path):
        """The part of `room` a file belongs to: its folder, or `stem.hpp` for the files at the top of the room."""
        if len(path.parts) > 1:
            return path.parts[0]
        return KIND.sub("", path.stem) + ".hpp"


def read_room(folder):
    """What a room's CMakeLists.txt says it depends on, each with its line."""
    listing = folder / "CMakeLists.txt"
    if not listing.exists():
        return {}
    text = re.sub(r"#.*", "", listing.read_text())
    depends = {}

    def add(name, offset):
        if name != folder.name:
            depends.setdefault(name, text.count("\n", 0, offset) + 1)

    for call in re.finditer(r"\bdms_room\(([^)]*)\)", text):
        keyword = None
        for word in re.finditer(r"\S+", call.group(1)):
            if word.group() in ("NAME", "DEPENDS", "LIBS", "TEST_LIBS"):
                keyword = word.group()
            elif keyword == "DEPENDS":
                add(word.group(), call.start(1) + word.start())
    for call in re.finditer(r"\btarget_link_libraries\(([^)]*)\)", text):
        for word in re.finditer(r"\bdms_(?!flags\b)(\w+)", call.group(1)):
            add(word.group(1), call.start(1) + word.start())
    return depends


def reach(room, depends):
    seen, left = set(), [room]
    while left:
        for other in depends.get(left.pop(), {}):
            if other not in seen:
                seen.add(other)
                left.append(other)
    return seen


def check_depends(root, floors, depends):
    for room, names in depends.items():
        listing = f"src/{room}/CMakeLists.txt"
        if room not in floors.rooms:
            yield f"src/{room}: docs/architecture.md gives this room no floor"
            continue
        for other, number in names.items():
            if other not in floors.rooms:
                yield f"{listing}:{number}: depends on {other}, which is no room of docs/architecture.md"
            elif floors.rooms[other] >= floors.rooms[room]:
                yield (f"{listing}:{number}: {room} (floor {floors.rooms[room]}) depends on {other} "
                       f"(floor {floors.rooms[other]}): arrows go down")


def check_include(floors, room, path, target, reachable):
    """What is wrong with `#include "target"` in src/room/path, or None."""
    target = pathlib.PurePosixPath(target)
    other = target.parts[0]
    if len(target.parts) < 2 or other not in floors.rooms:
        return f'include "{target}" as "room/file.hpp"'
    if other != room:
        if floors.rooms[other] >= floors.rooms[room]:
            return f"{room} (floor {floors.rooms[room]}) includes {target} (floor {floors.rooms[other]}): arrows go down"
        if other not in reachable:
            return f"{room} includes {target}, but its DEPENDS do not reach {other}"
        return None
    inner = floors.inner.get(room)
    is_test = KIND.search(path.stem) or path.stem == TESTING
    if target.stem == TESTING and not is_test:
        return f"{target} is for tests only"
    if not inner or path.stem == TESTING or target.stem == TESTING:
        return None
    mine = floors.part(room, path)
    theirs = floors.part(room, pathlib.PurePosixPath(*target.parts[1:]))
    if mine == theirs:
        return None
    if theirs not in inner:
        return f"docs/architecture.md gives {room}'s part {theirs} no floor"
    if mine not in inner:  # a test that drives the whole room
        return None if is_test else f"docs/architecture.md gives {room}'s part {mine} no floor"
    if inner[theirs] >= inner[mine]:
        return f"inside {room}, {mine} (floor {inner[mine]}) includes {theirs} (floor {inner[theirs]}): arrows go down"
    return None


def check_file(floors, room, file, root, reachable):
    name = file.relative_to(root).as_posix()
    path = pathlib.PurePosixPath(file.relative_to(root / "src" / room).as_posix())
    for number, line in enumerate(file.read_text().splitlines(), 1):
        include = INCLUDE.match(line)
        problem = include and check_include(floors, room, path, include.group(1), reachable)
        if problem:
            yield f"{name}:{number}: {problem}"
        call = SYSTEM_CALLS.search(line.split("//")[0])
        if call and name not in HANDED_IN and not path.stem.endswith("_bench"):
            yield f"{name}:{number}: {call.group(1).rstrip('(')}: time and randomness are handed in"
        if TRAP.search(line.split("//")[0]):
            yield f"{name}:{number}: co_await inside a condition: name its result first"


def check(root):
    floors = Floors((root / "docs/architecture.md").read_text())
    folders = sorted(f for f in (root / "src").iterdir() if f.is_dir() and any(f.rglob("*.[ch]pp")))
    depends = {folder.name: read_room(folder) for folder in folders}
    problems = list(check_depends(root, floors, depends))
    for folder in folders:
        if folder.name not in floors.rooms:
            continue
        reachable = reach(folder.name, depends)
        for file in sorted(folder.rglob("*.[ch]pp")):
            problems += check_file(floors, folder.name, file, root, reachable)
    return problems, len(folders)


def main():
    problems, rooms = check(pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    for problem in problems:
        print(problem)
    print(f"{rooms} rooms, {len(problems)} arrows or calls that may not be")
    return 1 if problems or not rooms else 0


if __name__ == "__main__":
    sys.exit(main())
