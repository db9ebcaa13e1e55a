# SPDX-License-Identifier: ISC
"""
cleanuplib - run a cleanup on a scratch spool and talk to it.

Frames, schemas and the envelope are written down here a second time, from
lib/ipc/ipc.h, msg_cleanup.h, msg_feed.h and lib/queue/envelope.c, so that the
tests do not use the code they test.
"""
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BEGIN, CONTENT, END, ABORT, RESULT, BUSY = range(1, 7)
SUBSCRIBE, AT, MESSAGE, GAP, RELEASE, LOAD, RELEASED = range(1, 8)

NUM = {"arrival": 3, "flags": 5, "dsn_ret": 6, "client_port": 10,
       "submit_uid": 16}
TEXT = {"queue_id": 1, "trace_id": 2, "sender": 4, "dsn_envid": 7,
        "client_name": 8, "client_addr": 9, "helo": 11, "protocol": 12,
        "login": 13, "tls": 15, "filter": 20, "redirect": 21}
RCPT_TEXT = {"orig": 101, "orcpt": 102}
RCPT_NUM = {"notify": 103, "fate": 104}
F_LOCAL, F_HOLD, F_NO_CHECKS, F_NO_REWRITE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
F_BINARY, F_NO_RCPT_MAP, F_NO_BCC = 1 << 1, 1 << 11, 1 << 12


def b(s):
    return s if isinstance(s, bytes) else s.encode()


def row(key, value):
    return struct.pack("<HI", key, len(value)) + value


def envelope(sender="sender@example.org", rcpts=("rcpt@example.com",),
             attrs=(), **kw):
    out = b""
    kw.setdefault("protocol", "ESMTP")
    kw["sender"] = sender
    for k, v in kw.items():
        if k in NUM:
            out += row(NUM[k], struct.pack("<Q", v))
        elif v:
            out += row(TEXT[k], b(v))
    for name, value in attrs:
        out += row(26, b(name)) + row(27, b(value))
    for r in rcpts:
        d = {} if isinstance(r, (str, bytes)) else r[1]
        out += row(100, b(r if isinstance(r, (str, bytes)) else r[0]))
        for k, v in d.items():
            out += row(RCPT_TEXT[k], b(v)) if k in RCPT_TEXT else \
                row(RCPT_NUM[k], struct.pack("<Q", v))
    return out


def parse_envelope(data):
    """Keys to values; rcpts is a list of dicts."""
    e, at = {"rcpts": []}, 0
    names = {v: k for d in (NUM, TEXT, RCPT_TEXT, RCPT_NUM)
             for k, v in d.items()}
    while at < len(data):
        key, n = struct.unpack_from("<HI", data, at)
        v = data[at + 6:at + 6 + n]
        at += 6 + n
        if key == 100:
            e["rcpts"].append({"addr": v.decode("utf-8", "replace")})
            continue
        name = names.get(key, key)
        if key in NUM.values() or key in RCPT_NUM.values():
            v = struct.unpack("<Q", v)[0]
        elif isinstance(name, str):
            v = v.decode("utf-8", "replace")
        (e["rcpts"][-1] if key > 100 else e)[name] = v
    return e


class Conn:
    """One end of a conversation."""

    def __init__(self, path, name, version=1, hello=True):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.s.connect(path)
        self.data = b""
        if hello:
            self.send(0, 0, struct.pack("<I", len(name)) + b(name) +
                      struct.pack("<I", version))
            answer = self.frame()
            assert answer is not None, "closed before HELLO"
            assert answer[0] == 0

    def send(self, ftype, tag, body=b""):
        self.s.sendall(self.make(ftype, tag, body))

    @staticmethod
    def make(ftype, tag, body=b""):
        return struct.pack("<IHHI", len(body), ftype, 0, tag) + body

    def frame(self):
        """(type, tag, body), or None at the end of the connection."""
        while True:
            if len(self.data) >= 12:
                n, ftype, _, tag = struct.unpack_from("<IHHI", self.data)
                if len(self.data) >= 12 + n:
                    body = self.data[12:12 + n]
                    self.data = self.data[12 + n:]
                    return ftype, tag, body
            try:
                got = self.s.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not got:
                return None
            self.data += got

    def close(self):
        self.s.close()


class Result:
    def __init__(self, body):
        self.code, at = self.text_at(body, 0)
        self.smtp = struct.unpack_from("<I", body, at)[0]
        self.text, at = self.text_at(body, at + 4)
        self.queue_id, at = self.text_at(body, at)
        self.discard = body[at] == 1

    @staticmethod
    def text_at(body, at):
        n = struct.unpack_from("<I", body, at)[0]
        return body[at + 4:at + 4 + n].decode(), at + 4 + n

    def __repr__(self):
        return f"{self.smtp} {self.code} {self.text} ({self.queue_id})"


class Client(Conn):
    def __init__(self, inst):
        super().__init__(inst.path("private/cleanup"), "cleanup")
        self.tag = 0
        self.busy = None

    def submit(self, content, env=None, chunk=65536, **kw):
        """Send a whole message; its tag."""
        self.tag += 1
        content = b(content)
        out = [self.make(BEGIN, self.tag, env or envelope(**kw))]
        for i in range(0, len(content), chunk):
            out.append(self.make(CONTENT, self.tag, content[i:i + chunk]))
        out.append(self.make(END, self.tag))
        self.s.sendall(b"".join(out))
        return self.tag

    def result(self):
        while True:
            f = self.frame()
            assert f is not None, "connection closed"
            if f[0] == RESULT:
                return f[1], Result(f[2])
            assert f[0] == BUSY, f
            self.busy = (f[2][0] == 1, struct.unpack_from("<I", f[2], 1)[0])

    def message(self, content, **kw):
        self.submit(content, **kw)
        return self.result()[1]


class Feed(Conn):
    def __init__(self, inst):
        super().__init__(inst.path("private/feed"), "feed")

    def subscribe(self):
        self.send(SUBSCRIBE, 0)
        f = self.frame()
        assert f[0] == AT, f
        return struct.unpack("<Q", f[2])[0]

    def message(self):
        f = self.frame()
        assert f[0] == MESSAGE, f
        seq, slot, gen, off, n, large, skip, elen = \
            struct.unpack_from("<QIIQIBII", f[2])
        return {"seq": seq, "slot": slot, "generation": gen, "offset": off,
                "len": n, "large": large == 1, "skip": skip,
                "envelope": f[2][37:37 + elen]}


def crc32c_table():
    t = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ 0x82f63b78 if i & 1 else i >> 1
        t.append(i)
    return t


TABLE = crc32c_table()


def crc32c(data):
    c = 0xffffffff
    for x in data:
        c = c >> 8 ^ TABLE[(c ^ x) & 255]
    return c ^ 0xffffffff


def read_log(spool):
    """All messages in log/: queue id to (envelope, content)."""
    found = {}
    for name in sorted(os.listdir(f"{spool}/log")):
        if not re.fullmatch(r"\d+\.seg", name):
            continue
        with open(f"{spool}/log/{name}", "rb") as f:
            data = f.read()
        gen, used = struct.unpack_from("<I", data, 12)[0], \
            struct.unpack_from("<I", data, 32)[0]
        if not used:
            continue
        at = 4096
        while at + 48 <= len(data):
            magic, rtype, _, g, crc, seq, durable, n, pcrc, wall = \
                struct.unpack_from("<IHHIIQQIIQ", data, at)
            if magic != 0x4345524d or g != gen:
                nxt = (at + 4095) & ~4095
                if nxt == at:
                    break
                at = nxt
                continue
            payload = data[at + 48:at + 48 + n]
            head = data[at:at + 12] + b"\0\0\0\0" + data[at + 16:at + 48]
            if crc32c(head) != crc:
                break
            at += 48 + (n + 7 & ~7)
            if rtype not in (1, 2):
                continue
            elen = struct.unpack_from("<I", payload)[0]
            e = parse_envelope(payload[4:4 + elen])
            if rtype == 2:
                with open(f"{spool}/large/{e['queue_id']}", "rb") as f:
                    content = f.read()
            else:
                content = payload[4 + elen:]
            found[e["queue_id"]] = (e, content)
    return found


class Instance:
    """A cleanup of our own."""

    def __init__(self, conf=None, tables=None, spool=None, build=None,
                 env=None):
        self.own = spool is None
        self.top = tempfile.mkdtemp(prefix="cleanup.")
        os.chmod(self.top, 0o755)
        self.spool = spool or f"{self.top}/spool"
        self.etc = f"{self.top}/etc"
        self.build = build or os.environ.get("BUILD_DIR", "build/opt")
        self.user = "daemon" if os.geteuid() == 0 else \
            pwd.getpwuid(os.geteuid()).pw_name
        os.makedirs(self.etc)
        for d in ("log", "state", "large", "hold", "deferred", "corrupt",
                  "private", "public", "pid"):
            os.makedirs(f"{self.spool}/{d}", exist_ok=True)
        if os.geteuid() == 0:
            u = pwd.getpwnam(self.user)
            for d in ("", "log", "state", "large", "hold", "deferred",
                      "corrupt"):
                os.chown(f"{self.spool}/{d}", u.pw_uid, u.pw_gid)
        for name, text in (tables or {}).items():
            self.write(name, text)
        self.conf = {
            "queue_directory": self.spool, "mail_owner": self.user,
            "myhostname": "mail.example.test", "mydestination": "",
            "mynetworks": "127.0.0.0/8", "queue_segment_size": "4194304",
            "compatibility_level": "3.6"}
        self.proc = None
        self.start(conf or {}, env)

    def write(self, name, text):
        with open(f"{self.etc}/{name}", "w") as f:
            f.write(text)

    def configure(self, conf):
        self.conf.update(conf)
        self.write("main.cf", "".join(
            f"{k} = {str(v).replace('ETC', self.etc)}\n"
            for k, v in self.conf.items()))
        if not os.path.exists(f"{self.etc}/master.cf"):
            self.write("master.cf", "")

    def path(self, name):
        return f"{self.spool}/{name}"

    def start(self, conf=None, env=None):
        self.configure(conf or {})
        self.log = open(f"{self.top}/log", "ab")
        for s in ("cleanup", "feed"):
            if os.path.exists(self.path(f"private/{s}")):
                os.unlink(self.path(f"private/{s}"))
        self.proc = subprocess.Popen(
            [f"{os.path.abspath(self.build)}/bin/cleanup", "-c", self.etc,
             "-f", "-L", f"unix:{self.path('private/cleanup')}",
             "-L", f"unix:{self.path('private/feed')}"],
            stderr=self.log, stdout=self.log, env={**os.environ, **(env or {})})
        deadline = time.time() + 20
        while time.time() < deadline:
            try:
                for s in ("cleanup", "feed"):
                    Conn(self.path(f"private/{s}"), s).close()
                return
            except (OSError, AssertionError, TypeError):
                if self.proc.poll() is not None:
                    break
                time.sleep(0.01)
        raise RuntimeError("cleanup does not start:\n" + self.log_text())

    def log_text(self):
        with open(f"{self.top}/log", errors="replace") as f:
            return f.read()

    def reload(self, conf):
        self.configure(conf)
        n = self.log_text().count("reload -- ")
        self.proc.send_signal(signal.SIGHUP)
        deadline = time.time() + 10
        while self.log_text().count("reload -- ") == n:
            assert time.time() < deadline, "no reload"
            time.sleep(0.01)
        time.sleep(0.05)

    def kill(self, sig=signal.SIGKILL):
        if self.proc is not None:
            if self.proc.poll() is None:
                self.proc.send_signal(sig)
            self.proc.wait(30)
            self.log.close()
            rc, self.proc = self.proc.returncode, None
            return rc

    def messages(self):
        return read_log(self.spool)

    def stop(self):
        rc = self.kill(signal.SIGTERM)
        shutil.rmtree(self.top, ignore_errors=True)
        assert rc == 0, f"exit status {rc}"

    def __enter__(self):
        return self

    def __exit__(self, exc, *rest):
        if exc is not None:
            sys.stderr.write(self.log_text())
            self.kill()
            shutil.rmtree(self.top, ignore_errors=True)
        else:
            self.stop()


def run(tests):
    """Run the functions; stop at the first that fails."""
    for t in tests:
        if len(sys.argv) > 1 and sys.argv[1] not in t.__name__:
            continue
        try:
            t()
        except BaseException:
            print(f"FAILED: {t.__name__}: {t.__doc__}")
            raise
        print(f"ok: {t.__name__}")


def eq(got, want):
    assert got == want, f"\n got: {repr(got):.2000}\nwant: {repr(want):.2000}"


def has(text, want):
    assert want in text, f"\n{want!r} is not in\n{text:.5000}"


def header(content):
    return content.split(b"\n\n", 1)[0].decode("utf-8", "replace") + "\n"
