#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
# alone
"""local(8) in the whole suite, for users made for this test: mailboxes,
.forward, aliases, other transports in the place of the mailbox, and what
users may do to hurt it."""
import glob
import os
import pwd
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/qmgr"))
from instance import Instance, need_root, skip  # noqa: E402
from qmgrlib import (Agent, BOUNCED, DEFERRED, DELIVERED,  # noqa: E402
                     RETURNED)

D = "local.test"
NAMES = [f"mt{os.getpid() % 100000}{c}" for c in "abcd"]
A, B, C, X = NAMES


def sh(*args, check=True):
    return subprocess.run(args, check=check, capture_output=True, text=True)


def make_users(base):
    if not shutil.which("useradd") or not shutil.which("userdel"):
        skip("no useradd, userdel")
    for n in NAMES:
        done = sh("useradd", "-M", "-d", f"{base}/home/{n}", "-s",
                  "/bin/sh", n, check=False)
        if done.returncode != 0:
            remove_users()
            skip(f"useradd: {done.stderr.strip()}")
        home = f"{base}/home/{n}"
        os.makedirs(home, mode=0o755)
        p = pwd.getpwnam(n)
        os.chown(home, p.pw_uid, p.pw_gid)


def remove_users():
    for n in NAMES:
        sh("userdel", n, check=False)


def own(path, user, text=None, mode=0o644):
    if text is not None:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    p = pwd.getpwnam(user)
    os.chown(path, p.pw_uid, p.pw_gid)
    os.chmod(path, mode)


def unlink(path):
    if os.path.lexists(path):
        os.unlink(path)


class Rig(Instance):
    """An Instance whose mydestination has real users."""

    def __init__(self, base, **settings):
        s = {"mydestination": f"{D}, localhost", "myorigin": D,
             "alias_maps": "texthash:{base}/etc/aliases",
             # Strangers get as far as local.
             "local_recipient_maps": "",
             "mail_spool_directory": "{base}/spool-mail",
             "recipient_delimiter": "+",
             "minimal_backoff_time": "1s", "queue_run_delay": "1s",
             "maximal_backoff_time": "1s", "bounce_notice_recipient": A}
        s.update(settings)
        super().__init__(s, base=base, services=(
            "faketp unix - - - - 1 discard\n"
            "slowtp unix - - - - 1 discard\n"
            "smtp unix - - - - - smtp\n"))
        self.services = []
        self.shared = f"{base}/spool-mail"

    def alias(self, text):
        with open(f"{self.base}/etc/aliases", "w", encoding="utf-8") as f:
            f.write(text)

    def path(self, name):
        return f"{self.base}/spool/{name}"

    def fake(self, name, handle):
        a = Agent(self, name, handle)
        self.services.append(a)
        return a

    def post(self, to, subject, **kw):
        to = [to] if isinstance(to, str) else to
        kw.setdefault("sender", f"{A}@{D}")
        self.send([t if "@" in t else f"{t}@{D}" for t in to],
                  f"Subject: {subject}\n\nbody of {subject}\n", **kw)

    def mbox(self, user):
        try:
            with open(f"{self.shared}/{user}", encoding="latin-1") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def home(self, user):
        return f"{self.base}/home/{user}"

    def once(self, user, subject):
        n = self.mbox(user).count(f"\nSubject: {subject}\n")
        assert n == 1, (user, subject, n, self.mbox(user)[-3000:])

    def empty(self):
        self.wait_idle()


def wait(what, ready, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError("not in time: " + what)


def mailboxes(m):
    m.post(A, "plain")
    m.empty()
    m.once(A, "plain")
    st, p = os.stat(f"{m.shared}/{A}"), pwd.getpwnam(A)
    assert st.st_uid == p.pw_uid and st.st_mode & 0o777 == 0o600, oct(
        st.st_mode)
    # the lock is gone, and so is its making
    assert sorted(os.listdir(m.shared)) == [A], os.listdir(m.shared)
    # plus addressing; a user's .forward for an extension comes first
    m.post(f"{A}+x", "ext")
    m.empty()
    m.once(A, "ext")
    own(f"{m.home(A)}/.forward+lists", A, f"{B}@{D}\n")
    own(f"{m.home(A)}/.forward", A, f"\\{A}, {C}@{D}\n")
    m.post(f"{A}+lists", "to-lists")
    m.post(A, "to-both")
    m.empty()
    m.once(B, "to-lists")
    assert "to-lists" not in m.mbox(A)
    m.once(A, "to-both")
    m.once(C, "to-both")
    for f in (".forward", ".forward+lists"):
        unlink(f"{m.home(A)}/{f}")


def homes_that_hurt(m):
    "links, rights, and what a user must not reach"
    secret = f"{m.base}/secret"
    own(secret, "root", "root's\n", 0o600)
    # .forward as a link to what the user cannot read: not read as root.
    os.symlink(secret, f"{m.home(B)}/.forward")
    m.post(B, "linked")
    m.wait_log(f"to=<{B}@{D}>")
    time.sleep(0.5)
    unlink(f"{m.home(B)}/.forward")
    m.empty()
    m.once(B, "linked")
    # a file to deliver to that is a link to somebody else's
    own(f"{m.home(B)}/.forward", B, f"{m.home(B)}/box\n")
    os.symlink(secret, f"{m.home(B)}/box")
    m.post(B, "steal")
    wait("an answer for steal", lambda: m.log().count(
        f"to=<{B}@{D}>") >= 3)
    assert open(secret, encoding="utf-8").read() == "root's\n"
    unlink(f"{m.home(B)}/box")
    m.empty()
    with open(f"{m.home(B)}/box", encoding="utf-8") as f:
        assert f.read().count("Subject: steal\n") == 1
    assert os.stat(f"{m.home(B)}/box").st_uid == pwd.getpwnam(B).pw_uid
    # commands run as the user, never with more
    own(f"{m.home(B)}/.forward", B, f'"|id > {m.home(B)}/id"\n')
    m.post(B, "command")
    m.empty()
    with open(f"{m.home(B)}/id", encoding="utf-8") as f:
        text = f.read()
    assert f"({B})" in text.split()[0] and "root" not in text, text
    unlink(f"{m.home(B)}/.forward")
    # a .forward that others may write does not count
    own(f"{m.home(B)}/.forward", B, f"{C}@{D}\n", 0o666)
    m.post(B, "writable")
    m.empty()
    m.once(B, "writable")
    assert "writable" not in m.mbox(C)
    unlink(f"{m.home(B)}/.forward")
    # somebody else's mailbox in the place of one's own
    os.symlink(f"{m.shared}/{A}", f"{m.shared}/{X}")
    before = m.mbox(A)
    m.post(X, "wrongbox")
    wait("deferral", lambda: f"to=<{X}@{D}>" in m.log())
    assert m.mbox(A) == before
    unlink(f"{m.shared}/{X}")
    m.empty()
    m.once(X, "wrongbox")
    # a home that cannot be searched is looked into as the user, only
    os.chmod(m.home(X), 0)
    m.post(X, "shut")
    wait("an answer for shut", lambda: m.log().count(f"to=<{X}@{D}>") >= 3)
    os.chmod(m.home(X), 0o755)
    m.empty()
    m.once(X, "shut")


class Reflector(socketserver.StreamRequestHandler):
    """Another host, where everybody's mail is forwarded to A."""
    def handle(self):
        say = lambda text: self.wfile.write(text.encode() + b"\r\n")
        say("220 far.test")
        sender, data = "", b""
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"MAIL":
                sender = line.partition(b"<")[2].partition(b">")[0].decode()
            if verb == b"DATA":
                say("354 go on")
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    data += line.removeprefix(b".")
                with self.server.rig.smtp() as s:
                    s.sendmail(sender, [f"{A}@{D}"], data)
                self.server.passed += 1
            say("221 bye" if verb == b"QUIT" else "250 far.test")
            if verb == b"QUIT":
                return


def forward_loops(m):
    "each ends with one notice to the sender, whatever it goes over"
    # oneself, among others: that is the mailbox
    own(f"{m.home(A)}/.forward", A, f"{A}@{D}, {B}@{D}, {A}\n")
    m.post(A, "to-oneself", sender=f"{X}@{D}")
    m.empty()
    m.once(A, "to-oneself")
    m.once(B, "to-oneself")
    # two who forward to each other
    own(f"{m.home(A)}/.forward", A, f"{B}@{D}\n")
    own(f"{m.home(B)}/.forward", B, f"{A}@{D}\n")
    m.post(A, "to-and-fro", sender=f"{X}@{D}")
    m.empty()
    assert m.mbox(X).count("\nSubject: to-and-fro\n") == 1, m.mbox(X)
    assert "mail forwarding loop for" in m.mbox(X)
    assert "Status: 5.4.6" in m.mbox(X), m.mbox(X)
    for u in (A, B):
        assert "to-and-fro" not in m.mbox(u)
    # an alias that leads back to where a .forward came from
    m.alias(f"round {A}\n")
    m.reload()
    own(f"{m.home(A)}/.forward", A, f"round@{D}\n")
    unlink(f"{m.home(B)}/.forward")
    m.post("round", "circle", sender=f"{X}@{D}")
    m.empty()
    assert m.mbox(X).count("\nSubject: circle\n") == 1, m.mbox(X)
    # over another host and back; Delivered-To has the extension, with which
    # it does not come back
    for to, times in ((A, 1), (f"{A}+ext", 2)):
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0),
                                             Reflector) as far:
            far.rig, far.passed = m, 0
            threading.Thread(target=far.serve_forever, daemon=True).start()
            m.reload("transport_maps = inline:{ {far.test = smtp:[127.0.0.1]"
                     f":{far.server_address[1]}}} }}")
            own(f"{m.home(A)}/.forward", A, "a@far.test\n")
            m.post(to, f"far-{len(to)}", sender=f"{X}@{D}")
            wait("the other host", lambda far=far: far.passed)
            m.empty()
            assert far.passed == times, far.passed
            far.shutdown()
        assert m.mbox(X).count(f"\nSubject: far-{len(to)}\n") == 1, \
            m.mbox(X)
    # a loop without a sender ends, too, and nobody hears of it
    own(f"{m.home(A)}/.forward", A, f"{B}@{D}\n")
    own(f"{m.home(B)}/.forward", B, f"{A}@{D}\n")
    before = m.mbox(X)
    m.post(A, "nobodys", sender="")
    m.empty()
    assert m.mbox(X) == before
    for u in (A, B):
        unlink(f"{m.home(u)}/.forward")
    unlink(f"{m.shared}/{X}")       # others count what comes there
    m.alias("")
    m.command("postconf", "-X", "transport_maps")
    m.reload()


def aliases(m):
    own(f"{m.base}/members", "root", f"{B}\n# nobody\n{C}@{D}\n")
    os.mkdir(f"{m.base}/pub")
    os.chmod(f"{m.base}/pub", 0o777)
    m.alias(f"inc :include:{m.base}/members\n"
            f'cmd "|cat > {m.base}/pub/cmd"\n'
            f"file {m.base}/pub/file\n"
            f"list {A}, {B}\nowner-list {C}\n"
            f"badlist nosuchuser1, {A}\nowner-badlist {C}\n"
            f"multi {A}, {B}\n"
            f"postmaster {C}\n")
    m.reload()
    m.post("inc", "included")
    m.post("cmd", "cmd")
    m.post("file", "file")
    m.post("list", "listed")
    m.post("badlist", "badlisted")
    m.empty()
    m.once(B, "included")
    m.once(C, "included")
    for n in ("cmd", "file"):
        path = f"{m.base}/pub/{n}"
        with open(path, encoding="utf-8") as f:
            assert f.read().count(f"Subject: {n}\n") == 1
        assert os.stat(path).st_uid == pwd.getpwnam("nobody").pw_uid, n
    m.once(A, "listed")
    m.once(B, "listed")
    assert f"Return-Path: <owner-list@{D}>" in m.mbox(A).partition(
        "Subject: listed")[0][-600:], m.mbox(A)[-2000:]
    # the list's owner has the bounce, the sender has not
    m.once(A, "badlisted")
    assert "nosuchuser1" in m.mbox(C) and "MAILER-DAEMON" in m.mbox(C)
    # NOTIFY=SUCCESS at an alias: one notice, none of the members
    m.post("multi", "told", sender=f"{X}@{D}",
           rcpt_options=["NOTIFY=SUCCESS"])
    m.empty()
    m.once(A, "told")
    m.once(B, "told")
    assert m.mbox(X).count("\nAction: ") == 1, m.mbox(X)
    assert "\nAction: expanded" in m.mbox(X), m.mbox(X)


def root_and_strangers(m):
    # Without an alias root's mbox is made as root, in a directory that only
    # root and mail can fill, and written to with nobody's rights.
    m.post("root", "to-root-1")
    m.empty()
    m.once("root", "to-root-1")
    st = os.stat(f"{m.shared}/root")
    assert st.st_uid == 0 and st.st_mode & 0o777 == 0o600
    # A link in its place is not followed, and root's home is not written to.
    own(f"{m.base}/victim", "root", "as it was\n", 0o600)
    unlink(f"{m.shared}/root")
    os.symlink(f"{m.base}/victim", f"{m.shared}/root")
    m.post("root", "to-root-link")
    wait("a deferral", lambda: m.log().count(f"to=<root@{D}>") >= 2)
    with open(f"{m.base}/victim", encoding="utf-8") as f:
        assert f.read() == "as it was\n"
    unlink(f"{m.shared}/root")
    m.empty()
    m.once("root", "to-root-link")
    m.alias(f"root {A}\npostmaster {C}\n")
    m.reload()
    m.post("root", "to-root-2")
    m.empty()
    m.once(A, "to-root-2")
    # unknown: returned; with luser_relay: there
    m.post("nobodyknows", "unknown", sender=f"{X}@{D}")
    m.empty()
    assert "unknown user" in m.mbox(X), m.mbox(X)[-500:]


def transports(m):
    """mailbox_transport_maps: others' deaths, deferrals, delays."""
    plan = {"n": 0, "got": []}

    def handle(d):
        plan["n"] += 1
        plan["got"].append(d.rcpts)
        step = plan["steps"].pop(0) if plan["steps"] else "ok"
        if step == "die":
            d.peer.close()
        elif step == "defer":
            d.status(DEFERRED, why="not now")
        elif step == "busy":
            d.status(RETURNED)
        elif step == "bounce":
            d.status(BOUNCED, dsn="5.7.1", why="never")
        elif step == "lazy":
            # Delivered, but not durable: dies before the checkpoint.
            d.status(DELIVERED, serial=1)
            time.sleep(0.3)
            d.peer.close()
        elif step == "durable":
            d.status(DELIVERED, serial=1)
            time.sleep(0.3)
            d.checkpoint(1)
            plan["done"] = plan.get("done", 0) + 1
        elif step == "slow":
            time.sleep(6)
            d.status(DELIVERED)
        else:
            d.status(DELIVERED)

    m.alias(f"toother {B}\npostmaster {C}\n")
    with open(f"{m.base}/etc/mtm", "w", encoding="utf-8") as f:
        f.write(f"{B} faketp:\n{X} slowtp:\n")
    with open(f"{m.base}/etc/main.cf", "a", encoding="utf-8") as f:
        f.write(f"mailbox_transport_maps = texthash:{m.base}/etc/mtm\n")
    m.reload()
    m.fake("faketp", handle)
    m.fake("slowtp", handle)
    before = m.mbox(B)
    for steps, calls, seen in (
            ([], 1, "status=sent"), (["defer"], 2, "not now"),
            (["die"], 2, "ended without an answer"), (["busy"], 2, "busy"),
            (["lazy"], 2, "ended without an answer"),
            (["durable"], 1, "status=sent"),
            (["bounce"], 1, "never")):
        plan.update(n=0, steps=list(steps), got=[])
        m.post("toother", "x" + "".join(steps))
        m.empty()
        assert plan["n"] == calls, (steps, plan)
        # the user the alias led to, not the alias
        assert plan["got"][0] == [f"{B}@{D}"], plan
        assert seen in m.log(), (steps, seen)
    assert m.mbox(B) == before, "delivered here too"
    assert plan["n"] == 1
    # A transport that hangs: others' mail arrives meanwhile.
    plan.update(n=0, steps=["slow"], got=[])
    began = time.monotonic()
    m.post(X, "hangs")
    wait("the slow one to begin", lambda: plan["n"] == 1)
    for i in range(10):
        m.post(A, f"meanwhile{i}")
    wait("mail for others", lambda: "meanwhile9" in m.mbox(A))
    took = time.monotonic() - began
    assert took < 5, f"others waited {took:.1f} s for one slow transport"
    print(f"others were served in {took:.2f} s while one transport hung")
    m.empty()
    assert plan["n"] == 1, plan
    for i in range(10):
        m.once(A, f"meanwhile{i}")


def full(m):
    "a file system that is full, and a limit"
    box = f"{m.base}/spool-mail"
    if sh("mount", "-t", "tmpfs", "-o", "size=128k,mode=2775", "none", box,
          check=False).returncode != 0:
        print("note: a full disk was not tried: no tmpfs")
        return
    try:
        os.chown(box, 0, pwd.getpwnam("mail").pw_gid)
        with open(f"{box}/fill", "wb") as f:
            f.write(b"x" * 100 * 1024)
        m.send([f"{C}@{D}"], "Subject: big\n\n" + "line\n" * 12000)
        wait("a deferral", lambda: "dsn=4." in m.log().rpartition(
            f"to=<{C}@{D}>")[2])
        # Nothing half is left for a reader to see.
        assert "Subject: big" not in m.mbox(C) or \
            "\nFrom " not in "\n" + m.mbox(C)
        m.command("postqueue", "-f")
        os.unlink(f"{box}/fill")
        m.empty()
        m.once(C, "big")
    finally:
        sh("umount", "-l", box, check=False)


def settings(base):
    """home_mailbox, luser_relay, fallback_transport, mailbox_size_limit."""
    got = []
    with Rig(base, home_mailbox="Maildir/", luser_relay=f"{A}+$local",
             mailbox_size_limit="unlimited") as m:
        m.post(A, "in-maildir")
        m.post("whois.this", "relayed")
        m.empty()
        found = {}
        for f in glob.glob(f"{m.home(A)}/Maildir/new/*"):
            assert os.stat(f).st_uid == pwd.getpwnam(A).pw_uid
            with open(f, encoding="latin-1") as h:
                for s in ("in-maildir", "relayed"):
                    found[s] = found.get(s, 0) + (f"Subject: {s}\n" in
                                                  h.read())
                    h.seek(0)
        assert found == {"in-maildir": 1, "relayed": 1}, found
        # home_mailbox that leads into another's home by a link
        os.makedirs(f"{m.home(X)}/Maildir", mode=0o700)
        own(f"{m.home(X)}/Maildir", X, mode=0o700)
        os.symlink(f"{m.home(X)}/Maildir", f"{m.home(C)}/Maildir")
        m.post(C, "trick")
        wait("an answer", lambda: f"to=<{C}@{D}>" in m.log())
        assert not glob.glob(f"{m.home(X)}/Maildir/*/*")
        os.unlink(f"{m.home(C)}/Maildir")
        m.empty()
        assert len(glob.glob(f"{m.home(C)}/Maildir/new/*")) == 1
    with Rig(base, fallback_transport="faketp") as m:
        m.fake("faketp", lambda d: (got.append(d.rcpts),
                                    d.status(DELIVERED)))
        m.post("not.here", "fallback")
        m.post(A, "here")
        m.empty()
        assert got == [[f"not.here@{D}"]], got
        m.once(A, "here")


def main():
    need_root()
    import tempfile
    base = tempfile.mkdtemp(prefix="mansio-test-")
    os.chmod(base, 0o755)
    want = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        make_users(base)
        os.makedirs(f"{base}/spool-mail")
        os.chown(f"{base}/spool-mail", 0, pwd.getpwnam("mail").pw_gid)
        os.chmod(f"{base}/spool-mail", 0o2775)
        os.makedirs(f"{base}/etc")
        open(f"{base}/etc/aliases", "w", encoding="utf-8").close()
        with Rig(base) as m:
            for f in (mailboxes, homes_that_hurt, forward_loops, aliases,
                      root_and_strangers, transports, full):
                if not want or f.__name__ in want:
                    f(m)
                    print("ok:", f.__name__, flush=True)
        if not want or "settings" in want:
            settings(base)
            print("ok: settings")
    finally:
        remove_users()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
