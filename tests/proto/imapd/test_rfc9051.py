#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 9051, clause by clause: what it says a server MUST (or MUST NOT) do.

Each case below names its clause.  What is shown elsewhere:

2.3.1.1 UIDs are never used again       unit/store, system/test_crash_*
4.3     giant and broken literals       test_hostile.py, test_limits.py
5.4     autologout                      test_limits.py
5.1.2   namespaces                      system/test_shared_folders.py
6.1.1   CAPABILITY before the login     system/test_imap.py, test_tls.py
6.2.1   STARTTLS: nothing before the handshake counts
                                        system/test_tls.py, test_tls_attacks.py
6.2.2   AUTHENTICATE: cancelled, SASL-IR, every mechanism
                                        system/test_imap.py, proto/authd
6.2.3   LOGINDISABLED                   system/test_imap.py
6.3.9   LIST, all options together      list.talk
6.3.13  IDLE                            two.talk, system/test_imap.py
6.4.4   what each SEARCH key finds      test_search_fetch.py, search.talk
6.4.5   sections of ugly messages       test_search_fetch.py, unit/mail
7.5.1   numbers after EXPUNGE, at random  test_model.py
10      ACL, quotas, and so on          *.talk of their names
11      TLS                             system/test_tls.py, test_testssl.py
"""
import re

from clauses import clause, run_all, untagged
from imaptalk import parse

MSG = (b"From: Fred <f@example.org>\r\nTo: a@example.org, b@example.org\r\n"
       b"Subject: one\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
       b"Message-ID: <1@example.org>\r\n\r\nbody\r\n")


def box(c, name, n=1, flags=""):
    """A new mailbox with n messages, selected."""
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG, flags)
    return c.ok(f"SELECT {name}")


@clause("2.2.1")
def each_command_has_its_answer(c, d):
    """One tagged answer each, with its tag, also where nothing is right."""
    c.send(b"x1 NOOP\r\nX2 FOO\r\nx3\r\nx4 NOOP x\r\n")
    for tag, word in (("x1", b"OK"), ("X2", b"BAD"), ("x3", b"BAD"),
                      ("x4", b"BAD")):
        assert c.until(tag)[-1].split()[1] == word, tag


@clause("2.3.1.1")
def uids_ascend(c, d):
    box(c, "u", 3)
    c.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    first = c.ok("STATUS u (UIDNEXT UIDVALIDITY)")[0]
    assert b"UIDNEXT 4" in first, "not before a message comes"
    last = c.append("u", MSG)[-1]
    assert re.search(rb"\[APPENDUID \d+ 4\]", last), last
    assert [parse(x)[3][1] for x in c.ok("FETCH 1:* UID")[:-1]] == \
        ["1", "2", "4"]


@clause("2.3.1.1")
def a_new_mailbox_has_new_uids(c, d):
    c.ok("CREATE v")
    one = c.ok("STATUS v (UIDVALIDITY)")[0]
    c.ok("DELETE v")
    c.ok("CREATE v")
    two = c.ok("STATUS v (UIDVALIDITY)")[0]
    n = [int(re.search(rb"UIDVALIDITY (\d+)", x).group(1)) for x in (one, two)]
    assert n[1] > n[0] > 0


@clause("2.3.2")
def flags_ignore_case(c, d):
    box(c, "f")
    assert b"\\Seen" in c.ok("STORE 1 FLAGS (\\sEEN)")[0]
    assert c.status("STORE 1 +FLAGS (\\Nonsense)")[0] == "BAD"
    c.ok("STORE 1 +FLAGS ($Forwarded $MDNSent $Junk $NotJunk $Phishing)")
    got = c.ok("FETCH 1 FLAGS")[0]
    assert all(k in got for k in (b"$Forwarded", b"$MDNSent", b"$Junk",
                                  b"$NotJunk", b"$Phishing")), got


@clause("3")
def commands_have_their_state(c, d):
    for command in ("FETCH 1 FLAGS", "CLOSE", "UNSELECT", "EXPUNGE",
                    "SEARCH ALL", "STORE 1 FLAGS ()", "COPY 1 INBOX",
                    "MOVE 1 INBOX", "UID FETCH 1 FLAGS", "LOGIN a b",
                    "AUTHENTICATE PLAIN", "STARTTLS"):
        assert c.status(command)[0] == "BAD", command


@clause("4.3.1")
def quoted_strings_may_be_utf8(c, d):
    c.ok("ENABLE IMAP4rev2")
    c.ok('CREATE "Entwürfe"')
    assert '* LIST (\\HasNoChildren) "/" "Entwürfe"'.encode() in \
        c.ok('LIST "" "Entw*"') or "Entwürfe".encode() in \
        b"".join(c.ok('LIST "" "Entw*"'))
    box(c, "utf")
    assert untagged(c.ok('SEARCH SUBJECT "é"'), b"ESEARCH")
    assert c.status(b'CREATE "a\0b"')[0] == "BAD"


@clause("4.3")
def literals_of_the_server(c, d):
    """Never "{4+}", and no NUL but in "~{4}" (4.3.1, 9)."""
    box(c, "lit")
    c.ok(b"APPEND lit {16+}\r\nSubject: \0\r\n\r\n\0")
    got = b"\n".join(c.ok("FETCH 1:2 (BODY[] BODY[HEADER] RFC822 ENVELOPE)"))
    assert not re.search(rb"\{\d+\+\}", got) and b"\0" not in got, got


@clause("5.1")
def names_are_net_unicode(c, d):
    c.ok("ENABLE IMAP4rev2")
    for bad in (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a\xc0\x80",
                b"\xf4\x90\x80\x80"):
        assert c.status(b'CREATE "x' + bad + b'"')[0] in ("NO", "BAD"), bad
    for name in ("inbox", "InBoX", '"INBOX"', "{5+}\r\niNbOx"):
        c.ok(f"SELECT {name}")
    assert c.status("CREATE inBOX")[0] == "NO"


@clause("5.2")
def sizes_are_told(c, d):
    box(c, "s")
    d.append("s", MSG)
    assert b"* 2 EXISTS" in c.ok("NOOP")
    # During a command that is about something else, too.
    d.append("s", MSG)
    assert b"* 3 EXISTS" in c.ok("STATUS INBOX (MESSAGES)")
    d.append("s", MSG)
    assert b"* 4 EXISTS" in c.ok("FETCH 1 FLAGS")


@clause("5.5")
def ambiguous_pipelines_go_in_order(c, d):
    box(c, "p", 2)
    c.send(b"q1 STORE 1 +FLAGS (\\Deleted)\r\nq2 EXPUNGE\r\n"
           b"q3 FETCH 1 UID\r\nq4 SEARCH ALL\r\n")
    c.until("q1")
    assert c.until("q2")[0] == b"* 1 EXPUNGE"
    assert c.until("q3")[0] == b"* 1 FETCH (UID 2)"
    assert c.until("q4")[0] == b"* SEARCH 1"


@clause("6.1.1")
def capability(c, d):
    got = c.ok("CAPABILITY")
    assert len(untagged(got, b"CAPABILITY")) == 1 and \
        got[0].startswith(b"* CAPABILITY ")
    assert b"IMAP4rev2" in got[0].split()


@clause("6.1.3")
def logout_says_bye(c, d):
    got = c.cmd("LOGOUT")
    assert got[0].startswith(b"* BYE") and b" OK" in got[-1]
    assert c.file.readline() == b""


@clause("6.3.1")
def enable(c, d):
    got = c.ok("ENABLE nonsense IMAP4rev2 CONDSTORE")
    assert b"NONSENSE" not in got[0].upper() and b"IMAP4rev2" in got[0]
    assert len(untagged(got, b"ENABLED")) == 1
    assert c.status("ENABLE")[0] == "BAD"


@clause("6.3.2")
def what_select_tells(c, d):
    c.ok("ENABLE IMAP4rev2")
    got = box(c, "sel", 2)
    for want in (rb"\* 2 EXISTS$", rb"\* FLAGS \(.*\\Seen.*\)$",
                 rb"\* LIST \([^)]*\) \"/\" sel$",
                 rb"\* OK \[PERMANENTFLAGS \(.*\)\]",
                 rb"\* OK \[UIDNEXT 3\]", rb"\* OK \[UIDVALIDITY \d+\]"):
        assert any(re.match(want, line) for line in got), (want, got)
    assert b"RECENT" not in b"".join(got), "is not in IMAP4rev2"
    assert b"[READ-WRITE]" in got[-1]
    got = c.ok("EXAMINE sel")
    assert any(b"[CLOSED]" in line for line in got)
    assert b"[READ-ONLY]" in got[-1]
    assert c.status("SELECT not/there")[0] == "NO"
    assert c.status("FETCH 1 FLAGS")[0] == "BAD", "none is selected now"


@clause("6.3.3")
def examine_changes_nothing(c, d):
    box(c, "ex")
    c.ok("EXAMINE ex")
    c.ok("FETCH 1 BODY[]")
    assert c.status("STORE 1 +FLAGS (\\Deleted)")[0] == "NO"
    assert c.status("EXPUNGE")[0] == "NO"
    c.ok("CLOSE")
    assert b"UNSEEN 1" in c.ok("STATUS ex (UNSEEN)")[0]


@clause("6.3.4")
def create(c, d):
    c.ok("CREATE cr/")
    assert c.status("CREATE cr")[0] == "NO"
    c.ok("CREATE sup/in/ferior")
    assert len(untagged(c.ok('LIST "" sup*'), b"LIST")) == 3
    # A name that is normalized is told, with the old one (6.3.4, 6.3.9.7).
    c.ok("ENABLE IMAP4rev2")
    got = c.cmd('CREATE "e\u0301t\u00e9"')
    if b" OK" in got[-1] and untagged(got, b"LIST"):
        assert b"OLDNAME" in got[0], got
    c.ok('SELECT "e\u0301t\u00e9"')


@clause("6.3.5")
def delete(c, d):
    assert c.status("DELETE INBOX")[0] == "NO"
    assert c.status("DELETE nowhere")[0] == "NO"
    c.ok("CREATE del/child")
    c.append("del/child", MSG)
    got = c.cmd("DELETE del")[-1]
    if b" OK" in got:
        c.ok("SELECT del/child")
        assert c.status("DELETE del")[0] == "NO", "\\Noselect with children"
        c.ok("UNSELECT")
    assert b"MESSAGES 1" in c.ok("STATUS del/child (MESSAGES)")[0]


@clause("6.3.6")
def rename(c, d):
    c.ok("CREATE r1/a/b")
    c.ok("SUBSCRIBE r1/a/b")
    c.ok("CREATE r3")
    assert c.status("RENAME nowhere r2")[0] == "NO"
    assert c.status("RENAME r1 r3")[0] == "NO"
    c.ok("RENAME r1 new/r2")
    got = b"".join(c.ok('LIST "" *'))
    assert b"new/r2/a/b" in got and b"r1" not in got.replace(b"r1/a/b", b"")
    c.append("INBOX", MSG)
    n = c.ok("STATUS INBOX (MESSAGES)")[0].split()[-1]
    c.ok("CREATE INBOX/kept")
    c.ok("RENAME INBOX old")
    assert b"MESSAGES 0" in c.ok("STATUS INBOX (MESSAGES)")[0]
    assert c.ok("STATUS old (MESSAGES)")[0].split()[-1] == n
    c.ok("STATUS INBOX/kept (MESSAGES)")


@clause("6.3.7")
def subscriptions_stay(c, d):
    c.ok("CREATE subs")
    c.ok("SUBSCRIBE subs")
    c.ok("DELETE subs")
    got = untagged(c.ok('LIST (SUBSCRIBED) "" subs'), b"LIST")
    assert len(got) == 1 and b"\\NonExistent" in got[0] and \
        b"\\Subscribed" in got[0], got
    c.ok("UNSUBSCRIBE subs")
    assert not untagged(c.ok('LIST (SUBSCRIBED) "" subs'), b"LIST")


@clause("6.3.9")
def list_options(c, d):
    assert re.match(rb'\* LIST \(\\Noselect\) "/" ""$',
                    c.ok('LIST "" ""')[0], re.I)
    c.ok("CREATE tree/m/n")
    assert len(untagged(c.ok('LIST "" tree/%'), b"LIST")) == 1
    assert len(untagged(c.ok('LIST "" tree*'), b"LIST")) == 3
    for bad in ('LIST (RECURSIVEMATCH) "" *', 'LIST (REMOTE RECURSIVEMATCH) '
                '"" *', 'LIST (NONSENSE) "" *',
                'LIST "" * RETURN (NONSENSE)', 'LIST "" () RETURN (STATUS)'):
        assert c.status(bad)[0] == "BAD", bad
    for line in untagged(c.ok('LIST "" * RETURN (CHILDREN)'), b"LIST"):
        has = b"\\HasChildren" in line
        assert has != (b"\\HasNoChildren" in line), line
    c.ok("CREATE tree/s")
    got = c.ok('LIST () "" (INBOX tree/s) RETURN (SUBSCRIBED STATUS (MESSAGES))')
    names = [parse(x)[4] for x in untagged(got, b"LIST")]
    assert len(names) == 2 and len(untagged(got, b"STATUS")) == 2, got


@clause("6.3.11")
def status_items(c, d):
    box(c, "st", 2)
    got = c.ok("STATUS st (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)")
    words = parse(got[0])[3]
    have = dict(zip(words[::2], map(int, words[1::2])))
    assert have["SIZE"] == 2 * len(MSG) and have["DELETED"] == 0
    assert c.status("STATUS st (NONSENSE)")[0] == "BAD"
    assert c.status("STATUS st ()")[0] == "BAD"
    assert c.status("STATUS nowhere (MESSAGES)")[0] == "NO"
    c.ok("FETCH 1 FLAGS")       # st is still selected


@clause("6.3.12")
def append(c, d):
    for text in (b"APPEND nowhere {%d+}\r\n%s" % (len(MSG), MSG),
                 b"APPEND nowhere (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" "
                 b"{%d+}\r\n%s" % (len(MSG), MSG)):
        assert c.status(text) == ("NO", "TRYCREATE")
    assert c.status("STATUS nowhere (MESSAGES)")[0] == "NO"
    box(c, "ap", 0)
    got = c.append("ap", MSG, '(\\Seen) "07-Feb-1994 21:52:25 -0800"')
    assert b"* 1 EXISTS" in got and b"[APPENDUID " in got[-1]
    got = c.ok("FETCH 1 (INTERNALDATE FLAGS)")[0]
    assert b'"07-Feb-1994 21:52:25 -0800"' in got or \
        b'" 7-Feb-1994 21:52:25 -0800"' in got, got
    assert b"\\Seen" in got
    # A refused one leaves nothing.
    assert c.status(b"APPEND ap (\\Bad\\) {4+}\r\nabcd")[0] == "BAD"
    assert c.status(b'APPEND ap "32-Foo-2000 00:00:00 +0000" '
                    b"{4+}\r\nabcd")[0] == "BAD"
    assert b"MESSAGES 1" in c.ok("STATUS ap (MESSAGES)")[0]


@clause("6.4.1")
def close_and_unselect(c, d):
    box(c, "cl", 2, "(\\Deleted)")
    assert len(c.ok("UNSELECT")) == 1
    assert b"MESSAGES 2" in c.ok("STATUS cl (MESSAGES)")[0]
    c.ok("SELECT cl")
    assert len(c.ok("CLOSE")) == 1, "no EXPUNGE is told"
    assert b"MESSAGES 0" in c.ok("STATUS cl (MESSAGES)")[0]


@clause("6.4.3")
def expunge(c, d):
    box(c, "exp", 4)
    c.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    got = [int(x.split()[1]) for x in untagged(c.ok("EXPUNGE"), b"EXPUNGE")]
    left = [1, 2, 3, 4]
    for n in got:
        del left[n - 1]
    assert left == [1, 3], got


@clause("6.4.4")
def search_answers(c, d):
    box(c, "se", 3)
    c.ok("ENABLE IMAP4rev2")
    for command, want in (
            ("SEARCH ALL", rb"ALL 1:3$"), ("UID SEARCH ALL", rb"UID ALL 1:3$"),
            ("SEARCH RETURN () ALL", rb"ALL 1:3$"),
            ("SEARCH RETURN (COUNT) SEEN", rb"COUNT 0$"),
            ("SEARCH RETURN (MIN MAX COUNT) ALL", rb"MIN 1 MAX 3 COUNT 3$"),
            ("SEARCH RETURN (MIN MAX ALL) SEEN", rb"\)$"),
            ("SEARCH CHARSET UTF-8 SUBJECT one", rb"ALL 1:3$"),
            ("SEARCH CHARSET US-ASCII SUBJECT one", rb"ALL 1:3$")):
        got = c.ok(command)
        e = untagged(got, b"ESEARCH")
        assert len(e) == 1 and not untagged(got, b"SEARCH"), got
        tag = got[-1].split()[0]
        assert b'(TAG "%s")' % tag in e[0] and re.search(want, e[0]), e
        for word in (b"MIN", b"MAX", b"ALL"):
            assert want != rb"\)$" or b" " + word not in e[0], e
    code = c.status("SEARCH CHARSET X-NONE ALL")
    assert code[0] == "NO" and code[1].startswith("BADCHARSET"), code


@clause("6.4.4.1")
def the_search_result(c, d):
    box(c, "sr", 4)
    assert not untagged(c.ok("SEARCH RETURN (SAVE) UID 2:3"), b"E?SEARCH")
    assert len(untagged(c.ok("FETCH $ FLAGS"), b"FETCH")) == 2
    # BAD leaves it, NO empties it, EXPUNGE takes away from it.
    c.status("SEARCH RETURN (SAVE) NONSENSE")
    assert len(untagged(c.ok("FETCH $ FLAGS"), b"FETCH")) == 2
    c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    assert len(untagged(c.ok("FETCH $ UID"), b"FETCH")) == 1
    assert c.status("SEARCH RETURN (SAVE) CHARSET X-NONE ALL")[0] == "NO"
    assert len(c.ok("FETCH $ UID")) == 1
    c.ok("SEARCH RETURN (SAVE) ALL")
    c.ok("SELECT sr")
    assert len(c.ok("FETCH $ UID")) == 1, "another SELECT empties it"


@clause("6.4.9")
def no_expunge_where_numbers_are(c, d):
    """A UID command may tell of it, but for a search that has numbers."""
    box(c, "un", 6)
    d.ok("SELECT un")
    for n, text in enumerate(("UID SEARCH 1:2", "UID SEARCH NOT 7:9 OR 1 2",
                              "UID SORT (ARRIVAL) UTF-8 2",
                              "UID THREAD REFERENCES UTF-8 1:2")):
        d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        d.ok("EXPUNGE")
        got = c.ok(text)
        assert not any(b"EXPUNGE" in x for x in got), (text, got)
        got = c.ok("UID SEARCH UID 1:9" if n % 2 else "NOOP")
        assert got.count(b"* 1 EXPUNGE") == 1, got


@clause("6.4.5")
def fetch(c, d):
    box(c, "fe", 2)
    assert not c.ok("FETCH 1 BODY.PEEK[]")[0].endswith(b"Seen))")
    got = b"\n".join(c.ok("FETCH 1 BODY[TEXT]"))
    assert b"FLAGS (" in got and b"\\Seen" in got, "is told that it is \\Seen"
    assert b'""' in c.ok("FETCH 1 BODY.PEEK[]<100000.10>")[0]
    assert b"BODY[TEXT]<0> {2}" in c.ok("FETCH 1 BODY.PEEK[TEXT]<0.2>")[0] or \
        b'BODY[TEXT]<0> "bo"' in c.ok("FETCH 1 BODY.PEEK[TEXT]<0.2>")[0]
    h = parse(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject)]")[0])[3][-1]
    assert h == b"Subject: one\r\n\r\n", h
    h = parse(c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (X-None)]")[0])[3][-1]
    assert h == b"\r\n", h
    assert parse(c.ok("FETCH 1 RFC822.SIZE")[0])[3] == \
        ["RFC822.SIZE", str(len(MSG))]
    assert len(untagged(c.ok("UID FETCH 1,77 FLAGS"), b"FETCH")) == 1
    assert len(c.ok("UID FETCH 77 FLAGS")) == 1
    for bad in ("FETCH 1 ()", "FETCH 0 FLAGS", "FETCH 1 BODY[0]",
                "FETCH 1 NONSENSE", "FETCH 1 BODY[]<1.0>", "FETCH 3 FLAGS",
                "FETCH 1 BODY[TEXT", "FETCH 1,, FLAGS", "FETCH : FLAGS"):
        assert c.status(bad)[0] == "BAD", bad


@clause("6.4.6")
def store(c, d):
    box(c, "sto", 1)
    d.ok("SELECT sto")
    assert len(c.ok("STORE 1 +FLAGS.SILENT (\\Seen)")) == 1
    assert b"\\Seen" in d.ok("NOOP")[0]
    assert b"\\Flagged" in c.ok("STORE 1 +FLAGS (\\Flagged)")[0]
    assert b"FLAGS (" in c.ok("STORE 1 FLAGS ()")[0]
    assert c.status("STORE 2 FLAGS ()")[0] == "BAD"


@clause("6.4.7")
def copy_is_all_or_nothing(c, d):
    box(c, "co", 2, "(\\Flagged)")
    assert c.status("COPY 1:2 nowhere") == ("NO", "TRYCREATE")
    c.ok("CREATE cop")
    assert re.search(rb"\[COPYUID \d+ 1:2 1:2\]", c.ok("COPY 1:2 cop")[-1])
    assert b"COPYUID" not in c.ok("UID COPY 99 cop")[-1]
    assert c.status("COPY 1:7 cop")[0] == "BAD"
    assert b"MESSAGES 2" in c.ok("STATUS cop (MESSAGES)")[0]
    a = c.ok("FETCH 1 (INTERNALDATE FLAGS)")[0]
    c.ok("SELECT cop")
    b = c.ok("FETCH 1 (INTERNALDATE FLAGS)")[0]
    assert parse(a)[3][1] == parse(b)[3][1] and b"\\Flagged" in b


@clause("6.4.8")
def move(c, d):
    box(c, "mo", 3)
    c.ok("CREATE mov")
    assert c.status("MOVE 1 nowhere") == ("NO", "TRYCREATE")
    got = c.ok("MOVE 1,3 mov")
    ok = [i for i, x in enumerate(got) if b"[COPYUID " in x]
    gone = [i for i, x in enumerate(got) if b" EXPUNGE" in x]
    assert len(gone) == 2 and ok[0] < gone[0], got
    assert b"MESSAGES 2" in c.ok("STATUS mov (MESSAGES)")[0]
    assert b"MESSAGES 1" in c.ok("STATUS mo (MESSAGES)")[0]


@clause("6.4.9")
def uid_commands(c, d):
    box(c, "ui", 3, "(\\Deleted)")
    assert c.ok("UID EXPUNGE 2")[0] == b"* 2 EXPUNGE"
    got = c.ok("UID FETCH 3 FLAGS")[0]
    assert got.startswith(b"* 2 FETCH (") and b"UID 3" in got
    assert b"UID 3" in c.ok("UID STORE 3 -FLAGS (\\Deleted)")[0]
    assert c.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 3"
    # "*" is the last one, whatever stands before it.
    assert b"UID 3" in c.ok("UID FETCH 559:* FLAGS")[0]


@clause("7.5.1")
def expunges_wait(c, d):
    box(c, "w", 3)
    d.ok("SELECT w")
    d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    for quiet in ("FETCH 1:3 FLAGS", "SEARCH ALL", "STORE 3 +FLAGS (\\Seen)"):
        assert not untagged(c.cmd(quiet), b"EXPUNGE"), quiet
    assert untagged(c.ok("UID FETCH 3 FLAGS"), b"EXPUNGE") or \
        untagged(c.ok("NOOP"), b"EXPUNGE")


@clause("7.5.2")
def envelopes(c, d):
    box(c, "en", 1)
    c.append("en", b"X: none\r\n\r\n")
    c.append("en", b"From: f@example.org\r\nSender:\r\nReply-To: \r\n\r\n")
    e = parse(c.ok("FETCH 1 ENVELOPE")[0])[3][1]
    assert e[2] == e[3] == e[4], "Sender and Reply-To are From's"
    assert e[2] == [[b"Fred", None, b"f", b"example.org"]], e
    assert parse(c.ok("FETCH 2 ENVELOPE")[0])[3][1] == [None] * 10
    e = parse(c.ok("FETCH 3 ENVELOPE")[0])[3][1]
    assert e[2] == e[3] == e[4] != None, e      # noqa: E711


@clause("9")
def grammar(c, d):
    """Words in any case, one space between them."""
    box(c, "g")
    for good in ("fEtCh 1 (fLaGs uId)", "fetch 1 bOdY.pEeK[tExT]",
                 "UiD fEtCh 1 fast", "noop", "sTaTuS g (mEsSaGeS)"):
        c.ok(good)
    for bad in ("FETCH  1 FLAGS", "FETCH 1  FLAGS", "FETCH 1 FLAGS ",
                " NOOP", "FETCH 01x FLAGS", "FETCH 4294967296 FLAGS",
                "STORE 1 FLAGS (\\Seen", "STATUS g MESSAGES",
                'SELECT "g', "SELECT g)", "SEARCH (ALL"):
        assert c.status(bad)[0] == "BAD", bad


run_all("RFC 9051")
