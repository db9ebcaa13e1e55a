#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""LIST and its extensions, clause by clause: RFC 5258 (LIST-EXTENDED), 3348
(CHILDREN), 5819 (LIST-STATUS), 6154 (SPECIAL-USE), 8440 (LIST-MYRIGHTS); and
2342 (NAMESPACE).

What they answer together is in list.talk; LIST-METADATA in test_rfc5464.py.
"""
import re

from clauses import clause, e, engine_of, run_all, untagged

guest = engine_of("guest")
member = engine_of("member", "store_shared_accounts=team@example.org",
                   "store_namespace_shared=Teäms/")
THERE = "Other Users/tester/"


def rows(lines):
    """What LIST or LSUB says: name -> (set of attributes, what follows)."""
    out = {}
    for line in lines:
        m = re.match(rb'\* L(?:IST|SUB) \(([^)]*)\) "/" ("[^"]*"|\S+)(.*)',
                     line)
        if m:
            name = m.group(2).decode().strip('"')
            assert name not in out, ("named twice", lines)
            out[name] = (set(m.group(1).decode().split()),
                         m.group(3).decode())
    return out


def listed(c, command):
    return rows(c.ok(command))


# --- RFC 5258 ----------------------------------------------------------------------

@clause("5258 3")
def one_answer_for_each_name(c, d):
    c.ok("CREATE a1/x")
    c.ok("CREATE a1")
    assert set(listed(c, 'LIST "" (a1 a1* "a1/%" a1/x)')) == {"a1", "a1/x"}


@clause("5258 3")
def an_empty_pattern_matches_nothing(c, d):
    """It asks for the delimiter only where nothing is extended."""
    c.ok("CREATE a2")
    assert c.ok('LIST "" ""')[0] == b'* LIST (\\Noselect) "/" ""'
    assert c.ok('LIST a2 ""')[0] == b'* LIST (\\Noselect) "/" ""'
    for command in ('LIST () "" ""', 'LIST "" ("")', 'LIST "" "" RETURN ()',
                    'LIST a2 ("" "x")', 'LIST () a2 ""', 'LIST a2 ("" "")'):
        assert listed(c, command) == {}, command
    assert set(listed(c, 'LIST "" ("" a2)')) == {"a2"}


@clause("5258 3; 9051 6.3.9")
def a_pattern_that_cannot_be_is_passed_over(c, d):
    c.ok("CREATE a3")
    wild = "*%" * 500
    for bad in ("&bad", "&AGE-", wild, "x" * 3000):
        assert listed(c, f'LIST "" "{bad}"') == {}, bad
        assert listed(c, f'LSUB "" "{bad}"') == {}, bad
        assert set(listed(c, f'LIST "" ("{bad}" a3)')) == {"a3"}, bad
        assert listed(c, f'LIST "{bad}" a3') == {}, bad
    c.ok("ENABLE UTF8=ACCEPT")
    assert set(listed(c, 'LIST "" ({2+}\r\n\udcff* a3)'.encode(
        "utf8", "surrogateescape"))) == {"a3"}


@clause("5258 3")
def unknown_options_are_bad(c, d):
    for bad in ("(NONSENSE)", "(SUBSCRIBED NONSENSE)", "(RECURSIVEMATCH)",
                "(REMOTE RECURSIVEMATCH)", "(CHILDREN)", "((SUBSCRIBED))"):
        assert c.status(f'LIST {bad} "" *')[0] == "BAD", bad
    for bad in ("(NONSENSE)", "(REMOTE)", "(RECURSIVEMATCH)", "CHILDREN",
                "(STATUS)", "(STATUS MESSAGES)", "(STATUS ())", "(METADATA)"):
        assert c.status(f'LIST "" * RETURN {bad}')[0] == "BAD", bad
    assert c.status('LIST "" () RETURN (CHILDREN)')[0] == "BAD"


@clause("5258 3")
def an_option_twice_is_once(c, d):
    c.ok("CREATE a4")
    c.ok("SUBSCRIBE a4")
    once = c.ok('LIST (SUBSCRIBED) "" a4 RETURN (CHILDREN SUBSCRIBED)')[:-1]
    for words in ('(SUBSCRIBED SUBSCRIBED) "" a4 RETURN (CHILDREN SUBSCRIBED)',
                  '(subscribed REMOTE) "" a4 RETURN (SUBSCRIBED CHILDREN '
                  'subscribed children)'):
        assert c.ok(f"LIST {words}")[:-1] == once, words


@clause("5258 3, 3.3")
def what_does_not_exist_is_not_listed(c, d):
    """Unless something below it is that no pattern lets through."""
    c.ok("CREATE a5/rock")
    c.ok("CREATE a5b/x/y")
    new = {"\\NonExistent", "\\HasChildren"}
    assert listed(c, 'LIST () "" a5%') == {"a5": (new, ""), "a5b": (new, "")}
    assert listed(c, 'LIST () "" a5b/%') == {"a5b/x": (new, "")}
    # Example 11, a1 and a3.1.
    for command in ('LIST (REMOTE) "" a5*', 'LIST "" a5* RETURN (CHILDREN)',
                    'LIST "" (a5% a5/rock a5b/x a5b/x/y)'):
        assert set(listed(c, command)) == {"a5/rock", "a5b/x/y"}, command
    # RFC 9051 6.3.9: as it always was where nothing is extended.
    got = listed(c, 'LIST "" a5%')
    assert got["a5"][0] == {"\\Noselect", "\\HasChildren"}, got


@clause("5258 3.1, 3.2")
def subscribed(c, d):
    """Example 2, 6: exactly those, and in RETURN none that is not there."""
    c.ok("CREATE a6/banana")
    c.ok("CREATE a6/peach")
    c.ok("CREATE a6/apple")
    c.ok("SUBSCRIBE a6/banana")
    c.ok("SUBSCRIBE a6/peach")
    c.ok("DELETE a6/peach")
    got = listed(c, 'LIST (SUBSCRIBED) "" a6*')
    assert set(got) == {"a6/banana", "a6/peach"}, got
    assert "\\Subscribed" in got["a6/banana"][0]
    assert {"\\Subscribed", "\\NonExistent"} <= got["a6/peach"][0]
    assert not any(rest for _, rest in got.values()), "no CHILDINFO"
    got = listed(c, 'LIST (REMOTE) "" a6* RETURN (SUBSCRIBED)')
    assert set(got) == {"a6/banana", "a6/apple"}, got
    assert "\\Subscribed" in got["a6/banana"][0]
    assert "\\Subscribed" not in got["a6/apple"][0]
    # Without the option they are not told of.
    assert "\\Subscribed" not in listed(c, 'LIST "" a6/banana')[
        "a6/banana"][0]


CHILD = ' ("CHILDINFO" ("SUBSCRIBED"))'


@clause("5258 3.5")
def childinfo(c, d):
    """The table of 3.5: exists, meets the criteria, has a child that does."""
    for name in ("a7y", "a7ys", "a7yc/c", "a7nc/c", "a7yb", "a7yb/c"):
        c.ok(f"CREATE {name}")
    for name in ("a7ns", "a7nb", "a7nb/c", "a7yc"):
        c.ok(f"CREATE {name}")
    for name in ("a7ys", "a7yc/c", "a7nc/c", "a7yb", "a7yb/c", "a7ns",
                 "a7nb", "a7nb/c"):
        c.ok(f"SUBSCRIBE {name}")
    c.ok("DELETE a7ns")
    c.ok("DELETE a7nb")
    got = listed(c, 'LIST (SUBSCRIBED RECURSIVEMATCH) "" a7%')
    short = {n: ("\\NonExistent" in a, "\\Subscribed" in a, rest)
             for n, (a, rest) in got.items()}
    assert short == {
        "a7ns": (True, True, ""), "a7ys": (False, True, ""),
        "a7nc": (True, False, CHILD), "a7yc": (False, False, CHILD),
        "a7nb": (True, True, CHILD), "a7yb": (False, True, CHILD)}, short


@clause("5258 3.5")
def childinfo_is_not_redundant(c, d):
    """Example 9."""
    for name in ("foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22",
                 "baz2/bar222", "eps2/mamba", "qux2/bar2"):
        c.ok(f"CREATE a8/{name}")
        c.ok(f"SUBSCRIBE a8/{name}")
    for name in ("foo2", "baz2", "eps2"):
        c.ok(f"CREATE a8/{name}")
    c.ok("SUBSCRIBE a8/eps2")
    got = listed(c, 'LIST (RECURSIVEMATCH SUBSCRIBED) "a8/" "*2"')
    assert {n[3:]: rest for n, (a, rest) in got.items()} == {
        "foo2": CHILD, "foo2/bar2": "", "baz2/bar2": "", "baz2/bar22": "",
        "baz2/bar222": "", "eps2": CHILD, "qux2/bar2": ""}, got
    assert "\\Subscribed" not in got["a8/foo2"][0]
    assert "\\Noselect" not in got["a8/foo2"][0], "that is LSUB's"


@clause("5258 5, example 10")
def childinfo_without_children(c, d):
    c.ok("CREATE a9")
    c.ok("CREATE a9/bar")
    c.ok("SUBSCRIBE a9/bar")
    c.ok("DELETE a9/bar")
    assert set(listed(c, 'LIST "" ("a9" "a9/*")')) == {"a9"}
    got = listed(c, 'LIST (SUBSCRIBED RECURSIVEMATCH) "" a9 RETURN (CHILDREN)')
    assert got == {"a9": ({"\\HasNoChildren"}, CHILD)}, got


@clause("3348 3; 5258 4")
def children(c, d):
    c.ok("CREATE b1/x")
    c.ok("CREATE b1")
    c.ok("CREATE b2")
    for command in ('LIST "" b%', 'LIST "" b% RETURN (CHILDREN)'):
        got = listed(c, command)
        assert "\\HasChildren" in got["b1"][0], got
        assert "\\HasNoChildren" in got["b2"][0], got
        for attributes, _ in got.values():
            assert len(attributes & {"\\HasChildren", "\\HasNoChildren"}) == 1
    c.ok("DELETE b1/x")
    assert "\\HasNoChildren" in listed(c, 'LIST "" b1')["b1"][0]
    # 4: "child mailboxes that are accessible to the ... user".
    c.ok("CREATE b3/secret")
    c.ok("CREATE b3")
    c.ok("SETACL b3 guest lr")
    g = guest.client()
    got = listed(g, f'LIST "{THERE}" b3 RETURN (CHILDREN)')
    assert "\\HasNoChildren" in got[THERE + "b3"][0], got
    c.ok("SETACL b3/secret guest l")
    got = listed(g, f'LIST "{THERE}" b3 RETURN (CHILDREN)')
    assert "\\HasChildren" in got[THERE + "b3"][0], got
    g.close()


# --- RFC 5819 ------------------------------------------------------------------------

@clause("5819 2")
def status_behind_its_list(c, d):
    c.ok("CREATE c1")
    c.ok("CREATE c1/x/y")
    got = c.ok('LIST "" c1* RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)')
    assert [line.split()[1] + line.split()[-1 if i % 2 == 0 else 2]
            for i, line in enumerate(got[:-1])] == [
                b"LISTc1", b"STATUSc1", b"LISTc1/x/y", b"STATUSc1/x/y"], got
    # What cannot be selected has none.
    got = c.ok('LIST "" c1/% RETURN (STATUS (MESSAGES))')
    assert not untagged(got, b"STATUS") and "c1/x" in rows(got), got


@clause("5819 2")
def no_status_of_what_may_not_be_read(c, d):
    """"l" and no "r": no STATUS, and LIST says \\Noselect."""
    g = guest.client()
    c.ok("CREATE c2")
    for rights, selectable in (("l", False), ("lr", True), ("lswi", False)):
        c.ok(f"SETACL c2 guest {rights}")
        for options in ("", " RETURN (STATUS (MESSAGES))"):
            got = g.ok(f'LIST "{THERE}" c2{options}')
            there = rows(got)[THERE + "c2"][0]
            assert ("\\Noselect" not in there) == selectable, (rights, got)
            assert bool(untagged(got, b"STATUS")) == \
                (selectable and options != ""), (rights, got)
            assert not untagged(got, b"NO"), got
        assert (g.status(f'SELECT "{THERE}c2"')[0] == "OK") == selectable
        g.cmd("UNSELECT")
    g.close()


# --- RFC 6154 --------------------------------------------------------------------------

@clause("6154 2")
def special_use_selects(c, d):
    c.ok("CREATE d1 (USE (\\Archive \\Junk))")
    c.ok("CREATE d2")
    c.ok("CREATE d3 (USE ())")
    got = listed(c, 'LIST (SPECIAL-USE) "" d%')
    assert set(got) == {"d1"} and {"\\Archive", "\\Junk"} <= got["d1"][0], got
    got = listed(c, 'LIST "" d% RETURN (SPECIAL-USE)')
    assert set(got) >= {"d1", "d2", "d3"} and "\\Archive" in got["d1"][0]
    assert got["d2"][0] == got["d3"][0] == {"\\HasNoChildren"}, got


@clause("6154 2")
def special_uses_are_of_one_user(c, d):
    c.ok("CREATE d4 (USE (\\Sent))")
    c.ok("SETACL d4 guest lr")
    g = guest.client()
    got = listed(g, f'LIST "{THERE}" d4 RETURN (SPECIAL-USE)')
    assert got[THERE + "d4"][0] == {"\\HasNoChildren"}, got
    g.close()


@clause("6154 3")
def what_cannot_be_used_is_not_made(c, d):
    for use in ("\\All", "\\Flagged", "\\Nonsense", "\\Drafts \\All"):
        assert c.status(f"CREATE d5 (USE ({use}))") == ("NO", "USEATTR"), use
        assert listed(c, 'LIST "" d5') == {}, use
    for bad in ("USE", "(USE)", "(USE \\Sent)", "(USE (Sent))",
                "(FOO (\\Sent))", "(USE (\\Sent)", "()"):
        assert c.status(f"CREATE d5 {bad}")[0] == "BAD", bad
        assert listed(c, 'LIST "" d5') == {}, bad


# --- RFC 8440 ---------------------------------------------------------------------------

@clause("8440 3")
def myrights_behind_its_list(c, d):
    g = guest.client()
    c.ok("CREATE e1/x")
    c.ok("CREATE e1")
    c.ok("SETACL e1 guest l")
    c.ok("SETACL e1/x guest lrs")
    got = g.ok(f'LIST "{THERE}" e1* RETURN (MYRIGHTS)')
    assert [line.split()[1] + b" " + line.split()[-1] for line in got[:-1]
            ][1::2] == [b"MYRIGHTS l", b"MYRIGHTS lrs"], got
    assert len(got) == 5 and got[0].startswith(b"* LIST"), got
    c.ok("CREATE e2/x")
    got = c.ok('LIST "" e2% RETURN (MYRIGHTS)')
    assert len(got) == 2 and b"\\NonExistent" in got[0], got
    g.close()


# --- RFC 2342 ---------------------------------------------------------------------------

@clause("2342 5, 6")
def namespaces(c, d):
    """Prefixes are strings, as this client reads names."""
    assert c.ok("NAMESPACE")[0] == b'* NAMESPACE (("" "/")) NIL NIL'
    m = member.client()
    for command, shared in (("NOOP", "Te&AOQ-ms"),
                            ("ENABLE UTF8=ACCEPT", "Teäms")):
        m.ok(command)
        for command in ("NAMESPACE", "SELECT INBOX", "NAMESPACE"):
            got = m.ok(command)
            assert command != "NAMESPACE" or got[0].decode() == (
                '* NAMESPACE (("" "/")) (("Other Users/" "/")) '
                f'(("{shared}/" "/"))'), got
    m.close()
    g = guest.client()
    assert g.ok("NAMESPACE")[0] == \
        b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL'
    assert g.status("NAMESPACE x")[0] == "BAD"
    # 5: nobody is told of who has granted nothing.
    c.ok("CREATE f1")
    c.ok("SETACL f1 guest lr")
    assert set(listed(g, 'LIST "" "Other Users/%"')) == {THERE[:-1]}
    m = member.client()
    assert listed(m, 'LIST "" "Other Users/%"') == {}
    m.close()
    g.close()


@clause("5258 1, 5819 6, 6154 2, 8440 3")
def capabilities(c, d):
    words = c.ok("CAPABILITY")[0].split()
    for word in (b"LIST-EXTENDED", b"CHILDREN", b"LIST-STATUS",
                 b"SPECIAL-USE", b"CREATE-SPECIAL-USE", b"LIST-MYRIGHTS"):
        assert words.count(word) == 1, word


run_all("RFC")
