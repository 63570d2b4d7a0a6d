# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real database whose data folder is on a card: Debian's PostgreSQL, by Debian's own unit."""

from .errors import LabError

SCRIPT = "/lab/ledger.sql"

# Small, since emulated cards are slow; but nothing that would soften a commit.
SETTINGS = """data_directory = '{data}'
max_wal_size = 64MB
min_wal_size = 32MB
shared_buffers = 16MB
autovacuum = off
jit = off
"""

# Each client numbers its transactions as pgbench's log does, from 1, so that every line of the log has a row to look for.
LEDGER = r"""\set n :n + 1
\set aid random(1, 1000)
\set delta random(-5000, 5000)
BEGIN;
UPDATE accounts SET balance = balance + :delta WHERE aid = :aid;
INSERT INTO ledger VALUES (:run, :client_id, :n, :aid, :delta);
END;
"""
TABLES = """CREATE TABLE accounts (aid int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 1000) n;
CREATE TABLE ledger (run int, client int, n int, aid int, delta bigint, PRIMARY KEY (run, client, n));
CHECKPOINT;"""


class Postgres:
    """A running server with its data in a folder on a mounted file system."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.data = f"{folder}/postgres"
        self.runs = []
        version = lab.sh("ls /var/lib/postgresql")  # each release of Debian has its own
        self.unit = f"postgresql@{version}-main.service"
        lab.cleanup(lambda: lab.sh(f"systemctl stop {self.unit}"))
        lab.write(f"/etc/postgresql/{version}/main/conf.d/lab.conf", SETTINGS.format(data=self.data))
        lab.sh(f"cp -a /var/lib/postgresql/{version}/main {self.data} && systemctl start {self.unit}", timeout=180)
        self.sql(TABLES)

    def sql(self, text, timeout=60):
        """What psql prints, bare: a line a row."""
        return self.lab.run(["runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1"], stdin=text,
                            timeout=timeout)[1]

    def active(self):
        return self.lab.sh(f"systemctl is-active {self.unit} || true") == "active"

    def load(self, clients=4):
        """Start pgbench, which logs outside the card what it saw committed. It ends when it loses the server."""
        run = len(self.runs)
        (self.lab.guest.dir / "share" / "ledger.sql").write_text(LEDGER)
        bench = self.lab.spawn(f"pgbench{run}", [
            "runuser", "-u", "postgres", "--", "pgbench", "-n", "-T", "600", "-c", str(clients), "-j", "1", "-D", "n=0", "-D", f"run={run}",
            "-f", SCRIPT, "-l", f"--log-prefix=/tmp/pgbench{run}"])
        self.runs.append(bench)
        self.lab.wait_for(lambda: int(self.sql(f"SELECT count(*) FROM ledger WHERE run = {run}")) > 50, 60, "pgbench to work")
        return bench

    def check(self):
        """Complain unless every transaction that pgbench saw committed is there; returns how many that were."""
        there = {tuple(line.split("|")) for line in self.sql("SELECT run, client, n FROM ledger", 120).split()}
        seen = set()
        for run in range(len(self.runs)):
            for line in self.lab.sh(f"cat /tmp/pgbench{run}.*").splitlines():
                fields = line.split()
                seen.add((str(run), fields[0], fields[1]))
        missing = seen - there
        if missing:
            raise LabError(f"{len(missing)} of {len(seen)} committed transactions are lost: {sorted(missing)[:5]}")
        if self.sql("SELECT count(*) FROM accounts a WHERE balance <> (SELECT coalesce(sum(delta), 0) FROM ledger l WHERE l.aid = a.aid)") != "0\n":
            raise LabError("balances do not agree with the ledger")
        return len(seen)
