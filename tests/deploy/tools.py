"""Where the programs that tests of deploy/ run are."""

import json
import os
import pathlib
import shutil

CACHE = pathlib.Path(os.environ.get("FIRSTBYTE_CACHE") or pathlib.Path.home() / ".cache/firstbyte")


def program(name):
    """prometheus or promtool: of `scripts/setup --test`, else of the machine."""
    unpacked = CACHE / "prometheus/usr/bin" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if not found:
        raise SystemExit(f"{name} not found: run scripts/setup --test")
    return found


def panels(root):
    """The panels of the dashboard, without its rows."""
    file = pathlib.Path(root) / "deploy/grafana/dashboards/firstbyte.json"
    return [p for p in json.loads(file.read_text())["panels"] if p["type"] != "row"]
