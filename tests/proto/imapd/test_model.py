#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Many clients do everything at random, and each answer is checked.

Commands go out one at a time, from many connections to two engine processes
on one account, so there is an exact model of what is in each mailbox.  Each
client's view follows what it is told alone; whenever a command may report
everything, the view must be the model: numbers, UIDs, flags.

A third process is another user's, to whom the owner gives rights and takes
them away again: what that user may not do is refused, and changes nothing.

Some clients have QRESYNC and come back with what they remember, some have
UIDONLY, some are told by NOTIFY, and most keep results of searches and sorts up
to date (CONTEXT): those must be what the model says, too.

usage: test_model.py [seed [steps [format [seconds]]]]
Without a format: the steps in each.
"""
import re
import shutil
import sys
import time

from imaptalk import Closed, Engine, parse
from model import (BOXES, FLAGS, KEYS, RIGHTS, SORTS, Box, Context, View, history,
                   need, numbers, rnd, some)

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 1300
FORMATS = sys.argv[3:4] or ["packed", "maildir"]
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 0


class Test:
    def __init__(self, format):
        self.settings = ["store_format=" + format]
        self.engines = [Engine(settings=self.settings)]
        self.engines.append(Engine(directory=self.engines[0].dir,
                                   settings=self.settings))
        self.model = {b: Box() for b in BOXES}
        self.rights = {b: RIGHTS for b in BOXES}
        c = self.engines[0].client()
        for b in BOXES:
            if b != "INBOX":
                c.ok('CREATE "%s"' % b)
            c.ok('SETACL "%s" guest %s' % (b, RIGHTS))
        c.close()
        self.engines.append(Engine(directory=self.engines[0].dir,
                                   settings=self.settings, user="guest"))
        self.views = [self.new() for _ in range(8)]
        self.serial = 0

    def new(self):
        engine = rnd.choice(self.engines)
        v = View(engine, self.model,
                 self.rights if engine is self.engines[2] else None)
        if rnd.random() < 0.4:
            v.run("ENABLE QRESYNC")
            v.qresync = v.condstore = True
        if rnd.random() < 0.2:
            v.run("ENABLE UIDONLY")
            v.uidonly = True
        if rnd.random() < 0.25:
            # Numbers may change between two commands then, so such a client
            # uses UIDs; with "delayed" only NOOP and the like tell of it.
            v.notify = rnd.choice(["selected", "selected-delayed"])
            v.run("NOTIFY SET (%s (MessageNew (UID FLAGS) MessageExpunge "
                  "FlagChange)) (%s (MessageNew MessageExpunge FlagChange))" %
                  (v.notify, 'subtree "Other Users"' if v.prefix else
                   "personal"))
        return v

    def notified(self, v, lines):
        """Of all these only what NOTIFY says of other mailboxes counts."""
        for l in lines:
            if l.startswith(b"* STATUS "):
                v.untagged(l, False)

    def body(self):
        self.serial += 1
        return (b"From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@x>"
                b"\r\n\r\n" % (self.serial, self.serial) +
                b"line\r\n" * rnd.choice([1, 10, 300]))

    # -- steps ------------------------------------------------------------------
    def select(self, v, box=None):
        v.remember()
        v.box = None
        box = box or rnd.choice(BOXES)
        v.readonly = rnd.random() < 0.2
        if not v.may(box, "lr"):
            v.uids, v.flags, v.contexts = [], {}, {}
            v.lost, v.placeless = set(), set()
            lines = v.c.cmd("SELECT " + v.quote(box))
            assert lines[-1].split(b" ")[1] == b"NO", lines
            self.notified(v, lines)
            return
        if v.prefix and not set(v.rights(box)) & set("swtei"):
            v.readonly = True
        old = v.snapshots.get(box) if v.qresync else None
        if self.model[box].uidvalidity is None:
            old = None
        lines = v.c.ok("%s %s%s" % (
            "EXAMINE" if v.readonly else "SELECT", v.quote(box),
            " (QRESYNC (%s %d))" % (self.model[box].uidvalidity.decode(),
                                    old[0]) if old else ""))
        history.append("%s: select %s%s" % (v.name, box,
                                            ", again" if old else ""))
        v.box, v.uids, v.flags = box, [], {}
        v.contexts, v.lost, v.placeless = {}, set(), set()
        m = self.model[box]
        # What comes before CLOSED is about the mailbox before, or others.
        closed = [i for i, l in enumerate(lines) if b"[CLOSED]" in l]
        self.notified(v, lines[:closed[0]] if closed else [])
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
        v.said, v.fetched_to = None, 0
        v.modseq = max(int(f.group(1)) for f in (re.search(
            rb"\[HIGHESTMODSEQ (\d+)\]", l)
            for l in lines[closed[0] + 1 if closed else 0:]) if f)
        v.status.pop(box, None)     # the view tells of it from now on
        if old:
            self.resynced(v, old, lines[closed[0] + 1 if closed else 0:-1])
        v.learn()
        v.check()
        f = [f for f in (re.search(rb"\[HIGHESTMODSEQ (\d+)\]", l)
                         for l in lines) if f]
        v.snapshots[box] = (int(f[-1].group(1)), list(v.uids),
                            {u: set(f) for u, f in v.flags.items()})

    def resynced(self, v, old, lines):
        """What was remembered and what was said is what there is."""
        uids, flags = set(old[1]), dict(old[2])
        for l in lines:
            g = re.match(rb"\* VANISHED \(EARLIER\) ([0-9:,]+)$", l)
            if g:
                uids -= set(numbers(g.group(1).decode()))
            g = re.match(rb"\* (\d+) (UID)?FETCH ", l)
            if g:
                items = parse(l)[3]
                got = dict(zip(items[::2], items[1::2]))
                uid = int(g.group(1) if v.uidonly else got["UID"])
                uids.add(uid)
                flags[uid] = set(x for x in got["FLAGS"] if x != "\\Recent")
        want = self.model[v.box].msgs
        assert uids == set(want), (old, sorted(uids), sorted(want))
        for u in uids:
            assert flags[u] == want[u][0], (u, flags[u], want[u][0])

    def context(self, v):
        """A result that is kept up to date from now on."""
        if v.box is None:
            return
        if len(v.contexts) >= 3 or (v.contexts and rnd.random() < 0.2):
            lost = [t for t, x in v.contexts.items() if x in v.lost]
            tag = rnd.choice(lost or list(v.contexts))
            del v.contexts[tag]
            v.run('CANCELUPDATE "%s"' % tag)
            v.check()
            return
        # What has not been told yet may come with the answer.
        v.run("NOOP")
        v.learn()
        uid = v.uidonly or bool(v.notify) or rnd.random() < 0.5
        key = rnd.choice(KEYS)
        sort = rnd.choice(SORTS)
        x = Context(uid, key, sort)
        before = v.c.n
        lines = v.run("%s%s RETURN (UPDATE ALL) %s%s" % (
            "UID " if uid else "", "SORT" if sort else "SEARCH",
            "(%s) UTF-8 " % sort if sort else "", key[0]), quiet=not uid)
        tag = "a%d" % (before + 1)
        for l in lines:
            g = re.match(rb'\* ESEARCH \(TAG "%s"\)(?: UID)? ALL ([0-9:,]+)$'
                         % tag.encode(), l)
            if g:
                x.result = numbers(g.group(1).decode())
                if not uid:
                    x.result = [v.uids[q - 1] for q in x.result]
        v.contexts[tag] = x
        v.check()

    def partial(self, v):
        """A window of a result, and of a FETCH (RFC 9394)."""
        if v.box is None:
            return
        msgs = self.model[v.box].msgs
        text, has = rnd.choice(KEYS)
        found = [u for u in sorted(msgs) if has(msgs[u][0])]
        a, b = sorted([rnd.randint(1, 20), rnd.randint(1, 20)])
        v.run("NOOP")
        if rnd.random() < 0.5:
            window, want = "%d:%d" % (a, b), found[a - 1:b]
        else:
            window = "-%d:-%d" % (a, b)
            want = found[max(0, len(found) - b):max(0, len(found) - a + 1)]
        lines = v.run("UID SEARCH RETURN (PARTIAL %s COUNT) %s" % (window,
                                                                   text))
        got = [re.search(rb"\(TAG \"a%d\"\) UID (?:COUNT (\d+) )?PARTIAL "
                         rb"\((\S+) ([0-9:,]+|NIL)\)" % v.c.n, l)
               for l in lines]
        got = [g for g in got if g]
        assert len(got) == 1 and got[0].group(2).decode() == window, lines
        assert int(got[0].group(1)) == len(found), lines
        have = [] if got[0].group(3) == b"NIL" else \
            numbers(got[0].group(3).decode())
        assert have == want, (have, want)
        lines = v.run("UID FETCH 1:* (FLAGS) (PARTIAL %s)" % window)
        v.check()

    def conditional(self, v):
        """STORE with UNCHANGEDSINCE (RFC 7162)."""
        if not v.uids or v.readonly:
            return
        v.run("NOOP")
        if not v.uids:
            return
        text, uids, by_uid = some(v)
        if not v.may(v.box, "w"):
            v.run("UID STORE 1:* (UNCHANGEDSINCE 0) +FLAGS (work)", want="NO")
            v.condstore = True
            v.check()
            return
        m = self.model[v.box]
        since = 0 if rnd.random() < 0.5 else 1 << 60
        lines = v.run("%sSTORE %s (UNCHANGEDSINCE %d) +FLAGS (work)" % (
            "UID " if by_uid else "", text, since), quiet=not by_uid)
        code = re.search(rb"\[MODIFIED ([0-9:,]+)\]", lines[-1])
        there = [u for u in uids if u in m.msgs]
        if since == 0:
            failed = numbers(code.group(1).decode()) if code else []
            if not by_uid:
                failed = [v.uids[q - 1] for q in failed]
            assert failed == there, (failed, there, lines)
        else:
            assert code is None, lines
            for u in there:
                m.msgs[u][0].add("work")
            # What was said during the command is older than the change.
            v.run("%sFETCH %s (FLAGS)" % ("UID " if by_uid else "", text),
                  quiet=not by_uid)
        v.condstore = True
        v.check(quiet=not by_uid)

    def append(self, v):
        box = rnd.choice(BOXES)
        n = rnd.choice([1, 1, 1, 2, 5])
        text = b"APPEND %s" % v.quote(box).encode()
        uids = []
        if not v.may(box, "li"):
            v.run(text + b" {4+}\r\nA: b", want="NO")
            v.check()
            return
        m = self.model[box]
        for _ in range(n):
            flags = rnd.sample(FLAGS, rnd.randint(0, 3))
            body = self.body()
            text += b" (%s) {%d+}\r\n%s" % (" ".join(flags).encode(),
                                            len(body), body)
            uids.append(m.add(flags, body, v.rights(box)))
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
        asked = flags
        can = [f for f in FLAGS if need(f) in v.rights(v.box)]
        flags = [f for f in asked if f in can]
        if not (flags if op else can):
            v.run("UID STORE 1:* %sFLAGS (%s)" % (op, " ".join(asked)),
                  want="NO")
            v.check()
            return
        for uid in uids:
            if uid in m.msgs:
                have = m.msgs[uid][0]
                if op == "+":
                    have |= set(flags)
                elif op == "-":
                    have -= set(flags)
                else:
                    have.difference_update(can)
                    have.update(flags)
            # Silent: the client knows what it did.
            if silent and uid in v.flags and uid in m.msgs:
                v.flags[uid] = set(m.msgs[uid][0])
        v.run("%sSTORE %s %sFLAGS%s (%s)" % (
            "UID " if by_uid else "", text, op, silent, " ".join(asked)),
            quiet=not by_uid)
        # With the OK: what came before it may be older than the change.
        for uid in uids if silent else []:
            if uid in v.flags and uid in m.msgs:
                v.flags[uid] = {"+": v.flags[uid] | set(flags),
                                "-": v.flags[uid] - set(flags),
                                "": v.flags[uid] - set(can) | set(flags)}[op]
        v.check(quiet=not by_uid)

    def fetch(self, v):
        if not v.uids:
            return
        text, uids, by_uid = some(v)
        what = rnd.choice(["(FLAGS UID)", "(UID BODY.PEEK[])", "(UID)",
                           "(UID INTERNALDATE RFC822.SIZE)", "BODY[]"])
        m = self.model[v.box]
        if what == "BODY[]" and not v.readonly and v.may(v.box, "s"):
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
        if not v.may(v.box, "e"):
            v.run("EXPUNGE", want="NO")
            v.check()
            return
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
        if not uids or None in uids:
            return
        to = rnd.choice(BOXES)
        src, dst = self.model[v.box], self.model[to]
        there = [u for u in uids if u in src.msgs]
        if len(there) != len(uids):
            return      # what somebody has expunged: another test's matter
        if not v.may(to, "li") or (move and not v.may(v.box, "te")):
            v.run("UID %s %s %s" % ("MOVE" if move else "COPY",
                                    ",".join(map(str, uids)), v.quote(to)),
                  want="NO")
            v.check()
            return
        pairs = []
        for u in there:
            flags, body = src.msgs[u]
            if move:
                del src.msgs[u]
            pairs.append((u, dst.add(flags, body, v.rights(to))))
        lines = v.run("%s%s %s %s" % ("UID " if by_uid else "",
                                      "MOVE" if move else "COPY", text,
                                      v.quote(to)))
        got = re.search(rb"\[COPYUID \d+ ([0-9:,]+) ([0-9:,]+)\]",
                        b"\n".join(lines))
        assert list(zip(numbers(got.group(1).decode()),
                        numbers(got.group(2).decode()))) == pairs, lines
        v.check()

    def status(self, v):
        box = rnd.choice(BOXES)
        m = self.model[box]
        if not v.may(box, "lr"):
            v.run("STATUS %s (MESSAGES)" % v.quote(box), want="NO")
            v.check()
            return
        for l in v.run("STATUS %s (MESSAGES UIDNEXT UNSEEN DELETED)" %
                       v.quote(box)):
            got = re.match(rb"\* STATUS .* \((.*)\)$", l)
            if not got or b"UIDVALIDITY" in l:
                continue        # NOTIFY's
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
        lines = v.c.until(tag)
        for l in lines[:-1]:
            v.untagged(l, False)
        v.tagged(lines[-1])
        v.check()

    def cut(self, v):
        """Off, while something may wait to be told, and back."""
        others = [o for o in self.views if o is not v and o.box == v.box]
        if v.qresync and v.box and others:
            self.expunge(rnd.choice(others))
            self.store(v)
            self.leave(v)

    def leave(self, v):
        how = rnd.choice(["LOGOUT", "gone", "CLOSE", "UNSELECT"])
        history.append("%s: %s" % (v.name, how))
        v.remember()
        if how in ("CLOSE", "UNSELECT"):
            if v.box is None:
                return
            m = self.model[v.box]
            if how == "CLOSE" and not v.readonly and v.may(v.box, "e"):
                for u in [u for u in m.msgs if "\\Deleted" in m.msgs[u][0]]:
                    del m.msgs[u]
            # With the mailbox all results go; what CLOSE expunges is not
            # told.
            v.contexts = {}
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
        w = self.views[self.views.index(v)] = self.new()
        if w.prefix == v.prefix:
            w.snapshots = v.snapshots
            if v.box:
                self.select(w, v.box)

    def grant(self, v):
        """The guest has other rights to a mailbox from now on, also where it
        is selected."""
        if v.prefix:
            return
        box = rnd.choice(BOXES)
        rights = rnd.choice([
            RIGHTS, RIGHTS, "", "l",
            "lr" + "".join(x for x in "switep" if rnd.random() < 0.5)])
        self.rights[box] = rights
        v.run('SETACL "%s" guest "%s"' % (box, rights))
        v.check()
        if "r" in rights:
            return
        for g in [g for g in self.views if g.prefix and g.box == box]:
            lines = []
            try:
                g.c.start("NOOP")
                while True:
                    lines.append(g.c.line())
            except (Closed, ConnectionError):
                pass
            assert any(x.startswith(b"* BYE [NOPERM]") for x in lines), lines
            g.c.close()
            self.views[self.views.index(g)] = self.new()

    def nap(self, v):
        for e in self.engines:
            e.hibernate()
        time.sleep(0.01)

    def pipelined(self, v):
        """What is sent together is done one after the other."""
        if v.box is None or v.readonly or not v.uids or None in v.uids or \
                not v.may(v.box, "w"):
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
            v.tagged(lines[-1])
            assert b" OK " in lines[-1], lines[-1]
        v.check()

    def step(self, v, idle=True):
        steps = [(self.select, 3), (self.append, 10), (self.store, 14),
                 (self.fetch, 12), (self.expunge, 4),
                 (lambda v: self.copy_or_move(v, False), 4),
                 (lambda v: self.copy_or_move(v, True), 4),
                 (self.status, 4), (self.noop, 8), (self.pipelined, 4),
                 (self.context, 3), (self.partial, 3), (self.conditional, 2)]
        if idle:
            steps += [(self.idle, 4), (self.leave, 2), (self.nap, 1), (self.cut, 3),
                      (self.grant, 1)]
        if v.box is None and rnd.random() < 0.8:
            self.select(v)
            return
        fn = rnd.choices([s[0] for s in steps], [s[1] for s in steps])[0]
        fn(v)

    def told(self, v):
        """NOTIFY: sooner or later it is told of each other mailbox."""
        for _ in range(200):
            v.run("NOOP")
            wrong = [b for b in BOXES if b in v.status and b != v.box and
                     v.may(b, "lr") and not self.status_is(b, v.status[b])]
            if not wrong:
                return
            time.sleep(0.05)
        raise AssertionError("%s is not told: %s" % (v.name, [
            (b, v.status[b], len(self.model[b].msgs), self.model[b].uidnext)
            for b in wrong]))

    def status_is(self, box, have):
        m = self.model[box]
        want = {"MESSAGES": len(m.msgs), "UIDNEXT": m.uidnext}
        return all(have.get(k, n) == n for k, n in want.items())

    def end(self):
        """A fresh look at everything, also by a new process."""
        for v in self.views:
            if v.notify:
                self.told(v)
        e = Engine(directory=self.engines[0].dir, settings=self.settings)
        for box in BOXES:
            v = View(e, self.model)
            v.run("SELECT " + v.quote(box))
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


def run(format):
    t = Test(format)
    began = time.monotonic()
    i = 0
    while i < STEPS or time.monotonic() - began < SECONDS:
        i += 1
        t.step(rnd.choice(t.views))
        del history[:-100000]
    t.end()
    print("ok: %d steps, %s, seed %d" % (i, format, SEED))


rnd.seed(SEED)
for kind in FORMATS:
    try:
        run(kind)
    except (AssertionError, Closed, ValueError):
        print("%s, seed %d, the last steps:" % (kind, SEED))
        print("\n".join(history[-400:]))
        raise
