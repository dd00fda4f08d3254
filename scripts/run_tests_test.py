"""Tests of run_tests.py: reports of behave as it writes them, and what becomes of them."""

import contextlib
import io
import unittest

import run_tests


def scenario(name, tags, status="passed"):
    return {"type": "scenario", "name": name, "tags": tags, "status": status,
            "steps": [{"keyword": "Given", "name": "x", "result": {"status": status, "duration": 0.5}}]}


def read(*scenarios, feature_tags=(), output=""):
    report = [{"tags": list(feature_tags), "elements": [{"type": "background", "steps": []}, *scenarios]}]
    return run_tests.read_feature_report(report, "features/x", output)


class FeatureTagsTest(unittest.TestCase):
    def test_the_tag_of_the_scenario_or_of_its_file_says_what_is_accepted(self):
        first, second = read(scenario("a", ["ucan", "docker"]), scenario("b", []), feature_tags=["storage"])
        self.assertEqual(first.features, ["ucan", "storage"])
        self.assertEqual(second.features, ["storage"])
        self.assertEqual([first.status, second.status], ["passed", "passed"])

    def test_a_scenario_without_a_feature_fails_even_if_it_passed_or_was_skipped(self):
        for status in ("passed", "skipped"):
            [outcome] = read(scenario("Untagged", ["docker"], status))
            self.assertEqual((outcome.status, outcome.name), ("failed", "Untagged"))
            self.assertIn("no tag of the feature", outcome.detail)

    def test_an_unknown_tag_fails_with_its_name(self):
        [outcome] = read(scenario("Misspelled", ["ucan", "stroage"]))
        self.assertEqual(outcome.status, "failed")
        self.assertIn("unknown tag @stroage", outcome.detail)

    def test_a_failure_keeps_its_reason(self):
        failed = scenario("Broken", ["ucan"], "failed")
        failed["steps"][0]["result"]["error_message"] = ["it is broken"]
        [outcome] = read(failed)
        self.assertEqual(outcome.status, "failed")
        self.assertIn("it is broken", outcome.detail)

    def test_a_skipped_scenario_keeps_its_reason(self):
        [outcome] = read(scenario("Boxed", ["ucan"], "skipped"), output="Boxed\nskipped: docker is not installed\n")
        self.assertEqual((outcome.status, outcome.detail), ("skipped", "docker is not installed"))

    def test_the_table_counts_each_feature_and_shows_those_without_scenarios(self):
        outcomes = read(scenario("a", ["ucan"]), scenario("b", ["ucan", "storage"], "failed"), scenario("c", ["ucan"], "skipped"))
        table = run_tests.feature_table(outcomes)
        counts = {line.split()[0]: line.split()[1::2] for line in table[1:]}
        self.assertEqual(counts["ucan"], ["1", "1", "1"])
        self.assertEqual(counts["storage"], ["0", "1", "0"])
        self.assertEqual(counts["tokenomics"], ["0", "0", "0"])
        self.assertEqual(len(counts), 17)

    def test_the_table_is_printed_before_the_last_line(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            run_tests.report(read(scenario("a", ["ucan"])), 1.0, with_features=True)
        lines = printed.getvalue().splitlines()
        self.assertEqual(lines[-1], "1 passed, 0 failed, 0 skipped")
        self.assertTrue(any(line.startswith("feature-environment") for line in lines[:-1]))


if __name__ == "__main__":
    unittest.main()
