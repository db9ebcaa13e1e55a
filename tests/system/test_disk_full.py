#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A queue on a disk that is too small or full: clients hear 452 4.3.1, and
mail is taken again as soon as there is space, without a restart."""
import os
import smtplib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, need_root, skip  # noqa: E402

TEXT = "Subject: hello\n\nhi\n"


def mount(path, size):
    os.makedirs(path, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o",
                           f"size={size},mode=755", "none", path],
                          capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"no tmpfs: {done.stderr.strip()}")


def answer(m):
    """What MAIL is answered."""
    with m.smtp() as s:
        s.ehlo("client.example.org")
        code, text = s.mail("sender@example.org")
        return code, text.decode()


def wait_for(what, timeout=30):
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def full(m):
    return answer(m) == (452, "4.3.1 Insufficient system storage")


def main():
    need_root()
    base = tempfile.mkdtemp(prefix="mansio-test-")
    os.chmod(base, 0o755)
    mount(f"{base}/spool", "12m")
    try:
        with Instance(base=base) as m:
            # Smaller than a segment.
            wait_for(lambda: full(m))
            m.wait_log("mail is answered 452: fill log segment of 16793600 "
                       "bytes: No space left on device")
            subprocess.run(["mount", "-o", "remount,size=300m",
                            f"{base}/spool"], check=True)
            wait_for(lambda: answer(m)[0] == 250)
            m.send("alice", TEXT)
            m.wait_idle()
            assert len(m.maildir("alice")) == 1
            # Full to the last byte: what has its place goes on.
            with open(f"{base}/spool/fill", "wb") as f:
                try:
                    while True:
                        f.write(b"x" * (1 << 20))
                        f.flush()
                except OSError:
                    pass
            m.send("alice", TEXT)
            m.wait_idle()
            assert len(m.maildir("alice")) == 2
            # What needs a file of its own is refused, with 452.
            try:
                m.send("alice", TEXT + "x" * 70 + "\n" * (20 << 20))
                raise AssertionError("a large message was taken")
            except smtplib.SMTPResponseException as e:
                assert e.smtp_code == 452, e
                assert b"4.3.1" in e.smtp_error, e
            except smtplib.SMTPServerDisconnected:
                assert "4.3.1" in m.log()
            # A start on a full disk.
            m.stop()
            m.start()
            wait_for(lambda: answer(m)[0] in (250, 452))
            os.unlink(f"{base}/spool/fill")
            wait_for(lambda: answer(m)[0] == 250)
            m.send("alice", TEXT)
            m.wait_idle()
            assert len(m.maildir("alice")) == 3
    finally:
        subprocess.run(["umount", "-l", f"{base}/spool"], check=False)
        subprocess.run(["rm", "-rf", base], check=False)


if __name__ == "__main__":
    main()
