#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd: results kept up to date (RFC 5267), ESEARCH in several mailboxes
(RFC 7377), UIDBATCHES (RFC 10022)."""
import re
import shutil

from imaptalk import Engine

passed = 0


def case(fn):
    global passed
    c, d = e.client(), e.client()
    fn(c, d)
    c.close()
    d.close()
    passed += 1


def msg(subject, body=b"body"):
    return b"From: a@b\r\nSubject: %s\r\n\r\n%s\r\n" % (subject, body)


def fill(c, box, n, subject=b"x"):
    c.ok("CREATE " + box)
    for i in range(n):
        c.append(box, msg(b"%s%d" % (subject, i + 1)))


def esearch(lines):
    """The ESEARCH lines without their tags."""
    return [re.sub(rb"\(TAG \"[^\"]*\"", b"(T", l)[10:] for l in lines
            if l.startswith(b"* ESEARCH ")]


def updates_of_numbers(c, d):
    fill(c, "a", 6)
    c.ok("SELECT a")
    assert esearch(c.ok("SEARCH RETURN (UPDATE) SEEN")) == [b"(T)"]
    assert esearch(c.ok("STORE 1,2,5 +FLAGS (\\Seen)")) == \
        [b"(T) ADDTO (0 1:2,5)"]
    lines = c.ok("STORE 1,2 -FLAGS.SILENT (\\Seen)")
    assert esearch(lines) == [b"(T) REMOVEFROM (0 1:2)"]
    assert esearch(c.ok("STORE 3:6 +FLAGS (\\Deleted)")) == []
    # Before EXPUNGE, with the numbers of before.
    lines = c.ok("EXPUNGE")
    assert lines[0].endswith(b") REMOVEFROM (0 5)"), lines
    assert lines[1:5] == [b"* 3 EXPUNGE"] * 4, lines
    # FETCH sets \Seen.
    assert esearch(c.ok("FETCH 1 BODY[]")) == [b"(T) ADDTO (0 1)"]


def updates_of_uids(c, d):
    fill(c, "b", 6)
    c.ok("SELECT b")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    c.ok("STORE 1,2 +FLAGS (\\Seen)")
    assert esearch(c.ok("UID SEARCH RETURN (UPDATE ALL COUNT) OR SEEN "
                        "SUBJECT x4")) == [b"(T) UID COUNT 3 ALL 2:4"]
    # Others' changes, and new messages; FETCH and EXISTS come first.
    d.ok("SELECT b")
    d.ok("STORE 4:5 +FLAGS (\\Seen)")
    d.append("b", msg(b"x4 again"))
    d.append("b", msg(b"other"))
    lines = c.ok("NOOP")
    assert esearch(lines) == [b"(T) UID ADDTO (0 5:7)"], lines
    assert lines[-2].startswith(b"* ESEARCH"), lines
    d.ok("STORE 1:5 -FLAGS (\\Seen)")
    assert esearch(c.ok("NOOP")) == [b"(T) UID REMOVEFROM (0 2:3,5:6)"]
    d.ok("STORE 1:3 +FLAGS (\\Deleted)")
    d.ok("EXPUNGE")
    lines = c.ok("NOOP")
    assert esearch(lines) == [b"(T) UID REMOVEFROM (0 4)"], lines
    assert lines[0].startswith(b"* ESEARCH"), lines


def while_idle(c, d):
    fill(c, "idle", 2)
    c.ok("SELECT idle")
    c.ok("SEARCH RETURN (UPDATE) SUBJECT hot")
    t = c.start("IDLE")
    assert c.line().startswith(b"+ ")
    d.append("idle", msg(b"hot"))
    assert c.line() == b"* 3 EXISTS"
    assert c.line().endswith(b" RECENT")
    assert c.line().endswith(b" ADDTO (0 3)")
    c.send(b"DONE\r\n")
    c.until(t)


def numbers_are_pinned(c, d):
    """RFC 5267 4.3: sequence numbers are those of the command."""
    fill(c, "pin", 4)
    c.ok("SELECT pin")
    c.ok("SEARCH RETURN (UPDATE ALL) 3:4 FLAGGED")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    assert esearch(c.ok("STORE 1:3 +FLAGS (\\Flagged)")) == \
        [b"(T) ADDTO (0 2:3)"]
    # UIDs are what they say.
    c.ok("UID SEARCH RETURN (UPDATE) UID 5:* NOT DELETED")
    assert esearch(c.append("pin", msg(b"new"))) == [b"(T) UID ADDTO (0 5)"]


def with_data(c, d):
    """RFC 5465 7: what to fetch of new messages that match."""
    fill(c, "data", 1)
    c.ok("SELECT data")
    c.ok("SEARCH RETURN (COUNT UPDATE (UID BODY.PEEK[HEADER.FIELDS "
         "(SUBJECT)])) SUBJECT boss")
    d.append("data", msg(b"no"))
    assert not esearch(c.ok("NOOP"))
    d.append("data", msg(b"my boss"))
    lines = c.ok("NOOP")
    assert any(l.startswith(b"* 3 FETCH (UID 3 BODY[HEADER.FIELDS (SUBJECT)]")
               for l in lines), lines
    assert esearch(lines) == [b"(T) ADDTO (0 3)"], lines
    d.ok("SELECT data")
    d.ok("STORE 3 +FLAGS (\\Seen)")
    assert len(c.ok("NOOP")) == 2       # FETCH FLAGS


def cancelling(c, d):
    fill(c, "can", 2)
    c.ok("SELECT can")
    t = c.start("SEARCH RETURN (UPDATE) SEEN")
    c.until(t)
    # The tag is in use.
    c.send(t + " SEARCH RETURN (UPDATE) SEEN\r\n")
    assert b" BAD " in c.until(t)[-1]
    # Without UPDATE that is not our concern.
    c.send(t + " SEARCH RETURN (COUNT) SEEN\r\n")
    assert b" OK " in c.until(t)[-1]
    assert c.status("CANCELUPDATE")[0] == "BAD"
    assert c.status("CANCELUPDATE " + t)[0] == "BAD"
    c.ok('CANCELUPDATE "%s"' % t)
    assert esearch(c.ok("STORE 1 +FLAGS (\\Seen)")) == []
    # At least one; too many are refused, their results are not.
    tags = []
    for i in range(20):
        t = c.start("SEARCH RETURN (UPDATE COUNT) SEEN")
        lines = c.until(t)
        assert esearch(lines) == [b"(T) COUNT 1"], lines
        if any(b"[NOUPDATE " in l for l in lines):
            break
        tags.append(t)
    assert 1 <= len(tags) < 20
    assert len(esearch(c.ok("STORE 2 +FLAGS (\\Seen)"))) == len(tags)
    c.ok("CANCELUPDATE " + " ".join('"%s"' % t for t in tags))
    assert esearch(c.ok("STORE 2 -FLAGS (\\Seen)")) == []
    # It ends with the mailbox.
    c.ok("SEARCH RETURN (UPDATE) SEEN")
    c.ok("UNSELECT")
    c.ok("SELECT can")
    assert esearch(c.ok("STORE 2 +FLAGS (\\Seen)")) == []
    for bad in ("SEARCH RETURN (UPDATE (FOO)) ALL",
                "SEARCH RETURN (UPDATE (UID) ALL"):
        assert c.status(bad)[0] == "BAD", bad
    assert esearch(c.ok("SEARCH RETURN (CONTEXT COUNT) ALL")) == \
        [b"(T) COUNT 2"]
    assert esearch(c.ok("SEARCH RETURN (CONTEXT PARTIAL 1:1) ALL")) == \
        [b"(T) PARTIAL (1:1 1)"]
    # With a vanished connection and its contexts nothing stays behind.
    c.ok("SEARCH RETURN (UPDATE) TEXT body")


def sorted_updates(c, d):
    """CONTEXT=SORT: positions in the order that was asked for."""
    c.ok("CREATE sorted")
    for s in (b"d", b"b", b"f", b"b", b"h"):
        c.append("sorted", msg(s))
    c.ok("SELECT sorted")
    # b2 b4 d1 f3 h5
    assert esearch(c.ok("SORT RETURN (UPDATE COUNT) (SUBJECT) UTF-8 "
                        "UNFLAGGED")) == [b"(T) COUNT 5"]
    assert esearch(c.ok("STORE 1,2,5 +FLAGS (\\Flagged)")) == \
        [b"(T) REMOVEFROM (5 5 3 1 1 2)"]
    # b4 f3
    c.append("sorted", msg(b"c"))
    d.ok("SELECT sorted")
    d.ok("STORE 1,2 -FLAGS (\\Flagged)")
    d.append("sorted", msg(b"a"))
    lines = c.ok("NOOP")
    # a7 b2 b4 c6 d1 f3; c6 was told of with its arrival.
    assert esearch(lines) == [b"(T) ADDTO (1 7,2 5 1)"], lines
    assert c.ok("SORT (SUBJECT) UTF-8 UNFLAGGED")[0] == \
        b"* SORT 7 2 4 6 1 3"
    # Several at one place, in order; and by UID, the other way round.
    assert esearch(c.ok("UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) "
                        "UTF-8 UNFLAGGED")) == [b"(T) UID ALL 3,1,6,2,4,7"]
    lines = c.ok("STORE 1,2,6 +FLAGS.SILENT (\\Flagged)")
    assert esearch(lines) == [b"(T) REMOVEFROM (4 6,1 2 2)",
                              b"(T) UID REMOVEFROM (2 1,6,2)"], lines
    lines = c.ok("STORE 1,2,6 -FLAGS.SILENT (\\Flagged)")
    assert esearch(lines) == [b"(T) ADDTO (2 2 4 6,1)",
                              b"(T) UID ADDTO (2 1,6,2)"], lines
    # Expunged: said before, with the numbers of before.
    c.ok("STORE 2:3,6 +FLAGS.SILENT (\\Deleted)")
    lines = c.ok("EXPUNGE")
    assert esearch(lines) == [b"(T) REMOVEFROM (6 3 4 6 2 2)",
                              b"(T) UID REMOVEFROM (3 6,2 1 3)"], lines
    assert lines[2] == b"* 2 EXPUNGE", lines
    # The same tag again.
    t = c.start("SORT RETURN (UPDATE) (DATE) UTF-8 SEEN")
    c.until(t)
    c.send(t + " SORT RETURN (UPDATE) (DATE) UTF-8 SEEN\r\n")
    assert b" BAD " in c.until(t)[-1]
    assert esearch(c.ok("STORE 1 +FLAGS.SILENT (\\Seen)")) == \
        [b"(T) ADDTO (1 1)"]


def boxes(c, d):
    for name in ("m/one", "m/two", "m/two/three", "m/four"):
        fill(c, name, 3, name.encode())
    c.ok("SELECT m/one")
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")

    def found(text):
        out = []
        for l in c.ok("ESEARCH " + text)[:-1]:
            m = re.match(rb'\* ESEARCH \(TAG "\w+" MAILBOX (\S+) UIDVALIDITY '
                         rb'\d+\) UID (.*)$', l)
            assert m, l
            out.append((m.group(1).decode(), m.group(2).decode()))
        return out

    assert found("ALL") == [("m/one", "ALL 1,3")]
    assert found("2") == [("m/one", "ALL 3")]
    assert found("IN (selected) RETURN (COUNT) ALL") == \
        [("m/one", "COUNT 2")]
    assert found("IN (subtree m) SUBJECT one") == [("m/one", "ALL 1,3")]
    assert found("IN (subtree-one m) SUBJECT 2") == \
        [("m/four", "ALL 2"), ("m/two", "ALL 2")]
    assert found("IN (subtree m) RETURN (MIN MAX) SUBJECT 3") == \
        [("m/four", "MIN 3 MAX 3"), ("m/one", "MIN 3 MAX 3"),
         ("m/two", "MIN 3 MAX 3"), ("m/two/three", "MIN 3 MAX 3")]
    assert found("IN (mailboxes (m/two m/none) selected) UID 3:*") == \
        [("m/one", "ALL 3"), ("m/two", "ALL 3")]
    assert found("IN (mailboxes m/two subtree m/two) RETURN (PARTIAL -1:-2) "
                 "ALL") == [("m/two", "PARTIAL (-1:-2 2:3)"),
                            ("m/two/three", "PARTIAL (-1:-2 2:3)")]
    assert found("IN (personal) RETURN (COUNT) SUBJECT three2") == \
        [("m/two/three", "COUNT 1")]
    assert found("IN (inboxes) SUBJECT none-has-it") == []
    c.ok("SUBSCRIBE m/four")
    assert found('IN (subscribed) CHARSET UTF-8 SUBJECT {4+}\r\nfour') \
        == [("m/four", "ALL 1:3")]
    # It changes nothing about what is selected, nor what is \Recent.
    assert c.ok("SEARCH ALL")[0] == b"* SEARCH 1 2"
    assert b"RECENT 3" in c.ok("STATUS m/two (RECENT)")[0]
    # "$"
    assert c.ok("ESEARCH RETURN (SAVE) SUBJECT one3")[:-1] == []
    assert c.ok("SEARCH $")[0] == b"* SEARCH 2"
    for bad in ("IN (personal) RETURN (SAVE) ALL", "IN (personal) 1:2",
                "IN (selected-delayed) ALL", "IN () ALL", "IN (foo) ALL",
                "IN (subtree) ALL", "IN (subtree m (x)", "IN (personal)",
                "", "IN (personal) RETURN (FOO) ALL", "IN (personal) FOO"):
        assert c.status("ESEARCH " + bad)[0] == "BAD", bad
    # UPDATE holds for the selected one.
    lines = c.ok("ESEARCH IN (subtree m) RETURN (COUNT UPDATE) FLAGGED")
    assert len(lines) == 1, lines
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    d.ok("SELECT m/one")
    d.ok("STORE 1 -FLAGS (\\Flagged)")
    lines = c.ok("NOOP")
    assert re.match(rb'\* ESEARCH \(TAG "\w+" MAILBOX m/one UIDVALIDITY \d+\)'
                    rb' UID REMOVEFROM \(0 1\)$', lines[-2]), lines
    # Without a selected mailbox.
    c.ok("UNSELECT")
    for bad in ("ALL", "IN (selected) ALL", "IN (personal) RETURN (UPDATE) ALL"):
        assert c.status("ESEARCH " + bad)[0] == "BAD", bad
    assert found("IN (mailboxes m/four) ALL") == [("m/four", "ALL 1:3")]


def batches(c, d):
    c.ok("CREATE u")
    c.ok("SELECT u")

    def ask(text):
        lines = c.ok("UIDBATCHES " + text)
        m = re.match(rb'\* UIDBATCHES \(TAG "\w+"\) ?(.*)$', lines[0])
        return m.group(1)

    assert ask("1000") == b""
    flags = "".join(" (\\Seen) {5+}\r\nA: b\n" for i in range(600))
    for i in range(2):
        c.ok("APPEND u" + flags)
    assert ask("2000") == b"1200:1"
    assert ask("500") == b"1200:701,700:201,200:1"
    assert ask("500 2:9") == b"700:201,200:1"
    assert ask("500 2:2") == b"700:201"
    assert ask("500 4:4") == b""
    assert ask("4000000000 4000000000:4294967295") == b""
    c.ok("UID STORE 1:10,650:710 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    assert ask("500") == b"1200:640,639:140,139:1", ask("500")
    assert c.status("UIDBATCHES 499") == ("NO", "TOOFEW")
    assert c.status("UIDBATCHES 500 4:1") == ("BAD", "CLIENTBUG")
    for bad in ("", "0", "x", "500 1", "500 0:1", "500 1:2 3", "500 1:*"):
        assert c.status("UIDBATCHES " + bad)[0] == "BAD", bad
    c.ok("ENABLE UIDONLY")
    assert ask("1500").endswith(b":1")
    c.ok("UNSELECT")
    assert c.status("UIDBATCHES 500")[0] == "BAD"


e = Engine()
for fn in (updates_of_numbers, updates_of_uids, while_idle,
           numbers_are_pinned, with_data, cancelling, sorted_updates, boxes, batches):
    case(fn)
e.stop()
shutil.rmtree(e.dir)
print("%d passed, 0 failed, 0 skipped" % passed)
