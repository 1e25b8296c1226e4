#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does coverage.py notice what it is there to notice?"""
import pathlib
import tempfile
import unittest

import coverage

THREE = """# statements: 2
MQTT-1.5.3-1\tboth\tText is text.
MQTT-4.8.0-1\tserver\tErrors close.\tno client can cause one
"""
FIVE = """# statements: 3
# not there: MQTT-2.2.1-1
MQTT-2.2.1-2\tserver\tNo id.
MQTT-3.1.2-1\tclient\tA client pings.
MQTT-3.1.2-2\tclient\tA client obeys.
"""
BOTH = """title    text is text
clause   MQTT-2.2.1-2 1.5.4
clause   v4 MQTT-1.5.3-1
deviates mosquitto v5 accepts it
"""


class Coverage(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.write('statements-3.1.1.tsv', THREE)
        self.write('statements-5.0.tsv', FIVE)
        self.write('1.5-text/text.mtc', BOTH)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def problems(self):
        return coverage.check(self.root)[0]

    def assert_problem(self, *parts):
        problems = self.problems()
        self.assertEqual(1, len(problems), problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def test_a_covered_tree_has_no_problems(self):
        self.assertEqual([], self.problems())

    def test_a_server_statement_with_neither_scenario_nor_reason_is_a_gap(self):
        self.write('statements-3.1.1.tsv', THREE.replace('\tno client can cause one', ''))
        self.assert_problem('MQTT-4.8.0-1', 'no scenario, and no reason')

    def test_a_reason_beside_a_scenario_is_refused(self):
        self.write('statements-5.0.tsv', FIVE.replace('No id.', 'No id.\tit cannot be seen'))
        self.assert_problem('MQTT-2.2.1-2', '1.5-text/text', 'delete the reason')

    def test_a_client_statement_needs_no_reason(self):
        self.write('statements-5.0.tsv', FIVE.replace('A client pings.', 'A client pings.\tit is a client'))
        self.assert_problem('MQTT-3.1.2-1', 'concerns the client')

    def test_a_clause_that_does_not_exist_is_refused(self):
        self.write('1.5-text/text.mtc', BOTH.replace('1.5.4', 'MQTT-1.5.3-1'))
        self.assert_problem('1.5-text/text.mtc', 'MQTT-1.5.3-1', 'neither a section nor')

    def test_a_clause_of_a_version_that_the_scenario_is_not_for_is_refused(self):
        self.write('1.5-text/more.mtc', 'versions 4\nclause MQTT-2.2.1-2\n')
        self.assert_problem('1.5-text/more.mtc', 'not for MQTT 5.0')

    def test_scenarios_that_are_wrong_on_purpose_cover_nothing(self):
        self.write('selftest/wrong.mtc', 'clause MQTT-9.9.9-9\n')
        self.assertEqual([], self.problems())

    def test_a_missing_number_is_noticed(self):
        self.write('statements-5.0.tsv', FIVE.replace('MQTT-3.1.2-1\tclient\tA client pings.\n', ''))
        self.assertIn('a number before it is missing', '\n'.join(self.problems()))

    def test_a_table_of_another_length_than_it_says_is_noticed(self):
        self.write('statements-5.0.tsv', FIVE + 'MQTT-3.1.2-3\tclient\tMore.\n')
        self.assert_problem('has 4 statements, and says 3')

    def test_a_row_that_concerns_nobody_is_refused(self):
        self.write('statements-5.0.tsv', FIVE + 'MQTT-3.1.2-3\tnobody\tMore.\n')
        self.assertIn('a row is: number', '\n'.join(self.problems()))

    def test_a_line_that_is_no_row_is_refused(self):
        self.write('statements-5.0.tsv', FIVE + '<<<<<<< HEAD\n')
        self.assertIn('a row is: number', '\n'.join(self.problems()))

    def test_the_page_names_scenarios_reasons_and_deviations(self):
        page = coverage.check(self.root)[1]
        link = '[1.5-text/text](1.5-text/text.mtc)'
        self.assertIn(f'| MQTT-1.5.3-1 | Text is text. | {link} |  |\n', page)
        self.assertIn('| MQTT-4.8.0-1 | Errors close. | none: no client can cause one |  |\n', page)
        self.assertIn(f'| MQTT-2.2.1-2 | No id. | {link} | accepts it (text) |\n', page)
        self.assertIn('| MQTT-3.1.2-1 | A client pings. | *concerns the client* |  |\n', page)
        self.assertIn('| MQTT 5.0 | 3 | 2 | 1 | 0 | 0 | 1 |\n', page)

    def test_what_the_standard_allows_is_not_counted_as_a_deviation(self):
        self.write('1.5-text/text.mtc', BOTH.replace('accepts it', 'waits, which the standard allows as well'))
        page = coverage.check(self.root)[1]
        self.assertIn('| waits, which the standard allows as well (text) |\n', page)
        self.assertIn('| MQTT 5.0 | 3 | 2 | 1 | 0 | 0 | 0 |\n', page)

    def test_a_deviation_that_names_a_statement_is_only_in_its_row(self):
        self.write('statements-5.0.tsv', FIVE.replace('3\n', '4\n', 1) + 'MQTT-3.1.2-3\tserver\tMore.\n')
        self.write('1.5-text/text.mtc', BOTH.replace('1.5.4', 'MQTT-3.1.2-3').replace('it\n', 'it [MQTT-3.1.2-3]\n'))
        page = coverage.check(self.root)[1]
        self.assertIn('| MQTT-2.2.1-2 | No id. | [1.5-text/text](1.5-text/text.mtc) |  |\n', page)
        self.assertIn('| accepts it (text) |\n', page)


if __name__ == '__main__':
    unittest.main()
