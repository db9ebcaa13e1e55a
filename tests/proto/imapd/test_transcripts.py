#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd: conversations, word for word (*.talk in this folder).

"C: " is a command, sent with a tag; "S: " lines are the whole answer, the
tag being "TAG".  In commands \\r \\n \\x.. \\\\ are escapes, @MESSAGE is a
literal with a small message, @MIME one with parts; a second connection says
"D: ".  In answers <N> is a number, <ID> an object id, <DATE> a date.
"== name" begins a conversation with a fresh account.

usage: test_transcripts.py [--update] [file...]	  --update writes what came
"""
import glob
import os
import re
import shutil
import sys

from imaptalk import Engine

MESSAGE = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
           b"Subject: hi\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n"
           b"Message-ID: <x@example.org>\r\n\r\nhello\r\n")
MIME = (b"From: a@b\r\nSubject: =?utf-8?q?=C3=A4_mime?=\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/plain\r\n\r\ntext part\r\n--b\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b\r\n"
        b"Content-Type: text/x\r\nContent-Transfer-Encoding: foo\r\n\r\n"
        b"abc\r\n--b--\r\n")


def literal(m):
    return b"{%d+}\r\n%s" % (len(m), m)


def bytes_of(text):
    b = text.encode("utf8")
    b = re.sub(rb"\\(r|n|\\|x[0-9a-f]{2})", lambda m: {
        b"r": b"\r", b"n": b"\n", b"\\": b"\\"}.get(m.group(1)) or
        bytes([int(m.group(1)[1:], 16)]), b)
    return b.replace(b"@MESSAGE", literal(MESSAGE)).replace(
        b"@MIME", literal(MIME))


def shown(line, tag):
    if line.startswith(tag.encode() + b" "):
        line = b"TAG" + line[len(tag):]
    line = line.replace(b'TAG "%s"' % tag.encode(), b'TAG "TAG"')
    line = re.sub(rb"\\", rb"\\\\", line)
    text = line.decode("utf8", "backslashreplace")
    text = "".join(c if c == "\t" or c >= " " else
                   {"\r": "\\r", "\n": "\\n"}.get(c) or "\\x%02x" % ord(c)
                   for c in text)
    text = re.sub(r"(UIDVALIDITY|APPENDUID|COPYUID) \d+", r"\1 <N>", text)
    text = re.sub(r"\b([MFT])[0-9a-f]{32}\b", r"\1<ID>", text)
    return re.sub(r'"[ \d]\d-\w{3}-20[2-9]\d \d\d:\d\d:\d\d [+]0000"',
                  "<DATE>", text)


def talk(path, update):
    out, bad, conns, engine, want = [], [], {}, None, None
    lines = open(path, encoding="utf8").read().splitlines() + ["== "]
    got = []

    def compare():
        if want is not None and want != got:
            bad.append("%s: %s\n  wanted:\n    %s\n  got:\n    %s" % (
                path, command, "\n    ".join(want), "\n    ".join(got)))
        if want is not None:
            out.extend("S: " + g for g in got)

    command = ""
    for l in lines:
        if l.startswith("S: "):
            want.append(l[3:])
            continue
        compare()
        want, got = None, []
        if l.startswith("== "):
            if engine:
                for c in conns.values():
                    c.close()
                engine.stop()
                shutil.rmtree(engine.dir)
                engine, conns = None, {}
            if l == "== ":
                break
            engine = Engine()
        elif l[1:3] == ": ":
            who, command = l[0], l[3:]
            if who not in conns:
                conns[who] = engine.client()
            c = conns[who]
            tag = c.start(bytes_of(command))
            got = [shown(x, tag) for x in c.until(tag)]
            want = []
        out.append(l)
    if update:
        with open(path, "w", encoding="utf8") as f:
            f.write("\n".join(out) + "\n")
    return bad


args = [a for a in sys.argv[1:] if a != "--update"]
here = os.path.dirname(os.path.abspath(__file__))
files = args or sorted(glob.glob(os.path.join(here, "*.talk")))
failed = 0
for name in files:
    problems = talk(name, "--update" in sys.argv)
    if "--update" not in sys.argv:
        for p in problems:
            print(p)
        failed += bool(problems)
print("%d passed, %d failed, 0 skipped" % (len(files) - failed, failed))
sys.exit(failed > 0)
