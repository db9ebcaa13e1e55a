#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 5464 (METADATA), clause by clause; RFC 6154 4, RFC 9590."""
import re

from clauses import clause, engine_of, run_all, untagged
from imaptalk import parse

bob = engine_of("bob")
small = engine_of(None, "imapd_metadata_size_limit=1024")
TOP = "Other Users/tester/"
PLACE = '"%s%s"'


def entries(lines):
    """All that METADATA responses say, by entry."""
    found = {}
    for x in untagged(lines, b"METADATA"):
        words = parse(x)[3]
        assert not set(words[::2]) & set(found), "said twice"
        found.update(zip(words[::2], words[1::2]))
    return found


def get(c, name, entry):
    return entries(c.ok(f"GETMETADATA {name} {entry}"))


@clause("3.2")
def names_of_entries(c, d):
    c.ok("CREATE a1")
    for bad in ("/private//x", "/private/x/", "/shared/", "/private/a*b",
                '"/private/a%b"', "comment", "/comment", "/privately/x",
                "/sharedx/y", '"/private/a b\tc"', "{10+}\r\n/private/\xff"):
        for command in ("GETMETADATA a1 %s", 'SETMETADATA a1 (%s "x")'):
            assert c.status((command % bad).encode("latin1"))[0] == "BAD", bad
        c.ok("NOOP")        # so many in a row would end it
    # At least two components, below a vendor four.
    for bad in ("/private", "/shared", "/private/vendor/x", "/shared/vendor",
                "/shared/vendor/x"):
        assert c.status(f'SETMETADATA a1 ({bad} "x")')[0] == "BAD", bad
    c.ok('SETMETADATA a1 (/private/vendor/tool/x "1" /shared/vendored "2")')
    # Without case.
    assert list(get(c, "a1", "/PRIVATE/Vendor/TOOL/x").values()) == [b"1"]
    c.ok('SETMETADATA a1 (/Private/VENDOR/tool/X NIL)')
    assert list(get(c, "a1", "/private/vendor/tool/x").values()) == [None]


@clause("3.2")
def values(c, d):
    """NIL, strings, and bytes of any kind."""
    c.ok("CREATE a2")
    for said, want in (('""', b""), ('"x"', b"x"), ("{0+}\r\n", b""),
                       ("{6+}\r\na\r\nb\r\n", b"a\r\nb\r\n"),
                       ('"a\\"b\\\\c"', b'a"b\\c'), ("NIL", None),
                       ("~{3+}\r\na\0b", b"a\0b"), ("nil", None)):
        c.ok(f"SETMETADATA a2 (/private/comment {said})")
        assert get(c, "a2", "/private/comment") == {"/private/comment": want}


@clause("3.2.1.1")
def servers_entries(c, d):
    c.ok('SETMETADATA "" (/shared/comment "c")')
    assert get(c, '""', "/shared/comment") == {"/shared/comment": b"c"}
    # "Clients cannot change it."
    assert c.status('SETMETADATA "" (/shared/admin "mailto:x@y")')[0] == "NO"
    assert c.status('SETMETADATA "" (/shared/comment "d" /shared/admin '
                    '"mailto:x@y")')[0] == "NO"
    assert get(c, '""', "(/shared/comment /shared/admin)") == {
        "/shared/comment": b"c", "/shared/admin": None}


@clause("3.3")
def private_is_each_users_own(c, d):
    b = bob.client()
    c.ok("CREATE b1")
    c.ok("SETACL b1 bob lrw")
    there = PLACE % (TOP, "b1")
    c.ok('SETMETADATA b1 (/private/comment "mine" /shared/comment "all")')
    both = "(/private/comment /shared/comment)"
    assert get(b, there, both) == {"/private/comment": None,
                                   "/shared/comment": b"all"}
    b.ok(f'SETMETADATA {there} (/private/comment "his" /private/x/y "z" '
         '/shared/comment "changed")')
    assert get(b, there, both) == {"/private/comment": b"his",
                                   "/shared/comment": b"changed"}
    assert get(c, "b1", both) == {"/private/comment": b"mine",
                                  "/shared/comment": b"changed"}
    for who, name, want in ((b, there, {"/private/comment", "/private/x/y"}),
                            (c, "b1", {"/private/comment"})):
        got = entries(who.ok(f"GETMETADATA (DEPTH infinity) {name} /private"))
        assert set(got) == want, got
    # Nor is anybody told of it.
    c.ok("NOTIFY SET (personal (MailboxMetadataChange))")
    b.ok(f'SETMETADATA {there} (/private/comment "again")')
    b.ok(f'SETMETADATA {there} (/shared/comment "again")')
    got = c.line()
    assert got == b"* METADATA b1 /shared/comment", got
    b.close()


@clause("3.3")
def rights(c, d):
    """"l" and one of "r", "s", "w", "i", "p"; else NO."""
    b = bob.client()
    for given, want in (("l", None), ("lk", None), ("lxtea", None),
                        ("rswip", None), ("lr", b"x"), ("ls", b"x"),
                        ("lw", b"x"), ("li", b"x"), ("lp", b"x")):
        name = "c-" + given
        c.ok(f"CREATE {name}")
        c.ok(f'SETMETADATA {name} (/shared/comment "x")')
        c.ok(f"SETACL {name} bob {given}")
        there = PLACE % (TOP, name)
        for command in ("GETMETADATA %s /shared/comment",
                        "GETMETADATA (DEPTH infinity) %s /shared",
                        'SETMETADATA %s (/private/comment "y")'):
            assert b.status(command % there)[0] == ("OK" if want else "NO"), \
                (given, command)
        got = entries(b.ok(f"LIST \"\" {there} RETURN (METADATA "
                           "(/shared/comment))"))
        assert got.get("/shared/comment") == want, (given, got)
    b.close()


@clause("4.1")
def they_follow_the_mailbox(c, d):
    c.ok("CREATE d1/x")
    c.ok('SETMETADATA d1/x (/private/comment "p" /shared/comment "s")')
    c.ok("RENAME d1/x d2")
    want = {"/private/comment": b"p", "/shared/comment": b"s"}
    both = "(/private/comment /shared/comment)"
    assert get(c, "d2", both) == want
    c.ok("DELETE d2")
    c.ok("CREATE d2")
    assert set(get(c, "d2", both).values()) == {None}
    # INBOX keeps what it gives away.
    c.ok('SETMETADATA INBOX (/private/comment "p" /shared/comment "s")')
    c.ok("RENAME INBOX d3")
    assert get(c, "INBOX", both) == get(c, "d3", both) == want
    c.ok("SETMETADATA INBOX (/private/comment NIL /shared/comment NIL)")
    assert get(c, "d3", both) == want


@clause("4.1")
def at_least_so_much(c, d):
    c.ok("CREATE d4")
    x = small.client()
    for i in range(10):
        for name in ("d4", '""'):
            x.ok(f"SETMETADATA {name} (/shared/n{i} {{1024+}}\r\n"
                 + "v" * 1024 + ")")
    got = entries(x.ok("GETMETADATA (DEPTH 1) d4 /shared"))
    assert len(got) == 10 and set(map(len, got.values())) == {1024}
    for i in range(10):
        x.ok(f'SETMETADATA "" (/shared/n{i} NIL)')
    x.close()


@clause("4.2, 4.2.1, 4.2.2")
def getmetadata(c, d):
    c.ok("CREATE e1")
    c.ok('SETMETADATA e1 (/shared/a "1" /shared/a/b "22" /shared/a/b/c "333" '
         '/shared/ab "4444")')
    for options, entry, want in (
            ("", "/shared/a", "a"), ("(DEPTH 0) ", "/shared/a", "a"),
            ("(DEPTH 1) ", "/shared/a", "a a/b"),
            ("(DEPTH infinity) ", "/shared/a", "a a/b a/b/c"),
            ("(depth INFINITY) ", "/shared", "a a/b a/b/c ab"),
            ("(DEPTH 1) ", "/shared", "a ab"),
            ("(MAXSIZE 2 DEPTH infinity) ", "/shared/a", "a a/b"),
            ("(DEPTH infinity MAXSIZE 0) ", "/shared/a", "")):
        got = c.ok(f"GETMETADATA {options}e1 {entry}")
        assert set(entries(got)) == {"/shared/" + w for w in want.split()}, \
            (options, got)
        m = re.search(rb"\[METADATA LONGENTRIES (\d+)\]", got[-1])
        assert (m and m.group(1)) == (b"3" if "MAXSIZE" in options else None)
        # Where the examples have the options.
        if options:
            again = c.ok(f"GETMETADATA e1 {options}({entry})")
            assert entries(again) == entries(got), options
    assert get(c, "e1", "(/shared/none /shared/ab)") == {
        "/shared/none": None, "/shared/ab": b"4444"}
    for bad in ("GETMETADATA", "GETMETADATA e1", "GETMETADATA e1 ()",
                "GETMETADATA (DEPTH 2) e1 /shared/a",
                "GETMETADATA (MAXSIZE x) e1 /shared/a",
                "GETMETADATA (FOO) e1 /shared/a", "GETMETADATA () e1 /shared/a",
                "GETMETADATA e1 /shared/a /shared/b"):
        assert c.status(bad)[0] == "BAD", bad
    assert c.status("GETMETADATA none /shared/a") == ("NO", "NONEXISTENT")


@clause("4.3")
def setmetadata_all_or_nothing(c, d):
    c.ok("CREATE f1")
    x = small.client()
    # No METADATA response with what was set.
    assert len(x.ok('SETMETADATA f1 (/shared/one "1" /private/two "2")')) == 1
    got = x.status("SETMETADATA f1 (/shared/one \"changed\" /private/big "
                   "{1025+}\r\n" + "v" * 1025 + ")")
    assert got == ("NO", "METADATA MAXSIZE 1024"), got
    # Too many for the account; nothing of it was done.
    more = " ".join(f'/private/m{{}}/{i} "v"' for i in range(90))
    n = 0
    while True:
        got = x.status(f'SETMETADATA f1 (/shared/one "n{n}" '
                       f'{more.replace("{}", str(n))})')
        if got != ("OK", ""):
            break
        n += 1
    assert got == ("NO", "METADATA TOOMANY"), got
    assert get(x, "f1", "/shared/one") == {"/shared/one": b"n%d" % (n - 1)}
    got = entries(x.ok(f"GETMETADATA (DEPTH 1) f1 /private/m{n}"))
    assert not got, got
    # Of another's mailbox, where one of them is not allowed.
    c.ok("SETACL f1 bob lr")
    b = bob.client()
    there = PLACE % (TOP, "f1")
    assert b.status(f'SETMETADATA {there} (/private/a "1" /shared/one "2")') \
        == ("NO", "NOPERM")
    assert get(b, there, "/private/a") == {"/private/a": None}
    for bad in ("SETMETADATA", "SETMETADATA f1", "SETMETADATA f1 ()",
                "SETMETADATA f1 (/shared/x)", 'SETMETADATA f1 /shared/x "y"',
                "SETMETADATA f1 (/shared/x atom)",
                'SETMETADATA f1 (/shared/x "y" /shared/z)'):
        assert c.status(bad)[0] == "BAD", bad
    c.ok("DELETE f1")
    b.close()
    x.close()


@clause("6154 4")
def special_uses(c, d):
    """The entry is the attributes, both ways."""
    c.ok("CREATE g1 (USE (\\Archive))")
    c.ok("CREATE g2")
    use = "/private/specialuse"
    assert get(c, "g1", use) == {use: b"\\Archive"}
    assert get(c, "g2", use) == {use: None}
    assert entries(c.ok("GETMETADATA (DEPTH 1) g1 /private")) == {
        use: b"\\Archive"}
    c.ok(f'SETMETADATA g2 ({use} "\\\\archive \\\\Important")')
    assert get(c, "g2", use) == {use: b"\\Archive \\Important"}
    assert get(c, "g1", use) == {use: None}, "only one has it"
    got = b"".join(untagged(c.ok('LIST (SPECIAL-USE) "" g*'), b"LIST"))
    assert got.endswith(b'g2') and b"\\Archive \\Important" in got, got
    # As CREATE does: none that is not supported, and nothing is done.
    for bad in ('"\\\\Nonsense"', '"Archive"', '"\\\\All"',
                '"\\\\Sent \\\\Flagged"'):
        assert c.status(f"SETMETADATA g2 ({use} {bad})") == \
            ("NO", "USEATTR"), bad
    assert get(c, "g2", use) == {use: b"\\Archive \\Important"}
    assert c.status(f'SETMETADATA INBOX ({use} "\\\\Trash")')[0] == "NO"
    c.ok(f"SETMETADATA g2 ({use} NIL)")
    assert not untagged(c.ok('LIST (SPECIAL-USE) "" g*'), b"LIST")
    # Uses are a user's own.
    c.ok(f'SETMETADATA g1 ({use} "\\\\Archive")')
    c.ok("SETACL g1 bob lrwa")
    b = bob.client()
    there = PLACE % (TOP, "g1")
    assert get(b, there, use) == {use: None}
    assert b.status(f'SETMETADATA {there} ({use} "\\\\Junk")')[0] == "NO"
    assert get(c, "g1", use) == {use: b"\\Archive"}
    b.close()


@clause("9590 3")
def list_metadata(c, d):
    c.ok("CREATE h1")
    c.ok("CREATE h2/x")
    c.ok('SETMETADATA h1 (/shared/comment "one" /private/comment "p")')
    got = c.ok('LIST "" (h% h2/x/%) RETURN (METADATA ("/shared/comment" '
               '"/private/comment"))')
    kinds = [re.match(rb"\* (LIST|METADATA) (?:\([^)]*\) \S+ )?(\S+)",
                      x).groups() for x in got[:-1]]
    assert kinds == [(b"LIST", b"h1"), (b"METADATA", b"h1"),
                     (b"LIST", b"h2")], got
    assert parse(got[1])[3] == ["/shared/comment", b"one", "/private/comment",
                                b"p"], got
    for bad in ("METADATA", "METADATA ()", "METADATA /shared/comment",
                "METADATA (comment)"):
        assert c.status(f'LIST "" h1 RETURN ({bad})')[0] == "BAD", bad
    assert b"LIST-METADATA" in c.ok("CAPABILITY")[0].split()


run_all("RFC 5464")
