#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A Maildir of Courier: after "mansio import" POP3 and IMAP clients find what
they knew: UIDVALIDITY, UIDs, flags, keywords, sizes, texts, unique ids."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from courier import Courier, have_courier  # noqa: E402
from importing import hand_over, imap, mail, run, state, unique_ids  # noqa: E402
from instance import skip  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

USER, PASSWORD = "alice@example.test", PASSWORDS["alice"]
passed = 0


def deliver(maildir, first, last, ids):
    """As Courier's maildrop does: a file in new/, CRLF is not stored."""
    for n in range(first, last):
        path = f"{maildir}/new/17000000{n:02d}.M{n}P7V0I1_0.host,S=1"
        text = mail(n).replace(b"\r\n", b"\n")
        path = path.replace("S=1", f"S={len(text)}")
        with open(path, "wb") as f:
            f.write(text)
        os.chown(path, *ids)


def by_imap(port):
    """Flags, keywords, and some that are gone."""
    with imap(port, "", None) as c:
        assert c.select("INBOX")[0] == "OK"
        for n, flags in ((1, r"\Seen"), (2, r"\Answered \Flagged"),
                         (4, "Work"), (5, r"$Junk Work \Seen"),
                         (7, r"\Deleted"), (9, r"\Deleted")):
            assert c.store(str(n), "+FLAGS", f"({flags})")[0] == "OK"
        c.store("9", "-FLAGS", r"(\Deleted)")
        c.expunge()
        c.store("3", "+FLAGS", "(Later)")
        c.store("4", "+FLAGS", "(Later)")
        c.store("4", "-FLAGS", "(Work)")


def seen_by_imap(port, user, password):
    (count, uidnext, validity), found = state(port, user, password)
    # Courier writes the date of the file; a keyword's case is the client's.
    return (count, uidnext, validity), {
        uid: (flags, text) for uid, (flags, _, _, text) in found.items()}


def case(pop3_first, maildir_here):
    global passed
    with Users(maildir=maildir_here) as m:
        ids = m.vmail.pw_uid, m.vmail.pw_gid
        home = f"{m.base}/courier"
        maildir = f"{home}/Maildir"
        for sub in ("", "/Maildir", "/Maildir/cur", "/Maildir/new",
                    "/Maildir/tmp"):
            os.mkdir(home + sub, 0o700)
            os.chown(home + sub, *ids)
        os.chmod(m.base, 0o755)
        with Courier(home, *ids) as old:
            deliver(maildir, 1, 16, ids)
            if pop3_first:
                unique_ids(old.pop3_port, "", None)
            by_imap(old.imap_port)
            deliver(maildir, 16, 21, ids)
            known = unique_ids(old.pop3_port, "", None)
            theirs = seen_by_imap(old.imap_port, "", None)
            words = {w for flags, _ in theirs[1].values() for w in flags}
            assert {b"later", b"work", b"$junk", b"\\answered"} <= words
            source = hand_over(m, maildir)
            said = run(m, USER, "INBOX", source)
            assert said.stdout == "19 messages, 19 unique ids\n", said
            assert not said.stderr, said.stderr
            ours = seen_by_imap(m.imap_port, USER, PASSWORD)
            assert theirs == ours, [(u, theirs[1].get(u), ours[1].get(u))
                                    for u in set(theirs[1]) | set(ours[1])
                                    if theirs[1].get(u) != ours[1].get(u)] \
                or (theirs[0], ours[0])
            mine = unique_ids(m.pop3_port, USER, PASSWORD)
            assert known == mine, (known.keys(), mine.keys())
            # It goes on for a while, and what came since is fetched.
            deliver(maildir, 21, 24, ids)
            known = unique_ids(old.pop3_port, "", None)
            theirs = seen_by_imap(old.imap_port, "", None)
            source = hand_over(m, maildir)
            said = run(m, USER, "INBOX", source)
            assert said.stdout.startswith("3 messages, 19 were there"), said
            assert seen_by_imap(m.imap_port, USER, PASSWORD) == theirs
            assert unique_ids(m.pop3_port, USER, PASSWORD) == known
    passed += 1


if not have_courier():
    skip("no Courier here (courier-pop, courier-imap; COURIER_ROOT)")
case(False, False)
case(True, False)
case(True, True)
print(f"{passed} passed, 0 failed, 0 skipped")
