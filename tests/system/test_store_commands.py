#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The administrator's commands on users' mail: mailbox, quota, acl, index,
search, undelete, purge, import, export."""
import glob
import mailbox
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance

USER = "alice@example.test"


def out(m, *args, check=True):
    return m.command("mansio", *args, check=check)


def main():
    with Instance(maildir=False,
                  settings={"quota_storage_limit": "1000000",
                            "mailbox_quota_check_at_rcpt": "no"}) as m:
        for i in range(5):
            m.send("alice", f"Subject: number {i}\n\nThe body of {i}.\n")
        m.wait_idle()

        text = out(m, "mailbox", "list", USER).stdout
        assert "INBOX (subscribed)" in text, text
        assert "Sent (subscribed) \\Sent" in text, text
        inbox = [x for x in text.splitlines() if "INBOX" in x][0].split()
        assert inbox[:2] == ["5", "5"], inbox

        out(m, "mailbox", "create", USER, "Lists/Ünïcode")
        out(m, "mailbox", "rename", USER, "Lists", "L")
        assert "L/Ünïcode" in out(m, "mailbox", "list", USER).stdout
        out(m, "mailbox", "delete", USER, "L/Ünïcode")
        r = out(m, "mailbox", "delete", USER, "L/Ünïcode", check=False)
        assert r.returncode == 1 and "no mailbox" in r.stderr, r

        text = out(m, "quota", USER).stdout
        assert "messages                  5        unlimited" in text, text
        assert "1000000" in text, text

        out(m, "acl", "set", USER, "INBOX", "bob@example.test", "lrs")
        out(m, "acl", "set", USER, "INBOX", "bob@example.test", "+i")
        text = out(m, "acl", "get", USER, "INBOX").stdout
        assert "lrsi             bob@example.test" in text, text

        text = out(m, "search", USER, "BODY OF 3").stdout
        assert len(text.splitlines()) == 1 and "INBOX\t" in text, text

        # To mbox and back, and to a Maildir and back.
        mbox = f"{m.base}/out.mbox"
        out(m, "export", USER, "INBOX", mbox)
        box = mailbox.mbox(mbox)
        assert len(box) == 5 and box[3]["subject"] == "number 3"
        box.close()
        out(m, "import", USER, "from-mbox", mbox)
        d = f"{m.base}/out.maildir"
        os.mkdir(d)
        os.chown(d, m.vmail.pw_uid, m.vmail.pw_gid)
        out(m, "export", USER, "from-mbox", d)
        assert len(mailbox.Maildir(d)) == 5
        assert out(m, "import", USER, "from-dir", d).stdout == \
            "5 messages, 5 unique ids\n"
        assert len(out(m, "search", USER, "the body of 4").stdout
                   .splitlines()) == 3

        # An index that is damaged is made anew; a message is reported.
        out(m, "index", "rebuild", USER)
        text = out(m, "index", "verify", USER).stdout
        assert "INBOX: 5 messages, 0 damaged, 0 differences" in text, text
        path = f"{m.mail}/example.test/alice"
        with open(f"{path}/00000001.idx", "r+b") as f:
            f.seek(4200)
            f.write(b"damage")
        r = out(m, "index", "verify", USER, "INBOX")
        assert "5 messages, 0 damaged, 0 differences" in r.stdout, r
        assert "reading the journal instead" in r.stderr, r
        for seg in sorted(glob.glob(f"{path}/*.seg")):
            with open(seg, "r+b") as f:
                data = f.read()
                at = data.find(b"body of 2")
                if at >= 0 and b"Return-Path" in data:
                    f.seek(at)
                    f.write(b"BODY")
                    break
        r = out(m, "index", "verify", USER, "INBOX", check=False)
        assert r.returncode == 1 and "1 damaged" in r.stdout, r

        # Deleted, and had back.
        out(m, "mailbox", "delete", USER, "from-dir")
        out(m, "undelete", USER, "from-dir", "mailbox")
        assert "from-dir" in out(m, "mailbox", "list", USER).stdout
        assert out(m, "undelete", USER, "INBOX").stdout == ""
        assert "0 segments" in out(m, "purge", USER).stdout

        # To a folder by its address, until that is deleted.
        out(m, "mailbox", "create", USER, "Lists")
        m.send("alice+lists", "Subject: to the list\n\nx\n")
        m.wait_idle()
        text = out(m, "mailbox", "list", USER).stdout
        assert any(x.split()[:2] + x.split()[3:] == ["1", "1", "Lists"]
                   for x in text.splitlines()), text
        out(m, "mailbox", "delete", USER, "Lists")
        m.send("alice+lists", "Subject: to the inbox\n\nx\n")
        m.wait_idle()
        assert "INBOX: 6 messages, 1 damaged" in out(
            m, "index", "verify", USER, "INBOX", check=False).stdout

        # Mail goes on arriving, and what it brings is seen.
        def changes(*args):
            *lines, last = out(m, "mailbox", "changes", USER,
                               *args).stdout.splitlines()
            assert last.startswith("state\t"), last
            return lines, last.split("\t")[1]
        lines, state = changes()
        assert any(x.startswith("from-dir\t") for x in lines), lines
        assert changes(state) == ([], state)
        m.send("alice", "Subject: six\n\nx\n")
        m.wait_idle()
        assert changes(state)[0] == ["INBOX\t1 new, 0 changed, 0 gone"]
        assert "not known" in changes("1-1")[0][-1]
        for bad in "x", "1-", "-1", "1-x":
            assert out(m, "mailbox", "changes", USER, bad,
                       check=False).returncode == 1
        assert "INBOX: 7 messages, 1 damaged" in out(
            m, "index", "verify", USER, "INBOX", check=False).stdout
        # Until it is full.
        for _ in range(2):
            m.send("alice", "Subject: large\n\n" +
                   15000 * (50 * "x" + "\n"))
        m.wait_log("dsn=4.2.2")
        end = time.monotonic() + 20
        while not any("full" in r.get("delay_reason", "")
                      for q in m.queue() for r in q["recipients"]):
            assert time.monotonic() < end, m.queue()
            time.sleep(0.1)
        r = out(m, "mailbox", "list", "nobody@example.test", check=False)
        assert r.returncode != 0


if __name__ == "__main__":
    main()
