#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every way in which SEARCH says yes or no finds what the text has.

A string may be found in the record, in bytes that are read or mapped, in the
message taken apart; and denied by the signature or by the bytes alone.  The
same strings stand at the borders of what each of these looks at, in mail of all
encodings, in both formats and compressed; what is right is known from how the
messages were made.
"""
import base64
import os
import quopri
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imaptalk import Engine  # noqa: E402

LINE = "in THE kitchen, on a Tuesday (%06d)\r\n"
# Where the record's start, a first read, a read at all, a window end.
PLACES = (0, 100, 500, 512, 760, 768, 4096, 16384, 32768, 262144, 600000)
KEYS = ("needle", "NEEDLE", "a needle", "needle,", "\u00e4 needle", "nadel",
        "Kitchen", "tuesday (", "kitchen,\r\n", "zebra", "q", "qq", "(000",
        "\u00c4", "long" * 300, "subject: about", "about", "out the", "folded",
        "two folded", "x-", "b1--")


def filler(n):
    text = "".join(LINE % i for i in range(n // (len(LINE) + 2) + 1))
    return text[:n]


class Mail:
    """A message, and what of it is searched."""

    def __init__(self, body, how, subject="about it", shown=None):
        self.shown_subject = shown or subject
        self.body = body
        head = "Subject: %s\r\nMIME-Version: 1.0\r\n" % subject
        raw = body.encode("utf-8")
        part = "Content-Type: text/plain; charset=utf-8\r\n"
        if how == "base64":
            part += "Content-Transfer-Encoding: base64\r\n"
            raw = base64.encodebytes(raw).replace(b"\n", b"\r\n")
        elif how == "qp":
            part += "Content-Transfer-Encoding: quoted-printable\r\n"
            raw = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(
                b"\n", b"\r\n")
        if how == "parts":
            self.raw = (head + "Content-Type: multipart/mixed; boundary=b1"
                        "\r\n\r\n--b1\r\nContent-Type: image/gif\r\n\r\n"
                        "needle zebra\r\n--b1\r\n" + part +
                        "\r\n").encode() + raw + b"\r\n--b1--\r\n"
            self.head = "content-type: image/gif\ncontent-type: multipart/" \
                "mixed; boundary=b1\n"
        else:
            self.raw = (head + part + "\r\n").encode() + raw
            self.head = ""
        self.head += "subject: %s\nmime-version: 1.0\n" % self.shown_subject
        self.head += part.replace("\r\n", "\n")

    def has(self, where, key):
        # (Upper case alone is enough for the letters that are here.)
        key = key.upper()
        if where == "SUBJECT":
            return key in self.shown_subject.upper()
        if key in self.body.upper():
            return True
        return where == "TEXT" and any(
            key in line for line in self.head.upper().split("\n"))


def mails():
    rnd = random.Random(4)
    out = []
    for at in PLACES:
        for off in (-7, -3, 0, 1):
            text = filler(max(at + off, 0)) + rnd.choice(
                ("needle", "a Needle,", "\u00e4 needle", "N\u00e4del")) + \
                "\r\n" + filler(rnd.choice((0, 50, 3000)))
            for how in ("plain", "base64", "qp", "parts"):
                if at < 100000 or (off == 0 and how != "qp"):
                    out.append(Mail(text, how))
    for how in ("plain", "parts"):
        out.append(Mail("x\r\n", how, "about the\r\n two\r\n\tfolded ones",
                        "about the two folded ones"))
        out.append(Mail("x" + "long" * 300 + "x\r\n", how))
        out.append(Mail("x\r\n", how, "=?utf-8?q?ab=6Fut_n=65edle?=",
                        "about needle"))
    # As in most mailboxes: much of it is alike, and lies close together.
    for i in range(400):
        out.append(Mail(filler(1500 + i) + "needle" * (i % 3 == 0) +
                        filler(900), "plain"))
    rnd.shuffle(out)
    return out


def literal(key):
    raw = key.encode()
    return b"{%d+}\r\n%s" % (len(raw), raw)


def check(c, box):
    for key in KEYS:
        for where in ("TEXT", "BODY", "SUBJECT"):
            lines = c.ok(b"SEARCH CHARSET UTF-8 %s %s" % (where.encode(),
                                                          literal(key)))
            got = [int(x) for x in lines[0].split()[2:]]
            want = [i + 1 for i, m in enumerate(box) if m.has(where, key)]
            assert got == want, (where, key, sorted(set(got) ^ set(want)))


def run(*settings):
    engine = Engine(settings=settings)
    box = mails()
    c = engine.client()
    for at in range(0, len(box), 40):
        c.ok(b"APPEND INBOX" + b"".join(
            b" {%d+}\r\n%s" % (len(m.raw), m.raw)
            for m in box[at:at + 40]))
    c.ok("SELECT INBOX")
    check(c, box)
    # What is looked at once more is looked at in another way; and without
    # some of it.
    gone = sorted(random.Random(5).sample(range(len(box)), 40))
    c.ok("STORE %s +FLAGS.SILENT (\\Deleted)" % ",".join(
        str(i + 1) for i in gone))
    c.ok("EXPUNGE")
    box = [m for i, m in enumerate(box) if i not in gone]
    check(c, box)
    c.ok("LOGOUT")
    c.close()
    engine.stop()
    engine = Engine(engine.dir, settings)
    c = engine.client()
    c.ok("SELECT INBOX")
    check(c, box)
    c.ok("LOGOUT")
    c.close()
    engine.stop()


run()
run("store_compression=zstd")
run("store_format=maildir")
print("3 passed, 0 failed, 0 skipped")
