#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 900
"""Maildir to packed to Maildir, and by way of an mbox: what comes out is what
went in, with flags, keywords, UIDs and times.

ROUND_TRIP is how many messages (default 300).  With many it says how long each
step took and how much memory: "ROUND_TRIP=50000 tests/system/test_round_trip.py".
"""
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from instance import Instance  # noqa: E402

COUNT = int(os.environ.get("ROUND_TRIP", "300"))
USER = "alice@example.test"
WORDS = ["$Label1", "work", "Junk"]
# What mboxes and line ends are known to do harm to.
BODIES = [
    b"plain\n", b"", b"\n", b"no end", b"From here to there\n",
    b"a\nFrom x@y Mon Jan  1 00:00:00 2024\n\nFrom z\n", b">From quoted\n",
    b"\n\n>>From twice\n\n\n", b"\xe4\xf6\xfc \xff\xfe 8 bit\n",
    b"lines\n" * 50, b"nul \0 here\n", b"x" * 3000 + b"\n", b"\n\nFrom \n",
    b"crlf\r\nends\r\n", b"mixed\r\nends\n", b"Status: in the body\n",
]


def content(n):
    r = random.Random(n)
    end = b"\r\n" if n % 11 == 10 else b"\n"
    head = [b"From: s%d@example.test" % n, b"Subject: number %d" % n,
            b"Message-ID: <%d@example.test>" % n,
            b"X-Folded: a" + end + b"\tb"]
    r.shuffle(head)
    return end.join(head) + end + end + r.choice(BODIES)


def as_mbox(data):
    """What an mbox can keep of it: lines, each with an LF."""
    lines = re.split(rb"\r?\n", data)
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line + b"\n" for line in lines)


def make_source(path):
    """{uid: (flags and keywords, time, bytes)}"""
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, sub))
    uids, out, uid = [], {}, 0
    for n in range(COUNT):
        r = random.Random(n)
        uid += r.randint(1, 3)
        flags = "".join(f for f in "DFRST" if r.random() < .4) + \
            "".join(k for k in "abc" if r.random() < .2)
        name, when = f"{1500000000 + n}.{n}.host:2,{flags}", \
            1500000000 + n * 61
        file = os.path.join(path, "cur", name)
        with open(file, "wb") as f:
            f.write(content(n))
        os.utime(file, (when, when))
        uids.append(f"{uid} :{name}\n")
        out[uid] = (flags, when, content(n))
    with open(path + "/dovecot-uidlist", "w", encoding="ascii") as f:
        f.write(f"3 V1234567 N{uid + 5}\n" + "".join(uids))
    with open(path + "/dovecot-keywords", "w", encoding="ascii") as f:
        f.write("".join(f"{i} {w}\n" for i, w in enumerate(WORDS)))
    return out


def read_export(path):
    words = {}
    if os.path.exists(path + "/dovecot-keywords"):
        with open(path + "/dovecot-keywords", encoding="ascii") as f:
            words = {chr(97 + int(n)): w for n, w in map(str.split, f)}
    out = {}
    for name in os.listdir(path + "/cur"):
        m = re.fullmatch(r"\d+\.U(\d+)V1234567\.mansio,S=\d+:2,"
                         r"([A-Z]*)([a-z]*)", name)
        assert m, name
        file = os.path.join(path, "cur", name)
        with open(file, "rb") as f:
            data = f.read()
        letters = "".join(sorted(chr(97 + WORDS.index(words[c]))
                                 for c in m.group(3)))
        assert int(m.group(1)) not in out, name
        out[int(m.group(1))] = (m.group(2) + letters,
                                int(os.stat(file).st_mtime), data)
    return out


def compare(got, want, what):
    assert sorted(got) == sorted(want), \
        f"{what}: {len(got)} messages, not {len(want)}"
    for uid, message in want.items():
        assert got[uid] == message, \
            f"{what}: UID {uid}: {got[uid]} is not {message}"


def step(m, *args):
    begin = time.monotonic()
    m.command("mansio", *args, timeout=600)
    if COUNT >= 10000:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        took = time.monotonic() - begin
        print(f"{args[0]} {args[-1].rsplit('.', 1)[-1]}: {took:.1f} s, "
              f"{COUNT / took:.0f}/s, largest process so far {peak >> 10} MiB",
              flush=True)


def folder(m, name):
    path = f"{m.base}/{name}"
    os.makedirs(path, exist_ok=True)
    os.chown(path, m.vmail.pw_uid, m.vmail.pw_gid)
    return path


def interrupted(m, source, box):
    """The same import is begun and killed until it has come to its end."""
    r = random.Random(COUNT)
    for _ in range(6):
        p = subprocess.Popen([m.program("mansio"), "-c", m.etc, "import",
                              USER, box, source], env=m.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.wait(r.random() * .3)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
            p.wait()
    step(m, "import", USER, box, source)


def main():
    with Instance(maildir=False) as m:
        source = folder(m, "source")
        want = make_source(source)
        subprocess.run(["chown", "-R", f"{m.vmail.pw_uid}:{m.vmail.pw_gid}",
                        source], check=True)
        step(m, "import", USER, "one", source)
        first = folder(m, "first")
        step(m, "export", USER, "one", first)
        compare(read_export(first), want, "Maildir")

        # What is there is not written once more, and has new flags.
        name = sorted(os.listdir(first + "/cur"))[0]
        os.rename(f"{first}/cur/{name}",
                  f"{first}/cur/{name.partition(':')[0]}:2,")
        os.unlink(f"{first}/cur/{sorted(os.listdir(first + '/cur'))[-1]}")
        step(m, "export", USER, "one", first)
        compare(read_export(first), want, "again")

        step(m, "export", USER, "one", f"{m.base}/out.mbox")
        step(m, "import", USER, "two", f"{m.base}/out.mbox")
        second = folder(m, "second")
        step(m, "export", USER, "two", second)
        # The date of an mbox has seconds; the rest is as it was.
        compare(read_export(second),
                {uid: (flags, when, as_mbox(data))
                 for uid, (flags, when, data) in want.items()}, "mbox")

        interrupted(m, source, "three")
        third = folder(m, "third")
        step(m, "export", USER, "three", third)
        compare(read_export(third), want, "interrupted")


if __name__ == "__main__":
    main()
