# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/vm/run."""

import argparse
import multiprocessing
import signal
import time
from pathlib import Path

from . import image, scenario
from .errors import LabError
from .runner import COUNTS, Runner
from .work import Work


def _say(text):
    print(text, flush=True)


def _parser():
    parser = argparse.ArgumentParser(prog="run", description="Run scenarios on the emulated machine.")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--only", metavar="GLOB", action="append", help="run those whose name matches; may be repeated")
    parser.add_argument("--newer", action="store_true", help="on the newer kernel; without --only all that belong there")
    parser.add_argument("--stage", metavar="DIR", type=Path, help="the staging tree that the daemon was installed to")
    parser.add_argument("--keep", action="store_true", help="stop at the first failure and leave the guest running")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for what scenarios leave to chance")
    parser.add_argument("--name", default="run", help="name of the guest (default: run); see tests/vm/lab --name")
    parser.add_argument("--guests", type=int, default=1, help="so many at once (default: 1), called NAME-1, NAME-2, ...")
    return parser


def _chosen(only, seed, newer):
    if not only and not newer:
        return scenario.for_run(seed)
    chosen = scenario.matching(only or scenario.ON_NEWER, scenario.load())
    return [item.on_newer() for item in chosen] if newer else chosen


def _run_all(runner, work, keep=False):
    """Run what is left of the work in one guest after the other; the counts of how it went, and the failures in short."""
    try:
        while item := work.take(runner.booted):
            if not runner.run(item) and keep:
                break
    except LabError as error:
        _say(f"the lab itself failed: {error}")
        runner.counts["failed"] += 1
        runner.failures.append(f"FAIL the lab itself: {error}")
    finally:
        if keep:
            runner.guest.agent.rest()
            _say(f"the guest goes on: tests/vm/lab --name {runner.guest.name} exec ...")
        else:
            runner.end()
    return runner.counts, runner.failures


def _run_beside(args, work, number, results):
    try:
        results.put(_run_all(Runner(f"{args.name}-{number}", args.stage, args.seed, _say), work.of_worker(number)))
    except KeyboardInterrupt:
        pass


def _run_many(args, work):
    """The same in several guests beside each other, each in a process of its own."""
    for newer in sorted({item.newer for item in work.items}):
        image.get(_say, newer)
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    workers = [fork.Process(target=_run_beside, args=(args, work, number, results)) for number in range(1, args.guests + 1)]
    counts, failures = dict.fromkeys(COUNTS, 0), []
    try:
        for worker in workers:
            worker.start()
        # A pipe takes no more than 64 KiB from who ends before it is read.
        while any(worker.is_alive() for worker in workers) or not results.empty():
            while not results.empty():
                more, failed = results.get()
                counts = {what: count + more[what] for what, count in counts.items()}
                failures += failed
            time.sleep(0.2)
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.terminate()
        raise
    for worker in workers:
        if worker.exitcode != 0:
            failures.append(f"FAIL what ran scenarios beside the others ended with {worker.exitcode}")
            counts["failed"] += 1
    left = work.left()
    failures += [f"FAIL {item.name}: nobody came to run it" for item in left]
    counts["failed"] += len(left)
    return counts, failures


def _interrupted(_signal, _frame):
    raise KeyboardInterrupt


def main(argv):
    parser = _parser()
    args = parser.parse_args(argv)
    if args.guests < 1 or (args.keep and args.guests > 1):
        parser.error("--guests wants a number from 1 on, and is 1 with --keep")
    chosen = _chosen(args.only, args.seed, args.newer)
    if args.list:
        for item in chosen:
            _say(item.name)
        return 0
    _say(f"{len(chosen)} scenarios, seed {args.seed}")
    work = Work(chosen)
    signal.signal(signal.SIGTERM, _interrupted)  # no guest stays behind
    try:
        if args.guests == 1:
            counts, failures = _run_all(Runner(args.name, args.stage, args.seed, _say), work, args.keep)
        else:
            counts, failures = _run_many(args, work)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    # Once more, since of a long output often only the end is to be had.
    for line in ("what failed:", *failures) if failures else ():
        _say(line)
    _say(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] else 0
