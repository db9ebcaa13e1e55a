#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 180
"""SRS: mail that is sent on leaves with a sender of ours, and what comes back
goes to the one inside."""
import os
import re
import smtplib
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import DNS, Peer, need_root, sender, wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
STRANGER = "Str.Anger@other.test"
SRS0 = re.compile(r"^MAIL FROM:<(SRS0=[a-z2-7]{6}=[a-z2-7]{2}=other\.test="
                  r"Str\.Anger@fwd\.example\.test)>")


def settings(port):
    return {
        "relayhost": f"[127.0.0.1]:{port}",
        "srs_enable": "forwards", "srs_domain": "fwd.example.test",
        "mydestination": "localhost",
        "mynetworks": "127.0.0.2",      # we are strangers
        "alias_maps": "inline:{{fwd=far@remote.test}}",
        "virtual_alias_maps": "inline:{{ {{list@example.test = "
        "far@remote.test, near@remote.test, alice@example.test}} }}",
    }


def mails(p):
    out = {}
    for m in p.messages:
        for r in m.rcpts:
            out[r.split(">")[0][len("RCPT TO:<"):]] = m.mail.split(">")[0] + ">"
    return out


def forwards(m, p):
    m.send(["list@example.test", "bob@example.test"], TEXT, STRANGER)
    m.wait_idle()
    got = mails(p)
    assert SRS0.match(got["far@remote.test"]), got
    assert got["far@remote.test"] == got["near@remote.test"]
    assert len(p.messages) == 1, "both in one transaction"
    for user in ("alice", "bob"):       # at home it keeps its sender
        assert f"Return-Path: <{STRANGER}>".encode() in m.maildir(user)[0]
    srs = SRS0.match(got["far@remote.test"]).group(1)
    p.forget()
    m.send("fwd@localhost", TEXT, STRANGER)
    m.wait_idle()
    assert SRS0.match(mails(p)["far@remote.test"]), p.commands
    # Our own, and nobody's, mail keeps its sender.
    for who in ("bob@example.test", ""):
        p.forget()
        m.send("list@example.test", TEXT, who)
        m.wait_idle()
        assert mails(p)["far@remote.test"].startswith(f"MAIL FROM:<{who}>")
    # Another forwarder's, and a third one's.
    p.forget()
    m.send("list@example.test", TEXT, "SRS0=ABCD=xy=a.test=joe@fwd1.test")
    m.wait_idle()
    one = mails(p)["far@remote.test"]
    assert re.match(r"MAIL FROM:<SRS1=[a-z2-7]{6}=fwd1\.test==ABCD=xy=a\.test"
                    r"=joe@fwd\.example\.test>", one), one
    p.forget()
    m.send("list@example.test", TEXT,
           "SRS1=WXYZ=fwd1.test==ABCD=xy=a.test=joe@fwd2.test")
    m.wait_idle()
    assert mails(p)["far@remote.test"] == one
    return srs, re.match("MAIL FROM:<(.*)>", one).group(1)


def back(m, p, zero, one):
    p.forget()
    m.send(zero, TEXT, "")
    m.wait_idle()
    assert mails(p)[STRANGER].startswith("MAIL FROM:<>"), p.commands
    line = wait_rcpt(m, STRANGER)
    assert f"orig_to=<{zero}>" in line, line
    # There are servers that change the case.
    p.forget()
    m.send(zero.upper(), TEXT, "")
    m.wait_idle()
    assert STRANGER.upper() in mails(p), p.commands
    p.forget()
    m.send(one, TEXT, "")
    m.wait_idle()
    assert "SRS0=ABCD=xy=a.test=joe@fwd1.test" in mails(p), p.commands


def refused(m, address, text):
    try:
        m.send(address, TEXT, "")
    except smtplib.SMTPRecipientsRefused as e:
        code, said = e.recipients[address]
        assert code == 550 and text in said.decode(), said
        return
    raise AssertionError(f"{address} was taken")


def forged(m, zero):
    h = zero[5:11]
    other = "a" * 6 if h != "a" * 6 else "b" * 6
    refused(m, zero.replace(h, other), "wrong hash")
    refused(m, zero.replace("other.test", "victim.test"), "wrong hash")
    refused(m, "SRS0=x@fwd.example.test", "wrong hash")
    # What is none is an address like any other.
    for local in ("SRS2=x", "SRS0=", "SRS1="):
        try:
            m.send(f"{local}@fwd.example.test", TEXT, "")
            raise AssertionError("relayed")
        except smtplib.SMTPRecipientsRefused as e:
            assert b"Relay access denied" in list(e.recipients.values())[0][1]


def bounces(m, p):
    """A bounce of our own goes to the sender, not round."""
    p.forget()
    p.on["RCPT"] = lambda s, a: ("550 5.1.1 no" if "remote.test" in a else
                                 "250 Ok")
    m.send("list@example.test", TEXT, STRANGER)
    m.wait_idle()
    assert mails(p)[STRANGER].startswith("MAIL FROM:<>"), p.commands
    p.on.clear()


def keys(m, p, zero):
    """A new key in front: the old one is good still; then no more."""
    path = f"{m.base}/lib/srs.key"
    st = os.stat(path)
    assert st.st_mode & 0o777 == 0o600 and st.st_uid == m.owner.pw_uid, st
    with open(path, encoding="ascii") as f:
        old = f.read()
    for text, good in (("# new\nsecret\n" + old, True), ("secret\n", False)):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        m.stop()
        m.start()
        p.forget()
        if good:
            m.send(zero, TEXT, "")
            m.wait_idle()
            assert STRANGER in mails(p)
        else:
            refused(m, zero, "wrong hash")


def main():
    need_root()
    with DNS({}) as dns, Peer() as p, \
            sender(dns, 1, settings(p.port)) as m:
        zero, one = forwards(m, p)
        back(m, p, zero, one)
        forged(m, zero)
        bounces(m, p)
        keys(m, p, zero)
    print("5 passed, 0 failed, 0 skipped")


main()
