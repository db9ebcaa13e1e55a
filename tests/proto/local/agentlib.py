# SPDX-License-Identifier: ISC
"""
agentlib - run local or virtual on a scratch directory and play qmgr.

The frames and the envelope are written down here a second time, from
lib/ipc/ipc.h, msg_deliver.h and lib/queue/envelope.c.  As root, the agents
act as the user "daemon" (and "nobody" for default_privs); without root as
whoever runs the test.
"""
import array
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("BUILD_DIR", "build/opt")
SLOW = 4 if "/san-" in BUILD else 1
DELIVERED, BOUNCED, DEFERRED, RETURNED = 1, 2, 3, 4
SEGMENT, DROP, MESSAGE, STATUS, CHECKPOINT = 1, 2, 3, 4, 5
FILE = 0xffffffff
ROOT = os.geteuid() == 0


def skip(why):
    print("skip:", why)
    sys.exit(77)


def b(s):
    return s if isinstance(s, bytes) else s.encode()


def pstr(s):
    return struct.pack("<I", len(b(s))) + b(s)


def row(key, value):
    return struct.pack("<HI", key, len(b(value))) + b(value)


def num(key, value):
    return row(key, struct.pack("<Q", value))


def envelope(qid, sender, rcpts, arrival=1700000000000000):
    out = row(1, qid) + row(2, "trace" + qid) + num(3, arrival) + \
        row(4, sender) + row(12, "ESMTP") + row(8, "client.example.org") + \
        row(9, "192.0.2.1") + row(11, "helo.example.org")
    for r in rcpts:
        addr, kw = (r, {}) if isinstance(r, str) else r
        out += row(100, addr)
        if "orig" in kw:
            out += row(101, kw["orig"])
        if "notify" in kw:
            out += num(103, kw["notify"])
    return out


def parse_envelope(data):
    e, at = {"rcpts": []}, 0
    while at < len(data):
        key, n = struct.unpack_from("<HI", data, at)
        v = data[at + 6:at + 6 + n]
        at += 6 + n
        if key == 100:
            e["rcpts"].append({"addr": v.decode()})
        elif key > 100:
            e["rcpts"][-1][key] = v
        else:
            e[key] = v
    return e


class Status:
    def __init__(self, tag, body):
        self.tag = tag
        self.rcpt, self.outcome = struct.unpack_from("<II", body)
        at = 8
        for name in ("dsn", "text", "relay", "remote_dsn", "action"):
            n = struct.unpack_from("<I", body, at)[0]
            setattr(self, name, body[at + 4:at + 4 + n].decode())
            at += 4 + n
        at += 1
        self.serial = struct.unpack_from("<Q", body, at)[0]

    def __repr__(self):
        name = ["?", "DELIVERED", "BOUNCED", "DEFERRED", "RETURNED"]
        return (f"<{self.tag}/{self.rcpt} {name[self.outcome]} {self.dsn} "
                f"{self.text!r} {self.action} serial {self.serial}>")


class Conn:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30 * SLOW)
        self.s.connect(path)
        self.data = b""
        self.checkpoint = 0
        self.tag = 0
        self.send(0, 0, pstr("deliver") + struct.pack("<I", 1))
        assert self.frame()[0] == 0

    def send(self, ftype, tag, body=b"", fd=None):
        head = struct.pack("<IHHI", len(body), ftype, fd is not None, tag)
        anc = [] if fd is None else [(
            socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        n = self.s.sendmsg([head + body], anc)
        if n < len(head) + len(body):
            self.s.sendall((head + body)[n:])

    def frame(self):
        while True:
            if len(self.data) >= 12:
                n, ftype, _, tag = struct.unpack_from("<IHHI", self.data)
                if len(self.data) >= 12 + n:
                    body = self.data[12:12 + n]
                    self.data = self.data[12 + n:]
                    return ftype, tag, body
            got = self.s.recv(1 << 18)
            if not got:
                return None
            self.data += got

    def message(self, content, rcpts, sender="sender@example.org",
                qid="4abcdefz123", recovered=False, attempt=1):
        """Send one message; its tag."""
        self.tag += 1
        env = envelope(qid, sender, rcpts)
        fd = os.memfd_create("m")
        os.write(fd, b"xyz" + b(content))
        self.send(MESSAGE, self.tag, struct.pack(
            "<IQQ", FILE, 3, len(b(content))) + pstr("example.test") +
            struct.pack("<IBQ", attempt, recovered, 0) + pstr(env), fd)
        os.close(fd)
        return self.tag

    def status(self):
        while True:
            f = self.frame()
            assert f is not None, "the agent closed the connection"
            if f[0] == STATUS:
                return Status(f[1], f[2])
            assert f[0] == CHECKPOINT, f
            self.checkpoint = struct.unpack("<Q", f[2])[0]

    def wait_checkpoint(self, serial):
        while self.checkpoint < serial:
            f = self.frame()
            assert f is not None and f[0] == CHECKPOINT, f
            self.checkpoint = struct.unpack("<Q", f[2])[0]

    def deliver(self, rcpt, content="Subject: x\n\nbody\n", **kw):
        """One message to one recipient, and its status."""
        self.message(content, [rcpt], **kw)
        return self.status()

    def close(self):
        self.s.close()


class Cleanup(threading.Thread):
    """Takes new messages and keeps them; answers as told."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.got = []
        self.answer = ("2.0.0", 250, "")
        self.ls = socket.socket(socket.AF_UNIX)
        self.ls.bind(path)
        os.chmod(path, 0o666)
        self.ls.listen(10)
        self.start()

    def run(self):
        while True:
            s, _ = self.ls.accept()
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        hello = pstr("cleanup") + struct.pack("<I", 1)
        s.sendall(struct.pack("<IHHI", len(hello), 0, 0, 0) + hello)
        data, open_ = b"", {}
        while True:
            got = s.recv(1 << 16)
            if not got:
                return
            data += got
            while len(data) >= 12:
                n, ftype, _, tag = struct.unpack_from("<IHHI", data)
                if len(data) < 12 + n:
                    break
                body, data = data[12:12 + n], data[12 + n:]
                if ftype == 1:
                    open_[tag] = [parse_envelope(body), b""]
                elif ftype == 2:
                    open_[tag][1] += body
                elif ftype == 3:
                    code, smtp, text = self.answer
                    if code[0] == "2":
                        self.got.append(open_.pop(tag))
                    r = pstr(code) + struct.pack("<I", smtp) + pstr(text) + \
                        pstr("NEWID%d" % len(self.got)) + b"\0"
                    s.sendall(struct.pack("<IHHI", len(r), 5, 0, tag) + r)


class Agent:
    def __init__(self, name, conf=None, files=None):
        self.name = name
        self.top = tempfile.mkdtemp(prefix=name + ".")
        os.chmod(self.top, 0o755)
        self.spool, self.etc = self.top + "/spool", self.top + "/etc"
        for d in (self.etc, self.spool + "/private", self.top + "/mail"):
            os.makedirs(d)
        os.chmod(self.spool, 0o755)
        user = pwd.getpwnam("daemon") if ROOT else \
            pwd.getpwuid(os.geteuid())
        self.user = user.pw_name
        self.uid, self.gid = user.pw_uid, user.pw_gid
        self.mail = self.top + "/mail"
        if ROOT:
            os.chown(self.mail, self.uid, self.gid)
        for n, text in (files or {}).items():
            self.write(n, text)
        self.conf = {
            "queue_directory": self.spool, "compatibility_level": "3.6",
            "mail_owner": "bin" if ROOT else self.user,
            "default_privs": "nobody" if ROOT else self.user,
            "myhostname": "mail.example.test", "myorigin": "example.test",
            "mydestination": "example.test", "alias_maps": "",
            "mail_spool_directory": self.mail,
            "mailbox_delivery_lock": "fcntl",
            "virtual_mailbox_base": self.mail,
            "virtual_minimum_uid": "1"}
        self.conf.update(conf or {})
        self.cleanup = Cleanup(self.spool + "/private/cleanup")
        self.proc = None
        self.start()

    def write(self, name, text, mode=0o644):
        path = name if name[0] == "/" else f"{self.etc}/{name}"
        with open(path, "w") as f:
            f.write(text.replace("TOP", self.top))
        os.chmod(path, mode)
        return path

    def start(self, **conf):
        self.conf.update(conf)
        self.write("main.cf", "".join(
            f"{k} = {str(v).replace('TOP', self.top)}\n"
            for k, v in self.conf.items()))
        self.write("master.cf", "")
        self.sock = f"{self.spool}/private/{self.name}"
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.log = open(self.top + "/log", "ab")
        self.proc = subprocess.Popen(
            [os.path.abspath(BUILD) + "/bin/" + self.name, "-c", self.etc,
             "-f", "-L", "unix:" + self.sock],
            stdout=self.log, stderr=self.log)
        end = time.time() + 20 * SLOW
        while time.time() < end and self.proc.poll() is None:
            try:
                self.conn = Conn(self.sock)
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("no start:\n" + self.log_text())

    def restart(self, **conf):
        self.kill(signal.SIGTERM)
        self.start(**conf)

    def kill(self, sig=signal.SIGKILL):
        if self.proc is None:
            return None
        self.conn.close()
        self.proc.send_signal(sig)
        rc = self.proc.wait(30 * SLOW)
        self.log.close()
        self.proc = None
        return rc

    def log_text(self):
        with open(self.top + "/log", errors="replace") as f:
            return f.read()

    def __enter__(self):
        return self

    def __exit__(self, exc, *rest):
        if exc is not None:
            sys.stderr.write(self.log_text())
            self.kill()
        elif self.proc is not None:
            rc = self.kill(signal.SIGTERM)
            assert rc == 0, f"exit status {rc}\n" + self.log_text()
        shutil.rmtree(self.top, ignore_errors=True)
