#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""authd and keyd are killed, again and again, while many clients log in: no
right login is ever told that it is wrong, and each succeeds in the end.  Bad
ones are never let in.  master replaces what was killed at once, always."""
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
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import free_port  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

CLIENTS, ROUND = 10, 0.4
# A storm is over when both have happened so often.
KILLS, LOGINS = 16, 30
PATIENCE = 70
# What is only for now, in each protocol.
TEMPORARY = ("454 ", "421 ", "451 ", "[UNAVAILABLE]", "[SYS/TEMP]", "[INUSE]")


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


def attempt(how, m, user, password):
    """How a login went: "ok", "later" or "refused", and what was said."""
    try:
        how(m, f"{user}@example.test", password)
        return "ok", "let in"
    except imaplib.IMAP4.abort as e:    # closed, or BYE
        return "later", str(e)
    except (smtplib.SMTPResponseException, imaplib.IMAP4.error,
            poplib.error_proto) as e:
        text = str(e)
        if isinstance(e, smtplib.SMTPResponseException):
            text = f"{e.smtp_code} {e.smtp_error!r}"
        # What poplib says of a connection that was closed.
        later = text == "-ERR EOF" or any(t in text for t in TEMPORARY)
        return "later" if later else "refused", text
    except (smtplib.SMTPException, OSError, EOFError) as e:
        return "later", str(e)          # no TLS, or closed


def client(m, n, count, done):
    rnd = random.Random(n)
    while not done.is_set():
        user = rnd.choice(("alice", "bob", "carol"))
        good = rnd.random() < 0.8
        how = rnd.choice(HOWS)
        password = PASSWORDS[user] if good else "x" + PASSWORDS[user]
        try:
            what, text = attempt(how, m, user, password)
        except Exception:       # not one that a client should have
            what, text = "wrong", traceback.format_exc()
        if what == ("refused" if good else "ok"):
            what = "wrong"
        count.add(what, f"{how.__name__}, {user}, "
                  f"{'right' if good else 'bad'} password: {text}")


def kill_one_round(m, victims):
    kills = 0
    for pid, name in m.children().items():
        if name in victims:
            try:
                os.kill(pid, random.choice((signal.SIGKILL, signal.SIGTERM)))
                kills += 1
            except ProcessLookupError:
                pass
    return kills


def wait_for(what, name):
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, f"{name}: not in {PATIENCE} s"
        time.sleep(0.05)


def storm(m, victims):
    count, done, kills, before = Count(), threading.Event(), 0, 0
    began = time.monotonic()
    threads = [threading.Thread(target=client, args=(m, n, count, done))
               for n in range(CLIENTS)]
    for t in threads:
        t.start()
    try:
        while kills < KILLS * len(victims) or count.ok < LOGINS:
            time.sleep(ROUND)
            # On a busy machine the storm goes slower: somebody has logged in
            # since the last time.
            wait_for(lambda: count.ok > before or count.wrong,
                     f"a login after {kills} kills")
            if count.wrong:
                break
            before = count.ok
            kills += kill_one_round(m, victims)
    finally:
        done.set()
        for t in threads:
            t.join()
        print(f"{', '.join(victims)}: {kills} times killed, {count.ok} "
              f"logins, {count.refused} refused, {count.later} told to come "
              f"again, {time.monotonic() - began:.1f} s")
        for text in count.wrong[:5]:
            print("wrong:", text)
        sys.stdout.flush()
    assert not count.wrong
    assert kills >= KILLS * len(victims) and count.ok >= LOGINS
    # master throttles what fails, not what somebody killed.
    bad = [line for line in m.log().splitlines() if "throttling" in line]
    assert not bad, bad
    # And then everything is as before.
    for how in HOWS:
        def works():
            what, text = attempt(how, m, "alice", PASSWORDS["alice"])
            assert what != "refused", text
            return what == "ok"
        wait_for(works, how.__name__)


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
    assert "panic" not in log, [line for line in log.splitlines()
                                if "panic" in line]
print("3 passed, 0 failed, 0 skipped")
