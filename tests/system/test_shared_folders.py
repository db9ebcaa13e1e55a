#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Other users' mailboxes: seen, read and changed as far as ACLs say, from
the next login on, and not a word more."""
import imaplib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mailusers import PASSWORDS, Users  # noqa: E402

OTHERS = '"Other Users/alice@example.test'


def login(m, user):
    c = imaplib.IMAP4("127.0.0.1", m.imap_port)
    c.login(f"{user}@example.test", PASSWORDS[user])
    return c


def ok(answer):
    assert answer[0] == "OK", answer
    return [x.decode() if isinstance(x, bytes) else x for x in answer[1]]


def no(answer, word=""):
    assert answer[0] == "NO" and word in str(answer[1]), answer


def names(c, pattern="*"):
    return [x.split(' "/" ')[1] for x in ok(c.list('""', pattern)) if x]


def give(m, acl):
    """alice shares her folder; who logs in next sees it."""
    a = login(m, "alice")
    ok(a.create("Project"))
    ok(a.create("Secret"))
    ok(a.append("Project", None, None, b"Subject: one\r\n\r\nhello\r\n"))
    ok(a.append("Secret", None, None, b"Subject: no\r\n\r\nsecret\r\n"))
    ok(a.setacl("Project", "bob@example.test", acl))
    assert "bob@example.test lrs" in str(a.getacl("Project"))
    return a


def read_only(m):
    a = give(m, "lrs")
    b = login(m, "bob")
    got = names(b)
    assert f'{OTHERS}/Project"' in got, got
    assert not any("Secret" in x or "alice@example.test/INBOX" in x
                   for x in got), got
    typ, data = b.namespace()
    assert data[0] == b'(("" "/")) (("Other Users/" "/")) NIL', data
    assert ok(b.myrights(f'{OTHERS}/Project"'))[0].endswith(" lrs"), \
        b.myrights(f'{OTHERS}/Project"')
    ok(b.select(f'{OTHERS}/Project"'))
    assert b"hello" in b.fetch("1", "(BODY[])")[1][0][1]
    # \Seen is the mailbox's, and only it can be set.
    ok(b.store("1", "+FLAGS", r"(\Seen \Flagged)"))
    assert b"Flagged" not in b.fetch("1", "(FLAGS)")[1][0]
    no(b.copy("1", f'{OTHERS}/Project"'), "NOPERM")
    no(b.append(f'{OTHERS}/Project"', None, None, b"x: y\r\n\r\n"))
    no(b.create(f'{OTHERS}/Mine"'))
    no(b.create('"Other Users/mine"'), "CANNOT")
    no(b.delete(f'{OTHERS}/Project"'))
    no(b.rename(f'{OTHERS}/Project"', '"Stolen"'))
    no(b.status(f'{OTHERS}/Secret"', "(MESSAGES)"), "NONEXISTENT")
    no(b.select(f'{OTHERS}/INBOX"'), "NONEXISTENT")
    no(b.getacl(f'{OTHERS}/Project"'), "NOPERM")
    ok(b.subscribe(f'{OTHERS}/Project"'))
    assert "Project" in str(b.lsub('""', "*"))
    # Copying out is reading.
    ok(b.select(f'{OTHERS}/Project"'))
    ok(b.copy("1", "INBOX"))
    assert ok(b.status("INBOX", "(MESSAGES)"))[0].endswith("1)")
    # What alice does, bob is told.
    ok(a.append("Project", None, None, b"Subject: two\r\n\r\nmore\r\n"))
    end = time.monotonic() + 10
    while int(b.response("EXISTS")[1][-1] or 0) != 2:
        assert time.monotonic() < end
        b.noop()
    a.logout()
    b.logout()


def write_and_take_back(m):
    m.command("mansio", "acl", "set", "alice@example.test", "Project",
              "bob@example.test", "lrswit")
    b = login(m, "bob")
    ok(b.append(f'{OTHERS}/Project"', r"(\Flagged)", None,
                b"Subject: three\r\n\r\nfrom bob\r\n"))
    ok(b.select(f'{OTHERS}/Project"'))
    ok(b.store("1", "+FLAGS", r"(\Deleted $Mine)"))
    b.expunge()
    assert len(b.search(None, "ALL")[1][0].split()) == 3
    a = login(m, "alice")
    ok(a.select("Project"))
    assert b"$Mine" in a.fetch("1", "(FLAGS)")[1][0]
    assert b"three" in a.fetch("3", "(BODY[])")[1][0][1]
    # Taken back: at once, also where it is open.
    ok(a.setacl("Project", "-bob@example.test", "w"))
    ok(b.noop())
    b.store("2", "+FLAGS", r"(\Answered)")
    assert b"Answered" not in a.fetch("2", "(FLAGS)")[1][0]
    ok(a.deleteacl("Project", "-bob@example.test"))
    ok(a.deleteacl("Project", "bob@example.test"))
    b.logout()
    b = login(m, "bob")
    # Only the subscription is left of it.
    assert not any("Project" in x for x in names(b)), names(b)
    assert "Project" in str(b.lsub('""', "*"))
    no(b.select(f'{OTHERS}/Project"'))
    a.logout()
    b.logout()


def raw(c, text):
    """All untagged lines of an answer that is OK."""
    tag = c._new_tag()
    c.send(tag + b" " + text.encode() + b"\r\n")
    lines = []
    while True:
        line = c.readline().rstrip(b"\r\n")
        if line.startswith(tag):
            assert line.startswith(tag + b" OK"), (text, line)
            return lines
        lines.append(line.decode())


def searched_together(m):
    """ESEARCH (RFC 7377) finds in shared mailboxes, too, where they may be
    read; NOTIFY and CONTEXT see them as well."""
    a = login(m, "alice")
    ok(a.setacl("Project", "bob@example.test", "lrs"))
    b = login(m, "bob")
    box = f'{OTHERS}/Project"'

    def found(where, key, ret="RETURN (COUNT) "):
        out = {}
        for line in raw(b, f"ESEARCH IN {where} {ret}{key}"):
            if not line.startswith("* ESEARCH (TAG "):
                continue
            name = line.split("MAILBOX ")[1].split(" UIDVALIDITY")[0]
            out[name.strip('"')] = line.split(") ", 1)[1]
        return out

    shared = f'{OTHERS}/Project'.strip('"')
    got = found(f"(mailboxes ({box} INBOX))", "SUBJECT o")
    assert got.get(shared, "").startswith("UID COUNT "), got
    assert found('(subtree "Other Users")', "ALL").keys() == {shared}
    # personal is personal (RFC 5465 6.2).
    assert shared not in found("(personal)", "ALL")
    ok(b.subscribe(box))
    assert shared in found("(subscribed)", "ALL", "")
    # Not a word of what may not be read.
    secret = f'{OTHERS}/Secret"'
    assert found(f"(mailboxes ({secret} {box}))", "ALL").keys() == {shared}
    # With it selected, and results that are kept up to date there.
    ok(b.select(box))
    assert shared in found("(selected mailboxes INBOX)", "ALL")
    n = len(b.search(None, "ALL")[1][0].split())
    raw(b, "ESEARCH IN (selected) RETURN (UPDATE COUNT) SUBJECT fresh")
    raw(b, "SORT RETURN (UPDATE) (SUBJECT) UTF-8 ALL")
    ok(a.append("Project", None, None, b"Subject: fresh\r\n\r\nx\r\n"))
    end = time.monotonic() + 10
    while True:
        lines = raw(b, "NOOP")
        if any(f" {n + 1} EXISTS" in x for x in lines):
            break
        assert time.monotonic() < end
    assert sum(" ADDTO (" in x for x in lines) == 2, lines
    assert any(f'MAILBOX "{shared}" UIDVALIDITY' in x for x in lines), lines
    # Taken away: it is searched no more.
    b.unselect()
    ok(a.deleteacl("Project", "bob@example.test"))
    b.logout()
    b = login(m, "bob")
    assert found(f"(mailboxes {box} subscribed)", "ALL", "").keys() \
        .isdisjoint({shared})
    a.logout()
    b.logout()


def groups_and_carol(m):
    a = login(m, "alice")
    ok(a.setacl("Project", "$staff", "lr"))
    ok(a.setacl("Project", "anyone", "lrswit"))
    c = login(m, "carol")
    assert not any("Project" in x for x in names(c)), names(c)
    c.logout()
    b = login(m, "bob")
    assert f'{OTHERS}/Project"' in names(b)
    ok(b.select(f'{OTHERS}/Project"', readonly=True))
    b.logout()
    a.logout()


def main():
    for maildir in (False, True):
        m = Users(maildir=maildir, settings={
            "acl_groups_maps": "texthash:{base}/etc/groups"})
        with open(f"{m.etc}/groups", "w", encoding="ascii") as f:
            f.write("bob@example.test staff\n")
        with m:
            for case in (read_only, write_and_take_back, searched_together,
                         groups_and_carol):
                case(m)
                print(f"ok {case.__name__}", flush=True)


if __name__ == "__main__":
    main()
