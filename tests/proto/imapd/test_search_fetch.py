#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""SEARCH keys, SORT, THREAD and the data items of FETCH, on the engine."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imaptalk import Engine, parse  # noqa: E402

passed = 0

MAILS = [
    # 1
    (b'"01-Feb-2024 10:00:00 +0000"', b"(\\Seen $Work)",
     b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
     b"Subject: Hello World\r\nDate: Mon, 1 Jan 2024 23:30:00 -0500\r\n"
     b"Message-ID: <1@x>\r\n\r\nquick brown fox\r\n"),
    # 2
    (b'"02-Feb-2024 10:00:00 +0000"', b"(\\Flagged)",
     b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>\r\n"
     b"Cc: carol@example.test\r\nSubject: Re: Hello World\r\n"
     b"Date: Wed, 3 Jan 2024 00:10:00 +0900\r\nMessage-ID: <2@x>\r\n"
     b"In-Reply-To: <1@x>\r\nContent-Type: text/plain; charset=koi8-r\r\n"
     b"Content-Transfer-Encoding: base64\r\n\r\n8NLJ18XU\r\n"),
    # 3
    (b'"03-Feb-2024 10:00:00 +0000"', b"(\\Deleted \\Draft)",
     b"Subject: parts\r\nMIME-Version: 1.0\r\n"
     b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n"
     b"Gr\xc3\xbc\xc3\x9fe\r\n--x\r\nContent-Type: image/gif\r\n"
     b"Content-Transfer-Encoding: base64\r\n\r\nR0lGODlhAAA=\r\n--x\r\n"
     b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nneedle\r\n"
     b"--x\r\nContent-Type: text/plain\r\n"
     b"Content-Transfer-Encoding: x-odd\r\n\r\nodd\r\n--x--\r\n"),
    # 4
    (b'"04-Feb-2024 10:00:00 +0000"', b"(\\Answered)",
     b"From: <routed (c)@ (c) x.test>\r\n\r\n" +
     b"0123456789 end\r\n" * 10000),
]


def case(fn):
    global passed
    fn()
    passed += 1


def search(keys, command=b"SEARCH"):
    lines = c.ok(command + b" " + keys)
    assert lines[0].startswith(b"* SEARCH"), lines
    return [int(x) for x in lines[0].split(b"(")[0].split()[2:]]


def fetch(seq, item):
    if isinstance(item, str):
        item = item.encode()
    lines = c.ok(b"FETCH %d %s" % (seq, item))
    assert len(lines) == 2, lines
    return parse(lines[0][2:])[2]


def keys_find_what_rfc_9051_says():
    for keys, want in (
            (b"ALL", [1, 2, 3, 4]), (b"2:3", [2, 3]), (b"*", [4]),
            (b"4,1:2", [1, 2, 4]), (b"UID 2:*", [2, 3, 4]),
            (b"UID 100:*", [4]), (b"9:*", [4]), (b"*:9", [4]),
            (b"9", []), (b"3:9", [3, 4]), (b"NOT 9", [1, 2, 3, 4]),
            (b"NOT 1", [2, 3, 4]),
            (b"SEEN", [1]), (b"UNSEEN", [2, 3, 4]), (b"FLAGGED", [2]),
            (b"UNFLAGGED SEEN", [1]), (b"DELETED", [3]), (b"DRAFT", [3]),
            (b"ANSWERED", [4]), (b"UNANSWERED UNDRAFT", [1, 2]),
            (b"UNDELETED", [1, 2, 4]),
            (b"KEYWORD $Work", [1]), (b"KEYWORD $work", [1]),
            (b"UNKEYWORD $Work", [2, 3, 4]), (b"KEYWORD $None", []),
            (b"UNKEYWORD $None", [1, 2, 3, 4]),
            (b"ON 2-Feb-2024", [2]), (b"BEFORE 2-Feb-2024", [1]),
            (b'SINCE "3-Feb-2024"', [3, 4]),
            # by the date in the field's own zone
            (b"SENTON 1-Jan-2024", [1]), (b"SENTON 3-Jan-2024", [2]),
            (b"SENTBEFORE 2-Jan-2024", [1]),
            (b"SENTSINCE 2-Jan-2024", [2]),
            (b"NOT SENTSINCE 1-Jan-1970", [3, 4]),
            (b"LARGER 10000", [4]), (b"SMALLER 10000", [1, 2, 3]),
            (b"LARGER 160034", []), (b"LARGER 160033", [4]),
            (b"SMALLER 160035", [1, 2, 3, 4]),
            (b"OLDER 100", [1, 2, 3, 4]), (b"YOUNGER 100", []),
            (b"SAVEDSINCE 1-Jan-2024", [1, 2, 3, 4]),
            (b"SAVEDBEFORE 1-Jan-2024", []), (b"SAVEDATESUPPORTED",
                                              [1, 2, 3, 4]),
            (b"FROM alice", [1]), (b"FROM ALICE@EXAMPLE", [1]),
            (b"FROM alice@example.test", [1]), (b"FROM routed@x.test", [4]),
            (b'FROM "(c)"', [4]), (b"TO bob", [1]), (b"CC carol", [2]), (b"BCC x", []),
            (b"SUBJECT hello", [1, 2]), (b"SUBJECT \"re: h\"", [2]),
            (b"HEADER Message-ID <2@", [2]), (b'HEADER CC ""', [2]),
            (b'HEADER "X-None" ""', []),
            (b"BODY brown", [1]), (b"BODY \"quick brown fox\"", [1]),
            (b"BODY hello", []), (b"TEXT hello", [1, 2]),
            (b"TEXT inner", [3]), (b"BODY inner", []), (b"BODY needle", [3]),
            (b"TEXT R0lGOD", []), (b"TEXT gif", [3]), (b"TEXT GIF89", []),
            (b"BODY end", [4]), (b'BODY ""', [1, 2, 3, 4]),
            (b"OR SEEN FLAGGED", [1, 2]), (b"OR (SEEN) NOT (OR 1 2)",
                                           [1, 3, 4]),
            (b"NOT NOT SEEN", [1]), (b"(SEEN FLAGGED)", []),
            (b"((SEEN) (TEXT fox))", [1]),
            (b"FUZZY SUBJECT hello", [1, 2]),
            (b"CHARSET UTF-8 TEXT \"J\xc3\xb6rg\"", [2]),
            (b"CHARSET UTF-8 TEXT {6+}\r\nGR\xc3\x9c\xc3\x9f", [3]),
            (b"CHARSET UTF-8 BODY {12+}\r\n"
             b"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", [2]),
            (b"CHARSET koi8-r BODY {6+}\r\n\xd0\xd2\xc9\xd7\xc5\xd4", [2]),
            (b"CHARSET us-ascii SEEN", [1]),
    ):
        assert search(keys) == want, (keys, search(keys), want)


def ids_are_found():
    for i in (1, 2):
        got = fetch(i, "(EMAILID THREADID)")
        assert search(b"EMAILID " + got[1][0].encode()) == [i], got
        found = search(b"THREADID " + got[3][0].encode())
        assert i in found, (got, found)
    assert fetch(1, "THREADID")[1] == fetch(2, "THREADID")[1]
    assert fetch(3, "THREADID")[1] is None
    assert search(b"EMAILID Mnone") == []
    assert search(b"THREADID NIL") == []


def modseq_is_answered():
    lines = c.ok("SEARCH MODSEQ 1")
    assert lines[0].startswith(b"* OK [HIGHESTMODSEQ "), lines
    line = lines[1]
    assert b"(MODSEQ " in line and line.startswith(b"* SEARCH 1 2 3 4 ")
    assert c.ok('SEARCH MODSEQ "/flags/\\\\seen" all 1')[0] == line
    assert c.ok("SEARCH MODSEQ 999999999")[0] == b"* SEARCH"


def what_is_wrong_is_refused():
    deep = b"NOT " * 600 + b"SEEN"
    many = b" ".join([b"SEEN"] * 11000)
    for keys in (b"", b"FOO", b"SEEN ", b"SEEN  SEEN", b"(SEEN", b"SEEN)",
                 b"()", b"NOT", b"OR SEEN", b"ON", b"ON 31-Feb-2024",
                 b"ON 1/2/2024", b"LARGER x", b"OLDER 0", b"HEADER x",
                 b"KEYWORD", b"0", b"1:", b"UID", b"UID 0", deep, many,
                 b"MODSEQ x", b"CHARSET UTF-8", b"FUZZY"):
        assert c.status(b"SEARCH " + keys)[0] == "BAD", keys[:40]
        c.ok("NOOP")            # imapd_error_limit
    assert c.status("SEARCH CHARSET x-none SEEN") == \
        ("NO", "BADCHARSET (UTF-8 US-ASCII)")
    assert c.status(b"SEARCH CHARSET ../../x SEEN")[0] == "NO"
    assert c.status(b"SEARCH TEXT {5000+}\r\n" + b"x" * 5000)[0] == "NO"
    assert search(b"NOT " * 400 + b"SEEN") == [1]


def sorting():
    for keys, want in (
            (b"SUBJECT", [4, 1, 2, 3]), (b"REVERSE ARRIVAL", [4, 3, 2, 1]),
            (b"DATE", [1, 2, 3, 4]), (b"FROM", [3, 1, 2, 4]),
            (b"SIZE", [1, 2, 3, 4]), (b"SUBJECT REVERSE SIZE", [4, 2, 1, 3]),
            (b"CC", [1, 3, 4, 2]), (b"TO ARRIVAL", [2, 3, 4, 1]),
            (b"DISPLAYFROM", [3, 1, 2, 4])):
        line = c.ok(b"SORT (" + keys + b") UTF-8 ALL")[0]
        got = [int(x) for x in line.split()[2:]]
        assert got == want, (keys, got)
    assert c.ok("UID SORT (SUBJECT) US-ASCII SEEN")[0] == b"* SORT 1"
    for bad in ("()", "(FOO)", "(REVERSE)", "(SUBJECT", "SUBJECT"):
        assert c.status("SORT %s UTF-8 ALL" % bad)[0] == "BAD", bad
    assert c.status("SORT (SUBJECT) x-none ALL")[1].startswith("BADCHARSET")
    assert c.ok("THREAD REFERENCES UTF-8 ALL")[0] == \
        b"* THREAD (1 2)(3)(4)"
    assert c.ok("THREAD ORDEREDSUBJECT UTF-8 ALL")[0] == \
        b"* THREAD (1 2)(3)(4)"
    assert c.status("THREAD FOO UTF-8 ALL")[0] == "BAD"


def sections_of_messages():
    body = MAILS[3][2]
    text = body[body.index(b"\r\n\r\n") + 4:]
    assert fetch(4, "BODY.PEEK[]") == ["BODY[]", body]
    assert fetch(4, "BODY.PEEK[]<100000.30>") == \
        ["BODY[]<100000>", body[100000:100030]]
    assert fetch(4, "BODY.PEEK[TEXT]<159998.10>")[1] == text[159998:]
    assert fetch(4, "BODY.PEEK[TEXT]<500000.10>") == \
        ["BODY[TEXT]<500000>", b""]
    assert fetch(1, "BODY.PEEK[HEADER.FIELDS (SUBJECT X)]") == \
        ["BODY[HEADER.FIELDS (SUBJECT X)]", b"Subject: Hello World\r\n\r\n"]
    assert fetch(1, "RFC822.TEXT")[:2] == ["RFC822.TEXT",
                                           b"quick brown fox\r\n"]
    assert fetch(3, "BODY.PEEK[1]")[1] == b"Gr\xc3\xbc\xc3\x9fe"
    assert fetch(3, "BODY.PEEK[2.MIME]")[1] == \
        b"Content-Type: image/gif\r\n" \
        b"Content-Transfer-Encoding: base64\r\n\r\n"
    assert fetch(3, "BODY.PEEK[3.HEADER]")[1] == b"Subject: inner\r\n\r\n"
    assert fetch(3, "BODY.PEEK[3.1]")[1] == b"needle"
    assert fetch(3, "BODY.PEEK[9]") == ["BODY[9]", b""]
    assert fetch(3, "BINARY.PEEK[2]")[1] == b"GIF89a\0\0"
    assert b"~{8}" in c.ok("FETCH 3 BINARY.PEEK[2]")[0]
    assert fetch(3, "BINARY.PEEK[2]<3.3>") == ["BINARY[2]<3>", b"89a"]
    assert fetch(3, "BINARY.PEEK[2]<3>") == ["BINARY[2]<3>", b"89a\0\0"]
    assert fetch(3, "BINARY.SIZE[2.MIME]") == ["BINARY.SIZE[2.MIME]", "62"]
    assert fetch(3, "BINARY.PEEK[3.HEADER]")[1] == b"Subject: inner\r\n\r\n"
    assert fetch(3, "BINARY.SIZE[2]") == ["BINARY.SIZE[2]", "8"]
    assert c.status("FETCH 3 BINARY.PEEK[4]") == ("NO", "UNKNOWN-CTE")
    assert fetch(2, "BINARY.PEEK[1]")[1] == b"\xf0\xd2\xc9\xd7\xc5\xd4"
    for bad in ("BODY[0]", "BODY[MIME]", "BODY[1.]", "BODY[HEADER.FIELDS]",
                "BINARY[FOO]", "BODY[]<0.0>", "BODY[]<1.>", "FOO"):
        assert c.status("FETCH 1 " + bad)[0] == "BAD", bad


def items_from_the_record():
    assert fetch(1, "ENVELOPE")[1][1] == b"Hello World"
    assert fetch(2, "ENVELOPE")[1][8] == b"<1@x>"
    assert fetch(3, "BODYSTRUCTURE")[1][1][:2] == [b"image", b"gif"]
    assert fetch(3, "BODY")[1][4] == b"mixed"
    assert fetch(2, "PREVIEW") == ["PREVIEW", "Привет".encode()]
    assert fetch(3, "PREVIEW (LAZY)") == ["PREVIEW", "Grüße".encode()]
    preview = fetch(4, "PREVIEW")[1]
    assert len(preview) == 200, preview


def dates_are_those_of_their_zone():
    """RFC 9051 6.4.4: INTERNALDATE, disregarding time and timezone."""
    c.ok("CREATE zones")
    for date in ("01-Feb-2024 00:30:00 +0200", "31-Jan-2024 23:30:00 -0800",
                 " 1-Feb-2024 12:00:00 +0000"):
        c.append("zones", b"Subject: x\r\n\r\nx\r\n", '"%s"' % date)
    c.ok("SELECT zones")
    assert fetch(1, "INTERNALDATE")[1] == b"01-Feb-2024 00:30:00 +0200"
    assert fetch(2, "INTERNALDATE")[1] == b"31-Jan-2024 23:30:00 -0800"
    assert search(b"ON 1-Feb-2024") == [1, 3]
    assert search(b"BEFORE 1-Feb-2024") == [2]
    assert search(b"SINCE 31-Jan-2024") == [1, 2, 3]
    # In UTC the second is younger than the first.
    assert c.ok("SORT (ARRIVAL) UTF-8 ALL")[0] == b"* SORT 1 2 3"
    c.ok("COPY 1:2 INBOX")
    c.ok("SELECT INBOX")
    assert fetch(6, "INTERNALDATE")[1] == b"31-Jan-2024 23:30:00 -0800"
    c.ok("STORE 5:6 +FLAGS (\\Deleted)")
    c.ok("UID EXPUNGE 5:*")
    c.ok("DELETE zones")


def the_largest_number_is_no_star():
    assert c.status("FETCH 4294967295 FLAGS")[0] == "BAD"
    assert len(c.ok("UID FETCH 4294967295 FLAGS")) == 1
    assert search(b"4294967295") == []
    assert search(b"UID 4294967295") == []
    assert search(b"UID 4294967295:*") == [4]
    # REPLACE takes a seq-number, which may be "*" (RFC 8508 4).
    c.ok("CREATE stars")
    for i in range(2):
        c.append("stars", b"Subject: %d\r\n\r\nx\r\n" % i)
    c.ok("SELECT stars")
    lines = c.ok(b"REPLACE * stars {4+}\r\nA: b")
    assert b"* 2 EXPUNGE" in lines, lines
    lines = c.ok(b"UID REPLACE * stars {4+}\r\nA: c")
    assert b"* 2 EXPUNGE" in lines, lines
    c.ok("SELECT INBOX")
    c.ok("DELETE stars")


def fuzzy_keys():
    """SEARCH=FUZZY (RFC 6203)."""
    c.ok("CREATE fuzzy")
    for s, body in (("IMAP break", "x"), ("broken IMAP", "x"),
                    ("IMAP breaks", "x"), ("lunch", "IMAP breaking"),
                    ("breaks the IMAP", "x"), ("\u00fcbungen im M\u00e4rz",
                                               "x")):
        c.append("fuzzy", ("Subject: %s\r\nFrom: user@example.com\r\n\r\n"
                           "%s\r\n" % (s, body)).encode())
    c.ok("SELECT fuzzy")

    def answer(text):
        lines = c.ok(text if isinstance(text, bytes) else text.encode())
        return lines[0].split(b") ", 1)[-1].decode()

    assert answer('SEARCH SUBJECT "IMAP break"') == "* SEARCH 1 3"
    assert answer('SEARCH FUZZY SUBJECT "IMAP break"') == "* SEARCH 1 2 3 5"
    assert answer('SEARCH FUZZY (SUBJECT "IMAP break")') == "* SEARCH 1 2 3 5"
    assert answer('SEARCH FUZZY TEXT "imap breaking"') == "* SEARCH 1 2 3 4 5"
    # Only the key behind it is fuzzy.
    assert answer('SEARCH FUZZY SUBJECT "imap breaking" SUBJECT break') == \
        "* SEARCH 1 3 5"
    assert answer('SEARCH NOT FUZZY SUBJECT "imap break"') == "* SEARCH 4 6"
    # One word: with another ending.
    assert answer("SEARCH SUBJECT breaking") == "* SEARCH"
    assert answer("SEARCH FUZZY SUBJECT breaking") == "* SEARCH 1 3 5"
    assert answer("SEARCH CHARSET UTF-8 FUZZY SUBJECT {8+}\r\n\u00fcbunge"
                  .encode()) == "* SEARCH 6"
    # Flags, dates and the like are exact; so is what has no word.
    assert answer("SEARCH FUZZY SEEN") == "* SEARCH"
    assert answer('SEARCH FUZZY SUBJECT "?!"') == "* SEARCH"
    assert answer('SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT "IMAP break"') \
        == "ALL 1:3,5 RELEVANCY (100 45 100 90)"
    assert answer("SEARCH RETURN (RELEVANCY) FUZZY SUBJECT breaking") == \
        "ALL 1,3,5 RELEVANCY (60 60 60)"
    assert answer("SEARCH RETURN (RELEVANCY COUNT) FUZZY SUBJECT nothing") == \
        "COUNT 0"
    assert answer('SORT (RELEVANCY) UTF-8 FUZZY SUBJECT "IMAP break"') == \
        "* SORT 1 3 5 2"
    assert answer('SORT (REVERSE RELEVANCY SUBJECT) UTF-8 FUZZY SUBJECT '
                  '"IMAP break"') == "* SORT 2 5 1 3"
    assert answer('UID SORT RETURN (RELEVANCY PARTIAL 2:4) (RELEVANCY) UTF-8 '
                  'FUZZY SUBJECT "IMAP break"') == \
        "UID PARTIAL (2:4 3,5,2) RELEVANCY (100 90 45)"
    lines = c.ok('SORT RETURN (UPDATE COUNT) (RELEVANCY) UTF-8 FUZZY SUBJECT '
                 'imap')
    assert b"[NOUPDATE " in lines[-2], lines
    assert c.ok('ESEARCH IN (mailboxes fuzzy) RETURN (RELEVANCY ALL) FUZZY '
                'SUBJECT "imap break"')[0].endswith(
                    b" ALL 1:3,5 RELEVANCY (100 45 100 90)")
    # Two strings: the mean; one of two: the better one.
    assert answer("SEARCH RETURN (RELEVANCY ALL) FUZZY (SUBJECT breaking "
                  "FROM user)") == "ALL 1,3,5 RELEVANCY (80 80 80)"
    assert answer("SEARCH RETURN (RELEVANCY ALL) FUZZY OR SUBJECT breaking "
                  "SUBJECT imap") == "ALL 1:3,5 RELEVANCY (100 100 100 100)"
    for bad in ("SEARCH RETURN (RELEVANCY) SUBJECT x", "SEARCH FUZZY",
                "SORT (RELEVANCY) UTF-8 ALL",
                "ESEARCH IN (selected) RETURN (RELEVANCY) ALL"):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("SELECT INBOX")
    c.ok("DELETE fuzzy")


def a_search_that_takes_too_long_is_given_up():
    global c
    e2 = Engine(settings=("imapd_search_time_limit=1",))
    c2 = e2.client()
    # One message is enough, when it is asked for much.
    c2.append("INBOX", b"\r\n" + b"abcdefghi " * 4000000 + b"\r\n")
    c2.ok("SELECT INBOX")
    # (Strings of two bytes are no question for a signature; those that the
    # message has would end it.)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789!#$&'+,-./:;<=>?@^_`|~"
    keys = " ".join("NOT BODY %s%s" % (a, b) for a in letters for b in letters
                    if a + b not in "abcdefghi").encode()
    assert c2.status(b"SEARCH " + keys) == ("NO", "LIMIT")
    c2.ok("SEARCH SEEN")
    c2.ok("LOGOUT")
    c2.close()
    e2.stop()


engine = Engine()
c = engine.client()
for date, flags, message in MAILS:
    c.append("INBOX", message, (flags + b" " + date).decode())
c.ok("SELECT INBOX")
case(keys_find_what_rfc_9051_says)
case(ids_are_found)
case(modseq_is_answered)
case(what_is_wrong_is_refused)
c.close()
c = engine.client()
c.ok("SELECT INBOX")
case(sorting)
case(sections_of_messages)
case(items_from_the_record)
case(dates_are_those_of_their_zone)
case(the_largest_number_is_no_star)
case(fuzzy_keys)
case(a_search_that_takes_too_long_is_given_up)
c.ok("LOGOUT")
c.close()
engine.stop()
print("%d passed, 0 failed, 0 skipped" % passed)
