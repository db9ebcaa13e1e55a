#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""authd and keyd are killed, again and again, while many clients log in: no
right login is ever told that it is wrong, and each succeeds in the end.  Bad
ones are never let in."""
import imaplib
import os
import poplib
import random
import signal
import smtplib
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import free_port  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

CLIENTS, SECONDS, ROUND = 10, 12, 0.7
# What is only for now, in each protocol.
TEMPORARY = ("454 ", "[UNAVAILABLE]", "[SYS/TEMP]", "[INUSE]", "421 ", "451 ",
             "BYE", "abort", "EOF")


class Count:
    def __init__(self):
        self.lock = threading.Lock()
        self.ok, self.later, self.refused, self.wrong = 0, 0, 0, []

    def add(self, what, text=""):
        with self.lock:
            if what == "wrong":
                self.wrong.append(text)
            else:
                setattr(self, what, getattr(self, what) + 1)


def smtp(m, user, password):
    s = smtplib.SMTP_SSL("localhost", m.submission, context=m.context,
                         timeout=30)
    try:
        s.login(user, password)
    finally:
        s.close()


def scram_free_imap(m, user, password):
    i = imaplib.IMAP4_SSL("localhost", m.imaps_port, ssl_context=m.context,
                          timeout=30)
    try:
        i.login(user, password)
        i.select()
    finally:
        i.shutdown()


def pop3(m, user, password):
    p = poplib.POP3_SSL("localhost", m.pop3s_port, context=m.context,
                        timeout=30)
    try:
        p.user(user)
        p.pass_(password)
    finally:
        p.close()


HOWS = (smtp, scram_free_imap, pop3)


def client(m, n, count, until):
    rnd = random.Random(n)
    while time.monotonic() < until:
        user = rnd.choice(("alice", "bob", "carol"))
        good = rnd.random() < 0.8
        how = rnd.choice(HOWS)
        try:
            how(m, f"{user}@example.test",
                PASSWORDS[user] if good else "x" + PASSWORDS[user])
            count.add("ok" if good else "wrong", f"{how.__name__}: let in")
        except (smtplib.SMTPResponseException, imaplib.IMAP4.error,
                poplib.error_proto) as e:
            text = str(e)
            if isinstance(e, smtplib.SMTPResponseException):
                text = f"{e.smtp_code} {e.smtp_error!r}"
            if any(t in text for t in TEMPORARY):
                count.add("later")
            elif good:
                count.add("wrong", f"{how.__name__}: {text}")
            else:
                count.add("refused")
        except (smtplib.SMTPException, OSError, EOFError):
            count.add("later")          # no TLS, or closed


def storm(m, victims):
    count = Count()
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=client, args=(m, n, count, until))
               for n in range(CLIENTS)]
    for t in threads:
        t.start()
    kills = 0
    while time.monotonic() < until:
        time.sleep(ROUND)
        for pid, name in m.children().items():
            if name in victims:
                try:
                    os.kill(pid, random.choice((signal.SIGKILL,
                                                signal.SIGTERM)))
                    kills += 1
                except ProcessLookupError:
                    pass
    for t in threads:
        t.join()
    assert not count.wrong, count.wrong[:5]
    assert kills >= 10 and count.ok > 20, (kills, vars(count))
    print(f"{', '.join(victims)}: {kills} times killed, {count.ok} logins, "
          f"{count.refused} refused, {count.later} told to come again")
    # And then everything is as before.
    for how in HOWS:
        end = time.monotonic() + 60
        while True:
            try:
                how(m, "alice@example.test", PASSWORDS["alice"])
                break
            except (smtplib.SMTPException, imaplib.IMAP4.error,
                    poplib.error_proto, OSError, EOFError) as e:
                assert time.monotonic() < end, e
                time.sleep(0.3)


class Storm(Users):
    def __init__(self):
        self.submission = free_port()
        super().__init__(tls=True, settings={
            "smtpd_hard_error_limit": "1000", "authd_cache_time": "0s",
            "smtpd_client_auth_rate_limit": "0",
            "imapd_client_connection_limit": "0",
            "authd_ban_exceptions": "127.0.0.0/8, [::1]/128",
        }, services=f"127.0.0.1:{self.submission} inet n - - - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes\n"
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
            "\n")
        self.context = ssl.create_default_context(cafile=self.ca)


socket.setdefaulttimeout(60)
with Storm() as inst:
    storm(inst, ("authd",))
    storm(inst, ("keyd",))
    storm(inst, ("authd", "keyd"))
    log = inst.log()
    assert "panic" not in log, log[-3000:]
print("3 passed, 0 failed, 0 skipped")
