#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd: NOTIFY (RFC 5465): what happens elsewhere is said without asking."""
import re
import shutil

from imaptalk import Engine

MSG = b"From: a@b\r\nSubject: news\r\n\r\nbody\r\n"
passed = 0


def case(fn):
    global passed
    c, d = e.client(), e.client()
    fn(c, d)
    c.close()
    d.close()
    passed += 1


def expect(c, *wanted):
    for w in wanted:
        got = c.line()
        assert re.match(w, got), (w, got)


def arguments(c, d):
    for text, want in (
            ("NOTIFY NONE", ("OK", "")),
            ("NOTIFY", ("BAD", "")), ("NOTIFY FOO", ("BAD", "")),
            ("NOTIFY SET", ("BAD", "")),
            ("NOTIFY SET (selected)", ("BAD", "")),
            ("NOTIFY SET (foo (MessageNew))", ("BAD", "")),
            ("NOTIFY SET (selected (MessageNew))", ("BAD", "")),
            ("NOTIFY SET (selected (FlagChange))", ("BAD", "")),
            ("NOTIFY SET (selected (MailboxName))", ("BAD", "")),
            ("NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
             ("BAD", "")),
            ("NOTIFY SET (selected (MessageNew (FOO) MessageExpunge))",
             ("BAD", "")),
            # Only one of them (6.1).
            ("NOTIFY SET (selected NONE) (selected-delayed (MessageNew "
             "MessageExpunge))", ("BAD", "")),
            ("NOTIFY SET (selected NONE)", ("OK", "")),
            ("NOTIFY SET (mailboxes (INBOX Sent) NONE)", ("OK", "")),
            ("NOTIFY SET (subtree a (MailboxName)) (selected-delayed "
             "(MessageNew MessageExpunge FlagChange))", ("OK", ""))):
        assert c.status(text) == want, (text, c.status(text))
    got = c.status("NOTIFY SET (personal (AnnotationChange))")
    assert got[0] == "NO" and got[1].startswith("BADEVENT (MessageNew "), got


def selected(c, d):
    c.ok("CREATE s")
    c.ok("SELECT s")
    c.ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS "
         "(SUBJECT)]) MessageExpunge FlagChange))")
    d.append("s", MSG)
    expect(c, rb"\* 1 EXISTS$", rb"\* 1 RECENT$",
           rb"\* 1 FETCH \(UID 1 BODY\[HEADER.FIELDS \(SUBJECT\)\] \{17\}"
           rb"\r\nSubject: news\r\n\r\n\)$")
    d.ok("SELECT s")
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    expect(c, rb"\* 1 FETCH \(UID 1 FLAGS \(\\Deleted \\Recent\)\)$")
    d.ok("EXPUNGE")
    expect(c, rb"\* 1 EXPUNGE$")
    # Not selected: not of interest any more.
    c.ok("UNSELECT")
    d.append("s", MSG)
    assert len(c.ok("NOOP")) == 1


def delayed(c, d):
    c.ok("CREATE t")
    d.append("t", MSG)
    c.ok("SELECT t")
    c.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge "
         "FlagChange))")
    d.ok("SELECT t")
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    expect(c, rb"\* 1 FETCH \(UID 1 FLAGS")
    d.ok("EXPUNGE")
    d.append("t", MSG)
    # It waits for a command that may have it.
    expect(c, rb"\* 2 EXISTS$", rb"\* \d RECENT$")
    assert c.ok("NOOP")[0] == b"* 1 EXPUNGE"
    # Without FlagChange flags are of no interest; what gathered comes first.
    c.ok("NOTIFY SET (mailboxes INBOX (MailboxName))")
    d.ok("STORE 1 +FLAGS (\\Flagged)")
    assert len(c.ok("NOOP")) == 1
    lines = c.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge))")
    assert lines[0].startswith(b"* 1 FETCH ("), lines
    d.ok("STORE 1 -FLAGS (\\Flagged)")
    d.append("t", MSG)
    expect(c, rb"\* 2 EXISTS$", rb"\* \d RECENT$")
    assert len(c.ok("NOOP")) == 1


def others(c, d):
    c.ok("CREATE u")
    c.ok("CREATE v/w")
    lines = c.ok("NOTIFY SET STATUS (mailboxes u (MessageNew MessageExpunge "
                 "FlagChange)) (subtree v (MessageNew MessageExpunge))")
    assert len(lines) == 3 and all(
        l.startswith((b"* STATUS u (MESSAGES 0 UIDNEXT 1 ",
                      b"* STATUS v/w (MESSAGES 0 UIDNEXT 1 "))
        for l in lines[:2]), lines
    d.append("u", MSG)
    expect(c, rb"\* STATUS u \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 1 ")
    d.append("v/w", MSG)
    expect(c, rb"\* STATUS v/w \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+\)$")
    d.ok("SELECT u")            # takes \\Recent: that is no change
    d.ok("STORE 1 +FLAGS (\\Seen \\Deleted)")
    expect(c, rb"\* STATUS u \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 0 ")
    d.ok("EXPUNGE")
    expect(c, rb"\* STATUS u \(MESSAGES 0 ")
    # Without STATUS nothing is said of what is there.
    assert len(c.ok("NOTIFY SET (mailboxes u (MessageNew MessageExpunge "
                    "FlagChange))")) == 1
    # Of the selected mailbox nothing was asked for.
    d.append("INBOX", MSG)
    c.ok("SELECT INBOX")
    d.append("INBOX", MSG)
    assert len(c.ok("NOOP")) == 1


def the_list(c, d):
    c.ok("NOTIFY SET (personal (MailboxName SubscriptionChange))")
    d.ok("CREATE new")
    expect(c, rb'\* LIST \(\\HasNoChildren\) "/" new$')
    d.ok("RENAME new newer")
    expect(c, rb'\* LIST \(\\HasNoChildren\) "/" newer '
              rb'\("OLDNAME" \(new\)\)$')
    d.ok("SUBSCRIBE newer")
    expect(c, rb'\* LIST \(\\HasNoChildren \\Subscribed\) "/" newer$')
    # One line for a mailbox whose subscription stays behind; its children
    # go with it.
    d.ok("CREATE newer/x")
    expect(c, rb'\* LIST \(\\HasChildren \\Subscribed\) "/" newer$',
           rb'\* LIST \(\\HasNoChildren\) "/" newer/x$')
    d.ok("RENAME newer newest")
    expect(c, rb'\* LIST \(\\HasChildren\) "/" newest '
           rb'\("OLDNAME" \(newer\)\)$')
    d.ok("RENAME newest newer")
    expect(c, rb'\* LIST \(\\HasChildren \\Subscribed\) "/" newer '
              rb'\("OLDNAME" \(newest\)\)$')
    d.ok("UNSUBSCRIBE newer")
    expect(c, rb'\* LIST \(\\HasChildren\) "/" newer$')
    d.ok("DELETE newer/x")
    expect(c, rb'\* LIST \(\\HasNoChildren\) "/" newer$',
           rb'\* LIST \(\\NonExistent\) "/" newer/x$')
    d.ok("DELETE newer")
    expect(c, rb'\* LIST \(\\NonExistent\) "/" newer$')
    # What the client did itself is not told.
    c.ok("NOTIFY SET (personal (MailboxName SubscriptionChange MessageNew "
         "MessageExpunge))")
    for own in ("CREATE mine", "SUBSCRIBE mine", "UNSUBSCRIBE mine"):
        c.ok(own)
    c.ok("DELETE mine")
    assert len(c.ok("NOOP")) == 1
    c.ok("NOTIFY NONE")
    d.ok("CREATE newest")
    assert len(c.ok("NOOP")) == 1


def metadata(c, d):
    """5.6, 5.7: the entries' names, of those asked for."""
    c.ok("CREATE m")
    c.ok("NOTIFY SET (mailboxes m (MailboxMetadataChange)) "
         "(inboxes (ServerMetadataChange))")
    d.ok('SETMETADATA m (/private/comment "x" /shared/Comment "y")')
    expect(c, rb'\* METADATA m /private/comment$',
           rb'\* METADATA m /shared/comment$')
    d.ok('SETMETADATA INBOX (/private/comment "x")')
    d.ok('SETMETADATA "" (/private/comment "x")')
    expect(c, rb'\* METADATA "" /private/comment$')
    d.ok('SETMETADATA m (/private/comment NIL)')
    expect(c, rb'\* METADATA m /private/comment$')
    c.ok("NOTIFY SET (personal (MailboxName))")
    d.ok('SETMETADATA m (/private/comment "x")')
    assert len(c.ok("NOOP")) == 1


def after_the_mailbox(c, d):
    """When none is selected any more, the others are still told of."""
    c.ok("CREATE left")
    c.ok("CREATE other")
    c.ok("NOTIFY SET (selected (MessageNew MessageExpunge)) "
         "(personal (MessageNew MessageExpunge))")
    n = 0
    for how in ("CLOSE", "UNSELECT", "SELECT nowhere", "DELETE left"):
        c.ok("SELECT left")
        c.cmd(how)
        d.append("other", MSG)
        n += 1
        expect(c, rb"\* STATUS other \(MESSAGES %d " % n)
    c.ok("SELECT other")
    d.append("other", MSG)
    expect(c, rb"\* %d EXISTS$" % (n + 1))


e = Engine()
for fn in (arguments, selected, delayed, others, the_list, metadata,
           after_the_mailbox):
    case(fn)
e.stop()
shutil.rmtree(e.dir)
print("%d passed, 0 failed, 0 skipped" % passed)
