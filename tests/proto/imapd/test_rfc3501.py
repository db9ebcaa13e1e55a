#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 3501, where it asks for more, or for something else, than RFC 9051:
what a client sees that enables nothing.  The rest is test_rfc9051.py."""
import re

from clauses import clause, run_all, untagged
from imaptalk import parse

MSG = (b"From: Fred <f@example.org>\r\nTo: a@example.org\r\nSubject: one\r\n"
       b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nbody\r\n")


def box(c, name, n=1, flags="", select=True):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG, flags)
    return c.ok(f"SELECT {name}") if select else None


@clause("2.3.2")
def recent_is_for_the_first_to_see_it(c, d):
    got = box(c, "a1", 2)
    assert b"* 2 RECENT" in got, got
    assert b"\\Recent" in c.ok("FETCH 1 FLAGS")[0]
    assert b"* 0 RECENT" in d.ok("SELECT a1")
    assert b"\\Recent" not in d.ok("FETCH 1 FLAGS")[0]
    # "This flag can not be altered by the client."
    for text in ("STORE 1 +FLAGS (\\Recent)", "STORE 1 FLAGS \\Recent",
                 "APPEND a1 (\\Recent) {4+}\r\nA: b"):
        assert c.status(text)[0] == "BAD", text
    assert b"\\Recent" in c.ok("STORE 1 FLAGS ()")[0]
    # One that was delivered while nobody looks, with EXAMINE: stays recent.
    c.ok("UNSELECT")
    c.append("a1", MSG)
    assert b"* 1 RECENT" in d.ok("EXAMINE a1")
    assert b"* 1 RECENT" in c.ok("SELECT a1")
    assert b"* 0 RECENT" in d.ok("SELECT a1")


@clause("2.3.2, 6.4.4")
def recent_new_and_old(c, d):
    box(c, "a2", 2)
    c.ok("UNSELECT")
    c.append("a2", MSG)
    c.append("a2", MSG, "(\\Seen)")
    c.ok("SELECT a2")
    for key, want in (("RECENT", b" 3 4"), ("OLD", b" 1 2"), ("NEW", b" 3"),
                      ("NOT RECENT", b" 1 2"), ("NOT NEW", b" 1 2 4")):
        assert c.ok("SEARCH " + key)[0] == b"* SEARCH" + want, key


@clause("5.2, 7.3.1")
def sizes_are_said_as_they_grow(c, d):
    box(c, "a3")
    d.append("a3", MSG)
    got = c.ok("NOOP")
    assert got[:2] == [b"* 2 EXISTS", b"* 2 RECENT"], got


@clause("6.3.1")
def what_select_says(c, d):
    got = box(c, "b1", 2, "(\\Seen)")
    assert not any(b"[UNSEEN" in x for x in got), "there is none"
    c.append("b1", MSG)
    got = c.ok("SELECT b1")
    assert any(x.startswith(b"* OK [UNSEEN 3]") for x in got), got
    assert len(untagged(got, b"FLAGS")) == 1
    for code in (b"PERMANENTFLAGS", b"UIDNEXT", b"UIDVALIDITY"):
        assert len([x for x in got if b"OK [" + code in x]) == 1, code


@clause("6.3.9")
def lsub_with_percent(c, d):
    """"foo" is not subscribed, "foo/bar" is: LSUB % says \\Noselect foo."""
    c.ok("CREATE foo/bar")
    c.ok("SUBSCRIBE foo/bar")
    assert c.ok('LSUB "" foo%')[:-1] == [b'* LSUB (\\Noselect) "/" foo']
    assert c.ok('LSUB "" foo*')[:-1] == [b'* LSUB () "/" foo/bar']
    c.ok("SUBSCRIBE foo")
    assert c.ok('LSUB "" foo%')[:-1] == [b'* LSUB () "/" foo']
    # "MUST NOT unilaterally remove an existing mailbox name", once deleted.
    c.ok("DELETE foo/bar")
    assert c.ok('LSUB "" foo*')[:-1] == [b'* LSUB () "/" foo',
                                         b'* LSUB () "/" foo/bar']
    c.ok("UNSUBSCRIBE foo/bar")
    assert c.ok('LSUB "" foo*')[:-1] == [b'* LSUB () "/" foo']
    # Nothing changes for LIST.
    assert not untagged(c.ok('LIST "" foo/*'), b"LIST")


@clause("6.3.10")
def status_recent(c, d):
    """"STATUS ... does not ... cause messages to lose \\Recent"."""
    box(c, "b2", 2, select=False)
    for _ in range(2):
        assert c.ok("STATUS b2 (RECENT MESSAGES)")[0] == \
            b"* STATUS b2 (MESSAGES 2 RECENT 2)"
    assert b"* 2 RECENT" in c.ok("SELECT b2")
    assert d.ok("STATUS b2 (RECENT)")[0] == b"* STATUS b2 (RECENT 0)"


@clause("6.4.1")
def check_and_noop(c, d):
    box(c, "c1", 2)
    d.ok("SELECT c1")
    d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    d.append("c1", MSG)
    got = c.ok("CHECK")
    assert got[0] == b"* 1 EXPUNGE" and b"* 2 EXISTS" in got, got
    assert c.status("CHECK x")[0] == "BAD"


@clause("6.4.4")
def search_always_answers(c, d):
    """"REQUIRED untagged response: SEARCH", also when nothing is found."""
    box(c, "d1")
    for text in ("SEARCH SEEN", "UID SEARCH SEEN", "SEARCH 2", "SEARCH NOT ALL",
                 "SEARCH SINCE 1-Jan-2200"):
        assert c.ok(text)[:-1] == [b"* SEARCH"], text
    assert c.ok("SORT (DATE) UTF-8 SEEN")[:-1] == [b"* SORT"]
    assert c.ok("THREAD REFERENCES UTF-8 SEEN")[:-1] == [b"* THREAD"]


@clause("6.4.5")
def the_old_items(c, d):
    box(c, "e1")
    header, text = MSG.split(b"\r\n\r\n")
    header += b"\r\n\r\n"
    # RFC822.HEADER does not set \\Seen, RFC822.TEXT and RFC822 do.
    got = parse(c.ok("FETCH 1 RFC822.HEADER")[0])[3]
    assert got == ["RFC822.HEADER", header], got
    assert b"\\Seen" not in c.ok("FETCH 1 FLAGS")[0]
    got = parse(c.ok("FETCH 1 RFC822.TEXT")[0])[3]
    assert dict(zip(got[::2], got[1::2]))["RFC822.TEXT"] == text, got
    assert "\\Seen" in dict(zip(got[::2], got[1::2]))["FLAGS"], got
    c.ok("STORE 1 -FLAGS (\\Seen)")
    got = parse(c.ok("FETCH 1 (RFC822 RFC822.SIZE)")[0])[3]
    got = dict(zip(got[::2], got[1::2]))
    assert got["RFC822"] == MSG and got["RFC822.SIZE"] == str(len(MSG)) and \
        "\\Seen" in got["FLAGS"], got
    # Macros are alone, and do not ask for what sets it.
    c.ok("STORE 1 -FLAGS (\\Seen)")
    for macro, items in (
            ("FAST", {"FLAGS", "INTERNALDATE", "RFC822.SIZE"}),
            ("ALL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"}),
            ("FULL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE",
                      "BODY"})):
        got = parse(c.ok(f"FETCH 1 {macro}")[0])[3]
        assert set(got[::2]) == items, got
        for bad in (f"FETCH 1 ({macro})", f"FETCH 1 ({macro} UID)",
                    f"FETCH 1 {macro} UID"):
            assert c.status(bad)[0] == "BAD", bad
    assert b"\\Seen" not in c.ok("FETCH 1 FLAGS")[0]


@clause("6.4.8, 9")
def star_is_the_last(c, d):
    """"The largest number in use", also where the other end is larger."""
    box(c, "f1", 3)
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    for text, want in (("UID FETCH * FLAGS", [2]), ("FETCH *:1 FLAGS", [1, 2]),
                       ("UID FETCH 559:* FLAGS", [2]),
                       ("UID FETCH *:559 FLAGS", [2]),
                       ("UID FETCH 1:2 FLAGS", [1]),
                       ("UID FETCH 1 FLAGS", []), ("FETCH 2,1 FLAGS", [1, 2])):
        got = [int(x.split()[1]) for x in untagged(c.ok(text), b"FETCH")]
        assert got == want, (text, got)
    # The UID is said in the answer to UID FETCH, asked for or not.
    assert b"UID 3" in c.ok("UID FETCH 3 (FLAGS)")[0]
    assert b"UID 3" in c.ok("UID STORE 3 +FLAGS (\\Seen)")[0]
    # None in an empty mailbox (differs: sequence numbers are BAD there).
    box(c, "f2", 0)
    for text in ("UID FETCH 1:* FLAGS", "UID FETCH * FLAGS",
                 "UID STORE 1:* FLAGS ()", "UID COPY * INBOX",
                 "UID EXPUNGE 1:*"):
        assert len(c.ok(text)) == 1, text


@clause("7.4.1")
def expunges_wait(c, d):
    """Not "in response to FETCH, STORE and SEARCH", nor between commands."""
    box(c, "g1", 4)
    d.ok("SELECT g1")
    d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    for text in ("FETCH 1:4 UID", "STORE 2:3 +FLAGS (\\Seen)", "SEARCH ALL",
                 "SEARCH 1:4", "SORT (DATE) UTF-8 ALL", "FETCH 4 UID"):
        got = c.ok(text)
        assert not untagged(got, b"EXPUNGE"), (text, got)
        # Until then numbers mean what they meant.
        if text == "FETCH 4 UID":
            assert got[0] == b"* 4 FETCH (UID 4)", got
    assert untagged(c.ok("NOOP"), b"EXPUNGE") == [b"* 1 EXPUNGE"]
    assert c.ok("FETCH 3 UID")[0] == b"* 3 FETCH (UID 4)"


@clause("7.1")
def codes(c, d):
    box(c, "h1")
    assert c.status("SELECT none")[0] == "NO"
    for text in ("COPY 1 none", "APPEND none {4+}\r\nA: b"):
        c.ok("SELECT h1")
        assert c.status(text) == ("NO", "TRYCREATE"), text
    code = c.status("SEARCH CHARSET X-NONE ALL")
    assert re.match(r"BADCHARSET \(", code[1]), code
    assert c.ok("SELECT h1")[-1].split()[2] == b"[READ-WRITE]"
    assert c.ok("EXAMINE h1")[-1].split()[2] == b"[READ-ONLY]"


run_all("RFC 3501")
