# SPDX-License-Identifier: ISC
"""A scratch Mansio on free ports, for tests that need the whole suite.

    with Instance() as m:
        m.send("alice@example.test", "Subject: hello\n\nhi\n")
        m.wait_idle()
        assert len(m.maildir("alice")) == 1

Runs the programs of $BUILD_DIR from a temporary directory and stops what it
started.  Mail for USERS@example.test goes to Maildirs below m.mail; settings
are added to main.cf, services to master.cf.
"""
import json
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

from ports import free_port

SKIP = 77
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", f"{TOP}/build/opt"))

MAIN = """\
myhostname = mail.example.test
mydestination = localhost
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
queue_directory = {base}/spool
data_directory = {base}/lib
daemon_directory = {bin}
command_directory = {bin}
mail_owner = {owner}
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}
alias_maps =
alias_database =
virtual_mailbox_domains = example.test
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = hash:{base}/etc/vmailbox
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""

MASTER = """\
127.0.0.1:{smtp} inet n - - - - smtpd
127.0.0.1:{lmtp} inet n - - - - lmtpd
pickup unix n - - - 1 pickup
cleanup unix n - - - 1 cleanup
qmgr unix n - - - 1 qmgr
rewrite unix - - - - 1 rewrite
auth unix - - - - 1 authd
bounce unix - - - - 1 bounce
error unix - - - - - error
retry unix - - - - - error
discard unix - - - - - discard
showq unix n - - - - showq
local unix - n - - - local
virtual unix - n - - - virtual
"""


def skip(reason):
    print(f"skip: {reason}")
    sys.exit(SKIP)


def need_root():
    if os.geteuid() != 0:
        skip("needs root")


def first_user(*names):
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    skip(f"none of the users {', '.join(names)} exists")


class Instance:
    USERS = ("alice", "bob", "carol")

    def __init__(self, settings=None, services="", base=None, users=None,
                 maildir=True, env=None):
        need_root()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.own_base = base is None
        self.base = base or tempfile.mkdtemp(prefix="mansio-test-")
        os.makedirs(self.base, exist_ok=True)
        os.chmod(self.base, 0o755)
        self.etc = f"{self.base}/etc"
        self.mail = f"{self.base}/mail"
        self.logfile = f"{self.base}/log/mail.log"
        self.users = tuple(users or self.USERS)
        self.smtp_port, self.lmtp_port = free_port(), free_port()
        self.env = dict(os.environ, **(env or {}))
        self.owner = first_user("mansio", "mail", "daemon")
        self.vmail = first_user("vmail", "nobody")
        self.is_maildir = maildir
        self.write_config(settings or {}, services, maildir)
        self.running = False

    def write_config(self, settings, services, maildir):
        if maildir:
            settings = {"store_format": "maildir", **settings}
        for d in ("etc", "lib", "mail", "log"):
            os.makedirs(f"{self.base}/{d}", exist_ok=True)
        os.chown(f"{self.base}/lib", self.owner.pw_uid, self.owner.pw_gid)
        os.chown(self.mail, self.vmail.pw_uid, self.vmail.pw_gid)
        main = MAIN.format(base=self.base, bin=f"{BUILD}/bin",
                           owner=self.owner.pw_name, uid=self.vmail.pw_uid,
                           gid=self.vmail.pw_gid)
        with open(f"{self.etc}/main.cf", "w", encoding="utf-8") as f:
            f.write(main)
            for name, value in settings.items():
                f.write(f"{name} = {value.format(base=self.base)}\n")
        with open(f"{self.etc}/master.cf", "w", encoding="utf-8") as f:
            f.write(MASTER.format(smtp=self.smtp_port, lmtp=self.lmtp_port))
            f.write(services)
        with open(f"{self.etc}/vmailbox", "w", encoding="ascii") as f:
            # A directory; store_format says of which kind.
            for user in self.users:
                f.write(f"{user}@example.test example.test/{user}/\n")
        self.command("postmap", f"{self.etc}/vmailbox")

    def program(self, name):
        return f"{BUILD}/bin/{name}"

    def command(self, name, *args, check=True, **kw):
        """Run one of the suite's commands on this instance."""
        kw.setdefault("timeout", 60)
        done = subprocess.run(
            [self.program(name), "-c", self.etc, *args],
            capture_output=True, text=True, env=self.env, **kw)
        if check and done.returncode != 0:
            raise RuntimeError(f"{name} {args}: exit {done.returncode}: "
                               f"{done.stdout}{done.stderr}")
        return done

    def start(self):
        try:
            self.command("mansio", "start")
            self.running = True
        except subprocess.TimeoutExpired:
            self.running = True     # or will be, for all that we know
            raise
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(
                    ("127.0.0.1", self.smtp_port), 5).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise TimeoutError("no SMTP listener after 10 s\n" + self.log())

    def stop(self):
        if self.running:
            self.running = False
            self.command("mansio", "stop")

    def master_pid(self):
        with open(f"{self.base}/spool/pid/master.pid",
                  encoding="ascii") as f:
            return int(f.read().split()[0])

    def children(self):
        """{pid: program name} of master's children."""
        master, found = self.master_pid(), {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                    head, _, rest = f.read().rpartition(")")
            except OSError:
                continue
            if int(rest.split()[1]) == master:
                found[int(name)] = head.partition("(")[2]
        return found

    def wake(self, *services):
        """Have a process of each service ("private/verify", or with the
        program's name "private/again=retry", "2525=smtpd") run; it does
        while the connections that are returned are open."""
        found, want = [], set()
        for name in services:
            name, _, program = name.partition("=")
            want.add(program or name.partition("/")[2])
            if name.isdigit():
                s = socket.create_connection(("127.0.0.1", int(name)), 30)
            else:
                s = socket.socket(socket.AF_UNIX)
                s.connect(f"{self.base}/spool/{name}")
            found.append(s)
        end = time.monotonic() + 30
        while want - set(self.children().values()):
            assert time.monotonic() < end, (want, self.children())
            time.sleep(0.05)
        return found

    def log(self):
        try:
            with open(self.logfile, encoding="utf-8",
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, text, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if text in self.log():
                return
            time.sleep(0.05)
        raise TimeoutError(f"no {text!r} in the log:\n{self.log()[-4000:]}")

    def reload(self, *settings, timeout=30):
        """With new settings, name=value, if there are any.

        master answers when it has them, and its processes come after it: here
        it ends when none takes a client with the old ones any more."""
        if settings:
            self.command("postconf", "-e", *settings)
        self.command("mansio", "reload")
        end = time.monotonic() + timeout
        # An answer may be of the same turn as the signal, and before it.
        for _ in range(2):
            while late := [
                    p for s in json.loads(self.command(
                        "mansio", "status", "--json").stdout)["services"]
                    for p in s["processes"]
                    if not p["answered"] and p["state"] != "exiting"]:
                assert time.monotonic() < end, late

    def queue(self):
        """The queue as postqueue -j lists it."""
        out = self.command("postqueue", "-j").stdout
        return [json.loads(line) for line in out.splitlines()]

    def wait_idle(self, timeout=30):
        """Until nothing is queued."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not self.queue():
                return
            time.sleep(0.1)
        raise TimeoutError(f"still queued: {self.queue()[:5]}\n"
                           + self.log()[-4000:])

    def smtp(self, **kw):
        return smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30, **kw)

    def send(self, to, text, sender="sender@example.org", **kw):
        """One message; to without '@' is a user of example.test."""
        rcpts = [to] if isinstance(to, str) else list(to)
        rcpts = [r if "@" in r else f"{r}@example.test" for r in rcpts]
        data = text if isinstance(text, bytes) else text.encode()
        with self.smtp() as s:
            return s.sendmail(sender, rcpts, data, **kw)

    def maildir(self, user):
        """The messages of a user's Maildir, as bytes."""
        found = []
        for sub in ("new", "cur"):
            path = f"{self.mail}/example.test/{user}/{sub}"
            if os.path.isdir(path):
                for name in sorted(os.listdir(path)):
                    with open(f"{path}/{name}", "rb") as f:
                        found.append(f.read())
        return found

    def packed(self, user):
        """The messages of a user's packed mailbox, as bytes; b"" for one
        whose bytes are damaged."""
        path = f"{self.mail}/example.test/{user}"
        if not os.path.isdir(path):
            return []
        data = subprocess.run([f"{BUILD}/tests/crash/packedcat", path],
                              check=True, capture_output=True).stdout
        found, at = [], 0
        while at < len(data):
            end = data.index(b"\n", at)
            length = data[at:end].split()[1]
            at = end + 1
            size = 0 if length == b"damaged" else int(length)
            found.append(data[at:at + size])
            at += size
        return found

    def mailbox(self, user):
        """The messages of a user, whatever the format is."""
        return self.maildir(user) if self.is_maildir else self.packed(user)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None and kind is not SystemExit:
                print("--- end of the log ---\n" + self.log()[-8000:])
            self.stop()
        finally:
            if self.own_base:
                shutil.rmtree(self.base, ignore_errors=True)
