#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the CLI prints, compared with what it is meant to print: golden/NAME.txt holds standard output, standard error and
the exit code of each command below. `test-golden.py CLI DAEMON GUARD --update` writes them anew; read the difference."""
import json
import re
import sys

from bus import HERE, Bus

DIGEST = "5f0c" * 16

# In this order, and numbered by the daemon in this order: the history of the end lists them.
CASES = [
    ("list", ["list"]),
    ("list-plain", ["list", "--no-legend"]),
    ("list-names", ["list", "--names"]),
    ("list-json", ["list", "--json=pretty"]),
    ("show", ["show", "2"]),
    ("show-empty", ["show", "4"]),
    ("show-pmem", ["show", "slot5"]),
    ("show-json", ["show", "mem1", "--json"]),
    ("plan", ["plan", "2"]),
    ("plan-options", ["plan", "--grace=10", "-t", "90", "-z", "try", "2"]),
    ("plan-blocked", ["plan", "3"]),
    ("plan-nothing", ["plan", "4"]),
    ("plan-plain", ["plan", "2", "--no-legend"]),
    ("plan-json", ["plan", "2", "-jpretty"]),
    ("plan-unknown", ["plan", "99"]),
    ("plan-malformed", ["plan", "?"]),
    ("plan-ambiguous", ["plan", "region9"]),
    ("plan-no-slot", ["plan", "0000:00:1f.0"]),
    ("plan-unknown-json", ["plan", "99", "--json"]),
    ("explain", ["explain", "3"]),
    ("explain-json", ["explain", "3", "--json=pretty"]),
    ("holders", ["holders", "3"]),
    ("holders-json", ["holders", "3", "--json"]),
    ("holders-partial", ["holders", "2"]),
    ("holders-none", ["holders", "4"]),
    ("status-never", ["status"]),
    ("status-unknown", ["status", "77"]),
    ("history-empty", ["history"]),
    ("metrics-new", ["metrics"]),
    ("cancel-nothing", ["cancel", "2"]),
    ("certificate-none", ["certificate"]),
    ("verify", ["verify", "2"]),
    ("verify-unproven", ["verify", "3"]),
    ("verify-unproven-json", ["verify", "3", "--json=pretty"]),
    ("verify-not-known", ["verify", "4"]),
    ("verify-unknown", ["verify", "99"]),
    ("overview-never", []),
    ("remove-dry", ["remove", "2", "--dry-run", "--plan", DIGEST[:8]]),
    ("remove-dry-stale", ["remove", "2", "--dry-run", "--plan", "0" * 8]),
    ("remove", ["remove", "2", "--plan", DIGEST[:8]]),
    ("remove-by-serial", ["remove", "serial:0x1", "--plan", "0" * 64]),
    ("remove-stale", ["remove", "8", "-p", DIGEST]),
    ("remove-blocked", ["remove", "3"]),
    ("remove-nothing", ["remove", "4"]),
    ("remove-restored", ["remove", "5"]),
    ("remove-stuck", ["remove", "6"]),
    ("remove-json", ["remove", "2", "--json"]),
    ("remove-stuck-json", ["remove", "6", "--json=pretty"]),
    ("status-last", ["status"]),
    ("status-slot", ["status", "5"]),
    ("status-refused", ["status", "3"]),
    ("status-json", ["status", "4", "--json"]),
    ("overview", []),
    ("overview-json", ["--json=pretty"]),
    ("cancel-dry", ["cancel", "5", "--dry-run"]),
    # A bare number is a slot where there is one, though there is a removal 7 as well.
    ("status-slot-not-id", ["status", "7"]),
    ("list-after", ["list"]),
    ("history", ["history"]),
    ("history-json", ["history", "-n1", "--json=short"]),
    ("certificate", ["certificate"]),
    ("certificate-by-id", ["certificate", "5"]),
    ("certificate-json", ["certificate", "1", "--json"]),
    ("certificate-unknown", ["certificate", "77"]),
    ("incident-none", ["incident"]),
    ("incident", ["incident"]),
    ("incident-json", ["incident", "1", "--json"]),
    ("incident-unknown", ["incident", "77"]),
    ("certificate-verify", ["certificate", "--verify"]),
    ("certificate-verify-json", ["certificate", "--verify", "1", "--json"]),
    ("restore-plan", ["restore", "--dry-run", "5"]),
    ("restore-plan-other", ["restore", "--dry-run", "--equal-card=no", "3"]),
    ("restore-plan-nothing", ["restore", "--dry-run", "8"]),
    ("restore", ["restore", "7", "--plan=abababab"]),
    ("restore-other", ["restore", "3"]),
    ("restore-nothing", ["restore", "8"]),
    ("restore-incomplete", ["restore", "5"]),
    ("restore-json", ["restore", "7", "--json"]),
    ("history-restored", ["history", "-n", "4"]),
    ("metrics", ["metrics"]),
    ("metrics-json", ["metrics", "--json"]),
    ("plan-several", ["plan", "2", "8"]),
    ("explain-several", ["explain", "2", "8", "--json"]),
    ("remove-several", ["remove", "2", "8"]),
    ("status-several", ["status", "8"]),
    ("status-several-json", ["status", "--json"]),
    ("history-several", ["history", "-n1"]),
    ("several-unknown", ["remove", "99", "2"]),
    ("self-test-dry", ["self-test", "2", "--dry-run"]),
    ("self-test-unknown", ["self-test", "99"]),
    ("self-test-refused", ["self-test", "3"]),
    ("self-test-nothing", ["self-test", "4"]),
    ("self-test", ["self-test", "2"]),
    ("self-test-with-power", ["self-test", "2", "--with-power"]),
    ("self-test-json", ["self-test", "2", "--with-power", "--json=pretty"]),
    ("history-self-test", ["history", "-n3"]),
    ("restore-stale", ["restore", "7", "--plan=00000000"]),
    ("restore-dry-stale", ["restore", "--dry-run", "7", "--plan=00000000"]),
    ("locate", ["locate", "7"]),
    ("locate-json", ["locate", "slot:7", "--for=30", "--json"]),
    ("list-located", ["list"]),
    ("locate-off", ["locate", "7", "--off"]),
    ("locate-off-again", ["locate", "7", "--off", "--json=pretty"]),
    ("locate-safe", ["locate", "2"]),
    ("locate-stuck", ["locate", "6"]),
    ("locate-unknown", ["locate", "99"]),
    ("locate-contradicts", ["locate", "7", "--off", "--for=5"]),
    ("locate-dry", ["locate", "7", "--dry-run"]),
    ("locate-dry-json", ["locate", "7", "--dry-run", "--json"]),
    ("locate-dry-stuck", ["locate", "6", "--dry-run"]),
    ("locate-dry-unknown", ["locate", "99", "--dry-run"]),
    ("inhibit-dry", ["inhibit", "--dry-run", "--what=2", "--mode=delay", "rsync", "-a", "/a b", "/backup"]),
    ("inhibit-dry-json", ["inhibit", "--dry-run", "--why=copying", "--json", "true"]),
    ("locate-too-long", ["locate", "7", "--for=3601"]),
    ("replace-nobody", ["replace", "2", "--wait=0"]),
    ("replace-nobody-json", ["replace", "2", "--wait=0", "--json"]),
    ("replace-blocked", ["replace", "3"]),
    ("replace-restored", ["replace", "5"]),
    ("replace-stuck-json", ["replace", "6", "--json"]),
    ("replace-nothing", ["replace", "4"]),
    ("replace-dry", ["replace", "2", "--dry-run"]),
]

# What changes a slot: the look that sees it comes afterwards.
CHANGES = ("remove", "restore", "self-test", "replace", "locate")

# What differs from run to run and from user to user.
VARIES = re.compile(r'"(started_usec|located_until|by_uid|uid|pid|usec(?=": ?\d+,\s*"cancelable"))": ?\d+')
MOMENT = re.compile(r"^(safe_remove_\w+_timestamp_seconds) [\d.]+$", re.MULTILINE)
VERSION = re.compile(r'(version|daemon)="[^"]+"')
# json-c before 0.17 writes these over two lines.
EMPTY = re.compile(r"([\[{])\s+([\]}])")


# Of the machine that the tests run on.
MACHINE = re.compile(r'"machine": ?\{[^}]*\}')


def render(result):
    assert "Sanitizer" not in result.stderr, result.stderr
    text = f"{result.stdout}--- stderr\n{result.stderr}--- exit {result.returncode}\n"
    text = VERSION.sub(r'\1="0"', MOMENT.sub(r"\1 0", text))
    return EMPTY.sub(r"\1\2", MACHINE.sub('"machine": {}', VARIES.sub(r'"\1": 0', text)))


INCIDENT = {
    "schema": "safe-remove/incident/1", "id": "1", "slot": "3", "port": "0000:0c:01.0", "card": {"serial": "0x3"}, "cause": "card-gone", "said": None,
    "removal": None, "found_usec": 1753440000000000, "outcome": "lost",
    "message": "the card with the serial number 0x3 was pulled out of slot 3, or died in it, without having been removed; not all of it is gone: memory9: 128 MiB online",
    "lost": ["memory9: 128 MiB online in zone Movable", "process 7 (postgres) has dax0.0"], "done": ["process 7 (postgres) had the card's memory mapped and was ended"],
    "left": [], "next": ["restart the machine as soon as you can", "put no card into slot 3 before its attention LED is off"],
    "timeline": [{"usec": 1753440000000000, "what": "safe-remove finds that the card is gone"}], "last_seen": {"card": {}, "scope": {}}, "kernel_log": ["[1.000000] a line"],
}


def add_incident(state):
    """Nobody pulls a card here: one that is on record."""
    folder = state / "incidents" / "1"
    folder.mkdir(parents=True)
    (folder / "incident.json").write_text(json.dumps(INCIDENT))


def main():
    update = "--update" in sys.argv
    bus = Bus(*sys.argv[1:4])
    wrong = []
    try:
        bus.start_daemon()
        for name, argv in CASES:
            if name == "incident":
                add_incident(bus.state)
            got = render(bus.run(*argv))
            if argv[:1] and argv[0] in CHANGES:
                bus.settle()
            path = HERE / "golden" / f"{name}.txt"
            if update:
                path.write_text(got)
            elif got != (path.read_text() if path.exists() else None):
                wrong.append(name)
                print(f"== {name}: safe-remove {' '.join(argv)}\n-- got\n{got}-- want {path}", file=sys.stderr)
    finally:
        bus.close()
    stray = {p.stem for p in (HERE / "golden").glob("*.txt")} - {name for name, _ in CASES}
    if stray:
        wrong.append(f"no case for golden files: {', '.join(sorted(stray))}")
    if wrong:
        sys.exit(f"{len(wrong)} of {len(CASES)} differ: {', '.join(wrong)}")


main()
