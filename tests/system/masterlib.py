# SPDX-License-Identifier: ISC
"""A scratch instance of master whose daemons are all tests/dummy/dummy.c.

    with Scratch("smtpd 2 services", main={"max_idle": "1s"}) as m:
        m.start()
        with m.client(m.port) as c:
            c.ask("pid")
"""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from ports import free_port

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", f"{TOP}/build/opt"))
ROOT = os.geteuid() == 0
SLOW = int(os.environ.get("TEST_SLOW", "4" if "/san-" in BUILD else "1"))
OWNER = "daemon" if ROOT else pwd.getpwuid(os.geteuid()).pw_name

# Names of programs; those that end in "w" are workers.
DAEMONS = ("smtpd", "cleanup", "qmgr", "rewrite", "pickup", "event", "workw",
           "bounce", "delegate")

SINGLES = """\
cleanup unix n - - - 0 cleanup
qmgr unix n - - - 1 qmgr
rewrite unix - - - - - trivial-rewrite
"""


def free_ports(n):
    return [free_port() for _ in range(n)]


def wait_for(what, seconds=10, every=0.02):
    """Wait until what() is true, and return it; fail after seconds."""
    end = time.monotonic() + seconds * SLOW
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain")
        time.sleep(every)


class Client:
    def __init__(self, where, timeout=10):
        if isinstance(where, int):
            self.sock = socket.create_connection(("127.0.0.1", where),
                                                 timeout * SLOW)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout * SLOW)
            self.sock.connect(where)
        self.file = self.sock.makefile("rw", encoding="utf-8", newline="\n")
        self.hello = self.line()

    def line(self):
        text = self.file.readline()
        if text == "":
            raise EOFError("closed by the daemon")
        return text.rstrip("\n")

    def send(self, text):
        self.file.write(text + "\n")
        self.file.flush()

    def ask(self, text):
        self.send(text)
        return self.line()

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Scratch:
    def __init__(self, services, main=None):
        self.base = tempfile.mkdtemp(prefix="mansio-test-")
        os.chmod(self.base, 0o755)
        self.etc = f"{self.base}/etc"
        self.bin = f"{self.base}/bin"
        self.spool = f"{self.base}/spool"
        self.logfile = f"{self.base}/log/mail.log"
        self.started = []           # Popen objects of start-fg
        for d in ("etc", "bin", "log"):
            os.mkdir(f"{self.base}/{d}")
        for name in DAEMONS:
            os.symlink(f"{BUILD}/tests/dummy/dummy", f"{self.bin}/{name}")
        os.symlink(f"{BUILD}/bin/master", f"{self.bin}/master")
        self.main = {
            "queue_directory": self.spool,
            "data_directory": f"{self.base}/lib",
            "daemon_directory": self.bin,
            "command_directory": f"{BUILD}/bin",
            "mail_owner": OWNER,
            "maillog_file": self.logfile,
            "maillog_file_prefixes": self.base,
            "inet_interfaces": "127.0.0.1",
            "myhostname": "mail.example.test",
            "alias_maps": "",
            "alias_database": "",
            "service_throttle_time": "1s",
            "stop_time_limit": "5s",
        }
        self.main.update(main or {})
        self.services = services
        self.write()

    def write(self):
        # A process that starts at this moment reads the old or the new.
        text = "".join(f"{k} = {v}\n" for k, v in self.main.items())
        for name, data in ("main.cf", text), ("master.cf", self.services):
            with open(f"{self.etc}/{name}.new", "w", encoding="utf-8") as f:
                f.write(data)
            os.rename(f"{self.etc}/{name}.new", f"{self.etc}/{name}")

    def mansio(self, *args, check=True, **kw):
        kw.setdefault("timeout", 60 * SLOW)
        done = subprocess.run([f"{BUILD}/bin/mansio", "-c", self.etc, *args],
                              capture_output=True, text=True, check=False,
                              **kw)
        if check and done.returncode != 0:
            raise AssertionError(f"mansio {args}: exit {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done

    def start(self, **kw):
        self.mansio("start", **kw)

    def start_fg(self, **kw):
        p = subprocess.Popen([f"{BUILD}/bin/mansio", "-c", self.etc,
                              "start-fg"], **kw)
        self.started.append(p)
        wait_for(lambda: self.mansio("status", check=False).returncode == 0)
        return p

    def stop(self):
        self.mansio("stop")

    def reload(self):
        self.mansio("reload")

    def pid(self):
        with open(f"{self.spool}/pid/master.pid", encoding="ascii") as f:
            return int(f.read())

    def status(self):
        return json.loads(self.mansio("status", "--json").stdout)

    def service(self, name):
        for s in self.status()["services"]:
            if s["name"] == name and s["state"] != "leaving":
                return s
        raise AssertionError(f"no service {name}")

    def pids(self):
        return {p["pid"] for s in self.status()["services"]
                for p in s["processes"]}

    def client(self, where, **kw):
        if isinstance(where, str):
            where = f"{self.spool}/{where}"
        return Client(where, **kw)

    def log(self):
        try:
            with open(self.logfile, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, text, seconds=10):
        wait_for(lambda: text in self.log(), seconds)

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, kind, *_):
        if kind not in (None, SystemExit):
            print("--- log\n" + self.log()[-60000:], file=sys.stderr)
        if self.mansio("status", check=False).returncode == 0:
            self.mansio("abort", check=False)
        for p in self.started:
            if p.poll() is None:
                p.kill()
            p.wait()
        shutil.rmtree(self.base, ignore_errors=True)


def run(cases):
    """Run functions; print their names and the count."""
    for case in cases:
        before = time.monotonic()
        case()
        print(f"ok {case.__name__} ({time.monotonic() - before:.2f} s)",
              flush=True)
    print(f"{len(cases)} passed, 0 failed, 0 skipped")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
