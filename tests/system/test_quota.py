#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Quotas: a mailbox that is full is refused at RCPT, its user is warned
before, and what came in spite of it waits or is returned."""
import imaplib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

BODY = "Subject: hello\n\n" + ("x" * 70 + "\n") * 100  # about 7 KiB


def table(m, name, text):
    path = f"{m.etc}/{name}"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    m.command("postmap", path)


def rcpt(m, to, size=None):
    with m.smtp() as s:
        s.ehlo("client.example.org")
        s.mail("sender@example.org", [f"size={size}"] if size else [])
        return s.rcpt(to)


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)


def main(maildir):
    settings = {"quota_maps": "hash:{base}/etc/quota", "quota_grace": "0",
                "mailbox_full_action": "bounce"}
    m = Instance(settings, maildir=maildir)
    with open(f"{m.etc}/main.cf", "a", encoding="ascii") as f:
        f.write(f"store_owner = {m.vmail.pw_name}\n")
    table(m, "quota", "alice@example.test storage=20k\n"
                      "@example.test messages=1\n")
    with m:
        alice = "alice@example.test"
        # 7 of 20 KiB, 14, and the warning would come at 16.
        for _ in range(2):
            m.send(alice, BODY)
        m.wait_idle()
        assert len(m.mailbox("alice")) == 2
        assert rcpt(m, alice)[0] == 250
        # What the client says about the size counts.
        code, text = rcpt(m, alice, 30 << 16)
        assert code == 552 and b"5.2.2" in text, (code, text)
        # 3 KiB more: the user is told, and that is all that fits.
        m.send(alice, BODY[:3500])
        m.wait_idle()
        assert len(m.mailbox("alice")) == 4, m.mailbox("alice")
        m.wait_log("quota: to=<alice@example.test>, 80%")
        wait_for(lambda: rcpt(m, "carol@example.test")[0] == 250)
        m.send("carol@example.test", "Subject: one\n\n1\n")
        m.wait_idle()
        # The answer was kept for 2 s.
        wait_for(lambda: rcpt(m, "carol@example.test")[0] == 452)
        code, text = rcpt(m, "carol@example.test")
        assert b"4.2.2" in text and b"too many messages" in text, text
        # Who comes past RCPT: several recipients, one message each.
        m.send(alice, BODY)
        m.wait_log("dsn=5.2.2, status=bounced (the mailbox is full)")
        out = m.command("mansio", "quota", alice).stdout
        assert "storage" in out and "20480" in out, out
        m.command("mansio", "quota", "set", alice, "storage=1M")
        wait_for(lambda: rcpt(m, alice, 7000)[0] == 250)
        m.send(alice, BODY)
        wait_for(lambda: len(m.mailbox("alice")) == 5)
        m.command("mansio", "quota", "clear", alice)
        out = m.command("mansio", "quota", alice).stdout
        assert "20480" in out, out


def setquota():
    """A master user sets limits over IMAP; others see them and cannot."""
    with Users(maildir=False, settings={
            "authd_master_users": "carol@example.test"}) as m:
        c = imaplib.IMAP4("127.0.0.1", m.imap_port)
        assert "QUOTASET" not in c.capabilities
        c.authenticate("PLAIN", lambda _: b"alice@example.test\0"
                       b"carol@example.test\0christmas")
        assert b"QUOTASET" in c.capability()[1][0]
        typ, data = c.setquota('""', "(STORAGE 10 MESSAGE 2)")
        assert typ == "OK" and b"STORAGE 0 10 MESSAGE 0 2" in data[0], data
        assert c.setquota('""', "(ANNOTATION-STORAGE 1)")[0] == "NO"
        assert c.setquota('"x"', "(STORAGE 1)")[0] == "NO"
        c.logout()
        c = imaplib.IMAP4("127.0.0.1", m.imap_port)
        c.login("alice@example.test", PASSWORDS["alice"])
        assert b"QUOTASET" not in c.capability()[1][0]
        assert b"MESSAGE 0 2" in c.getquota('""')[1][0]
        assert c.setquota('""', "(STORAGE 1000)")[0] == "NO"
        typ, data = c.append("INBOX", None, None, b"x: y\r\n" * 3000)
        assert typ == "NO" and b"OVERQUOTA" in data[0], data
        for _ in range(2):
            assert c.append("INBOX", None, None, b"x: y\r\n\r\n")[0] == "OK"
        assert b"OVERQUOTA" in c.append("INBOX", None, None,
                                        b"x: y\r\n\r\n")[1][0]
        c.logout()


if __name__ == "__main__":
    for kind in (False, True):
        main(kind)
    setquota()
