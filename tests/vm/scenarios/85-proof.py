# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the light relies on: each probe can keep it from saying safe all alone."""

import json

from harness import config_space, removal, storage
from harness.scenario import scenario

# What the daemon and its workers see of the kernel, and nobody else does. Where a probe's answer can be made wrong in the real
# kernel that is done; elsewhere one thing is added to what it reads.
FAKE = "/run/lab-proof"
INSIDE = "nsenter -t $(systemctl show -p MainPID --value safe-remove-guard.service) -m"
COPY_OF_CXL = "for d in /sys/bus/cxl/devices/*; do ln -s $(readlink -f $d) {fake}/; done"

FAKES = {
    "memory-blocks": ("/sys/devices/system/memory", """
        cp /sys/devices/system/memory/block_size_bytes {fake}
        mkdir {fake}/memory{block}; echo online > {fake}/memory{block}/state; echo Movable > {fake}/memory{block}/valid_zones"""),
    "iomem": ("/proc/iomem", "cat /proc/iomem > {fake}; echo '{start:x}-{end:x} : left over' >> {fake}"),
    "regions": ("/sys/bus/cxl/devices", f"""{COPY_OF_CXL}
        mkdir -p {{left}}/decoder0.0/region9; ln -s {{left}}/decoder0.0/region9 {{fake}}/
        echo {{start:#x}} > {{fake}}/region9/resource; echo {{size:#x}} > {{fake}}/region9/size"""),
    "decoders": ("/sys/bus/cxl/devices", f"""{COPY_OF_CXL}
        mkdir {{fake}}/decoder9.0; echo cxl_decoder_switch > {{fake}}/decoder9.0/devtype; echo region9 > {{fake}}/decoder9.0/region
        echo {{start:#x}} > {{fake}}/decoder9.0/start; echo {{size:#x}} > {{fake}}/decoder9.0/size"""),
    "drivers": ("/sys/bus/dax/devices", """
        mkdir {left}; ln -s {left} {fake}/dax9.0; ln -s /sys/bus/dax/drivers/kmem {fake}/dax9.0/driver
        echo {start:#x} > {fake}/dax9.0/resource; echo {size} > {fake}/dax9.0/size; echo 9 > {fake}/dax9.0/target_node"""),
    "memdevs": ("/sys/bus/cxl/devices", f"""{COPY_OF_CXL}
        rm -f {{fake}}/{{memdev}}; mkdir {{left}}; ln -s {{left}} {{fake}}/{{memdev}}; echo 0x1 > {{fake}}/{{memdev}}/serial"""),
    "functions": ("/sys/bus/pci/devices", """
        for d in /sys/bus/pci/devices/*; do ln -s $(readlink -f $d) {fake}/; done
        rm -f {fake}/{card}; mkdir {fake}/{card}"""),
    "below-port": ("/sys/bus/clockevents/devices", "ln -s ../../../devices/pci0000:00/{port}/thing0 {fake}/thing0"),
    "references": ("/proc/swaps", "cat /proc/swaps > {fake}; echo '/dev/nvme9n9 partition 1024 0 -2' >> {fake}"),
    "power": ("/sys/bus/pci/slots/2/power", "echo 1 > {fake}"),
    "link": ("$(readlink -f /sys/bus/pci/devices/{port}/config)", """
        cat /sys/bus/pci/devices/{port}/config > {fake}
        byte=$(od -An -tu1 -j{link_status} -N1 {fake})
        printf "\\\\$(printf %o $((byte | 0x20)))" | dd of={fake} bs=1 seek={link_status} conv=notrunc status=none"""),
}
FILES = ("iomem", "references", "power", "link")

# With these the removal itself is stuck: for whoever asks again the card is still there, or nobody can look at the machine.
BLINDING = ("memdevs", "functions")


def unproven(lab, number):
    """The probes that do not hold, asked afresh."""
    answer = json.loads(lab.cli("verify", number, "--json", check=False)[1])
    lab.equal(answer["holds"], not [p for p in answer["probes"] if not p["holds"]], "whether all of them hold")
    return [probe["name"] for probe in answer["probes"] if not probe["holds"]]


def check_stuck(lab, probe, number, target):
    """It ended stuck because of this probe alone: by its message, the light, the certificate, and whoever asks again."""
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "stuck", f"the outcome ({end['message']})")
    lab.check(f"{probe} (" in end["message"], f"the probe '{probe}' should be named: {end['message']}")
    leds = lab.slot(int(target)).leds()
    lab.check(not leds.safe and leds.attention == "on", f"the light should not say safe: {leds}")
    if probe not in BLINDING:
        lab.equal(unproven(lab, target), [probe], "the probes that do not hold")
    asked = {p["name"]: p["holds"] for p in removal.certificate(lab, number)["probes"]}
    lab.equal([name for name, holds in asked.items() if not holds], [probe], "what the certificate says does not hold")
    return end


def stuck(lab, probe, cause, target="2"):
    """A removal whose last proof fails at one probe: `cause` is a shell line that is run before the last step, with the
    worker stopped, so that it may take its time."""
    go = removal.drill(lab, "power-off", "show-safe")
    last = storage.step_number(lab, "show-safe", target)
    number = removal.last_id(lab) + 1
    lab.cli("remove", target, "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{last - 2},', 120, then=f"pgrep -o -f '^safe-remove-worker run' > {FAKE}.worker; "
                                                                                       f"{removal.go_on('power-off')}")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{last},', 60,
                            then=f"read worker < {FAKE}.worker; kill -STOP $worker; {cause}; {go}; kill -CONT $worker")
    removal.policy(lab)
    return check_stuck(lab, probe, number, target)


def stuck_again(lab, probe, cause, target="2"):
    """The same asked again, with another cause."""
    lab.sh(cause)
    number = removal.last_id(lab) + 1
    lab.equal(lab.cli("remove", target, check=False)[0], removal.STUCK, f"the exit status with '{probe}' not holding")
    return check_stuck(lab, probe, number, target)


def finish(lab, target="2"):
    """With no cause left, asking again sets the light."""
    number = removal.last_id(lab) + 1
    lab.equal(unproven(lab, target), [], "the probes that do not hold")
    lab.cli("remove", target)
    lab.check(lab.slot(int(target)).leds().safe, "the light should say safe")
    told = removal.certificate(lab, number)
    lab.equal((told["kind"], told["outcome"], [p["name"] for p in told["probes"] if p["holds"] is not True]), ("finish", "safe", []),
              "kind, outcome and the probes that did not hold")
    lab.cli("certificate", "--verify")
    lab.equal(lab.cli("remove", target, check=False)[0], removal.NOTHING, "the exit status of asking once more")


class Fake:
    """Something added to what the daemon and its workers see of the kernel: shell lines that put it there and take it away."""

    def __init__(self, lab, probe, ram=None):
        port = lab.slot(2).place.bdf
        fake = f"{FAKE}/{probe}"
        known = {"fake": fake, "left": f"{fake}.left", "memdev": lab.slot(2).memdev(), "card": lab.slot(2).bdf(), "port": port,
                 "link_status": config_space.express_capability(lab.guest.qmp, port) + 0x13}
        if ram:
            known |= {"start": ram.start, "size": ram.size, "end": ram.start + ram.size - 1, "block": ram.block_numbers[0]}
        self.where, make = (text.format(**known) for text in FAKES[probe])
        lab.sh(f"rm -rf {fake} {fake}.left; mkdir -p {FAKE if probe in FILES else fake}")
        lab.write(f"{FAKE}/make-{probe}", f"set -e\n{make}\n{INSIDE} mount --bind {fake} {self.where}\n")
        self.put = f"sh {FAKE}/make-{probe}"
        # A look that the daemon takes by itself may be at it.
        self.take = f"{INSIDE} timeout 60 sh -c 'until umount {self.where} 2> {FAKE}.umount; do grep -q busy {FAKE}.umount && sleep 0.1 || exit 1; done'"
        lab.cleanup(lambda: lab.run(self.take, check=False))


@scenario("proof-of-memory", timeout=240)
def of_memory(lab):
    """memory-blocks, iomem, regions, decoders, drivers: something of the card's memory is left."""
    ram = lab.ram(2)
    first, *others = [(probe, Fake(lab, probe, ram)) for probe in ("regions", "memory-blocks", "iomem", "decoders", "drivers")]
    stuck(lab, first[0], first[1].put)
    lab.sh(first[1].take)
    for probe, fake in others:
        stuck_again(lab, probe, fake.put)
        lab.sh(fake.take)
    finish(lab)


@scenario("proof-of-slot", timeout=300)
def of_slot(lab):
    """memdevs, below-port, references, power, link, indicators: the slot, or what is or was in it, is not as it should be."""
    first, *others = [(probe, Fake(lab, probe)) for probe in ("memdevs", "below-port", "references", "power", "link")]
    port = lab.slot(2).place.bdf
    stuck(lab, first[0], first[1].put)
    lab.sh(first[1].take)
    for probe, fake in others:
        stuck_again(lab, probe, fake.put)
        lab.sh(fake.take)
    stuck_again(lab, "indicators", f"setpci -s {port} CAP_EXP+18.w=0100:0300")
    lab.sh(f"setpci -s {port} CAP_EXP+18.w=0300:0300")
    finish(lab)


@scenario("proof-of-functions", timeout=240)
def of_functions(lab):
    """A PCI function is still listed."""
    fake = Fake(lab, "functions")
    stuck(lab, "functions", fake.put)
    lab.sh(fake.take)
    finish(lab)


@scenario("proof-of-processes", profile="nodes", timeout=240)
def of_processes(lab):
    """Somebody has mapped, or open, what has the device's name and number. The kernel gives the number out again; only the name is
    made up."""
    ram = lab.ram(2)
    number = lab.sh(f"cat /sys/bus/dax/devices/{ram.dax}/dev")
    power = Fake(lab, "power")
    stuck(lab, "power", power.put)
    lab.sh(power.take)
    device = lab.devdax(lab.ram(3, online="offline", window=1))
    lab.equal(lab.sh(f"cat /sys/bus/dax/devices/{device.rsplit('/', 1)[-1]}/dev"), number, "the number of the other card's device")
    lab.sh(f"mkdir -p {FAKE}/char && ln -sfn /sys/devices/{ram.dax} {FAKE}/char/{number} && {INSIDE} mount --bind {FAKE}/char /sys/dev/char")
    lab.cleanup(lambda: lab.run(f"{INSIDE} umount /sys/dev/char", check=False))
    for options in (["--map=shared", "--close"], []):
        holder = lab.holder(*options, device)
        end = stuck_again(lab, "processes", "true")
        lab.check(f"process {holder.pids[0]} (holder) has" in end["message"], end["message"])
        holder.stop()
    finish(lab)


@scenario("proof-of-storage", profile="mixed", timeout=240)
def of_storage(lab):
    """block-devices, mounts: one of the card's name and number is there; another one's file system has the number."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    name = disk.device.rsplit("/", 1)[-1]
    number = lab.sh(f"cat /sys/class/block/{name}/dev")
    left, fake = f"{FAKE}/left", f"{FAKE}/block"
    lab.write(f"{FAKE}/make", f"""set -e
        mkdir -p {left} {fake}; for d in /sys/class/block/*; do ln -s $(readlink -f $d) {fake}/; done
        ln -s {left} {fake}/{name}; echo {number} > {left}/dev; echo 0 > {left}/size; echo 0 > {left}/ro
        {INSIDE} mount --bind {fake} /sys/class/block
        """)
    lab.cleanup(lambda: lab.run(f"{INSIDE} umount /sys/class/block", check=False))
    stuck(lab, "block-devices", f"sh {FAKE}/make", target="3")
    lab.sh(f"{INSIDE} umount /sys/class/block")
    # One partition of 40,000 sectors after the first 2,048. Not every Debian has addpart. A partition gets the lowest number that
    # is free: the one of the card, unless somebody had a partition open when the table was read a second time.
    lab.sh(r"""truncate -s 32M /run/image && printf '\0\0\0\0\203\0\0\0\0\10\0\0\100\234\0\0' | dd of=/run/image bs=1 seek=446 conv=notrunc status=none &&
        printf '\125\252' | dd of=/run/image bs=1 seek=510 conv=notrunc status=none""")
    lab.cleanup(lambda: lab.run("umount /mnt/other; losetup -d /dev/loop0; rm -f /run/image", check=False))

    def has_number():
        lab.run("losetup -d /dev/loop0; udevadm settle; losetup -P /dev/loop0 /run/image; udevadm settle", check=False)
        return lab.run("cat /sys/class/block/loop0p1/dev", check=False)[1].strip() == number

    lab.wait_for(has_number, 60, f"another block device to have the number {number}")
    lab.filesystem("/dev/loop0p1", "ext4", target="/mnt/other")
    stuck_again(lab, "mounts", "true", target="3")
    lab.sh("umount /mnt/other")
    finish(lab, "3")


@scenario("proof-of-kernel-log", profile="nodes", timeout=240, own_guest=True, allow=[r"removing memory fails", r"cannot be hotremoved"])
def of_kernel_log(lab):
    """The kernel loses another card's memory meanwhile: nobody knows what else it has lost, and asking again does not help."""
    other = lab.ram(3)
    lab.ram(2, window=1)
    end = stuck(lab, "kernel-log", f"echo {other.dax} > /sys/bus/dax/drivers/kmem/unbind")
    lab.check("removing memory fails" in end["message"], end["message"])
    stuck_again(lab, "kernel-log", "true")
    number = removal.last_id(lab) + 1
    status = lab.cli("remove", "2", "--acknowledge=kernel-log", check=False)[0]
    lab.equal(status, removal.STUCK, "the exit status of putting aside what is about memory")
    end = check_stuck(lab, "kernel-log", number, "2")
    lab.check("shutdown -r" in end["remedy"][0], f"the remedy: {end['remedy']}")
    # Meanwhile the slot has the card again, with its memory elsewhere, and somebody pulls it: that is asked about as well.
    lab.slot(2).insert()
    newer = lab.ram(2)
    lab.wait_for(lambda: f'"start":{newer.start},' in lab.sh("cat /run/safe-remove/cards/*.json || true"), 20, "the daemon to have seen the memory")
    lab.slot(2).pull()
    lab.wait_leds(2, attention="on")
    number = removal.last_id(lab) + 1
    lab.equal(lab.cli("remove", "2", check=False)[0], removal.STUCK, "the exit status of asking again")
    end = removal.wait_for_end(lab, number)
    lab.check(f"memory{newer.block_numbers[0]} is online" in end["message"], f"what is left of the newer card should be said: {end['message']}")
    lab.check(not lab.slot(2).leds().safe, f"the light should not say safe: {lab.slot(2).leds()}")


HUNG = r"blocked for more than \d+ seconds|hung_task_timeout_secs|Call Trace|RIP: 0033"


@scenario("proof-acknowledged", timeout=300, own_guest=True, allow=[HUNG])
def acknowledged(lab):
    """Somebody's process hangs in the kernel meanwhile, on something else: the operator says so, and the record too."""
    lab.sh("truncate -s 64M /run/frozen && mkfs.ext4 -q /run/frozen && mkdir -p /mnt/frozen && mount -o loop /run/frozen /mnt/frozen")
    lab.sh("fsfreeze --freeze /mnt/frozen")
    lab.cleanup(lambda: lab.run("fsfreeze --unfreeze /mnt/frozen; umount /mnt/frozen; rm -f /run/frozen", check=False))
    lab.ram(2)
    complaint = ("sysctl -q kernel.hung_task_timeout_secs=1; touch /mnt/frozen/file >/dev/null 2>&1 & "
                 "until dmesg | grep -q 'blocked for more than'; do sleep 0.2; done; sysctl -q kernel.hung_task_timeout_secs=0")
    end = stuck(lab, "kernel-log", complaint)
    lab.check("blocked for more than" in end["message"], end["message"])
    end = stuck_again(lab, "kernel-log", "true")
    remedy = end["remedy"][0]
    lab.check("--acknowledge=kernel-log" in remedy, f"the remedy: {remedy}")
    number = removal.last_id(lab) + 1
    lab.sh(remedy)
    lab.check(lab.slot(2).leds().safe, "the light should say safe")
    told = removal.certificate(lab, number)
    lab.equal((told["outcome"], told["options"].get("acknowledge")), ("safe", "kernel-log"), "outcome and what was asked for")
    lab.check("blocked for more than" in told["forced"][0], f"the certificate should name it: {told['forced']}")
    lab.equal(unproven(lab, "2"), [], "the probes that do not hold")
    lab.cli("certificate", "--verify")


@scenario("proof-verify")
def verify(lab):
    """Asked of a card that is up, of one that is not, by anybody; nothing is touched."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    number = removal.last_record(lab)
    status, out, _ = lab.run("setpriv --reuid=65534 --regid=65534 --clear-groups safe-remove verify 2", check=False)
    lab.equal(status, removal.NOT_PROVEN, "the exit status")
    for said in (f"memory{ram.block_numbers[0]} is online", "is driven by kmem", "the link of port", "slot 2 reads power 1"):
        lab.check(said in out, f"'{said}' should be said: {out}")
    lab.equal((removal.Picture.take(lab), removal.last_record(lab)), (before, number), "the machine and the newest record")
    lab.cli("remove", "2")
    status, out, _ = lab.cli("verify", "2", check=False)
    lab.equal(status, 0, f"the exit status ({out})")
    lab.slot(2).insert()
    lab.check("functions" in unproven(lab, "2"), "the new card should be seen")
