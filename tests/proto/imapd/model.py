# SPDX-License-Identifier: ISC
"""What test_model.py believes: the mailboxes as they are (Box), and each client
with what it has been told (View), which checks all that it hears.
"""
import random
import re

from imaptalk import parse

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft",
         "$Forwarded", "Junk", "work"]
BOXES = ["INBOX", "Archive", "Work/2026", "&AOQ-/b c"]
OTHERS = "Other Users/tester/"      # to the guest
RIGHTS = "lrswipkxte"

rnd = random.Random()    # seeded by who uses it
history = []             # what was said, for a failure


def need(flag):
    """The right to change it (RFC 4314 4)."""
    return {"\\Seen": "s", "\\Deleted": "t"}.get(flag, "w")


class Box:
    def __init__(self):
        self.uidnext = 1
        self.uidvalidity = None
        self.msgs = {}          # uid -> [set of flags, body]

    def add(self, flags, body, rights=RIGHTS):
        flags = [f for f in flags if need(f) in rights]
        uid = self.uidnext
        self.uidnext += 1
        self.msgs[uid] = [set(flags), body]
        return uid


SORTS = [None, None, "SIZE", "REVERSE SUBJECT"]
# Search keys, and what they mean to the model.
KEYS = [("SEEN", lambda f: "\\Seen" in f),
        ("UNDELETED", lambda f: "\\Deleted" not in f),
        ("KEYWORD Junk FLAGGED", lambda f: "Junk" in f and "\\Flagged" in f),
        ("OR KEYWORD work NOT ANSWERED",
         lambda f: "work" in f or "\\Answered" not in f)]


class Context:
    """A result that the server keeps up to date."""

    def __init__(self, uid, key, sort):
        self.uid, self.sort = uid, sort
        self.text, self.has = key
        self.result = []        # UIDs, in order

    def expected(self, msgs):
        found = [u for u in sorted(msgs) if self.has(msgs[u][0])]
        if self.sort == "SIZE":
            return sorted(found, key=lambda u: len(msgs[u][1]))
        if self.sort == "REVERSE SUBJECT":
            return sorted(found, key=lambda u: subject(msgs[u][1]),
                          reverse=True)
        return found

    def update(self, view, what, pairs):
        if self in view.lost:
            return
        for position, text in zip(pairs[::2], pairs[1::2]):
            got = numbers(text)
            if not self.uid:
                for seq in got:
                    assert 1 <= seq <= len(view.uids), (text, view.uids)
                if None in view.uids:
                    view.lost.add(self)     # it cannot know which they are
                    return
                got = [view.uids[seq - 1] for seq in got]
            position = int(position)
            assert position > 0 or self.sort is None, "no position"
            if what == "ADDTO":
                assert not set(got) & set(self.result), (got, self.result)
                if position == 0:
                    self.result = sorted(self.result + got)
                else:
                    assert position <= len(self.result) + 1, position
                    self.result[position - 1:position - 1] = got
            elif position == 0:
                assert set(got) <= set(self.result), (got, self.result)
                self.result = [u for u in self.result if u not in got]
            else:
                at = slice(position - 1, position - 1 + len(got))
                assert self.result[at] == got, (position, got, self.result)
                del self.result[at]


def subject(body):
    return re.search(rb"Subject: ([^\r]*)", body).group(1)


class View:
    """A client, and what it has been told."""

    def __init__(self, engine, model, rights=None):
        self.engine, self.model = engine, model
        self.given = rights     # box -> rights; None: the owner
        self.prefix = "" if rights is None else OTHERS
        self.c = engine.client()
        self.box = None         # name
        self.readonly = False
        self.uids = []          # by sequence number; None: not told yet
        self.flags = {}
        self.condstore = self.qresync = self.uidonly = False
        self.notify = None      # what it has asked for
        self.status = {}        # box -> what NOTIFY said last
        self.contexts = {}      # tag -> Context
        self.lost = set()       # contexts
        self.placeless = set()  # UIDs
        self.snapshots = {}     # box -> (modseq, uids, flags)
        self.modseq = 0         # all up to it is known (RFC 7162 6)
        self.fetched_to = 0     # the same by FETCH, since the last tagged line
        self.said = None        # HIGHESTMODSEQ, since then
        self.name = "c%x" % (id(self) >> 4 & 0xfff)

    def quote(self, box):
        return '"%s%s"' % (self.prefix, box)

    def may(self, box, rights):
        return self.given is None or set(rights) <= set(self.given[box])

    def rights(self, box):
        return RIGHTS if self.given is None else self.given[box]

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
            assert not self.qresync and not self.uidonly, "EXPUNGE"
            n = int(m.group(1))
            assert 1 <= n <= len(self.uids), line
            uid = self.uids.pop(n - 1)
            self.flags.pop(uid, None)
            return
        m = re.match(rb"\* VANISHED ([0-9:,]+)$", line)
        if m:
            assert not quiet and (self.qresync or self.uidonly)
            for uid in numbers(m.group(1).decode()):
                self.placeless.discard(uid)
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
        m = re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", line)
        if m:
            self.said = int(m.group(1))
        m = re.match(rb"\* (\d+) FETCH ", line)
        if m:
            assert not self.uidonly, line
            self.fetched(int(m.group(1)), parse(line)[3])
        m = re.match(rb"\* (\d+) UIDFETCH ", line)
        if m:
            assert self.uidonly, line
            self.uid_fetched(int(m.group(1)), parse(line)[3])
        m = re.match(rb'\* STATUS (.*) \((.*)\)$', line)
        if m and self.notify and b"UIDVALIDITY" in line:
            words = m.group(2).decode().split()
            name = m.group(1).decode().strip('"').removeprefix(self.prefix)
            self.status.setdefault(name, {}).update(
                zip(words[::2], map(int, words[1::2])))
        m = re.match(rb'\* ESEARCH \(TAG "(\w+)"\)( UID)? ?(.*)$', line)
        if m and m.group(1).decode() in self.contexts:
            self.updated(self.contexts[m.group(1).decode()],
                         bool(m.group(2)), m.group(3))
        assert b"NOUPDATE" not in line, line

    def updated(self, context, uid, text):
        assert uid == context.uid, text
        words = parse(text)
        for what, pairs in zip(words[::2], words[1::2]):
            if what in ("ADDTO", "REMOVEFROM"):
                context.update(self, what, pairs)

    def uid_fetched(self, uid, items):
        """No number says where it is: learn() finds a place for it."""
        if "UID" in items:      # it was asked for, too
            at = items.index("UID")
            assert int(items[at + 1]) == uid, items
            items = items[:at] + items[at + 2:]
        if uid in self.uids:
            self.fetched(self.uids.index(uid) + 1, items)
        else:
            assert None in self.uids, uid
            self.placeless.add(uid)

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
            self.fetched_to = max(self.fetched_to, int(got["MODSEQ"][0]))
        if "BODY[]" in got and uid is not None:
            want = self.model[self.box].msgs.get(uid)
            if want:
                assert got["BODY[]"] == want[1], "another body"
        return got

    def tagged(self, line):
        """What a client believes then to know all of (RFC 7162 6)."""
        m = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", line)
        if m:
            self.said = int(m.group(1))
        self.modseq = self.said if self.said is not None else \
            max(self.modseq, self.fetched_to)
        self.said, self.fetched_to = None, 0

    def remember(self):
        """As if the connection were lost now: what the client has then."""
        if self.qresync and self.box and None not in self.uids and \
                not self.placeless and set(self.uids) == set(self.flags):
            self.snapshots[self.box] = (
                self.modseq, list(self.uids),
                {u: set(f) for u, f in self.flags.items()})

    # -- commands -------------------------------------------------------------
    def run(self, command, quiet=False, want="OK"):
        text = command if isinstance(command, str) else \
            command[:60].decode("utf8", "replace")
        history.append("%s [%s]: %s" % (self.name, self.box, text[:150]))
        lines = self.c.cmd(command)
        for l in lines[:-1]:
            self.untagged(l, quiet)
        self.tagged(lines[-1])
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
        for tag, x in self.contexts.items():
            if x in self.lost or None in self.uids:
                continue
            assert x.result == x.expected(want), (
                tag, x.text, x.sort, x.result, x.expected(want))

    def place(self):
        if self.uids.count(None) == len(self.placeless):
            self.uids = sorted(self.placeless.union(self.uids) - {None})
            self.placeless = set()

    def learn(self):
        """All UIDs and flags."""
        if not self.uids:
            return
        if self.uidonly or self.notify:
            # By UIDs; what has come meanwhile may be told with it.
            for _ in range(2):
                self.run("UID FETCH 1:* (FLAGS)")
                self.place()
            self.run("UID FETCH 1:* (FLAGS)")
            assert None not in self.uids
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
    if None in view.uids:       # it was told of them, not what they are
        view.learn()
    n = len(view.uids)
    if n == 0:                  # and that they are gone
        return "1:*", [], True
    a = rnd.randint(1, n)
    b = min(n, a + rnd.choice([0, 0, 1, 5, 30]))
    uids = view.uids[a - 1:b]
    if not view.uidonly and not view.notify and rnd.random() < 0.5:
        return "%d:%d" % (a, b), uids, False
    return ",".join(map(str, uids)), uids, True
