#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-promtool.py TEST-CLI-METRICS: whether Prometheus takes what `safe-remove metrics` prints, with names that would break it and without."""
import pathlib
import shutil
import subprocess
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"

if not shutil.which("promtool"):
    print("promtool is not there (package prometheus)")
    sys.exit(77)


def says(text):
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    return result.returncode, (result.stdout + result.stderr).strip()


texts = {path.stem: path.read_text().split("--- stderr")[0] for path in sorted(GOLDEN.glob("metrics*.txt")) if "--- exit 0" in path.read_text()}
texts["names that would break it"] = subprocess.run([sys.argv[1], "print"], capture_output=True, text=True, check=True, timeout=60).stdout
assert len(texts) > 2, texts.keys()
for name, text in texts.items():
    code, said = says(text)
    assert (code, said) == (0, ""), f"{name}: {said}\n{text}"
# It is not so that promtool takes everything.
assert says(texts["metrics"] + 'safe_remove_up{slot="a"b"} 1\n')[0] != 0
