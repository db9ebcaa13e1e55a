#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 5465, clause by clause: what a server with NOTIFY MUST do, and SHOULD.

More of it is in test_notify.py; the clauses on search contexts are in
test_rfc5267.py."""
import re

from clauses import clause, engine_of, run_all, untagged

MSG = b"From: a@b\r\nSubject: news\r\n\r\nbody\r\n"
bob = engine_of("bob")
OTHERS = "Other Users/tester/"


def expect(c, *wanted):
    for w in wanted:
        got = c.line()
        assert re.match(w, got), (w, got)


def quiet(c, command="NOOP"):
    """Nothing was to be told."""
    got = c.ok(command)
    assert len(got) == 1, got


def box(c, name, n=0):
    c.ok(f"CREATE {name}")
    for _ in range(n):
        c.append(name, MSG)


@clause("3.1")
def accumulated_changes_come_first(c, d):
    box(c, "a1", 3)
    c.ok("SELECT a1")
    d.ok("SELECT a1")
    d.ok("STORE 1 +FLAGS (\\Deleted)")
    d.ok("EXPUNGE")
    d.ok("STORE 1 +FLAGS (\\Seen)")
    d.append("a1", MSG)
    got = c.ok("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))")
    assert got[0] == b"* 1 EXPUNGE" and b"* 3 EXISTS" in got and \
        any(b"\\Seen" in x for x in got), got


@clause("3.1")
def set_replaces_all(c, d):
    box(c, "a2")
    box(c, "a3")
    c.ok("NOTIFY SET (mailboxes a2 (MessageNew MessageExpunge))")
    c.ok("NOTIFY SET (mailboxes a3 (MessageNew MessageExpunge))")
    d.append("a2", MSG)
    d.append("a3", MSG)
    expect(c, rb"\* STATUS a3 ")
    quiet(c)
    # One that is refused changes nothing.
    assert c.status("NOTIFY SET (mailboxes a2 (AnnotationChange))")[0] == "NO"
    assert c.status("NOTIFY SET (mailboxes a2 (FlagChange))")[0] == "BAD"
    d.append("a3", MSG)
    expect(c, rb"\* STATUS a3 ")
    c.ok("NOTIFY NONE")
    d.append("a3", MSG)
    quiet(c)


@clause("3.1")
def none_is_none_also_of_the_selected(c, d):
    box(c, "a4", 1)
    c.ok("SELECT a4")
    for how in ("NOTIFY NONE", "NOTIFY SET (selected NONE)",
                "NOTIFY SET (personal (MailboxName))"):
        c.ok(how)
        d.append("a4", MSG)
        quiet(c)
        # And in IDLE (4): "exactly the same events".
        t = c.start("IDLE")
        assert c.line().startswith(b"+ ")
        d.append("a4", MSG)
        c.send(b"DONE\r\n")
        assert len(c.until(t)) == 1, how
    assert untagged(c.ok("NOTIFY SET (selected (MessageNew MessageExpunge))"),
                    b"EXISTS") == [b"* 7 EXISTS"]


@clause("3.1")
def status_holds_what_the_events_need(c, d):
    box(c, "a5", 2)

    def told(events, more="STATUS "):
        got = c.ok(f"NOTIFY SET {more}(mailboxes a5 ({events}))")
        found = [x for x in got if x.startswith(b"* STATUS a5 (")]
        return found[0].split(b"(")[1].rstrip(b")").split()[::2] if found \
            else []

    new = told("MessageNew MessageExpunge")
    assert {b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"} <= set(new), new
    new = told("MessageNew MessageExpunge FlagChange")
    assert {b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY", b"HIGHESTMODSEQ"} <= \
        set(new), new
    # Without the word, and for events that are not about messages: none.
    assert not told("MessageNew MessageExpunge", "")
    assert not told("MailboxName SubscriptionChange")
    # "If the name does not refer to an existing mailbox, ... ignore it."
    assert len(c.ok("NOTIFY SET STATUS (mailboxes (nowhere nor/here) "
                    "(MessageNew MessageExpunge))")) == 1
    # It does not stand for the selected mailbox.
    c.ok("SELECT a5")
    assert not told("MessageNew MessageExpunge")


@clause("3.1, 5.9")
def who_may_not_read(c, d):
    """"l" without "r": LIST with \\NoAccess; without "l" not a word."""
    b = bob.client()
    for name, rights in (("n1", "lr"), ("n2", "l"), ("n3", "")):
        box(c, name, 1)
        if rights:
            c.ok(f"SETACL {name} bob {rights}")
    got = b.ok('NOTIFY SET STATUS (subtree "Other Users" (MessageNew '
               'MessageExpunge))')
    assert untagged(got, b"LIST") == [
        b'* LIST (\\NoAccess) "/" "%sn2"' % OTHERS.encode()], got
    got = untagged(got, b"STATUS")
    assert len(got) == 1 and b"n1" in got[0], got
    for name in ("n2", "n3", "n1"):
        d.append(name, MSG)
    expect(b, rb'\* STATUS "Other Users/tester/n1" \(MESSAGES 2 ')
    # Granted, and monitored from then on; withdrawn, and not any more.
    c.ok("SETACL n2 bob lr")
    c.ok("SETACL n1 bob l")
    end = [re.compile(rb'\* LIST \(\\NoAccess\) "/" "Other .*n1"'),
           re.compile(rb'\* LIST \(\\HasNoChildren\) "/" "Other .*n2"')]
    seen = []
    while len([1 for r in end if any(r.match(x) for x in seen)]) < 2:
        seen.append(b.line())
    while not any(re.match(rb'\* STATUS "Other.*n2" \(MESSAGES 2 ', x)
                  for x in seen):
        seen.append(b.line())
    d.append("n1", MSG)
    d.append("n2", MSG)
    expect(b, rb'\* STATUS "Other Users/tester/n2" \(MESSAGES 3 ')
    quiet(b)
    b.close()


@clause("3.1")
def unknown_events_are_no(c, d):
    for text in ("AnnotationChange", "MessageNew MessageExpunge Nonsense"):
        code = c.status(f"NOTIFY SET (personal ({text}))")
        assert code[0] == "NO" and code[1].startswith("BADEVENT ("), code
        for event in ("MessageNew", "MessageExpunge", "FlagChange",
                      "MailboxName", "SubscriptionChange",
                      "MailboxMetadataChange", "ServerMetadataChange"):
            assert event in code[1], code


@clause("4")
def idle_is_as_without(c, d):
    box(c, "b1", 1)
    box(c, "b2")
    c.ok("SELECT b1")
    c.ok("NOTIFY SET (selected-delayed (MessageNew (UID) MessageExpunge)) "
         "(mailboxes b2 (MessageNew MessageExpunge))")
    t = c.start("IDLE")
    assert c.line().startswith(b"+ ")
    d.ok("SELECT b1")
    d.ok("STORE 1 +FLAGS (\\Deleted)")      # not asked for
    d.ok("EXPUNGE")
    expect(c, rb"\* 1 EXPUNGE$")
    d.append("b1", MSG)
    expect(c, rb"\* 1 EXISTS$", rb"\* \d RECENT$", rb"\* 1 FETCH \(UID 2\)$")
    d.append("b2", MSG)
    expect(c, rb"\* STATUS b2 \(MESSAGES 1 UIDNEXT 2 ")
    c.send(b"DONE\r\n")
    assert len(c.until(t)) == 1


@clause("5")
def own_doings_are_not_told(c, d):
    c.ok("NOTIFY SET (personal (MailboxName SubscriptionChange MessageNew "
         "MessageExpunge))")
    for own in ("CREATE c1", "SUBSCRIBE c1", "RENAME c1 c2", "UNSUBSCRIBE c1",
                "SUBSCRIBE c2", "CREATE c3/x/y", "RENAME c3 c4/z",
                "DELETE c4/z/x/y", "UNSUBSCRIBE c2", "DELETE c2"):
        c.ok(own)
    got = [x for x in c.ok("NOOP")[:-1]
           if re.search(rb"\bc[12]\b|/y\b|\\NonExistent", x)]
    assert not got, got
    # What somebody else did meanwhile is not lost with it.
    box(c, "c5")
    d.append("c5", MSG)
    got = c.ok("SUBSCRIBE c5")
    while not any(x.startswith(b"* STATUS c5 (MESSAGES 1 ") for x in got):
        got.append(c.line())


@clause("5")
def what_goes_together(c, d):
    for text, want in (("MessageNew", "BAD"), ("MessageExpunge", "BAD"),
                       ("FlagChange", "BAD"), ("FlagChange MessageNew", "BAD"),
                       ("MessageNew MessageExpunge", "OK"),
                       ("FlagChange MessageExpunge MessageNew", "OK"),
                       ("messagenew MESSAGEEXPUNGE", "OK"),
                       ("MailboxName", "OK"), ("", "BAD")):
        assert c.status(f"NOTIFY SET (personal ({text}))")[0] == want, text
    for text in ("NOTIFY SET personal (MailboxName)", "NOTIFY SET ()",
                 "NOTIFY SET (personal)", "NOTIFY NONE x",
                 "NOTIFY SET STATUS", "NOTIFY SET (personal MailboxName)",
                 "NOTIFY SET (mailboxes () (MailboxName))",
                 "NOTIFY SET (subtree (MailboxName))",
                 "NOTIFY SET (personal (MailboxName)) x",
                 "NOTIFY SET (personal (MailboxName))(inboxes NONE)",
                 "NOTIFY SET (subtree-one a (MailboxName))"):
        assert c.status(text)[0] == "BAD", text


@clause("5.1")
def flag_changes_have_uid_and_flags(c, d):
    box(c, "d1", 2)
    c.ok("SELECT d1")
    c.ok("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))")
    d.ok("SELECT d1")
    d.ok("STORE 2 +FLAGS (\\Flagged)")
    expect(c, rb"\* 2 FETCH \(UID 2 FLAGS \(\\Flagged \\Recent\)\)$")
    # In another mailbox, with CONDSTORE: HIGHESTMODSEQ and UIDVALIDITY.
    box(d, "d2", 1)
    c.ok("ENABLE CONDSTORE")
    c.ok("NOTIFY SET (mailboxes d2 (MessageNew MessageExpunge FlagChange))")
    d.ok("SELECT d2")
    d.ok("STORE 1 +FLAGS (\\Flagged)")
    expect(c, rb"\* STATUS d2 \(.*UIDVALIDITY \d+.*HIGHESTMODSEQ \d+")


@clause("5.1")
def another_uidvalidity_is_told(c, d):
    box(c, "d3", 1)
    c.ok("NOTIFY SET (mailboxes d3 (MessageNew MessageExpunge FlagChange))")
    d.ok("DELETE d3")
    box(d, "d3", 1)
    got = []
    while not any(b"UIDVALIDITY" in x for x in got):
        got.append(c.line())


@clause("5.2")
def new_messages_of_others_only(c, d):
    """EXISTS, then FETCH; not for what this client put there itself."""
    box(c, "e1")
    c.ok("SELECT e1")
    c.ok("NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge))")
    d.append("e1", MSG)
    expect(c, rb"\* 1 EXISTS$", rb"\* 1 RECENT$",
           rb"\* 1 FETCH \(UID 1 FLAGS \(\\Recent\)\)$")
    got = c.append("e1", MSG)
    assert b"* 2 EXISTS" in got and not untagged(got, b"FETCH"), got
    for command in ("COPY 1 e1", "UID COPY 2 e1"):
        got = c.ok(command)
        assert untagged(got, b"EXISTS") and not untagged(got, b"FETCH"), got
    d.append("e1", MSG)
    expect(c, rb"\* 5 EXISTS$", rb"\* \d RECENT$", rb"\* 5 FETCH \(UID 5 ")
    # Another mailbox: STATUS, with HIGHESTMODSEQ where that is enabled.
    box(d, "e2")
    c.ok("ENABLE QRESYNC")
    c.ok("NOTIFY SET (mailboxes e2 (MessageNew MessageExpunge))")
    d.append("e2", MSG)
    expect(c, rb"\* STATUS e2 \(MESSAGES 1 UIDNEXT 2 .*HIGHESTMODSEQ \d+")
    d.ok("SELECT e2")
    d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    expect(c, rb"\* STATUS e2 \(MESSAGES 0 UIDNEXT 2 .*HIGHESTMODSEQ \d+")


@clause("5.3")
def vanished_after_enable(c, d):
    box(c, "f1", 2)
    c.ok("ENABLE QRESYNC")
    c.ok("SELECT f1")
    c.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
    d.ok("SELECT f1")
    d.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    expect(c, rb"\* VANISHED 1$")


@clause("5.4")
def the_right_to_see_it_is_a_mailbox_made(c, d):
    b = bob.client()
    box(c, "g1")
    b.ok('NOTIFY SET (subtree "Other Users" (MailboxName))')
    c.ok("SETACL g1 bob lr")
    got = []
    while not any(b"tester/g1" in x for x in got):
        got.append(b.line())
    assert not any(b"\\NonExistent" in x for x in got), got
    c.ok("DELETEACL g1 bob")
    got = []
    while not any(b"tester/g1" in x for x in got):
        got.append(b.line())
    assert b"\\NonExistent" in got[-1] and b"\\NoAccess" in got[-1], got
    b.close()


@clause("5.4")
def inbox_renamed(c, d):
    """No MailboxName event for INBOX; the new one is told of."""
    c.ok("NOTIFY SET (personal (MailboxName))")
    d.ok("RENAME INBOX h1")
    expect(c, rb'\* LIST \(\\HasNoChildren\) "/" h1$')
    quiet(c)
    c.ok("NOTIFY NONE")
    d.ok("DELETE h1")


@clause("6")
def groups_add_up(c, d):
    box(c, "i1")
    c.ok("NOTIFY SET (mailboxes i1 (MessageNew MessageExpunge)) "
         "(personal (SubscriptionChange))")
    d.ok("SUBSCRIBE i1")
    expect(c, rb'\* LIST \(\\HasNoChildren \\Subscribed\) "/" i1$')
    d.append("i1", MSG)
    expect(c, rb"\* STATUS i1 ")


@clause("6.1")
def selected_alone_matches_the_selected(c, d):
    box(c, "j1")
    box(c, "j2")
    c.ok("SELECT j1")
    c.ok("NOTIFY SET (personal (MessageNew MessageExpunge)) "
         "(mailboxes j1 (MessageNew MessageExpunge))")
    d.append("j1", MSG)
    quiet(c)
    d.append("j2", MSG)
    expect(c, rb"\* STATUS j2 ")
    # Now the other one is.
    c.ok("SELECT j2")
    d.append("j2", MSG)
    quiet(c)
    d.append("j1", MSG)
    expect(c, rb"\* STATUS j1 ")
    assert c.status("NOTIFY SET (selected (MessageNew MessageExpunge)) "
                    "(selected NONE)")[0] == "BAD"
    assert c.status("NOTIFY SET (selected (SubscriptionChange))")[0] == "BAD"
    assert c.status("NOTIFY SET (inboxes (MessageNew (UID) "
                    "MessageExpunge))")[0] == "BAD"


@clause("6.4")
def subscriptions_are_looked_at_again(c, d):
    box(c, "k1")
    c.ok("NOTIFY SET (subscribed (MessageNew MessageExpunge))")
    d.append("k1", MSG)
    quiet(c)
    d.ok("SUBSCRIBE k1")
    d.append("k1", MSG)
    got = []
    while not any(re.match(rb"\* STATUS k1 \(MESSAGES 2 ", x) for x in got):
        got.append(c.line())
    d.ok("UNSUBSCRIBE k1")
    d.append("k1", MSG)
    c.ok("NOOP")
    d.append("k1", MSG)
    quiet(c)


@clause("6.5, 6.6")
def subtrees_and_names_without_wildcards(c, d):
    for name in ("l1", "l1/m", "l1/m/n", "l2"):
        box(c, name)
    c.ok('NOTIFY SET (mailboxes ("l*" "l%") (MessageNew MessageExpunge)) '
         "(subtree l1/m (MessageNew MessageExpunge))")
    d.append("l1", MSG)
    d.append("l2", MSG)
    quiet(c)
    d.append("l1/m/n", MSG)
    expect(c, rb"\* STATUS l1/m/n ")
    d.append("l1/m", MSG)
    expect(c, rb"\* STATUS l1/m ")


run_all("RFC 5465")
