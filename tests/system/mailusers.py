# SPDX-License-Identifier: ISC
"""An Instance with accounts, the session monitor and a POP3 service.

    with Users() as m:
        m.send("alice", "Subject: hello\n\nhi\n")
        m.wait_idle()
        with m.pop3("alice") as c:
            assert c.ok("STAT") == "1 ..."
"""
import os
import re
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, free_port  # noqa: E402

PASSWORDS = {"alice": "wonderland", "bob": "builder", "carol": "christmas"}
TIMEOUT = 20 * int(os.environ.get("TEST_SLOW", "1") or 1)
if "/san-" in os.environ.get("BUILD_DIR", ""):
    TIMEOUT *= 4


class Pop3:
    """A client that shows what comes, bytes and all."""

    def __init__(self, port, host="127.0.0.1", rcvbuf=0, ca=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(TIMEOUT)
        self.s.connect((host, port))
        self.buf = b""
        if ca:
            self.tls(ca)
        self.greeting = self.line()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.s.sendall(data)

    def line(self):
        """The next line without its CRLF; EOFError at the end."""
        while b"\n" not in self.buf:
            got = self.s.recv(65536)
            if not got:
                raise EOFError(self.buf)
            self.buf += got
        line, _, self.buf = self.buf.partition(b"\n")
        assert line.endswith(b"\r"), line
        return line[:-1].decode("utf-8", "surrogateescape")

    def lines(self):
        """A multi-line answer without the last "." and dots doubled."""
        found = []
        while (line := self.line()) != ".":
            found.append(line[1:] if line.startswith(".") else line)
        return found

    def ask(self, command):
        self.send(command + "\r\n")
        return self.line()

    def ok(self, command):
        got = self.ask(command)
        assert got == "+OK" or got.startswith("+OK "), (command, got)
        return got[4:]

    def err(self, command, code=""):
        """A refusal, which has a response code (RFC 2449 8, RFC 3206) but
        where none is expected (None)."""
        got = self.ask(command)
        assert got.startswith("-ERR " + (code or "")), (command, got)
        if code is not None:
            assert re.match(r"-ERR \[(AUTH|SYS/TEMP|SYS/PERM|IN-USE|"
                            r"LOGIN-DELAY|UTF8)\] \S", got), (command, got)
        return got

    def many(self, command):
        self.ok(command)
        return self.lines()

    def login(self, user, password=None):
        if "@" not in user:
            password = password or PASSWORDS[user]
            user += "@example.test"
        self.ok(f"USER {user}")
        self.ok(f"PASS {password}")
        return self

    def at_end(self):
        """Whether the server has closed; what came before is dropped."""
        try:
            while True:
                self.line()
        except (EOFError, ConnectionError):
            return True

    def tls(self, ca):
        """TLS from here on; what was buffered in the clear is an error."""
        assert not self.buf, self.buf
        self.s = ssl.create_default_context(cafile=ca).wrap_socket(
            self.s, server_hostname="localhost")
        return self

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Users(Instance):
    def __init__(self, settings=None, services="", tls=False, **kw):
        self.pop3_port = free_port()
        self.imap_port = free_port()
        self.pop3s_port = free_port()
        self.imaps_port = free_port()
        have = {"authd_failure_delay": "0s",
                "authd_failure_ban_threshold": "100000",
                "session_max_idle": "2s"}
        have.update(settings or {})
        services += f"""\
127.0.0.1:{self.pop3_port} inet n - - - - pop3d
127.0.0.1:{self.imap_port} inet n - - - - imapd
session unix - n - - 1 session
"""
        if tls:
            have["smtpd_tls_chain_files"] = "{base}/etc/server.pem"
            services += f"""\
keyd unix - - - - 1 keyd
127.0.0.1:{self.pop3s_port} inet n - - - - pop3d
  -o pop3d_tls_wrappermode=yes
127.0.0.1:{self.imaps_port} inet n - - - - imapd
  -o imapd_tls_wrappermode=yes
"""
        kw.setdefault("maildir", False)
        if not kw["maildir"]:
            have.setdefault("store_format", "packed")
        super().__init__(settings=have, services=services, **kw)
        for name in self.users:
            self.command("mansio", "user", "add", f"{name}@example.test",
                         input=PASSWORDS.get(name, "secret") + "\n")

        if tls:
            self.make_certificate()

    def make_certificate(self):
        """A CA, self.ca, and a certificate for this machine."""
        self.ca = f"{self.etc}/ca.pem"
        key = f"{self.etc}/ca-key.pem"
        self.command("mansio", "cert", "selfsign", "-A", key, "Test CA")
        with open(self.ca, "w", encoding="ascii") as f:
            f.write(self.command("mansio", "cert", "show", "-p", key).stdout)
        self.command("mansio", "cert", "selfsign", "-C", key,
                     f"{self.etc}/server.pem", "mail.example.test",
                     "localhost", "127.0.0.1")

    def pop3(self, user=None, password=None, **kw):
        c = Pop3(self.pop3_port, **kw)
        if user:
            c.login(user, password or PASSWORDS.get(user, "secret"))
        return c

    def session_pids(self):
        """{pid: command name} of the users' processes: children of the
        nurseries, which are the monitor's."""
        found, nurseries = {}, self.nursery_pids()
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/comm", encoding="latin-1") as f:
                    name = f.read().strip()
                with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if name == "session-user" and parent in nurseries:
                found[int(pid)] = name
        return found

    def nursery_pids(self):
        monitor = self.monitor_pid()
        if not monitor:
            return []
        out = subprocess.run(["pgrep", "-P", str(monitor)], check=False,
                             capture_output=True, text=True).stdout
        return [int(pid) for pid in out.split()]

    def monitor_pid(self):
        for pid, name in self.children().items():
            if name == "session":
                return pid
        return 0
