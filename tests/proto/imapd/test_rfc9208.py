#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 9208 (QUOTA), clause by clause.

SETQUOTA, and refusal at RCPT by user and domain: system/test_quota.py."""
import re

from clauses import clause, engine_of, run_all, untagged

MSG = b"Subject: x\r\n\r\n" + b"line\r\n" * 100     # 614 bytes
# On the same account, which has five mailboxes from the beginning.
q = engine_of(None, "quota_message_limit=6", "quota_storage_limit=20k",
              "quota_mailbox_limit=8")
guest = engine_of("guest")


def usage(c):
    got = untagged(c.ok('GETQUOTA ""'), b"QUOTA")
    assert len(got) == 1, got
    words = re.match(rb'\* QUOTA "" \((.*)\)$', got[0]).group(1).split()
    return {n.decode(): (int(u), int(limit))
            for n, u, limit in zip(words[::3], words[1::3], words[2::3])}


def emptied(c, *names):
    for name in names:
        c.ok(f"DELETE {name}")


@clause("1, 3.1.1, 5")
def capabilities(c, d):
    """All that is limited is announced; QUOTASET only where it works."""
    words = c.ok("CAPABILITY")[0].decode().split()
    for word in ("QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE",
                 "QUOTA=RES-MAILBOX"):
        assert word in words, word
    assert "QUOTASET" not in words and "QUOTA=RES-ANNOTATION-STORAGE" not in \
        words
    x = q.client()
    assert {"QUOTA=RES-" + n for n in usage(x)} <= set(words)
    x.close()


@clause("4.1.1")
def getquota(c, d):
    x = q.client()
    got = usage(x)
    assert got["STORAGE"] == (0, 20) and got["MESSAGE"] == (0, 6) and \
        got["MAILBOX"][1] == 8, got
    for good in ("GETQUOTA {0+}\r\n", "getquota \"\""):
        assert untagged(x.ok(good), b"QUOTA"), good
    assert x.status('GETQUOTA "user"')[0] == "NO"
    for bad in ("GETQUOTA", 'GETQUOTA "" x', "GETQUOTA ()"):
        assert x.status(bad)[0] == "BAD", bad
    # What has no limit is not named.
    assert usage(c) == {}
    x.close()


@clause("4.1.2")
def getquotaroot(c, d):
    x = q.client()
    for name in ("INBOX", "inbox", "Sent", "not/there/yet", '"new one"'):
        got = x.ok(f"GETQUOTAROOT {name}")
        assert re.match(rb'\* QUOTAROOT \S.* ""$', got[0]) and \
            got[1].startswith(b'* QUOTA "" ('), got
    for bad in ("GETQUOTAROOT", "GETQUOTAROOT a b", "GETQUOTAROOT (a)"):
        assert x.status(bad)[0] == "BAD", bad
    # Of another's mail not even how much it is (6).
    g = guest.client()
    c.ok("CREATE shared")
    c.ok("SETACL shared guest lr")
    for name in ("shared", "hidden"):
        got = g.ok(f'GETQUOTAROOT "Other Users/tester/{name}"')
        assert got[:-1] == [b'* QUOTAROOT "Other Users/tester/%s"' %
                            name.encode()], got
    emptied(c, "shared")
    g.close()
    x.close()


@clause("4.1.3")
def setquota_is_the_administrators(c, d):
    for text, want in (('SETQUOTA "" (STORAGE 512)', "NO"),
                       ('SETQUOTA "" ()', "NO"),
                       ('SETQUOTA "" (STORAGE 0)', "NO"),
                       ('SETQUOTA "" (NONSENSE 1)', "NO"),
                       ('SETQUOTA ""', "BAD"), ("SETQUOTA", "BAD"),
                       ('SETQUOTA "" STORAGE 1', "BAD"),
                       ('SETQUOTA "" (STORAGE)', "BAD"),
                       ('SETQUOTA "" (STORAGE -1)', "BAD"),
                       ('SETQUOTA "" (STORAGE x)', "BAD"),
                       ('SETQUOTA "" (STORAGE 1 MESSAGE)', "BAD"),
                       ('SETQUOTA "" (STORAGE 9223372036854775808)', "BAD"),
                       ('SETQUOTA "" (STORAGE 1)x', "BAD")):
        assert c.status(text)[0] == want, text


@clause("4.1.4")
def deleted_and_its_storage(c, d):
    c.ok("CREATE f1")
    for flags in ("(\\Deleted)", "", "(\\Deleted \\Seen)"):
        c.append("f1", MSG, flags)
    got = c.ok("STATUS f1 (MESSAGES DELETED DELETED-STORAGE)")[0]
    assert got == b"* STATUS f1 (MESSAGES 3 DELETED 2 DELETED-STORAGE %d)" % (
        2 * len(MSG)), got
    emptied(c, "f1")


@clause("4.3.1, 5.2")
def messages(c, d):
    """OVERQUOTA from APPEND, COPY and MOVE; nothing of it is done."""
    x = q.client()
    x.ok("CREATE g1")
    x.ok("APPEND g1" + " {4+}\r\nA: b" * 4)
    assert usage(x)["MESSAGE"] == (4, 6)
    assert x.status("APPEND g1" + " {4+}\r\nA: b" * 3) == ("NO", "OVERQUOTA")
    x.ok("SELECT g1")
    for command in ("COPY 1:3 INBOX", "UID COPY 1:3 g1"):
        assert x.status(command) == ("NO", "OVERQUOTA"), command
    assert usage(x)["MESSAGE"] == (4, 6)
    x.ok("COPY 1:2 g1")
    assert x.status("COPY 1 g1") == ("NO", "OVERQUOTA")
    assert x.status("APPEND INBOX {4+}\r\nA: b") == ("NO", "OVERQUOTA")
    # What only goes elsewhere takes no more room.
    x.ok("MOVE 1:2 INBOX")
    assert usage(x)["MESSAGE"] == (6, 6)
    x.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    x.ok("EXPUNGE")
    assert usage(x)["MESSAGE"] == (2, 6)
    x.ok("SELECT INBOX")
    x.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    x.ok("CLOSE")
    emptied(x, "g1")
    assert usage(x)["MESSAGE"] == (0, 6)
    x.close()


@clause("4.3.1, 5.1")
def storage(c, d):
    x = q.client()
    x.ok("CREATE h1")
    big = b"Subject: x\r\n\r\n" + b"0123456789abcd\r\n" * 600     # 9.4 KiB
    for n in (1, 2):
        x.append("h1", big)
        used, limit = usage(x)["STORAGE"]
        # In units of 1024 octets, rounded up.
        assert (used, limit) == ((n * len(big) + 1023) // 1024, 20)
    assert x.status(b"APPEND h1 {%d+}\r\n%s" % (len(big), big)) == \
        ("NO", "OVERQUOTA")
    # One that cannot fit is refused before it is sent.
    assert x.status("APPEND h1 {900000}") == ("NO", "OVERQUOTA")
    x.ok("SELECT h1")
    assert x.status("COPY 1 INBOX") == ("NO", "OVERQUOTA")
    x.ok("MOVE 1 INBOX")
    x.ok("SELECT INBOX")
    x.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    x.ok("EXPUNGE")
    x.append("h1", big)
    emptied(x, "h1")
    assert usage(x)["STORAGE"] == (0, 20)
    x.close()


@clause("5.3")
def mailboxes(c, d):
    x = q.client()
    have = usage(x)["MAILBOX"][0]
    n = len([y for y in x.ok('LIST "" *') if y.startswith(b"* LIST")])
    assert have == n, (have, n)
    made = []
    while len(made) + have < 8:
        x.ok(f"CREATE k{len(made)}")
        made.append(f"k{len(made)}")
    assert usage(x)["MAILBOX"] == (8, 8)
    assert x.status("CREATE onemore") == ("NO", "OVERQUOTA")
    assert x.status("STATUS onemore (MESSAGES)")[0] == "NO"
    x.ok(f"RENAME {made[0]} renamed")
    emptied(x, "renamed", *made[1:])
    assert usage(x)["MAILBOX"] == (have, 8)
    x.close()


run_all("RFC 9208")
