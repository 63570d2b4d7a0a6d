# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules of udev's that undo what a removal and its way back do, each alone and two together: it is done once more, or the rule is named and the removal
goes back; nobody is fought for ever, the light is true, and the kernel keeps the card's memory."""

from harness import removal
from harness.scenario import scenario

FILE = "/run/udev/rules.d/99-lab.rules"
UNIT = "lab-rule.service"
START = f'RUN+="/usr/bin/systemctl --no-block start {UNIT}"'

# On the card's memory: its blocks come online, a file system that likes to be there is mounted, and a unit starts that has its memory there.
ONLINE = 'SUBSYSTEM=="memory", ACTION=="add|offline", ATTR{state}="online_movable"'
ADDED_ONLINE = 'SUBSYSTEM=="memory", ACTION=="add", ATTR{state}="online_movable"'
START_ON_MEMORY = f'SUBSYSTEM=="memory", ACTION=="add|offline", {START}'
MOUNT_MEMORY = ('SUBSYSTEM=="memory", ACTION=="add|offline", '
                'RUN+="/usr/bin/systemd-run -q --no-block --collect mount -t tmpfs -o mpol=prefer:NODE lab /mnt/rule"')
# On the card's disk: it is mounted, and a unit starts that has it open.
MOUNT = 'SUBSYSTEM=="block", KERNEL=="pmem*", ACTION=="add|change", RUN+="/usr/bin/systemd-mount --no-block --collect $devnode /mnt/rule"'
START_ON_DISK = f'SUBSYSTEM=="block", KERNEL=="pmem*", ACTION=="add|change", {START}'

SETTLE = "udevadm settle -t 60"
# As somebody does who has changed a rule; systemd mounts behind udev's back.
TRIGGER = f"udevadm trigger -s block -c change; {SETTLE}"
MOUNTED = "timeout 20 sh -c 'until findmnt /mnt/rule; do sleep 0.1; done'"


def lay_down(lab, *lines):
    """These rules for this scenario alone."""
    lab.cleanup(lambda: lab.run(f"udevadm control --reload; systemctl stop {UNIT}", check=False))
    lab.write(FILE, "".join(f"{line}\n" for line in lines))
    lab.sh("udevadm control --reload")


def take_away(lab):
    lab.sh(f"rm -f {FILE}; udevadm control --reload; {SETTLE}; systemctl stop {UNIT} 2> /dev/null || true")


def unit(lab, command):
    """What a rule starts."""
    lab.cleanup(lambda: lab.run("systemctl daemon-reload", check=False))
    lab.write(f"/run/systemd/system/{UNIT}", f"[Service]\nSlice=lab.slice\nExecStart={command}\n")
    lab.sh("systemctl daemon-reload")


def check_true(lab, end, target):
    """Whatever the ending, it is told, and the light says the same."""
    print(f"     ({end['outcome']} {end['code']}: {end['message']} {end['disturbed']})", flush=True)
    lab.check(end["outcome"] in ("safe", "restored"), f"the ending: {end}")
    lab.check(end["code"] != "interfered" or "udev" in end["message"] + str(end["disturbed"]), f"who interferes should be named: {end}")
    lab.wait_leds(target, safe=end["outcome"] == "safe", timeout=30)
    lab.check(lab.slot(target).driver_bound(), "the slot should not be held")


def begin(lab, target, pause, line):
    """A removal that somebody's line meets where it stands still; (its number, the line that has it go on)."""
    go = removal.drill(lab, pause)
    number = removal.last_id(lab) + 1
    lab.cli("remove", target, "--no-wait")
    lab.changed()  # what the rules do is theirs
    at = removal.step_of(lab, number, pause.removeprefix("before-").removeprefix("after-"))
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 120, then=line.format(number=number, go=go))
    return number


def called_off(lab, target, pause):
    """The removal is called off at this pause: its end record."""
    number = begin(lab, target, pause, f"safe-remove cancel {target} --no-wait && {removal.when_back('{number}')} && {{go}}")
    end = removal.wait_for_end(lab, number, 200)
    removal.policy(lab)
    return end


def with_memory(lab, *lines):
    """The card is memory: called off late, and removed; then without the rules it goes, and works again. Whoever brings each block online that goes offline
    lets no removal come so far: it goes back each time, and says who that was."""
    ram, insists = lab.ram(2), ONLINE in lines
    unit(lab, f"{lab.program('keeper')} --node={ram.node} --mib=8")
    lab.sh("mkdir -p /mnt/rule")
    lay_down(lab, *(line.replace("NODE", str(ram.node)) for line in lines))
    if not insists:
        end = called_off(lab, 2, "disable-memdev")
        check_true(lab, end, 2)
        lab.equal(end["outcome"], "restored", "the ending of what was called off")
        lab.sh(SETTLE)
        lab.wait_for(lambda: ram.online() == 4, 30, "all of the memory to be there")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    lab.changed()
    end = removal.wait_for_end(lab, number, 200)
    check_true(lab, end, 2)
    if insists:
        lab.equal((end["outcome"], end["code"]), ("restored", "interfered"), f"the ending ({end['message']})")
    take_away(lab)
    if end["outcome"] != "safe":
        lab.wait_for(lambda: ram.online() == 4, 30, "all of the memory to be there")
        lab.cli("remove", "2", timeout=200)
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    removal.check_card_works(lab, 2)


def with_disk(lab, *lines):
    """There is a file system on the card, and somebody has udev look at all disks: called off late, and removed; then without the rules it goes."""
    region = lab.pmem(3)
    disk = lab.filesystem(region.namespace("fsdax", mib=64).device, "ext4")
    wanted = disk.fill(mib=1)
    unit(lab, f"/bin/sh -c 'exec sleep infinity < {disk.device}'")
    lay_down(lab, *lines)
    end = called_off(lab, 3, "disable-memdev")
    check_true(lab, end, 3)
    lab.equal(end["outcome"], "restored", "the ending of what was called off")
    lab.sh(SETTLE)
    lab.equal(disk.sum(), wanted, "what is on the card")
    unmounted, then = f"timeout 60 sh -c 'while findmnt {disk.target}; do sleep 0.05; done'", MOUNTED if MOUNT in lines else "true"
    number = begin(lab, 3, "after-unmount", f"{unmounted}; {TRIGGER}; {then}; {{go}}")
    end = removal.wait_for_end(lab, number, 200)
    check_true(lab, end, 3)
    removal.policy(lab)
    take_away(lab)
    if end["outcome"] != "safe":
        lab.equal(disk.sum(), wanted, "what is on the card")
        lab.cli("remove", "3", timeout=200)
    removal.check_safe(lab, 3)


MEMORY = {"added": ADDED_ONLINE, "online": ONLINE, "mount": MOUNT_MEMORY, "unit": START_ON_MEMORY}
DISK = {"mount": MOUNT, "unit": START_ON_DISK}


def register(kind, profile, rules, *together):
    for each in (*((one,) for one in rules), *together):
        name = f"udev-rule-{'disk' if kind is with_disk else 'memory'}-{'-and-'.join(each)}"
        scenario(name, profile=profile, timeout=420, turn=True)(lambda lab, each=each: kind(lab, *(rules[one] for one in each)))


register(with_memory, "ram2", MEMORY, ("added", "unit"), ("online", "mount"), ("online", "unit"), ("mount", "unit"))
register(with_disk, "mixed", DISK, ("mount", "unit"))
