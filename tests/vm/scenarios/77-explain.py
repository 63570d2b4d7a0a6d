# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands against a removal: each has a code, its evidence and a remedy, and the remedy works when it is pasted."""

import json

from harness import removal, storage
from harness.scenario import scenario


def blocker(lab, number, code, *words):
    """The explanation has this blocker with all `words` in it, the command line says so too, and nothing is removed. Returns its remedies."""
    explained = lab.cli_json("explain", number, check=False)
    lab.equal(explained["verdict"], "blocked", "the verdict")
    found = [each for each in explained["blockers"] if each["code"] == code]
    lab.check(found, f"there should be {code}: {explained['blockers']}")
    lab.check(found[0]["evidence"] and found[0]["remedy"], f"evidence and remedy should be there: {found[0]}")
    for word in words:
        lab.check(word in found[0]["what"] + found[0]["evidence"], f"'{word}' should be told: {found[0]}")
    text = lab.cli("explain", number, check=False)[1]
    for word in (code, found[0]["what"], found[0]["evidence"], *found[0]["remedy"]):
        lab.check(word in text, f"'{word}' should be printed: {text}")
    lab.equal(lab.cli("remove", number, check=False)[0], removal.BLOCKED, "the exit status of an attempt")
    return found[0]["remedy"]


def paste(lab, number, code, remedies):
    """The first remedy takes the blocker away."""
    lab.sh(remedies[0])
    left = [each for each in lab.cli_json("explain", number, check=False)["blockers"] if each["code"] == code]
    lab.equal(left, [], f"what is left of it after '{remedies[0]}'")


@scenario("explain-holder-refuses", profile="mixed", turn=True)
def holder_refuses(lab):
    """By the unit's name, which a shell would take for something else."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    ledger = lab.holder("--map=shared", "--close", f"{disk.target}/ledger", name="books\\x2d1")
    storage.rules(lab, ({"Unit": "lab-books*"}, {"Action": "refuse", "Reason": "ask the bookkeepers"}))
    paste(lab, 3, "HOLDER_REFUSES", blocker(lab, 3, "HOLDER_REFUSES", "ask the bookkeepers", str(ledger.pids[0])))
    lab.check(not ledger.running(), "the unit should be down")
    storage.take_out(lab, 3)


@scenario("explain-mount-below", profile="mixed", turn=True)
def mount_below(lab):
    """Another device's file system is mounted inside, at a place with a blank and a quote, and one more inside that."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    place = f"{disk.target}/it's here"
    lab.sh(f"mkdir \"{place}\" && mount -t tmpfs inner \"{place}\" && mkdir \"{place}/more\" && mount -t tmpfs deeper \"{place}/more\"")
    paste(lab, 3, "MOUNT_BELOW", blocker(lab, 3, "MOUNT_BELOW", place, "inner"))
    storage.take_out(lab, 3)


@scenario("explain-nfs-export", profile="mixed", turn=True)
def nfs_export(lab):
    """The kernel's NFS server: no process holds anything."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.cleanup(lambda: lab.sh("umount -lf /mnt/nfs; exportfs -au; rpc.nfsd 0; pkill rpc.mountd; umount /proc/fs/nfsd; true"))
    lab.sh(f"touch {disk.target}/file; ip link set lo up; modprobe nfsd; mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd")
    lab.sh("rpc.nfsd -N 3 2 && rpc.mountd -N 3 && echo Y > /proc/fs/nfsd/v4_end_grace && "
           f"exportfs -o rw,no_root_squash,insecure,fsid=7 '127.0.0.1:{disk.target}'")
    lab.sh(f"mkdir -p /mnt/nfs && timeout 60 mount -t nfs4 -o soft,timeo=20,retrans=1 127.0.0.1:{disk.target} /mnt/nfs && cat /mnt/nfs/file", timeout=70)
    remedies = blocker(lab, 3, "NFS_EXPORT", disk.target, "127.0.0.1")
    lab.sh("umount -f /mnt/nfs")
    paste(lab, 3, "NFS_EXPORT", remedies)
    storage.take_out(lab, 3)


@scenario("explain-own-session", profile="mixed", turn=True)
def own_session(lab):
    """Whoever asks stands on the card himself: he is not ended, but told to go."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    asker = lab.spawn("asker", f"cd {disk.target}; safe-remove explain 3 --json > /tmp/first; echo first=; until [ -s /tmp/remedy ]; do sleep 0.1; done; "
                               ". /tmp/remedy; safe-remove explain 3 --json > /tmp/second; echo second=; sleep 100")
    lab.cleanup(lambda: lab.sh("rm -f /tmp/first /tmp/second /tmp/remedy"))
    asker.wait_for_output("first=")
    remedies = [each["remedy"] for each in json.loads(lab.sh("cat /tmp/first"))["blockers"] if each["code"] == "HOLDER_PROTECTED"]
    lab.check(remedies, "the asker should be in the way")
    lab.write("/tmp/remedy", remedies[0][0] + "\n")
    asker.wait_for_output("second=")
    lab.equal(json.loads(lab.sh("cat /tmp/second"))["blockers"], [], "what is in the way then")
    lab.check(asker.running(), "the asker should live")
    storage.take_out(lab, 3)
