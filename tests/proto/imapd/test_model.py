#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Many clients do everything at random, and each answer is checked.

Commands go out one at a time, from many connections to two engine processes
on one account, so there is an exact model of what is in each mailbox.  Each
client's view follows what it is told alone; whenever a command may report
everything, the view must be the model: numbers, UIDs, flags.

usage: test_model.py [seed [steps [format]]]
"""
import random
import re
import shutil
import sys
import time

from imaptalk import Client, Closed, Engine, parse

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
FORMAT = sys.argv[3] if len(sys.argv) > 3 else "packed"
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft",
         "$Forwarded", "Junk", "work"]
BOXES = ["INBOX", "Archive", "Work/2026", "&AOQ-/b c"]

rnd = random.Random(SEED)
history = []


def quote(box):
    return '"%s"' % box


class Box:
    def __init__(self):
        self.uidnext = 1
        self.uidvalidity = None
        self.msgs = {}          # uid -> [set of flags, body]

    def add(self, flags, body):
        uid = self.uidnext
        self.uidnext += 1
        self.msgs[uid] = [set(flags), body]
        return uid


class View:
    """A client, and what it has been told."""

    def __init__(self, engine, model):
        self.engine, self.model = engine, model
        self.c = engine.client()
        self.box = None         # name
        self.readonly = False
        self.uids = []          # by sequence number; None: not told yet
        self.flags = {}
        self.condstore = self.qresync = False
        self.modseq = 0
        self.name = "c%x" % (id(self) >> 4 & 0xfff)

    # -- what the server says ------------------------------------------------
    def untagged(self, line, quiet):
        history.append("%s   < %s" % (self.name, line[:100].decode("latin1")))
        if not line.startswith(b"* "):
            raise AssertionError("what is %r" % line)
        m = re.match(rb"\* (\d+) EXISTS$", line)
        if m:
            n = int(m.group(1))
            assert n >= len(self.uids), "EXISTS shrinks: %r" % line
            self.uids += [None] * (n - len(self.uids))
            return
        m = re.match(rb"\* (\d+) EXPUNGE$", line)
        if m:
            assert not quiet, "EXPUNGE in a command with numbers"
            assert not self.qresync, "EXPUNGE with QRESYNC"
            n = int(m.group(1))
            assert 1 <= n <= len(self.uids), line
            uid = self.uids.pop(n - 1)
            self.flags.pop(uid, None)
            return
        m = re.match(rb"\* VANISHED ([0-9:,]+)$", line)
        if m:
            assert not quiet and self.qresync
            for uid in numbers(m.group(1).decode()):
                if uid in self.uids:
                    self.uids.remove(uid)
                    self.flags.pop(uid, None)
                elif None in self.uids:
                    # One of those that we have no UID of, between those
                    # around it that we have.
                    after = [i for i, u in enumerate(self.uids)
                             if u and u < uid]
                    at = self.uids.index(None, after[-1] if after else 0)
                    del self.uids[at]
            return
        m = re.match(rb"\* (\d+) FETCH ", line)
        if m:
            self.fetched(int(m.group(1)), parse(line)[3])

    def fetched(self, seq, items):
        assert 1 <= seq <= len(self.uids), "FETCH of %d of %d" % (
            seq, len(self.uids))
        got = dict(zip([k.upper() for k in items[::2]], items[1::2]))
        if "UID" in got:
            uid = int(got["UID"])
            assert self.uids[seq - 1] in (None, uid), (seq, uid, self.uids)
            self.uids[seq - 1] = uid
        uid = self.uids[seq - 1]
        if "FLAGS" in got and uid is not None:
            self.flags[uid] = set(f for f in got["FLAGS"]
                                  if f != "\\Recent")
        if "MODSEQ" in got:
            assert int(got["MODSEQ"][0]) > 0
        if "BODY[]" in got and uid is not None:
            want = self.model[self.box].msgs.get(uid)
            if want:
                assert got["BODY[]"] == want[1], "another body"
        return got

    # -- commands -------------------------------------------------------------
    def run(self, command, quiet=False, want="OK"):
        text = command if isinstance(command, str) else \
            command[:60].decode("utf8", "replace")
        history.append("%s [%s]: %s" % (self.name, self.box, text[:150]))
        lines = self.c.cmd(command)
        for l in lines[:-1]:
            self.untagged(l, quiet)
        got = lines[-1].split(b" ")[1].decode()
        assert got in want.split("|"), lines[-1]
        return lines

    def check(self, quiet=False):
        """The view is the model, as far as it was told."""
        if self.box is None:
            return
        want = self.model[self.box].msgs
        if quiet:
            missing = [u for u in want if u not in self.uids]
            assert len(missing) <= self.uids.count(None), "arrivals not told"
            return
        assert len(self.uids) == len(want), (len(self.uids), len(want))
        for told, uid in zip(self.uids, sorted(want)):
            assert told in (None, uid), (self.name, self.box, self.uids, sorted(want))
        for uid, flags in self.flags.items():
            assert flags == want[uid][0], (uid, flags, want[uid][0])

    def learn(self):
        """All UIDs and flags."""
        if not self.uids:
            return
        self.run("FETCH 1:* (UID FLAGS)", quiet=True)
        if None in self.uids:       # they came with its end
            self.run("FETCH 1:* (UID FLAGS)", quiet=True)
        assert None not in self.uids


def numbers(text):
    out = []
    for part in text.split(","):
        a, _, b = part.partition(":")
        out += range(int(a), int(b or a) + 1)
    return out


def some(view):
    """Numbers of messages that are known, as (text, uids, by_uid)."""
    n = len(view.uids)
    a = rnd.randint(1, n)
    b = min(n, a + rnd.choice([0, 0, 1, 5, 30]))
    uids = view.uids[a - 1:b]
    if None in uids:            # it was told of them, not what they are
        view.learn()
        uids = view.uids[a - 1:b]
    if rnd.random() < 0.5:
        return "%d:%d" % (a, b), uids, False
    return ",".join(map(str, uids)), uids, True


class Test:
    def __init__(self):
        self.settings = ["store_format=" + FORMAT]
        self.engines = [Engine(settings=self.settings)]
        self.engines.append(Engine(directory=self.engines[0].dir,
                                   settings=self.settings))
        self.model = {b: Box() for b in BOXES}
        c = self.engines[0].client()
        for b in BOXES[1:]:
            c.ok("CREATE " + quote(b))
        c.close()
        self.views = [self.new() for _ in range(8)]
        self.serial = 0

    def new(self):
        v = View(rnd.choice(self.engines), self.model)
        if rnd.random() < 0.3:
            v.run("ENABLE QRESYNC")
            v.qresync = v.condstore = True
        return v

    def body(self):
        self.serial += 1
        return (b"From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@x>"
                b"\r\n\r\n" % (self.serial, self.serial) +
                b"line\r\n" * rnd.choice([1, 10, 300]))

    # -- steps ------------------------------------------------------------------
    def select(self, v):
        v.box = None
        box = rnd.choice(BOXES)
        v.readonly = rnd.random() < 0.2
        lines = v.c.ok("%s %s" % ("EXAMINE" if v.readonly else "SELECT",
                                  quote(box)))
        history.append("%s: select %s" % (v.name, box))
        v.box, v.uids, v.flags = box, [], {}
        m = self.model[box]
        # What comes before CLOSED is about the mailbox before.
        closed = [i for i, l in enumerate(lines) if b"[CLOSED]" in l]
        for l in lines[closed[0] + 1 if closed else 0:]:
            if l.startswith(b"* "):
                v.untagged(l, False)
            f = re.match(rb"\* OK \[UIDVALIDITY (\d+)\]", l)
            if f:
                assert m.uidvalidity in (None, f.group(1)), l
                m.uidvalidity = f.group(1)
            f = re.match(rb"\* OK \[UIDNEXT (\d+)\]", l)
            if f:
                assert int(f.group(1)) == m.uidnext, (l, m.uidnext)
        v.learn()
        v.check()

    def append(self, v):
        box = rnd.choice(BOXES)
        n = rnd.choice([1, 1, 1, 2, 5])
        text = b"APPEND %s" % quote(box).encode()
        uids = []
        m = self.model[box]
        for _ in range(n):
            flags = rnd.sample(FLAGS, rnd.randint(0, 3))
            body = self.body()
            text += b" (%s) {%d+}\r\n%s" % (" ".join(flags).encode(),
                                            len(body), body)
            uids.append(m.add(flags, body))
        lines = v.run(text)
        got = re.search(rb"\[APPENDUID \d+ ([0-9:,]+)\]", lines[-1])
        assert numbers(got.group(1).decode()) == uids, lines[-1]
        v.check()

    def store(self, v):
        if not v.uids or v.readonly:
            return
        text, uids, by_uid = some(v)
        op = rnd.choice(["+", "-", ""])
        flags = rnd.sample(FLAGS, rnd.randint(1 if op else 0, 3))
        silent = rnd.choice(["", ".SILENT"])
        m = self.model[v.box]
        for uid in uids:
            if uid in m.msgs:
                have = m.msgs[uid][0]
                if op == "+":
                    have |= set(flags)
                elif op == "-":
                    have -= set(flags)
                else:
                    have.clear()
                    have.update(flags)
            # Silent: the client knows what it did.
            if silent and uid in v.flags and uid in m.msgs:
                v.flags[uid] = set(m.msgs[uid][0])
        v.run("%sSTORE %s %sFLAGS%s (%s)" % (
            "UID " if by_uid else "", text, op, silent, " ".join(flags)),
            quiet=not by_uid)
        # With the OK: what came before it may be older than the change.
        for uid in uids if silent else []:
            if uid in v.flags and uid in m.msgs:
                v.flags[uid] = {"+": v.flags[uid] | set(flags),
                                "-": v.flags[uid] - set(flags),
                                "": set(flags)}[op]
        v.check(quiet=not by_uid)

    def fetch(self, v):
        if not v.uids:
            return
        text, uids, by_uid = some(v)
        what = rnd.choice(["(FLAGS UID)", "(UID BODY.PEEK[])", "(UID)",
                           "(UID INTERNALDATE RFC822.SIZE)", "BODY[]"])
        m = self.model[v.box]
        if what == "BODY[]" and not v.readonly:
            for uid in uids:
                if uid in m.msgs:
                    m.msgs[uid][0].add("\\Seen")
        v.run("%sFETCH %s %s" % ("UID " if by_uid else "", text, what),
              quiet=not by_uid, want="OK|NO")
        v.check(quiet=not by_uid)

    def expunge(self, v):
        if v.box is None or v.readonly:
            return
        m = self.model[v.box]
        if rnd.random() < 0.5 or not v.uids:
            v_uids = [u for u in m.msgs if "\\Deleted" in m.msgs[u][0]]
            text = "EXPUNGE"
        else:
            known = [u for u in v.uids if u]
            if not known:
                return
            some_uids = rnd.sample(known, rnd.randint(1, len(known)))
            v_uids = [u for u in some_uids if u in m.msgs and
                      "\\Deleted" in m.msgs[u][0]]
            text = "UID EXPUNGE " + ",".join(map(str, some_uids))
        for u in v_uids:
            del m.msgs[u]
        v.run(text)
        v.check()

    def copy_or_move(self, v, move):
        if not v.uids or (move and v.readonly):
            return
        text, uids, by_uid = some(v)
        if None in uids:
            return
        to = rnd.choice(BOXES)
        src, dst = self.model[v.box], self.model[to]
        there = [u for u in uids if u in src.msgs]
        if len(there) != len(uids):
            return      # what somebody has expunged: another test's matter
        pairs = []
        for u in there:
            flags, body = src.msgs[u]
            if move:
                del src.msgs[u]
            pairs.append((u, dst.add(flags, body)))
        lines = v.run("%s%s %s %s" % ("UID " if by_uid else "",
                                      "MOVE" if move else "COPY", text,
                                      quote(to)))
        got = re.search(rb"\[COPYUID \d+ ([0-9:,]+) ([0-9:,]+)\]",
                        b"\n".join(lines))
        assert list(zip(numbers(got.group(1).decode()),
                        numbers(got.group(2).decode()))) == pairs, lines
        v.check()

    def status(self, v):
        box = rnd.choice(BOXES)
        m = self.model[box]
        for l in v.run("STATUS %s (MESSAGES UIDNEXT UNSEEN DELETED)" %
                       quote(box)):
            got = re.match(rb"\* STATUS .* \((.*)\)$", l)
            if not got:
                continue
            words = got.group(1).decode().split()
            have = dict(zip(words[::2], map(int, words[1::2])))
            flags = [x[0] for x in m.msgs.values()]
            assert have == {
                "MESSAGES": len(flags), "UIDNEXT": m.uidnext,
                "UNSEEN": sum("\\Seen" not in f for f in flags),
                "DELETED": sum("\\Deleted" in f for f in flags)}, l
        v.check()

    def noop(self, v):
        v.run(rnd.choice(["NOOP", "CAPABILITY"] +
                         (["CHECK"] if v.box else [])))
        v.check()

    def idle(self, v):
        """Others do something meanwhile."""
        tag = v.c.start("IDLE")
        for l in v.c.until("+")[:-1]:
            v.untagged(l, False)
        history.append("%s: IDLE" % v.name)
        other = rnd.choice([o for o in self.views if o is not v])
        for _ in range(rnd.randint(1, 4)):
            self.step(other, idle=False)
        v.c.send("DONE\r\n")
        for l in v.c.until(tag)[:-1]:
            v.untagged(l, False)
        v.check()

    def leave(self, v):
        how = rnd.choice(["LOGOUT", "gone", "CLOSE", "UNSELECT"])
        history.append("%s: %s" % (v.name, how))
        if how in ("CLOSE", "UNSELECT"):
            if v.box is None:
                return
            m = self.model[v.box]
            if how == "CLOSE" and not v.readonly:
                for u in [u for u in m.msgs if "\\Deleted" in m.msgs[u][0]]:
                    del m.msgs[u]
            v.run(how)
            v.box, v.uids, v.flags = None, [], {}
            return
        if how == "LOGOUT":
            v.c.cmd("LOGOUT")
        elif rnd.random() < 0.5:
            # In the middle of an APPEND: nothing of it may stay.
            v.c.send(b"x APPEND INBOX {1000}\r\n" if rnd.random() < 0.5 else
                     b"x APPEND INBOX {1000+}\r\nhalf a message")
        v.c.close()
        self.views[self.views.index(v)] = self.new()

    def nap(self, v):
        for e in self.engines:
            e.hibernate()
        time.sleep(0.01)

    def pipelined(self, v):
        """What is sent together is done one after the other."""
        if v.box is None or v.readonly or not v.uids or None in v.uids:
            return
        uid = rnd.choice(v.uids)
        m = self.model[v.box]
        if uid not in m.msgs:
            return
        m.msgs[uid][0] ^= {"Junk"}
        sign = "+" if "Junk" in m.msgs[uid][0] else "-"
        history.append("%s: pipelined %d" % (v.name, uid))
        tags = [v.c.start("UID STORE %d %sFLAGS (Junk)" % (uid, sign)),
                v.c.start("UID FETCH %d (FLAGS)" % uid), v.c.start("NOOP")]
        for t in tags:
            lines = v.c.until(t)
            for l in lines[:-1]:
                v.untagged(l, False)
            assert b" OK " in lines[-1], lines[-1]
        v.check()

    def step(self, v, idle=True):
        steps = [(self.select, 3), (self.append, 10), (self.store, 14),
                 (self.fetch, 12), (self.expunge, 4),
                 (lambda v: self.copy_or_move(v, False), 4),
                 (lambda v: self.copy_or_move(v, True), 4),
                 (self.status, 4), (self.noop, 8), (self.pipelined, 4)]
        if idle:
            steps += [(self.idle, 4), (self.leave, 2), (self.nap, 1)]
        if v.box is None and rnd.random() < 0.8:
            self.select(v)
            return
        fn = rnd.choices([s[0] for s in steps], [s[1] for s in steps])[0]
        fn(v)

    def end(self):
        """A fresh look at everything, also by a new process."""
        e = Engine(directory=self.engines[0].dir, settings=self.settings)
        for box in BOXES:
            v = View(e, self.model)
            v.run("SELECT " + quote(box))
            v.box = box
            v.learn()
            v.check()
            if v.uids:
                v.run("FETCH 1:* (UID BODY.PEEK[])")
            v.c.close()
        for v in self.views:
            v.c.close()
        for x in self.engines + [e]:
            x.stop()
        shutil.rmtree(e.dir)


t = Test()
try:
    for i in range(STEPS):
        t.step(rnd.choice(t.views))
    t.end()
except (AssertionError, Closed, ValueError):
    print("seed %d, the last steps:" % SEED)
    print("\n".join(history[-400:]))
    raise
print("ok: %d commands, seed %d" % (len(history), SEED))
