# SPDX-License-Identifier: ISC
"""A smtpd or lmtpd under test, between a fake cleanup and a fake rewrite.

The fakes speak the frames of lib/ipc and do what a test tells them: refuse,
stay silent, go away.  Everything lies in a scratch directory; the daemon
listens on a free port of 127.0.0.1.
"""

import os
import re
import resource
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from ports import free_port  # noqa: E402

BUILD = os.environ.get("BUILD_DIR", "build/opt")
TIMEOUT = 10 * int(os.environ.get("TEST_SLOW", "1") or 1)
if "/san-" in BUILD:
    TIMEOUT *= 4

ENV_KEYS = {
    1: "queue_id", 2: "trace_id", 3: "arrival", 4: "sender", 5: "flags",
    6: "dsn_ret", 7: "dsn_envid", 8: "client_name", 9: "client_addr",
    10: "client_port", 11: "helo", 12: "protocol", 13: "login",
    20: "filter", 21: "redirect", 22: "size",
}
NUMBERS = {"arrival", "flags", "dsn_ret", "client_port", "size"}
RCPT_KEYS = {101: "orig", 102: "orcpt", 103: "notify"}

ENV_8BITMIME, ENV_BINARYMIME, ENV_SMTPUTF8, ENV_HOLD = 1, 2, 4, 32


def envelope(body):
    e, rcpts, at = {}, [], 0
    while at < len(body):
        key, n = struct.unpack_from("<HI", body, at)
        value = body[at + 6:at + 6 + n]
        at += 6 + n
        if key == 100:
            rcpts.append({"addr": value.decode()})
        elif key > 100:
            name = RCPT_KEYS.get(key, str(key))
            rcpts[-1][name] = (struct.unpack("<Q", value)[0]
                               if name == "notify" else value.decode())
        else:
            name = ENV_KEYS.get(key, str(key))
            e[name] = (struct.unpack("<Q", value)[0] if name in NUMBERS
                       else value.decode())
    e["rcpts"] = rcpts
    return e


def pstr(s):
    if isinstance(s, str):
        s = s.encode()
    return struct.pack("<I", len(s)) + s


class Server(threading.Thread):
    """Frames on a UNIX socket, one thread, any number of connections."""

    name_ = version = None

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.sel = selectors.DefaultSelector()
        self.conns = {}
        self.lock = threading.RLock()
        self.paused = False
        self.down = False
        self.listen()
        self.wake_r, self.wake_w = os.pipe()
        self.sel.register(self.wake_r, selectors.EVENT_READ, "wake")
        self.quit = False
        self.calls = []
        self.start()

    def listen(self):
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        self.ls = socket.socket(socket.AF_UNIX)
        self.ls.bind(self.path)
        os.chmod(self.path, 0o666)
        self.ls.listen(64)
        self.sel.register(self.ls, selectors.EVENT_READ, "listen")

    def call(self, fn):
        """Run fn in the server's thread and wait."""
        done = threading.Event()
        with self.lock:
            self.calls.append((fn, done))
        os.write(self.wake_w, b"x")
        done.wait(TIMEOUT)

    def go_away(self):
        def fn():
            self.down = True
            self.sel.unregister(self.ls)
            self.ls.close()
            os.unlink(self.path)
            for s in list(self.conns):
                self.drop(s)
        self.call(fn)

    def come_back(self):
        def fn():
            self.down = False
            self.listen()
        self.call(fn)

    def hang_up(self):
        """As if it died and were started again at once."""
        def fn():
            for s in list(self.conns):
                self.drop(s)
        self.call(fn)

    def drop(self, s):
        self.sel.unregister(s)
        del self.conns[s]
        s.close()
        self.on_drop(s)

    def on_drop(self, s):
        pass

    def send(self, s, typ, tag, body=b""):
        try:
            s.sendall(struct.pack("<IHHI", len(body), typ, 0, tag) + body)
        except OSError:
            pass

    def run(self):
        while not self.quit:
            for key, _ in self.sel.select(1):
                if key.data == "wake":
                    os.read(self.wake_r, 100)
                    with self.lock:
                        calls, self.calls = self.calls, []
                    for fn, done in calls:
                        fn()
                        done.set()
                elif key.data == "listen":
                    s, _ = self.ls.accept()
                    self.conns[s] = bytearray()
                    self.sel.register(s, selectors.EVENT_READ, "conn")
                    self.send(s, 0, 0, pstr(self.name_) +
                              struct.pack("<I", 1))
                elif key.fileobj in self.conns:
                    self.readable(key.fileobj)

    def readable(self, s):
        if self.paused:
            time.sleep(0.01)
            return
        try:
            got = s.recv(1 << 18)
        except OSError:
            got = b""
        if not got:
            self.drop(s)
            return
        b = self.conns[s]
        b += got
        at = 0
        while len(b) - at >= 12:
            n, typ, _, tag = struct.unpack_from("<IHHI", b, at)
            if len(b) - at < 12 + n:
                break
            body = bytes(b[at + 12:at + 12 + n])
            at += 12 + n
            if typ != 0:
                self.frame(s, typ, tag, body)
        if s in self.conns:
            del b[:at]


class Message:
    def __init__(self, env):
        self.env, self.parts, self.n = env, [], 0
        self.ended = self.aborted = False
        self.change = None

    @property
    def content(self):
        return b"".join(self.parts)


class Cleanup(Server):
    name_ = "cleanup"

    def __init__(self, path):
        self.messages = []
        self.open = {}
        self.result = ("2.0.0", 250, "")
        self.early = None       # a result that is sent at BEGIN
        self.silent = False
        self.keep = True        # contents
        self.serial = 0
        super().__init__(path)

    def frame(self, s, typ, tag, body):
        if typ == 1:
            m = Message(envelope(body))
            self.open[s, tag] = m
            self.messages.append(m)
            if self.early:
                self.answer(s, tag, *self.early)
                self.early = None
        elif typ == 2:
            m = self.open.get((s, tag))
            if m is None:
                return
            m.n += len(body)
            if self.keep:
                m.parts.append(body)
        elif typ == 3:
            m = self.open.get((s, tag))
            if m is None:
                return
            m.ended = True
            if not self.silent:
                self.answer(s, tag, *self.result)
        elif typ == 4:
            m = self.open.pop((s, tag), None)
            if m:
                m.aborted = True
        elif typ == 9:
            self.open[s, tag].change = envelope(body)

    def answer(self, s, tag, code, smtp, text):
        self.serial += 1
        self.open.pop((s, tag), None)
        self.send(s, 5, tag, pstr(code) + struct.pack("<I", smtp) +
                  pstr(text) + pstr("4cFAKE%dz1" % self.serial) + b"\0")

    def busy(self, full, delay_ms=0):
        def fn():
            for s in self.conns:
                self.send(s, 6, 0, struct.pack("<?I", full, delay_ms))
        self.call(fn)
        time.sleep(0.1)

    def on_drop(self, s):
        for k in [k for k in self.open if k[0] is s]:
            del self.open[k]


LOCAL, VALIAS, VMAILBOX, RELAY, DEFAULT = 1, 2, 3, 4, 5


class Rewrite(Server):
    name_ = "rewrite"

    def __init__(self, path):
        self.domains = {"example.org": LOCAL, "alias.example": VALIAS,
                        "virtual.example": VMAILBOX, "relay.example": RELAY,
                        "[127.0.0.1]": LOCAL}
        self.users = {"joe", "jane", "postmaster", "a b", "o'hara", "j\u00f6e"}
        self.tables = {}        # spec -> {key: value} or None: broken
        self.resolves = self.lookups = 0
        self.asked = []
        self.silent = False
        self.held = []
        super().__init__(path)

    def frame(self, s, typ, tag, body):
        if self.silent:
            self.held.append((s, typ, tag, body))
            return
        at = 0

        def take():
            nonlocal at
            n, = struct.unpack_from("<I", body, at)
            v = body[at + 4:at + 4 + n]
            at += 4 + n
            return v
        if typ == 1:
            self.resolves += 1
            addr = take().decode()
            self.resolve(s, tag, addr)
        elif typ == 3:
            self.lookups += 1
            table = take().decode()
            nwhole, = struct.unpack_from("<I", body, at)
            at += 4
            blob, keys, k = take(), [], 0
            while k < len(blob):
                n, = struct.unpack_from("<I", blob, k)
                keys.append(blob[k + 4:k + 4 + n].decode())
                k += 4 + n
            self.asked.append((table, keys, nwhole))
            t = self.tables.get(table)
            if t is None:
                self.send(s, 4, tag, struct.pack("<I?I", 1, False, 0) +
                          pstr("") + pstr("no such table"))
                return
            for i, key in enumerate(keys):
                if key in t:
                    self.send(s, 4, tag, struct.pack("<I?I", 0, True, i) +
                              pstr(t[key]) + pstr(""))
                    return
            self.send(s, 4, tag, struct.pack("<I?I", 0, False, 0) +
                      pstr("") + pstr(""))

    def release(self):
        def fn():
            self.silent = False
            held, self.held = self.held, []
            for h in held:
                self.frame(*h)
        self.call(fn)

    def resolve(self, s, tag, addr):
        status, listed, relocated, text = 0, True, "", ""
        local, at, domain = addr.rpartition("@")
        if not at:
            local, domain = addr, "example.org"
            addr = local + "@" + domain
        cls = self.domains.get(domain.lower(), DEFAULT)
        if local == "tempfail":
            status, text = 1, "table is broken"
        if local == "invalid":
            status, text = 2, "bad address"
        if cls != DEFAULT and local.split("+")[0].lower() not in self.users:
            listed = False
            text = "User unknown in %s table" % (
                "", "local recipient", "virtual alias", "virtual mailbox",
                "relay recipient")[cls]
        routed = cls != DEFAULT and re.search("[%!@]", local) is not None
        if local == "moved":
            relocated = "new@example.net"
        self.send(s, 2, tag, struct.pack("<II", status, cls) +
                  pstr("local") + pstr("") + pstr(addr) +
                  struct.pack("<???", listed, False, routed) +
                  pstr("") + pstr(relocated) +
                  pstr("") + pstr(text))


class Resolver(Server):
    """names: {name: {type: [rdata]}}; what is not there is NXDOMAIN."""

    name_ = "resolver"
    A, PTR = 1, 12

    def __init__(self, path):
        self.names = {}
        self.silent = False
        self.held = []
        super().__init__(path)

    @staticmethod
    def name(text):
        return b"".join(bytes([len(x)]) + x.encode()
                        for x in text.split(".")) + b"\0"

    def add(self, addr, name):
        """A client that has a name."""
        back = ".".join(reversed(addr.split("."))) + ".in-addr.arpa"
        self.names[back] = {self.PTR: [self.name(name)]}
        self.names[name] = {self.A: [socket.inet_aton(addr)]}

    def frame(self, s, typ, tag, body):
        if typ != 1:
            return
        if self.silent:
            self.held.append((s, typ, tag, body))
            return
        n, = struct.unpack_from("<I", body)
        name = body[4:4 + n].decode()
        qtype, = struct.unpack_from("<I", body, 4 + n)
        found = self.names.get(name)
        records = (found or {}).get(qtype, [])
        status = 0 if records else 1 if found else 2
        self.send(s, 2, tag, struct.pack("<I?I", status, False, 60) +
                  pstr(name) + pstr(b"".join(map(pstr, records))) + pstr(""))

    def release(self):
        def fn():
            self.silent = False
            held, self.held = self.held, []
            for h in held:
                self.frame(*h)
        self.call(fn)


class Fake(Server):
    """A service that has one answer to all questions, or dies of them."""

    def __init__(self, path, name, answer, body):
        self.name_ = name
        self.answer = answer    # type of the frame
        self.body = body
        self.silent = self.deadly = False
        self.asked = []
        super().__init__(path)

    def frame(self, s, typ, tag, body):
        self.asked.append((typ, body))
        if self.deadly:
            self.drop(s)
        elif not self.silent:
            self.send(s, self.answer, tag, self.body)


# Sockets, and what Fake has to know.
FAKES = {
    "delegate": ("delegate", 2, b"\1" + pstr("DUNNO") + pstr("")),
    "verify": ("verify", 2, struct.pack("<I", 0) + pstr("")),
    "flush": ("qctl", 13, b"\1" + struct.pack("<I", 1) + pstr("")),
    "quotad": ("quota", 2, b"\1\0" + pstr("")),
}


class Client:
    """The other end of a SMTP connection, byte for byte."""

    def __init__(self, port, host="127.0.0.1", read=True):
        self.s = socket.create_connection((host, port), TIMEOUT)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.greeting = self.reply() if read else None

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.s.sendall(data)
        return self

    def line(self):
        while b"\n" not in self.buf:
            got = self.s.recv(65536)
            if not got:
                raise EOFError(self.buf)
            self.buf += got
        line, self.buf = self.buf.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1].decode()

    def reply(self):
        """All lines of a reply, joined with newlines."""
        lines = []
        while True:
            lines.append(self.line())
            if lines[-1][3:4] != "-":
                return "\n".join(lines)

    def cmd(self, text):
        if isinstance(text, str):
            text = text.encode()
        self.send(text + b"\r\n")
        return self.reply()

    def hello(self, verb="EHLO"):
        return self.cmd(verb + " client.example")

    def begin(self, sender="s@client.example", rcpt="joe@example.org"):
        r = self.cmd("MAIL FROM:<%s>" % sender)
        assert r.startswith("250 2.1.0"), r
        r = self.cmd("RCPT TO:<%s>" % rcpt)
        assert r.startswith("250 2.1.5"), r

    def data(self, content, **kw):
        self.begin(**kw)
        r = self.cmd("DATA")
        assert r.startswith("354 "), r
        self.send(content)
        return self.reply()

    def eof(self):
        """Whether the server has closed; what came before is returned."""
        try:
            while True:
                got = self.s.recv(65536)
                if not got:
                    return self.buf.decode("utf-8", "replace")
                self.buf += got
        except ConnectionResetError:
            return self.buf.decode("utf-8", "replace")

    def close(self):
        self.s.close()


class Smtpd:
    def __init__(self, main="", program="smtpd", unix=False,
                 nofile=None, resolver=False, fakes=(), **conf):
        self.dir = tempfile.mkdtemp(dir=os.environ.get("TMPDIR"))
        os.chmod(self.dir, 0o755)
        for d in ("private", "public", "pid", "jail"):
            os.mkdir(os.path.join(self.dir, d))
            os.chmod(os.path.join(self.dir, d), 0o755)
        self.cleanup = Cleanup(os.path.join(self.dir, "private/cleanup"))
        self.rewrite = Rewrite(os.path.join(self.dir, "private/rewrite"))
        self.resolver = Resolver(os.path.join(
            self.dir, "private/resolver")) if resolver else None
        self.fakes = {name: Fake(os.path.join(self.dir, "private", name),
                                 *FAKES[name]) for name in fakes}
        settings = {
            "queue_directory": self.dir, "myhostname": "mx.example.org",
            "mail_owner": "nobody", "mynetworks": "192.0.2.0/24",
            "smtpd_client_connection_count_limit": "unlimited",
            "recipient_delimiter": "+",
            "smtpd_peername_lookup": "yes" if resolver else "no",
        }
        settings.update(conf)
        with open(os.path.join(self.dir, "main.cf"), "w") as f:
            for k, v in settings.items():
                f.write("%s = %s\n" % (k, v))
            f.write(main + "\n")
        with open(os.path.join(self.dir, "master.cf"), "w") as f:
            f.write("")
        self.jail(program)
        self.port, self.unix = free_port(), None
        self.log = os.path.join(self.dir, "log")
        with open(self.log, "wb") as log:
            args = [os.path.join(BUILD, "bin", program), "-c", self.dir,
                    "-L", "inet:127.0.0.1:%d" % self.port, "-f"]
            if unix:
                self.unix = os.path.join(self.dir, "public", "smtpd")
                args += ["-L", "unix:" + self.unix]
            env = dict(os.environ)
            if os.geteuid() == 0:
                # The leak checker needs /proc, which a jail has not.
                env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + \
                    ":detect_leaks=0"
            self.p = subprocess.Popen(
                args, stderr=log, stdout=log, env=env, preexec_fn=nofile and (
                    lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                               (nofile, nofile))))
        self.wait_up()

    def jail(self, program):
        """What master does: link the sockets into the jail."""
        if os.geteuid() != 0:
            return
        top = os.path.join(self.dir, "jail", program, "private")
        os.makedirs(top, exist_ok=True)
        for p in (top, os.path.dirname(top)):
            os.chmod(p, 0o755)
        for s in ("cleanup", "rewrite", *self.fakes) + \
                ("resolver",) * bool(self.resolver):
            to = os.path.join(top, s)
            if os.path.exists(to):
                os.unlink(to)
            os.link(os.path.join(self.dir, "private", s), to)

    def wait_up(self):
        end = time.time() + TIMEOUT
        while time.time() < end:
            if self.p.poll() is not None:
                raise SystemExit("does not start:\n" + self.logged())
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                # Listeners are opened in the order of the options.
                if self.unix is None or os.path.exists(self.unix):
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("does not listen:\n" + self.logged())

    def client(self, **kw):
        return Client(self.port, **kw)

    def ready(self, verb="EHLO"):
        c = self.client()
        c.hello(verb)
        return c

    def logged(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, seconds=None):
        end = time.time() + (seconds or TIMEOUT)
        while time.time() < end:
            m = re.search(pattern, self.logged())
            if m:
                return m
            time.sleep(0.02)
        raise AssertionError("not logged: %s\n%s" % (pattern,
                                                     self.logged()[-4000:]))

    def wait_messages(self, n):
        end = time.time() + TIMEOUT
        while time.time() < end:
            got = [m for m in self.cleanup.messages if m.ended]
            if len(got) >= n:
                return got
            time.sleep(0.01)
        raise AssertionError("%d messages, not %d" % (len(got), n))

    def alive(self):
        return self.p.poll() is None

    def stop(self):
        if self.alive():
            # The second time it does not wait for its clients.
            self.p.terminate()
            try:
                self.p.wait(0.3)
            except subprocess.TimeoutExpired:
                self.p.terminate()
            try:
                self.p.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
                raise AssertionError("does not stop:\n" + self.logged())
        code = self.p.returncode
        text = self.logged()
        shutil.rmtree(self.dir, ignore_errors=True)
        for bad in ("panic:", "AddressSanitizer", "runtime error"):
            assert bad not in text, text[-6000:]
        assert code == 0, "exit status %s\n%s" % (code, text[-3000:])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        if kind:
            sys.stderr.write(self.logged()[-3000:])
            self.p.kill()
            self.p.wait()
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            self.stop()


def want(got, expected):
    """expected: a string that got is or begins with; a regexp with ~."""
    if expected.startswith("~"):
        ok = re.search(expected[1:], got)
    else:
        ok = got == expected or got.startswith(expected)
    if not ok:
        raise AssertionError("got  %r\nwant %r" % (got, expected))


def main(tests):
    """Run functions; the last line counts them."""
    import traceback
    passed = failed = 0
    only = sys.argv[1:]
    for t in tests:
        if only and t.__name__ not in only:
            continue
        try:
            t()
            passed += 1
        except Exception:
            failed += 1
            print("FAILED", t.__name__)
            traceback.print_exc(file=sys.stdout)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    raise SystemExit(1 if failed else 0)
