#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Corners of SMTP beside Postfix's smtpd: each command in each state, chunks,
ends of a message that are none, parameters at their limits, lengths of lines,
commands that came too early, the PROXY protocol."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dialogues import EHLO, MAIL, RCPT, beside_postfix, text  # noqa: E402

# What was said, or "what before > what": our answer, Postfix's, why.
DIFFERENT = {
    "EXPN u0": ("502 5.5.1", "500 5.5.2", "RFC 5321 4.2.4: known, not there"),
    "HELP.*": ("214 2.0.0", "500 5.5.2", "RFC 5321 4.5.1: should be there"),
    # Postfix has no enhanced codes there; RFC 2034 3 wants them everywhere.
    "ETRN|ETRN a b": ("500 5.5.4", "500", "RFC 2034"),
    "ETRN [#.@\\w\\[\\]]+( and more)?": ("459 4.7.1", "459", "RFC 2034"),
    "ETRN example.tes[t]": ("503 5.5.1", "503", "RFC 2034"),
    "STARTTLS": ("503 5.5.1", "502 5.5.1", "no TLS here, and no time for it"),
    "STARTTLS x": ("503 5.5.1", "501 5.5.4", "the time is wrong, too"),
    "VRFY \u00e9.*":
        ("553 5.6.7", "550 5.1.1", "RFC 6531 3.7.4.2: SMTPUTF8 was not said"),
    "VRFY a b": ("501 5.5.4", "501 5.1.3", "it is the argument of VRFY"),
    "one > BDAT 0 LAST":
        ("503 5.5.1", "551 5.0.0", "what is missing are recipients"),
    "BDAT 0 > one":
        ("250 2.0.0", "551 5.0.0", "an empty chunk spoils nothing"),
    "NOOP > BDAT 0 LAST":
        ("503 5.5.1", "551 5.0.0", "what is missing are recipients"),
    "MAIL .* (SIZE|RET|ENVID|AUTH)":
        ("501 5.5.4", "555 5.5.4", "known, and without its value"),
    "RCPT .* (NOTIFY|ORCPT)":
        ("501 5.5.4", "555 5.5.4", "known, and without its value"),
    "MAIL .* (BODY=8BITMIME BODY=8BITMIME|SMTPUTF8 SMTPUTF8)":
        ("501 5.5.4", "250 2.1.0", "RFC 5321 4.1.2: a parameter once"),
    "MAIL .* (ENVID==|AUTH=)":
        ("501 5.5.4", "250 2.1.0", "RFC 3461 4: no xtext"),
    "RCPT .* NOTIFY=(,SUCCESS|SUCCESS,|NEVER,NEVER)":
        ("501 5.5.4", "250 2.1.5", "RFC 3461 4.1: not in the grammar"),
    "RCPT .* ORCPT=rfc822;a=b": ("501 5.5.4", "250 2.1.5", "RFC 3461 4"),
    "RCPT .* X=y{2040}": ("500 5.5.2", "555 5.5.4", "longer than a line"),
    "NUL": ("500 5.5.2", "250 2.0.0", "RFC 5321 2.3.8: no NUL"),
    "XCLIENT PORT=65536": ("501 5.5.4", "220", "no port"),
    "XCLIENT HELO=a\\+2": ("501 5.5.4", "220", "no xtext"),
    "XFORWARD HELO=\u00e9": ("501 5.5.4", "250 2.0.0", "no xtext"),
    "RCPT TO:<x@other.example>":
        ("250 2.1.5", "454 4.7.1", "XCLIENT LOGIN counts without "
         "smtpd_sasl_auth_enable, too"),
}

STATES = (
    [], ["HELO client.example"], [EHLO], [EHLO, MAIL], [EHLO, MAIL, RCPT],
    [EHLO, MAIL, RCPT, text("chunk", "BDAT 12\r\nSubject: a\r\n")],
    [EHLO, MAIL, RCPT, "DATA", text("message", "x\r\n.\r\n")],
    [EHLO, MAIL, "RCPT TO:<nobody@example.test>"],
)
COMMANDS = """\
HELO x|EHLO y|MAIL FROM:<b@client.example>|RCPT TO:<u1@example.test>|RSET|NOOP
NOOP a b c|VRFY u0@example.test|EXPN u0|HELP|HELP RCPT|ETRN example.test
STARTTLS|STARTTLS x|AUTH PLAIN|XCLIENT NAME=x.example|XFORWARD NAME=x.example
QUIT|FOO|DATA x|BDAT|LHLO x|VRFY|SEND FROM:<a@b>|TURN"""
CHUNKS = (
    "BDAT 0 LAST", "BDAT 5", "BDAT 5 LAST", "BDAT 5 last", "BDAT 5 LAST LAST",
    "BDAT 05 LAST", "BDAT +5 LAST", "BDAT 5x", "BDAT 0x5", "BDAT -5",
    "BDAT 5 FIRST", "BDAT LAST", "BDAT LAST 5", "BDAT  5  LAST",
    "BDAT 99999999999999999999999", "bdat 5 LAST",
)
ENDS = ("\n.\r\n", "\n.\n", "\r.\r", "\r\n.\n", "\r.\r\n", "\r\n.\r",
        "\n.\r", "\n\r.\r\n", "\r\n\0.\r\n", "\r\n.\0\r\n", "\r\r\n.\r\r\n",
        "\r\n.\r\r\n", "\r\n .\r\n", "\r\n.\t\r\n", "\r\n..\r\n", "\n.\n\n",
        "\r\n\x85.\r\n")
PARAMETERS = """\
SIZE=0|SIZE=-1|SIZE=+5|SIZE=0x10|SIZE=100000|SIZE=100001|SIZE=1 BODY=7BIT
SIZE=18446744073709551615|SIZE=18446744073709551616|SIZE|SIZE=1.5|size=10
BODY|BODY=|body=8bitmime|BODY=8BITMIME BODY=8BITMIME|RET=full|RET=|RET
ENVID|ENVID=+|ENVID=+2|ENVID==|ENVID=a ENVID=b|SMTPUTF8=1|SMTPUTF8 SMTPUTF8
AUTH|AUTH=|AUTH=a+40b|AUTH=a@b|AUTH=a+zz|=x|=|BODY=8BITMIME SIZE=5 RET=HDRS
REQUIRETLS|HOLDFOR=10|BY=120;R|MT-PRIORITY=3|X-FOO=bar"""
FOR_RCPT = """\
NOTIFY=never|NOTIFY=SUCCESS,SUCCESS|NOTIFY=,SUCCESS|NOTIFY=SUCCESS,|NOTIFY
NOTIFY=NEVER,NEVER|NOTIFY=DELAY|ORCPT|ORCPT=;a@b|ORCPT=rfc822|ORCPT=x;y
ORCPT=RFC822;a@b|ORCPT=rfc822;a+40b|ORCPT=rfc822;a+|ORCPT=rfc822;a=b
ORCPT=rfc822;a@b ORCPT=rfc822;c@d|ORCPT=utf-8;a@b|ORCPT=utf-8;\\x{e9}@b
ORCPT=utf-8;a@\u00e9.example|RET=FULL|ENVID=x|NOTIFY=SUCCESS ORCPT=rfc822;a@b"""
MORE = """\
{E}|ETRN|ETRN a b|ETRN @example.test|ETRN #example.test|ETRN [127.0.0.1]
{E}|ETRN bad_host|ETRN other.example|ETRN .example.test|ETRN example.test.
{E}|VRFY <u0@example.test>|VRFY u0|VRFY u0@example.test SMTPUTF8|VRFY a b
{E}|VRFY \u00e9@example.test|VRFY "u0"@example.test|VRFY nobody@other.example
EHLO \u00e9.example|{M}|QUIT
HELO \u00e9.example|{M}|QUIT
EHLO 127.0.0.1|{M}|{R}
EHLO [IPv6:::1]|{M}|{R}
EHLO [300.1.1.1]|{M}|{R}
EHLO -x-|{M}|{R}
{E}|MAIL FROM:<\u00e9@client.example> SMTPUTF8|RCPT TO:<\u00e9@example.test>
{E}|MAIL FROM:<a@b.example> SMTPUTF8|RCPT TO:<u0@\u00e9xample.test>|{R}
{E}|{M} SMTPUTF8 BODY=7BIT|{R}|DATA
{E}|{M}|{R}|{R}|{R}|{R}|{R}|{R}|{R}
{E}|{M}|RSET|{M}|RSET|RSET|{R}
EHLO|{M}|{E}|HELO x|{M}
{E}|XCLIENT NAME=a ADDR=192.0.2.1 PORT=25 PROTO=ESMTP HELO=x LOGIN=joe|{M}|{R}
{E}|XCLIENT NAME= ADDR=|XCLIENT NAME=[TEMPUNAVAIL]|XCLIENT ADDR=[UNAVAILABLE]
{E}|XCLIENT PORT=0|XCLIENT PORT=65536|XCLIENT PORT=[UNAVAILABLE]
{E}|XCLIENT REVERSE_NAME=x.example|{E}|XCLIENT REVERSE_NAME=bad..name
{E}|XCLIENT DESTADDR=127.0.0.1 DESTPORT=25|{E}|XCLIENT DESTADDR=x
{E}|XCLIENT DESTPORT=x
{E}|XCLIENT PROTO=FOO|XCLIENT PROTO=SMTP|{M}|{R}
{E}|XCLIENT HELO=a+20b|XCLIENT HELO=a+2|XCLIENT name=x.example|XCLIENT =x
{E}|XCLIENT LOGIN=[UNAVAILABLE]|{E}|{M}|RCPT TO:<x@other.example>
{E}|XCLIENT LOGIN=joe|{E}|{M}|RCPT TO:<x@other.example>
{E}|XCLIENT ADDR=IPv6:::1|{E}|XCLIENT ADDR=2001:db8::1|XCLIENT ADDR=::1
{E}|XFORWARD ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]|XFORWARD ADDR=x|XFORWARD PORT=x
{E}|XFORWARD IDENT=a+3Db|XFORWARD HELO=\u00e9|XFORWARD PROTO=FOO
MAIL FROM:<a@b.example> SIZE=10|RSET|QUIT
HELO x|MAIL FROM:<a@b.example> BODY=8BITMIME|{R}|QUIT
{M}|{R}|DATA"""


def split(lines):
    return [c for line in lines.splitlines() for c in line.split("|")]


def states():
    for s in STATES:
        for c in split(COMMANDS):
            yield s + [c, "NOOP"]


def chunks():
    begin = [EHLO, MAIL, RCPT]
    for c in CHUNKS:
        for before in (begin, [EHLO], [EHLO, MAIL]):
            # What is refused with its line only takes no bytes: NOOP is next
            # in any case.
            yield before + [text(c, c + "\r\n" + "hello" * ("5" in c)),
                            "NOOP"]
    a, b = "BDAT 7\r\nS: x\r\n\r", "BDAT 1\r\n\n"
    yield begin + [text("CR", a), text("LF", b), "BDAT 0 LAST"]
    yield begin + [text("CR", a), "BDAT 0 LAST"]
    yield begin + [text("dots", "BDAT 9 LAST\r\n\r\n.\r\n..\r\n"), "NOOP"]
    yield begin + [text("bare CR", "BDAT 5 LAST\r\na\rb\r\n"), "NOOP"]
    yield begin + [text("bare LF", "BDAT 5 LAST\r\na\nb\r\n"), "NOOP"]
    yield begin + [text("NUL", "BDAT 5 LAST\r\na\0b\r\n"), "NOOP"]
    yield begin + [text("no end", "BDAT 1 LAST\r\na"), "NOOP"]
    one = text("one", "BDAT 3\r\na\r\n")
    for c in ("RSET", "EHLO z", "HELO z", MAIL, RCPT, "DATA", "VRFY u0",
              "NOOP", "BDAT 0", "FOO", "QUIT"):
        yield begin + [one, c, one, "BDAT 0 LAST"]
    yield begin + [text("twice", "BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n", 2),
                   text("again", "BDAT 3 LAST\r\nb\r\n")]
    large = "BDAT 60000\r\n" + ("x" * 58 + "\r\n") * 1000
    yield begin + [text("60 KB", large), text("60 KB", large), "NOOP",
                   "BDAT 0 LAST", MAIL]
    yield [EHLO, text("all", f"{MAIL}\r\n{RCPT}\r\nBDAT 3 LAST\r\na\r\n"
                      "RSET\r\n", 4)]
    yield [EHLO, text("no rcpt", f"{MAIL}\r\nRCPT TO:<x@example.test>\r\n"
                      "BDAT 3 LAST\r\na\r\nNOOP\r\n", 4)]


def ends():
    for e in ENDS:
        yield [EHLO, MAIL, RCPT, "DATA",
               text(f"end {e!r}", f"S: x\r\n\r\na{e}MAIL FROM:<b@c>\r\n.\r\n"),
               "NOOP"]


def parameters():
    for p in split(PARAMETERS):
        yield [EHLO, f"{MAIL} {p}", "NOOP"]
    for p in split(FOR_RCPT):
        yield [EHLO, f"{MAIL} SMTPUTF8", f"{RCPT} {p}", "NOOP"]


def lines():
    for n in (510, 998, 1000, 1500, 2040):
        yield [EHLO, "NOOP " + "x" * n, "NOOP"]
        yield [EHLO, MAIL, f"RCPT TO:<u0@example.test> X={'y' * n}", "NOOP"]
    for name, line in (("tab", "MAIL\tFROM:<a@b.example>"),
                       ("spaces", "  NOOP"), ("spaces behind", "NOOP   "),
                       ("NUL", "NOOP\0"), ("8-bit", "NOOP \xe9"),
                       ("CR", "NO\rOP"), ("lower", "noop")):
        yield [EHLO, text(name, line + "\r\n"), "NOOP"]
    for bad in (b"HELO \xff\xfe", b"\xff\xf4\xff\xfd\x06", b"M\xc1IL",
                MAIL.encode() + b" ENVID=\xe9", b"\x80" + MAIL.encode()):
        yield [EHLO, text("no UTF-8", bad + b"\r\n"), "NOOP"]
    yield [EHLO, text("empty lines", "\r\n\r\nNOOP\r\n", 3)]
    yield [EHLO, text("LF", "NOOP\nNOOP\n", 2)]


def early():
    for c in (EHLO, "HELO x", "NOOP", "VRFY u0", "ETRN example.test", "RSET",
              MAIL, "HELP", "FOO", "QUIT"):
        yield [EHLO, text(f"{c} and more", f"{c}\r\nNOOP\r\n", 2)]
    yield [text("HELO and MAIL", f"HELO x\r\n{MAIL}\r\n", 2)]
    yield ["HELO x", text("MAIL and RCPT", f"{MAIL}\r\n{RCPT}\r\n", 2)]
    yield [EHLO, MAIL, RCPT, text("DATA and text", "DATA\r\nx\r\n.\r\n", 2)]


def plain():
    for line in MORE.splitlines():
        yield [c.replace("{E}", EHLO).replace("{M}", MAIL).replace(
            "{R}", RCPT) for c in line.split("|")]


def everything():
    for part in (states, chunks, ends, parameters, lines, early, plain):
        yield from part()


# --- PROXY ----------------------------------------------------------------------

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(cmd=1, family=0x11, body=None, size=None):
    if body is None:
        body = socket.inet_aton("192.0.2.1") + socket.inet_aton(
            "127.0.0.1") + struct.pack(">HH", 1234, 25)
    return V2 + bytes([0x20 | cmd, family]) + struct.pack(
        ">H", len(body) if size is None else size) + body


V6 = bytes(16) + bytes(15) + b"\1" + struct.pack(">HH", 1, 2)
HEADERS = {
    "v1": b"PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\n",
    "v1 IPv6": b"PROXY TCP6 2001:db8::1 ::1 1234 25\r\n",
    "v1 unknown": b"PROXY UNKNOWN\r\n",
    "v1 unknown, more": b"PROXY UNKNOWN a b c d\r\n",
    "v1 stranger": b"PROXY TCP4 198.51.100.1 127.0.0.1 1234 25\r\n",
    "v1 lower case": b"proxy tcp4 192.0.2.1 127.0.0.1 1234 25\r\n",
    "v1 LF": b"PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\n",
    "v1 no port": b"PROXY TCP4 192.0.2.1 127.0.0.1 1234\r\n",
    "v1 bad port": b"PROXY TCP4 192.0.2.1 127.0.0.1 1234 65536\r\n",
    "v1 bad address": b"PROXY TCP4 192.0.2.300 127.0.0.1 1234 25\r\n",
    "v1 wrong family": b"PROXY TCP4 ::1 127.0.0.1 1234 25\r\n",
    "v1 no family": b"PROXY\r\n",
    "no header": b"EHLO x\r\n",
    "v2": v2(), "v2 IPv6": v2(family=0x21, body=V6),
    "v2 local": v2(cmd=0), "v2 local, nothing": v2(cmd=0, body=b""),
    "v2 local, unspecified": v2(cmd=0, family=0, body=b""),
    "v2 bad command": v2(cmd=2), "v2 UDP": v2(family=0x12),
    "v2 unspecified": v2(family=0, body=b""),
    "v2 short": v2(body=b"abc"), "v2 TLV": v2(
        body=v2()[16:] + b"\1\0\2h2"),
}


def with_proxy():
    for name, header in HEADERS.items():
        yield [None, text(name, header), EHLO, MAIL,
               "RCPT TO:<x@other.example>"]


PROXY_DIFFERENT = {
    "v1 unknown(, more)?":
        ("220", "421 4.3.0", "the protocol, 2.1: to be taken"),
    "v1 LF": ("421 4.3.2", "220", "the protocol, 2.1: CR LF"),
    "v2 unspecified": ("220", "421 4.3.0", "the protocol, 2.2: to be taken"),
    # Another code for what is the same.
    "(v1|v2|no) .*": ("421 4.3.2", "421 4.3.0", "no mail gets in there"),
}


def main():
    bad = beside_postfix(everything(), DIFFERENT,
                         {"smtpd_forbid_bare_newline": "normalize",
                          "smtpd_forbid_unauth_pipelining": "yes",
                          "disable_vrfy_command": "no"})
    bad |= beside_postfix(with_proxy(), PROXY_DIFFERENT, {
        "smtpd_upstream_proxy_protocol": "haproxy",
        "smtpd_upstream_proxy_timeout": "5s"})
    sys.exit(bad)


if __name__ == "__main__":
    main()
