#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""The same words get the same answers from us and from Postfix's smtpd.

Dialogues are held with both; reply code and enhanced code of every answer must
be equal, but for DIFFERENT, which says why we answer as we do.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dialogues import EHLO, MAIL, RCPT, beside_postfix, text  # noqa: E402

# What was said: our answer, Postfix's, why.
DIFFERENT = {
    "HELP": ("214 2.0.0", "500 5.5.2", "RFC 5321 4.5.1: should be there"),
    "EXPN x": ("502 5.5.1", "500 5.5.2", "RFC 5321 4.2.4: 502"),
    "MAIL FROM:a@b.example>": ("501 5.1.7", "250 2.1.0", "no address"),
    "MAIL FROM:<a@b> BODY=BINARYMIME": ("250 2.1.0", "555 5.5.4", "RFC 3030"),
    "MAIL FROM:<a@b> SIZE=10 SIZE=20":
        ("501 5.5.4", "250 2.1.0", "RFC 5321 4.1.2: a parameter once"),
    "MAIL FROM:<\xe9@b.example>":
        ("553 5.6.7", "250 2.1.0", "RFC 6531 3.5: SMTPUTF8 was not said"),
    "RCPT TO:<\xe9@example.test>":
        ("553 5.6.7", "550 5.1.1", "RFC 6531 3.5"),
    "RCPT TO:<u0@ex\xe4mple.test>":
        ("553 5.6.7", "501 5.1.3", "RFC 6531 3.5"),
    "MAIL FROM:<" + "a" * 300 + "@b.example>":
        ("501 5.1.7", "250 2.1.0", "RFC 5321 4.5.3.1.3: a path of 256"),
    "MAIL FROM:<@b>": ("501 5.1.7", "250 2.1.0", "no local part"),
    "RCPT TO:<u0 @example.test>": ("501 5.1.3", "250 2.1.5", "no address"),
    "RCPT TO:<u0@ example.test>": ("501 5.1.3", "250 2.1.5", "no address"),
    "RCPT TO:<u0@@example.test>": ("501 5.1.3", "454 4.7.1", "no address"),
    "RCPT TO:<\"u0@example.test\">":
        ("501 5.1.3", "250 2.1.5", "a local part without domain"),
    "RCPT TO:<postmaster@example.test>":
        ("250 2.1.5", "550 5.1.1", "RFC 5321 4.5.1: always taken"),
    "RCPT TO:<u0@example.test> ORCPT=rfc822;":
        ("501 5.5.4", "250 2.1.5", "RFC 3461 4.2: an address is missing"),
    "hops": ("554 5.4.6", "554 5.4.0", "RFC 3463 3.5: a routing loop"),
    "NOOP " + "x" * 3000: ("500 5.5.2", "250 2.0.0", "longer than a line"),
    "BDAT 0": ("503 5.5.1", "551 5.7.1", "RFC 3030 2: out of sequence"),
    "XCLIENT ADDR=[TEMPUNAVAIL]": ("220", "501 5.5.4", "as NAME takes it"),
}

def bodies():
    """What is sent as the message; its name and bytes."""
    yield text("plain", "Subject: x\r\n\r\n..dot\r\n.\r\n")
    yield text("empty", ".\r\n")
    yield text("without header", "hello there\r\n.\r\n")
    yield text("8-bit", b"Subject: \xff\xfe\r\n\r\n\x80\r\n.\r\n")
    yield text("NUL", b"Subject: a\r\n\r\na\0b\r\n.\r\n")
    yield text("long line", "Subject: a\r\n\r\n" + "z" * 50000 + "\r\n.\r\n")
    yield text("too large", "Subject: a\r\n\r\n" +
               ("y" * 70 + "\r\n") * 1600 + ".\r\n")
    yield text("hops", "Received: x\r\n" * 60 + "Subject: a\r\n\r\nx\r\n.\r\n")


SENDERS = """\
<> a@b.example <a@b.example a@b.example> <@x,@y:a@b.example> <a@b@c>
<a..b@b.example> <.a@b.example> <a@b..example> <a@-b.example> <a@b.example.>
<a@[127.0.0.1]> <a@127.0.0.1> <a@[300.1.1.1]> <a@[IPv6:::1]> <\xe9@b.example>
<a@b>X <a%x@b> <a!b@c> <""@b> <"a\\"b"@b.example> <a\\@x@b.example> <a> <@b>
<a@>""".split() + [
    " <a@b.example>", '<"a b"@b.example>', "<a b@b.example>", "< a@b >",
    "<a@b> (comment)", "Joe <a@b>", "", "<" + "a" * 300 + "@b.example>",
    "<a@" + "b" * 300 + ".example>", "<a@" + "b." * 130 + "example>",
    "<a@b\1>"]
SENDER_OPTIONS = """\
SIZE=10 SIZE=100001 SIZE= SIZE=abc SIZE=99999999999999999999
BODY=8BITMIME BODY=7BIT BODY=FOO BODY=BINARYMIME RET=FOO ENVID=
ENVID=a+2Bb ENVID=a+zz SMTPUTF8 AUTH=<> FOO FOO=BAR""".split() + [
    "RET=FULL ENVID=abc", "RET=FULL RET=HDRS", "SIZE=10 SIZE=20"]
RECIPIENTS = """\
<u0+x@example.test> <U0@EXAMPLE.TEST> <u0@example.test.> <"u0"@example.test>
<@example.test:u0@example.test> <@a,@b:u0@example.test> <u0@[127.0.0.1]>
<u0%example.test@example.test> <x%other.example@example.test> <u0@localhost>
<other!x@example.test> <postmaster@example.test> <postmaster@other.example>
<abuse@example.test> <\xe9@example.test> <u0@ex\xe4mple.test> <u0@example.test
<u0@@example.test> <"u0@example.test"> <u0@example.test>,<u1@example.test>
<u0@example..test> <u0@example_test> <|/bin/sh@example.test> <-f@example.test>
</tmp/x@example.test> <nobody@example.test> <x@other.example> <postmaster>
<Postmaster> <u0> <>""".split() + [
    "", "<u0 @example.test>", "<u0@ example.test>", " <u0@example.test>",
    "<u0@example.test> <u1@example.test>", "u0@example.test"]
RECIPIENT_OPTIONS = """\
NOTIFY=NEVER NOTIFY=SUCCESS,FAILURE,DELAY NOTIFY=NEVER,SUCCESS NOTIFY=
NOTIFY=FOO ORCPT=rfc822;a@b ORCPT=a@b ORCPT=rfc822; ORCPT= SIZE=1 FOO=BAR
ORCPT=rfc822;a+zz""".split() + ["NOTIFY=NEVER NOTIFY=NEVER"]
OTHERS = """\
NOOP|NOOP x|HELP|RSET|RSET x|VRFY u0@example.test|VRFY|VRFY x@example.test
EXPN x|QUIT
HELO client.example|EHLO|HELO|EHLO bad_host!|EHLO [127.0.0.1]|EHLO a b|HELO a b
FOO||   |MAIL|RCPT|DATA|STARTTLS|AUTH|AUTH PLAIN|QUIT x|QUIT
MAIL FROM:<a@b>|HELO x|{M}|{M}|DATA|RSET|DATA|{R}|QUIT
{E}|mail from:<a@b>|rcpt to:<u0@example.test>|RSET|MAIL FROM <a@b>|MAIL <a@b>
{E}|MAIL FROM|MAIL TO:<a@b>|{M}|RCPT TO|RCPT FROM:<u0@example.test>|QUIT
{E}|MAIL FROM:<\xe9@b.example> SMTPUTF8|RSET|MAIL FROM:<a@\xe9.example> SMTPUTF8
{E}|XCLIENT ADDR=192.0.2.9 NAME=foo.example|{E}|{M}|RCPT TO:<x@other.example>
{E}|XCLIENT FOO=1|XCLIENT|XCLIENT ADDR=bad|XCLIENT NAME=[UNAVAILABLE]|QUIT
{E}|XCLIENT ADDR=[TEMPUNAVAIL]
{E}|XCLIENT HELO=x PROTO=ESMTP|XCLIENT LOGIN=joe|XCLIENT PORT=abc|QUIT
{E}|XCLIENT ADDR=IPV6:2001:db8::1|NOOP|QUIT
XCLIENT ADDR=192.0.2.9|{M}|QUIT
{E}|{M}|XCLIENT ADDR=192.0.2.9|RSET|XCLIENT ADDR=192.0.2.9|{M}|HELO y|{M}|QUIT
{E}|XFORWARD NAME=foo ADDR=192.0.2.1|XFORWARD FOO=1|XFORWARD|QUIT
{E}|XFORWARD SOURCE=LOCAL|XFORWARD SOURCE=FOO|XFORWARD PROTO=SMTP HELO=x IDENT=y
{E}|BDAT 0|QUIT
{E}|{M}|BDAT 0 LAST|QUIT
{E}|{M}|{R}|BDAT|BDAT abc|BDAT 0 FOO|BDAT -1|QUIT
GET / HTTP/1.0|QUIT
CONNECT x|QUIT
Subject: hi|QUIT
{E}|HELO again|{M}|{E}|{R}|QUIT"""


def dialogues():
    for s in SENDERS:
        yield [EHLO, f"MAIL FROM:{s}", "RSET", "QUIT"]
    for s in SENDER_OPTIONS:
        yield [EHLO, f"MAIL FROM:<a@b> {s}", "RSET", "QUIT"]
    for r in RECIPIENTS:
        yield [EHLO, MAIL, f"RCPT TO:{r}", "RSET", "QUIT"]
    for r in RECIPIENT_OPTIONS:
        yield [EHLO, MAIL, f"{RCPT} {r}", "RSET", "QUIT"]
    for b in bodies():
        yield [EHLO, MAIL, RCPT, "DATA", b, "NOOP", "QUIT"]
    for line in OTHERS.splitlines():
        yield [c.replace("{E}", EHLO).replace("{M}", MAIL).replace(
            "{R}", RCPT) for c in line.split("|")]
    yield [EHLO, MAIL] + [f"RCPT TO:<u0+{i}@example.test>" for i in
                          range(7)] + ["DATA", text("x", "x\r\n.\r\n")]
    yield ["EHLO " + "x" * 600, "NOOP", "NOOP " + "x" * 3000, "QUIT"]
    wrong = "RCPT TO:<nobody@example.test>"
    yield [EHLO, text("all at once", f"{MAIL}\r\n{RCPT}\r\nDATA\r\n", 3),
           text("x", "x\r\n.\r\nQUIT\r\n", 2)]
    yield [EHLO, text("no rcpt", f"{MAIL}\r\n{wrong}\r\nDATA\r\n", 3), "QUIT"]
    yield [EHLO, text("one rcpt", f"{MAIL}\r\n{wrong}\r\n{RCPT}\r\nDATA\r\n",
                      4), text("x", "x\r\n.\r\n"), "QUIT"]
    yield [text("LF", "EHLO x\n"), text("LF", "NOOP\n"), text("LF", "QUIT\n")]
    chunk = "BDAT 12\r\nSubject: a\r\n"
    yield [EHLO, MAIL, RCPT, text("last", chunk.replace("12", "12 LAST")),
           "NOOP", "QUIT"]
    yield [EHLO, MAIL, RCPT, text("chunk", chunk), "BDAT 0 LAST", "QUIT"]
    yield [EHLO, MAIL, RCPT, text("chunk", chunk), "DATA", "RSET", "QUIT"]
    yield [EHLO, MAIL, text("early", "BDAT 5 LAST\r\nhello"), "NOOP", "QUIT"]
    yield [EHLO, MAIL, RCPT, text("too large", "BDAT 200000 LAST\r\n" +
                                  "x" * 200000), "NOOP", "QUIT"]


if __name__ == "__main__":
    sys.exit(beside_postfix(dialogues(), {
        re.escape(k): v for k, v in DIFFERENT.items()}))
