#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtpd: AUTH (RFC 4954), whose sender address it is, what the log says."""
import base64
import os
import smtplib
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import Instance, accounts, free_port, need_root  # noqa: E402


def b64(s):
    return base64.b64encode(s if isinstance(s, bytes) else s.encode()).decode()


class Smtp:
    def __init__(self, port, ehlo=True):
        self.s = socket.create_connection(("127.0.0.1", port), 30)
        self.f = self.s.makefile("rb")
        assert self.reply()[0] == 220
        if ehlo:
            self.cmd("EHLO c.example.org")

    def reply(self):
        lines = []
        while True:
            line = self.f.readline().decode().rstrip("\r\n")
            assert line, "closed"
            lines.append(line[4:])
            if line[3] == " ":
                return int(line[:3]), "\n".join(lines)

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def cmd(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def code(self, line):
        code, text = self.cmd(line)
        return f"{code} {text.split(' ')[0]}"


GOOD = b64("\0alice@example.test\0wonderland")
BAD = b64("\0alice@example.test\0wrong")


def offers(m, open_port, strict_port):
    _, text = Smtp(m.smtp_port, False).cmd("EHLO x")
    assert "AUTH" not in text
    c = Smtp(m.smtp_port)
    assert c.cmd("AUTH PLAIN " + GOOD) == (
        503, "5.5.1 Error: authentication not enabled")
    _, text = Smtp(open_port, False).cmd("EHLO x")
    assert "PLAIN" in text and "AUTH " in text and "PLUS" not in text, text
    assert "OAUTHBEARER" not in text and "EXTERNAL" not in text
    _, text = Smtp(strict_port, False).cmd("EHLO x")
    assert "AUTH" not in text
    c = Smtp(strict_port)
    assert c.code("AUTH PLAIN " + GOOD) == "538 5.7.11"


def replies(port):
    c = Smtp(port, False)
    assert c.code("AUTH PLAIN " + GOOD) == "503 5.5.1"
    c.cmd("HELO x")
    assert c.code("AUTH PLAIN " + GOOD) == "503 5.5.1"
    c.cmd("EHLO x")
    assert c.code("AUTH") == "501 5.5.4"
    assert c.code("AUTH PLAIN a b") == "501 5.5.4"
    assert c.code("AUTH NOPE") == "504 5.5.4"
    assert c.code("AUTH PLAIN !!!!") == "501 5.5.2"
    assert c.code("AUTH PLAIN abc") == "501 5.5.2"
    assert c.code("AUTH PLAIN =") == "501 5.5.2"
    assert c.code("AUTH PLAIN " + BAD) == "535 5.7.8"
    assert c.cmd("AUTH PLAIN") == (334, "")
    assert c.code("*") == "501 5.7.0"
    assert c.cmd("auth plain")[0] == 334
    assert c.code("not base64") == "501 5.5.2"
    assert c.cmd("AUTH LOGIN") == (334, b64("Username:"))
    assert c.cmd(b64("alice@example.test")) == (334, b64("Password:"))
    assert c.code(b64("x")) == "535 5.7.8"
    assert c.code("MAIL FROM:<a@example.org>") == "250 2.1.0"
    assert c.code("AUTH PLAIN " + GOOD) == "503 5.5.1"
    c.cmd("RSET")
    assert c.cmd("AUTH LOGIN " + b64("alice@example.test"))[0] == 334
    assert c.code(b64("wonderland")) == "235 2.7.0"
    assert c.code("AUTH PLAIN " + GOOD) == "503 5.5.1"


def lines(port):
    # The longest line of an exchange, and one past it.
    c = Smtp(port)
    c.cmd("AUTH PLAIN")
    assert c.code("A" * 12284) == "501 5.5.2"
    c.cmd("AUTH PLAIN")
    assert c.code("A" * 12288) == "500 5.5.6"
    c.cmd("AUTH PLAIN")
    assert c.code("A" * 40000) == "500 5.5.6"
    assert c.code("AUTH PLAIN " + b64("\0a\0" + "b" * 3000)) == "501 5.5.2"
    assert c.code("NOOP") == "250 2.0.0"
    assert c.code("AUTH PLAIN " + GOOD) == "235 2.7.0"
    # Sent ahead of the challenge, and cut off in the middle.
    c = Smtp(port)
    c.send(f"AUTH PLAIN\r\n{GOOD}\r\n")
    assert c.reply()[0] == 554
    c = Smtp(port)
    c.send("AUTH LOGIN\r\n")
    c.reply()
    c.s.close()
    c = Smtp(port)
    c.send(b"AUTH PLAIN " + GOOD.encode())
    c.s.close()
    c = Smtp(port)
    c.cmd("AUTH PLAIN")
    assert c.code("\0\0\0\0") == "501 5.5.2"


def senders(m, port):
    c = Smtp(port)
    assert c.code("MAIL FROM:<alice@example.test>") == "250 2.1.0"
    assert c.cmd("RCPT TO:<bob@example.test>") == (
        553, "5.7.1 <alice@example.test>: Sender address rejected: "
        "not logged in")
    c.cmd("RSET")
    assert c.code("AUTH PLAIN " + GOOD) == "235 2.7.0"
    for sender, want in (("alice@example.test", 250),
                         ("Alice+tag@example.test", 250),
                         ("sales@example.test", 250), ("", 250),
                         ("bob@example.test", 553),
                         ("x@other.test", 553)):
        c.cmd(f"MAIL FROM:<{sender}>")
        code, text = c.cmd("RCPT TO:<bob@example.test>")
        assert code == want, (sender, code, text)
        if code == 553:
            assert "not owned by user alice@example.test" in text
        c.cmd("RSET")
    # Relayed only for who is logged in.
    assert c.code("MAIL FROM:<alice@example.test>") == "250 2.1.0"
    assert c.code("RCPT TO:<x@elsewhere.test>") == "250 2.1.5"
    c.cmd("RSET")


def auth_parameter(m, port):
    """AUTH= of MAIL (RFC 4954 5): kept, and believed by nobody."""
    for sender, shown in (("e+3Dmc2@example.com", "e+3Dmc2@example.com"),
                          ("<>", ""), ("a+b@c", "a+b@c"),
                          ("x" * 1500, "x" * 1024), ("\x7f\xe9", "???")):
        c = Smtp(port)
        c.code("AUTH PLAIN " + GOOD)
        assert c.code("MAIL FROM:<alice@example.test> AUTH=" +
                      sender) == "250 2.1.0", sender
        assert c.code("RCPT TO:<x@elsewhere.test>") == "250 2.1.5"
        c.cmd("DATA")
        code, text = c.cmd("Subject: x\r\n\r\n.")
        assert code == 250
        queue_id = text.rsplit(" ", 1)[1]
        m.wait_log(f"{queue_id}: client=localhost[127.0.0.1], sasl_method="
                   "PLAIN, sasl_username=alice@example.test" +
                   (f", sasl_sender={shown}" if shown else "") + " trace=")
    # Where no AUTH is offered it is read, as Postfix does, and dropped.
    c = Smtp(m.smtp_port)
    assert c.code("MAIL FROM:<a@example.org> AUTH=eve") == "250 2.1.0"
    assert c.code("RCPT TO:<x@elsewhere.test>") == "250 2.1.5"
    c.cmd("DATA")
    queue_id = c.cmd("Subject: x\r\n\r\n.")[1].rsplit(" ", 1)[1]
    m.wait_log(f"{queue_id}: client=localhost[127.0.0.1] trace=")
    c = Smtp(port)
    assert c.code("MAIL FROM:<a@example.org> AUTH=") == "501 5.5.4"
    assert c.code("MAIL FROM:<a@b> AUTH=<> AUTH=<>") == "501 5.5.4"
    assert c.code("MAIL FROM:<a@example.org> AUTH=eve") == "250 2.1.0"


def local_domain(port):
    c = Smtp(port)
    assert c.code("AUTH PLAIN " + b64("\0alice\0wonderland")) == "235 2.7.0"
    # check_sasl_access, with the name that authd made of it.
    c.cmd("MAIL FROM:<alice@example.test>")
    assert c.cmd("RCPT TO:<bob@example.test>") == (
        554, "5.7.1 <alice@example.test>: SASL login name rejected: "
        "Access denied")
    c = Smtp(port)
    assert c.code("AUTH PLAIN " + b64("\0bob\0builder")) == "235 2.7.0"
    c.cmd("MAIL FROM:<bob@example.test>")
    assert c.code("RCPT TO:<bob@example.test>") == "250 2.1.5"
    # Who has a domain has no other.
    c = Smtp(port)
    assert c.code("AUTH PLAIN " + b64("\0alice@other.test\0wonderland")) == (
        "535 5.7.8")
    # To act for somebody.
    assert c.code("AUTH PLAIN " + b64("bob\0bob\0builder")) == "235 2.7.0"


def delivered(m, port):
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.ehlo()
        s.login("alice@example.test", "wonderland")
        s.sendmail("alice@example.test", ["bob@example.test"],
                   "Subject: no date\n\nhi\n")
    m.wait_idle()
    text = m.maildir("bob")[-1].decode()
    assert " with ESMTPA id " in text, text
    assert "(Authenticated sender: alice@example.test)" in text
    for name in ("Date: ", "Message-Id: ", "From: "):
        assert name in text, (name, text)
    log = m.log()
    assert ", sasl_username=alice@example.test trace=" in log
    assert "sasl_method=" in log
    assert "SASL PLAIN authentication failed: " in log
    assert "wonderland" not in log and GOOD not in log


need_root()
PORT, STRICT, LOCAL = free_port(), free_port(), free_port()
AUTH = "-o smtpd_sasl_auth_enable=yes -o authd_failure_delay=0s"
inst = Instance(
    settings={
        "authd_failure_delay": "0s", "smtpd_hard_error_limit": "1000",
        "smtpd_error_sleep_time": "0s",
        "authd_ban_exceptions": "127.0.0.0/8",
        "smtpd_sasl_authenticated_header": "yes",
        "default_transport": "discard",
    },
    services=f"127.0.0.1:{PORT} inet n - - - - smtpd\n"
             f"  {AUTH} -o smtpd_tls_auth_only=no\n"
             "  -o smtpd_relay_restrictions=permit_sasl_authenticated,"
             "reject_unauth_destination\n"
             "  -o smtpd_sender_restrictions=reject_sender_login_mismatch\n"
             "  -o { smtpd_sender_login_maps = "
             "inline:{ sales@example.test=alice@example.test } "
             "pcre:{{/^([^+]+)([+].*)?@example.test$$/ $$1@example.test}} }\n"
             f"127.0.0.1:{STRICT} inet n - - - - smtpd\n  {AUTH}\n"
             f"127.0.0.1:{LOCAL} inet n - - - - smtpd\n  {AUTH}\n"
             "  -o smtpd_tls_auth_only=no\n"
             "  -o smtpd_sasl_local_domain=example.test\n"
             "  -o { smtpd_recipient_restrictions = check_sasl_access "
             "inline:{alice@example.test=REJECT} }\n")
accounts(inst, alice="wonderland", bob="builder")
with inst:
    offers(inst, PORT, STRICT)
    replies(PORT)
    lines(PORT)
    senders(inst, PORT)
    auth_parameter(inst, PORT)
    local_domain(LOCAL)
    delivered(inst, PORT)
print("7 passed, 0 failed, 0 skipped")
