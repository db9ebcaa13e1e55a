#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The same IMAP dialogues with Dovecot 2.3 and our engine, on the same mail.

usage: tests/compare/imap.py [-v] [WORD ...]

A dialogue is lines of "connection command"; each begins with the same three
mailboxes.  Compared are the tagged answers (OK, NO or BAD, and the response
code) and all untagged lines, without their texts, UIDVALIDITY and modseqs.  What
may differ is in EXPLAINED (imap_explained.py), by dialogue and command; -v shows
all that was said.  WORD: only dialogues with it in their name.
"""
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from imap_dialogues import DIALOGUES  # noqa: E402
from imap_explained import EXPLAINED  # noqa: E402

BUILD = os.environ.get("BUILD_DIR", os.path.join(HERE, "../../build/opt"))
SLOW = 60
SILENCE = 3
CONF = """
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
mail_location = sdbox:{d}/mail
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
protocols = imap
ssl = no
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


def message(n):
    """Six of them, each different in what can be asked for."""
    return (b"Date: Mon, %d Feb 2024 10:00:00 +0100\r\n"
            b"From: Sender %d <s%d@example.org>\r\nTo: bob@example.org\r\n"
            b"Subject: message %d\r\nMessage-ID: <m%d@example.org>\r\n"
            b"X-Long: a\r\n b\r\n\r\nBody of %d\r\nsecond line\r\n" %
            (n, n, n, n, n, n) + b"filler\r\n" * n)


def multipart():
    return (b"Date: Mon, 7 Feb 2024 10:00:00 +0100\r\nFrom: a@example.org\r\n"
            b"Subject: parts\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\nbefore\r\n"
            b"--x\r\nContent-Type: text/plain\r\n\r\none\r\n"
            b"--x\r\nContent-Type: message/rfc822\r\n\r\n"
            b"Subject: inner\r\nFrom: b@example.org\r\n\r\ninner body\r\n"
            b"--x\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
            b"--x--\r\nafter\r\n")


SETUP = [b"APPEND INBOX (\\Seen) \"0%d-Feb-2024 10:00:00 +0000\" {%d+}\r\n%s" %
         (n, len(message(n)), message(n)) for n in range(1, 6)]
SETUP += [b"APPEND INBOX () \"07-Feb-2024 10:00:00 +0000\" {%d+}\r\n%s" %
          (len(multipart()), multipart()),
          b"CREATE a", b"CREATE a/b", b"SUBSCRIBE a", b"SUBSCRIBE a/b"]


class Connection:
    def __init__(self, rfd, wfd, close):
        self.r, self.w, self.close = rfd, wfd, close
        self.ended = False
        self.data = b""

    def more(self):
        """False: nothing comes, so nothing will."""
        if not select.select([self.r], [], [], SILENCE)[0]:
            return False
        got = os.read(self.r, 65536)
        self.data += got
        self.ended = not got
        return bool(got)

    def line(self):
        """A line with its literals; None: there is none."""
        at = 0
        while True:
            end = self.data.find(b"\n", at)
            if end < 0:
                if not self.more():
                    return None
                continue
            m = re.search(rb"\{(\d+)\}\r\n$", self.data[at:end + 1])
            if not m:
                break
            at = end + 1 + int(m.group(1))
            while len(self.data) < at:
                if not self.more():
                    return None
        out, self.data = self.data[:end + 1], self.data[end + 1:]
        return out.rstrip(b"\r\n")

    def talk(self, command, tag):
        """Lines up to the tagged one; BYE, silence and the end count, too."""
        out = []
        try:
            os.write(self.w, command)
        except OSError:
            self.ended = True
        while not self.ended:
            l = self.line()
            if l is None:
                if not self.ended:
                    return out + [b"(silence)"]
                break
            out.append(l)
            if l.startswith((tag + b" ", b"+", b"* BAD")):
                break
        if self.ended:
            out.append(b"(end)")
        return out


class Dovecot:
    MORE = []

    def __init__(self, scratch):
        self.d = os.path.join(scratch, "dovecot")
        self.root = os.geteuid() == 0
        self.uid = 65534 if self.root else os.geteuid()
        self.gid = 65534 if self.root else os.getegid()
        self.n = 0

    def fresh(self):
        shutil.rmtree(self.d, ignore_errors=True)
        for n in ("run", "state", "home", "mail"):
            os.makedirs(os.path.join(self.d, n))
        with open(self.d + "/conf", "w", encoding="ascii") as f:
            f.write(CONF.format(d=self.d, uid=self.uid, gid=self.gid))
        if self.root:
            subprocess.run(["chown", "-R", "%d:%d" % (self.uid, self.gid),
                            self.d], check=True)
            os.chmod(self.d, 0o755)

    def connect(self):
        kw = {}
        if self.root:
            kw = dict(user=self.uid, group=self.gid, extra_groups=[])
        p = subprocess.Popen(
            ["doveadm", "-c", self.d + "/conf", "exec", "imap"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=self.d + "/home", USER="nobody"), **kw)

        def close():
            p.stdin.close()
            p.stdout.close()
            p.wait(SLOW)
        c = Connection(p.stdout.fileno(), p.stdin.fileno(), close)
        c.line()
        return c

    def stop(self):
        pass


class Mansio:
    # What is subscribed to from the beginning.
    MORE = [b"UNSUBSCRIBE " + n for n in (b"INBOX", b"Drafts", b"Junk",
                                          b"Sent", b"Trash")]

    def __init__(self, scratch):
        self.d = os.path.join(scratch, "mansio")
        self.engine = None

    def fresh(self):
        self.stop()
        shutil.rmtree(self.d, ignore_errors=True)
        os.makedirs(self.d)
        with open(self.d + "/main.cf", "w", encoding="ascii") as f:
            f.write("queue_directory = %s\n" % self.d)
        self.engine = subprocess.Popen(
            [os.path.join(BUILD, "tests/imapd/engine"), self.d],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.port = int(self.engine.stdout.readline())

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        c = Connection(s.fileno(), s.fileno(), s.close)
        c.line()
        return c

    def stop(self):
        if self.engine:
            self.engine.stdin.close()
            self.engine.stdout.close()
            self.engine.wait(SLOW)
            self.engine = None


def flags(m):
    return b"(" + b" ".join(sorted(m.group(1).split())) + b")"


def normal(line):
    """What is compared of a line; None: nothing."""
    if line.startswith((b"* OK [HIGHESTMODSEQ", b"* OK [MAILBOXID",
                        b"* ID ")) or line in (b"* ENABLED", b"* FLAGS") or \
            re.match(rb"\* \d+ RECENT$", line):
        return None
    # Folders that every account of ours has, and INBOX is subscribed.
    if re.match(rb"\* (LIST|LSUB|STATUS) .*(Drafts|Junk|Sent|Trash)\b", line) \
            and b"SUBSCRIBED" not in line:
        return None
    if line.startswith((b"* BYE", b"(")):
        return b"BYE" if line.startswith(b"* BYE") else line
    if line.startswith(b"+"):
        return b"+"
    line = re.sub(rb"(UIDVALIDITY|APPENDUID|COPYUID|HIGHESTMODSEQ|MODSEQ) "
                  rb"\(?\d+\)?", rb"\1 N", line)
    m = re.match(rb"(\S+) (OK|NO|BAD|PREAUTH)(?: (\[[^\]]*\]))?", line)
    if m:
        code = m.group(3) or b""
        if code.startswith((b"[MAILBOXID", b"[CLIENTBUG", b"[BADCHARSET")):
            return b" ".join(m.groups()[:2])
        if code.startswith(b"[PERMANENTFLAGS"):
            return b"* OK [PERMANENTFLAGS]"
        return b" ".join(x for x in m.groups() if x)
    if line.startswith(b"* LIST") or line.startswith(b"* LSUB"):
        # RFC 5258 4: more attributes than were asked for may be given.
        line = re.sub(rb"\\(Has(No)?Children|UnMarked)", b"", line)
        line = re.sub(rb"\(([^()]*)\)", flags, line, count=1)
        line = line.replace(b'"CHILDINFO"', b"CHILDINFO")
        line = re.sub(rb' "([A-Za-z0-9/]+)"$', rb" \1", line)
    if line.startswith(b"* STATUS"):
        line = line.replace(b'"', b"")
    if line.startswith(b"* FLAGS"):
        return b"* FLAGS"
    if line.startswith(b"* ESEARCH"):
        line = b" ".join(sorted(line.split()))
    if b" FETCH (" in line:
        line = re.sub(rb'SAVEDATE "[^"]*"', b"SAVEDATE now", line)
        line = re.sub(rb"(BODY|BINARY)(\[[^]]*\])",
                      lambda m: m.group(0).upper().replace(b'"', b""), line)
        line = line.replace(b'""', b"{0}\r\n").replace(b"~{", b"{")
        line = re.sub(rb"FLAGS \(([^()]*)\)",
                      lambda m: b"FLAGS " + flags(m), line)
    return line


def order(lines):
    """Names may come in any order; other lines may not."""
    return [l for l in lines if not l.startswith((b"* LIST", b"* LSUB",
                                                  b"* STATUS"))]


def run(server, dialogue):
    """[(command, lines)]; a command is followed by what it brought."""
    server.fresh()
    c = server.connect()
    for i, text in enumerate(SETUP + server.MORE):
        out = c.talk(b"s%d " % i + text + b"\r\n", b"s%d" % i)
        assert b" OK" in out[-1], (text[:40], out)
    c.talk(b"q LOGOUT\r\n", b"q")
    c.close()
    conns, out = {}, []
    for i, step in enumerate(dialogue):
        who, _, text = step.partition(" ")
        if who not in conns:
            conns[who] = server.connect()
        tag = b"t%d" % i
        data = text.encode("latin1").replace(b"\n", b"\r\n")
        # "!" before it: as it is, without a tag of ours.
        if data.startswith(b"!"):
            data, tag = data[1:], data[1:].split(b" ")[0] or b"*"
            if data.endswith(b"\\"):
                data = data[:-1]
            else:
                data += b"\r\n"
        else:
            data = tag + b" " + data + b"\r\n"
        if conns[who].ended:
            out.append((step, [b"(end)"]))
            continue
        out.append((step, conns[who].talk(data, tag)))
    for c in conns.values():
        c.close()
    return out


def main():
    words = [w for w in sys.argv[1:] if w != "-v"]
    verbose = "-v" in sys.argv[1:]
    if shutil.which("doveadm") is None:
        print("skip: no Dovecot")
        sys.exit(77)
    scratch = tempfile.mkdtemp(prefix="imap-compare-")
    os.chmod(scratch, 0o755)
    servers = Dovecot(scratch), Mansio(scratch)
    same = explained = 0
    differ = []
    for name, dialogue in DIALOGUES.items():
        if words and not any(w in name for w in words):
            continue
        got = [run(s, dialogue) for s in servers]
        for (step, dove), (_, us) in zip(*got):
            if verbose:
                print(step, "\n   dovecot:", dove, "\n   ours:   ", us)
            a, b = ([n for n in map(normal, x) if n is not None]
                    for x in (dove, us))
            # Dovecot often says no code where RFC 5530 has one.
            a, b = ([x for x in v if x != b"* 0 RECENT"] for v in (a, b))
            if a and b and a[-1].count(b" ") == 1:
                b[-1] = b" ".join(b[-1].split()[:2])
            if sorted(a[:-1]) == sorted(b[:-1]) and a[-1:] == b[-1:] and \
                    order(a) == order(b):
                same += 1
            elif any(re.fullmatch(d, name) and
                     re.match(pattern, step.split(" ", 1)[1], re.I | re.S)
                     for d, pattern, _ in EXPLAINED):
                explained += 1
            else:
                differ.append((name, step, dove, us))
    servers[1].stop()
    shutil.rmtree(scratch)
    for name, step, dove, us in differ:
        print("%s: %s" % (name, repr(step)[1:-1]))
        for who, lines in (("dovecot", dove), ("ours   ", us)):
            for l in lines:
                print("   %s %s" % (who, repr(l)[2:-1][:200]))
    print("%d the same, %d explained, %d differ" % (same, explained,
                                                    len(differ)))
    sys.exit(bool(differ))


main()
