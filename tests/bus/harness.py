# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus, a private picture of the machine and a daemon with a worker that touches nothing.

Everything runs in namespaces of its own (mount: /run and the PCI devices are ours; network: the device events are ours),
so that the tests neither need nor disturb the machine they run on, and need no privilege either.
"""
import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
DAEMON = os.environ.get("SAFE_REMOVED", "safe-removed")
GUARD = os.environ.get("SAFE_REMOVE_GUARD", "safe-remove-guard")
NAME = "org.saferemove1"
ROOT = "/org/saferemove1"
# As its unit has it: whatever needs a right the guard and the workers do.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
PCI_DEVICES = "/sys/bus/pci/devices"
PATIENCE = float(os.environ.get("TEST_PATIENCE", "60"))
NOBODY = 65534

# Whoever writes durably waits for the disk, which has what all others write to do first: in memory where that can be had.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <limit name="max_connections_per_user">2000</limit>
  <limit name="max_completed_connections">4000</limit>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
    <allow own="org.freedesktop.login1"/>
    <allow send_destination="org.freedesktop.login1"/>
  </policy>
  <include>{source}/units/org.saferemove1.conf</include>
  <policy user="{user}"><allow own="org.saferemove1"/></policy>
</busconfig>
"""


def enter_namespaces():
    """Runs this script again where mounting and sending device events harm nobody."""
    if os.environ.get("SAFE_REMOVE_TEST_INSIDE"):
        for folder in ("/run", PCI_DEVICES):
            subprocess.run(["mount", "-t", "tmpfs", "test", folder], check=True)
        os.makedirs("/run/udev")
        open("/run/udev/control", "w").close()  # else libudev believes that there are no device events
        return
    flags = "-mn" if os.getuid() == 0 else "-rmn"
    if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL).returncode != 0 or not os.path.isdir(PCI_DEVICES):
        print("namespaces cannot be made here, or there is no PCI")
        sys.exit(77)
    os.environ["SAFE_REMOVE_TEST_INSIDE"] = "root" if os.getuid() == 0 else "user"
    os.execvp("unshare", ["unshare", flags, sys.executable] + sys.argv)


def wait_for(condition, what, patience=PATIENCE):
    """Polls: the things waited for are files and bus properties of other processes. Processes, and what they have open, come and go while
    they are looked at: what is not there is no answer yet."""
    deadline = time.monotonic() + patience
    gone = None
    while time.monotonic() < deadline:
        try:
            value = condition()
        except (FileNotFoundError, ProcessLookupError) as error:
            value, gone = None, error
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {patience} s in vain for {what}") from gone


def descriptors(pid):
    """What each of a process's descriptors is open on; without those that it closes while we look."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class BusError(Exception):
    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name.removeprefix("org.saferemove1.Error.")
        self.message = message


def entering_ram2(verb):
    """The real worker on a recorded machine with a card in slot 2."""
    worker = os.environ["REAL_WORKER"]
    return [os.path.join(os.path.dirname(worker), "../tests/roots/enter"), f"{SOURCE}/tests/roots/ram2.root", worker, verb]


def slot(name, number, card=True):
    port = f"0000:0c:0{number}.0"
    bdf = f"0000:{0x0d + number:02x}:00.0"
    return {"name": name, "address": bdf[:-2], "port": port, "service": port + ":pcie004", "held": False,
            "occupied": card, "power": "on" if card else "off", "power_led": "on" if card else "off",
            "attention_led": "off", "card": {"bdf": bdf, "vendor": "0x8086", "device": "0x0d93",
                                             "memdev": f"mem{number}", "serial": f"0x{number + 1:x}"} if card else None}


class BusTest(unittest.TestCase):
    slots = [slot("2", 0), slot("3", 1)]
    script = "step hold\nstep offline-memory\nstep power-off\n"
    daemon_uid = os.getuid()
    daemon_as = UNPRIVILEGED

    def setUp(self):
        self.make_surroundings()
        os.mkfifo(self.path("kmsg"))
        for port in os.listdir(PCI_DEVICES):
            shutil.rmtree(f"{PCI_DEVICES}/{port}")
        self.start_bus()
        self.start_guard()
        self.start_daemon()

    # The surroundings.

    def make_surroundings(self):
        self.daemon = self.guard = None
        self.folder = tempfile.mkdtemp(prefix="safe-remove-bus.", dir=MEMORY)
        self.addCleanup(shutil.rmtree, self.folder, True)
        os.chmod(self.folder, 0o755)
        os.mkdir(self.path("play"))
        self.write_machine(self.slots)
        self.write("play/script", self.script)
        self.env = {**os.environ, "SAFE_REMOVE_BUS": "session", "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.path('bus')}",
                    "SAFE_REMOVE_STATE_DIR": self.path("state"), "SAFE_REMOVE_CONFIG_DIRS": self.path("etc"), "SAFE_REMOVE_WORKER": os.path.join(HERE, "fake-worker"),
                    "FAKE_WORKER_PLAY": self.path("play"), "TEST_PYTHON": sys.executable, "SAFE_REMOVE_KMSG": self.path("kmsg"),
                    "SAFE_REMOVE_RUN_DIR": self.path("run"),
                    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
        self.env.pop("JOURNAL_STREAM", None)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name + ".new"), "w") as f:
            f.write(text)
        os.rename(self.path(name + ".new"), self.path(name))

    def hang(self, name):
        """Whoever opens the file waits, as for a file system that does not answer, until the descriptor is closed (or for 45 s)."""
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel tells that somebody wants the lease broken
        fd = os.open(self.path(name), os.O_RDONLY)

        def lease():
            with contextlib.suppress(BlockingIOError):  # somebody has it open
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                return True
            return False
        wait_for(lease, f"a lease of {name}")
        file = os.fdopen(fd)
        self.addCleanup(file.close)
        return file

    def write_machine(self, slots, **more):
        self.write("play/machine.json", json.dumps({"schema": "safe-remove/topology/1", "slots": slots, **more}))

    def worker_log(self):
        if not os.path.exists(self.path("play/log")):
            return []
        with open(self.path("play/log")) as f:
            return f.read().splitlines()

    def background(self, argv, **more):
        process = subprocess.Popen(argv, **{"env": self.env, **more}, preexec_fn=die_with_parent)
        self.addCleanup(self.end_process, process)
        return process

    @staticmethod
    def end_process(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    def start_bus(self):
        self.write("bus.conf", BUS_CONFIG.format(folder=self.folder, source=SOURCE, user=self.daemon_uid))
        with open(self.path("bus.log"), "wb") as log:
            self.bus_daemon = self.background(["dbus-daemon", "--nofork", "--nopidfile", "--config-file", self.path("bus.conf")], stderr=log)
        wait_for(lambda: os.path.exists(self.path("bus")), "the bus")

    def run_guard(self, before=()):
        with open(self.path("daemon.log"), "ab") as log:
            self.guard = self.background([*before, GUARD], stdout=log, stderr=log)

    def start_guard(self, before=()):
        self.run_guard(before)
        self.addCleanup(self.stop_guard)
        wait_for(lambda: all(os.path.exists(self.path(f"run/{name}")) for name in ("guard", "workers")), "the guard")

    def stop_guard(self, how=signal.SIGTERM):
        if not self.guard:
            return
        guard, self.guard = self.guard, None
        if guard.poll() is None:
            guard.send_signal(how)
        status = guard.wait(PATIENCE)
        if how == signal.SIGTERM:
            self.assertEqual(status, 0, self.log())
        for name in ("guard", "workers"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(f"run/{name}"))

    def run_daemon(self):
        with open(self.path("daemon.log"), "ab") as log:
            self.daemon = self.background([*self.daemon_as, DAEMON], stdout=log, stderr=log)

    def start_daemon(self, records_known=True):
        self.run_daemon()
        self.addCleanup(self.stop_daemon)
        wait_for(lambda: self.is_up(records_known), "the daemon, its first scan and the records")
        # Kept open: the end of the last writer would be the end of the log.
        self.kmsg = os.open(self.path("kmsg"), os.O_WRONLY)
        fcntl.fcntl(self.kmsg, fcntl.F_SETFL, os.O_DIRECT)  # a packet a write, as the kernel's device gives a record a read
        self.addCleanup(os.close, self.kmsg)

    def is_up(self, records_known):
        """With its slots; where reading the records takes long it shows them before it knows those, and starts no removal."""
        self.assertIsNone(self.daemon.poll(), self.log())
        states = [interfaces[f"{NAME}.Slot"]["State"]["data"] for interfaces in self.objects("slot").values()]
        with open(self.path("play/machine.json")) as f:
            return len(states) == len(json.load(f)["slots"]) and not (records_known and "unknown" in states)

    def stop_daemon(self, how=signal.SIGTERM):
        if not self.daemon:
            return
        daemon, self.daemon = self.daemon, None
        if daemon.poll() is None:
            daemon.send_signal(how)
        status = daemon.wait(PATIENCE)
        log = self.log()
        for sign in ("AddressSanitizer", "LeakSanitizer", "runtime error"):
            self.assertNotIn(sign, log)
        if how != signal.SIGKILL:
            self.assertEqual(status, 75 if how == signal.SIGUSR1 else 0, log)

    def log(self):
        with open(self.path("daemon.log")) as f:
            return f.read()

    def workers(self):
        """Those at work."""
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and self.is_worker(p, False)]

    def wait_ended(self, verb):
        """Whoever was at it has been ended, as it should: a test that lets through what such a worker waits for would else race with its end."""
        def at_it():
            return [pid for pid in self.workers() if verb in self.words_of(pid)]
        wait_for(lambda: not at_it(), f"the end of {verb}\n{self.log()}")

    @staticmethod
    def words_of(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            return f.read().split("\0")
        return []

    def waiting_workers(self):
        """Those that were made beforehand and have no verb yet: one at most."""
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and self.is_worker(p, True)]

    def is_worker(self, pid, waits):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f, open(f"/proc/{pid}/environ", "rb") as e:
                line = f.read()
                return (b"fake-worker" in line or b"safe-remove-worker" in line) and (b"\0waits-for-a-verb\0" in line) == waits and self.folder.encode() in e.read()
        except OSError:
            return False

    # The bus.

    def busctl(self, *argv, as_uid=None):
        # Through sd-bus's own client: its JSON needs no parser of ours.
        prefix = ["setpriv", f"--reuid={as_uid}", f"--regid={as_uid}", "--clear-groups"] if as_uid else []
        result = subprocess.run(prefix + ["busctl", f"--address=unix:path={self.path('bus')}", "--json=short", *argv],
                                env=self.env, capture_output=True, text=True, timeout=PATIENCE + 10)
        if result.returncode != 0:
            raise BusError("busctl", result.stderr.strip())
        return json.loads(result.stdout) if result.stdout.strip() else None

    def call(self, path, interface, method, *arguments, as_uid=None):
        """Calls and returns the values; a typed error becomes a BusError (busctl does not print its name, gdbus does)."""
        argv = ["gdbus", "call", "--address", f"unix:path={self.path('bus')}", "--dest", NAME, "--object-path", path,
                "--method", f"{interface}.{method}", "--timeout", "25", *arguments]
        if as_uid:
            argv = ["setpriv", f"--reuid={as_uid}", f"--regid={as_uid}", "--clear-groups"] + argv
        result = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=PATIENCE + 30)
        if result.returncode == 0:
            return result.stdout.strip()
        error = result.stderr.strip().split("GDBus.Error:", 1)[-1]
        raise BusError(*error.split(": ", 1))

    def plan_of_machine(self, **more):
        """The real worker's answer about the card in slot 2 of a recorded machine."""
        request = {"id": "0", "target": "2", "trigger": "command", "by": {"uid": 0}, "options": {}, **more}
        done = subprocess.run(entering_ram2("plan"), input=json.dumps(request) + "\n",
                              capture_output=True, text=True, timeout=PATIENCE * 3)
        if done.returncode == 77:
            self.skipTest(done.stderr)
        return json.loads(done.stdout)

    def manager(self, method, *arguments, **more):
        return self.call(ROOT, "org.saferemove1.Manager", method, *arguments, **more)

    def remove(self, target, options="{}", **more):
        """The new removal's path: gdbus prints "(objectpath '/...',)"."""
        return self.manager("Remove", f"'{target}'", options, **more).split("'")[1]

    def json_of(self, method, *signature_and_arguments):
        reply = self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", method, *signature_and_arguments)
        return json.loads(reply["data"][0])

    def get(self, path, interface, name):
        return self.busctl("get-property", NAME, path, f"org.saferemove1.{interface}", name)["data"]

    def report(self, removal):
        """What root may know of a removal."""
        return json.loads(self.busctl("call", NAME, removal, "org.saferemove1.Removal", "GetReport")["data"][0])

    def slot(self, name, what):
        return self.get(f"{ROOT}/slot/_{ord(name[0]):02x}{name[1:]}" if name[0].isdigit() else f"{ROOT}/slot/{name}", "Slot", what)

    def objects(self, kind):
        try:
            reply = self.busctl("call", NAME, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        except BusError:
            return {}
        return {path: interfaces for path, interfaces in reply["data"][0].items() if path.startswith(f"{ROOT}/{kind}/")}

    def wait_end(self, path):
        wait_for(lambda: self.get(path, "Removal", "State") == "ended", f"the end of {path}\n{self.log()}")
        return self.get(path, "Removal", "Outcome")

    def monitor(self):
        return Monitor(self)

    # The machine.

    def kernel_says(self, text, port, sequence, level=6, usec=None):
        record = f"{level},{sequence},{usec or sequence * 1000},-;pcieport {port}: pciehp: {text}\n SUBSYSTEM=pci\n DEVICE=+pci:{port}\n"
        os.write(self.kmsg, record.encode())

    def write_registers(self, port, control, status):
        """The port's configuration space: a PCI Express capability at 0x40 with a slot that has a button and all lights."""
        config = bytearray(256)
        config[0x06] = 0x10
        config[0x34] = 0x40
        config[0x40:0x44] = bytes((0x10, 0x00, 0x42, 0x01))  # version 2, root port, slot implemented
        struct.pack_into("<IHH", config, 0x40 + 0x14, 0x0000001b | 0x40, control, status)
        os.makedirs(f"{PCI_DEVICES}/{port}", exist_ok=True)
        with open(f"{PCI_DEVICES}/{port}/config.new", "wb") as f:
            f.write(config)
        os.rename(f"{PCI_DEVICES}/{port}/config.new", f"{PCI_DEVICES}/{port}/config")


def murmur(data):
    """MurmurHash2 with seed 0, by which the kernel filters device events for their listeners."""
    m, mask = 0x5bd1e995, 0xffffffff
    h = len(data)
    while len(data) >= 4:
        k = struct.unpack("<I", data[:4])[0] * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
        data = data[4:]
    for i in reversed(range(len(data))):
        h ^= data[i] << 8 * i
        if i == 0:
            h = h * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def send_device_event(action, devpath, subsystem, **properties):
    """What udevd sends to its listeners when it is done with an event."""
    properties = {"ACTION": action, "DEVPATH": devpath, "SUBSYSTEM": subsystem, "SEQNUM": "1", **properties}
    body = b"".join(f"{k}={v}".encode() + b"\0" for k, v in properties.items())
    header = b"libudev\0" + struct.pack(">I", 0xfeedcafe) + struct.pack("=III", 40, 40, len(body)) + \
        struct.pack(">IIII", murmur(subsystem.encode()), 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as s:
        s.bind((0, 0))
        s.sendto(header + body, (0, 2))


class Monitor:
    """What the daemon tells everybody, from now on."""

    def __init__(self, test):
        handle, self.output = tempfile.mkstemp(dir=test.folder)
        os.close(handle)
        with open(self.output, "wb") as output:
            self.process = test.background(["busctl", f"--address=unix:path={test.path('bus')}", "--json=short", "monitor", NAME],
                                           stdout=output, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.hears(test), "the monitor to hear something")

    def hears(self, test):
        test.busctl("call", NAME, ROOT, "org.freedesktop.DBus.Peer", "Ping")
        return self.messages()

    def messages(self):
        with open(self.output) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def signals(self, member):
        return [m["payload"]["data"] for m in self.messages() if m["type"] == "signal" and m["member"] == member]

    def events(self):
        return [json.loads(data[0]) for data in self.signals("Event")]

    def changes(self, interface):
        """Every change of the interface's properties, as {name: value} in their order; None for invalidated ones."""
        return [{**{k: v["data"] for k, v in changed.items()}, **{k: None for k in invalidated}}
                for name, changed, invalidated in self.signals("PropertiesChanged") if name == f"org.saferemove1.{interface}"]


def main():
    enter_namespaces()
    atexit.register(sys.stdout.flush)
    # Whoever only wants to know whether it fails need not wait for all that waits in vain.
    unittest.main(verbosity=2, failfast=bool(os.environ.get("FIRST_FAILURE")))
