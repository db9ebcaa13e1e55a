#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Searches, clause by clause: RFC 5267 (ESORT, CONTEXT), RFC 7377 (ESEARCH in
several mailboxes), RFC 9394 (PARTIAL), RFC 9585 (INPROGRESS).

More of it is in test_context.py and, at random, in test_model.py."""
import re
import shutil

from clauses import clause, engine_of, run_all, untagged
from imaptalk import Engine

guest = engine_of("guest")
# Each step of a long command is told of, not one in ten seconds.
busy = engine_of(None, "imapd_progress_interval=0")


def msg(subject, body=b"body"):
    return b"From: a@b\r\nSubject: %s\r\n\r\n%s\r\n" % (subject, body)


def box(c, name, subjects=(b"d", b"b", b"f", b"c", b"h"), select=True):
    c.ok(f"CREATE {name}")
    for s in subjects:
        c.append(name, msg(s))
    if select:
        c.ok(f"SELECT {name}")


def esearch(lines):
    """The ESEARCH lines without their tags."""
    return [re.sub(rb"\(TAG \"[^\"]*\"", b"(T", x)[10:] for x in lines
            if x.startswith(b"* ESEARCH ")]


# --- RFC 5267 3 -------------------------------------------------------------------

@clause("5267 3, 3.1")
def sort_with_return(c, d):
    box(c, "a1")            # by subject: 2 4 1 3 5
    for options, want in (
            ("()", b"(T) ALL 2,4,1,3,5"), ("(ALL)", b"(T) ALL 2,4,1,3,5"),
            ("(MIN)", b"(T) MIN 2"), ("(MAX)", b"(T) MAX 5"),
            ("(COUNT)", b"(T) COUNT 5"),
            ("(MIN MAX COUNT)", b"(T) MIN 2 MAX 5 COUNT 5"),
            ("(PARTIAL 2:3)", b"(T) PARTIAL (2:3 4,1)"),
            ("(PARTIAL -1:-2 COUNT)", b"(T) COUNT 5 PARTIAL (-1:-2 3,5)")):
        got = c.ok(f"SORT RETURN {options} (SUBJECT) UTF-8 ALL")
        assert esearch(got) == [want] and not untagged(got, b"SORT"), got
    assert esearch(c.ok("SORT RETURN (MIN MAX COUNT ALL) (SUBJECT) UTF-8 "
                        "SEEN")) == [b"(T) COUNT 0"]
    got = c.ok("UID SORT RETURN () (SUBJECT) UTF-8 ALL")
    assert esearch(got) == [b"(T) UID ALL 2,4,1,3,5"], got
    assert c.ok("SORT (SUBJECT) UTF-8 ALL")[0] == b"* SORT 2 4 1 3 5"


@clause("5267 3.2")
def ranges_ascend(c, d):
    box(c, "a2", (b"e", b"d", b"c", b"b", b"f", b"g"))
    got = esearch(c.ok("SORT RETURN () (SUBJECT) UTF-8 ALL"))
    assert got == [b"(T) ALL 4,3,2,1,5:6"], got


# --- RFC 5267 4 -------------------------------------------------------------------

@clause("5267 4.2")
def context_is_a_hint(c, d):
    box(c, "b1")
    assert esearch(c.ok("SEARCH RETURN (CONTEXT COUNT) UNSEEN")) == \
        [b"(T) COUNT 5"]
    assert esearch(c.ok("SORT RETURN (CONTEXT) (SUBJECT) UTF-8 ALL")) == \
        [b"(T) ALL 2,4,1,3,5"]
    # It promises nothing.
    assert not esearch(c.ok("STORE 1 +FLAGS (\\Seen)"))


@clause("5267 4.3")
def a_tag_is_used_once(c, d):
    box(c, "b2")
    c.send(b"x1 SEARCH RETURN (UPDATE) SEEN\r\n")
    c.until("x1")
    for text in ("SEARCH RETURN (UPDATE) ALL", "UID SEARCH RETURN (UPDATE) ALL",
                 "SORT RETURN (UPDATE) (DATE) UTF-8 ALL",
                 "ESEARCH RETURN (UPDATE) ALL"):
        c.send(f"x1 {text}\r\n")
        got = c.until("x1")
        assert b" BAD " in got[-1] and not esearch(got), (text, got)
    # "Is rejected, and has no effect."
    assert esearch(c.ok("STORE 1 +FLAGS (\\Seen)")) == [b"(T) ADDTO (0 1)"]


@clause("5267 4.3")
def updates_are_of_all_whatever_is_shown(c, d):
    box(c, "b3")
    for options in ("UPDATE MIN", "UPDATE PARTIAL 1:1", "UPDATE COUNT SAVE"):
        c.ok(f"SEARCH RETURN ({options}) SEEN")
    assert esearch(c.ok("STORE 4 +FLAGS (\\Seen)")) == \
        [b"(T) ADDTO (0 4)"] * 3
    # They end with the mailbox.
    c.ok("EXAMINE b3")
    d.ok("SELECT b3")
    d.ok("STORE 1 +FLAGS (\\Seen)")
    assert not esearch(c.ok("NOOP"))


@clause("5267 4.3.1")
def refused_updates(c, d):
    """An untagged NO; what else was asked for is answered all the same."""
    box(c, "b4")
    tags = []
    while True:
        tag = c.start("SEARCH RETURN (UPDATE COUNT) ALL")
        got = c.until(tag)
        assert esearch(got) == [b"(T) COUNT 5"] and b" OK " in got[-1], got
        if any(x.startswith(b'* NO [NOUPDATE "%s"]' % tag.encode())
               for x in got):
            break
        tags.append(tag)
    assert len(tags) > 1
    # A place that is free again can be had.
    c.ok(f'CANCELUPDATE "{tags[0]}"')
    got = c.ok("SEARCH RETURN (UPDATE COUNT) ALL")
    assert not any(b"NOUPDATE" in x for x in got), got


@clause("5267 4.3.3, 4.3.4")
def order_of_what_is_told(c, d):
    box(c, "b5", (b"hot", b"cold"))
    c.ok("SEARCH RETURN (UPDATE ALL) SUBJECT hot")
    d.append("b5", msg(b"hot"))
    got = c.ok("NOOP")
    at = [i for i, x in enumerate(got) if b"ADDTO" in x][0]
    assert got.index(b"* 3 EXISTS") < at, got
    d.ok("SELECT b5")
    d.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    got = c.ok("NOOP")
    at = [i for i, x in enumerate(got) if b"REMOVEFROM" in x]
    assert len(at) == 1 and b"REMOVEFROM (0 1,3)" in got[at[0]] and \
        at[0] < got.index(b"* 1 EXPUNGE"), got


@clause("5267 4.3.5")
def cancelupdate(c, d):
    box(c, "b6")
    for text, want in (("CANCELUPDATE", "BAD"), ("CANCELUPDATE x", "BAD"),
                       ('CANCELUPDATE "x" y', "BAD"),
                       ('CANCELUPDATE ("x")', "BAD"),
                       ('CANCELUPDATE "none"', "OK"),
                       ('CANCELUPDATE "x" "y"', "OK")):
        assert c.status(text)[0] == want, text
    c.send(b"y1 SEARCH RETURN (UPDATE) SEEN\r\n")
    c.until("y1")
    c.ok('CANCELUPDATE "y1"')
    c.send(b"y1 SEARCH RETURN (UPDATE) SEEN\r\n")
    assert b" OK " in c.until("y1")[-1], "its tag is free again"
    c.ok("UNSELECT")
    assert c.status('CANCELUPDATE "y1"')[0] == "BAD"


@clause("5267 4.4; 9394 3.1")
def partial(c, d):
    box(c, "b7")
    for command, want in (
            ("SEARCH RETURN (PARTIAL 2:3) ALL", b"PARTIAL (2:3 2:3)"),
            ("SEARCH RETURN (PARTIAL 3:2) ALL", b"PARTIAL (2:3 2:3)"),
            ("SEARCH RETURN (PARTIAL 4:100) ALL", b"PARTIAL (4:100 4:5)"),
            ("SEARCH RETURN (PARTIAL 6:7) ALL", b"PARTIAL (6:7 NIL)"),
            ("SEARCH RETURN (PARTIAL 1:1) SEEN", b"PARTIAL (1:1 NIL)"),
            ("SEARCH RETURN (PARTIAL -5:-9) ALL", b"PARTIAL (-5:-9 1)"),
            ("SEARCH RETURN (PARTIAL -6:-9) ALL", b"PARTIAL (-6:-9 NIL)")):
        assert esearch(c.ok(command)) == [b"(T) " + want], command
    for bad in ("PARTIAL 1:2 PARTIAL 3:4", "ALL PARTIAL 1:2", "PARTIAL",
                "PARTIAL 1:2 ALL", "PARTIAL 0:1", "PARTIAL 1:*", "PARTIAL 1",
                "PARTIAL -1:2", "PARTIAL 1,2", "PARTIAL 1:4294967296"):
        assert c.status(f"SEARCH RETURN ({bad}) ALL")[0] == "BAD", bad


# --- RFC 5465 5.2, 7: with NOTIFY ---------------------------------------------------

@clause("5465 7")
def data_of_new_messages(c, d):
    """EXISTS, FETCH, then ESEARCH (5.2 has the last two the other way round,
    its examples and 7 do not); only for what others put there."""
    box(c, "c1", (b"boss",))
    c.ok("SEARCH RETURN (COUNT UPDATE(UID)) SUBJECT boss")
    d.append("c1", msg(b"boss"))
    d.append("c1", msg(b"else"))
    got = c.ok("NOOP")
    assert [x for x in got if b"FETCH" in x] == [b"* 2 FETCH (UID 2)"], got
    at = [i for i, x in enumerate(got) if b"ADDTO (0 2)" in x][0]
    assert got.index(b"* 3 EXISTS") < got.index(b"* 2 FETCH (UID 2)") < at
    got = c.append("c1", msg(b"boss"))
    assert esearch(got) == [b"(T) ADDTO (0 4)"] and \
        not untagged(got, b"FETCH"), got
    # Who joins with other flags is not new.
    c.ok("UID SEARCH RETURN (UPDATE (UID ENVELOPE)) FLAGGED")
    d.ok("SELECT c1")
    d.ok("STORE 1 +FLAGS (\\Flagged)")
    got = c.ok("NOOP")
    assert esearch(got) == [b"(T) UID ADDTO (0 1)"] and \
        not any(b"ENVELOPE" in x for x in got), got


@clause("5465 5.2")
def one_fetch_for_all_of_them(c, d):
    """What NOTIFY and several results want to see comes together, once."""
    box(c, "c2", (b"boss",))
    c.ok("NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge))")
    c.ok("SEARCH RETURN (COUNT UPDATE (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
         ") SUBJECT boss")
    c.ok("UID SEARCH RETURN (UPDATE (RFC822.SIZE BODY.PEEK[HEADER.FIELDS "
         "(subject)] BODY.PEEK[HEADER.FIELDS (FROM)])) FROM a@b")
    c.ok("SEARCH RETURN (UPDATE (ENVELOPE)) SUBJECT else")
    d.append("c2", msg(b"boss"))
    got = [c.line() for _ in range(5)]
    assert got[0] == b"* 2 EXISTS" and got[1].endswith(b"RECENT"), got
    fetch = untagged(got, b"FETCH")
    assert fetch == [
        b"* 2 FETCH (UID 2 FLAGS (\\Recent) BODY[HEADER.FIELDS (SUBJECT)] "
        b"{17}\r\nSubject: boss\r\n\r\n RFC822.SIZE 34 "
        b"BODY[HEADER.FIELDS (FROM)] {13}\r\nFrom: a@b\r\n\r\n)"], fetch
    assert esearch(got[3:]) == [b"(T) ADDTO (0 2)", b"(T) UID ADDTO (0 2)"], got
    # One that only NOTIFY wants, and one that joins two results.
    d.append("c2", b"Subject: other\r\n\r\nx\r\n")
    got = [c.line() for _ in range(3)]
    assert untagged(got, b"FETCH") == [
        b"* 3 FETCH (UID 3 FLAGS (\\Recent))"], got


# --- RFC 7377 -----------------------------------------------------------------------

def boxes_of(lines):
    found = {}
    for x in untagged(lines, b"ESEARCH"):
        # Each correlator once; UIDs, whatever was asked for (2.1).
        m = re.match(rb'\* ESEARCH \(TAG "\w+" MAILBOX (\S+|"[^"]*") '
                     rb'UIDVALIDITY \d+\) UID (.*)$', x)
        assert m, x
        assert m.group(1) not in found, "one answer for each mailbox"
        found[m.group(1).decode().strip('"')] = m.group(2).decode()
    assert not untagged(lines, b"SEARCH"), lines
    return found


@clause("7377 2")
def numbers_beyond_the_end(c, d):
    box(c, "d1")
    for command in ("ESEARCH 1:100", "ESEARCH 101:200", "ESEARCH 7",
                    "ESEARCH IN (selected) 4:900", "SEARCH 101:200",
                    "SEARCH 7", "UID SEARCH 3:77", "UID SEARCH UID 900:901"):
        assert c.status(command)[0] == "OK", command
    assert boxes_of(c.ok("ESEARCH 4:100")) == {"d1": "ALL 4:5"}
    assert boxes_of(c.ok("ESEARCH 101:200")) == {}


@clause("7377 2.1")
def only_where_something_was_found(c, d):
    box(c, "d2/x", (b"one", b"two"), select=False)
    box(c, "d2/y", (b"two",), select=False)
    for options, x, y in (("", "ALL 2", "ALL 1"),
                          ("RETURN () ", "ALL 2", "ALL 1"),
                          ("RETURN (COUNT) ", "COUNT 1", "COUNT 1"),
                          ("RETURN (MIN MAX) ", "MIN 2 MAX 2", "MIN 1 MAX 1"),
                          ("RETURN (CONTEXT COUNT) ", "COUNT 1", "COUNT 1")):
        got = boxes_of(c.ok(f"ESEARCH IN (subtree d2) {options}SUBJECT two"))
        assert got == {"d2/x": x, "d2/y": y}, got
        assert boxes_of(c.ok(f"ESEARCH IN (subtree d2) {options}SUBJECT "
                             "one")).keys() == {"d2/x"}
        assert boxes_of(c.ok(f"ESEARCH IN (subtree d2) {options}SUBJECT "
                             "three")) == {}
    # A mailbox that two sources name is searched once.
    assert len(boxes_of(c.ok("ESEARCH IN (mailboxes (d2/x d2/x) subtree d2 "
                             "personal) SUBJECT one"))) == 1


@clause("7377 2.1")
def the_selected_one_stays(c, d):
    box(c, "d3", (b"x",))
    box(c, "d3/y", (b"x", b"x"), select=False)
    c.ok("ESEARCH IN (subtree d3) ALL")
    assert c.ok("SEARCH ALL")[0] == b"* SEARCH 1"
    c.ok("UNSELECT")
    c.ok("ESEARCH IN (subtree d3) ALL")
    assert c.status("SEARCH ALL")[0] == "BAD"
    # Pipelined: tags and names tell them apart.
    c.send(b"p1 ESEARCH IN (mailboxes d3) ALL\r\n"
           b"p2 ESEARCH IN (mailboxes d3/y) ALL\r\n")
    assert b'(TAG "p1" MAILBOX d3 ' in b"".join(c.until("p1"))
    assert b'(TAG "p2" MAILBOX d3/y ' in b"".join(c.until("p2"))


@clause("7377 2.2")
def sources(c, d):
    for name in ("d4", "d4/a", "d4/a/b"):
        box(c, name, (b"x",), select=False)
    for source, want in (("subtree d4", {"d4", "d4/a", "d4/a/b"}),
                         ("subtree-one d4", {"d4", "d4/a"}),
                         ("subtree (d4/a d4/a/b)", {"d4/a", "d4/a/b"}),
                         ("mailboxes d4", {"d4"}),
                         ('mailboxes "d4*"', set()),
                         ("mailboxes (nowhere d4/a)", {"d4/a"}),
                         ('subtree nowhere', set())):
        assert boxes_of(c.ok(f"ESEARCH IN ({source}) ALL")).keys() == want, \
            source
    for bad in ("ESEARCH IN (selected-delayed) ALL", "ESEARCH IN selected ALL",
                "ESEARCH IN (selected) ALL", "ESEARCH ALL", "ESEARCH IN () ALL",
                "ESEARCH IN (personal) RETURN (UPDATE COUNT) ALL",
                "ESEARCH IN (personal (option)) ALL", "ESEARCH IN (personal)"):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("SELECT d4")
    for bad in ("ESEARCH IN (mailboxes d4) RETURN (SAVE) ALL",
                "ESEARCH IN (selected mailboxes d4/a) RETURN (SAVE COUNT) ALL",
                "ESEARCH IN (personal) 1:3"):
        assert c.status(bad)[0] == "BAD", bad
    for good in ("ESEARCH RETURN (SAVE) ALL",
                 "ESEARCH IN (selected) RETURN (SAVE COUNT) ALL"):
        c.ok(good)
    assert c.ok("UID SEARCH $")[0] == b"* SEARCH 1"
    got = boxes_of(c.ok("ESEARCH IN (subtree d4) RETURN (PARTIAL 1:2) ALL"))
    assert set(got.values()) == {"PARTIAL (1:2 1)"}, got


@clause("7377 2.2")
def what_may_not_be_read_is_not_there(c, d):
    g = guest.client()
    for name, rights in (("d5/lr", "lr"), ("d5/l", "l"), ("d5/none", "")):
        box(c, name, (b"x",), select=False)
        if rights:
            c.ok(f"SETACL {name} guest {rights}")
    top = "Other Users/tester/d5/"
    for source in ('subtree "Other Users"', "subtree-one \"Other Users/tester/"
                   "d5\"", f'mailboxes ("{top}lr" "{top}l" "{top}none")'):
        got = boxes_of(g.ok(f"ESEARCH IN ({source}) ALL"))
        assert got.keys() == {top + "lr"}, (source, got)
    assert not any("Other" in x for x in boxes_of(g.ok("ESEARCH IN (personal) "
                                                       "ALL")))
    g.close()


# --- RFC 9585 -----------------------------------------------------------------------

@clause("9585 3, 4")
def in_progress(c, d):
    c.ok("CREATE big")
    # What has to be decoded and folded takes its time.
    mail = (b"Subject: x\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" +
            b"".join(b"=C3=84 line %d of many\r\n" % i for i in range(3000)))
    text = b" {%d+}\r\n%s" % (len(mail), mail)
    for _ in range(5):
        c.ok(b"APPEND big" + text * 40)
    b = busy.client()
    assert b" INPROGRESS" in b.ok("CAPABILITY")[0]
    b.ok("SELECT big")
    keys = " ".join(f"NOT BODY zz{i}" for i in range(40))
    for tag, said in (("t1", rb'"t1"'), ("t]2", rb"NIL")):
        b.send(f"{tag} SEARCH NOT (BODY \"line 3 of\" BODY \"many many\") "
               f"{keys}\r\n")
        got = b.until(tag)
        codes = [re.match(rb"\* OK \[INPROGRESS \((\S+) (\d+|NIL) (\d+|NIL)"
                          rb"\)\] \S", x) for x in got if b"INPROGRESS" in x]
        assert codes and all(codes), got[:3]
        assert all(m.group(1) == said for m in codes), codes[0].group(0)
        done = [int(m.group(2)) for m in codes if m.group(2) != b"NIL"]
        # Both may be unknown, on a slow machine, before the counting begins.
        goals = {m.group(3) for m in codes if m.group(2) != b"NIL"}
        assert done == sorted(done) and done[-1] < 200, done
        assert goals == {b"200"}, goals
        assert b"INPROGRESS" not in got[-1]
    b.close()


@clause("9585 3")
def in_progress_of_copies(c, d):
    """Where bytes are written: of each message."""
    x = Engine(settings=("store_format=maildir", "imapd_progress_interval=0"))
    try:
        a = x.client()
        box(a, "from", [b"x"] * 4)
        a.ok("CREATE to")
        for command in ("COPY 1:4 to", "UID COPY 1:4 to", "MOVE 1:4 to"):
            tag = a.start(command)
            got = a.until(tag)
            assert got[:4] == [b'* OK [INPROGRESS ("%s" %d 4)] Still working.' %
                               (tag.encode(), i) for i in range(4)], got
            assert b" OK " in got[-1] and b"COPYUID" in b"".join(got), got
        # Behind others in one turn, and where nothing is done.
        a.ok("SELECT to")
        a.send(b"p1 NOOP\r\np2 UID COPY 1:2 from\r\np3 UID COPY 99 from\r\n"
               b"p4 COPY 1 nowhere\r\n")
        got = [y for y in a.until("p4") if b"EXISTS" not in y]
        said = [y for y in got if b"INPROGRESS" in y]
        assert [y.split()[4] for y in said] == [b"0", b"1"] and \
            all(b'("p2" ' in y for y in said), got
        assert [y for y in got if y[:1] == b"p"][1].startswith(b"p2 OK [COPY")
        assert b"MESSAGES 2" in a.ok("STATUS from (MESSAGES)")[0]
        a.close()
        in_progress_of_files(x.client())
    finally:
        x.stop()
        shutil.rmtree(x.dir)


def in_progress_of_files(a):
    """Each message is a file that gets another name."""
    box(a, "files", [b"x"] * 6)
    a.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    for command, goal in (("STORE 1:4 +FLAGS.SILENT (\\Deleted)", 4),
                          ("UID STORE 1:4 FLAGS.SILENT (\\Deleted)", 1),
                          ("UID STORE 1:4 +FLAGS.SILENT (\\Deleted)", 0),
                          ("UID EXPUNGE 2:6", 3), ("EXPUNGE", 1),
                          ("STORE 1:2 FLAGS.SILENT (\\Deleted)", 2),
                          ("CLOSE", 2)):
        tag = a.start(command)
        got = [y for y in a.until(tag) if not y.endswith(b" EXPUNGE")]
        assert got[:-1] == [b'* OK [INPROGRESS ("%s" %d %d)] Still working.' %
                            (tag.encode(), i, goal) for i in range(goal)], \
            (command, got)
        assert b" OK " in got[-1]
    a.close()


run_all("RFC")
