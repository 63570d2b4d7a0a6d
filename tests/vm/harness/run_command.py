# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command tests/vm/run."""

import argparse
import multiprocessing
import os
import signal
import time
from pathlib import Path

from . import image, kernel, matrix, scenario
from .errors import LabError
from .runner import COUNTS, Runner
from .work import Work


def _say(text):
    print(text, flush=True)


def _parser():
    parser = argparse.ArgumentParser(prog="run", description="Run scenarios on the emulated machine.")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--only", metavar="GLOB", action="append", help="run those whose name matches; may be repeated")
    parser.add_argument("--kernel", metavar="SUITE", action="append", choices=kernel.SUITES, default=[], dest="suites",
                        help=f"on the kernel of this suite of Debian's ({', '.join(kernel.SUITES)}), without --only all that belong there; may be repeated")
    parser.add_argument("--matrix", action="store_true", help="what is to be shown on every kernel, on all of them or those named, and a table of it")
    parser.add_argument("--stage", metavar="DIR", type=Path, help="the staging tree that the daemon was installed to")
    parser.add_argument("--keep", action="store_true", help="stop at the first failure and leave the guest running")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for what scenarios leave to chance")
    parser.add_argument("--name", default="run", help="name of the guest (default: run); see tests/vm/lab --name")
    parser.add_argument("--guests", type=int, default=1, help="so many at once (default: 1), called NAME-1, NAME-2, ...")
    return parser


def _chosen(args):
    if args.matrix:
        return matrix.items(args.suites or kernel.SUITES, args.only)
    if not args.only and not args.suites:
        chosen = [*scenario.for_run(args.seed), *matrix.turn(args.seed)]
    else:
        chosen = scenario.matching(args.only or scenario.ON_NEWEST, scenario.load())
        chosen = [item.on(suite) for suite in args.suites for item in chosen] if args.suites else chosen
    turn, turns = map(int, os.environ.get("LAB_SHARE", "1/1").split("/"))
    return chosen[turn - 1::turns]


def _available(chosen):
    """Those whose kernel is to be had, and how many are not; all kernels and roots are made here, before guests run beside each other."""
    missing = set()
    for suite in sorted({item.suite for item in chosen}):
        try:
            image.get(_say, suite)
        except kernel.NotAvailable as error:
            _say(f"skip all of {suite}: {error}")
            missing.add(suite)
    left = [item for item in chosen if item.suite not in missing]
    return left, len(chosen) - len(left)


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
    return runner.counts, runner.failures, runner.outcomes


def _run_beside(args, work, number, results):
    try:
        results.put(_run_all(Runner(f"{args.name}-{number}", args.stage, args.seed, _say), work.of_worker(number)))
    except KeyboardInterrupt:
        pass


def _run_many(args, work):
    """The same in several guests beside each other, each in a process of its own."""
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    workers = [fork.Process(target=_run_beside, args=(args, work, number, results)) for number in range(1, args.guests + 1)]
    counts, failures, outcomes = dict.fromkeys(COUNTS, 0), [], []
    try:
        for worker in workers:
            worker.start()
        # A pipe takes no more than 64 KiB from who ends before it is read.
        while any(worker.is_alive() for worker in workers) or not results.empty():
            while not results.empty():
                more, failed, went = results.get()
                counts = {what: count + more[what] for what, count in counts.items()}
                failures += failed
                outcomes += went
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
    return counts, failures, outcomes


def _interrupted(_signal, _frame):
    raise KeyboardInterrupt


def main(argv):
    parser = _parser()
    args = parser.parse_args(argv)
    if args.guests < 1 or (args.keep and args.guests > 1):
        parser.error("--guests wants a number from 1 on, and is 1 with --keep")
    chosen = _chosen(args)
    if args.list:
        for item in chosen:
            _say(item.name)
        return 0
    _say(f"{len(chosen)} scenarios, seed {args.seed}")
    chosen, absent = _available(chosen)
    work = Work(chosen)
    signal.signal(signal.SIGTERM, _interrupted)  # no guest stays behind
    try:
        if args.guests == 1:
            counts, failures, outcomes = _run_all(Runner(args.name, args.stage, args.seed, _say), work, args.keep)
        else:
            counts, failures, outcomes = _run_many(args, work)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    counts["skipped"] += absent
    if args.matrix:
        _say(matrix.table(args.suites or kernel.SUITES, outcomes))
    # Once more, since of a long output often only the end is to be had.
    for line in ("what failed:", *failures) if failures else ():
        _say(line)
    _say(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] else 0
