#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 4314 (ACL), clause by clause.

What a user may still do while a mailbox is selected: test_shared.py; groups,
negative rights, several users: system/test_shared_folders.py."""
import re

from clauses import clause, engine_of, run_all, untagged

MSG = b"From: a@b\r\nSubject: news\r\n\r\nbody\r\n"
bob = engine_of("bob")
TOP = "Other Users/tester/"


def theirs(name):
    return f'"{TOP}{name}"'


def box(c, name, rights=None, n=1, flags=""):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG, flags)
    if rights:
        c.ok(f"SETACL {name} bob {rights}")


def rights_of(c, name):
    got = c.ok(f"MYRIGHTS {name}")[0]
    return got.split()[-1].decode()


def acl_of(c, name):
    words = c.ok(f"GETACL {name}")[0].decode().split()[3:]
    return dict(zip(words[::2], words[1::2]))


def literal(text):
    return "{%d+}\r\n%s" % (len(text.encode()), text)


def same_answer(c, command, name):
    """As if there were no such mailbox, to the letter."""
    got = [c.cmd(command % theirs(x))[-1].split(b" ", 1)[1]
           for x in (name, "x" * len(name))]
    got[1] = got[1].replace(b"x" * len(name), name.encode())
    assert got[0] == got[1] and got[0].startswith(b"NO"), (command, got)


@clause("2")
def identifiers(c, d):
    box(c, "a1")
    c.ok("SETACL a1 anyone r")
    c.ok("SETACL a1 -bob w")
    c.ok("SETACL a1 bob lw")
    assert acl_of(c, "a1") == {"tester": "lrswipkxteacd", "anyone": "r",
                               "-bob": "w", "bob": "lw"}
    b = bob.client()
    assert rights_of(b, theirs("a1")) == "lr"
    # "A DELETEACL of fred does not affect -fred."
    c.ok("DELETEACL a1 bob")
    assert acl_of(c, "a1")["-bob"] == "w"
    assert rights_of(b, theirs("a1")) == "r"
    b.close()


@clause("2.1.1")
def obsolete_rights(c, d):
    """c is k and x, d is t and e; both are said with any of theirs."""
    box(c, "a2")
    for given, want in (("c", "kxc"), ("d", "ted"), ("dc", "kxtecd"),
                        ("dt", "ted"), ("k", "kc"), ("x", "xc"), ("t", "td"),
                        ("e", "ed"), ("lrd", "lrted"), ("lrswida", "lrswitead")):
        c.ok(f"SETACL a2 bob {given}")
        assert acl_of(c, "a2")["bob"] == want, given
    c.ok("SETACL a2 bob kxte")
    c.ok("SETACL a2 bob -d")
    assert acl_of(c, "a2")["bob"] == "kxc"
    c.ok("SETACL a2 bob -c")
    assert "bob" not in acl_of(c, "a2")


@clause("2.1.1, 3.7")
def listrights(c, d):
    box(c, "a3")
    got = c.ok("LISTRIGHTS a3 bob")[0].decode()
    assert got.startswith('* LISTRIGHTS a3 bob "" '), got
    words = got.split()[5:]
    assert sorted("".join(words)) == sorted("lrswipkxteacd"), got
    # What the owner has anyway is in the first string, nothing twice.
    got = c.ok("LISTRIGHTS a3 tester")[0].decode().split()[4:]
    assert sorted("".join(got)) == sorted("lrswipkxteacd"), got
    # "MUST always return the same form of an identifier."
    got = c.ok("LISTRIGHTS a3 " + literal("Bo\u0308b"))[0]
    assert "{5}\r\nBo\u0308b".encode() in got, got
    # Also to another who administers it.
    c.ok("SETACL a3 bob la")
    b = bob.client()
    got = b.ok(f"LISTRIGHTS {theirs('a3')} tester")[0].decode()
    assert got.endswith(" tester lrswipkxteacd"), got
    got = b.ok(f"LISTRIGHTS {theirs('a3')} bob")[0].decode()
    assert ' bob "" l r ' in got, got
    b.close()


@clause("2.2, 5.1.1")
def rights_capability(c, d):
    words = c.ok("CAPABILITY")[0].decode().split()
    assert "ACL" in words
    got = [w for w in words if w.startswith("RIGHTS=")]
    assert len(got) == 1 and set("texk") <= set(got[0][7:]) and \
        not set(got[0][7:]) & set("lrswipacd0123456789"), got


@clause("3")
def identifiers_are_prepared(c, d):
    box(c, "a4")
    for ident in ('""', '"a\x07b"', '"\x7f"'):
        for command in ("SETACL a4 %s lr", "DELETEACL a4 %s",
                        "LISTRIGHTS a4 %s"):
            assert c.status(command % ident)[0] == "BAD", (command, ident)
    # One that is written in another way is the same one.
    c.ok("SETACL a4 %s l" % literal("e\u0301va"))
    c.ok("SETACL a4 %s +r" % literal("\u00e9va"))
    got = c.ok("GETACL a4")[0]
    assert "{4}\r\n\u00e9va lr".encode() in got, got
    c.ok("DELETEACL a4 " + literal("e\u0301va"))
    assert len(acl_of(c, "a4")) == 1


@clause("3.1")
def setacl(c, d):
    box(c, "a5")
    for rights, want in (("lrs", "lrs"), ("+w", "lrsw"), ("+lr", "lrsw"),
                         ("-s", "lrw"), ("-sx", "lrw"), ("+", "lrw"),
                         ("-", "lrw"), ("p", "p"), ('""', None), ("+i", "i"),
                         ("-i", None), ("-lr", None)):
        c.ok(f"SETACL a5 bob {rights}")
        assert acl_of(c, "a5").get("bob") == want, rights
    for bad in ("lrQ", "lrq", "LR", "+L", "lr+w", "0", "l r", "lr,"):
        assert c.status(f"SETACL a5 bob {bad}")[0] == "BAD", bad
    assert "bob" not in acl_of(c, "a5"), "nothing of it was taken"
    for bad in ("SETACL a5 bob", "SETACL a5", "SETACL", "DELETEACL a5",
                "GETACL", "GETACL a5 x", "MYRIGHTS", "LISTRIGHTS a5"):
        assert c.status(bad)[0] == "BAD", bad


@clause("4")
def names_that_may_be_known(c, d):
    """MYRIGHTS with any of "lrikxa"; without them it is not there."""
    b = bob.client()
    for r in "lrikxaswpte":
        box(c, "b-" + r, r)
    for r in "lrikxa":
        assert rights_of(b, theirs("b-" + r))[0] == r
    for r in "swpte":
        for command in ("MYRIGHTS %s", "SELECT %s", "STATUS %s (MESSAGES)",
                        "EXAMINE %s", "GETACL %s", "DELETE %s",
                        "SETACL %s carol lr", "DELETEACL %s bob",
                        "LISTRIGHTS %s bob", "SUBSCRIBE %s",
                        "APPEND %s {4+}\r\nA: b", "RENAME %s INBOX",
                        "GETMETADATA %s /shared/comment",
                        'SETMETADATA %s (/private/comment "x")'):
            same_answer(b, command, "b-" + r)
    b.close()


@clause("4")
def list_needs_l(c, d):
    """No NO, and as if "A" did not exist where only "A/B" may be seen."""
    b = bob.client()
    for name, rights in (("c1", "lr"), ("c2", "rswipkxtea"), ("c2/sub", "lr"),
                         ("c3", "rswipkxtea")):
        box(c, name)
        c.ok(f"SETACL {name} bob {rights}")
    for how in ('LIST "" "%sc*"' % TOP, 'LIST "" "%sc%%"' % TOP,
                'LIST "" ("%sc1" "%sc2" "%sc3")' % (TOP, TOP, TOP),
                'LIST "" "%sc*" RETURN (STATUS (MESSAGES) MYRIGHTS)' % TOP):
        got = b.ok(how)
        text = b"\n".join(untagged(got, b"LIST"))
        assert b"c1" in text and b"c3" not in text, got
        assert not re.search(rb'c2"\r?$', b"\n".join(
            x for x in got if b"\\NonExistent" not in x and
            b"\\Noselect" not in x), re.M), got
        assert not re.search(rb"(STATUS|MYRIGHTS) \S+ \S+c[23]\"", b"".join(got))
    # SUBSCRIBE looks whether it is there, so it needs "l" too.
    assert b.status(f"SUBSCRIBE {theirs('c3')}") == ("NO", "NONEXISTENT")
    b.ok(f"SUBSCRIBE {theirs('c1')}")
    # A subscription that may not be seen any more does no harm.
    c.ok("SETACL c1 bob -l")
    b.ok('LSUB "" *')
    got = untagged(b.ok('LIST (SUBSCRIBED) "" *'), b"LIST")
    assert any(b"c1" in x and b"\\NonExistent" in x for x in got), got
    b.ok(f"SELECT {theirs('c1')}")
    b.ok(f"UNSUBSCRIBE {theirs('c1')}")
    b.close()


@clause("4")
def used_without_l(c, d):
    """Each command asks for its own right only."""
    b = bob.client()
    box(c, "d-r", "r")
    box(c, "d-rs", "rs")
    box(c, "d-i", "i")
    box(c, "d-k", "k")
    box(c, "d-x", "x")
    box(c, "d-a", "a")
    got = b.ok(f"SELECT {theirs('d-r')}")
    assert b"* 1 EXISTS" in got and b"[READ-ONLY]" in got[-1], got
    assert b"body" in b"".join(b.ok("FETCH 1 BODY[]"))
    assert b.ok(f"STATUS {theirs('d-r')} (MESSAGES)")[0].endswith(
        b"(MESSAGES 1)")
    assert b"ALL 1" in b.ok("ESEARCH ALL")[0]
    assert b"ALL 1" in b.ok(f"ESEARCH IN (mailboxes {theirs('d-rs')}) ALL")[0]
    assert len(b.ok(f'ESEARCH IN (subtree "{TOP}d-r") ALL')) == 1
    b.ok(f"SELECT {theirs('d-rs')}")
    b.ok("STORE 1 +FLAGS (\\Seen)")
    # What was put there comes, though it cannot be looked at; so nothing is
    # told of it (RFC 4315 3).
    assert b.status(f"APPEND {theirs('d-i')} {{4+}}\r\nA: b") == ("OK", "")
    assert b.status(f"COPY 1 {theirs('d-i')}") == ("OK", "")
    assert b"MESSAGES 3" in c.ok("STATUS d-i (MESSAGES)")[0]
    for command in ("SELECT %s", "STATUS %s (MESSAGES)"):
        assert b.status(command % theirs("d-i"))[0] == "NO"
    b.ok(f"CREATE {theirs('d-k/child')}")
    c.ok("STATUS d-k/child (MESSAGES)")
    assert b.status(f"CREATE {theirs('d-x/child')}") == ("NO", "NOPERM")
    b.ok(f"DELETE {theirs('d-x')}")
    assert c.status("STATUS d-x (MESSAGES)")[0] == "NO"
    # "The same error that would be used if the mailbox did not exist" (6).
    same_answer(b, "GETACL %s", "d-r")
    b.close()


@clause("4")
def create_inherits(c, d):
    """"It SHOULD inherit the ACL from the parent mailbox."""
    b = bob.client()
    box(c, "e1", "lrk")
    c.ok("SETACL e1 -carol w")
    b.ok(f"CREATE {theirs('e1/new')}")
    assert acl_of(c, "e1/new") == acl_of(c, "e1")
    b.ok(f"SELECT {theirs('e1/new')}")
    c.ok("CREATE e1/a/b")
    assert acl_of(c, "e1/a/b") == acl_of(c, "e1"), "the nearest that exists"
    # Later changes are the parent's alone, and go with a name.
    c.ok("SETACL e1 bob lr")
    assert acl_of(c, "e1/new")["bob"] == "lrkc"
    c.ok("RENAME e1/new e2")
    assert acl_of(c, "e2")["bob"] == "lrkc"
    # "DELETE MUST delete the ACL."
    b.ok("UNSELECT")
    c.ok("DELETE e2")
    c.ok("CREATE e2")
    assert list(acl_of(c, "e2")) == ["tester"]
    b.close()


@clause("4")
def names_that_are_taken(c, d):
    """CREATE and RENAME do not tell what is there already."""
    b = bob.client()
    box(c, "f1", "lrx")
    box(c, "f2")
    for name in ("f2", "f3"):
        assert b.status(f"CREATE {theirs(name)}") == ("NO", "NOPERM"), name
        assert b.status(f"RENAME {theirs('f1')} {theirs(name)}") == \
            ("NO", "NOPERM"), name
    c.ok("STATUS f1 (MESSAGES)")
    b.close()


@clause("4")
def copy_keeps_the_flags_that_it_may(c, d):
    b = bob.client()
    b.ok("CREATE g0")
    b.append("g0", MSG, "(\\Seen \\Deleted \\Flagged word)")
    b.ok("SELECT g0")
    for rights, want in (("ri", ""), ("ris", "\\Seen"), ("rit", "\\Deleted"),
                         ("riw", "\\Flagged word"),
                         ("rist", "\\Deleted \\Seen")):
        name = "g-" + rights
        box(c, name, rights, 0)
        b.ok(f"COPY 1 {theirs(name)}")
        b.append(f'"{TOP}{name}"', MSG, "(\\Seen \\Deleted \\Flagged word)")
        c.ok(f"EXAMINE {name}")
        for x in untagged(c.ok("FETCH 1:2 FLAGS"), b"FETCH"):
            got = re.search(rb"FLAGS \(([^)]*)\)", x).group(1).decode()
            assert set(got.split()) - {"\\Recent"} == set(want.split()), \
                (rights, x)
    b.close()


@clause("4")
def fetch_sets_seen_only_with_s(c, d):
    b = bob.client()
    box(c, "h1", "lrw")
    b.ok(f"SELECT {theirs('h1')}")
    got = b.ok("FETCH 1 BODY[]")
    assert b"\\Seen" not in b"".join(got)
    assert b"\\Seen" not in c.ok("STATUS h1 (UNSEEN)")[0] and \
        b"UNSEEN 1" in c.ok("STATUS h1 (UNSEEN)")[0]
    b.close()


@clause("5.1.1")
def permanentflags_follow_the_rights(c, d):
    b = bob.client()
    box(c, "i1", "lrw")
    got = b.ok(f"SELECT {theirs('i1')}")
    flags = [x for x in got if b"PERMANENTFLAGS" in x][0]
    assert b"\\Flagged" in flags and b"\\*" in flags and \
        b"\\Seen" not in flags and b"\\Deleted" not in flags
    # "It SHOULD send FLAGS and PERMANENTFLAGS if they have changed."
    c.ok("SETACL i1 bob lrst")
    got = b.ok("NOOP")
    flags = [x for x in got if b"PERMANENTFLAGS" in x]
    assert len(flags) == 1 and b"(\\Deleted \\Seen)" in flags[0] and \
        untagged(got, b"FLAGS"), got
    assert len(b.ok("NOOP")) == 1
    b.close()


@clause("5.1.1")
def pipelined(c, d):
    c.ok("CREATE j1")
    c.send(b"p1 SETACL j1 bob lr\r\np2 GETACL j1\r\np3 DELETEACL j1 bob\r\n"
           b"p4 GETACL j1\r\n")
    c.until("p1")
    assert b"bob lr" in c.until("p2")[0]
    c.until("p3")
    assert b"bob" not in c.until("p4")[0]


@clause("5.2")
def read_only_and_read_write(c, d):
    b = bob.client()
    for rights, want in (("lr", "READ-ONLY"), ("lrpkxa", "READ-ONLY"),
                         ("lri", "READ-WRITE"), ("lre", "READ-WRITE"),
                         ("lrs", "READ-WRITE"), ("lrw", "READ-WRITE"),
                         ("lrt", "READ-WRITE")):
        box(c, "k-" + rights, rights)
        assert b.status(f"SELECT {theirs('k-' + rights)}")[1] == want, rights
        assert b.status(f"EXAMINE {theirs('k-' + rights)}")[1] == "READ-ONLY"
    b.close()


run_all("RFC 4314")
