# SPDX-License-Identifier: LGPL-2.1-or-later
"""The second witness: libcxl, libdaxctl and libndctl, which find their way over other files than we do, and wait for udev."""

import contextlib

from harness import removal, siege, storage
from harness.scenario import scenario

FAKE = "/run/lab-libraries"
TWIN = "/run/lab-twin"
INSIDE = "nsenter -t $(systemctl show -p MainPID --value safe-remove-guard.service) -m"
DEVICES = "/sys/bus/cxl/devices"
CODE = "LIBRARIES_DISAGREE"


@contextlib.contextmanager
def devices(lab, change, put=None):
    """What the workers see in the folder of all CXL devices, which libcxl looks into for memdevs alone: a copy of it, with one thing
    changed. `put` is called with the shell line that puts it there."""
    lab.sh(f"rm -rf {FAKE} && mkdir -p {FAKE}/devices")
    lab.write(f"{FAKE}/put", f"""set -e
        for d in {DEVICES}/*; do ln -s $(readlink -f $d) {FAKE}/devices/; done
        {change}
        {INSIDE} mount --bind {FAKE}/devices {DEVICES}
        """)
    lab.cleanup(lambda: lab.run(f"{INSIDE} umount {DEVICES}; rm -f /dev/cxl/mem99", check=False))
    (put or lab.sh)(f"sh {FAKE}/put")
    yield
    lab.sh(f"{INSIDE} umount {DEVICES}; rm -f /dev/cxl/mem99")


def twin(lab, number):
    """A memory device of nobody's with the serial number of the card, copied while that is there: our probes ask for the one of its name."""
    lab.sh(f"rm -rf {TWIN} && mkdir {TWIN} && cd $(readlink -f {DEVICES}/{lab.slot(number).memdev()}) &&"
           f" cp --parents serial payload_max label_storage_size firmware_version ram/size pmem/size {TWIN}/")
    return f"ln -s {TWIN} {FAKE}/devices/mem99; mkdir -p /dev/cxl; touch /dev/cxl/mem99"


def stop_udev(lab):
    """Its queue is busy until somebody starts it again."""
    lab.cleanup(lambda: lab.run("udevadm control --start-exec-queue; udevadm settle --timeout=30", check=False))
    lab.sh("udevadm settle --timeout=30; udevadm control --stop-exec-queue && udevadm trigger --action=change /sys/class/mem/null")
    lab.wait_for(lambda: lab.run("test -e /run/udev/queue", check=False)[0] == 0, 10, "udev's queue to be busy")


def told(plan, severity):
    return [f["evidence"] for f in plan["blockers"] + plan["warnings"] if (f["code"], f["severity"]) == (CODE, severity)]


def answer_of(lab, number):
    """What the light relied on: whether the libraries had nothing against it, what they said, and what they said after it."""
    probe = next(p for p in removal.certificate(lab, number)["probes"] if p["name"] == "libraries")
    return probe["holds"], probe["answer"], probe.get("later")


@scenario("libraries-agree")
def agree(lab):
    """On a machine at peace they have all been asked, at the plan and at the proof, and say what we say."""
    lab.ram(2)
    lab.sh("udevadm settle --timeout=30")
    plan = lab.cli_json("plan", "2", check=False)
    lab.equal(told(plan, "hard") + told(plan, "soft"), [], "what the libraries have against the plan")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2")
    lab.equal(answer_of(lab, number), (True, None, None), "what they say at the light")


@scenario("libraries-disagree")
def disagree(lab):
    """libcxl sees a region on the card that we do not see: nothing is taken down."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    with devices(lab, f"rm {FAKE}/devices/{ram.region}"):
        plan = lab.cli_json("plan", "2", check=False)
        lab.check(f"libcxl sees {ram.region} on the card, which the kernel does not show us" in told(plan, "hard"), f"{plan['blockers']}")
        lab.equal(lab.cli("remove", "2", check=False)[0], removal.BLOCKED, "the exit status")
    removal.check_untouched(lab, 2, before)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("libraries-contradict", timeout=240)
def contradict(lab):
    """All our probes say yes, and libcxl still sees a memory device with the card's serial number: the light does not say safe, nor does it for
    the finishing before libcxl has taken that back."""
    lab.ram(2)
    go = removal.drill(lab, "release", "power-off")
    power = storage.step_number(lab, "power-off", "2")
    number = removal.last_id(lab) + 1

    def in_front_of_the_power(put):
        lab.cli("remove", "2", "--no-wait")
        removal.wait_for_record(lab, number, f'"ev":"do","n":{power - 1},', 60,
                                then=f"pgrep -o -f '^safe-remove-worker run' > {FAKE}/worker; {removal.go_on('release')}")
        removal.wait_for_record(lab, number, f'"ev":"do","n":{power},', 60,
                                then=f"read worker < {FAKE}/worker; kill -STOP $worker; {put}; {go}; kill -CONT $worker")

    with devices(lab, twin(lab, 2), in_front_of_the_power):
        end = removal.wait_for_end(lab, number)
        lab.equal(end["outcome"], "stuck", f"the outcome ({end['message']})")
        lab.check("libcxl sees mem99 with serial" in end["message"], end["message"])
        leds = lab.slot(2).leds()
        lab.check(not leds.safe and leds.attention == "on", f"the light should not say safe: {leds}")
        # On a busy host libcxl may need longer than its 2 s: then it is heard after the light, which is withdrawn.
        if "is withdrawn" not in end["message"]:
            lab.check("libraries (" in end["message"], end["message"])
            asked = removal.certificate(lab, number)["probes"]
            lab.equal([p["name"] for p in asked if not p["holds"]], ["libraries"], "what the certificate says does not hold")
    removal.policy(lab)
    # What was found stands in the finishing as long as libcxl cannot be heard.
    stop_udev(lab)
    lab.cli("remove", "2", check=False)
    end = removal.wait_for_end(lab, number + 1)
    lab.equal(end["outcome"], "stuck", f"the finishing's outcome ({end['message']})")
    lab.check("libcxl sees mem99 with serial" in end["message"] and "asked again it has not answered" in end["message"], end["message"])
    lab.check(not lab.slot(2).leds().safe, "the light should not say safe")
    lab.sh("udevadm control --start-exec-queue; udevadm settle --timeout=30")
    lab.cli("remove", "2")
    lab.check(lab.slot(2).leds().safe, "the light should say safe")


@scenario("libraries-late", timeout=240, turn=True)
def late(lab):
    """udev's queue is busy all the time: neither the hold nor the light waits for who waits for that, and both say so."""
    ram, other = lab.ram(2), lab.ram(3)
    idle = siege.press_to_light(lab, 3)
    removal.check_safe(lab, 3, other)
    stop_udev(lab)
    soft = told(lab.cli_json("plan", "2", check=False), "soft")
    lab.check(any("libcxl has not answered" in text for text in soft), f"libcxl should be late for the plan: {soft}")
    number = removal.last_id(lab) + 1
    siege.check_no_slower(lab, idle, siege.press_to_light(lab, 2))
    removal.check_safe(lab, 2, ram)
    holds, answer, later = answer_of(lab, number)
    lab.check(holds and "libcxl has not answered" in answer and "udev's queue is busy" in answer, f"libcxl should be late for the light: {answer}")
    lab.check("libdaxctl" not in answer, f"libdaxctl waits for nobody: {answer}")
    lab.check(later and "libcxl has not answered within 2 s" in later, f"libcxl should not have answered after the light either: {later}")


@scenario("libraries-withdrawn", timeout=240)
def withdrawn(lab):
    """libcxl comes to its word right after the light, and has something against it."""
    lab.ram(2)
    stop_udev(lab)
    with devices(lab, twin(lab, 2)):
        number = removal.last_id(lab) + 1
        lab.write(f"{FAKE}/start", """until read -r light < /sys/bus/pci/slots/2/attention && read -r power < /sys/bus/pci/slots/2/power &&
            [ "$light$power" = 00 ]; do sleep 0.01; done
            rm /run/udev/queue""")  # for who looks it is empty then; to work off what is in it takes seconds
        lab.spawn("start", f"bash {FAKE}/start")
        lab.cli("remove", "2", check=False)
        end = removal.wait_for_end(lab, number)
        lab.equal(end["outcome"], "stuck", f"the outcome ({end['message']})")
        # By the step's own last look at its light, or by what comes after it.
        lab.check("libcxl sees mem99 with serial" in end["message"], end["message"])
        leds = lab.slot(2).leds()
        lab.check(not leds.safe and leds.attention == "on", f"the light should not say safe any more: {leds}")
        lab.equal([s["state"] for s in lab.cli_json("list")["slots"] if s["name"] == "2"], ["stuck"], "the slot's state")
    lab.cli("remove", "2")
    lab.check(lab.slot(2).leds().safe, "the light should say safe")
