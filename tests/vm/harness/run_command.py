# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/vm/run."""

import argparse
import fnmatch
import time
from pathlib import Path

from . import scenario
from .errors import LabError
from .runner import Runner


def _say(text):
    print(text, flush=True)


def _parser():
    parser = argparse.ArgumentParser(prog="run", description="Run scenarios on the emulated machine.")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--only", metavar="GLOB", action="append", help="run those whose name matches; may be repeated")
    parser.add_argument("--stage", metavar="DIR", type=Path, help="the staging tree that the daemon was installed to")
    parser.add_argument("--keep", action="store_true", help="stop at the first failure and leave the guest running")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for what scenarios leave to chance")
    parser.add_argument("--name", default="run", help="name of the guest (default: run); see tests/vm/lab --name")
    return parser


def _chosen(only, seed):
    if not only:
        return scenario.for_run(seed)
    return [item for item in scenario.load() if any(fnmatch.fnmatch(item.name, glob) for glob in only)]


def main(argv):
    args = _parser().parse_args(argv)
    chosen = _chosen(args.only, args.seed)
    if args.list:
        for item in chosen:
            _say(item.name)
        return 0
    runner = Runner(args.name, args.stage, args.seed, _say)
    _say(f"{len(chosen)} scenarios, seed {args.seed}")
    try:
        for item in chosen:
            if not runner.run(item) and args.keep:
                break
    except LabError as error:
        _say(f"the lab itself failed: {error}")
        runner.counts["failed"] += 1
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    finally:
        if args.keep:
            runner.guest.agent.rest()
            _say(f"the guest goes on: tests/vm/lab --name {args.name} exec ...")
        else:
            runner.end()
    _say(runner.summary())
    return 1 if runner.counts["failed"] else 0
