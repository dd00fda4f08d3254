#!/usr/bin/env python3
"""Finds the two shapes of coroutine code that GCC 12 compiles wrongly (src/runtime/task.hpp names them).

1. co_await inside the condition of `if` or `while`: the coroutine's frame may be laid out wrongly.
2. A braced aggregate among the arguments of an awaited call: it is copied bit by bit, and strings in it break.
"""
import pathlib
import re
import sys

CONDITION = re.compile(r"\b(if|while) \(!?\(?co_await\b")
AGGREGATE = re.compile(r"co_await [^;]*\([^;]*\b[A-Z]\w*\{[^}]*\.")


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    bad = 0
    for path in sorted([*root.glob("src/**/*.[ch]pp"), *root.glob("tests/**/*.[ch]pp")]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//")[0]
            for pattern, what in ((CONDITION, "co_await in a condition"), (AGGREGATE, "aggregate in an awaited call")):
                if pattern.search(code):
                    print(f"{path.relative_to(root)}:{number}: {what}; name the value first")
                    bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
