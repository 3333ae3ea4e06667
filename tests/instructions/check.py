#!/usr/bin/env python3
"""Holds the instructions that the hot paths execute against a stored baseline.

Times differ between machines and moments; instructions of one binary do not. `count_me` runs each
part under callgrind, and this fails when a part takes more than TOLERANCE over baseline.json.

After a change that is worth its instructions, or saves some, renew the baseline:
    tests/instructions/check.py --update build/release/tests/instructions/count_me
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.03  # another patch release of the compiler or of libopus
SKIPPED = 77


def counts(program, isa):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "-q",
             f"--callgrind-out-file={folder}/out", program],
            env=dict(os.environ, FIRSTBYTE_ISA=isa), check=True)
        found = {}
        for dump in Path(folder).iterdir():
            text = dump.read_text()
            part = re.search(r"^desc: Trigger: Client Request: (\w+)$", text, re.M)
            if part:
                found[part[1]] = int(re.search(r"^(?:summary|totals): (\d+)", text, re.M)[1])
        return found


def has_avx2():
    return " avx2 " in Path("/proc/cpuinfo").read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--update", action="store_true", help="store what is measured")
    options = parser.parse_args()
    if not has_avx2():
        print("this machine has no AVX2")
        return SKIPPED
    measured = counts(options.program, "avx2")
    if options.update:
        BASELINE.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    baseline = json.loads(BASELINE.read_text())
    more = False
    for part in sorted(baseline.keys() | measured.keys()):
        before, now = baseline.get(part, 0), measured.get(part, 0)
        change = now / before - 1 if before and now else float("inf")
        more = more or change > TOLERANCE
        note = ("  MORE" if change > TOLERANCE else
                "  less: --update keeps the gain" if change < -TOLERANCE else "")
        print(f"{part:10} {before:13,} -> {now:13,}  {100 * change:+6.1f} %{note}")
    if more:
        print(f"over {100 * TOLERANCE:.0f} %: {__doc__.split(chr(10) * 2)[2].strip()}")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
