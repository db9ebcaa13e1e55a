#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A table that cannot be read, at the start or from then on, or that is
garbage: who needs it is told to come again, the log names it, what is queued
waits, and all goes on by itself when the table is mended."""
import os
import shutil
import smtplib
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402


def rcpt(m, user):
    with m.smtp() as s:
        s.helo()
        s.mail("x@example.org")
        return s.rcpt(f"{user}@example.test")


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def refused(m, user):
    code, text = rcpt(m, user)
    return code == 451 and b"Temporary lookup failure" in text


def unreadable(path):
    os.chmod(path, 0)
    os.utime(path)          # which is what tells that it has changed


def garbage(path):
    with open(f"{path}.new", "wb") as f:
        f.write(b"\0\xff\x01 garbage \n" * 2000)
    os.chmod(f"{path}.new", 0o644)
    os.rename(f"{path}.new", path)


def cut_off(path):
    """A copy that was broken off."""
    with open(path, "rb") as f, open(f"{path}.new", "wb") as to:
        to.write(f.read()[:100])
    os.chmod(f"{path}.new", 0o644)
    os.rename(f"{path}.new", path)


def removed(path):
    os.unlink(path)


def mend(path):
    shutil.copy2(f"{path}.good", f"{path}.new")
    os.utime(f"{path}.new")
    os.rename(f"{path}.new", path)


def while_running(m, path, harm):
    """Nobody is told that a user does not exist."""
    assert rcpt(m, "alice")[0] == 250
    harm(path)
    until(lambda: refused(m, "bob"))
    assert refused(m, "nosuch")
    m.wait_log("virtual_mailbox_maps: table ")
    # A reload with it changes nothing, and the system runs on.
    m.command("mansio", "reload", check=False)
    until(lambda: refused(m, "bob"))
    mend(path)
    until(lambda: rcpt(m, "bob")[0] == 250)
    until(lambda: rcpt(m, "nosuch")[0] == 550)


def gone_while_running(m, path):
    """What was read before stays good until there is another."""
    assert rcpt(m, "alice")[0] == 250
    removed(path)
    time.sleep(1.5)
    assert rcpt(m, "bob")[0] == 250
    assert rcpt(m, "nosuch")[0] == 550
    m.wait_log("using what was read before")
    mend(path)
    until(lambda: rcpt(m, "carol")[0] == 250)


def at_the_start(m, path, harm):
    m.stop()
    harm(path)
    assert m.command("mansio", "check", check=False).returncode == 1
    done = m.command("mansio", "start", check=False)
    m.running = done.returncode == 0
    if m.running:
        # For strangers there is no answer, or the right one; never 550.
        assert rcpt(m, "carol")[0] in (250, 451)
    else:
        assert "virtual_mailbox_maps" in done.stderr, done
    mend(path)
    if not m.running:
        m.start()
    until(lambda: rcpt(m, "carol")[0] == 250)


def delivery_waits(m, path, harm):
    """A message that is in the queue already is deferred, not returned."""
    m.command("postconf", "-e", "smtpd_client_restrictions = "
              "check_client_access static:HOLD")
    m.command("mansio", "reload")
    until(lambda: "hold" in queue_after_send(m))
    harm(path)
    until(lambda: refused(m, "bob"))
    had = len(m.mailbox("alice"))
    m.command("postsuper", "-H", "ALL")
    until(lambda: {q["queue_name"] for q in m.queue()} == {"deferred"})
    assert all("delay_reason" in r for q in m.queue()
               for r in q["recipients"]), m.queue()
    assert len(m.mailbox("alice")) == had
    n = len(m.queue())
    mend(path)
    until(lambda: rcpt(m, "alice")[0] == 250)

    def gone():         # each process looks at its tables once a second
        m.command("postqueue", "-f")
        return not m.queue()
    until(gone)
    assert len(m.mailbox("alice")) == had + n
    assert "status=bounced" not in m.log()


def queue_after_send(m):
    try:
        m.send("alice", "Subject: x\n\nhi\n")
    except smtplib.SMTPException:
        pass
    return {q["queue_name"] for q in m.queue()}


def one(kind, harm):
    m = Instance({"virtual_mailbox_maps": f"{kind}:{{base}}/etc/vmailbox"})
    path = f"{m.etc}/vmailbox" + (".db" if kind == "hash" else "")
    shutil.copy2(path, f"{path}.good")
    with m:
        if harm is removed:
            gone_while_running(m, path)
        else:
            while_running(m, path, harm)
        at_the_start(m, path, harm)
        m.stop()
        m.start()           # smtpd remembers good answers for a while
        if harm in (garbage, cut_off):      # the others can be read by root
            delivery_waits(m, path, harm)


def main():
    for kind in ("hash", "texthash"):
        for harm in (unreadable, garbage, cut_off, removed):
            if (kind, harm) == ("texthash", cut_off):
                continue                # that is a shorter table
            print(kind, harm.__name__, flush=True)
            one(kind, harm)


if __name__ == "__main__":
    main()
