"""Tests of build_cost.py: a log of ninja, and the figures made from it."""

import unittest

import build_cost

LOG = """# ninja log v5
0\t1500\t1\tsrc/a/CMakeFiles/dms_a.dir/a.cpp.o\t1a
0\t90000\t1\tsrc/a/CMakeFiles/dms_a.dir/b.cpp.o\t1a
100\t4100\t2\tsrc/a/CMakeFiles/dms_a.dir/b.cpp.o\t1b
4100\t4600\t2\tbin/a_test\t1c
"""


class BuildCostTest(unittest.TestCase):
    def test_the_last_line_of_an_output_counts(self):
        self.assertEqual(build_cost.read_log(LOG), {"src/a/CMakeFiles/dms_a.dir/a.cpp.o": 1.5,
                                                    "src/a/CMakeFiles/dms_a.dir/b.cpp.o": 4.0, "bin/a_test": 0.5})

    def test_the_figure_is_in_units_and_per_thousand_lines(self):
        seconds = build_cost.read_log(LOG)
        lines = build_cost.report(seconds, sum(seconds.values()), 2.0, 500)
        self.assertEqual(lines[0], "build cost: 3 units of 2.00 s; 6.00 for each 1,000 of 500 lines (goal 2.5)")
        self.assertEqual(lines[2:], ["   2.00  src/a/dms_a/b.cpp", "   0.75  src/a/dms_a/a.cpp"])

    def test_files_from_ccache_are_named(self):
        lines = build_cost.report({"a.cpp.o": 0.1, "b.cpp.o": 3.0}, 3.1, 1.0, 1000)
        self.assertIn("1 of 2 files came from ccache", lines[1])

    def test_lines_are_counted(self):
        self.assertGreater(build_cost.count_lines(), 10_000)


if __name__ == "__main__":
    unittest.main()
