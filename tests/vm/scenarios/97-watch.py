# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view on a terminal, of a card and its removal."""

from harness import removal
from harness.scenario import scenario

TMUX = "tmux -L lab -f /dev/null"


def screen(lab):
    return lab.sh(f"{TMUX} capture-pane -p -t watch")


@scenario("watch", turn=True)
def watch(lab):
    """The slot, the step of its removal, the end, and then the terminal as it was."""
    ram = lab.ram(2)
    go = removal.drill(lab, "offline-memory")
    number = removal.last_id(lab) + 1
    lab.sh(f"{TMUX} new-session -d -s watch -x 80 -y 24 'env LC_ALL=C.UTF-8 sh -i'")
    lab.cleanup(lambda: lab.run(f"{TMUX} kill-server", check=False))
    lab.sh(f"{TMUX} send-keys -t watch 'echo what was there; safe-remove watch' Enter")
    lab.wait_for(lambda: "0x1" in screen(lab) and "what was there" not in screen(lab), 30, "the slots on the whole screen")
    lab.cli("remove", "2", "--no-wait")
    lab.wait_for(lambda: f"removal {number}" in screen(lab) and "offline-memory" in screen(lab), 60, f"the step\n{screen(lab)}")
    lab.check(max(map(len, screen(lab).splitlines())) <= 80, screen(lab))
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the outcome")
    removal.check_safe(lab, 2, ram)
    lab.wait_for(lambda: f"removal {number}  ended safe" in screen(lab), 30, f"the end\n{screen(lab)}")
    lab.sh(f"{TMUX} send-keys -t watch q")
    lab.wait_for(lambda: "what was there" in screen(lab), 20, "the terminal as it was")
