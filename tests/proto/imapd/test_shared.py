#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd: one mailbox, several processes and users: each sees what the others
do, and may do what the ACL says now (RFC 4314), not what it said at SELECT."""
import re
import shutil

from imaptalk import Closed, Engine

MSG = b"From: a@b\r\nSubject: news\r\n\r\nbody\r\n"
BOX = '"Other Users/tester/%s"'
passed = 0


def fill(c, name, n=3, flags=""):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG, flags)


def copies_of_renamed_files(owner, other, guest):
    """In a Maildir flags are file names: another process has changed them."""
    c, d = owner.client(), other.client()
    fill(c, "a")
    c.ok("SELECT a")
    d.ok("SELECT a")
    c.ok("FETCH 1:* BODY.PEEK[]")
    d.ok("STORE 2 +FLAGS (\\Seen Word)")
    assert "COPYUID" in c.status("UID COPY 1:3 a")[1]
    d.ok("NOOP")
    d.ok("STORE 3 +FLAGS (\\Flagged)")
    assert "COPYUID" in c.status("UID COPY 1:6 a")[1]
    d.ok("STORE 1 +FLAGS (\\Answered)")
    c.ok("CREATE a/b")
    assert "COPYUID" in c.status("UID COPY 1:3 a/b")[1]
    d.ok("STORE 1:3 -FLAGS (\\Answered \\Seen)")
    assert c.status("UID MOVE 1:3 a/b")[0] == "OK"
    assert b"MESSAGES 6" in c.ok("STATUS a/b (MESSAGES)")[0]
    c.close()
    d.close()


def none_of_the_flags(owner, other, guest):
    """RFC 4314 4: NO where none of them may be changed; else what may be."""
    c, g = owner.client(), guest.client()
    fill(c, "b", 1)
    c.ok("SETACL b guest lrw")
    g.ok("SELECT " + BOX % "b")
    assert g.status("STORE 1 +FLAGS (\\Seen)") == ("NO", "NOPERM")
    assert g.status("STORE 1 -FLAGS (\\Deleted \\Seen)") == ("NO", "NOPERM")
    got = g.ok("STORE 1 +FLAGS (\\Seen \\Flagged word)")
    assert any(b"FLAGS (\\Flagged \\Recent word)" in x or
               b"FLAGS (\\Flagged word)" in x for x in got), got
    c.ok("SETACL b guest lrs")
    assert g.status("STORE 1 +FLAGS (\\Flagged word)") == ("NO", "NOPERM")
    # Replaced is what may be; the rest stays.
    got = g.ok("STORE 1 FLAGS (\\Seen)")
    assert any(b"\\Flagged" in x and b"\\Seen" in x and b"word" in x
               for x in got), got
    c.close()
    g.close()


def withdrawn_while_selected(owner, other, guest):
    c, d, g = owner.client(), other.client(), guest.client()
    fill(c, "c", 3, "(\\Deleted)")
    d.ok("SELECT c")
    c.ok("SETACL c guest lrswipkxte")
    g.ok("SELECT " + BOX % "c")
    g.ok("CREATE mine")
    for rights, refused in (
            ("lrwte", ("STORE 1 +FLAGS (\\Seen)", "COPY 1 " + BOX % "c",
                       "APPEND " + BOX % "c" + " {4+}\r\nA: b")),
            ("lrswit", ("EXPUNGE", "UID EXPUNGE 1", "MOVE 1 mine")),
            ("lrswie", ("MOVE 1 mine", "STORE 1 -FLAGS (\\Deleted)")),
            ("lrste", ("STORE 1 +FLAGS (\\Flagged)",
                       "UID STORE 1 +FLAGS.SILENT (word)"))):
        c.ok(f"SETACL c guest {rights}")
        for text in refused:
            assert g.status(text) == ("NO", "NOPERM"), (rights, text)
    # Reading without "s" is reading.
    c.ok("SETACL c guest lr")
    assert b"body" in b"".join(g.ok("FETCH 1 BODY[]"))
    assert not any(b"Seen" in x or b"EXPUNGE" in x for x in d.ok("NOOP"))
    # CLOSE expunges where that is allowed.
    g.ok("CLOSE")
    assert b"MESSAGES 3" in c.ok("STATUS c (MESSAGES)")[0]
    # Back again, it is as before.
    c.ok("SETACL c guest lrswte")
    g.ok("SELECT " + BOX % "c")
    assert g.ok("UID EXPUNGE 1")[0] == b"* 1 EXPUNGE"
    assert d.ok("NOOP")[0] == b"* 1 EXPUNGE"
    for x in (c, d, g):
        x.close()


def no_more_to_be_read(owner, other, guest):
    """Whoever has it selected is told, in IDLE at once, and has to go."""
    c = owner.client()
    fill(c, "d")
    for how in ("NOOP", "FETCH 1 BODY[]", "IDLE", "NOTIFY"):
        c.ok("SETACL d guest lrs")
        g = guest.client()
        g.ok("SELECT " + BOX % "d")
        if how == "IDLE":
            g.start("IDLE")
            assert g.line().startswith(b"+ ")
        elif how == "NOTIFY":
            g.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
        c.ok("DELETEACL d guest" if how != "NOTIFY" else "SETACL d guest l")
        lines = []
        try:
            if how not in ("IDLE", "NOTIFY"):
                g.start(how)
            while True:
                lines.append(g.line())
        except (Closed, ConnectionError):
            pass
        assert lines[-1].startswith(b"* BYE [NOPERM]"), (how, lines)
        assert not any(b"body" in x for x in lines), lines
        g.close()
    g = guest.client()
    assert g.status("SELECT " + BOX % "d")[0] == "NO"
    # Who leaves by himself may do so.
    c.ok("SETACL d guest lr")
    g.ok("SELECT " + BOX % "d")
    c.ok("DELETEACL d guest")
    g.ok("UNSELECT")
    g.ok("NOOP")
    g.close()
    c.close()


def three_at_once(owner, other, guest):
    """What one expunges has gone for all, each hears it once, in order."""
    c, d, g = owner.client(), other.client(), guest.client()
    fill(c, "e", 6)
    c.ok("SETACL e guest lrswite")
    names = {c: "e", d: "e", g: BOX % "e"}
    for x, name in names.items():
        x.ok("SELECT " + name)
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    g.ok("STORE 4 +FLAGS (\\Deleted \\Seen)")
    d.ok("EXPUNGE")
    # Not in the answer to commands with numbers (RFC 9051 7.5.1).
    for x in (c, g):
        for text in ("FETCH 1 UID", "STORE 1 +FLAGS (\\Seen)", "SEARCH ALL",
                     "SORT (ARRIVAL) UTF-8 ALL",
                     "THREAD REFERENCES UTF-8 ALL"):
            got = x.ok(text)
            assert not any(re.match(rb"\* \d+ EXPUNGE", y) for y in got), got
        got = x.ok("UID FETCH 1 UID")
        assert [y for y in got if b"EXPUNGE" in y] == \
            [b"* 2 EXPUNGE", b"* 3 EXPUNGE"], got
        assert x.ok("UID SEARCH ALL")[-2] == b"* SEARCH 1 3 5 6"
    for x in names:
        x.close()


for kind in ("packed", "maildir"):
    owner = Engine(settings=("store_format=" + kind,))
    more = {"directory": owner.dir, "settings": ("store_format=" + kind,)}
    other, guest = Engine(**more), Engine(user="guest", **more)
    for case in (copies_of_renamed_files, none_of_the_flags,
                 withdrawn_while_selected, no_more_to_be_read, three_at_once):
        case(owner, other, guest)
        passed += 1
    for e in (owner, other, guest):
        e.stop()
    shutil.rmtree(owner.dir)
print("%d passed, 0 failed, 0 skipped" % passed)
