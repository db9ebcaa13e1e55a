#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What SEARCH gives back and keeps, clause by clause: RFC 4731 (ESEARCH), RFC
5182 (SEARCHRES), RFC 5032 (WITHIN), and the charsets of what is looked for.

RFC 6203 (SEARCH=FUZZY) is in test_search_fetch.py, MODSEQ in test_rfc7162.py,
PARTIAL and several mailboxes in test_rfc5267.py."""
import base64
import re
import time

from clauses import clause, run_all

MSG = b"From: a@b\r\nSubject: %s\r\n\r\nbody\r\n"
count = 0


def box(c, n=8):
    global count
    count += 1
    c.ok(f"CREATE b{count}")
    c.ok(f"CREATE b{count}t")
    for i in range(n):
        c.append(f"b{count}", MSG % (b"%d" % (i + 1)))
    c.ok(f"SELECT b{count}")
    return f"b{count}"


def esearch(c, command):
    """What follows the tag; the answer is one ESEARCH and nothing else."""
    tag = c.start(command)
    got = c.until(tag)
    m = re.match(rb'\* ESEARCH \(TAG "%s"\)(.*)$' % tag.encode(), got[0])
    assert m and len(got) == 2, (command, got)
    return m.group(1).decode().strip()


def saved(c):
    return esearch(c, "SEARCH RETURN (ALL) $").removeprefix("ALL ")


# --- RFC 4731 ------------------------------------------------------------------------

@clause("4731 3.1")
def result_options(c, d):
    box(c)
    for command, want in (
            ("SEARCH RETURN (MIN) 3:5", "MIN 3"),
            ("SEARCH RETURN (MAX) 3:5", "MAX 5"),
            ("SEARCH RETURN (COUNT) 3:5", "COUNT 3"),
            ("SEARCH RETURN (ALL) 3:5,8", "ALL 3:5,8"),
            ("SEARCH RETURN () 3:5", "ALL 3:5"),
            ("search return (min max count all) 3:5",
             "MIN 3 MAX 5 COUNT 3 ALL 3:5"),
            ("SEARCH RETURN (ALL) CHARSET UTF-8 3", "ALL 3"),
            # No matches: an answer all the same, with COUNT alone.
            ("SEARCH RETURN (MIN) SEEN", ""), ("SEARCH RETURN (MAX) SEEN", ""),
            ("SEARCH RETURN (ALL) SEEN", ""), ("SEARCH RETURN () SEEN", ""),
            ("SEARCH RETURN (MIN MAX ALL COUNT) SEEN", "COUNT 0"),
            ("UID SEARCH RETURN (MIN) 3:5", "UID MIN 3"),
            ("UID SEARCH RETURN () SEEN", "UID"),
            ("UID SEARCH RETURN (COUNT) SEEN", "UID COUNT 0")):
        assert esearch(c, command) == want, command
    d.ok(f"SELECT b{count}")
    d.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    c.ok("NOOP")
    assert esearch(c, "UID SEARCH RETURN (MIN MAX ALL) 1:3") == \
        "UID MIN 3 MAX 5 ALL 3:5"
    for bad in ("RETURN", "RETURN ALL", "RETURN (OTHER) ALL", "RETURN (MIN,MAX)"
                " ALL", "RETURN (MIN", "RETURN ()", "RETURN (ALL)",
                "CHARSET UTF-8 RETURN (ALL) ALL", "RETURN (ALL)ALL",
                "RETURN (MIN) RETURN (MAX) ALL"):
        assert c.status(f"SEARCH {bad}")[0] == "BAD", bad
    assert c.ok("SEARCH 1")[0] == b"* SEARCH 1"


# --- RFC 5182 ------------------------------------------------------------------------

@clause("5182 2.1")
def in_each_command(c, d):
    """Numbers or UIDs, as the command wants them."""
    name = box(c)
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")                             # 1 is UID 2 from now on
    for verb in ("SEARCH", "UID SEARCH"):
        got = c.ok(f"{verb} RETURN (SAVE) OR SUBJECT 3 SUBJECT 5")
        assert len(got) == 1, got
        assert [x.split()[1] for x in c.ok("FETCH $ UID")[:-1]] == \
            [x.split()[1] for x in c.ok("UID FETCH $ UID")[:-1]] == [b"2", b"4"]
        assert c.ok("SEARCH $")[0] == b"* SEARCH 2 4"
        assert c.ok("SEARCH UID $ NOT 2")[0] == b"* SEARCH 4"
        assert c.ok("UID SEARCH $")[0] == b"* SEARCH 3 5"
        assert c.ok("UID SEARCH UID $ SUBJECT 5")[0] == b"* SEARCH 5"
        assert c.ok("SEARCH NOT $")[0] == b"* SEARCH 1 3 5 6 7"
        assert c.ok("SEARCH CHARSET UTF-8 (OR $ 1,7) TEXT {4+}\r\nbody")[0] \
            == b"* SEARCH 1 2 4 7"
        assert c.ok("SORT (REVERSE SUBJECT) UTF-8 $")[0] == b"* SORT 4 2"
        assert c.ok("UID THREAD ORDEREDSUBJECT UTF-8 $")[0] == \
            b"* THREAD (3)(5)"
        assert esearch(c, "SORT RETURN (COUNT) (DATE) UTF-8 $") == "COUNT 2"
        c.ok("STORE $ +FLAGS.SILENT (word)")
        c.ok("UID STORE $ +FLAGS.SILENT (other)")
        assert c.ok("SEARCH KEYWORD word KEYWORD other")[0] == b"* SEARCH 2 4"
        assert b"COPYUID" in c.ok(f"COPY $ {name}t")[-1]
        assert b" 3,5 " in c.ok(f"UID COPY $ {name}t")[-1]
        assert c.status("FETCH 1,$ UID")[0] == "BAD"
        assert c.status("UID FETCH $:* UID")[0] == "BAD"
    c.ok("SEARCH RETURN (SAVE) UID 3")
    assert c.ok(f"MOVE $ {name}t")[1] == b"* 2 EXPUNGE"
    c.ok("SEARCH RETURN (SAVE) UID 4")
    assert c.ok(f"UID MOVE $ {name}t")[1] == b"* 2 EXPUNGE"
    c.ok("SEARCH RETURN (SAVE) UID 5:6")
    c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert c.ok("UID EXPUNGE $")[:2] == [b"* 2 EXPUNGE", b"* 2 EXPUNGE"]
    c.ok("SEARCH RETURN (SAVE) UID 7")
    assert c.ok(b"UID REPLACE 7 %s {4+}\r\nA: b" % name.encode())
    assert saved(c) == ""


@clause("5182 2.1")
def empty_is_valid(c, d):
    name = box(c)
    for _ in range(2):                  # never set, and set to nothing
        for command in ("FETCH $ UID", "UID FETCH $ UID",
                        "STORE $ +FLAGS (\\Seen)", "UID STORE $ FLAGS ()",
                        f"COPY $ {name}t", f"UID COPY $ {name}t",
                        f"MOVE $ {name}t", f"UID MOVE $ {name}t",
                        "UID EXPUNGE $"):
            got = c.ok(command)
            assert len(got) == 1 and b"[" not in got[0], (command, got)
        assert c.ok("SEARCH $")[0] == b"* SEARCH"
        assert c.ok("SORT (DATE) UTF-8 $")[0] == b"* SORT"
        assert c.ok("THREAD REFERENCES UTF-8 $")[0] == b"* THREAD"
        assert c.ok("SEARCH OR $ 2")[0] == b"* SEARCH 2"
        c.ok("SEARCH RETURN (SAVE) SEEN")
    # Also where there is nothing at all.
    c.ok(f"SELECT {name}t")
    c.ok("FETCH $ UID")
    c.ok("UID SEARCH $")


@clause("5182 2.1")
def what_sets_it(c, d):
    box(c)
    c.ok("SEARCH RETURN (SAVE) 2:4")
    for command, status in (
            ("SEARCH 1", "OK"), ("UID SEARCH RETURN (ALL) 1", "OK"),
            ("SORT (DATE) UTF-8 1", "OK"), ("SEARCH OTHER", "BAD"),
            ("SEARCH RETURN (SAVE) OTHER", "BAD"),
            ("SEARCH RETURN (SAVE OTHER) 1", "BAD"),
            ("SEARCH CHARSET X-NONE SUBJECT x", "NO"),
            ("SORT (DATE) X-NONE SUBJECT x", "NO"),
            ("FETCH 1 UID", "OK"), ("STORE 5 +FLAGS (\\Deleted)", "OK"),
            ("NOOP", "OK")):
        assert c.status(command)[0] == status, command
        assert saved(c) == "2:4", command
    for command in ("SEARCH RETURN (SAVE) CHARSET X-NONE SUBJECT x",
                    "UID SEARCH RETURN (SAVE) CHARSET X-NONE SUBJECT x",
                    "SORT RETURN (SAVE) (DATE) X-NONE ALL"):
        c.ok("SEARCH RETURN (SAVE) 2:4")
        assert c.status(command)[0] == "NO", command
        assert saved(c) == "", command
    c.ok("SEARCH RETURN (SAVE) 2:6")
    c.ok("SEARCH RETURN (SAVE) $ NOT 3")
    assert saved(c) == "2,4:6"
    c.ok("SORT RETURN (SAVE) (REVERSE ARRIVAL) UTF-8 $ NOT 5")
    assert saved(c) == "2,4,6"


@clause("5182 2.1")
def when_it_ends(c, d):
    name = box(c)
    for command, left in ((f"SELECT {name}", ""), (f"EXAMINE {name}", ""),
                          ("UNSELECT", None), ("CLOSE", None),
                          ("SELECT nowhere", None)):
        c.ok(f"EXAMINE {name}")
        c.ok("SEARCH RETURN (SAVE) 2:4")
        c.cmd(command)
        if left is None:
            assert c.status("SEARCH $")[0] == "BAD"
            c.ok(f"SELECT {name}")
        assert saved(c) == "", command
    # A SELECT that was none leaves it.
    c.ok("SEARCH RETURN (SAVE) 2:4")
    assert c.status("SELECT")[0] == "BAD"
    assert saved(c) == "2:4"


@clause("5182 2.1")
def who_is_expunged_leaves(c, d):
    name = box(c)
    d.ok(f"SELECT {name}")
    c.ok("SEARCH RETURN (SAVE) 2:6")
    d.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    assert saved(c) == "2:6"            # as long as the client sees them
    c.ok("NOOP")
    assert saved(c) == "1:4"
    d.ok(f"UID MOVE 4 {name}t")
    c.ok("NOOP")
    assert saved(c) == "1:3"
    c.ok(f"MOVE 1 {name}t")
    assert saved(c) == "1:2"
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    assert saved(c) == "1" and c.ok("UID SEARCH $")[0] == b"* SEARCH 6"
    c.ok("ENABLE QRESYNC")
    d.ok("NOOP")
    d.ok("UID STORE 6 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    c.ok("NOOP")
    assert saved(c) == ""


@clause("5182 2.1, 2.2")
def one_after_the_other(c, d):
    """Pipelined, also with literals; example 2."""
    box(c)
    c.send(b"x1 SEARCH RETURN (SAVE) SUBJECT {1+}\r\n3\r\n"
           b"x2 FETCH $ (UID)\r\nx3 SEARCH RETURN (SAVE) OR $ 7\r\n"
           b"x4 STORE $ +FLAGS (\\Seen)\r\nx5 SEARCH RETURN (COUNT) $\r\n")
    assert c.until("x2") == [b"x1 OK Search completed.", b"* 3 FETCH (UID 3)",
                             b"x2 OK Fetch completed."]
    assert len(c.until("x4")) == 4
    assert b"COUNT 2" in c.until("x5")[0]


@clause("5182 2.1, 2.4")
def with_other_options(c, d):
    box(c)
    for options, answer, keeps in (
            ("SAVE", None, "2:5"), ("SAVE MIN", "MIN 2", "2"),
            ("SAVE MAX", "MAX 5", "5"), ("MIN SAVE MAX", "MIN 2 MAX 5", "2,5"),
            ("SAVE COUNT", "COUNT 4", "2:5"),
            ("SAVE MIN COUNT", "MIN 2 COUNT 4", "2:5"),
            ("SAVE ALL", "ALL 2:5", "2:5"),
            ("SAVE MIN MAX ALL COUNT", "MIN 2 MAX 5 COUNT 4 ALL 2:5", "2:5")):
        command = f"SEARCH RETURN ({options}) %s"
        if answer is None:
            assert len(c.ok(command % "2:5")) == 1
        else:
            assert esearch(c, command % "2:5") == answer, options
        assert saved(c) == keeps, options
        c.ok(command % "SEEN")
        assert saved(c) == "", options


# --- RFC 5032 ------------------------------------------------------------------------

@clause("5032 2, 3")
def within(c, d):
    global count
    count += 1
    c.ok(f"CREATE b{count}")
    now = time.time()
    for age in (0, 3600, 86400 * 3, 86400 * 365 * 20):
        t = time.gmtime(now - age)
        c.append(f"b{count}", MSG % b"x", '"%s"' %
                 time.strftime("%d-%b-%Y %H:%M:%S +0000", t))
    c.ok(f"SELECT b{count}")
    for keys, want in (("YOUNGER 1800", "1"), ("OLDER 1800", "2:4"),
                       ("YOUNGER 7200", "1:2"), ("OLDER 7200", "3:4"),
                       ("YOUNGER 4294967295", "1:4"), ("OLDER 4294967295", ""),
                       ("OLDER 1800 YOUNGER 604800", "2:3"),
                       ("NOT YOUNGER 604800", "4"),
                       ("OR YOUNGER 1800 OLDER 604800", "1,4")):
        got = esearch(c, f"SEARCH RETURN (ALL) {keys}")
        assert got.removeprefix("ALL ") == want, (keys, got)
    for bad in ("0", "-1", "4294967296", "x", "", "1:2", '"5"'):
        for key in ("OLDER", "YOUNGER"):
            assert c.status(f"SEARCH {key} {bad}")[0] == "BAD", bad
    assert b" WITHIN" in c.ok("CAPABILITY")[0]


# --- RFC 9051 6.4.4: charsets --------------------------------------------------------

# As MIME calls it; what is written in it; Python's name where that is another.
CHARSETS = (
    ("iso-8859-1", "Köln grüßt"), ("iso-8859-2", "Łódź źrebię"),
    ("iso-8859-3", "Ĉirkaŭ ĵaŭdo"), ("iso-8859-4", "Ķēniņš ģimene"),
    ("iso-8859-5", "Привет мир"), ("iso-8859-6", "مرحبا"),
    ("iso-8859-7", "Καλημέρα"), ("iso-8859-8", "שלום עולם"),
    ("iso-8859-8-i", "שלום", "iso-8859-8"), ("iso-8859-9", "Iğdır şehri"),
    ("iso-8859-10", "Þórður ēģļ"), ("iso-8859-13", "Žąsis ūkis"),
    ("iso-8859-14", "Ŵyneb ŷd"), ("iso-8859-15", "Œuvre 5€"),
    ("iso-8859-16", "Ștefan țară"), ("windows-1250", "Łódź „x“"),
    ("windows-1251", "Привет мир"), ("windows-1252", "“smart” €uro"),
    ("windows-1253", "Καλημέρα"), ("windows-1254", "Iğdır şehri"),
    ("windows-1255", "שלום עולם"), ("windows-1256", "مرحبا"),
    ("windows-1257", "Žąsis"), ("windows-1258", "Đông"),
    ("windows-874", "สวัสดี", "cp874"), ("koi8-r", "Привет мир"),
    ("koi8-u", "Їжак Ґанок"), ("gb2312", "你好世界"), ("gbk", "镕基你好"),
    ("gb18030", "你好㐀世界"), ("big5", "中文電郵"), ("euc-kr", "안녕하세요"),
    ("ks_c_5601-1987", "안녕하세요", "cp949"), ("iso-2022-kr", "안녕하세요"),
    ("shift_jis", "日本語テスト"), ("x-sjis", "日本語テスト", "shift_jis"),
    ("iso-2022-jp", "日本語テスト"), ("euc-jp", "日本語テスト"),
    ("macintosh", "Größe", "mac_roman"), ("ibm850", "Größe", "cp850"),
    ("utf-16", "Grüße 日本"), ("utf-16be", "Grüße 日本"),
    ("utf-16le", "Grüße 日本"), ("utf-7", "Grüße 日本"),
    ("utf-8", "Grüße 日本"))


def mails_of(charset, raw):
    """The bytes in each place, whole and, of encoded words, cut at each byte."""
    def word(b, how):
        text = base64.b64encode(b) if how == b"B" else \
            b"".join(b"=%02X" % x for x in b)
        return b"=?%s?%s?%s?=" % (charset, how, text)

    for how in (b"B", b"Q"):
        yield b"Subject: " + word(raw, how) + b"\r\n\r\nx\r\n"
        for cut in range(1, min(len(raw), 7)):
            yield b"Subject: " + word(raw[:cut], how) + b"\r\n " + \
                word(raw[cut:], how) + b"\r\n\r\nx\r\n"
    for type_, encoding, text in (
            (b"plain", b"base64", base64.b64encode(raw)),
            (b"plain", b"quoted-printable",
             b"".join(b"=%02X=\r\n" % x for x in raw)),
            (b"plain", b"8bit", raw), (b"html", b"8bit", b"<p>" + raw)):
        if encoding != b"8bit" or b"\0" not in raw:
            yield b"MIME-Version: 1.0\r\nContent-Type: text/%s; charset=\"%s\"" \
                b"\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n" % (
                    type_, charset, encoding, text)


@clause("9051 6.4.4")
def charsets(c, d):
    c.ok("CREATE cs")
    c.ok("SELECT cs")
    for name, text, *python in CHARSETS:
        raw = text.encode(python[0] if python else name)
        n = 0
        for m in mails_of(name.encode(), raw):
            c.append("cs", m)
            n += 1
        keys = [("UTF-8", text.encode()), ("utf-8", text.swapcase().encode())]
        if b"\0" not in raw:
            keys.append((name, raw))
        for charset, key in keys:
            if key == text.swapcase().encode() and "ß" in text:
                continue            # casemap has no SS for it
            got = c.ok(b"SEARCH RETURN (COUNT) CHARSET %s TEXT {%d+}\r\n%s" % (
                charset.encode(), len(key), key))[0]
            assert got.endswith(b") COUNT %d" % n), (name, charset, n, got)
        c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        c.ok("EXPUNGE")


@clause("9051 6.4.4, 7.1 BADCHARSET")
def unknown_charsets(c, d):
    box(c, 1)
    for command in ("SEARCH CHARSET X-NONE ALL", "UID SEARCH CHARSET X-NONE ALL",
                    "SORT (DATE) X-NONE ALL", "ESEARCH CHARSET X-NONE ALL",
                    "THREAD REFERENCES X-NONE ALL"):
        status, code = c.status(command)
        assert status == "NO" and code.startswith("BADCHARSET"), command
    for good in ("UTF-8", "US-ASCII", '"utf-8"', "us-ascii"):
        c.ok(f"SEARCH CHARSET {good} TEXT body")


run_all("RFC 5182")
