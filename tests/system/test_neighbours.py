#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Two systems exchange mail: there, back, returned, over several hops."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
from peerlib import DNS, SERVICES, Instance, need_root  # noqa: E402

ZONES = {
    "example.test": {"MX": ["10 mail.example.test"]},
    "mail.example.test": {"A": ["127.0.0.1"]},
    "neighbour.test": {"MX": ["5 gone.neighbour.test",
                              "10 mail.neighbour.test"]},
    "gone.neighbour.test": {"A": ["127.0.0.9"]},
    "mail.neighbour.test": {"A": ["127.0.0.1"]},
}


class Neighbour(Instance):
    """Has the users of another domain."""

    def write_config(self, settings, services, maildir):
        super().write_config(settings, services, maildir)
        with open(f"{self.etc}/vmailbox", "w", encoding="ascii") as f:
            for user in self.users:
                f.write(f"{user}@neighbour.test example.test/{user}/\n")
        self.command("postmap", f"{self.etc}/vmailbox")


def systems(dns):
    common = {"resolver_servers": f"127.0.0.1:{dns.port}",
              "minimal_backoff_time": "2s", "queue_run_delay": "1s",
              "maximal_backoff_time": "3s"}
    a = Instance(settings=dict(common), services=SERVICES)
    b = Neighbour(settings=dict(
        common, virtual_mailbox_domains="neighbour.test",
        myhostname="mail.neighbour.test", smtp_tcp_port=str(a.smtp_port)),
        services=SERVICES)
    with open(f"{a.etc}/main.cf", "a", encoding="ascii") as f:
        f.write(f"smtp_tcp_port = {b.smtp_port}\n")
    return a, b


def wait_mail(m, user, n=1, timeout=30):
    end = time.monotonic() + timeout
    while len(m.maildir(user)) < n:
        if time.monotonic() > end:
            raise TimeoutError(f"{user}: {len(m.maildir(user))} of {n}\n"
                               + m.log()[-3000:])
        time.sleep(0.05)
    return m.maildir(user)


def test_there_and_back(a, b):
    a.send("bob@neighbour.test", "Subject: one\r\n\r\nhello\r\n",
           sender="alice@example.test")
    got = wait_mail(b, "bob")[0]
    assert b"\nhello\n" in got and b"Subject: one" in got
    assert got.count(b"Received:") == 2
    assert b"Return-Path: <alice@example.test>" in got
    b.send("alice@example.test", "Subject: two\r\n\r\nhello you\r\n",
           sender="bob@neighbour.test")
    assert b"hello you" in wait_mail(a, "alice")[0]


def test_returned(a, b):
    a.send("nobody@neighbour.test", "Subject: lost\r\n\r\nx\r\n",
           sender="carol@example.test")
    got = wait_mail(a, "carol")[0]
    assert b"Final-Recipient: rfc822; nobody@neighbour.test" in got
    assert b"Status: 5.1.1" in got
    assert b"Remote-MTA: dns; mail.neighbour.test" in got
    assert b"<nobody@neighbour.test>: host mail.neighbour.test[127.0.0.1] " \
        b"said:" in b" ".join(got.split()), got


def test_success_notice(a, b):
    with a.smtp() as s:
        s.ehlo()
        s.mail("bob@example.test", ["RET=HDRS"])
        s.rcpt("carol@neighbour.test", ["NOTIFY=SUCCESS"])
        s.data("Subject: ok\r\n\r\nx\r\n")
    wait_mail(b, "carol")
    # The other side delivers, so it says so; nobody says it twice.
    got = wait_mail(a, "bob")
    assert len(got) == 1 and b"Action: delivered" in got[0], got
    a.wait_idle()
    b.wait_idle()
    assert len(a.maildir("bob")) == 1


def test_away(a, b):
    b.stop()
    a.send("bob@neighbour.test", "Subject: wait\r\n\r\nwait\r\n",
           sender="alice@example.test")
    end = time.monotonic() + 20
    while "status=deferred" not in a.log():
        assert time.monotonic() < end
        time.sleep(0.05)
    b.start()
    a.command("postqueue", "-f")
    assert any(b"Subject: wait" in x for x in wait_mail(b, "bob", 2))


def test_many(a, b):
    with a.smtp() as s:
        for i in range(200):
            s.sendmail("alice@example.test", ["bob@neighbour.test"],
                       f"Subject: n{i}\r\n\r\nx\r\n")
    got = wait_mail(b, "bob", 202, 60)
    subjects = [x.partition(b"Subject: n")[2].split()[0] for x in got
                if b"Subject: n" in x]
    assert sorted(map(int, subjects)) == list(range(200))


def main():
    need_root()
    n = 0
    with DNS(ZONES) as dns:
        a, b = systems(dns)
        with a, b:
            for name, test in list(globals().items()):
                if name.startswith("test_"):
                    test(a, b)
                    n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
