#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 400
"""Mailboxes of Dovecot, by way of its Maildir and mbox: after "mansio import"
POP3 and IMAP clients find what they knew: UIDVALIDITY, UIDs, UIDNEXT, flags,
keywords, dates, sizes, texts and unique ids."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dovecot import PASSWORD, Dovecot, have_dovecot  # noqa: E402
from importing import hand_over, imap, mail, run, state, unique_ids  # noqa: E402
from instance import skip  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

passed = 0


def fill(dove, user, start=1):
    """Messages, some of them gone again, with all kinds of flags."""
    with imap(dove.imap_port, user, PASSWORD) as c:
        for n in range(start, start + 24):
            flags = [r"\Seen", r"\Answered", r"\Flagged \Draft", "$Forwarded",
                     r"Work \Seen", "", r"Work $Junk Zebra"][n % 7]
            date = f'"{n % 28 + 1:02d}-Feb-2024 10:{n % 60:02d}:00 +0100"'
            assert c.append("INBOX", f"({flags})", date, mail(n))[0] == "OK"
        c.select("INBOX")
        for n in (2, 9, 24):
            c.store(str(n), "+FLAGS", r"(\Deleted)")
        c.expunge()
        c.store("3", "+FLAGS", r"(\Deleted)")
        c.unselect()


def same(dove, m, name):
    user = f"{name}@example.test"
    theirs = state(dove.imap_port, name, PASSWORD)
    ours = state(m.imap_port, user, PASSWORDS[name])
    assert theirs[0] == ours[0], (theirs[0], ours[0])
    assert list(theirs[1]) == list(ours[1])
    for uid, want in theirs[1].items():
        assert want == ours[1][uid], (uid, want, ours[1][uid])
    return theirs


def from_dovecot(kind, uidl, maildir, option=None):
    """All of a mailbox, as Dovecot's clients knew it."""
    location = "maildir:{base}/mail/%n" if kind == "maildir" else \
        "mbox:{base}/mail/%n-folders:INBOX={base}/mail/%n"
    settings = f"pop3_uidl_format = {uidl[0]}\n{uidl[1]}\n" \
        "mbox_lazy_writes = no\nmbox_dirty_syncs = no\n"
    with Users(maildir=maildir) as m, \
            Dovecot(location, settings=settings) as dove:
        fill(dove, "alice")
        known = unique_ids(dove.pop3_port, "alice", PASSWORD)
        path = f"{dove.base}/mail/alice"
        source = hand_over(m, path)
        opt = ["-u", option] if option else []
        said = run(m, *opt, "alice@example.test", "INBOX", source)
        assert said.stdout == "21 messages, 21 unique ids\n", said
        theirs = same(dove, m, "alice")
        ours = unique_ids(m.pop3_port, "alice@example.test", PASSWORDS["alice"])
        assert list(known) == list(ours), (known.keys(), ours.keys())
        assert known == ours
        # Again: nothing is doubled, nothing changes.
        said = run(m, *opt, "alice@example.test", "INBOX", source)
        assert said.stdout == "0 messages, 21 were there already\n", said
        same(dove, m, "alice")
        # The old server goes on for a while; what came since is fetched.
        with imap(dove.imap_port, "alice", PASSWORD) as c:
            for n in (50, 51):
                c.append("INBOX", "(Work)", None, mail(n))
        known = unique_ids(dove.pop3_port, "alice", PASSWORD)
        source = hand_over(m, path)
        said = run(m, *opt, "alice@example.test", "INBOX", source)
        assert said.stdout.startswith("2 messages, 21 were there already"), \
            said
        same(dove, m, "alice")
        # New mail has greater UIDs than any there was, and an id of its own;
        # those of before stay, also with other indexes.
        m.send("alice", "Subject: new\n\nx\n")
        m.wait_idle()
        m.command("mansio", "index", "rebuild", "alice@example.test")
        after = state(m.imap_port, "alice@example.test", PASSWORDS["alice"])
        assert min(set(after[1]) - set(theirs[1]) - {25, 26}) >= 27, after[0]
        ours = unique_ids(m.pop3_port, "alice@example.test", PASSWORDS["alice"])
        assert list(known) == list(ours)[:-1] and len(ours) == 24
        # Into a mailbox that has others: refused, or with new UIDs, and even
        # so POP3 clients do not fetch it again.
        m.send("bob", "Subject: was here\n\nx\n")
        m.wait_idle()
        r = run(m, "bob@example.test", "INBOX", source, check=False)
        assert r.returncode == 1 and "nothing was imported" in r.stderr and \
            "with -n " in r.stderr, r
        # Two mailboxes of the same second may have the same UIDVALIDITY.
        assert "another UIDVALIDITY" in r.stderr or \
            "is another message" in r.stderr, r
        said = run(m, "-n", *opt, "bob@example.test", "INBOX", source)
        assert said.stdout == "23 messages, 23 unique ids\n", said
        said = run(m, "-n", *opt, "bob@example.test", "INBOX", source)
        assert said.stdout == "0 messages, 23 were there already\n", said
        ours = unique_ids(m.pop3_port, "bob@example.test", PASSWORDS["bob"])
        assert list(known) == list(ours)[1:]


def case(fn, *args):
    global passed
    fn(*args)
    passed += 1


if not have_dovecot("imap", "pop3"):
    skip("no dovecot here")
DEFAULT = ("%08Xu%08Xv", "")
for fmt, opt in ((DEFAULT, None), (("%f", ""), "%f"), (("%g", ""), "%g"),
                 (("%v.%u", ""), "cyrus"),
                 (("%u-%v", "pop3_save_uidl = yes"), None)):
    case(from_dovecot, "maildir", fmt, False, opt)
case(from_dovecot, "maildir", DEFAULT, True)
case(from_dovecot, "mbox", DEFAULT, False)
case(from_dovecot, "mbox", DEFAULT, True)
print(f"{passed} passed, 0 failed, 0 skipped")
