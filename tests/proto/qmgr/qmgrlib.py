# SPDX-License-Identifier: ISC
"""
qmgrlib - a cleanup and a qmgr of our own, with everything around them played
by this process: rewrite, delivery agents, and bounce.

    with Rig() as r:
        agent = r.agent("ok")
        r.send("a@ok.test")
        d = agent.next()
        d.status(DELIVERED)
        r.wait_log("removed")

Mail to <anything>@NAME.test goes to the transport NAME with NAME.test as next
hop; @invalid.test is a bad address and @temp.test cannot be resolved now.
"""
import array
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../cleanup"))
import cleanuplib  # noqa: E402
from cleanuplib import (Client, Conn, b, envelope,  # noqa: E402,F401
                        parse_envelope)

DELIVERED, BOUNCED, DEFERRED, RETURNED = 1, 2, 3, 4
SEGMENT, DROP, MESSAGE, STATUS, CHECKPOINT = 1, 2, 3, 4, 5
(FLUSH_ALL, FLUSH_SITE, FLUSH_ID, HOLD, RELEASE, DELETE, REQUEUE, EXPIRE,
 EXPIRE_RELEASE, LIST, QSTATUS, ENTRY, QRESULT) = range(1, 14)
FAILURE, DELAY, SUCCESS, VERIFY, DOUBLE, RELAYED, EXPANDED = range(1, 8)


def text(s):
    s = b(s)
    return struct.pack("<I", len(s)) + s


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def get(self, fmt):
        v = struct.unpack_from("<" + fmt, self.data, self.at)[0]
        self.at += struct.calcsize("<" + fmt)
        return v

    def bytes(self):
        n = self.get("I")
        v = self.data[self.at:self.at + n]
        self.at += n
        return v

    def str(self):
        return self.bytes().decode("utf-8", "replace")


class Peer:
    """Our end of a connection that qmgr made."""

    def __init__(self, sock, name):
        self.s, self.data, self.fds = sock, b"", []
        self.lock = threading.Lock()
        self.name = name
        self.send(0, 0, text(name) + struct.pack("<I", 1))

    def send(self, ftype, tag, body=b""):
        with self.lock:
            self.s.sendall(Conn.make(ftype, tag, body))

    def frame(self):
        """(type, tag, body, descriptor or None), None at the end."""
        while True:
            if len(self.data) >= 12:
                n, ftype, nfds, tag = struct.unpack_from("<IHHI", self.data)
                if len(self.data) >= 12 + n:
                    body = self.data[12:12 + n]
                    self.data = self.data[12 + n:]
                    if ftype == 0:		# HELLO
                        continue
                    return (ftype, tag, body,
                            self.fds.pop(0) if nfds else None)
            try:
                got, anc, _, _ = self.s.recvmsg(
                    1 << 18, socket.CMSG_SPACE(64 * 4))
            except OSError:
                return None
            for _, _, d in anc:
                a = array.array("i")
                a.frombytes(d[:len(d) - len(d) % a.itemsize])
                self.fds += list(a)
            if not got:
                return None
            self.data += got

    def close(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()


class Service:
    """A listener below the spool; serve(peer) runs in a thread each."""

    def __init__(self, rig, name, proto, serve):
        self.path = rig.path(f"private/{name}")
        self.peers, self.proto, self.serve = [], proto, serve
        self.listen()

    def listen(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(self.path)
        os.chmod(self.path, 0o666)
        self.s.listen(64)
        threading.Thread(target=self.run, args=(self.s,),
                         daemon=True).start()

    def run(self, sock):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            try:
                p = Peer(c, self.proto)
            except OSError:
                continue
            self.peers.append(p)
            threading.Thread(target=self.one, args=(p,), daemon=True).start()

    def one(self, peer):
        try:
            self.serve(peer)
        except OSError:
            pass
        if peer in self.peers:
            self.peers.remove(peer)
        peer.close()

    def drop(self):
        """End all connections, as if we had died."""
        for p in list(self.peers):
            p.close()

    def stop(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.drop()


class Delivery:
    def __init__(self, peer, tag, body, fd, segments):
        r = Reader(body)
        self.peer, self.tag = peer, tag
        self.segment, self.off, self.len = r.get("I"), r.get("Q"), r.get("Q")
        self.nexthop, self.attempt = r.str(), r.get("I")
        self.recovered, self.active_us = r.get("B") == 1, r.get("Q")
        self.env = parse_envelope(r.bytes())
        assert r.at == len(body)
        self.id = self.env["queue_id"]
        self.rcpts = [x["addr"] for x in self.env["rcpts"]]
        if fd is not None:
            self.content = os.pread(fd, self.len, self.off)
            os.close(fd)
        else:
            self.content = os.pread(segments[self.segment], self.len,
                                    self.off)

    def status(self, outcome, rcpt=None, dsn=None, why="because", relay="x",
               action="", down=False, serial=0):
        dsn = dsn or {1: "2.0.0", 2: "5.1.1", 3: "4.2.0", 4: ""}[outcome]
        for i in range(len(self.rcpts)) if rcpt is None else [rcpt]:
            self.peer.send(STATUS, self.tag, struct.pack("<II", i, outcome) +
                           text(dsn) + text(why) + text(relay) + text("") +
                           text(action) + struct.pack("<?Q", down, serial))

    def checkpoint(self, serial):
        self.peer.send(CHECKPOINT, 0, struct.pack("<Q", serial))


class Agent(Service):
    """Puts deliveries into a queue, or gives them to handle()."""

    def __init__(self, rig, name, handle=None):
        self.got, self.handle = queue.Queue(), handle
        super().__init__(rig, name, "deliver", self.session)

    def session(self, peer):
        segments = {}
        while (f := peer.frame()) is not None:
            ftype, tag, body, fd = f
            if ftype == SEGMENT:
                n = struct.unpack("<I", body)[0]
                if n in segments:
                    os.close(segments[n])
                segments[n] = fd
            elif ftype == DROP:
                os.close(segments.pop(struct.unpack("<I", body)[0]))
            else:
                d = Delivery(peer, tag, body, fd, segments)
                if self.handle is not None:
                    self.handle(d)
                else:
                    self.got.put(d)
        for fd in segments.values():
            os.close(fd)

    def next(self, timeout=60):
        return self.got.get(timeout=timeout)

    def none(self, seconds=0.3):
        try:
            d = self.got.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"unexpected delivery {d.id} to {d.rcpts}")


class Notice:
    def __init__(self, peer, tag, body, fd):
        r = Reader(body)
        self.peer, self.tag = peer, tag
        self.kind, off, n = r.get("I"), r.get("Q"), r.get("Q")
        self.give_up_us = r.get("Q")
        self.env = parse_envelope(r.bytes())
        self.rcpts = [x["addr"] for x in self.env["rcpts"]]
        self.content = os.pread(fd, n, off)
        os.close(fd)

    def answer(self, ok=True, why=""):
        self.peer.send(2, self.tag, struct.pack("<?", ok) +
                       text("NOTICE" if ok else "") + text(why))


class Rig(cleanuplib.Instance):
    def __init__(self, conf=None, **kw):
        self.qmgr, self.services = None, []
        base = {"minimal_backoff_time": "300s", "queue_run_delay": "300s",
                "hash_queue_depth": "1"}
        base.update(conf or {})
        super().__init__(base, **kw)
        self.etc_master()
        owner = os.stat(self.path("deferred"))
        for q in ("deferred", "hold"):
            for i in range(256):
                d = f"{self.path(q)}/{i:02x}"
                os.makedirs(d, exist_ok=True)
                os.chown(d, owner.st_uid, owner.st_gid)
        self.asked, self.resolve_delay = [], 0
        self.rewrite = Service(self, "rewrite", "rewrite", self.on_rewrite)
        self.notices = queue.Queue()
        self.bounce = Service(self, "bounce", "bounce", self.on_bounce)
        self.services = [self.rewrite, self.bounce]
        self.clients = {}
        self.qstart()

    def etc_master(self):
        self.write("master.cf", "".join(
            f"{n} unix - - - - {m} dummy\n" for n, m in
            (("ok", "-"), ("one", "1"), ("two", "2"))))

    def agent(self, name, handle=None):
        a = Agent(self, name, handle)
        self.services.append(a)
        return a

    def on_rewrite(self, peer):
        while (f := peer.frame()) is not None:
            r = Reader(f[2])
            addr = r.str()
            self.asked.append(addr)
            if self.resolve_delay:
                time.sleep(self.resolve_delay)
            host = addr.rpartition("@")[2]
            status = {"temp.test": 1, "invalid.test": 2}.get(host, 0)
            transport = host.split(".")[0]
            peer.send(2, f[1], struct.pack("<II", status, 5) +
                      text(transport) + text(host) + text(addr) +
                      struct.pack("<???", True, False, False) + text("") +
                      text("") + text("") +
                      text("no answer" if status else ""))

    def on_bounce(self, peer):
        while (f := peer.frame()) is not None:
            self.notices.put(Notice(peer, f[1], f[2], f[3]))

    def notice(self, timeout=60):
        return self.notices.get(timeout=timeout)

    # --- the programs -------------------------------------------------------

    def qstart(self, wait=True):
        """Until it has read the log, unless wait is False."""
        before = self.log_text().count("messages in the log")
        sock = self.path("public/qmgr")
        if os.path.exists(sock):
            os.unlink(sock)
        self.qmgr = subprocess.Popen(
            [f"{os.path.abspath(self.build)}/bin/qmgr", "-c", self.etc, "-f",
             "-L", f"unix:{sock}"], stderr=self.log, stdout=self.log)
        end = time.time() + 20
        while wait and time.time() < end:
            try:
                c = socket.socket(socket.AF_UNIX)
                c.connect(sock)
                c.close()
                self.wait_log("messages in the log", before + 1)
                return
            except OSError:
                if self.qmgr.poll() is not None:
                    break
                time.sleep(0.01)
        if wait:
            raise RuntimeError("qmgr does not start:\n" + self.log_text())

    def qkill(self):
        self.qmgr.kill()
        self.qmgr.wait()

    def cleanup_kill(self):
        self.proc.kill()
        self.proc.wait()

    def qstop(self, timeout=20):
        if self.qmgr is not None and self.qmgr.poll() is None:
            self.qmgr.send_signal(signal.SIGTERM)
            self.qmgr.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None or os.environ.get("RIG_LOG"):
                print("--- log ---\n" + self.log_text()[-6000:])
            try:
                self.qstop()
            except subprocess.TimeoutExpired:
                self.qkill()
            for s in self.services:
                s.stop()
        finally:
            if self.proc is not None and self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
            import shutil
            shutil.rmtree(self.top, ignore_errors=True)

    # --- what tests do ------------------------------------------------------

    def send(self, *rcpts, content="Subject: x\n\nbody\n", **kw):
        """A message into the queue; its id."""
        c = Client(self)
        r = c.message(content, rcpts=rcpts, **kw)
        c.close()
        assert r.code.startswith("2"), r
        return r.queue_id

    def wait_log(self, what, n=1, timeout=60):
        end = time.time() + timeout
        while time.time() < end:
            if self.log_text().count(what) >= n:
                return
            time.sleep(0.02)
        raise AssertionError(f"no {what!r} in the log")

    def ctl(self, ftype, arg=None):
        """(ok, count, text, entries)"""
        c = Conn(self.path("public/qmgr"), "qctl")
        c.send(ftype, 5, b"" if arg is None else text(arg))
        entries = []
        while True:
            f = c.frame()
            assert f is not None, "connection closed"
            r = Reader(f[2])
            if f[0] == ENTRY:
                entries.append((r.str(), r.bytes()))
                continue
            assert f[0] == QRESULT and f[1] == 5, f
            c.close()
            return r.get("B") == 1, r.get("I"), r.str(), entries

    def numbers(self):
        return {k: int(v) for k, v in self.ctl(QSTATUS)[3]}

    def wait_numbers(self, **want):
        """Until they are these; the feed is behind cleanup's answers."""
        end = time.time() + 60
        while time.time() < end:
            n = self.numbers()
            if all(n[k] == v for k, v in want.items()):
                return n
            time.sleep(0.02)
        raise AssertionError(f"{n}, not {want}")

    def files(self, q):
        return sorted(f for _, _, fs in os.walk(self.path(q)) for f in fs)

    def wait_files(self, q, n, timeout=60):
        end = time.time() + timeout
        while time.time() < end:
            if len(self.files(q)) == n:
                return self.files(q)
            time.sleep(0.02)
        raise AssertionError(f"{q}: {self.files(q)}")

    def wait_empty(self, timeout=90):
        """Until nothing is in log, memory and deferred/."""
        end = time.time() + timeout
        while time.time() < end:
            n = self.numbers()
            if n["in_memory"] + n["in_log"] + n["deferred"] == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"not empty: {n}")


def run(tests):
    """Run the cases of a file, or those that the command line names."""
    failed, ran, want = 0, 0, sys.argv[1:]
    for fn, conf in tests:
        if want and fn.__name__ not in want:
            continue
        ran += 1
        try:
            with Rig(conf) as r:
                fn(r)
                bad = [x for x in r.log_text().splitlines()
                       if "panic" in x or "fatal" in x or "anitizer" in x]
                assert not bad, bad
        except Exception as e:  # the next one may still say something
            traceback.print_exc()
            print(f"FAIL {fn.__name__}: {e!r}")
            failed += 1
    print(f"{ran - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0
