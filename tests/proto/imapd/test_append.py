#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""APPEND, REPLACE and what they are sent, clause by clause: RFC 3502
(MULTIAPPEND), 3516 (BINARY), 4469 (CATENATE), 6855 and 9755 (UTF8=ACCEPT),
7888 (LITERAL+), 7889 (APPENDLIMIT), 8508 (REPLACE).

More of CATENATE is in catenate.talk, of REPLACE in test_extensions.py, of
literals that are too large in test_hostile.py and system/test_imap.py.
"""
import base64
import re
import shutil

from clauses import clause, e, engine_of, run_all, untagged
from imaptalk import Engine, parse

guest = engine_of("guest")
MSG = b"From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n"
BINARY = (b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n"
          b"Content-Type: application/x\r\n\r\n")


def plus(m):
    return b"{%d+}\r\n%s" % (len(m), m)


def eight(m):
    return b"~" + plus(m)


def messages(c, name):
    return int(re.search(rb"MESSAGES (\d+)",
                         c.ok(f"STATUS {name} (MESSAGES)")[0]).group(1))


def fetched(c, items):
    """What the last message has: item -> value."""
    words = parse(c.ok(f"FETCH * ({items})")[0])[3]
    return dict(zip(words[::2], words[1::2]))


def refused(c, name, command, want):
    """It is, and nothing was put into the mailbox."""
    before = messages(c, name)
    got = c.status(command)
    assert got[0] == want or got == want, (command, got)
    assert messages(c, name) == before, command
    c.ok("NOOP")


# --- RFC 3502 ------------------------------------------------------------------

@clause("3502 6.3.11")
def many_at_once(c, d):
    c.ok("CREATE a1")
    c.ok("SELECT a1")
    last = c.ok(b"APPEND a1 %s (\\Seen) %s \" 7-Feb-1994 22:43:04 -0800\" %s "
                b"(\\Flagged $x) \"01-Jan-2001 00:00:00 +0000\" %s" % (
                    plus(MSG), plus(MSG), plus(MSG), plus(MSG)))
    assert re.search(rb"\[APPENDUID \d+ 1:4\]", last[-1]), last
    assert b"* 4 EXISTS" in last and not untagged(last[:-1], b"BAD"), last
    got = c.ok("FETCH 1:4 (FLAGS INTERNALDATE)")
    assert [b"\\Seen" in x for x in got[:4]] == [False, True, False, False]
    assert b"1994 22:43:04 -0800" in got[2] and b"1994" not in got[3], got
    assert b"\\Flagged" in got[3] and b"$x" in got[3] and \
        b'"01-Jan-2001' in got[3], got


@clause("3502 6.3.11")
def all_or_nothing(c, d):
    """Also where the last of them is wrong; an empty one is NO."""
    c.ok("CREATE a2")
    one = b"APPEND a2 " + plus(MSG)
    refused(c, "a2", b"APPEND a2 {0+}\r\n", "NO")
    refused(c, "a2", one + b" {0+}\r\n", "NO")
    refused(c, "a2", one + b" (\\Seen) {0+}\r\n", "NO")
    refused(c, "a2", one + b" (\\Nonsense) " + plus(MSG), "BAD")
    refused(c, "a2", one + b" (\\Recent) " + plus(MSG), "BAD")
    refused(c, "a2", one + b' "32-Jan-2001 00:00:00 +0000" ' + plus(MSG), "BAD")
    refused(c, "a2", one + b" (\\Seen)", "BAD")
    refused(c, "a2", one + b" nonsense", "BAD")
    refused(c, "a2", one + b"(\\Seen) " + plus(MSG), "BAD")
    refused(c, "a2", one + b" (", "BAD")
    # With literals that wait for us it ends where it is refused.
    c.send(b"x1 APPEND a2 {%d}\r\n" % len(MSG))
    assert c.until("+")[-1].startswith(b"+")
    c.send(MSG + b" {0}\r\n")
    assert c.until("x1")[-1].split()[1] == b"NO"
    assert messages(c, "a2") == 0


@clause("3502 6.3.11")
def trycreate(c, d):
    """Where CREATE could make it, and nowhere else; nothing is made."""
    c.ok("CREATE a3/child")
    for name in (b"a3none", b"a3"):
        for command in (b"APPEND %s %s", b"APPEND %s (\\Seen) %s",
                        b"APPEND %s CATENATE (TEXT %s)"):
            assert c.status(command % (name, plus(MSG))) == \
                ("NO", "TRYCREATE"), (name, command)
    for name in (b"a3//x", b'""', b"a3/../x", b'"a3\tx"'):
        got = c.status(b"APPEND %s %s" % (name, plus(MSG)))
        assert got[0] == "NO" and got[1] != "TRYCREATE", (name, got)
    assert len(untagged(c.ok('LIST "" a3*'), b"LIST")) == 2


# --- RFC 3516 -----------------------------------------------------------------------

@clause("3516 4.4, 6")
def binary_parts_can_be_shown_to_all(c, d):
    """Kept in base64 when there are NULs; BINARY has every byte."""
    c.ok("CREATE b1")
    c.ok("SELECT b1")
    for body in (b"a\0b", bytes(range(256)) * 3, b"\0" * 57, b"\n\r\0\r\n",
                 b"\0\xff" * (1 << 20)):
        c.ok(b"APPEND b1 " + eight(BINARY + body))
        got = fetched(c, "BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1] "
                      "BINARY.PEEK[1] BINARY.SIZE[1] RFC822.SIZE")
        assert got["BODYSTRUCTURE"][5] == b"base64", got
        whole, coded = got["BODY[]"], got["BODY[1]"]
        assert b"\0" not in whole and base64.b64decode(coded) == body
        assert whole == BINARY.replace(b"binary", b"base64") + coded
        assert max(map(len, coded.split(b"\r\n"))) <= 76
        assert got["BINARY[1]"] == body
        assert got["BINARY.SIZE[1]"] == str(len(body))
        assert got["RFC822.SIZE"] == str(len(whole))


@clause("3516 4.4, 6")
def only_what_has_to_be(c, d):
    c.ok("CREATE b2")
    c.ok("SELECT b2")
    # No NUL: as it came, however it came.
    for m in (BINARY + b"8 bit \xff\r\n", MSG,
              BINARY.replace(b"binary", b"8bit") + b"x\r\n"):
        for how in (plus, eight):
            c.ok(b"APPEND b2 " + how(m))
            assert fetched(c, "BODY.PEEK[]")["BODY[]"] == m
    # All parts of one that has to be; multiparts and messages stay.
    part = b"--X\r\nContent-Transfer-Encoding: %s\r\nContent-Type: %s\r\n\r\n%s\r\n"
    text = (b"Content-Type: multipart/mixed; boundary=X\r\n"
            b"content-transfer-encoding: BINARY\r\n\r\n" +
            part % (b"binary", b"text/plain", b"a\0b") +
            part % (b"7bit", b"text/plain", b"plain") +
            part % (b"Binary (all)", b"image/x", b"\1\2\3") +
            part % (b"binary", b"message/rfc822", b"Subject: x\r\n\r\nin it") +
            b"--X--\r\nend\r\n")
    c.ok(b"APPEND b2 " + eight(text))
    got = fetched(c, "BODY.PEEK[] BINARY.PEEK[1] BINARY.PEEK[3]")
    want = text.replace(b"binary\r\nContent-Type: text", b"base64\r\n"
                        b"Content-Type: text").replace(
        b"Binary (all)", b"base64 (all)").replace(
            b"a\0b", base64.b64encode(b"a\0b")).replace(
                b"\1\2\3", base64.b64encode(b"\1\2\3"))
    assert got["BODY[]"] == want, got
    assert got["BINARY[1]"] == b"a\0b" and got["BINARY[3]"] == b"\1\2\3"


@clause("3516 4.4, 4469 5, 8508 3")
def binary_in_every_way(c, d):
    c.ok("CREATE b3")
    c.ok("SELECT b3")
    m = BINARY + b"a\0b"
    for command in (b"APPEND b3 " + plus(MSG) + b" " + eight(m),
                    b"APPEND b3 CATENATE (TEXT " + plus(BINARY) +
                    b" TEXT " + eight(b"a\0b") + b")",
                    b"REPLACE 1 b3 " + eight(m)):
        c.ok(command)
        got = fetched(c, "BODYSTRUCTURE BINARY.PEEK[1]")
        assert got["BODYSTRUCTURE"][5] == b"base64", command
        assert got["BINARY[1]"] == b"a\0b", command
    c.ok(b"APPEND b3 " + eight(m) + b" " + plus(MSG) + b" " + eight(m))
    assert fetched(c, "BINARY.PEEK[1]")["BINARY[1]"] == b"a\0b"
    assert MSG in c.ok("FETCH 5 BODY.PEEK[]")[0]


@clause("3516 4.2, 4.3")
def fetch_binary(c, d):
    c.ok("CREATE b4")
    c.ok("SELECT b4")
    c.append("b4", BINARY.replace(b"binary", b"base64") +
             base64.b64encode(b"a\0bcdef") + b"\r\n")
    c.append("b4", BINARY.replace(b"binary", b"quoted-printable") +
             b"=C3=A4 x=\r\ny\r\n")
    c.append("b4", BINARY.replace(b"binary", b"x-unknown") + b"abc\r\n")
    # The partial counts what is decoded.
    assert b"BINARY[1]<1> ~{3}\r\n\0bc" in \
        c.ok("FETCH 1 BINARY.PEEK[1]<1.3>")[0]
    assert b"BINARY[1]<2> {2}\r\nbc" in c.ok("FETCH 1 BINARY.PEEK[1]<2.2>")[0]
    assert b'BINARY[1]<99> ""' in c.ok("FETCH 1 BINARY.PEEK[1]<99.2>")[0]
    # Without NULs it is a string.
    got = c.ok("FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[1])")[0]
    assert b"~{" not in got and "ä xy\r\n".encode() in got and \
        b"BINARY.SIZE[1] 7" in got, got
    assert b"FLAGS" not in got
    got = b"".join(c.ok("FETCH 2 BINARY[1]"))
    assert b"\\Seen" in got, got
    for item in ("BINARY[1]", "BINARY.PEEK[1]", "BINARY.SIZE[1]",
                 "BINARY.PEEK[1]<0.1>"):
        assert c.status(f"FETCH 3 {item}") == ("NO", "UNKNOWN-CTE"), item
    for bad in ("BINARY[1", "BINARY.SIZE[1]<0.1>", "BINARY.SIZE.PEEK[1]",
                "BINARY[1]<1.0>", "BINARY"):
        assert c.status(f"FETCH 1 {bad}")[0] == "BAD", bad


# --- RFC 4469 -------------------------------------------------------------------------

@clause("4469 3")
def catenate_leaves_its_sources_alone(c, d):
    c.ok("CREATE c1")
    c.ok("CREATE c2")
    c.append("c1", MSG)
    c.ok("SELECT c2")
    c.ok(b'APPEND c2 (\\Draft) CATENATE (URL "/c1/;UID=1/;SECTION=HEADER" '
         b'TEXT {3+}\r\nabc URL "/c1/;uid=1/;section=TEXT")')
    assert c.ok("FETCH 1 (FLAGS BODY.PEEK[])")[0].endswith(
        MSG.replace(b"body", b"abcbody") + b")")
    assert b"\\Draft" in c.ok("FETCH 1 FLAGS")[0]
    # c2 is still the selected one, in which URLs are found without a name.
    c.ok(b'APPEND c1 CATENATE (URL ";UID=1")')
    assert messages(c, "c1") == 2
    c.ok("SELECT c1")
    assert b"\\Seen" not in c.ok("FETCH 1 FLAGS")[0]


@clause("4469 4.1; 5092 3")
def badurl_names_the_first(c, d):
    g = guest.client()
    c.ok("CREATE c3")
    c.append("c3", MSG)
    v = int(re.search(rb"UIDVALIDITY (\d+)",
                      c.ok("STATUS c3 (UIDVALIDITY)")[0]).group(1))
    good = f"/c3;UIDVALIDITY={v}/;UID=1"
    c.ok(f'APPEND c3 CATENATE (URL "{good}")')
    for bad in ("/c3/;UID=9", "/c3/;UID=0", "/c3/;UID=x", "/c3", "/c3/",
                "/c3;UIDVALIDITY=0/;UID=1", f"/c3;UIDVALIDITY={v + 1}/;UID=1",
                "/c3/;UID=1/;SECTION=2", "/c3/;UID=1/;SECTION=", "//c3/;UID=1",
                "/c3/;UID=1/;SECTION=NONSENSE", "/none/;UID=1", ";UID=1",
                "/c3/;UID=1/;PARTIAL=x", "/c3/;UID=1/;PARTIAL=0.0",
                "imap://example.org/c3/;UID=1",
                "http://example.org/", "", "x", "/%C3/;UID=1", "/c%3/;UID=1"):
        for parts in (f'URL "{bad}"', f'TEXT {{1+}}\r\nx URL "{bad}"',
                      f'URL "{good}" URL "{bad}" URL "/c3/;UID=77"'):
            refused(c, "c3", f"APPEND c3 CATENATE ({parts})",
                    ("NO", f'BADURL "{bad}"'))
    # What may not be read is a URL that cannot be used.
    for rights in ("", "l", "lsi"):
        c.ok(f'SETACL c3 guest "{rights}"')
        url = "/Other%20Users/tester/c3/;UID=1"
        assert g.status(f'APPEND INBOX CATENATE (URL "{url}")') == \
            ("NO", f'BADURL "{url}"'), rights
    g.close()


@clause("6855 4")
def utf8_parts(c, d):
    """A client of RFC 6855 says UTF8 in APPEND and in CATENATE."""
    c.ok("CREATE d1")
    head = eight("Subject: ä\r\n\r\n".encode())
    refused(c, "d1", b"APPEND d1 UTF8 (" + head + b")", "BAD")
    refused(c, "d1", b"APPEND d1 CATENATE (UTF8 (" + head + b"))", "BAD")
    c.ok("ENABLE UTF8=ACCEPT")
    c.ok(b"APPEND d1 UTF8 (" + head + b")")
    c.ok("SELECT d1")
    c.ok(b"APPEND d1 CATENATE (UTF8 (" + head + b"))")
    c.ok(b"APPEND d1 CATENATE (TEXT {6+}\r\nA: b\r\n UTF8 (" + head +
         b') URL ";UID=1/;SECTION=HEADER" UTF8 (~{1+}\r\nx)) CATENATE (TEXT '
         b"{1+}\r\ny)")
    assert c.ok("FETCH 3 BODY.PEEK[]")[0].endswith(
        "A: b\r\nSubject: ä\r\n\r\nSubject: ä\r\n\r\nx)".encode())
    for bad in (b"UTF8 " + head, b"UTF8 (" + head, b"UTF8 (" + head + b" )",
                b"UTF8 (" + head + b" " + head + b")", b"UTF8 ()",
                b'UTF8 (URL ";UID=1")'):
        refused(c, "d1", b"APPEND d1 CATENATE (" + bad + b")", "BAD")


@clause("6855 3; 9755 3")
def quoted_strings_are_utf8(c, d):
    """What is none is BAD, once that has been agreed on."""
    for word in ("UTF8=ACCEPT", "IMAP4rev2"):
        x = e.client()
        x.ok(f"ENABLE {word}")
        x.ok("SELECT INBOX")
        for bad in (b'CREATE "d2\xff"', b'SEARCH SUBJECT "\xc3"',
                    b'LIST "" "\xed\xa0\x80"', b'STATUS "\xc0\x80" (MESSAGES)',
                    b'GETMETADATA "\xff" /private/comment'):
            assert x.status(bad)[0] == "BAD", bad
        x.ok('SEARCH SUBJECT "é"')
        x.close()


# --- RFC 7888 --------------------------------------------------------------------------

@clause("7888 3")
def literals_that_do_not_wait(c, d):
    c.ok("CREATE {2+}\r\ne1")
    c.send(b"x1 STATUS {2+}\r\ne1 (MESSAGES)\r\nx2 LIST {0+}\r\n {2+}\r\ne1\r\n"
           b"x3 SEARCH {3+}\r\nALL\r\nx4 NONSENSE {3+}\r\na\r\n {2+}\r\nb\n\r\n"
           b"x5 APPEND none {9+}\r\nx6 NOOP\r\n (\\Seen) {4+}\r\nx7 A\r\n"
           b"x8 CREATE e1 {7+}\r\nx9 NOOP\r\nx10 NOOP\r\n")
    got = c.until("x10")
    assert not any(x.startswith(b"+") for x in got), "none was asked for"
    assert [x.split()[0] + b" " + x.split()[1] for x in got
            if not x.startswith(b"*")] == [
                b"x1 OK", b"x2 OK", b"x3 BAD", b"x4 BAD", b"x5 NO", b"x8 BAD",
                b"x10 OK"], got
    words = c.ok("CAPABILITY")[0].split()
    assert b"LITERAL+" in words and b"LITERAL-" not in words


@clause("7888 4, 5; 7889 4")
def too_large(c, d):
    """APPEND: TOOBIG in a tagged answer, without a "+" for one that waits,
    and the next command is understood."""
    small = Engine(settings=("imapd_append_limit=1000",
                             "imapd_literal_limit=2000"))
    try:
        x = small.client()
        x.ok("CREATE e2")
        x.ok(b"APPEND e2 " + plus(b"A: " + b"x" * 997))
        for command in (b"APPEND e2 ", b"APPEND e2 (\\Seen) ",
                        b"APPEND e2 " + plus(MSG) + b" ",
                        b"APPEND e2 CATENATE (TEXT "):
            end = b")" if b"CATENATE" in command else b""
            refused(x, "e2", command + plus(b"x" * 1001) + end,
                    ("NO", "TOOBIG"))
            x.send(b"y1 " + command + b"{1001}\r\n")
            got = x.until("y1")
            assert len(got) == 1 and b"NO [TOOBIG]" in got[0], got
        refused(x, "e2", b"APPEND e2 CATENATE (TEXT %s TEXT %s)" % (
            plus(b"x" * 600), plus(b"y" * 600)), ("NO", "TOOBIG"))
        # Other commands have a limit of their own.
        assert x.status(b"CREATE " + plus(b"x" * 2001)) == ("NO", "TOOBIG")
        x.send(b"y2 CREATE {2001}\r\n")
        got = x.until("y2")
        assert len(got) == 1 and b"[TOOBIG]" in got[0], got
        x.ok("NOOP")
        # RFC 7889 2, 3: it is told before.
        assert b"APPENDLIMIT=1000" in x.ok("CAPABILITY")[0].split()
        assert x.ok("STATUS e2 (APPENDLIMIT)")[0] == \
            b"* STATUS e2 (APPENDLIMIT 1000)"
        assert b"* STATUS e2 (APPENDLIMIT 1000)" in \
            x.ok('LIST "" e2 RETURN (STATUS (APPENDLIMIT))')
        x.close()
    finally:
        small.stop()
        shutil.rmtree(small.dir)


@clause("7889 2, 3")
def without_a_limit(c, d):
    big = Engine(settings=("imapd_append_limit=0",))
    try:
        x = big.client()
        assert b"APPENDLIMIT" in x.ok("CAPABILITY")[0].split()
        assert x.ok("STATUS INBOX (APPENDLIMIT)")[0] == \
            b"* STATUS INBOX (APPENDLIMIT NIL)"
        x.close()
    finally:
        big.stop()
        shutil.rmtree(big.dir)


# --- RFC 8508 ----------------------------------------------------------------------------

@clause("8508 1, 3.4")
def replace_inherits_nothing(c, d):
    c.ok("CREATE f1")
    c.append("f1", MSG, '(\\Flagged $kept) "01-Jan-2001 00:00:00 +0000"')
    c.append("f1", MSG, "(\\Deleted)")
    c.ok("SELECT f1")
    got = c.ok(b"UID REPLACE 1 f1 " + plus(MSG + b"new"))
    # APPENDUID before EXPUNGE; nothing of the STORE; not the other one.
    said = [i for i, x in enumerate(got) if b"[APPENDUID " in x]
    gone = [i for i, x in enumerate(got) if b" EXPUNGE" in x]
    assert len(said) == 1 and got[said[0]].startswith(b"* OK "), got
    assert [got[i] for i in gone] == [b"* 1 EXPUNGE"] and said < gone, got
    assert not untagged(got, b"FETCH"), got
    got = c.ok("FETCH 1:* (FLAGS INTERNALDATE)")
    assert len(got) == 3 and b"\\Deleted" in got[0], got
    assert b"$kept" not in got[1] and b"\\Flagged" not in got[1] and \
        b"2001" not in got[1], got


@clause("8508 3.4, 3.5")
def replace_that_fails_changes_nothing(c, d):
    c.ok("CREATE f2")
    c.append("f2", MSG)
    assert c.status(b"REPLACE 1 f2 " + plus(MSG))[0] == "BAD", "not selected"
    c.ok("SELECT f2")
    for bad, want in ((b"REPLACE 2 f2 " + plus(MSG), "BAD"),
                      (b"REPLACE 0 f2 " + plus(MSG), "BAD"),
                      (b"REPLACE 1:1 f2 " + plus(MSG), "BAD"),
                      (b"REPLACE 1 f2 " + plus(MSG) + b" " + plus(MSG), "BAD"),
                      (b"REPLACE 1 f2", "BAD"), (b"REPLACE f2 {1+}\r\nx", "BAD"),
                      (b"REPLACE 1 f2 {0+}\r\n", "NO"),
                      (b"REPLACE 1 f2 (\\Foo) " + plus(MSG), "BAD"),
                      (b"REPLACE 1 none " + plus(MSG), ("NO", "TRYCREATE")),
                      (b"UID REPLACE 9 f2 " + plus(MSG), "NO"),
                      (b'REPLACE 1 f2 CATENATE (URL "/f2/;UID=9")', "NO")):
        refused(c, "f2", bad, want)
        assert c.ok("FETCH 1 UID")[0] == b"* 1 FETCH (UID 1)", bad
    c.ok("EXAMINE f2")
    refused(c, "f2", b"REPLACE 1 f2 " + plus(MSG), ("NO", "READ-ONLY"))


@clause("8508 4.2, 4.5, 4.6")
def replace_with_other_extensions(c, d):
    c.ok("CREATE f3")
    c.append("f3", MSG)
    c.ok("ENABLE QRESYNC")
    c.ok("SELECT f3")
    old = parse(c.ok("FETCH 1 (EMAILID MODSEQ)")[0])[3]
    got = c.ok(b'UID REPLACE 1 f3 CATENATE (URL ";UID=1" TEXT {4+}\r\nmore)')
    assert b"* VANISHED 1" in got and not untagged(got, b"EXPUNGE"), got
    high = re.search(rb" OK \[HIGHESTMODSEQ (\d+)\]", got[-1])
    assert high and int(high.group(1)) > int(old[3][0]), got
    new = parse(c.ok("FETCH 1 (EMAILID)")[0])[3]
    assert new[1] != old[1], (old, new)


run_all("RFC")
