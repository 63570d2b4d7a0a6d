# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the light relies on: each probe can keep it from saying safe all alone, a light that has become untrue is withdrawn, and
the certificate tells what was proven."""

import functools
import json
import time

from harness import config_space, removal
from harness.scenario import scenario

# What the daemon and its workers see of the kernel, and nobody else does. Where a probe's answer can be made wrong in the real
# kernel that is done; elsewhere one attribute is replaced by what it would read then.
FAKE = "/run/lab-proof"
INSIDE = "nsenter -t $(systemctl show -p MainPID --value safe-removed.service) -m"
NOT_PROVEN = 11

FAKES = {
    "memory-blocks": ("/sys/devices/system/memory", """
        cp /sys/devices/system/memory/block_size_bytes {fake}
        mkdir {fake}/memory{block}; echo online > {fake}/memory{block}/state; echo Movable > {fake}/memory{block}/valid_zones"""),
    "iomem": ("/proc/iomem", "cat /proc/iomem > {fake}; echo '{start:x}-{end:x} : left over' >> {fake}"),
    "regions": ("/sys/bus/cxl/devices", """
        mkdir {fake}/region9; echo {start:#x} > {fake}/region9/resource; echo {size:#x} > {fake}/region9/size"""),
    "decoders": ("/sys/bus/cxl/devices", """
        mkdir {fake}/decoder9.0; echo cxl_decoder_switch > {fake}/decoder9.0/devtype; echo region9 > {fake}/decoder9.0/region
        echo {start:#x} > {fake}/decoder9.0/start; echo {size:#x} > {fake}/decoder9.0/size"""),
    "drivers": ("/sys/bus/dax/devices", """
        mkdir {fake}/dax9.0; ln -s /sys/bus/dax/drivers/kmem {fake}/dax9.0/driver
        echo {start:#x} > {fake}/dax9.0/resource; echo {size} > {fake}/dax9.0/size"""),
    "memdevs": ("/sys/bus/cxl/devices", "mkdir {fake}/{memdev}; echo 0x1 > {fake}/{memdev}/serial"),
    "functions": ("/sys/bus/pci/devices", """
        for f in /sys/bus/pci/devices/*; do ln -s $(readlink -f $f) {fake}/; done
        mkdir {fake}/{card}"""),
    "power": ("/sys/bus/pci/slots/2/power", "echo 1 > {fake}"),
    "link": ("$(readlink -f /sys/bus/pci/devices/{port}/config)", """
        cat /sys/bus/pci/devices/{port}/config > {fake}
        byte=$(od -An -tu1 -j{link_status} -N1 {fake})
        printf "\\\\$(printf %o $((byte | 0x20)))" | dd of={fake} bs=1 seek={link_status} conv=notrunc status=none"""),
}
FILES = ("iomem", "power", "link")


def step_number(lab, name, target="2"):
    return [step["name"] for step in lab.cli_json("plan", target)["steps"]].index(name)


# With these nobody can make a picture of the machine, which a question from outside begins with.
BLINDING = ("regions", "decoders", "drivers", "memdevs", "functions")


def unproven(lab, number):
    """The probes that do not hold, asked afresh."""
    answer = json.loads(lab.cli("verify", number, "--json", check=False)[1])
    lab.equal(answer["holds"], not [p for p in answer["probes"] if not p["holds"]], "whether all of them hold")
    return [probe["name"] for probe in answer["probes"] if not probe["holds"]]


def held_back(lab, probe, cause, step="show-safe", undo="true", target="2", outcome="stuck"):
    """A removal whose last proof fails at one probe: `cause` is a shell line that is run in front of `step`."""
    removal.policy(lab, StepDelayMSec=1500)
    record = f'"ev":"do","n":{step_number(lab, step, target)},'
    number = removal.last_id(lab) + 1
    lab.cli("remove", target, "--no-wait")
    removal.wait_for_record(lab, number, record, 120, then=cause)
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], outcome, f"the outcome ({end['message']})")
    lab.check(f"{probe} (" in end["message"], f"the probe '{probe}' should be named: {end['message']}")
    leds = lab.slot(int(target)).leds()
    lab.check(not leds.safe and (leds.attention == "on" or outcome != "stuck"), f"the light should not say safe: {leds}")
    if outcome == "stuck":
        if probe not in BLINDING:
            lab.equal(unproven(lab, target), [probe], "the probes that do not hold")
        asked = {p["name"]: p["holds"] for p in lab.cli_json("certificate", number)["probes"]}
        lab.equal([name for name, holds in asked.items() if not holds], [probe], "what the certificate says does not hold")
    lab.sh(undo)
    if outcome == "stuck":
        lab.equal(unproven(lab, target), [], "the probes that do not hold afterwards")
    return end


def with_fake(lab, probe):
    ram = lab.ram(2)
    where, make = FAKES[probe]
    port = lab.slot(2).place.bdf
    fake = f"{FAKE}/{probe}"
    known = {"fake": fake, "start": ram.start, "size": ram.size, "end": ram.start + ram.size - 1, "block": ram.block_numbers[0],
             "memdev": lab.slot(2).memdev(), "card": lab.slot(2).bdf(), "port": port,
             "link_status": config_space.express_capability(lab.guest.qmp, port) + 0x13}
    lab.sh(f"rm -rf {FAKE}; mkdir -p {FAKE if probe in FILES else fake}")
    where = where.format(**known)
    lab.write(f"{FAKE}/make", f"set -e\n{make.format(**known)}\n{INSIDE} mount --bind {fake} {where}\n")
    lab.cleanup(lambda: lab.run(f"{INSIDE} umount {where}", check=False))
    held_back(lab, probe, f"sh {FAKE}/make", undo=f"{INSIDE} umount {where}")


for name in FAKES:
    scenario(f"proof-of-{name}", timeout=240, long=name != "memory-blocks")(functools.partial(with_fake, probe=name))


@scenario("proof-of-indicators", timeout=240, long=True)
def of_indicators(lab):
    """Somebody writes the power LED behind our back."""
    lab.ram(2)
    port = lab.slot(2).place.bdf
    held_back(lab, "indicators", f"setpci -s {port} CAP_EXP+18.w=0100:0300", undo=f"setpci -s {port} CAP_EXP+18.w=0300:0300")


@scenario("proof-of-kernel-log", timeout=240, own_guest=True, allow=[r"removing memory fails", r"cannot be hotremoved"], long=True)
def of_kernel_log(lab):
    """The kernel loses another card's memory meanwhile: nobody knows what else it has lost."""
    lab.ram(2)
    other = lab.ram(3, window=1)
    removal.policy(lab, StepDelayMSec=1500)
    record = f'"ev":"do","n":{step_number(lab, "show-safe")},'
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, record, 120, then=f"echo {other.dax} > /sys/bus/dax/drivers/kmem/unbind")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "stuck", "the outcome")
    lab.check("kernel-log (" in end["message"] and "removing memory fails" in end["message"], end["message"])
    lab.check(not lab.slot(2).leds().safe, "the light should not say safe")
    lab.equal(unproven(lab, "2"), ["kernel-log"], "the probes that do not hold")


@scenario("proof-verify")
def verify(lab):
    """Asked of a card that is up, of one that is not, by anybody; nothing is touched."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    number = removal.last_id(lab)
    status, out, _ = lab.run("setpriv --reuid=65534 --regid=65534 --clear-groups safe-remove verify 2", check=False)
    lab.equal(status, NOT_PROVEN, "the exit status")
    for said in (f"memory{ram.block_numbers[0]} is online", "is driven by kmem", "the link of port", "slot 2 reads power 1"):
        lab.check(said in out, f"'{said}' should be said: {out}")
    lab.equal((removal.Picture.take(lab), removal.last_id(lab)), (before, number), "the machine and the newest record")
    lab.cli("remove", "2")
    status, out, _ = lab.cli("verify", "2", check=False)
    lab.equal(status, 0, f"the exit status ({out})")
    lab.slot(2).insert()
    lab.check("functions" in unproven(lab, "2"), "the new card should be seen")


@scenario("proof-certificate")
def certificate(lab):
    """The certificate of a removal verifies; one altered byte does not, nor does a missing one."""
    lab.ram(2)
    lab.cli("remove", "2")
    lab.cli("remove", "3")
    number = removal.last_id(lab) - 1
    told = lab.cli_json("certificate", number)
    lab.equal((told["removal"], told["card"]["serial"], told["slot"]["name"], told["outcome"]), (str(number), "0x1", "2", "safe"),
              "removal, serial number, slot and outcome")
    lab.equal([p["name"] for p in told["probes"] if p["holds"] is not True], [], "the probes that did not hold")
    lab.check(len(told["probes"]) >= 12, f"all probes should be there: {told['probes']}")
    lab.equal(told["by"]["comm"], "safe-remove", "who asked")
    file = f"{removal.STATE_DIR}/removals/{number}/certificate.json"
    mine = lab.sh(r"""sed 's/,"sha256":"[0-9a-f]*"}$/}/' """ + file + " | tr -d '\\n' | sha256sum").split()[0]
    lab.equal(mine, told["sha256"], "the digest, made again with sed and sha256sum")
    lab.check(lab.run(f"journalctl -q SAFE_REMOVE_CERTIFICATE={mine} | grep -q safe", check=False)[0] == 0,
              "the digest should be in the system journal")
    lab.cli("certificate", "--verify")
    size = int(lab.sh(f"stat -c %s {file}"))
    for path in (file, file.replace("certificate.json", "journal"), f"{removal.STATE_DIR}/chain.json"):
        at = lab.random.randrange(min(size, int(lab.sh(f"stat -c %s {path}"))))
        lab.sh(f"cp {path} /run/kept; printf '\\001' | dd of={path} bs=1 seek={at} conv=notrunc status=none")
        lab.equal(lab.cli("certificate", "--verify", check=False)[0], NOT_PROVEN, f"the exit status with byte {at} of {path} altered")
        lab.sh(f"cat /run/kept > {path}")
        lab.cli("certificate", "--verify")
    lab.sh(f"mv {removal.STATE_DIR}/removals/{number} /run/kept.d")
    status, out, _ = lab.cli("certificate", "--verify", check=False)
    lab.equal(status, NOT_PROVEN, "the exit status without the record")
    lab.check("missing" in out, out)
    lab.sh(f"mv /run/kept.d {removal.STATE_DIR}/removals/{number}")
    lab.cli("certificate", "--verify")


@scenario("proof-certificate-of-the-killed", timeout=240, long=True)
def certificate_of_the_killed(lab):
    """A worker that dies on the way leaves no gap: whoever goes on writes it."""
    lab.ram(2)
    removal.policy(lab, StepDelayMSec=1000)
    number = removal.last_id(lab) + 1
    record = f'"ev":"do","n":{step_number(lab, "show-safe")},'
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, record, 90, then="pkill -KILL -x safe-remove-wor")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the outcome")
    told = lab.cli_json("certificate", number)
    lab.equal([p["name"] for p in told["probes"] if p["holds"] is not True], [], "the probes that did not hold")
    lab.check(told["probes"], "the answers should be there")
    lab.cli("certificate", "--verify")


@scenario("proof-light-withdrawn", profile="nopower", own_guest=True, long=True)
def light_withdrawn(lab):
    """The card sits there, safe to pull, and somebody powers the slot up again."""
    lab.ram(2)
    lab.cli("remove", "2")
    slot = lab.slot(2)
    leds = slot.leds()
    lab.equal((leds.power, leds.attention, leds.present), ("off", "off", True), f"the light over the card ({leds})")
    lab.equal([s["state"] for s in lab.cli_json("list")["slots"] if s["name"] == "2"], ["safe"], "the slot's state")
    lab.spawn("monitor", "safe-remove monitor --json > /run/monitor")
    time.sleep(1)
    lab.sh("(echo 1 > /sys/bus/pci/slots/2/power) > /dev/null 2>&1 &")
    begin = time.monotonic()
    lab.wait_leds(2, attention="on", timeout=5)
    lab.check(time.monotonic() - begin < 1.5, f"the light should be withdrawn within a second, not {time.monotonic() - begin:.1f} s")
    lab.wait_for(lambda: "withdrawn" in lab.sh("cat /run/monitor"), 5, "the event")
    lab.wait_leds(2, power="on", attention="off", timeout=30)
    lab.equal([s["state"] for s in lab.cli_json("list")["slots"] if s["name"] == "2"], ["ready"], "the slot's state")
