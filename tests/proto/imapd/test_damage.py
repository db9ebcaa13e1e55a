#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""Bytes change in any file of an account: imapd's answers stay right.

The same questions are asked before and after.  Without a line in the log all
answers are the same.  With one, each of them is the same, or says no, or leaves
out what cannot be known any more; nothing that is said is otherwise than it
was, but for flags and the like where a journal, which alone had them, was
damaged.  Nobody's connection ends without BYE, and no process ends.

The damage comes before the account is opened, or while a client has a mailbox
selected.

usage: test_damage.py [seed [turns]]
A turn that fails can be had again by its number, which is shown: the turn's
random numbers come from the seed and that number.  turns: FIRST-LAST, too.
"""
import collections
import os
import random
import re
import shutil
import struct
import sys
import tempfile

from imaptalk import Closed, Engine, parse

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
TURNS = sys.argv[2] if len(sys.argv) > 2 else "48"
MESSAGES = 530          # more than one block of the index
SHOWN = ("RFC822.SIZE", "INTERNALDATE", "EMAILID", "ENVELOPE", "BODYSTRUCTURE",
         "PREVIEW", "BODY[]")
BOXES = ("INBOX", "copies")
FETCHES = (
    "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE EMAILID THREADID MODSEQ)",
    "UID FETCH 1:* (ENVELOPE BODYSTRUCTURE PREVIEW)",
    "UID FETCH 1:* (BODY.PEEK[])",
)
SEARCHES = (
    "UID SEARCH TEXT \"needle\"",
    "UID SEARCH BODY \"words of\"",
    "UID SEARCH CHARSET UTF-8 SUBJECT {7+}\r\nn\u00fcmber",
    "UID SEARCH FROM a7@example.org",
    "UID SEARCH HEADER X-Seldom yes",
    "UID SEARCH LARGER 600",
    "UID SEARCH OR SENTBEFORE 5-Nov-2026 SUBJECT 17",
)
OF_FLAGS = ("UID SEARCH SEEN", "UID SEARCH KEYWORD $Work UNFLAGGED")
ORDERS = ("UID SORT (REVERSE SUBJECT) UTF-8 ALL", "UID SORT (DATE FROM) UTF-8 ALL")
OTHERS = ("UID THREAD REFERENCES UTF-8 ALL",)
# Each part of cache records, in each kind of file that has them.
PLACES = {
    "packed": [(k, part) for k in ("BOX.cch", "BOX.seg") for part in range(3)],
    "maildir": [("mansio.cch", part) for part in range(3)],
}
STATUS = ("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY SIZE UNSEEN)",
          "LIST (SUBSCRIBED) \"\" \"*\" RETURN (SPECIAL-USE)",
          "GETACL copies", "GETMETADATA copies /private/comment")


def message(n):
    word = "needle" if n % 9 == 0 else "hay"
    head = (f"From: a{n % 20}@example.org\r\n"
            f"Subject: =?utf-8?q?n=C3=BCmber_{n}?=\r\n"
            f"Date: {1 + n % 28:02d} Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{n}@x>\r\nReferences: <{n // 3}@x>\r\n" +
            ("X-Seldom: yes\r\n" if n % 11 == 0 else ""))
    text = f"body of {n}\r\n" + f"the words of {word} {n * 7}\r\n" * (n % 23)
    if n % 5 == 0:
        return (head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
                "boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: "
                f"quoted-printable\r\n\r\n{text.replace('o', '=6f')}\r\n--b\r\n"
                "Content-Type: text/html; charset=iso-8859-1\r\n\r\n"
                f"<p>{text}</p>\r\n--b--\r\n").encode()
    return (head + "\r\n" + text).encode()


def build(directory, format):
    """An account with all its kinds of files."""
    e = Engine(directory=directory, settings=["store_format=" + format])
    c = e.client()
    c.ok("CREATE copies")
    for begin in range(0, MESSAGES, 50):
        c.ok(b"APPEND INBOX" + b"".join(
            b' "%02d-Nov-2026 10:00:00 +0000" {%d+}\r\n%s' % (
                1 + i % 28, len(message(i)), message(i))
            for i in range(begin, min(begin + 50, MESSAGES))))
    c.ok("SELECT INBOX")
    c.ok(r"STORE 1:100 +FLAGS (\Seen $Work)")
    c.ok(r"STORE 50:70 +FLAGS (\Flagged other)")
    c.ok("COPY 20:60,300 copies")
    c.ok(r"STORE 500,505 +FLAGS (\Deleted)")
    c.ok("EXPUNGE")
    c.ok("SETACL copies bob lrs")
    c.ok("SETMETADATA copies (/private/comment \"a comment\")")
    c.ok("SUBSCRIBE copies")
    # The journal has to be worth an index.
    for _ in range(40):
        c.until([c.start(r"STORE 2 %sFLAGS (\Flagged)" % sign)
                 for _ in range(40) for sign in "+-"][-1])
    c.ok("SELECT copies")
    c.ok("FETCH 1:* (ENVELOPE)")
    c.ok("LOGOUT")
    c.close()
    e.stop()


class Server:
    """The engine, and what it says in its log."""

    def __init__(self, directory, format):
        self.err = tempfile.TemporaryFile()
        saved = os.dup(2)
        os.dup2(self.err.fileno(), 2)
        try:
            self.e = Engine(directory=directory,
                            settings=["store_format=" + format])
        finally:
            os.dup2(saved, 2)
            os.close(saved)

    def log(self):
        """Lines, but for those that each session ends with."""
        self.err.seek(0)
        return [x for x in self.err.read().decode("utf-8", "replace")
                .splitlines() if "fetched=" not in x]

    def stop(self):
        self.e.stop()
        self.err.close()


def ask(c, questions, answers):
    for q in questions:
        lines = c.cmd(q)
        lines[-1] = lines[-1].split(b" ", 1)[1]     # without the tag
        answers[q, c.box] = lines


def select(c, box, answers):
    if c.box:
        c.ok("UNSELECT")
    c.box = box
    ask(c, ["SELECT " + box], answers)


def questions(rng, orders_first):
    """Everything, in an order of its own: what was looked at is known."""
    qs = list(FETCHES + SEARCHES + OF_FLAGS + OTHERS)
    rng.shuffle(qs)
    for q in ORDERS:
        qs.insert(0 if orders_first else rng.choice([0, len(qs)]), q)
    return qs


def attributes(lines):
    """{uid: {attribute: value}} of FETCH responses."""
    out = collections.defaultdict(dict)
    for line in lines:
        m = re.match(rb"\* \d+ FETCH ", line)
        if m:
            items = parse(line[m.end():])[0]
            pairs = dict(zip(items[::2], items[1::2]))
            out[int(pairs["UID"])].update(pairs)
    return out


def found(lines):
    """UIDs, in order; None: it was refused."""
    if not lines[-1].startswith(b"OK"):
        return None
    for line in lines:
        m = re.match(rb"\* (?:SEARCH|SORT)((?: \d+)*)", line)
        if m:
            return [int(x) for x in m.group(1).split()]
    return []


def copy(pristine, work):
    """Messages of a Maildir, which nothing changes, are the same files."""
    def one(a, b):
        if os.path.basename(os.path.dirname(a)) in ("cur", "new"):
            os.link(a, b)
        else:
            shutil.copy(a, b)
    shutil.copytree(pristine, work, copy_function=one)


def told(lines):
    """Of which messages it is said that they are damaged."""
    return {int(x) for x in re.findall(
        rb"^\* NO \[CORRUPTION\] Message with UID (\d+) ",
        b"\n".join(lines), re.M)}


class Wrong(Exception):
    pass


def judge(before, after, kind, format):
    """What was said is what was said before, or the reason is known."""
    flags_lost = kind.endswith(".jrn")
    for box in BOXES:
        if not after["SELECT " + box, box][-1].startswith(b"OK"):
            if not kind.endswith("account.jrn"):
                raise Wrong(f"{box}: {after['SELECT ' + box, box]}")
            continue
        was, now = collections.defaultdict(dict), collections.defaultdict(dict)
        refused, left = False, set()
        for q in FETCHES:
            for uid, a in attributes(before[q, box]).items():
                was[uid].update(a)
            lines = after.get((q, box))
            if lines is None:
                return              # the mailbox was closed
            refused |= not lines[-1].startswith(b"OK")
            # Those of which what is left is shown.
            left |= told(lines)
            for uid, a in attributes(lines).items():
                now[uid].update(a)
        for uid, a in now.items():
            if uid not in was:
                if flags_lost:      # expunged ones are back
                    continue
                raise Wrong(f"{box}: uid {uid} is new")
            for name in a:
                if name == "BODY[]" and uid in left:
                    continue
                if (name in SHOWN or not flags_lost) and \
                        a[name] != was[uid][name]:
                    raise Wrong(f"{box}: {name} of {uid}: {a[name]!r}, was "
                                f"{was[uid][name]!r}")
        whole = {u for u, a in now.items() if u in was and "BODY[]" in a} - left
        lost = set(was) - whole
        if kind.endswith((".idx", ".cch")) and (lost or refused):
            raise Wrong(f"{box}: lost by {kind}: {sorted(lost)}")
        if len(lost) > 1 and not flags_lost:
            raise Wrong(f"{box}: lost {sorted(lost)}")
        if lost - left and not refused and not flags_lost:
            raise Wrong(f"{box}: {sorted(lost)} left out with OK")
        for q in SEARCHES + (() if flags_lost else OF_FLAGS):
            a, b = found(before[q, box]), found(after[q, box])
            if b is None and lost:
                continue
            if b is None or set(a) & whole != set(b) & whole:
                raise Wrong(f"{box}: {q}: {b}, was {a}; whole but {lost}")
            # What the journal does not know any more cannot be told of.
            known = lost & set(now) if flags_lost else lost
            if known & (set(a) ^ set(b)) - told(after[q, box]):
                raise Wrong(f"{box}: {q}: OK with other {lost}")
        for q in ORDERS:
            a, b = found(before[q, box]), found(after[q, box])
            if b is None and lost:
                continue
            if b is None or [u for u in a if u in whole] != \
                    [u for u in b if u in whole]:
                raise Wrong(f"{box}: {q}: {b}, was {a}")


def kinds(directory):
    """{kind: paths} of the account's files."""
    out = collections.defaultdict(list)
    for top, _, names in os.walk(directory + "/account"):
        for name in sorted(names):
            path = os.path.join(top, name)
            base = os.path.basename(path)
            if "." in base and base.rsplit(".", 1)[1] in (
                    "jrn", "seg", "idx", "cch") and os.path.getsize(path) > 0:
                kind = re.sub(r"^[0-9a-f]{8}", "BOX", base)
                out[kind].append(path)
    return out


def telling(path):
    """A place whose change shows, unless somebody looks at checksums."""
    with open(path, "rb") as f:
        data = f.read()
    # The journal's head, a message's subject, a sort key.
    for text, skip in ((b"MNSOJRN1", 47), (b"Subject: ", 17), (b"MBER", 0)):
        if text in data:
            return data.rindex(text) + skip
    return 0


def parts(path):
    """Where the parts of cache records lie, in a cache file or behind messages:
    (offset, length) of what is sorted by, what is searched, what is shown."""
    with open(path, "rb") as f:
        data = f.read()
    if path.endswith(".cch"):
        for m in re.finditer(b"CCHE", data):
            _, _, a, b, c, second, third, _ = struct.unpack_from(
                "<8I", data, m.start())
            yield ((m.start() + 32, a), (m.start() + second, b),
                   (m.start() + third, c))
        return
    for m in re.finditer(b"\x050CM", data):
        lens = struct.unpack_from("<14I", data, m.start() + 64)
        at = m.start() + 64 + 4 * len(lens)
        ends = [at + sum(lens[:n]) for n in (7, 10, 14)]
        yield tuple((a, b - a) for a, b in zip([at] + ends, ends))


def in_part(path, part, rng):
    """A place in such a part of one of the records."""
    at, length = rng.choice([p[part] for p in parts(path) if p[part][1] > 0])
    return at + rng.randrange(length)


def harm(path, rng, at=None):
    """Change some bytes; what was done."""
    size = os.path.getsize(path)
    if at is not None:
        with open(path, "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ 1]))
        return f"a bit at {at} of {os.path.basename(path)} ({size})"
    at = rng.randrange(size)
    # Heads are small, and say a lot.
    if rng.random() < 0.3:
        at = rng.randrange(min(size, 600))
    n = rng.choice([1, 1, 1, 4, 64])
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(n)
        how = rng.choice(["bit", "bytes", "zeros"])
        if how == "bit":
            new = bytes([old[0] ^ 1 << rng.randrange(8)]) + old[1:]
        elif how == "bytes":
            new = bytes(rng.randrange(256) for _ in old)
        else:
            new = bytes(len(old))
        f.seek(at)
        f.write(new)
    return f"{how} of {n} at {at} of {os.path.basename(path)} ({size})"


def go_on(c):
    """New mail comes, under UIDs of its own; who writes tells of a torn end."""
    c.ok("SUBSCRIBE INBOX")
    for box, top in zip(BOXES, (MESSAGES, 42)):
        lines = c.cmd(b"APPEND %s {%d+}\r\n%s" % (
            box.encode(), len(message(1)), message(1)))
        m = re.search(rb"\[APPENDUID \d+ (\d+)\]", lines[-1])
        # A mailbox whose name was in what is damaged has another one.
        if m is None and b"[TRYCREATE]" in lines[-1]:
            continue
        if m is None or int(m.group(1)) <= top:
            raise Wrong(f"new mail for {box}: {lines[-1]}")


def session(directory, format, rng, damage=None, orders_first=False):
    """Ask everything; answers and log."""
    answers = {}
    server = Server(directory, format)
    try:
        c = server.e.client()
        done = damage is None
        c.box = None
        c.ok("ENABLE CONDSTORE")    # else a FETCH may say HIGHESTMODSEQ
        for box in rng.sample(BOXES, len(BOXES)):
            select(c, box, answers)
            if not done:
                damage()
                done = True
            ask(c, questions(rng, orders_first), answers)
        c.box = None
        ask(c, STATUS, answers)
        go_on(c)
        c.ok("LOGOUT")
        c.close()
    except Closed:
        if not c.bye:
            raise
        c.close()
    finally:
        log = server.log()
        server.stop()
    return answers, log


def turn(n, format, pristine, before, place=None):
    """place: a kind of file and which part of a cache record in it, of which
    nobody may notice anything."""
    rng = random.Random(f"{SEED} {n} {place or ''}".rstrip())
    work = tempfile.mkdtemp(prefix="imapd-damage-")
    try:
        os.rmdir(work)
        copy(pristine, work)
        of = kinds(work)
        kind = place[0] if place else sorted(of)[n % len(of)]
        path = rng.choice(of[kind])
        did = []

        def damage():
            did.append(harm(path, rng, in_part(path, place[1], rng) if place
                            else telling(path) if n < len(of) else None))

        # What is in use of an index was found right, and is not looked at again.
        late = rng.random() < 0.4 and n >= len(of) and not kind.endswith(".idx")
        if place:
            late = n % 2 == 1
            # Those behind messages are read where there are no others.
            for other in of["BOX.cch"] if kind.endswith(".seg") else ():
                os.unlink(other)
        if not late:
            damage()
        try:
            after, log = session(work, format, rng,
                                 damage if late else None, n < len(of))
            bad = [x for x in log if re.search("panic|assert|Sanitizer", x)]
            if bad:
                raise Wrong(bad)
            same = all(v == before[k] for k, v in after.items())
            if not same and not log:
                for k, v in after.items():
                    if v != before[k]:
                        odd = [(x, y) for x, y in zip(v, before[k]) if x != y]
                        raise Wrong(f"not a line in the log, but {k}: "
                                    f"{len(v)} and {len(before[k])} lines, "
                                    f"{odd[:2]}")
            if not same and place:
                raise Wrong([k for k, v in after.items() if v != before[k]])
            if not same:
                judge(before, after, kind, format)
            return kind, late, "same" if same else "told", bool(log)
        except (Wrong, Closed, AssertionError, SystemExit) as e:
            print(f"turn {n}, {format}, {'late' if late else 'before'}: "
                  f"{did}: {type(e).__name__} {str(e)[:1500]}", flush=True)
            try:
                print("\n".join(log[:20]))
            except UnboundLocalError:
                pass
            return None
    finally:
        shutil.rmtree(work)


def main():
    first, _, last = TURNS.rpartition("-")
    failures, seen = 0, collections.Counter()
    for format in ("packed", "maildir"):
        pristine = tempfile.mkdtemp(prefix="imapd-damage-")
        try:
            build(pristine, format)
            first_look = tempfile.mkdtemp(prefix="imapd-damage-")
            os.rmdir(first_look)
            copy(pristine, first_look)
            before, log = session(first_look, format, random.Random(1))
            shutil.rmtree(first_look)
            assert not log, log
            for q in OTHERS + SEARCHES + FETCHES + OF_FLAGS + ORDERS:
                assert before[q, "copies"][-1].startswith(b"OK"), q
            names = sorted(kinds(pristine))
            want = {"BOX.idx", "BOX.cch", "BOX.seg"} if format == "packed" \
                else {"mansio.idx", "mansio.cch"}
            assert want <= set(names), names
            for n in range(int(first or 0), int(last)):
                got = turn(n, format, pristine, before)
                failures += got is None
                seen[got] += 1
            for place in PLACES[format] if first == "" else ():
                for n in range(2):
                    got = turn(n, format, pristine, before, place)
                    failures += got is None
                    seen[got] += 1
        finally:
            shutil.rmtree(pristine)
    print(f"{sum(seen.values()) - failures} passed, {failures} failed, 0 skipped")
    sys.exit(failures > 0)


main()
