#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 7162 (CONDSTORE, QRESYNC), clause by clause, with RFC 5161 (ENABLE).

More of it is in qresync.talk, test_extensions.py and, at random, in
test_model.py."""
import re
import shutil

from clauses import clause, e, run_all, untagged
from imaptalk import Engine

MSG = b"From: a@b\r\nSubject: x\r\n\r\nbody\r\n"


def box(c, name, n=1, select=True):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG)
    return c.ok(f"SELECT {name}") if select else None


def highest(lines):
    """What a line says in HIGHESTMODSEQ, the last one; or None."""
    found = re.findall(rb"\[HIGHESTMODSEQ (\d+)\]", b"\n".join(lines))
    return int(found[-1]) if found else None


def of_status(c, name):
    return int(re.search(rb"STATUS .*HIGHESTMODSEQ (\d+)", b"\n".join(c.ok(
        f"STATUS {name} (HIGHESTMODSEQ)"))).group(1))


def fetched(lines):
    """Of each FETCH: number, UID, MODSEQ and flags; None what is not there."""
    out = []
    for x in untagged(lines, b"FETCH"):
        m = re.match(rb"\* (\d+) FETCH \((.*)\)$", x, re.DOTALL)
        uid = re.search(rb"UID (\d+)", m.group(2))
        modseq = re.search(rb"MODSEQ \((\d+)\)", m.group(2))
        flags = re.search(rb"FLAGS \(([^)]*)\)", m.group(2))
        out.append((int(m.group(1)), uid and int(uid.group(1)),
                    modseq and int(modseq.group(1)),
                    flags and b" ".join(f for f in flags.group(1).split()
                                        if f != b"\\Recent")))
    return out


def expunge(d, name, numbers):
    d.ok(f"SELECT {name}")
    d.ok(f"STORE {numbers} +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    d.ok("UNSELECT")


# --- 3.1: mod-sequences ---------------------------------------------------------------

@clause("3.1")
def each_store_has_its_own(c, d):
    box(c, "a1", 3)
    d.ok("SELECT a1")
    c.ok("ENABLE CONDSTORE")
    d.ok("ENABLE CONDSTORE")
    seen = [of_status(c, "a1")]
    for x, command in ((c, "STORE 1 +FLAGS (\\Seen)"),
                       (d, "STORE 2 +FLAGS (\\Seen)"),
                       (c, "STORE 1 -FLAGS (\\Seen)"),
                       (c, "STORE 3 +FLAGS (word)"),
                       (d, "STORE 3 FLAGS (\\Draft)")):
        number = int(command.split()[1])
        seen.append([f[2] for f in fetched(x.ok(command))
                     if f[0] == number][0])
    assert seen == sorted(set(seen)), seen
    # A message that comes has one above all others.
    d.append("a1", MSG)
    c.ok("NOOP")
    assert fetched(c.ok("FETCH 4 MODSEQ"))[0][2] > seen[-1]
    c.ok("COPY 1 a1")
    assert fetched(c.ok("FETCH 5 MODSEQ"))[0][2] > of_status(d, "a1") - 1


@clause("3.1, 3.1.11")
def what_changes_nothing_has_no_new_one(c, d):
    box(c, "a2", 2)
    c.ok("ENABLE CONDSTORE")
    c.ok("STORE 1 +FLAGS (\\Seen word)")
    was = of_status(c, "a2")
    for command in ("STORE 1 +FLAGS (\\Seen)", "STORE 1 -FLAGS (\\Draft)",
                    "STORE 1 +FLAGS.SILENT (WORD)", "STORE 1 -FLAGS (other)",
                    "STORE 1 FLAGS (\\Seen word)", "FETCH 1 BODY[]",
                    f"STORE 1 (UNCHANGEDSINCE {was}) +FLAGS (\\Seen)",
                    "UID STORE 99 +FLAGS (\\Seen)", "EXPUNGE"):
        c.ok(command)
        assert of_status(c, "a2") == was, command
    c.ok("FETCH 2 BODY[]")
    assert of_status(c, "a2") > was


@clause("3.1")
def first_enabling_command_tells_where_it_stands(c, d):
    box(c, "a3", 2, select=False)
    for how in ("FETCH 1 (MODSEQ)", "FETCH 1 FLAGS (CHANGEDSINCE 0)",
                "STORE 1 (UNCHANGEDSINCE 9999) +FLAGS (\\Seen)",
                "SEARCH MODSEQ 1", "UID SEARCH OR MODSEQ 1 ALL",
                "SORT (DATE) UTF-8 MODSEQ 1", "STATUS a3 (HIGHESTMODSEQ)",
                "ENABLE CONDSTORE", "ENABLE QRESYNC",
                "ENABLE CONDSTORE QRESYNC"):
        x = e.client()
        x.ok("SELECT a3")
        was = of_status(d, "a3")
        assert highest(x.ok(how)) == was, how
        assert highest(x.ok(how)) is None, how
        x.close()


@clause("3.1, 3.1.2.1, 3.1.8")
def selecting_tells(c, d):
    got = box(c, "a4", 2)
    assert highest(got) == of_status(d, "a4") and \
        not any(b"NOMODSEQ" in x for x in got)
    for verb in ("SELECT", "EXAMINE"):
        x = e.client()
        got = x.ok(f"{verb} a4 (CONDSTORE)")
        assert highest(got) == of_status(d, "a4"), got
        d.ok("SELECT a4")
        d.ok(f"STORE 1 +FLAGS ({verb})")
        (_, uid, modseq, _), = fetched(x.ok("NOOP"))
        assert uid == 1 and modseq == of_status(d, "a4")
        x.close()
    for bad in ("SELECT a4 (CONDSTORE", "SELECT a4 CONDSTORE", "SELECT a4 ()",
                "SELECT a4 (CONDSTORE 1)", "SELECT a4 (OTHER)"):
        assert c.status(bad)[0] == "BAD", bad


# --- 3.1.3: STORE ------------------------------------------------------------------

@clause("3.1.3")
def unchangedsince_of_each_message(c, d):
    box(c, "b1", 9)
    d.ok("SELECT b1")
    d.ok("STORE 7,9 FLAGS (\\Answered)")
    was = fetched(c.ok("NOOP") + c.ok("FETCH 8 MODSEQ"))[-1][2]
    # Those that fail do not stop the others (example 6), and are told, so
    # that nobody has to ask.
    got = c.cmd(f"STORE 7,5,9 (UNCHANGEDSINCE {was}) +FLAGS.SILENT "
                "(\\Deleted)")
    assert b" OK [MODIFIED 7,9]" in got[-1], got
    f = fetched(got)
    assert [x[:2] for x in f] == [(5, 5), (7, 7), (9, 9)] and \
        f[0][2] > was and f[0][3] is None and \
        all(x[3] == b"\\Answered" and x[2] > was for x in f[1:]), f
    # A message that is named twice does not fail the second time.
    got = c.ok(f"UID STORE 3,1:4,3 (UNCHANGEDSINCE {was}) +FLAGS.SILENT (a)")
    assert b"MODIFIED" not in got[-1] and \
        [x[1] for x in fetched(got)] == [1, 2, 3, 4], got
    # SILENT or not, changed or not.
    now = of_status(c, "b1")
    got = c.ok(f"STORE 1:2 (UNCHANGEDSINCE {now}) +FLAGS.SILENT (a)")
    assert [(x[0], x[1], x[3]) for x in fetched(got)] == \
        [(1, 1, None), (2, 2, None)] and of_status(c, "b1") == now, got
    assert b"[MODIFIED 1:4]" in c.ok(
        f"UID STORE 1:4,99 (UNCHANGEDSINCE {was}) FLAGS (b)")[-1]


@clause("3.1.3")
def zero_always_fails(c, d):
    box(c, "b2", 2)
    for flags in ("+FLAGS (\\Seen)", "-FLAGS (\\Seen)", "FLAGS ()",
                  "+FLAGS.SILENT ($MDNSent)"):
        got = c.ok(f"STORE 1:2 (UNCHANGEDSINCE 0) {flags}")
        assert b"[MODIFIED 1:2]" in got[-1], got
    assert {f[3] for f in fetched(c.ok("FETCH 1:2 FLAGS"))} == {b""}


@clause("3.1.3, 7")
def its_syntax(c, d):
    box(c, "b3", 1)
    for bad in ("()", "(UNCHANGEDSINCE)", "(UNCHANGEDSINCE x)",
                "(UNCHANGEDSINCE -1)", "(OTHER 1)", "(UNCHANGEDSINCE 1",
                "(UNCHANGEDSINCE 9223372036854775808)",
                "(UNCHANGEDSINCE 1 UNCHANGEDSINCE 1)"):
        assert c.status(f"STORE 1 {bad} +FLAGS (a)")[0] == "BAD", bad
    c.ok("STORE 1 (unchangedsince 9223372036854775807) +FLAGS (a)")


@clause("3.1.3, 3.1.12")
def other_flags_do_not_matter(c, d):
    """Of a single MODSEQ for all flags: what is added or removed, and was not
    touched by others since the client knew the message, is done."""
    c.ok("ENABLE CONDSTORE")
    box(c, "b4", 4)
    c.ok("STORE 1:4 +FLAGS.SILENT (old)")
    d.ok("SELECT b4")
    was = of_status(d, "b4")
    d.ok("STORE 1 +FLAGS (\\Flagged new)")
    d.ok("STORE 2 +FLAGS (\\Seen)")
    d.ok("STORE 3 -FLAGS (old)")
    got = c.ok(f"STORE 1:4 (UNCHANGEDSINCE {was}) +FLAGS.SILENT (\\Seen)")
    assert b"[MODIFIED 2]" in got[-1], got
    # The whole of what others did is told, SILENT or not.
    told = {f[0]: f[3] for f in fetched(got) if f[3] is not None}
    assert set(told[1].split()) == {b"\\Seen", b"\\Flagged", b"old", b"new"} \
        and told[2] == b"\\Seen old" and told[3] == b"\\Seen", told
    was = of_status(c, "b4")
    d.ok("STORE 1 +FLAGS (\\Answered)")
    d.ok("STORE 3 +FLAGS (OLD)")
    d.ok("STORE 4 +FLAGS (else)")
    got = c.ok(f"UID STORE 1,3:4 (UNCHANGEDSINCE {was}) -FLAGS (old)")
    assert b"[MODIFIED 3]" in got[-1], got
    # All flags at once are all looked at.
    was = of_status(c, "b4")
    d.ok("STORE 1 +FLAGS (again)")
    got = c.ok(f"STORE 1 (UNCHANGEDSINCE {was}) FLAGS (\\Seen)")
    assert b"[MODIFIED 1]" in got[-1], got
    # What the client does not know yet it cannot mean.
    got = c.ok(f"STORE 1 (UNCHANGEDSINCE {was}) +FLAGS (\\Draft)")
    assert b"[MODIFIED 1]" in got[-1], got


@clause("3.1.3, 3.2.4")
def silent_tells_modseq_all_the_same(c, d):
    box(c, "b5", 2)
    assert not fetched(c.ok("STORE 1 +FLAGS.SILENT (a)"))
    c.ok("ENABLE CONDSTORE")
    for command in ("STORE 1 +FLAGS.SILENT (b)", "UID STORE 1 FLAGS.SILENT ()",
                    "STORE 1 (UNCHANGEDSINCE 9999) +FLAGS.SILENT (c)"):
        (number, uid, modseq, flags), = fetched(c.ok(command))
        assert (number, uid, modseq, flags) == (1, 1, of_status(d, "b5"),
                                                None), command


@clause("3.2.4")
def uid_and_modseq_in_all_that_is_not_asked_for(c, d):
    box(c, "b6", 4)
    d.ok("SELECT b6")
    c.ok("ENABLE CONDSTORE")
    for n, command in enumerate(("STORE 1 +FLAGS (a)", "FETCH 2 BODY[]",
                                 "FETCH 3 (RFC822.SIZE BODY[TEXT])")):
        (number, uid, modseq, _), = fetched(c.ok(command))
        assert number == uid == n + 1 and modseq == of_status(d, "b6"), command
    d.ok("STORE 4 +FLAGS (b)")
    (_, uid, modseq, flags), = fetched(c.ok("NOOP"))
    assert uid == 4 and modseq == of_status(d, "b6") and b"b" in flags
    # What was asked for is what is answered.
    assert c.ok("FETCH 4 FLAGS")[0] in (b"* 4 FETCH (FLAGS (b))",
                                        b"* 4 FETCH (FLAGS (\\Recent b))")
    assert fetched(c.ok("FETCH 2 BODY.PEEK[]"))[0][1:3] == (None, None)


@clause("3.2.4; 5465 5.2, 7")
def of_new_messages_too(c, d):
    for enable in ("CONDSTORE", "QRESYNC", "UIDONLY CONDSTORE"):
        x = e.client()
        name = "b7" + enable[:2]
        x.ok(f"ENABLE {enable}")
        box(x, name, 2)
        x.ok("NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge))")
        d.append(name, MSG)
        got = [x.line()]
        while b"FETCH (" not in got[-1]:
            got.append(x.line())
        assert b"MODSEQ (%d)" % of_status(d, name) in got[-1], got
        assert (b"* 3 UIDFETCH (" if "UIDONLY" in enable else b"UID 3") in \
            got[-1], got
        x.ok("NOTIFY NONE")
        if "UIDONLY" not in enable:
            x.ok("UNSELECT")
            y = e.client()
            y.ok(f"ENABLE {enable}")
            y.ok(f"SELECT {name}")
            y.ok("SEARCH RETURN (COUNT UPDATE (FLAGS)) ALL")
            d.append(name, MSG)
            (_, uid, modseq, flags), = fetched(y.ok("NOOP"))
            assert uid == 4 and modseq == of_status(d, name) and \
                flags is not None
            y.close()
        x.close()


# --- 3.1.4: FETCH --------------------------------------------------------------------

@clause("3.1.4.1, 7")
def changedsince(c, d):
    box(c, "c1", 3)
    c.ok("STORE 2 +FLAGS (a)")
    at = of_status(c, "c1")
    assert [f[0] for f in fetched(c.ok("FETCH 1:* FLAGS (CHANGEDSINCE 0)"))] \
        == [1, 2, 3]
    got = fetched(c.ok(f"FETCH 1:* FLAGS (CHANGEDSINCE {at - 1})"))
    assert [(f[0], f[2]) for f in got] == [(2, at)], got
    assert not fetched(c.ok(f"FETCH 1:* FLAGS (CHANGEDSINCE {at})"))
    # \\Seen is set of what is shown, and of nothing else.
    c.ok(f"FETCH 1:* BODY[] (CHANGEDSINCE {at - 1})")
    assert c.ok("SEARCH SEEN")[0] == b"* SEARCH 2"
    for bad in ("(CHANGEDSINCE)", "(CHANGEDSINCE x)", "(CHANGEDSINCE -1)",
                "(CHANGEDSINCE 9223372036854775808)", "()", "CHANGEDSINCE 1"):
        assert c.status(f"FETCH 1 FLAGS {bad}")[0] == "BAD", bad


@clause("9394 3.4")
def changedsince_in_a_window(c, d):
    """First the window, then what has changed in it; in any order."""
    box(c, "c2", 6)
    at = of_status(c, "c2")
    c.ok("STORE 1,5 +FLAGS.SILENT (a)")
    for modifiers in (f"PARTIAL -1:-3 CHANGEDSINCE {at}",
                      f"CHANGEDSINCE {at} PARTIAL -3:-1"):
        got = fetched(c.ok(f"UID FETCH 1:* (FLAGS) ({modifiers})"))
        assert [f[1] for f in got] == [5] and got[0][2], got


# --- 3.1.5, 3.1.6, 3.1.9, 3.1.10: SEARCH, SORT, THREAD --------------------------------

@clause("3.1.5, 3.1.6, 3.1.9")
def searching(c, d):
    box(c, "c3", 4)
    for n in (3, 1, 2):
        c.ok(f"STORE {n} +FLAGS (a)")
    at = {f[0]: f[2] for f in fetched(c.ok("FETCH 1:4 MODSEQ"))}
    entry = '"/flags/\\\\draft" all'
    for command, found in (
            (f"SEARCH MODSEQ {at[1]}", [1, 2]), ("SEARCH MODSEQ 0",
                                                 [1, 2, 3, 4]),
            (f"SEARCH MODSEQ {entry} {at[1]}", [1, 2]),
            (f'SEARCH MODSEQ "/flags/$MDNSent" priv {at[2]}', [2]),
            (f'UID SEARCH MODSEQ "/flags/a" shared {at[3]}', [1, 2, 3]),
            (f"SEARCH OR MODSEQ {at[1]} 4", [1, 2, 4]),
            (f"SEARCH NOT MODSEQ {at[3]}", [4]),
            ("SEARCH MODSEQ 9223372036854775807", [])):
        got = c.ok(command)
        want = b"* SEARCH" + b"".join(b" %d" % n for n in found)
        if found:
            want += b" (MODSEQ %d)" % max(at[n] for n in found)
        assert got[0] == want, (command, got)
    assert c.ok(f"SORT (REVERSE SIZE) UTF-8 MODSEQ {at[1]}")[0] == \
        b"* SORT 1 2 (MODSEQ %d)" % at[2]
    assert c.ok("SORT (DATE) UTF-8 MODSEQ 9999")[0] == b"* SORT"
    assert b"MODSEQ" not in c.ok("THREAD REFERENCES UTF-8 MODSEQ 1")[0]
    for bad in ("MODSEQ", "MODSEQ x", "MODSEQ -1", 'MODSEQ "/flags/a" 1',
                'MODSEQ "/flags/a" some 1', 'MODSEQ "flags" all 1',
                "MODSEQ 9223372036854775808"):
        assert c.status(f"SEARCH {bad}")[0] == "BAD", bad


@clause("3.1.10; 4731 3.2")
def searching_with_return(c, d):
    box(c, "c4", 4)
    for n in (2, 4, 3, 1):
        c.ok(f"STORE {n} +FLAGS (a)")
    at = {f[0]: f[2] for f in fetched(c.ok("FETCH 1:4 MODSEQ"))}
    since = f"MODSEQ {at[2]}"
    for options, answer, high in (
            ("MIN", "MIN 1", 1), ("MAX", "MAX 4", 4),
            ("MIN MAX", "MIN 1 MAX 4", 1), ("COUNT", "COUNT 4", 1),
            ("MIN COUNT", "MIN 1 COUNT 4", 1), ("ALL", "ALL 1:4", 1),
            ("", "ALL 1:4", 1)):
        got = c.ok(f"SEARCH RETURN ({options}) {since}")[0].decode()
        assert got.endswith(f") {answer} MODSEQ {at[high]}"), (options, got)
    got = c.ok(f"SEARCH RETURN (MAX) {since} NOT 4")[0].decode()
    assert got.endswith(f"MAX 3 MODSEQ {at[3]}"), got
    got = c.ok(f"SORT RETURN (ALL) (REVERSE ARRIVAL) UTF-8 {since}")[0]
    assert b"* ESEARCH" in got and got.endswith(b" MODSEQ %d" % at[1]), got
    for options in ("ALL", "MIN", "COUNT"):
        got = c.ok(f"SEARCH RETURN ({options}) MODSEQ 9999")[0]
        assert got.startswith(b"* ESEARCH ") and b"MODSEQ" not in got, got


# --- 3.2: QRESYNC ---------------------------------------------------------------------

@clause("3.2")
def annotations_count(c, d):
    for name, setting in (("d1", ""), ("d1m", "store_format=maildir")):
        x = Engine(settings=(setting,) if setting else ())
        try:
            a = x.client()
            box(a, name, 2)
            a.ok("ENABLE CONDSTORE")
            for entry in ("/private/comment", "/shared/comment"):
                for value in ('"x"', "NIL"):
                    was = of_status(a, name)
                    a.ok(f"SETMETADATA {name} ({entry} {value})")
                    assert of_status(a, name) > was, (name, entry, value)
            was = of_status(a, name)
            a.ok(f"GETMETADATA {name} /private/comment")
            a.ok('SETMETADATA "" (/private/comment "x")')
            assert of_status(a, name) == was
            assert a.ok("FETCH 1:2 UID")[1] == b"* 2 FETCH (UID 2)"
            # It is still the same mailbox to the next one.
            b = x.client()
            b.ok(f"SELECT {name}")
            assert b.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 2"
            a.close()
            b.close()
        finally:
            x.stop()
            shutil.rmtree(x.dir)


@clause("3.2, 6")
def what_waits_is_not_passed_over(c, d):
    """A MODSEQ above that of an expunge that may not be told yet."""
    c.ok("ENABLE QRESYNC")
    box(c, "d2", 6)
    v = re.search(rb"UIDVALIDITY (\d+)", c.ok("STATUS d2 (UIDVALIDITY)")[0])
    before = of_status(c, "d2")
    expunge(d, "d2", "2")
    gone = of_status(d, "d2")
    for command in ("STORE 3 +FLAGS (a)", "STORE 4 +FLAGS.SILENT (a)",
                    "FETCH 5 BODY[]", "FETCH 3 MODSEQ",
                    "FETCH 1:* FLAGS (CHANGEDSINCE 1)",
                    f"STORE 3 (UNCHANGEDSINCE {gone + 99}) +FLAGS (b)"):
        got = c.ok(command)
        assert not untagged(got, b"VANISHED")
        low = highest(got)
        assert low is not None and before <= low < gone, (command, got)
        assert max(f[2] for f in fetched(got)) > low
    # Who is expunged has no MODSEQ of this.
    got = c.ok(f"STORE 1:3 (UNCHANGEDSINCE {gone + 99}) +FLAGS.SILENT (z)")
    assert [f[0] for f in fetched(got)] == [1, 3], got
    # Who has told nothing above need not say it.
    assert highest(c.ok("FETCH 1 FLAGS")) is None
    # Cut off here, and back: it is all there.
    x = e.client()
    x.ok("ENABLE QRESYNC")
    got = x.ok("SELECT d2 (QRESYNC (%s %d))" % (v.group(1).decode(), low))
    assert b"* VANISHED (EARLIER) 2" in got
    x.close()
    got = c.ok("NOOP")
    assert b"* VANISHED 2" in got and highest(got) == of_status(d, "d2"), got
    assert got.index(b"* VANISHED 2") < len(got) - 2
    assert highest(c.ok("STORE 1 +FLAGS (c)")) is None
    assert highest(c.ok("NOOP")) is None


@clause("3.2, 6")
def it_may_come_with_the_end_of_what_waits(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "d3", 5)
    for command, vanished in (("UID STORE 5 +FLAGS (a)", b"* VANISHED 1"),
                              ("EXPUNGE", b"* VANISHED 2"),
                              ("UID FETCH 5 MODSEQ", b"* VANISHED 3")):
        expunge(d, "d3", "1")
        low = highest(c.ok("FETCH * MODSEQ"))
        c.ok(f"STORE * +FLAGS (x{len(command)})")
        got = c.ok(command)
        assert vanished in got and highest(got) == of_status(d, "d3"), \
            (command, got)
        assert low is None or low < highest(got)


@clause("3.2, 6; 5465 5")
def also_where_nobody_asked(c, d):
    """With NOTIFY flags come at once, and what is expunged with a command."""
    c.ok("ENABLE QRESYNC")
    box(c, "d3n", 4)
    c.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))")
    expunge(d, "d3n", "1")
    gone = of_status(d, "d3n")
    d.ok("SELECT d3n")
    d.ok("STORE 2 +FLAGS (a)")
    got = [c.line()]
    while 3 not in [f[1] for f in fetched(got)]:
        got.append(c.line())
    got.append(c.line())
    assert fetched(got)[-1][2] > gone > highest(got[-1:]), got
    got = c.ok("NOOP")
    assert b"* VANISHED 1" in got and highest(got) == of_status(d, "d3n"), got


@clause("3.2.3, 3.2.5, 3.2.6")
def enabling_is_needed(c, d):
    box(c, "d4", 2)
    for _ in range(2):
        for bad in ("SELECT d4 (QRESYNC (1 1))", "EXAMINE d4 (QRESYNC (1 1))",
                    "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)"):
            assert c.status(bad)[0] == "BAD", bad
        # CONDSTORE is not enough.
        c.ok("ENABLE CONDSTORE")
    assert c.ok("ENABLE QRESYNC")[0] == b"* ENABLED QRESYNC"
    c.ok("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)")
    c.ok("SELECT d4 (QRESYNC (1 1))")


@clause("3.2.5, 7")
def parameters_of_select(c, d):
    c.ok("ENABLE QRESYNC")
    got = box(c, "d5", 6)
    v = int(re.search(rb"UIDVALIDITY (\d+)", b"".join(got)).group(1))
    expunge(d, "d5", "2,4")
    all_of_them = (b"2,4", [1, 3, 5, 6])
    for known, want in (
            ("1", all_of_them), ("1 1:3", (b"2", [1, 3])),
            ("1 4", (b"4", [])), ("1 1,3", (None, [1, 3])),
            ("1 5:900", (None, [5, 6])), ("1 100:200", (None, [])),
            # Numbers and UIDs that belong together: nothing below is told.
            ("1 (1:2 1,3)", (b"4", [1, 3, 5, 6])),
            ("1 (3 5)", (None, [1, 3, 5, 6])),
            ("1 1:6 (1,3 1,4)", all_of_them),
            ("1 1:6 (2:3 4,6)", all_of_them),
            ("9223372036854775807", (None, [])),
            (str(of_status(d, "d5")), (None, []))):
        for parameters in (f"QRESYNC ({v} {known})",
                           f"CONDSTORE QRESYNC ({v} {known})",
                           f"qresync ({v} {known}) condstore"):
            got = c.ok(f"SELECT d5 ({parameters})")
            gone = [x[21:] for x in untagged(got, b"VANISHED")]
            assert gone == ([want[0]] if want[0] else []), (known, got)
            assert [f[1] for f in fetched(got)] == want[1], (known, got)
            assert not any(f[2] is None or f[3] is None for f in fetched(got))
            assert highest(got) == of_status(d, "d5")
    # 3.2.6: first who is gone.
    got = c.ok(f"SELECT d5 (QRESYNC ({v} 1))")
    assert got.index(b"* VANISHED (EARLIER) 2,4") < \
        min(i for i, x in enumerate(got) if b" FETCH " in x)
    # Another UIDVALIDITY: as if nothing had changed.
    got = c.ok(f"SELECT d5 (QRESYNC ({v + 1} 1))")
    assert not fetched(got) and not untagged(got, b"VANISHED")
    for bad in ("QRESYNC", "QRESYNC ()", f"QRESYNC ({v})", f"QRESYNC ({v} 0)",
                "QRESYNC (0 1)", f"QRESYNC ({v} x)", f"QRESYNC ({v} 1 *)",
                f"QRESYNC ({v} 1 1:*)", f"QRESYNC ({v} 1 (1:* 1:2))",
                f"QRESYNC ({v} 1 (1:2))", f"QRESYNC ({v} 1 (1:2 1:2)",
                f"QRESYNC ({v} 1 (1:2 1:3))", f"QRESYNC ({v} 1 1 (1 1) 1)",
                f"QRESYNC ({v} 1) QRESYNC ({v} 1)",
                f"QRESYNC ({v} 9223372036854775808)"):
        assert c.status(f"SELECT d5 ({bad})")[0] == "BAD", bad


@clause("3.2.6")
def vanished_of_fetch(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "d6", 6)
    at = of_status(c, "d6")
    expunge(d, "d6", "2,4")
    mid = of_status(d, "d6")
    expunge(d, "d6", "4")           # UID 6
    c.ok("NOOP")
    for text, gone in ((f"1:* (FLAGS) (CHANGEDSINCE {at} VANISHED)", b"2,4,6"),
                       (f"1:* FLAGS (VANISHED CHANGEDSINCE {at})", b"2,4,6"),
                       (f"1:* UID (CHANGEDSINCE {mid} VANISHED)", b"6"),
                       (f"3:5 UID (CHANGEDSINCE {at} VANISHED)", b"4"),
                       ("1:3,7:99 UID (CHANGEDSINCE 0 VANISHED)", b"2"),
                       ("3,9:99 UID (CHANGEDSINCE 1 VANISHED)", None),
                       ("1:* UID (CHANGEDSINCE 9999 VANISHED)", None)):
        got = c.ok(f"UID FETCH {text}")
        want = [b"* VANISHED (EARLIER) " + gone] if gone else []
        assert untagged(got, b"VANISHED") == want and \
            got[:len(want)] == want, (text, got)
    for bad in ("UID FETCH 1 FLAGS (VANISHED)", "FETCH 1 FLAGS (VANISHED)",
                "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)"):
        assert c.status(bad)[0] == "BAD", bad


@clause("3.2.7, 3.2.9, 3.2.10; 6851 4.4")
def commands_that_remove(c, d):
    c.ok("CREATE d7t")
    for enable, word in (("CONDSTORE", b"EXPUNGE"), ("QRESYNC", b"VANISHED")):
        x = e.client()
        x.ok(f"ENABLE {enable}")
        name = f"d7{enable}"
        box(x, name, 8)
        x.ok("STORE 1:6 +FLAGS.SILENT (\\Deleted)")
        for command, gone in (("UID EXPUNGE 2:3,99", [2, 3]),
                              ("MOVE 1 d7t", [1]), ("UID MOVE 5 d7t", [5]),
                              ("EXPUNGE", [4, 6])):
            was = of_status(d, name)
            got = x.ok(command)
            assert not any(b"(EARLIER)" in y for y in got)
            if word == b"VANISHED":
                told = [int(n) for y in untagged(got, word)
                        for n in expand(y[11:])]
                assert told == gone and not untagged(got, b"EXPUNGE"), got
            else:
                assert len(untagged(got, b"EXPUNGE")) == len(gone) and \
                    not untagged(got, b"VANISHED"), got
            now = of_status(d, name)
            assert now > was and b"[HIGHESTMODSEQ %d]" % now in got[-1], got
        for nothing in ("EXPUNGE", "UID EXPUNGE 1:*", "UID MOVE 99 d7t"):
            got = x.ok(nothing)
            assert got[-1:] == got and highest(got) is None, got
        x.close()


def expand(text):
    for part in text.decode().split(","):
        lo, _, hi = part.partition(":")
        yield from range(int(lo), int(hi or lo) + 1)


@clause("3.2.8")
def close_says_nothing(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "d8", 3)
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    was = of_status(c, "d8")
    got = c.ok("CLOSE")
    assert len(got) == 1 and b"HIGHESTMODSEQ" not in got[0], got
    assert of_status(c, "d8") > was
    v = re.search(rb"UIDVALIDITY (\d+)", c.ok("STATUS d8 (UIDVALIDITY)")[0])
    got = c.ok("SELECT d8 (QRESYNC (%s %d))" % (v.group(1).decode(), was))
    assert b"* VANISHED (EARLIER) 2" in got


@clause("3.2.10.2")
def vanished_only_of_what_was_shown(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "d9", 3)
    d.append("d9", MSG)
    expunge(d, "d9", "4")
    expunge(d, "d9", "1")
    got = c.ok("NOOP")
    assert untagged(got, b"VANISHED") == [b"* VANISHED 1"], got
    # Not in FETCH, STORE, SEARCH, nor in UID SEARCH with numbers.
    expunge(d, "d9", "1")
    for command in ("FETCH 1 FLAGS", "STORE 1 +FLAGS (a)", "SEARCH ALL",
                    "UID SEARCH 1", "SORT (DATE) UTF-8 ALL",
                    "THREAD REFERENCES UTF-8 ALL", "UID SEARCH NOT (1:2)"):
        assert not untagged(c.ok(command), b"VANISHED"), command
    assert untagged(c.ok("UID SEARCH ALL"), b"VANISHED") == [b"* VANISHED 2"]
    for command in ("UID FETCH 3 FLAGS", "UID STORE 3 +FLAGS (b)",
                    "UID SORT (DATE) UTF-8 ALL", "NOOP", "CHECK"):
        c.append("d9", MSG)
        last = c.ok("FETCH * UID")[0].split()[-1].rstrip(b")")
        expunge(d, "d9", "*")
        assert untagged(c.ok(command), b"VANISHED") == \
            [b"* VANISHED " + last], command


@clause("3.2.11")
def closed(c, d):
    """Whatever is enabled; with CLOSE and UNSELECT it is not needed."""
    box(c, "e1", 1)
    for command in ("SELECT e1", "EXAMINE INBOX", "SELECT INBOX (CONDSTORE)"):
        got = c.ok(command)
        assert got[0].startswith(b"* OK [CLOSED]"), got
        assert sum(b"[CLOSED]" in x for x in got) == 1
    got = c.cmd("SELECT nowhere")
    assert got[0].startswith(b"* OK [CLOSED]") and b" NO " in got[-1], got
    assert not any(b"[CLOSED]" in x for x in c.ok("SELECT e1"))
    for command in ("UNSELECT", "CLOSE"):
        assert len(c.ok(command)) == 1
        assert not any(b"[CLOSED]" in x for x in c.ok("SELECT e1"))


# --- RFC 5161 -------------------------------------------------------------------------

@clause("5161 3.1, 3.2")
def enable(c, d):
    for words, enabled in (("X-NONE", b""), ("IDLE", b""),
                           ("condstore", b" CONDSTORE"),
                           ("X-NONE QRESYNC X-OTHER", b" QRESYNC")):
        got = c.ok(f"ENABLE {words}")
        assert got[0] == b"* ENABLED" + enabled, got
    for bad in ("ENABLE", "ENABLE ", "ENABLE (CONDSTORE)",
                'ENABLE "CONDSTORE"'):
        assert c.status(bad)[0] == "BAD", bad
    # It lasts as long as the connection, over mailboxes.
    box(c, "e2", 1)
    c.ok("UNSELECT")
    c.ok("SELECT e2")
    assert fetched(c.ok("STORE 1 +FLAGS (a)"))[0][2] is not None
    assert b" ENABLE" in c.ok("CAPABILITY")[0]


run_all("RFC 7162")
