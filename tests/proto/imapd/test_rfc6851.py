#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What messages are, where they go, and what is seen of them, clause by clause:
RFC 6851 (MOVE), 4315 (UIDPLUS), 8474 (OBJECTID), 8514 (SAVEDATE), 8970
(PREVIEW), 2177 (IDLE).

MOVE's rights are in test_rfc4314.py, its MODSEQ in test_rfc7162.py."""
import base64
import re
import shutil
import time

from clauses import clause, engine_of, run_all, untagged
from imaptalk import Engine, parse

guest = engine_of("guest")

MSG = b"From: a@b\r\nSubject: x\r\n\r\nbody %d\r\n"


def box(c, name, n=0):
    c.ok(f"CREATE {name}")
    for i in range(n):
        c.append(name, MSG % i)
    c.ok(f"SELECT {name}")


def item(c, number, name):
    got = parse(c.ok(f"FETCH {number} ({name})")[0])
    return dict(zip(got[3][::2], got[3][1::2]))[name]


def copyuid(line):
    m = re.search(rb"\[COPYUID (\d+) (\S+) (\S+)\]", line)
    return m and (int(m.group(1)), m.group(2), m.group(3))


def validity(c, name):
    return int(re.search(rb"UIDVALIDITY (\d+)", c.ok(
        f"STATUS {name} (UIDVALIDITY)")[0]).group(1))


# --- RFC 6851 ------------------------------------------------------------------------

@clause("6851 3.3, 4.3")
def move(c, d):
    box(c, "a1", 5)
    c.ok("CREATE a1t")
    c.ok("STORE 2 FLAGS (\\Flagged word)")
    c.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    got = c.ok("MOVE 2:3 a1t")
    # COPYUID first, then who leaves; nothing of flags.
    assert got[0].startswith(b"* OK [COPYUID ") and \
        copyuid(got[0]) == (validity(c, "a1t"), b"2:3", b"1:2"), got
    assert got[1:3] == [b"* 2 EXPUNGE"] * 2 and not untagged(got, b"FETCH")
    got = c.ok("UID MOVE 4:99 a1t")
    assert copyuid(got[0])[1:] == (b"4:5", b"3:4") and \
        got[1:3] == [b"* 2 EXPUNGE"] * 2, got
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 1"
    # \\Deleted was not set; what was set goes along.
    d.ok("SELECT a1t")
    assert d.ok("SEARCH DELETED")[0] == b"* SEARCH 2"
    assert b"(\\Flagged \\Recent word)" in d.ok("FETCH 1 FLAGS")[0]
    # Nobody else sees states in between.
    x = d.ok("STATUS a1 (MESSAGES)")[0]
    assert b"MESSAGES 1" in x


@clause("6851 3.1, 3.3")
def moves_that_fail(c, d):
    box(c, "a2", 3)
    assert c.status("MOVE 1 nowhere") == ("NO", "TRYCREATE")
    for command in ("UID MOVE 99 INBOX", "UID MOVE 4:* INBOX"):
        got = c.ok(command)
        assert (copyuid(got[0]) is None) == ("99" in command), got
    c.ok("UID SEARCH ALL")
    for bad in ("MOVE 9 INBOX", "MOVE", "MOVE 1", "MOVE x INBOX",
                "UID MOVE INBOX", "MOVE 1 INBOX x", "MOVE 0 INBOX"):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("EXAMINE a2")
    assert c.status("MOVE 1 INBOX")[0] == "NO"
    c.ok("UNSELECT")
    assert c.status("MOVE 1 INBOX")[0] == "BAD"
    assert b"MESSAGES 2" in c.ok("STATUS a2 (MESSAGES)")[0]


@clause("6851 3.3")
def to_where_it_is(c, d):
    box(c, "a3", 3)
    got = c.ok("MOVE 1:2 a3")
    assert copyuid(got[0])[1:] == (b"1:2", b"4:5"), got
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 3 4 5"
    got = c.ok("UID COPY 3 a3")
    assert copyuid(got[-1])[1:] == (b"3", b"6")
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 3 4 5 6"


@clause("6851 4.1")
def a_full_quota_is_no_obstacle(c, d):
    x = Engine(settings=("quota_message_limit=3",))
    try:
        a = x.client()
        box(a, "q", 3)
        a.ok("CREATE q2")
        assert a.status("COPY 1 q2") == ("NO", "OVERQUOTA")
        a.ok("MOVE 1:3 q2")
        a.close()
    finally:
        x.stop()
        shutil.rmtree(x.dir)


# --- RFC 4315 ------------------------------------------------------------------------

@clause("4315 2.1")
def uid_expunge(c, d):
    box(c, "b1", 6)
    c.ok("STORE 2,4:5 +FLAGS.SILENT (\\Deleted)")
    got = c.ok("UID EXPUNGE 1:4")
    assert untagged(got, b"EXPUNGE") == [b"* 2 EXPUNGE", b"* 3 EXPUNGE"]
    got = c.ok("UID EXPUNGE 1:4,6,99:100")
    assert len(got) == 1
    assert c.ok("UID EXPUNGE 5:*")[0] == b"* 3 EXPUNGE"
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 3 6"
    for bad in ("UID EXPUNGE", "UID EXPUNGE x", "UID EXPUNGE 0",
                "UID EXPUNGE 1 2", "EXPUNGE 1"):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("EXAMINE b1")
    assert c.status("UID EXPUNGE 1")[0] == "NO"


@clause("4315 3")
def appenduid_and_copyuid(c, d):
    box(c, "b2", 5)
    c.ok("CREATE b2t")
    v = validity(c, "b2t")
    text = b" {4+}\r\nA: b"
    # One UID is no set; of several messages it is one.
    for n, uids in ((1, b"1"), (3, b"2:4"), (1, b"5")):
        got = c.ok(b"APPEND b2t" + text * n)[-1]
        assert b" OK [APPENDUID %d %s] " % (v, uids) in got, got
    for sets, source, dest in (("1", b"1", b"6"), ("2:4", b"2:4", b"7:9"),
                               ("5,1,3", b"1,3,5", b"10:12")):
        got = c.ok(f"COPY {sets} b2t")[-1]
        assert copyuid(got) == (v, source, dest), got
    assert copyuid(c.ok("UID COPY 900:999 b2t")[-1]) is None
    assert not any(b"UIDNOTSTICKY" in x for x in c.ok("SELECT b2t"))


@clause("4315 3, 5")
def uids_are_not_told_to_who_may_not_look(c, d):
    """"To COPY or APPEND to the mailbox, but not SELECT or EXAMINE it"."""
    g = guest.client()
    g.append("INBOX", MSG % 1)
    for name, rights in (("b3i", "i"), ("b3li", "li"), ("b3lri", "lri")):
        c.ok(f"CREATE {name}")
        c.ok(f"SETACL {name} guest {rights}")
        other = f'"Other Users/tester/{name}"'
        told = "r" in rights
        for command in (f"APPEND {other} {{4+}}\r\nA: b", f"COPY 1 {other}",
                        f"UID COPY 1:* {other}", f"MOVE 1 {other}"):
            g.append("INBOX", MSG % 1)
            g.ok("SELECT INBOX")
            got = g.ok(command)
            assert any(b"UID " in x for x in got) == told, (name, got)
    g.close()


# --- RFC 8474 ------------------------------------------------------------------------

OBJECTID = re.compile(rb"[A-Za-z0-9_-]{1,255}$")


def mailboxid(lines):
    found = re.findall(rb"MAILBOXID \(([^)]*)\)", b"\n".join(lines))
    assert len(found) == 1 and OBJECTID.match(found[0]), lines
    return found[0]


@clause("8474 4")
def mailboxids(c, d):
    one = mailboxid(c.ok("CREATE c1"))
    assert one[:1].isalpha()
    assert mailboxid(c.ok("SELECT c1")) == mailboxid(c.ok("EXAMINE c1")) == \
        mailboxid(c.ok("STATUS c1 (MAILBOXID)")) == mailboxid(c.ok(
            'LIST "" c1 RETURN (STATUS (MAILBOXID))')) == one
    assert c.status("CREATE c1")[1] == "ALREADYEXISTS"
    # Another name, the same mailbox; the same name, another one.
    c.ok("RENAME c1 c1x/deep")
    assert mailboxid(d.ok("STATUS c1x/deep (MAILBOXID)")) == one
    two = mailboxid(c.ok("CREATE c1"))
    c.ok("UNSELECT")
    c.ok("DELETE c1x/deep")
    assert len({one, two, mailboxid(c.ok("CREATE c1x/deep"))}) == 3


@clause("8474 4, 8.2")
def inbox_renamed(c, d):
    """"Treated as creating a new mailbox and moving the messages"."""
    c.append("INBOX", MSG % 77)
    c.ok("SELECT INBOX")
    emailid = item(c, "*", "EMAILID")
    c.ok("UNSELECT")
    was = mailboxid(c.ok("STATUS INBOX (MAILBOXID)"))
    c.ok("RENAME INBOX c2")
    assert mailboxid(c.ok("STATUS INBOX (MAILBOXID)")) == was
    assert mailboxid(c.ok("STATUS c2 (MAILBOXID)")) != was
    c.ok("SELECT c2")
    assert item(c, "*", "EMAILID") == emailid


@clause("8474 5.1, 5.3, 6")
def emailids(c, d):
    box(c, "c3", 3)
    c.ok("CREATE c3t")
    ids = [item(c, n, "EMAILID")[0] for n in (1, 2, 3)]
    assert len(set(ids)) == 3 and all(OBJECTID.match(i.encode()) for i in ids)
    c.ok("COPY 1:2 c3t")
    c.ok("MOVE 3 c3t")
    d.ok("SELECT c3t")
    assert [item(d, n, "EMAILID")[0] for n in (1, 2, 3)] == ids
    assert d.ok(f"SEARCH EMAILID {ids[1]}")[0] == b"* SEARCH 2"
    assert d.ok(f"SEARCH OR EMAILID {ids[0]} EMAILID {ids[2]}")[0] == \
        b"* SEARCH 1 3"
    # Case is significant; nothing else matches.
    assert d.ok(f"SEARCH EMAILID {ids[1].swapcase()}")[0] == b"* SEARCH"
    assert d.ok(f"SEARCH EMAILID {ids[1]}0")[0] == b"* SEARCH"
    assert d.ok(f"SEARCH EMAILID {ids[1][:-1]}")[0] == b"* SEARCH"
    for bad in ("EMAILID", "THREADID", "EMAILID ()"):
        assert d.status(f"SEARCH {bad}")[0] == "BAD", bad


@clause("8474 5.2, 6")
def threadids(c, d):
    """Of related messages the same, wherever they are, and for good: the id of
    the oldest one that the message names."""
    c.ok("CREATE c4")
    c.ok("CREATE c4t")
    mail = b"Message-ID: <%d@c4>\r\nSubject: c4 %d\r\n%s\r\nx\r\n"
    c.append("c4", mail % (1, 1, b""))
    c.append("c4t", mail % (2, 2, b"References: <1@c4>\r\n"))
    c.append("c4", mail % (3, 3, b"References: <1@c4> <2@c4>\r\n"
                           b"In-Reply-To: <2@c4>\r\n"))
    c.append("c4", mail % (9, 9, b""))
    c.ok("SELECT c4")
    d.ok("SELECT c4t")
    ids = [item(c, n, "THREADID")[0] for n in (1, 2, 3)]
    assert ids[0] == ids[1] == item(d, 1, "THREADID")[0] != ids[2]
    assert c.ok(f"SEARCH THREADID {ids[0]}")[0] == b"* SEARCH 1 2"
    assert d.ok(f"SEARCH THREADID {ids[0]}")[0] == b"* SEARCH 1"
    assert c.ok(f"SEARCH THREADID {item(c, 1, 'EMAILID')[0]}")[0] == \
        b"* SEARCH"
    assert c.ok(f"SEARCH EMAILID {ids[0]}")[0] == b"* SEARCH"
    # With its EMAILID it keeps it.
    c.ok("MOVE 2 c4t")
    d.ok("NOOP")
    assert item(d, 2, "THREADID")[0] == ids[0]
    c.ok("COPY 2 c4t")
    d.ok("NOOP")
    assert item(d, 3, "THREADID")[0] == ids[2]
    # What joins two threads later changes nothing.
    c.append("c4", mail % (10, 10, b"References: <1@c4> <9@c4>\r\n"))
    c.ok("NOOP")
    assert [item(c, n, "THREADID")[0] for n in (1, 2)] == [ids[0], ids[2]]
    assert item(c, 3, "THREADID")[0] in (ids[0], ids[2])


# --- RFC 8514 ------------------------------------------------------------------------

def seconds(text):
    t = text.decode()
    return time.mktime(time.strptime(t[:20].strip(), "%d-%b-%Y %H:%M:%S"))


@clause("8514 3, 4.2, 4.3")
def savedate(c, d):
    c.ok("CREATE d1")
    c.ok("CREATE d1t")
    c.append("d1", MSG % 1, '"01-Jan-2001 00:00:00 +0000"')
    c.ok("SELECT d1")
    first = item(c, 1, "SAVEDATE")
    assert re.match(rb"[ \d]\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d [+-]\d{4}$",
                    first), first
    year = int(first[7:11])
    assert year >= 2024
    while int(time.time()) == int(seconds(first)):
        time.sleep(0.05)
    time.sleep(1.1)                 # so that it is another second
    c.ok("COPY 1 d1t")
    c.ok("STORE 1 +FLAGS (\\Seen)")
    assert item(c, 1, "SAVEDATE") == first
    d.ok("SELECT d1t")
    second = item(d, 1, "SAVEDATE")
    assert seconds(second) > seconds(first), (first, second)
    assert item(d, 1, "INTERNALDATE") == b"01-Jan-2001 00:00:00 +0000"
    c.ok("MOVE 1 d1t")
    d.ok("NOOP")
    assert seconds(item(d, 2, "SAVEDATE")) >= seconds(second)
    # A day has passed in none of this, or just now.
    for keys, want in ((f"SAVEDBEFORE 1-Jan-{year}", b""),
                       ("SAVEDSINCE 2-Jan-2001", b" 1 2"),
                       ("SAVEDON 1-Jan-2001", b""),
                       ("BEFORE 2-Jan-2001", b" 1 2"),
                       ("SAVEDATESUPPORTED", b" 1 2"),
                       ("NOT SAVEDATESUPPORTED", b""),
                       (f"SAVEDBEFORE 1-Jan-{year + 2}", b" 1 2"),
                       ("SAVEDON " + item(d, 1, "SAVEDATE")[:11].decode()
                        .strip() + " 1", b" 1")):
        assert d.ok(f"SEARCH {keys}")[0] == b"* SEARCH" + want, keys
    for bad in ("SAVEDON", "SAVEDON x", "SAVEDBEFORE 32-Jan-2001"):
        assert d.status(f"SEARCH {bad}")[0] == "BAD", bad
    assert b" SAVEDATE" in c.ok("CAPABILITY")[0]


# --- RFC 8970 ------------------------------------------------------------------------

def typed(type_, body, more=b""):
    return b"MIME-Version: 1.0\r\nContent-Type: %s\r\n%s\r\n%s\r\n" % (
        type_, more, body)


B64 = b"Content-Transfer-Encoding: base64\r\n"
PREVIEWS = (
    (typed(b"text/plain", b"some  text\r\n\r\n\tmore"), "some text more"),
    (typed(b"text/plain; charset=koi8-r", "Привет".encode("koi8-r")), "Привет"),
    (typed(b"text/plain; charset=utf-8", base64.b64encode("größe".encode()),
           B64), "größe"),
    (typed(b"text/plain; charset=utf-8", b"gr=C3=B6=\r\n=C3=9Fe",
           b"Content-Transfer-Encoding: quoted-printable\r\n"), "größe"),
    (typed(b"text/html", b"<html><head><style>x {}</style><script>y()</script>"
           b"</head><body><p>K&ouml;ln &amp; <b>more</b><br>x"),
     "Köln & more x"),
    (typed(b"multipart/alternative; boundary=b", b"--b\r\n\r\nplain\r\n--b\r\n"
           b"Content-Type: text/html\r\n\r\n<p>html\r\n--b--"), "plain"),
    (typed(b"multipart/mixed; boundary=b", b"--b\r\nContent-Type: image/png\r\n"
           b"\r\nPNG\r\n--b\r\n\r\ntext\r\n--b--"), "text"),
    # No text that means something: an empty string, never NIL.
    (typed(b"image/png", b"AAAA", B64), ""),
    (typed(b"application/pdf", b"%PDF-1.4"), ""),
    (typed(b"text/plain", b""), ""), (typed(b"text/plain", b" \r\n\t"), ""),
    (typed(b"text/html", b"<p></p>"), ""), (b"Subject: x\r\n", ""),
    (typed(b"multipart/encrypted; boundary=b", b"--b\r\nContent-Type: "
           b"application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type"
           b": application/octet-stream\r\n\r\n-----BEGIN\r\n--b--"), ""),
)


@clause("8970 3.2, 3.3, 4.1")
def preview(c, d):
    c.ok("CREATE e1")
    for mail, _ in PREVIEWS:
        c.append("e1", mail)
    c.ok("SELECT e1")
    for n, (_, want) in enumerate(PREVIEWS, 1):
        got = item(c, n, "PREVIEW")
        assert got is not None and got.decode() == want, (n, got)
        # The same each time; what is there need not be NIL.
        for text in ("PREVIEW", "(PREVIEW (LAZY))", "PREVIEW (LAZY LAZY)"):
            again = parse(c.ok(f"FETCH {n} {text}")[0])[3][1]
            assert again == got, (n, text, again)
    assert not any(b"\\Seen" in x for x in c.ok("FETCH 1:* FLAGS"))
    for bad in ("PREVIEW ()", "PREVIEW (OTHER)", "PREVIEW (LAZY OTHER)",
                "(PREVIEW (LAZY)", "PREVIEW LAZY"):
        assert c.status(f"FETCH 1 {bad}")[0] == "BAD", bad
    assert b" PREVIEW" in c.ok("CAPABILITY")[0]


@clause("8970 3.3")
def its_length(c, d):
    c.ok("CREATE e2")
    for text in ("x" * 5000, "word " * 500, "日" * 900, "ä\u0308" * 700,
                 "𐍈 " * 400):
        for type_ in (b"text/plain", b"text/html"):
            c.append("e2", typed(type_ + b"; charset=utf-8", text.encode()))
    c.append("e2", typed(b"text/plain; charset=utf-8", b"\xff\xfe\xc3" * 999))
    c.ok("SELECT e2")
    for n in range(1, 12):
        text = item(c, n, "PREVIEW").decode()           # it is UTF-8
        assert 100 <= len(text) <= 200, (n, len(text))


# --- RFC 2177 ------------------------------------------------------------------------

@clause("2177 3")
def idle(c, d):
    box(c, "f1", 3)
    d.ok("SELECT f1")
    tag = c.start("IDLE")
    assert c.line().startswith(b"+ ")
    # What happens is told as it happens, expunges as well.
    d.append("f1", MSG % 9)
    assert c.line() == b"* 4 EXISTS"
    assert c.line().endswith(b" RECENT")
    d.ok("STORE 2 +FLAGS (\\Deleted)")
    assert c.line().startswith(b"* 2 FETCH (FLAGS (\\Deleted")
    d.ok("EXPUNGE")
    assert c.line() == b"* 2 EXPUNGE"
    c.send("done\r\n")
    assert c.until(tag) == [tag.encode() + b" OK Idle completed."]
    # What is not DONE ends it, and badly; then commands go on.
    for end in ("x NOOP\r\n", "DONE x\r\n", "\r\n"):
        tag = c.start("IDLE")
        c.until("+")
        c.send(end)
        assert b" BAD " in c.until(tag)[-1], end
        c.ok("NOOP")
    assert c.status("IDLE now")[0] == "BAD"
    # Without a mailbox, too.
    c.ok("UNSELECT")
    tag = c.start("IDLE")
    c.until("+")
    c.send("DONE\r\n")
    assert b" OK " in c.until(tag)[-1]
    assert b" IDLE" in c.ok("CAPABILITY")[0]


@clause("2177 3")
def what_came_before_is_told_at_once(c, d):
    box(c, "f2", 2)
    d.ok("SELECT f2")
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    d.ok("EXPUNGE")
    tag = c.start("IDLE")
    assert c.line().startswith(b"+ ")
    assert c.line() == b"* 1 EXPUNGE"
    c.send("DONE\r\n")
    c.until(tag)
    # DONE right behind it, and what follows.
    c.send("g1 IDLE\r\nDONE\r\ng2 NOOP\r\ng3 IDLE\r\nDONE\r\n")
    got = c.until("g3")
    assert [x[:2] for x in got] == [b"+ ", b"g1", b"g2", b"+ ", b"g3"], got


run_all("RFC")
