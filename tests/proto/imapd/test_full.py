#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd on a disk that is full: NO with a code, and nothing is lost."""
import os
import subprocess
import sys
import tempfile

from imaptalk import Engine

d = tempfile.mkdtemp(prefix="imapd-full-")
if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", d],
        stderr=subprocess.DEVNULL).returncode != 0:
    os.rmdir(d)
    print("skip: cannot mount a small disk")
    sys.exit(77)
e = None
try:
    e = Engine(directory=d)
    c = e.client()
    c.ok("SELECT INBOX")
    body = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 6000
    n = 0
    while True:
        got = c.status(b"APPEND INBOX {%d+}\r\n%s" % (len(body), body))
        if got[0] != "OK":
            break
        n += 1
        assert n < 100, "it is never full"
    assert got[0] == "NO" and got[1] in ("OVERQUOTA", "UNAVAILABLE",
                                         "LIMIT"), got
    # What was there is there, and can be read; one that is too large now
    # may still be followed by a small one.
    assert n > 3
    for i in (1, n):
        text = b"".join(c.ok("FETCH %d BODY.PEEK[]" % i))
        assert body in text
    for _ in range(3):
        assert c.status(b"APPEND INBOX {%d+}\r\n%s" % (len(body), body))[0] \
            == "NO"
    lines = c.ok("STATUS INBOX (MESSAGES)")
    assert b"MESSAGES %d" % n in lines[0], lines
    # Room again.
    subprocess.run(["mount", "-o", "remount,size=20m", d], check=True)
    assert c.status(b"APPEND INBOX {%d+}\r\n%s" % (len(body), body))[0] == "OK"
    c.ok("STORE 1:* +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.close()
finally:
    if e:
        e.stop()
    subprocess.run(["umount", d], check=False)
    os.rmdir(d)
print("1 passed, 0 failed, 0 skipped")
