# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a card says of itself: in show, in explain, in the certificate, compared at a restoration; and what it is at keeps it where it is."""

from harness import programs, removal, siege, storage
from harness.scenario import scenario

DROP_IN = "/run/systemd/system/safe-remove-guard.service.d/scenario.conf"
CARD = "/sys/bus/cxl/devices"


def told_of(lab, state, serial):
    """What is told of the card with this serial number."""
    found = [m for m in state["memdevs"] if m["serial"] == serial]
    lab.equal(len(found), 1, f"the cards with serial number {serial} in {state}")
    return found[0]


def check_state(lab, state, serial="0x1"):
    """What QEMU's card offers, as it has it; what it does not offer is said to be unknown."""
    card = told_of(lab, state, serial)
    lab.equal((card["security"], card["transfer"]), ("disabled", "idle"), "security and transfer")
    lab.equal(card["identity"]["firmware_version"], "BWFW VERSION 00", "the firmware's version")
    lab.equal(card["identity"]["total_bytes"], 512 << 20, "the card's bytes")
    lab.equal(card["partition"]["volatile_bytes"], 512 << 20, "its volatile bytes")
    lab.check(card["alerts"]["life_used_critical_percent"] is not None, f"the alerts should be there: {card}")
    lab.equal((card["firmware"]["slots"], card["firmware"]["active_slot"]), (2, 1), "the slots of firmware, and the one that runs")
    lab.check(card["firmware"]["slot_1_version"].startswith("BWFW VERSION"), f"the firmware in slot 1: {card['firmware']}")
    lab.equal(card["health"], None, "the health, which QEMU's card does not tell")
    lab.check(any("health is not known" in note for note in state["notes"]), f"that should be said: {state['notes']}")


def memdev(lab, serial):
    return lab.sh(f"grep -lx {serial} {CARD}/mem*/serial").strip().split("/")[-2]


@scenario("card-state")
def card_state(lab):
    """Shown while the card is there, in the certificate of its removal, and before and after in that of its restoration."""
    ram = lab.ram(2)
    check_state(lab, lab.cli_json("show", "2")["card_state"])
    check_state(lab, lab.cli_json("explain", "2")["card_state"])
    for words in ("show", "explain"):
        out = lab.cli(words, "2")[1]
        lab.check("BWFW VERSION 00" in out and "health      not known" in out, f"{words} should say it to people too: {out}")
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
    told = removal.certificate(lab, removal.last_record(lab))["card_state"]
    check_state(lab, told["before"])
    lab.check("after" not in told, f"nobody can ask a card without power: {told}")
    lab.slot(2).insert()
    lab.cli("restore", "2", timeout=180)
    record = removal.certificate(lab, removal.last_record(lab))
    check_state(lab, record["card_state"]["before"])
    check_state(lab, record["card_state"]["after"])
    lab.equal([line for line in record["lost"] if "serial number" in line], [], "what has got worse")


@scenario("card-state-worse", timeout=240)
def worse(lab):
    """A card that has aged while it was away: told at its restoration, as are what nobody can compare and what libcxl sees otherwise than we do, and
    nothing that is as it was."""
    stub = programs.provide(lab.guest, "scripted-card", "-shared", "-fPIC")
    lab.cleanup(lambda: lab.sh(f"rm -f {DROP_IN}; systemctl daemon-reload && systemctl restart safe-remove-guard safe-removed"))
    lab.sh(f"mkdir -p $(dirname {DROP_IN}); cp {stub} /run/scripted-card.so")
    lab.write(DROP_IN, "[Service]\nEnvironment=LD_PRELOAD=/run/scripted-card.so\n")
    lab.write("/run/scripted-card", "life_used 3\nmedia_normal 1\n")
    lab.sh("systemctl daemon-reload && systemctl restart safe-remove-guard safe-removed")
    ram = lab.ram(2)
    health = told_of(lab, lab.cli_json("show", "2")["card_state"], "0x1")["health"]
    lab.equal((health["life_used_percent"], health["media"], health["dirty_shutdowns"]), (3, "normal", None), "the health that is told")
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
    lab.write("/run/scripted-card", "life_used 4\nmedia_normal 1\ndirty_shutdowns 7\nregion_size 4096\n")
    lab.slot(2).insert()
    out = lab.cli("restore", "2", timeout=180)[1]
    lost = removal.history(lab)[0]["lost"]
    lab.equal(lost[:-1], ["the card with serial number 0x1: used of its life: 4 %, before 3 %",
                          "the card with serial number 0x1: dirty shutdowns: 7, before not known"], "what has got worse, or nobody knows")
    lab.check(lost[-1].startswith("libcxl does not see the card as we do: libcxl reads 0x1000 as the size of region"), f"what libcxl sees otherwise: {lost}")
    lab.check(all(line in out for line in lost) and "except for what is listed" in out, f"the command should say it: {out}")


@scenario("card-state-busy-queue")
def busy_queue(lab):
    """udev's queue keeps the libraries waiting: neither hold, plan nor light of a removal waits for them, and who asks for a plan no longer than they
    may take. Nobody says of a card that could not be asked that it is as it was."""
    ram, other = lab.ram(2), lab.ram(3)
    idle = siege.press_to_light(lab, 3)
    removal.check_safe(lab, 3, other)
    lab.sh("udevadm settle; udevadm control --stop-exec-queue; echo change > /sys/class/mem/null/uevent")
    try:
        lab.wait_for(lambda: lab.run("test -e /run/udev/queue", check=False)[0] == 0, 20, "an event in udev's queue")
        state = lab.cli_json("plan", "2")["card_state"]
        lab.equal(state["memdevs"], [], "what is known of the card")
        lab.check("did not answer within 2 s" in state["notes"][0], f"it should say why: {state}")
        siege.check_no_slower(lab, idle, siege.press_to_light(lab, 2))
        number = removal.last_record(lab)
        told = removal.certificate(lab, number)["card_state"]
        lab.check("did not answer" in told["before"]["notes"][0], f"the certificate should say so: {told}")
    finally:
        lab.sh("udevadm control --start-exec-queue; udevadm settle")
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    out = lab.cli("restore", "2", timeout=180)[1]
    lost = removal.history(lab)[0]["lost"]
    lab.equal(lost, ["the card with serial number 0x1: what it says of itself is known, before not"], "what is not known to be as it was")
    lab.check(lost[0] in out and "except for what is listed" in out, f"the command should say it: {out}")


def check_busy(lab, what):
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status while it is busy ({out}{err})")
    lab.check("CARD_BUSY" in out + err and what in out + err, f"it should say with what: {out}{err}")


def remedy(lab, after="true"):
    """The line that the plan has for it, as somebody pastes it, after something that ends it: what has ended by the time of the plan is in none."""
    lines = [line for blocker in lab.cli_json("plan", "2", check=False)["blockers"] if blocker["code"] == "CARD_BUSY" for line in blocker["remedy"]]
    lab.equal(len(lines), 1, f"the remedies ({lines})")
    lab.sh(f"{after}; {lines[0]}", timeout=150)


def began_late(lab, loader):
    """One that begins after the plan, when nothing but the power is left to take: the removal turns round there."""
    at = storage.step_number(lab, "release", 2)
    go = removal.drill(lab, "release")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at}', 60,
                            then=f"echo 1 > {loader}/loading; head -c 65536 /dev/zero > {loader}/data; echo 0 > {loader}/loading; {go}")
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("restored", "failed"), f"the ending ({end['message']})")
    lab.check("a firmware update" in end["message"], end["message"])
    lab.check(lab.slot(2).bdf() and not lab.slot(2).leds().safe, "the card should be there, and the light should say so")
    lab.sh(f"echo 1 > {loader}/cancel || true; timeout 60 sh -c 'until grep -qx idle {loader}/status; do sleep 0.2; done'", timeout=70)


@scenario("refuse-firmware-transfer", timeout=240, allow=[r"firmware", r"cxl_pci"])
def firmware_transfer(lab):
    """A card takes its time over new firmware, part by part: the power stays on, by command and by button; the remedy waits for the end of it."""
    name = memdev(lab, "0x1")
    loader = f"{CARD}/{name}/firmware/{name}"
    lab.sh(f"echo 1 > {loader}/loading; head -c 65536 /dev/zero > {loader}/data; echo 0 > {loader}/loading")
    lab.wait_for(lambda: lab.sh(f"cat {loader}/status").strip() != "idle", 10, "the transfer")
    check_busy(lab, "firmware update")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "refused", "the outcome of the press")
    lab.check(lab.slot(2).bdf(), "the card should be there")
    remedy(lab, f"echo 1 > {loader}/cancel")
    lab.equal(lab.sh(f"cat {loader}/status").strip(), "idle", "the transfer after the remedy")
    began_late(lab, loader)
    removal.policy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2)


@scenario("refuse-sanitize", timeout=240, turn=True)
def sanitize(lab):
    """A card that erases itself is not switched off."""
    name = memdev(lab, "0x1")
    lab.sh(f"echo 1 > {CARD}/{name}/security/sanitize")
    lab.equal(lab.sh(f"cat {CARD}/{name}/security/state").strip(), "sanitize", "what the card is at")
    check_busy(lab, "an erasure")
    remedy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2)
