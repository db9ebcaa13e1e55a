#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: LIST and STAT say exactly what RETR sends (RFC 1939 3, 11), of mail
that is stored in every shape, in both formats, also from what is left when
indexes and journals are gone."""
import imaplib
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

HEAD = b"Subject: ugly\n\n"
# CR at every place around where the server cuts a long line or a message.
LONG = b"".join(b"x" * n + b"\r\n" for n in range(65500, 65560, 7))
UGLY = [
    HEAD + b"body\n", HEAD + b"body", HEAD + b"body\r\n", HEAD + b"body\r",
    HEAD, b"Subject: ugly\n", b"Subject: ugly", b"x", b"\n", b"\r\n", b"\r",
    b".", b".\n", b"..\n", b"\n.\n", b"\n.", b"\n.\r\n.\r\n.",
    b"Subject: a\r\n\r\nCRLF\nand LF\r\nmixed\n", b"\n\r\n\r\r\n\n\r",
    HEAD + b"\rCR in front\nand\rinside\n", HEAD + b"\r\r\r\n",
    HEAD + b"8 bit \xe4\xf6\xfc\xff\x80\n", HEAD + b"a" * 200000,
    HEAD + b"a" * 200000 + b"\n", HEAD + b"." * 70000 + b"\n",
    HEAD + b".\n" * 40000, HEAD + LONG, HEAD + LONG[:-1],
    HEAD + b"z" * 65519 + b"\r" + b"z" * 70000 + b"\r",
    HEAD + b"line\n" * 60000, HEAD + b"line\r\n" * 60000 + b"end",
]
WITH_NUL = [HEAD + b"a\0b\n\0", b"\0", b"\0\n\0\n.\0"]
passed = 0


def crlf(data):
    """The octets that RETR is to send, before dots are doubled."""
    out = re.sub(rb"(?<!\r)\n", b"\r\n", data)
    return out if not out or out.endswith(b"\r\n") else out + b"\r\n"


class Wire:
    """Of the client's class, what was read and not taken, as bytes."""

    def __init__(self, c):
        self.c = c

    def retr(self, n):
        first = self.c.ok(f"RETR {n}")
        data = self.c.buf
        while not (data == b".\r\n" or data.endswith(b"\r\n.\r\n")):
            got = self.c.s.recv(1 << 20)
            assert got
            data += got
        self.c.buf = b""
        data = data[:-3]
        assert not re.search(rb"(?:\A|\r\n)\.(?!\.)", data)
        data = re.sub(rb"(\A|\r\n)\.", rb"\1", data)
        return first, data


def check(want, ordered=True):
    """All that the mailbox has, and nothing else."""
    global passed
    with m.pop3("alice") as c:
        count, octets = map(int, c.ok("STAT").split())
        sizes = [int(line.split()[1]) for line in c.many("LIST")]
        ids = [line.split()[1] for line in c.many("UIDL")]
        assert count == len(sizes) == len(want), (count, len(want))
        assert octets == sum(sizes)
        assert len(set(ids)) == len(ids)
        left = [crlf(x) for x in want]
        for n, size in enumerate(sizes, 1):
            said, data = Wire(c).retr(n)
            assert c.ok(f"LIST {n}") == f"{n} {size}"
            assert len(data) == size, (n, size, len(data), data[:60])
            assert said == f"{size} octets", (said, size)
            if ordered:
                assert data == left[n - 1], (n, data[:60], left[n - 1][:60])
            else:
                left.remove(data)
        c.ok("QUIT")
    passed += 1
    return ids


def append(messages):
    with imaplib.IMAP4("127.0.0.1", m.imap_port, TIMEOUT) as i:
        i.login("alice@example.test", "wonderland")
        for data in messages:
            typ, text = i.append("INBOX", None, None, data)
            assert typ == "OK", text


def forget(*endings):
    """Take these files away while nobody has the mailbox open."""
    end = time.monotonic() + TIMEOUT
    while m.session_pids() and time.monotonic() < end:
        time.sleep(0.05)
    found = 0
    for path, _, names in os.walk(box):
        for name in names:
            if name.endswith(endings):
                os.unlink(f"{path}/{name}")
                found += 1
    return found


# imaplib itself would turn line ends into CRLF.
imaplib.MapCRLF = re.compile(b"(?!)")

with Users() as m:
    box = f"{m.mail}/example.test/alice"
    append(UGLY)
    ids = check(UGLY)
    m.command("mansio", "index", "rebuild", "alice@example.test")
    assert check(UGLY) == ids
    assert forget(".idx")
    assert check(UGLY) == ids
    with imaplib.IMAP4("127.0.0.1", m.imap_port, TIMEOUT) as i:
        i.login("alice@example.test", "wonderland")
        i.select()
        assert i.copy("1:3", "INBOX")[0] == "OK"
    copied = check(UGLY + UGLY[:3])
    assert copied[:len(UGLY)] == ids
    # Ids do not depend on what else is there.
    with m.pop3("alice") as c:
        c.ok("DELE 1")
        c.ok("QUIT")
    assert check(UGLY[1:] + UGLY[:3]) == copied[1:]
    with m.pop3("alice") as c:
        for n in range(len(UGLY), len(UGLY) + 3):
            c.ok(f"DELE {n}")
        c.ok("QUIT")
    # From the segments alone what was deleted comes back.
    assert forget("00000001.jrn", ".idx")
    assert check(UGLY) == ids

with Users(maildir=True) as m:
    box = f"{m.mail}/example.test/alice"
    for sub in ("new", "cur", "tmp"):
        os.makedirs(f"{box}/{sub}", exist_ok=True)
    for n, data in enumerate(UGLY + WITH_NUL + [b""]):
        with open(f"{box}/new/{1000 + n}.foreign", "wb") as f:
            f.write(data)
    subprocess.run(["chown", "-R", f"--reference={m.mail}", box], check=True)
    everything = UGLY + WITH_NUL + [b""]
    ids = check(everything)
    append(UGLY)
    everything += UGLY
    all_ids = check(everything)
    assert all_ids[:len(ids)] == ids
    m.command("mansio", "index", "rebuild", "alice@example.test")
    assert check(everything) == all_ids
    assert forget("mansio.idx")
    assert check(everything) == all_ids
    # As Courier has them: where a name is no id, the message's own.
    m.command("postconf", "-e", "pop3d_uidl_format=%f")
    m.command("mansio", "reload")
    end = time.monotonic() + TIMEOUT
    names = all_ids
    while names == all_ids and time.monotonic() < end:
        with m.pop3("alice") as c:
            names = [line.split()[1] for line in c.many("UIDL")]
    files = {n.partition(":")[0] for n in os.listdir(f"{box}/cur")}
    assert names[0] in files and len(set(names)) == len(names)
    assert all(name in files or len(name) == 32 for name in names), names
    m.command("postconf", "-e", "pop3d_uidl_format=%i")
    m.command("mansio", "reload")
    while names != all_ids and time.monotonic() < end:
        with m.pop3("alice") as c:
            names = [line.split()[1] for line in c.many("UIDL")]
    assert names == all_ids
    # Ids come from the files, also when the journal is lost.
    assert forget("mansio.jrn", "mansio.idx")
    assert sorted(check(everything, False)) == sorted(all_ids)
print(f"{passed} passed, 0 failed, 0 skipped")
