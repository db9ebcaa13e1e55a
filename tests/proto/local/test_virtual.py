#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 180
"""virtual: look-ups, formats, segments, checkpoints, kill -9, bad frames."""
import glob
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agentlib import *  # noqa: E402,F403

MAILBOXES = """
joe@example.test example.test/joe/
ann@example.test example.test/ann
Mixed@example.test example.test/mixed/
packed@example.test packed:example.test/packed
dir@example.test maildir:example.test/dir
up@example.test ../../etc/
abs@example.test /example.test/abs/
@catch.test catch.test/all/
"""


def count(where, text):
    n = 0
    for path in glob.glob(where):
        with open(path, "rb") as f:
            n += f.read().count(text)
    return n


def crc32c(data):
    c = 0xffffffff
    for x in data:
        c = c >> 8 ^ TABLE[(c ^ x) & 255]
    return c ^ 0xffffffff


TABLE = []
for k in range(256):
    for _ in range(8):
        k = k >> 1 ^ 0x82f63b78 if k & 1 else k >> 1
    TABLE.append(k)


def messages(where):
    """All messages of a mailbox of any format, as mansio-store(5) has it."""
    if os.path.isfile(where):
        with open(where, "rb") as f:
            data = f.read()
        return [x[x.index(b"\n") + 1:] + b"\n" for x in
                data[5:-2].split(b"\n\nFrom ")] if data else []
    if os.path.isdir(where + "/new"):
        out = []
        for path in glob.glob(where + "/new/*") + glob.glob(where + "/cur/*"):
            with open(path, "rb") as f:
                out.append(f.read())
        return out
    out, at, uids = [], 2048, set()
    with open(where + "/00000001.jrn", "rb") as f:
        j = f.read()
    while at < len(j):
        magic, crc, typ, _, n, modseq = struct.unpack_from("<4sIHHIQ", j, at)
        assert magic == b"JREC" and crc32c(j[at + 8:at + 24 + n]) == crc
        if typ == 1:
            uid, _, seg, mcrc, off, size = \
                struct.unpack_from("<IIIIQQ", j, at + 24)
            assert uid not in uids
            uids.add(uid)
            with open(f"{where}/{seg:08x}.seg", "rb") as f:
                f.seek(off + 64)
                text = f.read(size)
            if len(text) < 3000:    # the check is slow here
                assert crc32c(text) == mcrc
            out.append(text)
        at += 24 + (n + 7 & ~7)
    return out


def main():
    conf = {"virtual_mailbox_domains": "example.test, catch.test",
            "virtual_mailbox_maps": "texthash:TOP/etc/vmailbox",
            "virtual_mailbox_lock": "fcntl", "store_format": "maildir"}
    if ROOT:
        conf["virtual_uid_maps"] = conf["virtual_gid_maps"] = \
            f"static:{pwd.getpwnam('daemon').pw_uid}"
        conf["virtual_gid_maps"] = f"static:{pwd.getpwnam('daemon').pw_gid}"
    with Agent("virtual", conf, {"vmailbox": MAILBOXES}) as a:
        c = a.conn
        m = a.mail + "/"

        # the three formats, catch-all, extensions, case
        for rcpt, where in (
                ("joe@example.test", "example.test/joe/new/*"),
                ("JOE+x@Example.Test", "example.test/joe/new/*"),
                ("ann@example.test", "example.test/ann"),
                ("mixed@example.test", "example.test/mixed/new/*"),
                ("packed@example.test", "example.test/packed/*.seg"),
                ("dir@example.test", "example.test/dir/new/*"),
                ("abs@example.test", "example.test/abs/new/*"),
                ("anybody@catch.test", "catch.test/all/new/*")):
            n = count(m + where, b"Delivered-To: ")
            st = c.deliver(rcpt, qid="4%sz1" % rcpt[:3])
            assert st.outcome == DELIVERED and st.serial > 0, (rcpt, st)
            assert count(m + where, b"Delivered-To: ") == n + 1, rcpt
            for path in glob.glob(m + where):
                assert os.stat(path).st_uid == a.uid
                assert os.stat(path).st_mode & 0o777 == 0o600
        c.wait_checkpoint(st.serial)
        st = c.deliver("nobody@example.test")
        assert (st.outcome, st.dsn) == (BOUNCED, "5.1.1"), st
        assert c.deliver("up@example.test").outcome == DEFERRED
        st = c.deliver("joe@example.test",
                       "Delivered-To: Joe@example.test\n\nx\n")
        assert (st.outcome, st.dsn) == (BOUNCED, "5.4.6"), st
        # header of the null sender
        c.deliver("ann@example.test", sender="")
        with open(m + "example.test/ann") as f:
            text = f.read()
        assert "From MAILER-DAEMON  " in text and "Return-Path: <>\n" in text

        # segments, shared by many messages in one batch
        fd = os.memfd_create("seg")
        os.write(fd, b"".join(b"Subject: n%03d\n\nx\n" % i
                              for i in range(200)))
        c.send(SEGMENT, 0, struct.pack("<I", 3), fd)
        os.close(fd)
        size = len(b"Subject: n000\n\nx\n")
        for i in range(200):
            c.send(MESSAGE, 1000 + i, struct.pack("<IQQ", 3, i * size, size) +
                   pstr("") + struct.pack("<IBQ", 1, 0, 0) + pstr(
                       envelope("4seg%dz" % i, "s@example.org",
                                ["packed@example.test"])))
        c.send(DROP, 0, struct.pack("<I", 3))
        got = sorted((s.tag, s.outcome) for s in
                     (c.status() for _ in range(200)))
        assert got == [(1000 + i, DELIVERED) for i in range(200)]
        seg = m + "example.test/packed/*.seg"
        for i in range(200):
            assert count(seg, b"Subject: n%03d\n" % i) == 1, i

        # what breaks the conversation ends it, and only it
        for frame in ((MESSAGE, b"xx"), (99, b""), (STATUS, b""),
                      (MESSAGE, struct.pack("<IQQ", 77, 0, 5) + pstr("") +
                       struct.pack("<IBQ", 1, 0, 0) + pstr(envelope(
                           "4q", "s", ["joe@example.test"])))):
            c.send(frame[0], 1, frame[1])
            while (f := c.frame()) is not None:
                assert f[0] == CHECKPOINT, f
            c.close()
            c = a.conn = Conn(a.sock)
        assert c.deliver("joe@example.test", qid="4afterz").outcome == \
            DELIVERED

        # a content that cannot be read defers
        fd = os.memfd_create("short")
        os.write(fd, b"x")
        c.send(MESSAGE, 5, struct.pack("<IQQ", FILE, 0, 1000) + pstr("") +
               struct.pack("<IBQ", 1, 0, 0) + pstr(envelope(
                   "4shortz", "s@x", ["joe@example.test"])), fd)
        os.close(fd)
        assert c.status().outcome == DEFERRED

        # kill -9 in the middle, then everything again with recovered
        for turn in range(9):
            user = ("joe", "packed", "ann")[turn % 3]
            box, want = user + "@example.test", {}
            for i in range(60):
                qid = f"4kill{turn}x{i}z"
                want[qid] = f"Received: id {qid}\nSubject: {qid}.\n\n" + \
                    "line\n" * random.randrange(2000)
                c.message(want[qid], [box], qid=qid)
            time.sleep(random.random() * 0.01)
            a.kill()
            a.start()
            c = a.conn
            # somebody else's mail comes first
            assert c.deliver(box, qid=f"4other{turn}z").outcome == DELIVERED
            for qid, text in want.items():
                c.message(text, [box], qid=qid, recovered=True)
            for qid in want:
                st = c.status()
                assert st.outcome == DELIVERED, st
            c.wait_checkpoint(st.serial)
            mails = messages(m + "example.test/" + user)
            for qid, text in want.items():
                n = sum(x.endswith(text.encode()) for x in mails)
                assert n == 1, (user, qid, n)
            for x in mails:
                assert x.startswith(b"Return-Path: "), x[:100]
    print("1 passed, 0 failed, 0 skipped")


main()
