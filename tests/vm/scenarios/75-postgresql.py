# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real database under load."""

import os

from harness import removal, storage
from harness.scenario import scenario


@scenario("postgresql", profile="mixed", timeout=600, turn=True)
def postgresql(lab):
    """Card out and in under load, by command and by button: every transaction that pgbench saw committed is there, whatever it lost."""
    disk = lab.filesystem(lab.pmem(3).namespace(mib=256).device)
    database = lab.postgres(disk)
    storage.rules(lab, ({"Unit": "postgresql@*.service"}, {"Action": "stop", "StopSec": 120}))
    # The database and its load leave a slow machine little time to look at everybody.
    removal.policy(lab, HolderScanMSec=30000)
    for button in (False, True) if os.environ.get("LAB_LONG") else (lab.random.choice((False, True)),):
        bench = database.load()
        plan = storage.plan(lab, "3")
        units = {holder["unit"] for holder in storage.holders(plan).values()}
        lab.equal(units, {database.unit}, "the units named")
        storage.take_out(lab, 3, button=button)
        bench.wait(30)
        storage.put_back(lab, 3)
        lab.check(database.active(), "the database should run again")
        lab.check(database.check() > 50, "there should have been some load")
    device = lab.sh(f"findmnt -n -o SOURCE {disk.target}")
    lab.sh(f"systemctl stop {database.unit} && umount {disk.target}")
    disk.check(device)
