# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Prometheus reads of a machine, by the service that writes it: before, in the middle of, and after a removal, and without the daemon."""

from harness import removal
from harness.scenario import scenario

FOLDER = "/var/lib/prometheus/node-exporter"
FILE = f"{FOLDER}/safe-remove.prom"
SERVICE = "safe-remove-metrics.service"


def written(lab):
    """As node_exporter would read it, which is a user like all others: {"name{labels}": value}."""
    lab.sh(f"systemctl start {SERVICE}")
    text = lab.sh(f"setpriv --reuid=games --regid=games --clear-groups cat {FILE}")
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))}


def removals(found):
    return found.get('safe_remove_removals_total{kind="remove",outcome="safe",code="done"}', 0)


@scenario("metrics", timeout=300, turn=True)
def metrics(lab):
    lab.sh(f"mkdir -p {FOLDER} && chown games /var/lib/prometheus")  # as Debian has it: a user's, with a folder of root's in it
    lab.cleanup(lambda: lab.run("systemctl stop safe-remove-metrics.timer; rm -rf /var/lib/prometheus /run/safe-remove-metrics", check=False))
    lab.ram(2)
    lab.equal(lab.run("systemctl is-enabled safe-remove-metrics.timer", check=False)[1].strip(), "disabled", "the timer, as it is installed,")
    # That it is started by the timer, at once; afterwards the scenario does it, so that nobody waits for a minute.
    lab.sh("systemctl start safe-remove-metrics.timer")
    lab.wait_for(lambda: lab.run(f"test -s {FILE}", check=False)[0] == 0, 90, "the timer to have the file written")
    lab.sh("systemctl stop safe-remove-metrics.timer")

    before = written(lab)
    lab.equal(before["safe_remove_up"], 1, "safe_remove_up")
    lab.equal(before['safe_remove_slot_removable{slot="2"}'], 1, "that the card is removable")
    lab.equal(before['safe_remove_slot_light{slot="2",indicator="power",shows="on"}'], 1, "the power light that is on")
    lab.equal(lab.sh(f"stat -Lc '%a %U' {FILE}"), "644 safe-remove-metrics", "mode and owner of the file")

    number = removal.last_id(lab) + 1
    go = removal.drill(lab, "before-disable-region")
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, '"ev":"done"')
    meanwhile = written(lab)
    lab.equal(meanwhile["safe_remove_removals_running"], 1, "the removals that run")
    lab.equal(meanwhile['safe_remove_slot_state{slot="2",state="removing"}'], 1, "the state of the slot")
    lab.equal(meanwhile['safe_remove_slot_removable{slot="2"}'], 0, "that it is removable")
    lab.equal(meanwhile['safe_remove_slot_blockers{slot="2",code="removal-running"}'], 1, "why it is not")
    lab.equal(removals(meanwhile), removals(before), "the removals that ended safe, in the middle of another")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")

    after = lab.wait_for(lambda: next((f for f in [written(lab)] if f["safe_remove_removals_running"] == 0), None), 60, "the removal to be none that runs")
    lab.equal(removals(after), removals(before) + 1, "the removals that ended safe")
    name = 'safe_remove_step_seconds_%s{step="power-off",direction="down"}'
    lab.equal(after[name % "count"], before.get(name % "count", 0) + 1, "the power-offs")
    lab.check(0 < after[name % "sum"] - before.get(name % "sum", 0) < 300, "the time of a power-off should be its time")
    lab.equal(after['safe_remove_slot_light{slot="2",indicator="power",shows="off"}'], 1, "the power light that is off")

    # Damage that a crash could do, and the daemon anew: nothing is counted twice, and nothing is forgotten.
    lab.sh("truncate -s 20 /var/lib/safe-remove/totals.json")
    lab.restart_daemon()
    again = lab.wait_for(lambda: next((f for f in [written(lab)] if f.get("safe_remove_records_read")), None), 30, "the daemon to have read its records")
    lab.equal((removals(again), again["safe_remove_totals_intact"]), (removals(after), 1), "the removals that ended safe")

    lab.sh("systemctl stop safe-removed.service")
    lab.cleanup(lambda: lab.sh("systemctl start safe-removed.service"))
    away = written(lab)
    lab.equal(away["safe_remove_up"], 0, "safe_remove_up without the daemon")
    lab.check(not any("slot" in each for each in away), f"nothing old should be told: {away}")
    lab.equal(lab.run("systemctl is-active safe-removed.service", check=False)[1].strip(), "inactive", "the daemon that was stopped")
