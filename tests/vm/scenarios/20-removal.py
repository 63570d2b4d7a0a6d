# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job: cards whose memory is System RAM."""

from harness import removal
from harness.paths import TOP_DIR
from harness.scenario import scenario


@scenario("ram-button", timeout=300)
def button(lab):
    """A press while a process has its memory there: it lives on, its bytes are the same, and the next card works."""
    ram = lab.ram(2)
    keeper = lab.keeper(ram.node, mib=64)
    lab.check(keeper.verify() > 0, "the keeper should have its memory on the card")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    lab.wait_leds(2, power="blink", timeout=5)
    end = removal.wait_for_end(lab, number, 200)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), "the ending")
    removal.check_safe(lab, 2, ram)
    lab.equal(keeper.verify(), 0, "the keeper's pages on the node")
    lab.slot(2).insert()
    removal.check_card_works(lab, 2)
    lab.equal(keeper.finish(), 0, "the keeper's pages on the node")


@scenario("ram-command")
def command(lab):
    ram = lab.ram(2)
    keeper = lab.keeper(ram.node, mib=16)
    status, out, _ = lab.cli("remove", "2")
    lab.equal(status, removal.SAFE, "the exit status")
    lab.check("safe to pull" in out, f"the last word should be 'safe to pull': {out}")
    removal.check_safe(lab, 2, ram)
    lab.equal(keeper.finish(), 0, "the keeper's pages on the node")
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "online_movable", "the auto-online policy")
    lab.equal(removal.history(lab)[0]["outcome"], "safe", "the history's newest entry")


@scenario("ram-names")
def names(lab):
    """One card, all its names; each plan is the same plan."""
    ram = lab.ram(2)
    slot = lab.slot(2)
    wanted = lab.cli_json("plan", "2")["digest"]
    for name in ("slot:2", slot.bdf(), slot.bdf()[5:], f"port:{slot.place.bdf}", slot.memdev(), ram.region, ram.dax,
                 f"node{ram.node}", f"memory{ram.block_numbers[1]}", "serial:0x1", "0x1"):
        lab.equal(lab.cli_json("plan", name)["digest"], wanted, f"the plan of {name}")


@scenario("ram-plan-touches-nothing")
def plan_touches_nothing(lab):
    lab.ram(2, 3)
    before = removal.Picture.take(lab)
    leds = lab.slot(2).leds()
    number = removal.last_record(lab)
    plan = lab.cli_json("plan", "2")
    lab.equal(plan["verdict"], "ready", "the verdict")
    lab.equal(removal.Picture.take(lab), before, "the machine")
    lab.equal(lab.slot(2).leds(), leds, "the registers of the slot")
    lab.equal(removal.last_record(lab), number, "the newest record")


@scenario("ram-interleaved", timeout=240)
def interleaved(lab):
    """A region over two cards is one thing: the plan names the peer, the peer keeps its power and can be used anew."""
    ram = lab.ram(2, 3)
    plan = lab.cli_json("plan", "2")
    region = plan["takes_down"]["regions"][0]
    lab.equal((region["ways"], [peer["slot"] for peer in region["peers"]]), (2, ["3"]), "ways and peers of the region")
    lab.equal(len(plan["takes_down"]["blocks"]), len(ram.block_numbers), "the number of blocks")
    lab.check("slot 3" in lab.cli("plan", "2")[1], "the printed plan should name the peer's slot")
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
    leds = lab.slot(3).leds()
    lab.check(leds.power_on and leds.power == "on" and lab.slot(3).ready(), f"the peer should be powered and ready: {leds}")
    removal.check_card_works(lab, 3)
    lab.slot(2).insert()
    removal.check_card_works(lab, 2, 3)


@scenario("ram-idle-card")
def idle_card(lab):
    """A card with nothing on it, by the documentation's client, which reads no JSON; removing it again finds nothing to do."""
    lab.guest.write("/tmp/fleet-client.py", (TOP_DIR / "docs/examples/fleet-client.py").read_text())
    client = "python3 /tmp/fleet-client.py"
    lab.check(lab.sh(f"{client} list").startswith("slot 2: ready, card 0x1 at "), "the client should list the slots")
    plan = lab.cli_json("plan", "3")
    lab.check(lab.sh(f"{client} plan 3").startswith(f"slots 3: ready, {len(plan['steps'])} steps, about "), "the client should have the same plan")
    said = lab.sh(f"{client} remove 3").splitlines()
    lab.equal(said[-1], "slots 3: safe (done)", "the client's last word")
    lab.check(any(line.startswith("[") for line in said), f"the client should follow it step by step: {said}")
    removal.check_safe(lab, 3)
    lab.equal(lab.cli("remove", "3", check=False)[0], removal.NOTHING, "the exit status of removing it again")


@scenario("ram-ordinary-card")
def ordinary_card(lab):
    """A card that is no memory and has nobody in the way goes the same way."""
    lab.cli("remove", "4")
    removal.check_safe(lab, 4)


@scenario("ram-two-slots", profile="nodes", timeout=240)
def two_slots(lab):
    """Two buttons at once: both slots are held at once, one removal has the machine, then the other."""
    first, second = lab.ram(2), lab.ram(3, window=1)
    removal.slow_down(lab, 1000, "offline-memory")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    lab.slot(3).press()
    ends = [removal.wait_for_end(lab, number, 120), removal.wait_for_end(lab, number + 1, 120)]
    lab.equal([end["outcome"] for end in ends], ["safe", "safe"], "the endings")
    removal.check_safe(lab, 2, first)
    removal.check_safe(lab, 3, second)
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "online_movable", "the auto-online policy")


@scenario("ram-hold-60s", turn=True, timeout=240)
def hold_60s(lab):
    """The kernel would power the slot off after 5 s. Listeners are given 60 here, and not once does the power waver."""
    ram = lab.ram(2)
    removal.policy(lab, GraceSec=60)
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":1')
    blocks = " ".join(f"/sys/devices/system/memory/memory{block}/state" for block in ram.block_numbers)
    # Inside the guest, so that nothing between two looks is missed by a slow host.
    lasted = lab.sh(f"""
        waited() {{ ! grep -q '"ev":"done","n":1' {removal.STATE_DIR}/removals/{number}/journal; }}
        began=$(cut -d. -f1 /proc/uptime)
        while waited; do
                word=$(setpci -s {lab.slot(2).place.bdf} CAP_EXP+18.w)
                online=$(cat {blocks} | grep -cx online)
                waited || break
                [ $((0x$word & 0x0700)) = $((0x0200)) ] || {{ echo "Slot Control is $word"; exit 1; }}
                [ $online = {len(ram.block_numbers)} ] || {{ echo "$online blocks are online"; exit 1; }}
                sleep 0.2
        done
        echo $(($(cut -d. -f1 /proc/uptime) - began))""", timeout=150)
    lab.check(int(lasted) > 50, f"the kernel should have been held off for a minute, not {lasted} s")
    end = removal.wait_for_end(lab, number, 100)
    lab.equal(end["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("ram-uevent")
def uevent(lab):
    """A management controller's agent asks by a plain write."""
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.sh(f"echo 'change 6b8f2a04-1c0e-4f4e-9d0c-1f2e3d4c5b6a SAFEREMOVE=pending' > /sys/bus/pci/devices/{lab.slot(2).bdf()}/uevent")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("ram-press-while-daemon-away")
def press_while_daemon_away(lab):
    """The kernel log was not read when the button was pressed: the blinking light tells."""
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.sh("systemctl stop safe-removed.service")
    lab.slot(2).press()
    lab.wait_leds(2, power="blink", timeout=3)
    lab.sh("systemctl start safe-removed.service")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("ram-memory-added-meanwhile", own_guest=True, turn=True, timeout=240)
def memory_added_meanwhile(lab):
    """A memory module is plugged in while new memory is kept offline for the card: it is online afterwards, and nothing else is."""
    ram = lab.ram(2)
    before, blocks = removal.offline_blocks(lab), removal.count_blocks(lab)
    go = removal.drill(lab, "disable-region")
    waiting = lab.spawn("remove", "safe-remove remove 2")
    lab.wait_for(lambda: lab.sh("cat /sys/devices/system/memory/auto_online_blocks") == "offline", 90, "new memory to be kept offline")
    added = removal.plug_module(lab)
    lab.wait_for(lambda: ram.blocks() == [] and removal.offline_blocks(lab) != before, 60, "the module's blocks, which are offline")
    lab.sh(go)
    lab.equal(waiting.wait(120), str(removal.SAFE), "the exit status of the removal")
    removal.check_safe(lab, 2, ram)
    lab.equal(removal.offline_blocks(lab), before, "the blocks that are offline")
    lab.equal(removal.count_blocks(lab), blocks - len(ram.block_numbers) + added, "the blocks there are")
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "online_movable", "the auto-online policy")
