#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mansio import and export of mboxes in all their forms: what is in them comes
out again byte for byte (but for line ends, and the last one, which an mbox
cannot tell), however their "From " lines are quoted.

MESSAGES (default 300) are how many; each has something that looks like the
begin of a message, a header of the mbox's, or the end of one.
"""
import os
import random
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance

USER = "alice@example.test"
COUNT = int(os.environ.get("MESSAGES", "300"))
rnd = random.Random(9)
PIECES = [b"From here", b"From joe@example.org  Mon Mar  2 14:05:09 2026",
          b">From quoted", b">>From twice", b" From indented", b"From", b"",
          b"", b"text", b"\xff\xfe not UTF-8", b"x" * 3000, b">", b".",
          b"Content-Length: 3", b"Status: RO", b"A line with a NUL: \0"]


def message(i):
    lines = [b"Subject: %d" % i, b"X-Number: %d" % i, b""]
    lines += [rnd.choice(PIECES) for _ in range(rnd.randrange(12))]
    return b"\n".join(lines) + b"\n"


def rd(body):
    """mboxrd: any number of '>' gets one more."""
    return re.sub(rb"(?m)^(>*From )", rb">\1", body)


def unquoted(body):
    return re.sub(rb"(?m)^>(>*From )", rb"\1", body)


def counted(text):
    head, body = text.split(b"\n\n", 1)
    return head + b"\nContent-Length: %d\n\n" % len(body) + body


def cl(text):
    return counted(re.sub(rb"(?m)^(From )", rb">\1", text))


# How each form writes a message, and what is read of that.  Who reads a counted
# body cannot know whether it was quoted, so it is taken as it is, as Dovecot
# takes it.
FORMS = {
    "mboxrd": (rd, lambda t: t),
    "mboxo": (lambda t: re.sub(rb"(?m)^(From )", rb">\1", t),
              lambda t: unquoted(re.sub(rb"(?m)^(From )", rb">\1", t))),
    "mboxcl2": (counted, lambda t: t),
    "mboxcl": (cl, lambda t: re.sub(rb"(?m)^(From )", rb">\1", t)),
}


def write_mbox(path, texts):
    with open(path, "wb") as f:
        for i, text in enumerate(texts):
            f.write(b"From s%d@example.org  Mon Mar  2 14:05:09 2026\n" % i +
                    text + b"\n")


def stored(m, box):
    """The messages of a mailbox, by way of a Maildir."""
    d = f"{m.base}/{box}.maildir"
    os.mkdir(d)
    os.chown(d, m.vmail.pw_uid, m.vmail.pw_gid)
    m.command("mansio", "export", USER, box, d)
    found = {}
    for name in os.listdir(f"{d}/cur"):
        with open(f"{d}/cur/{name}", "rb") as f:
            text = f.read().replace(b"\r\n", b"\n")
        number = int(re.search(rb"X-Number: (\d+)", text)[1])
        assert number not in found, number
        found[number] = text
    return found


def same(got, want, what):
    assert len(got) == len(want), (what, len(got), len(want))
    for i, text in enumerate(want):
        assert got[i] == text, (what, i, got[i], text)


def main():
    texts = [message(i) for i in range(COUNT)]
    with Instance(maildir=False) as m:
        for form, (writes, reads) in FORMS.items():
            path = f"{m.base}/{form}"
            write_mbox(path, [writes(t) for t in texts])
            said = m.command("mansio", "import", USER, form, path).stdout
            assert said.startswith(f"{COUNT} messages"), said
            same(stored(m, form), [reads(t) for t in texts], form)
        # Ours, which says what Dovecot would: out, in, out.
        for turn in ("one", "two"):
            m.command("mansio", "export", USER,
                      "mboxrd" if turn == "one" else "one",
                      f"{m.base}/{turn}.mbox")
            m.command("mansio", "import", USER, turn, f"{m.base}/{turn}.mbox")
            same(stored(m, turn), texts, turn)
        with open(f"{m.base}/one.mbox", "rb") as a, \
                open(f"{m.base}/two.mbox", "rb") as b:
            assert a.read() == b.read()


main()
print(f"test_mbox_forms: {COUNT} messages in {len(FORMS)} forms")
