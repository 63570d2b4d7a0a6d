# SPDX-License-Identifier: LGPL-2.1-or-later
"""The front door for people: tests/vm/lab."""

import argparse
import concurrent.futures
import shlex
import sys
import time
from pathlib import Path

from . import filesystem, image, kernel, matrix, pmem, profiles, qemu, stage
from .errors import LabError
from .guest import Guest
from .holder import Holder
from .slot import Slot


def _say(text):
    print(text, file=sys.stderr, flush=True)


def _image(_guest, args):
    """All at once: one waits for the mirror while another unpacks. A kernel that is not to be had is no failure here."""
    suite = matrix.suite_of_turn(args.seed) if args.seed is not None else kernel.NEWEST
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for made in [pool.submit(image.get, _say), pool.submit(qemu.get, _say), pool.submit(image.get, _say, suite)]:
            print(made.result().folder)


def _up(guest, args):
    start = time.monotonic()
    guest.up(args.profile, args.vmlinuz, args.initrd, args.cmdline, suite=args.suite, say=_say)
    _say(f"guest {guest.name} is up after {time.monotonic() - start:.1f} s, its folder is {guest.dir}")


def _down(guest, _args):
    guest.down()


def _exec(guest, args):
    """One argument is a shell line; several are a command and its arguments."""
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    command = words[0] if len(words) == 1 else shlex.join(words)
    stdin = "" if sys.stdin.isatty() or not args.stdin else sys.stdin.read()
    rc, out, err = guest.run(command, timeout=args.timeout, check=False, stdin=stdin)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return rc


def _push(guest, args):
    for path in args.file:
        print(stage.push(guest, path))


def _install(guest, args):
    stage.install(guest, args.folder)


def _press(guest, args):
    Slot(guest, args.slot).press(force=args.force)


def _insert(guest, args):
    card = None
    if args.serial is not None or args.kind or args.size:
        card = profiles.Card(args.serial or 90 + args.slot, args.kind or "ram", (args.size or 512) << 20)
    Slot(guest, args.slot).insert(card, wait=not args.no_wait)


def _pull(guest, args):
    Slot(guest, args.slot).pull()


def _pmem(guest, args):
    region = pmem.board(guest) if args.slot == "board" else pmem.create(guest, int(args.slot), uuid=args.uuid)
    print(f"{region.region} over {region.cxl or 'the board'}, uuid {region.uuid}")
    if args.uuid:
        made = region.namespaces()
    else:
        made = [region.namespace(args.mode, args.mib)]
    for namespace in made:
        print(f"{namespace.name} {namespace.mode} {namespace.device}")
    if args.fs:
        print(f"{filesystem.create(guest, made[0].device, args.fs, args.target).target}")


def _hold(guest, args):
    held = Holder(guest, [word for word in args.option if word != "--"], args.unit)
    print(f"{held.unit} holds with {' '.join(map(str, held.pids))}")


def _leds(guest, args):
    print(Slot(guest, args.slot).leds())


def _dmesg(guest, _args):
    sys.stdout.write(guest.run(["dmesg"])[1])


def _verb(verbs, name, function, text, slot=False):
    verb = verbs.add_parser(name, help=text)
    verb.set_defaults(function=function)
    if slot:
        verb.add_argument("slot", type=int, help="2, 3, 5, 4 (an ordinary card), or what else the profile has")
    return verb


def _parser():
    parser = argparse.ArgumentParser(prog="lab", description="The emulated machine with CXL cards in hot-plug slots.")
    parser.add_argument("--name", default="dev", help="which guest (default: dev); any number can run side by side")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    made = _verb(verbs, "image", _image, "make the guests' images, and QEMU's folder, unless they are there")
    made.add_argument("--seed", type=int, help="of a run whose kernel is wanted besides the usual one")
    up = _verb(verbs, "up", _up, "boot a guest in the background; returns when it answers")
    up.add_argument("--profile", default="ram2", choices=profiles.PROFILES, help="which cards (default: ram2)")
    up.add_argument("--kernel", dest="suite", default="", metavar="SUITE", choices=kernel.SUITES,
                    help=f"with the kernel of one of Debian's suites, on Debian 13: {', '.join(kernel.SUITES)}")
    up.add_argument("--vmlinuz", type=Path, help="boot this kernel instead (needs --initrd)")
    up.add_argument("--initrd", type=Path)
    up.add_argument("--cmdline", default="", help="more for the kernel command line")
    run = _verb(verbs, "exec", _exec, "run a command in the guest; its output and exit status become ours")
    run.add_argument("--timeout", type=float, default=60)
    run.add_argument("--stdin", action="store_true", help="hand our standard input over to it")
    run.add_argument("command", nargs=argparse.REMAINDER)
    push = _verb(verbs, "push", _push, "copy files to /lab in the guest")
    push.add_argument("file", nargs="+", type=Path)
    install = _verb(verbs, "install", _install, "unpack an installed staging tree, restart the daemon")
    install.add_argument("folder", type=Path)
    press = _verb(verbs, "press", _press, "press a slot's attention button", slot=True)
    press.add_argument("--force", action="store_true", help="also while the power light blinks")
    insert = _verb(verbs, "insert", _insert, "put a card in; by default the one that was there at boot", slot=True)
    insert.add_argument("--serial", type=int)
    insert.add_argument("--kind", choices=("ram", "pmem", "nvme"))
    insert.add_argument("--size", type=int, metavar="MIB")
    insert.add_argument("--no-wait", action="store_true", help="return before the kernel knows the card")
    _verb(verbs, "pull", _pull, "take the card out, powered or not", slot=True)
    make = _verb(verbs, "pmem", _pmem, "make a region, a namespace and perhaps a file system on persistent memory")
    make.add_argument("slot", help="number of the slot (3, in the profile mixed), or 'board' for the NVDIMM")
    make.add_argument("--mode", default="fsdax", choices=("fsdax", "devdax", "sector", "raw"))
    make.add_argument("--mib", type=int, default=64)
    make.add_argument("--uuid", help="of an earlier region over this card: what was on it comes back")
    make.add_argument("--fs", choices=filesystem.MAKE)
    make.add_argument("--target", default="/mnt/card", help="where to mount it (default: /mnt/card)")
    hold = _verb(verbs, "hold", _hold, "start a process that holds a file or device: 'hold NAME -- OPTION... PATH'")
    hold.add_argument("unit", metavar="NAME", help="the unit becomes lab-NAME.service")
    hold.add_argument("option", nargs=argparse.REMAINDER, help="see holder.c")
    _verb(verbs, "leds", _leds, "read a slot's lights from the port's registers", slot=True)
    _verb(verbs, "dmesg", _dmesg, "the guest's kernel log")
    _verb(verbs, "down", _down, "end the guest")
    return parser


def main(argv):
    args = _parser().parse_args(argv)
    try:
        return args.function(Guest(args.name), args) or 0
    except LabError as error:
        _say(f"lab: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
