#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""verify: reject_unverified_recipient and _sender, the cache and its file,
probes that become no mail; replies as Postfix gives them."""
import os
import re
import smtplib
import socket
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../smtp"))
sys.path.insert(0, os.path.join(HERE, "../../bench"))
from peerlib import DNS, Peer, need_root, sender  # noqa: E402
import instance  # noqa: E402
import postfix  # noqa: E402

VERIFY = "verify unix - - - - 1 verify\n"
ZONES = {}
SETTINGS = {
    "relay_domains": "relay.test",
    "smtpd_recipient_restrictions": "reject_unverified_recipient",
    "address_verify_poll_count": "3",
    "address_verify_poll_delay": "2s",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
    "smtpd_delay_reject": "yes",
}


def answers(port, rcpts, mail="s@elsewhere.test"):
    out = []
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as s:
        s.helo("client.test")
        for r in rcpts:
            s.mail(mail)
            code, text = s.rcpt(r)
            out.append(f"{code} {text.decode()}")
            s.rset()
    return out


def rcpt(session, arg):
    """What the relay says, by the recipient."""
    for word, answer in (("good", "250 2.1.5 Ok"),
                         ("bad", "550 5.1.1 no such user"),
                         ("full", "452 4.2.2 mailbox full"),
                         ("plain", "553 no code"),
                         ("multi", "550-5.7.1 one\n550 5.7.1 two")):
        if word in arg:
            return answer
    return "250 2.1.5 Ok"


RCPTS = [f"{x}@relay.test" for x in ("good", "bad", "full", "plain", "multi")]


def settings(p, extra=None):
    return {**SETTINGS, "transport_maps":
            f"inline:{{{{relay.test=smtp:[127.0.0.1]:{p.port}}}}}",
            **(extra or {})}


def test_replies(m, p):
    got = answers(m.smtp_port, RCPTS)
    assert got[0] == "250 2.1.5 Ok", got
    assert got[1].startswith(
        "450 4.1.1 <bad@relay.test>: Recipient address rejected: un"), got
    assert "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user" in got[1]
    assert not p.messages
    # Known by now: no more questions.
    n = len(p.commands)
    assert answers(m.smtp_port, RCPTS) == got
    assert len(p.commands) == n, p.commands[n:]
    assert "status=deliverable (250 2.1.5 Ok)" in m.log()
    assert "status=undeliverable (host 127.0.0.1" in m.log()
    assert not any(c.startswith("DATA") for c in p.commands)
    m.wait_idle()
    return got


def test_persistent(m, p):
    """What is known outlives the process."""
    m.stop()
    path = f"{m.base}/lib/verify_cache"
    got = m.command("postmap", "-s", f"btree:{path}").stdout
    assert re.search(r"^good@relay\.test\s+0:0:\d+:250 2\.1\.5 Ok$", got,
                     re.M), got
    assert re.search(r"^bad@relay\.test\s+2:0:\d+:host ", got, re.M), got
    m.start()
    n = len(p.commands)
    assert answers(m.smtp_port, ["good@relay.test"])[0] == "250 2.1.5 Ok"
    assert len(p.commands) == n


def test_slow(m, p):
    """A probe that takes longer than a client waits."""
    gate = threading.Event()

    def late(_s, arg):
        if "slow" in arg:
            gate.wait(60)
        return "250 2.1.5 Ok"
    p.on["RCPT"] = late
    got = answers(m.smtp_port, ["slow@relay.test"])[0]
    assert got == ("450 4.1.1 <slow@relay.test>: Recipient address rejected: "
                   "unverified address: Address verification in progress"), got
    gate.set()
    end = time.monotonic() + 30
    while answers(m.smtp_port, ["slow@relay.test"])[0] != "250 2.1.5 Ok":
        assert time.monotonic() < end
        time.sleep(0.2)
    p.on["RCPT"] = rcpt


def test_own_users(m, _p):
    """Local classes: what the agents would do, and nothing is delivered."""
    got = answers(m.smtp_port, ["alice@example.test", "postmaster@localhost",
                                "two@alias.test", "none@alias.test"])
    assert got[0] == "250 2.1.5 Ok", got
    assert got[1] == "250 2.1.5 Ok", got
    assert got[2] == "250 2.1.5 Ok", got
    assert got[3].startswith("450 4.1.1 <none@alias.test>: "), got
    m.wait_idle()
    assert not m.maildir("alice")


def senders(dns):
    with Peer() as p, sender(dns, 1, settings(p, {
            "smtpd_recipient_restrictions": "permit_mynetworks",
            "smtpd_sender_restrictions": "reject_unverified_sender",
            "unverified_sender_reject_code": "550",
            "unverified_sender_reject_reason": "we cannot answer you",
            "address_verify_sender": "<>"}), VERIFY) as m:
        p.on["RCPT"] = rcpt
        got = answers(m.smtp_port, ["good@relay.test"], "bad@relay.test")[0]
        assert got == ("550 5.1.7 <bad@relay.test>: Sender address rejected: "
                       "undeliverable address: we cannot answer you"), got
        got = answers(m.smtp_port, ["good@relay.test"], "ok@relay.test")[0]
        assert got == "250 2.1.5 Ok", got
        assert answers(m.smtp_port, ["good@relay.test"], "")[0][:3] == "250"
        assert any(c.startswith("MAIL FROM:<>") for c in p.commands)


def elsewhere(dns):
    """Probes have ways of their own; mail does not take them."""
    with Peer() as mail, Peer() as p, Peer() as q, sender(
            dns, 1, {**SETTINGS, "relay_domains": "relay.test other.test",
                     "relayhost": f"[127.0.0.1]:{mail.port}",
                     "address_verify_relayhost": f"[127.0.0.1]:{p.port}",
                     "address_verify_transport_maps": "inline:{{other.test="
                     f"smtp:[127.0.0.1]:{q.port}}}}}",
                     "address_verify_local_transport": "error:no probes"},
            VERIFY) as m:
        p.on["RCPT"] = q.on["RCPT"] = rcpt
        for who in (p, q):
            domain = "relay.test" if who is p else "other.test"
            got = answers(m.smtp_port, [f"good@{domain}", f"bad@{domain}"])
            assert got[0] == "250 2.1.5 Ok", got
            assert got[1].startswith(f"450 4.1.1 <bad@{domain}>: "), got
            assert any(domain in c for c in who.commands), who.commands
        assert not mail.commands, mail.commands
        m.send("good@relay.test", "Subject: x\r\n\r\nx\r\n")
        mail.wait()
        assert not p.messages and not q.messages
        got = answers(m.smtp_port, ["root@localhost"])[0]
        assert "no probes" in got, got


def away(dns):
    """No verify: a temporary answer."""
    with Peer() as p, sender(dns, 1, settings(p)) as m:
        got = answers(m.smtp_port, ["good@relay.test"])[0]
        assert got == ("450 4.1.1 <good@relay.test>: Recipient address "
                       "rejected: address verification problem"), got


def by_postfix(tmp, p):
    port = instance.free_port()
    x = postfix.Postfix(f"{tmp}/postfix", port, 1)
    with open(f"{tmp}/postfix/etc/main.cf", "a", encoding="ascii") as f:
        f.writelines(f"{k} = {v}\n" for k, v in settings(p).items())
    x.start()
    try:
        return answers(port, RCPTS)
    finally:
        x.stop()


def main():
    need_root()
    socket.setdefaulttimeout(60)
    with DNS(ZONES) as dns, Peer() as p, tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        p.on["RCPT"] = rcpt
        extra = {"alias_maps": "inline:{{postmaster=alice@example.test}}",
                 "virtual_alias_domains": "alias.test",
                 "virtual_alias_maps": "inline:{{{{two@alias.test="
                 "good@relay.test bad@relay.test}}, "
                 "none@alias.test=bad@relay.test}}"}
        with sender(dns, 1, settings(p, extra), VERIFY) as m:
            ours = test_replies(m, p)
            test_persistent(m, p)
            test_slow(m, p)
            test_own_users(m, p)
        senders(dns)
        elsewhere(dns)
        away(dns)
        if not postfix.available():
            print("skip: no Postfix to compare with")
            return
        theirs = by_postfix(tmp, p)
        for a, b in zip(ours, theirs):
            assert a == b, (a, b)


main()
