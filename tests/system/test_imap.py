#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""IMAP through the whole suite: login, delivery, IDLE, sleep, imaplib."""
import base64
import imaplib
import os
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/imapd"))
from imaptalk import Client, Closed  # noqa: E402
from mailusers import TIMEOUT, Users  # noqa: E402

passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def client(user=None):
    c = Client(m.imap_port, greeting=None, timeout=TIMEOUT)
    c.hello = c.line()
    if user:
        words = {"alice": "wonderland", "bob": "builder"}
        c.ok(f"LOGIN {user}@example.test {words[user]}")
    return c


def before_the_login():
    c = client()
    assert c.hello.startswith(b"* OK [CAPABILITY IMAP4rev1 "), c.hello
    assert b" AUTH=PLAIN" in c.hello
    assert c.status("NOOP")[0] == "OK"
    assert c.cmd("CAPABILITY")[0].startswith(b"* CAPABILITY IMAP4rev1 ")
    for command in ("SELECT INBOX", "LIST \"\" *", "APPEND INBOX {3+}\r\nabc",
                    "FOO", "LOGIN a", "NOOP x", "ID", 'ID (name "x")',
                    'ID ("name")', "ID x", "COMPRESS DEFLATE",
                    "UNAUTHENTICATE", "ENABLE CONDSTORE", "NAMESPACE"):
        assert c.status(command)[0] == "BAD", command
        c.close()
        c = client()
    for good in ("NIL", "()", '("name" "x" "os" NIL)',
                 "({4+}\r\nname {1+}\r\nx)"):
        assert c.ok("ID " + good)[0] == b'* ID ("name" "Mansio")', good
    assert c.status("LOGIN alice@example.test wrong") == \
        ("NO", "AUTHENTICATIONFAILED")
    assert c.status("AUTHENTICATE FOO")[0] == "NO"
    tag = c.start("AUTHENTICATE PLAIN")
    assert c.until("+")[-1].startswith(b"+ "), "challenge"
    c.send("*\r\n")
    assert c.until(tag)[-1].split(b" ")[1] == b"BAD"
    lines = c.cmd("LOGOUT")
    assert lines[0].startswith(b"* BYE") and b" OK " in lines[1]
    c.close()


def ways_to_log_in():
    plain = base64.b64encode(b"\0alice@example.test\0wonderland").decode()
    for commands in (
            "LOGIN alice@example.test wonderland",
            'login "alice@example.test" "wonderland"',
            "LOGIN {18+}\r\nalice@example.test {10+}\r\nwonderland",
            "AUTHENTICATE PLAIN " + plain):
        c = client()
        last = c.cmd(commands)[-1]
        assert b" OK [CAPABILITY IMAP4rev1 " in last, last
        assert c.status("LOGIN a b")[0] == "BAD"
        c.ok("SELECT INBOX")
        c.close()
    c = client()
    tag = c.start("LOGIN {18}")
    assert c.until("+")
    c.send("alice@example.test {10}\r\n")
    assert c.until("+")
    c.send("wonderland\r\n")
    assert b" OK " in c.until(tag)[-1]
    c.close()
    # What is pipelined behind the login is answered.
    c = client()
    tags = [c.start("LOGIN alice@example.test wonderland"),
            c.start("SELECT INBOX"), c.start("LOGOUT")]
    for t in tags:
        assert b" OK " in c.until(t)[-1]
    c.close()


def somebody_else():
    """RFC 5530: AUTHORIZATIONFAILED is for who may not act for another."""
    for who, code in (("bob@example.test", "AUTHORIZATIONFAILED"),
                      ("nobody@example.test", "AUTHORIZATIONFAILED")):
        c = client()
        text = f"{who}\0alice@example.test\0wonderland".encode()
        assert c.status("AUTHENTICATE PLAIN " +
                        base64.b64encode(text).decode()) == ("NO", code), who
        c.close()


def no_privacy():
    """RFC 9051 6.2.3, RFC 5530: no password in the clear; TLS helps."""
    c = client()
    for line in (c.hello, c.cmd("CAPABILITY")[0]):
        words = line.replace(b"]", b" ").split()
        assert b"LOGINDISABLED" in words and b"STARTTLS" in words, line
        assert not {b"AUTH=PLAIN", b"AUTH=LOGIN"} & set(words), line
    plain = base64.b64encode(b"\0alice@example.test\0wonderland").decode()
    for command in ("LOGIN alice@example.test wonderland",
                    "LOGIN alice@example.test {10+}\r\nwonderland",
                    "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN " + plain,
                    "AUTHENTICATE LOGIN"):
        assert c.status(command) == ("NO", "PRIVACYREQUIRED"), command
        assert c.status("SELECT INBOX")[0] == "BAD"
        c.close()
        c = client()
    c.ok("STARTTLS")
    c.file.close()
    c.sock = ssl.create_default_context(cafile=m.ca).wrap_socket(
        c.sock, server_hostname="localhost")
    c.file = c.sock.makefile("rb")
    words = c.ok("CAPABILITY")[0].split()
    assert b"LOGINDISABLED" not in words and b"STARTTLS" not in words
    assert b"AUTH=PLAIN" in words, words
    assert c.status("STARTTLS")[0] == "BAD"
    c.ok("LOGIN alice@example.test wonderland")
    assert not {b"LOGINDISABLED", b"STARTTLS"} & \
        set(c.ok("CAPABILITY")[0].split())
    c.close()


def limits_before_the_login():
    for text in (b"a " + b"x" * 100000 + b"\r\n",
                 b"a LOGIN {1000000}\r\n", b"a LOGIN {1000000+}\r\n"):
        c = client()
        try:
            c.send(text)
            assert c.line().startswith(b"* BYE [TOOBIG]")
        except ConnectionError:
            pass
        c.close()


def pipelines_before_the_login():
    """Thousands of commands are answered in order; wrong ones have a limit."""
    c = client()
    c.send(b"".join(b"p%d NOOP\r\n" % i for i in range(5000)))
    for i in range(5000):
        assert c.line().startswith(b"p%d OK" % i)
    c.close()
    c = client()
    try:
        c.send(b"".join(b"q%d FOO {4+}\r\nabcd\r\n" % i for i in range(500)))
        while not c.line().startswith(b"* BYE"):
            pass
    except (ConnectionError, Closed):
        pass
    c.close()
    # One that never ends its literal, or its line, costs no more than that.
    waiting = [client() for _ in range(20)]
    for i, w in enumerate(waiting):
        w.send(b"a LOGIN {100+}\r\nx" if i % 2 else b"a NOOP" + b" " * 500)
    c = client("alice")
    c.ok("SELECT INBOX")
    for w in waiting + [c]:
        w.close()


def new_mail_is_pushed():
    c = client("bob")
    c.ok("SELECT INBOX")
    tag = c.start("IDLE")
    c.until("+")
    m.send("bob", "Subject: pushed\n\nhi\n")
    assert c.line().endswith(b" EXISTS")
    assert c.line().endswith(b" RECENT")
    c.send("DONE\r\n")
    assert b" OK " in c.until(tag)[-1]
    text = b"\n".join(c.cmd("FETCH 1 (ENVELOPE BODY[TEXT])"))
    assert b'"pushed"' in text and b"hi\r\n" in text, text
    c.close()


def sleeping_sessions_wake():
    n = len(m.session_pids())
    c = client("bob")
    c.ok("SELECT INBOX")
    tag = c.start("IDLE")
    c.until("+")
    d = client("bob")
    d.ok("SELECT INBOX")
    until = time.monotonic() + TIMEOUT
    while m.session_pids():
        assert time.monotonic() < until, m.session_pids()
        time.sleep(0.1)
    m.send("bob", "Subject: while asleep\n\nhi\n")
    got = c.line()
    assert got == b"* 2 EXISTS", got
    c.send("DONE\r\n")
    assert b" OK " in c.until(tag)[-1]
    # The other slept, too, without IDLE: it hears at its next command.
    assert b"* 2 EXISTS" in d.ok("NOOP")
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    d.ok("EXPUNGE")
    assert b"* 1 EXPUNGE" in c.ok("NOOP")
    c.close()
    d.close()
    assert n >= 0


def asleep():
    until = time.monotonic() + TIMEOUT
    while m.session_pids():
        assert time.monotonic() < until, m.session_pids()
        time.sleep(0.1)


def expunged_around_what_was_gone():
    """An expunge may name more than there was: who slept counts right."""
    c = client("bob")
    c.ok("CREATE Gaps")
    for _ in range(3):
        c.ok("APPEND Gaps" + " {4+}\r\nA: b" * 700)
    c.ok("SELECT Gaps")
    c.ok("STORE 5,7,100:150 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.close()
    c = client("bob")
    c.ok("SELECT Gaps")
    asleep()
    d = client("bob")
    d.ok("SELECT Gaps")
    d.ok("UID STORE 1:400 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    lines = c.ok("NOOP")
    assert sum(l.endswith(b" EXPUNGE") for l in lines) == 347, lines[-3:]
    assert c.ok("UID FETCH 1:* UID")[0] == b"* 1 FETCH (UID 401)"
    c.ok("UNSELECT")
    c.ok("DELETE Gaps")
    c.close()
    d.close()


def imaplib_works():
    c = imaplib.IMAP4("127.0.0.1", m.imap_port)
    assert c.login("alice@example.test", "wonderland")[0] == "OK"
    assert c.create("Work")[0] == "OK"
    for i in range(5):
        assert c.append("Work", "\\Seen" if i % 2 else None, None,
                        b"Subject: %d\r\n\r\nbody %d\r\n" % (i, i))[0] == "OK"
    assert c.select("Work") == ("OK", [b"5"])
    assert c.search(None, "UNSEEN") == ("OK", [b"1 3 5"])
    assert c.search(None, "SUBJECT", '"3"') == ("OK", [b"4"])
    assert c.sort("(REVERSE SUBJECT)", "UTF-8", "ALL") == \
        ("OK", [b"5 4 3 2 1"])
    assert c.thread("REFERENCES", "UTF-8", "ALL")[0] == "OK"
    ok, data = c.fetch("2", "(RFC822)")
    assert ok == "OK" and data[0][1] == b"Subject: 1\r\n\r\nbody 1\r\n"
    assert c.store("1:2", "+FLAGS", "\\Deleted")[0] == "OK"
    assert c.expunge() == ("OK", [b"1", b"1"])
    assert c.uid("COPY", "3:5", "Sent")[0] == "OK"
    assert c.status("Sent", "(MESSAGES)") == ("OK", [b"Sent (MESSAGES 3)"])
    assert c.close()[0] == "OK"
    assert c.delete("Work")[0] == "OK"
    assert c.logout()[0] == "BYE"


with Users(settings={"imapd_hibernate_time": "1s"}) as m:
    for fn in (before_the_login, ways_to_log_in, somebody_else,
               limits_before_the_login,
               pipelines_before_the_login,
               new_mail_is_pushed, sleeping_sessions_wake,
               expunged_around_what_was_gone, imaplib_works):
        case(fn)
with Users(settings={"mua_cleartext_networks": ""}, tls=True) as m:
    case(no_privacy)
print(f"{passed} passed, 0 failed, 0 skipped")
