"""Tests of within_budget.py: which files are checked, and what is printed of them."""

import argparse
import contextlib
import io
import unittest

import within_budget


def run(files, check, *arguments):
    parser = argparse.ArgumentParser()
    within_budget.add_arguments(parser)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        counts = within_budget.run(files, check, parser.parse_args(["--jobs", "1", *arguments]))
    return counts, printed.getvalue().splitlines()


class WithinBudgetTest(unittest.TestCase):
    def test_a_finding_that_many_files_share_is_printed_once(self):
        counts, lines = run(["a.cpp", "b.cpp", "c.cpp"], lambda file: "" if file == "c.cpp" else "in a header")
        self.assertEqual((counts, lines), ((3, 0, 1), ["in a header"]))

    def test_a_file_without_a_result_is_named(self):
        counts, lines = run(["a.cpp"], lambda file: None)
        self.assertEqual((counts, lines), ((1, 1, 0), ["not read, out of time: a.cpp"]))

    def test_no_file_starts_after_the_budget(self):
        counts, lines = run(["a.cpp"], lambda file: self.fail("started"), "--budget", "1e-9")
        self.assertEqual((counts, lines), ((1, 1, 0), ["not read, out of time: a.cpp"]))

    def test_only_the_named_files_are_checked(self):
        counts, _ = run(["a.cpp", "b.cpp"], lambda file: "", "b.cpp")
        self.assertEqual(counts, (1, 0, 0))


if __name__ == "__main__":
    unittest.main()
