# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was proven stands in a certificate, which nobody can alter unseen."""

from harness import removal, storage
from harness.scenario import scenario


@scenario("proof-certificate")
def certificate(lab):
    """The certificate of a removal verifies; one altered byte does not, nor does a missing one."""
    lab.ram(2)
    lab.cli("remove", "2")
    lab.cli("remove", "3")
    number = removal.last_record(lab) - 1
    told = removal.certificate(lab, number)
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
        lab.equal(lab.cli("certificate", "--verify", check=False)[0], removal.NOT_PROVEN, f"the exit status with byte {at} of {path} altered")
        lab.sh(f"cat /run/kept > {path}")
        lab.cli("certificate", "--verify")
    lab.sh(f"mv {removal.STATE_DIR}/removals/{number} /run/kept.d")
    status, out, _ = lab.cli("certificate", "--verify", check=False)
    lab.equal(status, removal.NOT_PROVEN, "the exit status without the record")
    lab.check("missing" in out, out)
    lab.sh(f"mv /run/kept.d {removal.STATE_DIR}/removals/{number}")
    lab.cli("certificate", "--verify")


@scenario("proof-certificate-of-the-killed", timeout=240)
def certificate_of_the_killed(lab):
    """A worker that dies on the way leaves no gap: whoever goes on writes it."""
    go = removal.drill(lab, "show-safe")
    number = removal.last_id(lab) + 1
    record = f'"ev":"do","n":{storage.step_number(lab, "show-safe", "2")},'
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, record, 90, then=f"pkill -KILL -x safe-remove-wor; {go}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the outcome")
    told = removal.certificate(lab, number)
    lab.equal([p["name"] for p in told["probes"] if p["holds"] is not True], [], "the probes that did not hold")
    lab.check(told["probes"], "the answers should be there")
    lab.cli("certificate", "--verify")
