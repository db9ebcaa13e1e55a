#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the extensions' RFCs say a server MUST do, clause by clause.

Each case names its RFC and section.  More of them, at length:

RFC 3502, 3516, 4469, 7888, 7889,
8508                               test_append.py
RFC 9394, 9586, 8508               rev2.talk, test_limits.py, test_model.py
RFC 4314                           test_rfc4314.py, test_shared.py, test_model.py,
                                   system/test_shared_folders.py
RFC 9208                           test_rfc9208.py, system/test_quota.py
RFC 5464, 9590, 6154 4             test_rfc5464.py, metadata.talk
RFC 5258, 5819, 6154, 8440, 2342   test_rfc5258.py, list.talk
RFC 4731, 5182, 5032               test_rfc5182.py
RFC 6851, 4315, 8474, 8514, 8970,
2177                               test_rfc6851.py
RFC 9738                           test_limits.py
RFC 5256, 5957                     test_rfc5256.py, compare/threads.py
RFC 5267, 7377, 9394, 9585         test_rfc5267.py, test_context.py
RFC 5465                           test_rfc5465.py, test_notify.py
RFC 7162, 5161                     test_rfc7162.py, qresync.talk, test_model.py
RFC 5530, 2971, 4978               test_rfc5530.py
RFC 8437                           system/test_unauthenticate.py
"""
import re
import shutil

from clauses import clause, e, engine_of, run_all, untagged
from imaptalk import Engine, parse

guest = engine_of("guest")

MSG = (b"From: Fred <f@example.org>\r\nSubject: one\r\n"
       b"Message-ID: <1@example.org>\r\n\r\nbody\r\n")


def box(c, name, n=1, flags="", select="SELECT"):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG, flags)
    return c.ok(f"{select} {name}") if select else None


def modseq(lines):
    return int(re.search(rb"[ (](?:HIGHEST)?MODSEQ \(?(\d+)", b"".join(lines)).group(1))


# --- RFC 7162 --------------------------------------------------------------------

@clause("7162 3.1.2.1")
def highestmodseq_is_told(c, d):
    assert any(b"[HIGHESTMODSEQ " in x for x in box(c, "a1"))
    assert b"HIGHESTMODSEQ" in c.ok("STATUS a1 (HIGHESTMODSEQ)")[0]


@clause("7162 3.1")
def enabling_commands(c, d):
    """After any of them FETCH tells MODSEQ of changed flags."""
    box(c, "a2")
    for how in ("FETCH 1 MODSEQ", "STATUS a2 (HIGHESTMODSEQ)",
                "SELECT a2 (CONDSTORE)", "FETCH 1 FLAGS (CHANGEDSINCE 1)",
                "STORE 1 (UNCHANGEDSINCE 9999) FLAGS ()",
                "SEARCH MODSEQ 1", "ENABLE CONDSTORE"):
        x = e.client()
        x.ok("SELECT a2")
        assert b"MODSEQ" not in x.ok("STORE 1 +FLAGS (\\Seen)")[0]
        x.ok(how)
        assert b"MODSEQ" in x.ok("STORE 1 -FLAGS (\\Seen)")[0], how
        x.close()


@clause("7162 3.1.3")
def unchangedsince(c, d):
    box(c, "a3", 3)
    old = modseq(c.ok("FETCH 3 MODSEQ"))
    d.ok("SELECT a3")
    d.ok("STORE 2 +FLAGS (\\Seen)")
    got = c.cmd(f"STORE 1:3 (UNCHANGEDSINCE {old}) -FLAGS.SILENT (\\Seen)")
    assert b"[MODIFIED 2]" in got[-1] and b" OK" in got[-1], got
    # .SILENT tells the MODSEQ all the same.
    assert len([x for x in untagged(got, b"FETCH") if b"MODSEQ" in x]) >= 2
    assert b"\\Seen" in c.ok("FETCH 2 FLAGS")[0]
    got = c.cmd("UID STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS (\\Draft)")
    assert b"[MODIFIED 1:3]" in got[-1], got


@clause("7162 3.1.4")
def changedsince(c, d):
    box(c, "a4", 3)
    was = modseq(c.ok("STATUS a4 (HIGHESTMODSEQ)"))
    d.ok("SELECT a4")
    d.ok("STORE 2 +FLAGS (\\Flagged)")
    c.ok("NOOP")
    got = untagged(c.ok(f"FETCH 1:* UID (CHANGEDSINCE {was})"), b"FETCH")
    assert len(got) == 1 and b"MODSEQ" in got[0] and b"UID 2" in got[0]


@clause("7162 3.1.5")
def search_by_modseq(c, d):
    box(c, "a5", 3)
    c.ok("STORE 2 +FLAGS (\\Seen)")
    high = modseq(c.ok("FETCH 2 MODSEQ"))
    got = c.ok(f"SEARCH MODSEQ {high}")
    assert got[0] == b"* SEARCH 2 (MODSEQ %d)" % high, got
    assert c.ok(f"SEARCH MODSEQ {high + 9}")[0] == b"* SEARCH"
    got = c.ok(f"SEARCH RETURN (ALL) MODSEQ {high}")[0]
    assert got.endswith(b"ALL 2 MODSEQ %d" % high), got


@clause("7162 3.2.3")
def qresync_only_when_enabled(c, d):
    box(c, "a6", 2)
    v = int(re.search(rb"UIDVALIDITY (\d+)",
                      c.ok("STATUS a6 (UIDVALIDITY)")[0]).group(1))
    for bad in (f"SELECT a6 (QRESYNC ({v} 1))",
                "UID FETCH 1:2 FLAGS (CHANGEDSINCE 1 VANISHED)"):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("ENABLE QRESYNC")
    for bad in ("UID FETCH 1:2 FLAGS (VANISHED)",
                "FETCH 1:2 FLAGS (CHANGEDSINCE 1 VANISHED)",
                f"SELECT a6 (QRESYNC ({v}))", "SELECT a6 (QRESYNC (0 1))",
                # 7: '"*" is not allowed' in any of them.
                f"SELECT a6 (QRESYNC ({v} 1 1:*))",
                f"SELECT a6 (QRESYNC ({v} 1 *))",
                f"SELECT a6 (QRESYNC ({v} 1 1:2 (1:* 1:2)))",
                f"SELECT a6 (QRESYNC ({v} 1 1:2 (1:2 1:*)))"):
        assert c.status(bad)[0] == "BAD", bad


@clause("7162 3.2.5")
def resynchronization(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "a7", 5)
    got = c.ok("STATUS a7 (UIDVALIDITY HIGHESTMODSEQ)")[0]
    v = int(re.search(rb"UIDVALIDITY (\d+)", got).group(1))
    was = modseq([got])
    d.ok("SELECT a7")
    d.ok("STORE 1,4 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    d.ok("STORE 2 +FLAGS (\\Flagged)")
    got = c.ok(f"SELECT a7 (QRESYNC ({v} {was}))")
    assert b"* VANISHED (EARLIER) 1,4" in got, got
    f = untagged(got, b"FETCH")
    assert len(f) == 1 and b"UID 3" in f[0] and b"MODSEQ" in f[0], f
    # VANISHED comes before the FETCHes, and of known UIDs alone.
    assert got.index(b"* VANISHED (EARLIER) 1,4") < got.index(f[0])
    got = c.ok(f"SELECT a7 (QRESYNC ({v} {was} 1:2))")
    assert b"* VANISHED (EARLIER) 1" in got, got
    # Another UIDVALIDITY: as if it had not been asked for.
    got = c.ok(f"SELECT a7 (QRESYNC ({v + 1} {was}))")
    assert not untagged(got, b"VANISHED") and not untagged(got, b"FETCH")
    got = c.ok(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {was} VANISHED)")
    assert b"* VANISHED (EARLIER) 1,4" in got


@clause("7162 3.2.7")
def vanished_for_expunge(c, d):
    c.ok("ENABLE QRESYNC")
    box(c, "a8", 4, "(\\Deleted)")
    got = c.ok("UID EXPUNGE 2:3")
    assert b"* VANISHED 2:3" in got and not untagged(got, b"EXPUNGE"), got
    assert b"HIGHESTMODSEQ" in got[-1], got
    c.ok("CREATE a9")
    got = c.ok("MOVE 1 a9")
    assert b"* VANISHED 1" in got, got


# --- RFC 5258, 5819, 6154 -----------------------------------------------------------

@clause("5258 3.1")
def recursivematch_tells_the_child(c, d):
    c.ok("CREATE b1/x/y")
    c.ok("SUBSCRIBE b1/x/y")
    got = untagged(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" b%'), b"LIST")
    assert len(got) == 1 and b'("CHILDINFO" ("SUBSCRIBED"))' in got[0], got


@clause("5819 2; 9590 4; 8440 3")
def mere_parents_have_no_status(c, d):
    c.ok("CREATE b5/x")
    c.ok("CREATE b5")
    c.ok("SUBSCRIBE b5/x")
    got = c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" b5% RETURN (STATUS '
               '(MESSAGES) MYRIGHTS METADATA (/shared/comment))')
    assert len(got) == 2 and b"CHILDINFO" in got[0], got


@clause("5819 2")
def status_behind_each_list(c, d):
    box(c, "b2", 2, select=None)
    got = c.ok('LIST "" b2 RETURN (STATUS (MESSAGES SIZE DELETED))')
    assert got[0].startswith(b"* LIST ") and \
        got[1] == b"* STATUS b2 (MESSAGES 2 DELETED 0 SIZE %d)" % (
            2 * len(MSG)), got


@clause("6154 3")
def special_uses(c, d):
    c.ok("CREATE b3 (USE (\\Archive))")
    got = untagged(c.ok('LIST (SPECIAL-USE) "" *'), b"LIST")
    assert any(b"\\Archive" in x and b"b3" in x for x in got), got
    assert c.status("CREATE b4 (USE (\\Nonsense))") == ("NO", "USEATTR")
    assert c.status("STATUS b4 (MESSAGES)")[0] == "NO"


# --- RFC 3516, 9394, 9586, 8508 -------------------------------------------------------

@clause("3516 4.2")
def binary(c, d):
    c.ok("CREATE c1")
    c.append("c1", b"MIME-Version: 1.0\r\nContent-Type: application/x\r\n"
             b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n")
    c.append("c1", b"Content-Type: application/x\r\n"
             b"Content-Transfer-Encoding: x-none\r\n\r\nabc\r\n")
    c.ok("SELECT c1")
    assert b"~{3}\r\n\0\1\2" in c.ok("FETCH 1 BINARY.PEEK[1]")[0]
    assert b"BINARY.SIZE[1] 3" in c.ok("FETCH 1 BINARY.SIZE[1]")[0]
    assert c.status("FETCH 2 BINARY[1]") == ("NO", "UNKNOWN-CTE")
    assert c.status("FETCH 2 BINARY.SIZE[1]") == ("NO", "UNKNOWN-CTE")


@clause("9394 3")
def partial(c, d):
    box(c, "c2", 5)
    got = c.ok("SEARCH RETURN (PARTIAL 2:3) ALL")[0]
    assert got.endswith(b"PARTIAL (2:3 2:3)"), got
    got = c.ok("UID SEARCH RETURN (PARTIAL -1:-2 COUNT) ALL")[0]
    assert b"PARTIAL (-1:-2 4:5)" in got and b"COUNT 5" in got, got
    got = c.ok("SEARCH RETURN (PARTIAL 9:10) ALL")[0]
    assert got.endswith(b"PARTIAL (9:10 NIL)"), got
    for bad in ("SEARCH RETURN (PARTIAL 1:2 ALL) ALL",
                "SEARCH RETURN (PARTIAL 1:-2) ALL",
                "SEARCH RETURN (PARTIAL 0:1) ALL"):
        assert c.status(bad)[0] == "BAD", bad
    got = c.ok("UID FETCH 1:* (UID) (PARTIAL -1:-2)")
    assert len(untagged(got, b"FETCH")) == 2, got


@clause("9394 3.2")
def what_of_a_partial_result_is_saved(c, d):
    box(c, "c9", 6)
    for options, want in (
            ("PARTIAL 2:3", "2:3"), ("PARTIAL -1:-2", "5:6"),
            ("PARTIAL 9:10", ""), ("PARTIAL 2:3 MIN", "1:3"),
            ("PARTIAL 2:3 MAX", "2:3,6"), ("PARTIAL 3:3 MIN MAX", "1,3,6"),
            ("PARTIAL 9:10 MIN", "1"), ("PARTIAL 2:3 COUNT", "1:6"),
            ("PARTIAL 2:3 COUNT MIN MAX", "1:6"), ("ALL MIN", "1:6")):
        for verb, keys in (("SEARCH", "ALL"), ("UID SEARCH", "ALL"),
                           ("SORT", "(ARRIVAL) UTF-8 ALL")):
            got = c.ok(f"{verb} RETURN (SAVE {options}) {keys}")
            assert b"* ESEARCH" in got[0], got
            got = c.ok("SEARCH RETURN (ALL) $")[0]
            assert got.endswith(f") ALL {want}".encode() if want else b'")'), \
                (options, verb, got)


@clause("9586 3")
def uidonly(c, d):
    c.ok("ENABLE UIDONLY QRESYNC")
    box(c, "c3", 3)
    # 3.8: whatever takes numbers.
    assert c.status(b"REPLACE 1 c3 {%d+}\r\n%s" % (len(MSG), MSG)) == \
        ("BAD", "UIDREQUIRED")
    # 3.7: no message sequence match data; the client stays where it is.
    assert c.status("SELECT c3 (QRESYNC (1 1 1:3 (1:3 1:3)))") == \
        ("BAD", "UIDREQUIRED")
    # 3.3: the UID as an item, where it was asked for.
    for items in ("UID", "(UID)", "(UID FLAGS)", "(FLAGS UID)"):
        got = untagged(c.ok(f"UID FETCH 2 {items}"), b"UIDFETCH")
        assert len(got) == 1 and got[0].startswith(b"* 2 UIDFETCH (") and \
            b"UID 2" in got[0], got
    for bad in ("FETCH 1 FLAGS", "STORE 1 FLAGS ()", "SEARCH ALL",
                "COPY 1 INBOX", "MOVE 1 INBOX", "SORT (ARRIVAL) UTF-8 ALL"):
        assert c.status(bad) == ("BAD", "UIDREQUIRED"), bad
    assert c.status("UID SEARCH 1:2") == ("BAD", "UIDREQUIRED")
    got = c.ok("UID FETCH 2 FLAGS")[0]
    assert got.startswith(b"* 2 UIDFETCH (") and b"UID 2" not in got, got
    c.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
    got = c.ok("EXPUNGE")
    assert b"* VANISHED 2" in got and not untagged(got, b"EXPUNGE"), got


@clause("8508 3")
def replace(c, d):
    box(c, "c4", 2)
    c.ok("CREATE c5")
    got = c.ok(b"REPLACE 1 c5 (\\Seen) {%d+}\r\n%s" % (len(MSG), MSG))
    assert any(b"[APPENDUID " in x for x in got) and b"* 1 EXPUNGE" in got
    assert b"MESSAGES 1" in c.ok("STATUS c5 (MESSAGES)")[0]
    # What cannot be stored replaces nothing.
    assert c.status(b"UID REPLACE 2 nowhere {%d+}\r\n%s" % (len(MSG), MSG)) \
        == ("NO", "TRYCREATE")
    assert c.status(b"REPLACE 7 c5 {%d+}\r\n%s" % (len(MSG), MSG))[0] == "BAD"
    assert b"MESSAGES 1" in c.ok("STATUS c4 (MESSAGES)")[0]


@clause("8508 3.4")
def replace_counts_what_is_left(c, d):
    """The quota is asked as if the old one were gone."""
    full = Engine(settings=("quota_message_limit=3",
                            "quota_storage_limit=20k"))
    try:
        replace_when_full(full.client())
    finally:
        full.stop()
        shutil.rmtree(full.dir)


def replace_when_full(x):
    x.ok("CREATE c6")
    for _ in range(3):
        x.append("c6", MSG + b"filler\r\n" * 500)
    x.ok("SELECT c6")
    big = MSG + b"filler\r\n" * 500
    for command in (b"REPLACE 1", b"UID REPLACE 2"):
        got = x.ok(b"%s c6 {%d+}\r\n%s" % (command, len(big), big))
        assert any(y.endswith(b" EXPUNGE") for y in got), got
    assert x.status(b"REPLACE 1 c6 {%d+}\r\n%s" % (
        4 * len(big), big * 4)) == ("NO", "OVERQUOTA")
    assert x.status(b"APPEND c6 {%d+}\r\n%s" % (len(MSG), MSG)) == \
        ("NO", "OVERQUOTA")
    assert b"MESSAGES 3" in x.ok("STATUS c6 (MESSAGES)")[0]
    x.close()


@clause("8508 3.4, 4.1")
def replace_needs_all_rights_first(c, d):
    """Those of STORE, EXPUNGE and APPEND; without them nothing is put."""
    g = guest.client()
    box(c, "c7", 2, select=None)
    c.ok("CREATE c8")
    c.ok("SETACL c8 guest lri")
    text = b"%s \"Other Users/tester/%s\" {4+}\r\nA: b"
    for rights, there in (("lri", b"c7"), ("lrit", b"c7"), ("lrie", b"c7"),
                          ("lrte", b"c7"), ("lri", b"c8"), ("lrt", b"c8")):
        c.ok(f"SETACL c7 guest {rights}")
        g.ok('SELECT "Other Users/tester/c7"')
        for command in (b"REPLACE 1", b"UID REPLACE 1"):
            assert g.status(text % (command, there)) == ("NO", "NOPERM"), \
                (rights, there)
    assert b"MESSAGES 2" in c.ok("STATUS c7 (MESSAGES)")[0]
    assert b"MESSAGES 0" in c.ok("STATUS c8 (MESSAGES)")[0]
    c.ok("SETACL c7 guest lrte")
    g.ok('SELECT "Other Users/tester/c7"')
    g.ok(text % (b"REPLACE 1", b"c8"))
    g.ok('EXAMINE "Other Users/tester/c7"')
    assert g.status(text % (b"REPLACE 1", b"c8")) == ("NO", "READ-ONLY")
    assert b"MESSAGES 1" in c.ok("STATUS c8 (MESSAGES)")[0]
    g.close()


# --- RFC 9755 ------------------------------------------------------------------------

@clause("9755 3")
def utf8_accept(c, d):
    c.ok("ENABLE UTF8=ACCEPT")
    box(c, "j1", 1)
    for bad in ("SEARCH CHARSET UTF-8 ALL", "UID SEARCH CHARSET US-ASCII ALL",
                "ESEARCH CHARSET UTF-8 ALL", "SORT (DATE) US-ASCII ALL",
                "UID SORT (DATE) ISO-8859-1 ALL",
                "THREAD REFERENCES US-ASCII ALL"):
        assert c.status(bad)[0] == "BAD", bad
    for good in ("SORT (DATE) UTF-8 ALL", 'SORT (DATE) "utf-8" ALL',
                 "THREAD REFERENCES UTF-8 ALL"):
        c.ok(good)
    assert c.status(b'CREATE "j\xff"')[0] in ("BAD", "NO")
    # RFC 9051 5.1: none of these in a name.
    for bad in ("\u0085", "\u2028", "\u2029", "\x7f", "\x1f"):
        assert c.status(f'CREATE "j{bad}k"')[0] in ("BAD", "NO"), repr(bad)


# --- RFC 8474, 8514, 6851, 4315 -----------------------------------------------------------

@clause("8474 4")
def ids(c, d):
    got = c.ok("CREATE d1")[-1]
    one = re.search(rb"\[MAILBOXID \(([\w-]+)\)\]", got).group(1)
    assert 1 <= len(one) <= 255
    c.ok("RENAME d1 d2")
    assert one in c.ok("STATUS d2 (MAILBOXID)")[0]
    assert any(b"[MAILBOXID (%s)]" % one in x for x in c.ok("SELECT d2"))
    c.append("d2", MSG)
    a = parse(c.ok("FETCH 1 (EMAILID THREADID)")[0])[3]
    c.ok("COPY 1 INBOX")
    c.ok("SELECT INBOX")
    b = parse(c.ok("FETCH * (EMAILID THREADID)")[0])[3]
    assert a == b and a[1][0], (a, b)
    assert c.ok(f"SEARCH EMAILID {a[1][0]}")[0] != b"* SEARCH"


@clause("8514 4")
def savedate(c, d):
    box(c, "d3", 0, select=None)
    c.append("d3", MSG, '"01-Jan-2001 00:00:00 +0000"')
    c.ok("SELECT d3")
    assert b"SAVEDATE \"" in c.ok("FETCH 1 SAVEDATE")[0]
    assert c.ok("SEARCH SAVEDBEFORE 2-Jan-2001")[0] == b"* SEARCH"
    assert c.ok("SEARCH SAVEDSINCE 2-Jan-2001")[0] == b"* SEARCH 1"
    assert c.ok("SEARCH SAVEDATESUPPORTED")[0] == b"* SEARCH 1"


@clause("4315 2.1")
def uid_expunge(c, d):
    box(c, "d4", 3, "(\\Deleted)")
    c.ok("STORE 3 -FLAGS.SILENT (\\Deleted)")
    assert c.ok("UID EXPUNGE 2:9")[0] == b"* 2 EXPUNGE"
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 3"


# --- RFC 4314, 9208, 5464 ---------------------------------------------------------------------

@clause("4314 3")
def acl(c, d):
    c.ok("CREATE f1")
    c.ok("SETACL f1 fred lrs")
    assert b"fred lrs" in c.ok("GETACL f1")[0]
    c.ok("SETACL f1 fred +w")
    assert b"fred lrsw" in c.ok("GETACL f1")[0]
    c.ok("SETACL f1 fred -lr")
    assert b"fred sw" in c.ok("GETACL f1")[0]
    assert c.status("SETACL f1 fred lZ")[0] == "BAD"
    c.ok("DELETEACL f1 fred")
    assert b"fred" not in c.ok("GETACL f1")[0]
    assert c.ok("MYRIGHTS f1")[0].startswith(b"* MYRIGHTS f1 ")
    assert c.ok("LISTRIGHTS f1 fred")[0].startswith(b"* LISTRIGHTS f1 fred ")
    assert c.status("GETACL nowhere")[0] == "NO"


@clause("9208 4.1")
def quota(c, d):
    got = c.ok("GETQUOTAROOT INBOX")
    assert untagged(got, b"QUOTAROOT INBOX"), got
    assert c.status("GETQUOTA nonsense")[0] == "NO"


@clause("5464 4")
def metadata(c, d):
    c.ok("CREATE f2")
    c.ok('SETMETADATA f2 (/private/comment "mine" /shared/comment "all")')
    got = c.ok("GETMETADATA f2 (/shared/comment /private/comment)")[0]
    assert b"mine" in got and b"all" in got, got
    got = c.ok("GETMETADATA (MAXSIZE 3) f2 (/private/comment)")
    assert b"[METADATA LONGENTRIES 4]" in got[-1], got
    c.ok("SETMETADATA f2 (/private/comment NIL)")
    assert b"mine" not in b"".join(c.ok("GETMETADATA f2 /private/comment"))
    for bad in ("/other/comment", "private/comment", "/private/a//b",
                "/private/a*", "/private/a/"):
        assert c.status(f'SETMETADATA f2 ({bad} "x")')[0] in ("BAD", "NO"), bad
    got = c.ok('SETMETADATA f2 (/private/x/a "1" /private/x/a/b "2" '
               '/private/x/a/b/c "3")')
    for depth, n in (("0", 1), ("1", 2), ("infinity", 3)):
        got = c.ok(f"GETMETADATA (DEPTH {depth}) f2 (/private/x/a)")[0]
        assert len(parse(got)[3]) == 2 * n, (depth, got)


# --- RFC 5465, 5267, 7377 --------------------------------------------------------------------------

@clause("5465 3.1")
def notify_status(c, d):
    box(c, "g1", 2, select=None)
    got = c.ok("NOTIFY SET STATUS (mailboxes g1 (MessageNew MessageExpunge))")
    assert re.match(rb"\* STATUS g1 \(MESSAGES 2 UIDNEXT 3 UIDVALIDITY \d+",
                    got[0]), got
    code = c.status("NOTIFY SET (mailboxes g1 (AnnotationChange))")
    assert code[0] == "NO" and code[1].startswith("BADEVENT"), code


@clause("5267 4.3")
def context_update(c, d):
    box(c, "g2", 2)
    tag = c.start("SEARCH RETURN (UPDATE ALL) UNSEEN")
    assert b"ALL 1:2" in c.until(tag)[0]
    got = c.ok("STORE 1 +FLAGS (\\Seen)") + c.ok("NOOP")
    assert any(b'(TAG "%s") REMOVEFROM (0 1)' % tag.encode() in x
               for x in got), got
    c.ok(f'CANCELUPDATE "{tag}"')
    got = c.ok("STORE 2 +FLAGS (\\Seen)") + c.ok("NOOP")
    assert not untagged(got, b"ESEARCH"), got


@clause("7377 2")
def multisearch(c, d):
    box(c, "h1", 2, select=None)
    box(c, "h2", 1, select=None)
    got = c.ok('ESEARCH IN (mailboxes ("h1" "h2")) RETURN (COUNT ALL) '
               'SUBJECT "one"')
    e1 = untagged(got, b"ESEARCH")
    assert len(e1) == 2 and all(b"UIDVALIDITY" in x and b" UID " in x and
                                b"MAILBOX" in x for x in e1), got
    assert c.status("ESEARCH IN (nowhere) ALL")[0] == "BAD"


run_all("RFC")
