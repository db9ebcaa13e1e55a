#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""SORT and THREAD, clause by clause: RFC 5256, RFC 5957 (SORT=DISPLAY).

At random, and beside Dovecot: compare/threads.py, compare/compare.py."""
import re

from clauses import clause, run_all

count = 0


def box(c, *heads, body="x"):
    """A mailbox with a message of each head, selected."""
    global count
    count += 1
    c.ok(f"CREATE b{count}")
    for h in heads:
        h = h if isinstance(h, bytes) else h.encode()
        c.append(f"b{count}", h + b"\r\n\r\n" + body.encode() + b"\r\n",
                 '"01-Jan-2001 00:00:00 +0000"')
    c.ok(f"SELECT b{count}")


def order(c, program, keys="ALL", verb="SORT", charset="UTF-8"):
    got = c.ok(f"{verb} {program} {charset} {keys}")
    m = re.match(rb"\* SORT((?: \d+)*)$", got[0])
    assert m and len(got) == 2, got
    return [int(n) for n in m.group(1).split()]


def threads(c, algorithm, keys="ALL", verb="THREAD"):
    got = c.ok(f"{verb} {algorithm} UTF-8 {keys}")
    assert got[0].startswith(b"* THREAD") and len(got) == 2, got
    return got[0][9:].decode()


# --- 2.1: the base subject ---------------------------------------------------------

SAME = """\
foo|FOO|foo |\tfoo|Re: foo|RE: foo|re : foo|re:foo|re:re:re: foo|Re[2]: foo
Fwd: foo|fw: foo|FW: foo|fwd : foo|Fw: Re: foo|Re: [list] foo|re [x]: foo
fwd[x] : foo|[a] foo|[a][b] [c] foo|[a] Re: [b] foo|[a]foo|[] foo|re[]: foo
foo (fwd)|foo (FWD) (fwd) |foo(fwd)|[fwd: foo]|[Fwd: Re: foo (fwd)]
[fwd: [a] foo]|[FWD:foo ]|[x] [fwd: foo]|re: [fwd: [fwd: foo]] (fwd)
=?utf-8?q?Re:_foo?=|=?utf-8?b?UmU6IGZvbw==?=|=?iso-8859-1?q?f?= =?utf-8?q?oo?=
Re: =?us-ascii?q?[Fwd:_foo]?=|Re: \t foo"""
# Each of these is none of the others.
OTHER = ["Reply: foo", "re foo", "AW: foo", "foo bar", "[a]", "[a] [b]",
         "[a[b] foo", "Re: [c]:foo", "re[a[b]: foo", "[fwd: foo] bar",
         "bar [fwd: foo]", "foo (fwd) x", "(fwd) foo", "fwdd: foo", "re;foo",
         "[fwd foo]", "foo: re", "ref: foo", "[re: foo]"]
EMPTY = ["", "re:", "Fwd: ", "(fwd)", "[fwd:]", "[fwd: ]", "[a] re:",
         "re: fw: (fwd)"]


@clause("2.1")
def base_subject(c, d):
    same = SAME.replace("\n", "|").split("|") + ["Re:\r\n foo"]
    box(c, *["Subject: " + s for s in same + OTHER + EMPTY])
    groups = re.findall(r"\((?:[^()]|\(\d+\))*\)",
                        threads(c, "ORDEREDSUBJECT"))
    groups = [[int(n) for n in re.findall(r"\d+", g)] for g in groups]
    all_of = same + OTHER + EMPTY
    want = [list(range(1, len(same) + 1))] + \
        [[len(same) + 1 + i] for i in range(len(OTHER))] + \
        [list(range(len(same) + len(OTHER) + 1, len(all_of) + 1))]
    assert groups == want, [[all_of[n - 1] for n in g] for g in groups
                            if g not in want]


@clause("2.1 (1)")
def whitespace_in_subjects(c, d):
    box(c, "Subject: a b", "Subject: a \t  b", "Subject: a\r\n\tb",
        "Subject: =?utf-8?q?a=09=20b?=", "Subject: ab")
    assert threads(c, "ORDEREDSUBJECT") == "(1 (2)(3)(4))(5)"


@clause("2.1 (4)")
def last_blob_stays(c, d):
    """"Last subj-blob is subj-base if subj-base would otherwise be empty"."""
    box(c, "Subject: [b]", "Subject: re: [b]", "Subject: [x] [b]",
        "Subject: [x] re: [b] ", "Subject: [x][y][b] (fwd)",
        "Subject: [fwd: [b]]")
    assert threads(c, "ORDEREDSUBJECT") == "(1 (2)(3)(4)(5)(6))"


# --- 2.2: the sent date --------------------------------------------------------------

@clause("2.2")
def sent_date(c, d):
    box(c, "Date: Mon, 2 Mar 2026 10:00:00 +0000",          # 1
        "Date: Mon, 2 Mar 2026 10:30:00 +0100",             # 2 09:30
        "Date: Mon, 2 Mar 2026 04:00:00 -0700",             # 3 11:00
        "Date: Mon, 2 Mar 2026 09:45:00 XYZ",               # 4 UTC
        "Date: Mon, 2 Mar 2026 09:15:00 +9999",             # 5 UTC
        "Date: Mon, 2 Mar 2026 09:00:00",                   # 6 UTC
        "Date: Mon, 2 Mar 2026 25:61:00 +0000",             # 7 00:00
        "Date: 2 Mar 2026",                                 # 8 00:00
        "Date: Mon, 2 Mar 2026 nonsense",                   # 9 00:00
        "Date: Mon, 2 Mar 2026 00:01:00 +0000",             # 10
        "Date: nonsense", "X: none", "Date: 30 Feb 2026 10:00:00 +0000",
        "Date:")                                # 11 to 14: INTERNALDATE
    assert order(c, "(DATE)") == [11, 12, 13, 14, 7, 8, 9, 10, 6, 5, 2, 4, 1,
                                  3]
    assert order(c, "(REVERSE DATE)") == [3, 1, 4, 2, 5, 6, 10, 7, 8, 9, 11,
                                          12, 13, 14]
    # SEARCH disregards time and zone.
    assert c.ok("SEARCH SENTON 2-Mar-2026")[0] == \
        b"* SEARCH 1 2 3 4 5 6 7 8 9 10"


@clause("2.2")
def the_tie_breaker_is_the_mailbox(c, d):
    date = "Date: 2 Mar 2026 %s\r\nSubject: %s"
    box(c, date % ("12:00:00 +0200", "b"), date % ("10:00:00 +0000", "a"),
        date % ("03:00:00 -0700", "b"), date % ("10:00:00 GMT", "a"))
    assert order(c, "(DATE)") == order(c, "(REVERSE DATE)") == [1, 2, 3, 4]
    assert order(c, "(SUBJECT REVERSE DATE)") == [2, 4, 1, 3]
    assert threads(c, "ORDEREDSUBJECT") == "(1 3)(2 4)"


# --- 3: SORT -------------------------------------------------------------------------

@clause("BASE.6.4.SORT")
def charsets_and_what_is_refused(c, d):
    box(c, "Subject: b", "Subject: K\xf6ln", "Subject: a")
    for charset in ("US-ASCII", "UTF-8", '"utf-8"', "us-ascii"):
        assert order(c, "(SUBJECT)", charset=charset) == [3, 1, 2]
    assert c.status("SORT (DATE) X-NONE ALL")[0] == "NO"
    assert c.status("THREAD REFERENCES X-NONE ALL")[0] == "NO"
    assert order(c, "(SUBJECT)", 'TEXT "not in mailbox"') == []
    assert order(c, "(subject)", "1,3", verb="UID SORT") == [3, 1]
    for bad in ("SORT () UTF-8 ALL", "SORT (OTHER) UTF-8 ALL",
                "SORT (REVERSE) UTF-8 ALL", "SORT SUBJECT UTF-8 ALL",
                "SORT (REVERSE REVERSE DATE) UTF-8 ALL", "SORT (DATE) UTF-8",
                "SORT (DATE) ALL", "SORT (DATE DATE UTF-8 ALL", "SORT",
                "THREAD REFERENCES UTF-8", "THREAD OTHER UTF-8 ALL",
                "THREAD (REFERENCES) UTF-8 ALL"):
        assert c.status(bad)[0] == "BAD", bad


@clause("BASE.6.4.SORT")
def each_criterion(c, d):
    box(c, "From: b@x\r\nTo: c@x\r\nCc: a@x\r\nSubject: m",
        "From: C@x\r\nTo: a@x, z@x\r\nSubject: l\r\nX-Fill: " + "x" * 50,
        "From: \"Zed\" <a@z>\r\nTo: group: b@x;\r\nCc: B@x\r\nSubject: N",
        "To: b@x\r\nCc: c@x")
    # What is absent is the empty string, and that comes first.
    for program, want in (("FROM", [4, 3, 1, 2]), ("TO", [2, 4, 1, 3]),
                          ("CC", [2, 1, 3, 4]), ("SUBJECT", [4, 2, 1, 3]),
                          ("SIZE", [4, 1, 3, 2]), ("ARRIVAL", [1, 2, 3, 4]),
                          ("REVERSE FROM", [2, 1, 3, 4]),
                          ("REVERSE ARRIVAL", [1, 2, 3, 4]),
                          ("ARRIVAL REVERSE SIZE", [2, 3, 1, 4])):
        assert order(c, f"({program})") == want, (program,
                                                  order(c, f"({program})"))
    c.append(f"b{count}", b"X: y\r\n\r\nx\r\n", '"31-Dec-2000 23:59:00 +0000"')
    assert order(c, "(ARRIVAL)") == [5, 1, 2, 3, 4]


@clause("BASE.6.4.SORT, BASE.6.4.THREAD")
def expunges_wait(c, d):
    box(c, "Subject: a", "Subject: b", "Subject: c", "Subject: d")
    d.ok(f"SELECT b{count}")
    for command in ("SORT (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"):
        d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        d.ok("EXPUNGE")
        assert not any(x.endswith(b"EXPUNGE") for x in c.ok(command)), command
        got = c.ok("UID " + command)
        assert b"* 1 EXPUNGE" in got, got


@clause("7")
def unicode_casemap(c, d):
    subjects = ("Äpfel", "äPFEL", "ÄPFEL", "A\u0308pfel", "Привет", "ПРИВЕТ",
                "Straße", "apfel")
    box(c, *["Subject: " + s for s in subjects])
    assert threads(c, "ORDEREDSUBJECT") == "(1 (2)(3)(4))(5 6)(7)(8)"
    assert order(c, "(SUBJECT)") == [8, 1, 2, 3, 4, 7, 5, 6]


# --- 3: THREAD -----------------------------------------------------------------------

def mail(n, subject="", refs=(), reply="", date=None):
    out = f"Message-ID: <{n}@x>\r\n" if n is not None else ""
    out += f"Subject: {subject}\r\nDate: 2 Mar 2026 10:%02d:00 +0000" % (
        date if date is not None else int(n) if str(n).isdigit() else 0)
    if refs:
        out += "\r\nReferences: " + " ".join(f"<{r}@x>" for r in refs)
    if reply:
        out += "\r\nIn-Reply-To: " + reply
    return out


@clause("BASE.6.4.THREAD")
def ordered_subject(c, d):
    box(c, mail(5, "b"), mail(3, "Re: a"), mail(1, "b"), mail(2, "a"),
        mail(4, "Re: b"))
    assert threads(c, "ORDEREDSUBJECT") == "(3 (5)(1))(4 2)"
    assert threads(c, "ORDEREDSUBJECT", "1:2") == "(2)(1)"
    assert threads(c, "ORDEREDSUBJECT", "TEXT gewp") == ""
    assert threads(c, "REFERENCES", "TEXT gewp", "UID THREAD") == ""


@clause("REFERENCES")
def which_references(c, d):
    # With quotes or without it is the same id; case matters.
    box(c, "Message-ID: <\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>",
        "In-Reply-To: <01KF8JCEOCBS0045PS@xxx.yyy.com>",
        "In-Reply-To: <01kf8jceocbs0045ps@xxx.yyy.com>")
    assert threads(c, "REFERENCES") == "(1 2)(3)"
    # References first; In-Reply-To when there is no valid id in it; of that
    # one the first.
    box(c, mail(1), mail(2), mail(3, refs=["1"], reply="<2@x>"),
        mail(4, reply="<2@x> <1@x>") + "\r\nReferences: none <> <x",
        mail(5, reply="your mail of monday, joe <joe> <1@x>"))
    assert threads(c, "REFERENCES") == "(1 (3)(5))(2 4)"


@clause("REFERENCES (1)")
def linking(c, d):
    # An id that two have is the first one's.
    box(c, mail(1), mail(1, date=2), mail(3, refs=["1"]))
    assert threads(c, "REFERENCES") == "(1 3)(2)"
    # A chain through what is not there; siblings of it.
    box(c, mail(1), mail(4, refs=["1", "2", "3"]), mail(5, refs=["1", "2"]))
    assert threads(c, "REFERENCES") == "(1 (2)(3))"
    # A link that is there stays (A); the message's own is put right (B).
    box(c, mail(1), mail(2, refs=["1"]), mail(3, refs=["2", "1"]),
        mail(4, refs=["3", "2"]))
    assert threads(c, "REFERENCES") == "(1 (2 4)(3))"
    # No loops.
    box(c, mail(1, refs=["2"]), mail(2, refs=["1"]), mail(3, refs=["3"]))
    assert threads(c, "REFERENCES") in ("(2 1)(3)", "(1 2)(3)")


@clause("REFERENCES (3), (4), (6)")
def dummies(c, d):
    # Children of what is not there, in order, below nothing.
    box(c, mail(3, refs=["0"]), mail(2, refs=["0"]), mail(1, "z"))
    assert threads(c, "REFERENCES") == "(3)((2)(1))"
    # One child alone takes its place.
    box(c, mail(2, refs=["0", "7", "8"]), mail(1, "z"))
    assert threads(c, "REFERENCES") == "(2)(1)"


@clause("REFERENCES (5)")
def same_subjects(c, d):
    # A reply goes below what is none, whichever comes first.
    box(c, mail(2, "s"), mail(1, "Re: s"), mail(3, "RE: S"))
    assert threads(c, "REFERENCES") == "(1 (2)(3))"
    # Two that are none, or two replies, are siblings of nothing.
    box(c, mail(1, "s"), mail(2, "s"))
    assert threads(c, "REFERENCES") == "((1)(2))"
    box(c, mail(1, "re: s"), mail(2, "fwd: s"), mail(3, "s (fwd)"))
    assert threads(c, "REFERENCES") == "((1)(2)(3))"
    # Empty subjects join nothing.
    box(c, mail(1, ""), mail(2, "Re:"), mail(3, ""))
    assert threads(c, "REFERENCES") == "(1)(2)(3)"
    # What hangs on nothing takes others in, and joins with its like.
    box(c, mail(1, "re: s", refs=["0"]), mail(2, "re: s", refs=["0"]),
        mail(3, "s"), mail(4, "re: s", refs=["9"]),
        mail(5, "re: s", refs=["9"]))
    assert threads(c, "REFERENCES") == "((1)(2)(3)(4)(5))"


@clause("BASE.7.2.THREAD")
def its_form(c, d):
    refs = {4: "36", 5: "364", 6: "3", 7: "36"}
    box(c, *[mail(n, refs=refs.get(n, "")) for n in range(1, 8)])
    for keys, want in (("2:7", "(2)(3 6 (4 5)(7))"), ("2:3,6:7", "(2)(3 6 7)"),
                       ("4:5,7", "((4 5)(7))"), ("2", "(2)"),
                       ("1:3", "(1)(2)(3)")):
        assert threads(c, "REFERENCES", keys) == want, keys
    c.append(f"b{count}", mail(8, refs="8").encode() + b"\r\n\r\nx\r\n")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    assert threads(c, "REFERENCES") == "(1)(2 5 (3 4)(6))(7)"
    assert threads(c, "REFERENCES", "2:6", "UID THREAD") == "(3 6 (4 5)(7))"


# --- RFC 5957 ------------------------------------------------------------------------

@clause("5957 3, 4, 7")
def display(c, d):
    """The name, decoded; or mailbox@host; or the mailbox; or nothing."""
    for field in ("From", "To"):
        box(c, f"{field}: Bob <z@x>", f"{field}: =?utf-8?q?=C3=81d=C3=A1m?= "
            "<y@x>", f"{field}: carol@example.org", f"{field}: \"anne\" <q@x>",
            f"{field}: \"\" <aaron@example.org>", "X: none",
            f"{field}: zoe@x, anne <a@x>", f"{field}: BOB <a@x>")
        # A letter with an accent is a letter and an accent (RFC 5051).
        got = order(c, f"(DISPLAY{field})")
        assert got == [6, 5, 4, 2, 1, 8, 3, 7], (field, got)
        assert order(c, f"(REVERSE DISPLAY{field})")[-1] == 6
    assert b" SORT=DISPLAY" in c.ok("CAPABILITY")[0]


run_all("RFC 5256")
