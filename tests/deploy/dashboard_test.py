"""The Grafana dashboard as a file: generated, with ids, units, one data source, known metrics.

Run: python3 tests/deploy/dashboard_test.py <repository root>
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tools

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
GRAFANA = ROOT / "deploy/grafana"
ROWS = ["Experience", "Traffic and errors", "Engine", "Worlds", "GPU", "Process", "SLO budget"]
OF_PROMETHEUS = {"up", "scrape_duration_seconds"}


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.board = json.loads((GRAFANA / "dashboards/firstbyte.json").read_text())
        self.targets = [t for p in tools.panels(ROOT) for t in p["targets"]]

    def test_the_file_is_what_the_generator_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, GRAFANA / "generate.py", folder], check=True)
            self.assertEqual(json.loads((pathlib.Path(folder) / "firstbyte.json").read_text()), self.board,
                             "run python3 deploy/grafana/generate.py")

    def test_ids_are_unique_and_places_do_not_overlap(self):
        ids = [p["id"] for p in self.board["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
        cells = [(x, y) for p in self.board["panels"] for g in [p["gridPos"]]
                 for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])]
        self.assertEqual(len(set(cells)), len(cells))

    def test_rows_answer_the_questions_in_order(self):
        self.assertEqual([p["title"] for p in self.board["panels"] if p["type"] == "row"], ROWS)

    def test_every_panel_has_a_unit_and_every_query_the_chosen_source(self):
        for panel in tools.panels(ROOT):
            self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])
        for target in self.targets:
            self.assertEqual(target["datasource"]["uid"], "${datasource}")
            self.assertIn('job=~"$job"', target["expr"])

    def test_the_target_is_drawn_on_the_time_to_first_byte(self):
        first = tools.panels(ROOT)[0]
        self.assertIn("firstbyte_request_ttfb_seconds", first["targets"][0]["expr"])
        self.assertEqual(first["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"], 0.05)

    def test_every_metric_exists(self):
        page = (ROOT / "docs/metrics.md").read_text()
        rules = (ROOT / "deploy/prometheus/rules.yaml").read_text()
        for target in self.targets:
            for name in re.findall(r"([a-z_:0-9]+)\{", target["expr"]):
                known = (name in OF_PROMETHEUS or f"record: {name}\n" in rules
                         or f"`{re.sub('_(bucket|count|sum)$', '', name)}`" in page)
                self.assertTrue(known, f"{name} in {target['expr']}")

    def test_every_instrument_is_on_the_board_or_in_a_rule(self):
        text = (ROOT / "deploy/prometheus/rules.yaml").read_text() + json.dumps(self.board)
        for name in re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram)", (ROOT / "docs/metrics.md").read_text(),
                               re.M):
            if name not in ("process_start_time_seconds", "firstbyte_chunk_interval_seconds",
                            "firstbyte_request_duration_seconds"):  # for queries of one's own
                self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
