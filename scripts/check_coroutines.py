#!/usr/bin/env python3
"""Finds the shapes of coroutine code that GCC 12 compiles wrongly (CONTRIBUTING.md, "Coroutines under GCC 12").

1. co_await in the condition of `if`, `while` or `switch`: the coroutine may not run at all.
2. In an expression that awaits, temporaries that GCC copies bit by bit, to destroy both copies: aggregates in braces, lambdas
   that capture by value, and objects made by a conditional operator.
3. A default argument in braces of a function that returns a Task: it is such a temporary of each caller.
4. co_await inside braces: the object is such a temporary.

The script knows no types: it also refuses braces where the type has constructors, for which parentheses do, and conditional
operators between numbers. The body of a lambda is not part of the expression. Not seen: aggregates in parentheses.
"""
import bisect
import pathlib
import re
import sys

CONDITION = "co_await in a condition"
CHOICE = "a conditional operator in an expression that awaits"
BRACES = "braces in an expression that awaits"
CAPTURE = "a lambda that captures by value in an expression that awaits"
DEFAULT = "braces in a default argument of a coroutine"
INSIDE = "co_await inside braces"

LITERAL = re.compile(r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*\"""" +
                     r"""|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""", re.DOTALL)
TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|->|::|\S")
CLOSING = {"(": ")", "[": "]", "{": "}"}
EXPRESSION_BEFORE_BRACE = re.compile(r"[A-Za-z_]\w*$|>$|=$|\($|,$")
HEADS = {"if", "while", "switch", "for", "constexpr"}
BLOCK_WORDS = {"else", "do", "try", "const", "noexcept", "override", "final", "mutable"}


class Source:
    """The tokens of a file without comments and texts, and the bracket that closes each bracket."""

    def __init__(self, text):
        blank = LITERAL.sub(lambda m: re.sub(r"[^\n]", " ", m[0]) if m[0][0] == "/" else '"' + "\n" * m[0].count("\n"), text)
        blank = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m[0].count("\n"), blank, flags=re.MULTILINE)
        found = list(TOKEN.finditer(blank))
        starts = [i for i, c in enumerate(blank) if c == "\n"]
        self.tokens = [m[0] for m in found]
        self.lines = [bisect.bisect_left(starts, m.start()) + 1 for m in found]
        self.partner = {}
        open_brackets = []
        for i, token in enumerate(self.tokens):
            if token in CLOSING:
                open_brackets.append(i)
            elif token in CLOSING.values() and open_brackets:
                start = open_brackets.pop()
                self.partner[start], self.partner[i] = i, start

    def at(self, i):
        return self.tokens[i] if 0 <= i < len(self.tokens) else ";"

    def lambda_at(self, i):
        """The end of the lambda whose capture list begins at `i`, or None."""
        index = re.match(r"\w|\)|\]", self.at(i - 1)) and self.at(i - 1) not in {"return", "co_return", "co_await"}
        if self.at(i) != "[" or i not in self.partner or index:
            return None
        i = self.partner[i] + 1
        stops = {"{", ";", ",", ")", "}"}
        while self.at(i) not in stops:
            if self.at(i) == "->":
                stops.discard(",")
            i = self.partner.get(i, i) + 1
        return self.partner.get(i) if self.at(i) == "{" else None

    def by_value(self, i):
        """Whether the capture list that begins at `i` copies or moves something in."""
        start = i + 1
        while start < self.partner[i]:
            if self.at(start) not in {"&", "this"}:
                return True
            while start < self.partner[i] and self.at(start) != ",":
                start = self.partner.get(start, start) + 1 if self.at(start) in CLOSING else start + 1
            start += 1
        return False

    def is_block(self, brace):
        """Whether a `{` opens a body or a block rather than a value."""
        before = self.at(brace - 1)
        if before in BLOCK_WORDS or not EXPRESSION_BEFORE_BRACE.search(before):
            return True
        if before in {"(", ",", "=", "return", "co_return"}:
            return False
        # `Type{` is a value; `struct Name {`, `namespace name {` and `-> Type {` open bodies.
        i = brace - 1
        while self.at(i) not in {";", "{", "}", "(", ",", "=", "return", "co_return"}:
            if self.at(i) in {"struct", "class", "enum", "union", "namespace", "->", "case"}:
                return True
            i = self.partner.get(i, i) - 1 if self.at(i) in {")", "]"} else i - 1
        return False

    def expression(self, i):
        """The bounds of the whole expression around the token at `i`, and the brace that it is inside of, if any."""
        begin, end = i, i
        while True:
            while self.at(begin - 1) not in {"(", "[", "{", ";"}:
                if self.at(begin - 1) == "}" and not self.continues(begin - 1):
                    break
                if self.at(begin - 1) == ")" and self.at(self.partner[begin - 1] - 1) in HEADS:
                    break
                begin = self.partner.get(begin - 1, begin - 1)
            while self.at(end + 1) not in {")", "]", "}", ";"}:
                end += 1
                if self.at(end) == "{" and self.is_block(end) and self.lambda_of(end) is None:
                    return begin, end - 1, None
                end = self.partner.get(end, end)
            opening = self.at(begin - 1)
            if opening == "{":
                inside = not self.is_block(begin - 1) and self.at(end + 1) == "}"
                return begin, end, begin - 1 if inside else None
            if opening not in {"(", "["} or self.at(begin - 2) in HEADS:
                return begin, end, None
            if self.at(end + 1) not in {")", "]"}:
                return begin, end, None
            begin, end = begin - 1, end + 1

    def lambda_of(self, brace):
        """The capture list of the lambda whose body is `brace`, or None."""
        i = brace - 1
        while self.at(i) not in {";", "{", "}", "(", "="}:
            if self.at(i) == "]" and self.lambda_at(self.partner.get(i, i)) == self.partner.get(brace):
                return self.partner[i]
            i = self.partner.get(i, i) - 1 if self.at(i) in {")", "]"} else i - 1
        return None

    def continues(self, closing):
        """Whether the `}` at `closing` ends a value or a lambda, so that the expression continues after it."""
        brace = self.partner.get(closing)
        return brace is not None and (not self.is_block(brace) or self.lambda_of(brace) is not None)


def check(text):
    """The findings in a file: a set of (line, what)."""
    source = Source(text)
    found = set()
    for i, token in enumerate(source.tokens):
        if token == "co_await":
            check_await(source, i, found)
        elif token == "Task" and source.at(i + 1) == "<":
            check_defaults(source, i, found)
    return sorted(found)


def check_await(source, i, found):
    begin, end, inside = source.expression(i)
    condition = source.at(begin - 1) == "(" and source.at(begin - 2) in {"if", "while", "switch"}
    if condition and "=" not in source.tokens[begin:i]:
        found.add((source.lines[i], CONDITION))
    if inside is not None:
        found.add((source.lines[i], INSIDE))
    k = begin
    while k <= end:
        body_end = source.lambda_at(k)
        if body_end is not None:
            if source.by_value(k):
                found.add((source.lines[k], CAPTURE))
            k = body_end
        elif source.at(k) == "?":
            found.add((source.lines[k], CHOICE))
        elif source.at(k) == "{":
            found.add((source.lines[k], BRACES))
            k = source.partner.get(k, k)
        k += 1


def check_defaults(source, i, found):
    """Default arguments of a function whose return type is the Task at `i`."""
    depth = 0
    while source.at(i) not in {";", "{", "}", "(", "="}:
        depth += {"<": 1, ">": -1}.get(source.at(i), 0)
        i += 1
        if depth == 0 and source.at(i) == ")":
            return
    if source.at(i) != "(" or depth != 0 or not re.match(r"[A-Za-z_]", source.at(i - 1)):
        return
    k, end = i + 1, source.partner.get(i, i)
    equals = False
    while k < end:
        if source.at(k) == "=":
            equals = True
        elif source.at(k) == ",":
            equals = False
        elif source.at(k) == "{" and equals:
            found.add((source.lines[k], DEFAULT))
        k = source.partner[k] + 1 if source.at(k) in CLOSING and k in source.partner else k + 1


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    bad = 0
    for path in sorted([*root.glob("src/**/*.[ch]pp"), *root.glob("tests/**/*.[ch]pp")]):
        for number, what in check(path.read_text()):
            print(f"{path.relative_to(root)}:{number}: {what}; name the value first")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
