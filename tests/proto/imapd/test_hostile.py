#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 180
"""imapd after the login: what a hostile or broken client sends.

Before the login: tests/system/test_imap.py (literals, lines, pipelines); a full
disk: test_full.py; searches without end: here and in test_search_fetch.py; two
clients that change the same messages: test_model.py.
"""
import os
import random
import shutil
import socket

from imaptalk import Closed, Engine

passed = 0
MSG = b"Subject: x\r\n\r\nbody\r\n"


def case(fn):
    global passed
    fn()
    # Whatever happened: others are still served.
    c = e.client()
    assert c.ok("SELECT INBOX")
    c.close()
    passed += 1


def long_lines():
    c = e.client()
    # At the limit, and one past it, in pieces and whole.
    fill = 65536 - len(b"a1 NOOP ")
    for n, want in ((fill, b"BAD Error"), (fill + 1, b"BAD [TOOBIG]"),
                    (1000000, b"BAD [TOOBIG]")):
        tag = c.start(b"NOOP " + b"x" * (n - len(str(c.n + 1)) + 1))
        assert want in c.until(tag)[-1], want
        c.ok("NOOP")
    # A literal at the end of a line that is too long is swallowed, too.
    tag = c.start(b"x" * 70000 + b" {8+}\r\nz LOGOUT")
    assert c.until(tag)[-1].endswith(b"BAD [TOOBIG] Too long line.")
    c.ok("NOOP")
    c.close()


def literals():
    c = e.client()
    assert c.status("SELECT {1000000}") == ("NO", "TOOBIG")
    assert c.status("SELECT {300000+}\r\n" + "x" * 300000) == ("NO", "TOOBIG")
    assert c.status(b"SELECT {5+}\r\na\0b\0c")[0] == "BAD"
    assert c.status("SELECT ~{5+}\r\nINBOX")[0] == "BAD"
    assert c.status("SELECT {5+}\r\nINBOX")[0] == "OK"
    # Small ones, so many that the command is too long.
    many = b"SEARCH" + b" BODY {30000+}\r\n" + b"x" * 30000
    for _ in range(40):
        many += b" BODY {30000+}\r\n" + b"x" * 30000
    assert c.status(many)[1] == "TOOBIG"
    c.ok("NOOP")
    c.send("a {99999999999999999999+}\r\n")
    assert c.line().startswith(b"* BYE [TOOBIG]")
    c.close()


def nesting():
    c = e.client()
    c.ok("SELECT INBOX")
    deep = 10000
    for text in ("SEARCH " + "(" * deep + "ALL" + ")" * deep,
                 "SEARCH " + "NOT " * deep + "ALL",
                 "SEARCH " + "OR ALL " * deep + "ALL",
                 "FETCH 1 " + "(" * deep,
                 "FETCH 1 BODY[" + "1." * deep + "1]",
                 "LIST (" + "(" * deep, "SETQUOTA \"\" " + "(" * deep,
                 "ID " + "(" * deep, "STATUS INBOX " + "(" * deep):
        got = c.status(text)[0]
        assert got in ("BAD", "NO", "OK"), (text[:20], got)
    # A pattern that asks for too much is passed over (RFC 5258 3).
    assert len(c.ok("LIST \"\" " + "*%" * 1000)) == 1
    assert len(c.ok("LIST \"\" (" + "*%" * 1000 + " INBOX)")) == 2
    assert len(c.ok("LIST \"\" " + "*%" * 10)) > 1
    assert c.status("LIST \"\" " + "*a" * 60)[0] == "OK"
    c.close()


def pipelining():
    c = e.client()
    tags = []
    data = b""
    for i in range(20000):
        data += b"p%d NOOP\r\n" % i
        tags.append(b"p%d OK" % i)
    c.sock.sendall(data)
    for t in tags:
        assert c.line().startswith(t)
    c.close()


def names():
    c = e.client()
    for name in ('""', '"a/../b"', '".."', '"../x"', '"/etc/passwd"',
                 '"a//b"', '"a\x01b"', '"a\x7fb"', '"&"', '"&AAA-"', '"&AAo-"',
                 '"&Jjo!-"', '"&2AA-"', "{3+}\r\na\nb", '"' + "x" * 5000 + '"',
                 '"' + "/".join("a" * 300) + '"'):
        got = c.status("CREATE " + name)
        assert got[0] in ("NO", "BAD"), (name, got)
        assert c.status("SELECT " + name)[0] in ("NO", "BAD")
        assert c.status("STATUS " + name + " (MESSAGES)")[0] in ("NO", "BAD")
        assert c.status("RENAME INBOX " + name)[0] in ("NO", "BAD")
        assert c.status("APPEND %s {3+}\r\nabc" % name)[0] in ("NO", "BAD")
    assert not any(b"NONEXISTENT] " in l and b"\n" in l[:-2]
                   for l in c.cmd("SELECT {3+}\r\na\rb"))
    c.close()


def modified_utf7():
    """RFC 9051 A.1: one way to write a name, and no way around its rules."""
    c = e.client()
    for name in ("&AGE-", "&AC8-", "a&AC8-b", "&AC4ALg-", "&AC4ALg-/x",
                 "&AOQ", "&AOQ-&AOQ-", "&2AA-", "&3AA-", "&2ADYAA-", "&AA-",
                 "&AOQA-", "&AOR-", "&====-", "&,,,,-", "&//8-x", "&AAA-",
                 "&AAEAAg-", "&" + "A" * 4000 + "-", "&AOQ-" * 300):
        for text in ('CREATE "%s"', 'SUBSCRIBE "%s"', 'RENAME INBOX "%s"',
                     'APPEND "%s" {3+}\r\nabc', 'SETACL "%s" bob lr',
                     'SETMETADATA "%s" (/private/x "y")'):
            got = c.status(text % name)
            assert got[0] in ("NO", "BAD"), (text, name, got)
        assert c.status('LIST "" "%s*"' % name)[0] in ("OK", "NO", "BAD")
    # Nothing of it is there; what is right is, and says its name the same way.
    c.ok('CREATE "&AOQ-&-b"')
    c.ok('CREATE "&2D3eAA-"')
    names = b"\n".join(c.ok('LIST "" *'))
    assert b"&AOQ-&-b" in names and b"&2D3eAA-" in names, names
    c.ok('DELETE "&AOQ-&-b"')
    c.ok('DELETE "&2D3eAA-"')
    c.close()


def rss():
    with open("/proc/%d/status" % e.proc.pid, encoding="ascii") as f:
        return [int(l.split()[1]) for l in f if l.startswith("VmRSS")][0]


def searches_made_to_explode():
    """Bounded in keys, depth, time and memory, with a tagged answer."""
    c = e.client()
    c.ok("CREATE Many")
    for _ in range(3):
        c.ok("APPEND Many" + " {26+}\r\nSubject: a b\r\n\r\nbody abc\r\n" * 900)
    c.ok("SELECT Many")
    before = rss()
    keys = 9000
    for text, want in (
            ("SEARCH " + "ALL " * 20000 + "ALL", "BAD"),
            ("SEARCH " + "OR " * keys + "ALL " * keys + "ALL", "BAD"),
            ("SEARCH " + "OR SEEN " * 400 + "ALL", "OK"),
            ("SEARCH " + "NOT " * 499 + "ALL", "BAD|OK"),
            ("SEARCH " + "SUBJECT a " * 4000 + "SUBJECT zz", "OK"),
            ("SEARCH " + "1:*,2:*," * 5000 + "1", "OK"),
            ("SEARCH " + ",".join("%d" % i for i in range(2700, 1, -1)), "OK"),
            ("UID SEARCH UID " + ",".join("%d" % (4294967295 - 2 * i)
                                          for i in range(5000)), "OK"),
            ("SORT (" + "SUBJECT " * 17 + "DATE) UTF-8 ALL", "BAD"),
            ("SEARCH TEXT " + "x" * 5000, "NO"),
            ("SEARCH HEADER " + "x" * 5000 + " y", "OK"),
            ("SEARCH RETURN (" + "COUNT " * 5000 + "COUNT) ALL", "OK"),
            ("SEARCH RETURN (PARTIAL 1:4294967295) ALL", "OK"),
            ("FETCH 1 (" + "FLAGS " * 300 + "UID)", "OK|BAD|NO"),
            ("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (" + "x " * 5000 + "y)])",
             "OK|BAD|NO")):
        got = c.status(text)
        assert got[0] in want.split("|") or got == ("BAD", "TOOBIG"), \
            (text[:40], got)
    assert rss() < before + 100000 or os.environ.get("SAN"), (before, rss())
    c.ok("UNSELECT")
    c.ok("DELETE Many")
    c.close()


def tags():
    """What is no tag is answered without one (RFC 9051 7.1.3)."""
    c = e.client()
    for tag in (b"x+y", b"x%", b"x*", b"x{", b"x(", b"x\\", b"x\x7f", b"",
                b"x" * 300):
        c.send(tag + b" NOOP\r\n")
        got = c.line()
        assert got.startswith(b"* BAD "), (tag, got)
    # A space at the end does no harm.
    assert c.status("NOOP ") == ("OK", "")
    assert c.status("NOOP  ")[0] == "BAD"
    c.close()


def copy_of_what_is_gone():
    """RFC 2180 4.4: a client that says numbers believes an OK."""
    c, d = e.client(), e.client()
    for i in range(4):
        c.append("INBOX", MSG)
    for box in ("Copies", "Moved"):
        c.ok("CREATE " + box)
    for command in ("COPY", "MOVE"):
        c.ok("SELECT INBOX")
        d.ok("SELECT INBOX")
        d.ok("STORE 1 +FLAGS (\\Deleted)")
        d.ok("EXPUNGE")
        assert c.status(command + " 1:2 Copies") == ("NO", "EXPUNGEISSUED")
        assert b"MESSAGES 0" in c.ok("STATUS Copies (MESSAGES)")[0]
        c.ok("NOOP")
        c.ok(command + " 1 Moved")
    # UIDs that are not there are nothing to talk about (RFC 9051 6.4.9).
    assert c.status("UID COPY 1 Copies") == ("OK", "")
    c.close()
    d.close()


def append_cut_off():
    before = count()
    for text in (b"a APPEND INBOX {1000}\r\n", b"a APPEND INBOX {1000+}\r\nx",
                 b"a APPEND INBOX {3+}\r\nabc", b"a APPEND INBOX {3+}\r\nabc {",
                 b"a APPEND INBOX {3+}\r\nabc {5+}\r\nab"):
        c = e.client()
        c.send(text)
        c.close()
    assert count() == before


def append_refused():
    c = e.client()
    before = count()
    big = b"x" * 200000
    for text, want in (
            (b"APPEND nope {%d+}\r\n%s" % (len(big), big), "TRYCREATE"),
            (b"APPEND INBOX (\\Foo) {3+}\r\nabc", ""),
            (b"APPEND INBOX \"x\" {3+}\r\nabc", ""),
            (b"APPEND INBOX {3+}\r\nabc x", ""),
            (b"APPEND INBOX {3+}\r\nabc {0+}\r\n", ""),
            (b"APPEND INBOX {3+}\r\nabc (\\Foo) {3+}\r\nabc {3+}\r\nabc", ""),
            (b"APPEND INBOX {3+}\r\nabc {99999999999}", "TOOBIG"),
            (b"APPEND INBOX {99999999999}", "TOOBIG"),
            (b"APPEND INBOX UTF8 (~{3+}\r\nabc)", "")):
        got = c.status(text)
        assert got[0] in ("NO", "BAD") and got[1] == want, (text[:60], got)
        c.ok("NOOP")
    assert count() == before
    # One that waits for "+" is told instead of it.
    assert c.status("APPEND nope {10}") == ("NO", "TRYCREATE")
    c.ok("NOOP")
    c.close()


def count():
    c = e.client()
    n = [l for l in c.ok("STATUS INBOX (MESSAGES)") if b"MESSAGES" in l][0]
    c.close()
    return n


def errors_in_a_row():
    c = e.client()
    try:
        for _ in range(100):
            c.cmd("FOO")
        raise AssertionError("it goes on for ever")
    except (Closed, ConnectionError):
        assert c.bye
    c.close()


def idle_abuse():
    c = e.client()
    c.ok("SELECT INBOX")
    tag = c.start("IDLE")
    c.until("+")
    c.send("x NOOP\r\n")
    assert c.until(tag)[-1].startswith(tag.encode() + b" BAD")
    c.ok("NOOP")
    c.start("IDLE")
    c.until("+")
    c.send(b"x" * 200000)
    try:
        assert c.line().startswith(b"* BYE")
    except ConnectionError:
        pass
    c.close()


def slow_reader():
    """Who takes nothing makes us keep little."""
    c = e.client()
    body = MSG + b"0123456789abcdef\r\n" * 100000
    c.append("INBOX", body)
    c.ok("SELECT INBOX")
    tags = [c.start("FETCH * BODY.PEEK[]") for _ in range(50)]
    d = e.client()
    d.ok("SELECT INBOX")
    with open("/proc/%d/status" % e.proc.pid, encoding="ascii") as f:
        rss = [int(l.split()[1]) for l in f if l.startswith("VmRSS")][0]
    assert rss < 300000 or os.environ.get("SAN"), rss
    d.close()
    for t in tags:
        assert body in b"".join(c.until(t))
    c.close()


def stores_not_read():
    """What a STORE tells of many messages waits for its reader, too."""
    c = e.client()
    c.ok("CREATE many")
    c.ok("APPEND many" + " {4+}\r\nA: b" * 1000)
    c.ok("SELECT many")
    for _ in range(3):
        c.ok("COPY 1:* many")
        c.ok("NOOP")
    before = rss()
    tags = [c.start("STORE 1:* %s ($Told)" %
                    ("-FLAGS" if n % 2 else "+FLAGS")) for n in range(30)]
    tags.append(c.start("STORE 1:* +FLAGS.SILENT (\\Seen)"))
    d = e.client()
    d.ok("SELECT many")
    assert rss() - before < 30000 or os.environ.get("SAN"), (before, rss())
    for n, t in enumerate(tags):
        told = [l for l in c.until(t) if b" FETCH " in l]
        if n == 30:
            assert not told
            break
        assert [int(l.split()[1]) for l in told] == list(range(1, 8001)), n
        assert all(l.endswith(b"(FLAGS (\\Recent))" if n % 2 else
                              b"(FLAGS (\\Recent $Told))")
                   for l in told), (n, told[0])
    d.start("STORE 1:* FLAGS ($Gone)")
    d.close()
    c.ok("CLOSE")
    c.ok("DELETE many")
    c.close()


def vanishing():
    rnd = random.Random(7)
    steps = [b"a SELECT INBOX\r\n", b"b FETCH 1:* BODY[]\r\n", b"c IDLE\r\n",
             b"DONE\r\n", b"d STORE 1 +FLAGS (\\Seen)\r\n",
             b"e SEARCH TEXT abc\r\n", b"f SORT (DATE) UTF-8 ALL\r\n",
             b"g APPEND INBOX {20+}\r\n" + MSG + b"\r\n", b"h COMPRESS DEFLATE",
             b"i APPEND INBOX {500}\r\n", b"j ENABLE QRESYNC\r\n",
             b"k THREAD REFERENCES UTF-8 ALL\r\n", b"l LIST \"\" *\r\n"]
    for _ in range(200):
        s = socket.create_connection(("127.0.0.1", e.port))
        for _ in range(rnd.randint(0, 5)):
            t = rnd.choice(steps)
            s.sendall(t[:rnd.randint(1, len(t))] if rnd.random() < .2 else t)
        if rnd.random() < .5:   # with a reset
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         b"\1\0\0\0\0\0\0\0")
        s.close()


def rubbish():
    rnd = random.Random(8)
    words = [b"SELECT", b"INBOX", b"FETCH", b"1:*", b"(", b")", b"BODY[",
             b"]", b"<0.1>", b"{3+}\r\nabc", b'"', b"\\", b"\0", b"\xff", b"*",
             b"UID", b"STORE", b"+FLAGS", b"RETURN", b"SEARCH", b"OR", b"NOT",
             b"$", b"LIST", b"STATUS", b"APPEND", b"COPY", b"%", b"NIL", b"",
             b"QRESYNC", b"ENABLE", b"1", b"99999999999", b"-1:-5"]
    c = e.client()
    for i in range(3000):
        text = b" ".join(rnd.choice(words) for _ in range(rnd.randint(1, 8)))
        try:
            c.send(b"r%d %s\r\n" % (i, text))
            if i % 10 == 9:
                c.cmd("NOOP")
        except (Closed, ConnectionError):
            c.close()
            c = e.client()
        except TimeoutError:
            c.close()           # it waits for the rest of a literal
            c = e.client()
    c.close()


# The clock decides nothing here; test_search_fetch.py has the time limit.
e = Engine(settings=("imapd_search_time_limit=3600",))
for fn in (long_lines, literals, nesting, pipelining, names, modified_utf7,
           searches_made_to_explode, tags,
           copy_of_what_is_gone, append_cut_off,
           append_refused, errors_in_a_row, idle_abuse, slow_reader,
           stores_not_read, vanishing, rubbish):
    case(fn)
e.stop()
shutil.rmtree(e.dir)
print("%d passed, 0 failed, 0 skipped" % passed)
