#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 180
"""local: aliases, .forward, commands, mailboxes, and who pays for what."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agentlib import *  # noqa: E402,F403

if not ROOT:
    skip("local acts as users: needs root")

ALIASES = """
alice daemon
loop loop2
loop2 loop
self self, daemon
daemon2 "|cat > TOP/pub/out; exit 0"
fails "|echo 5.7.1 go away; exit 77"
temp "|echo come back later; exit 75"
nouser |exit 67
odd |exit 3
killed "|kill -9 $$"
who |id -un; env | sort; cat >/dev/null; exit 67
slow |sleep 100
file TOP/pub/file
null /dev/null
many daemon, daemon, file@example.test, "joe blow"@remote.example
list remote1@remote.example, remote2@remote.example, daemon
owner-list boss@remote.example
inc :include:TOP/etc/members
incbad :include:TOP/etc/writable
inccmd :include:TOP/etc/command
noinc :include:TOP/etc/missing
mixed daemon, "|exit 75"
root2 \\root
deep1 deep2
deep2 daemon
"""


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def main():
    with Agent("local", {
            "alias_maps": "texthash:TOP/etc/aliases",
            "command_time_limit": "2s"}, {"aliases": ALIASES}) as a:
        os.mkdir(a.top + "/pub")
        os.chmod(a.top + "/pub", 0o777)
        a.write("members", "# comment\nx@remote.example\n\ndaemon,\n y@remote.example\n")
        a.write("writable", "x@remote.example\n", 0o666)
        a.write("command", "|exit 0\n")
        c = a.conn
        mbox = f"{a.mail}/daemon"

        # a mailbox, its lines and its owner
        st = c.deliver("daemon@example.test", "Subject: one\n\nFrom me\n")
        assert st.outcome == DELIVERED and st.serial > 0, st
        c.wait_checkpoint(st.serial)
        text = read(mbox)
        assert text.startswith("From sender@example.org  "), text
        assert "\nReturn-Path: <sender@example.org>\n" \
            "X-Original-To: daemon@example.test\n" \
            "Delivered-To: daemon@example.test\nSubject: one\n" in text
        assert text.endswith("\n>From me\n\n"), text
        s = os.stat(mbox)
        assert s.st_uid == a.uid and s.st_mode & 0o777 == 0o600
        # an extension is no other user; upper case no other
        assert c.deliver("Daemon+x@example.test").outcome == DELIVERED
        st = c.deliver("nobodyknows@example.test")
        assert (st.outcome, st.dsn) == (BOUNCED, "5.1.1"), st
        assert 'unknown user: "nobodyknows"' in st.text

        # the same again after a crash: once
        n = read(mbox).count("Subject: twice")
        for _ in range(2):
            st = c.deliver("daemon@example.test",
                           "Received: id 4twicez1\nSubject: twice\n\nx\n",
                           qid="4twicez1", recovered=True)
            assert st.outcome == DELIVERED, st
        assert read(mbox).count("Subject: twice") == n + 1

        # aliases
        assert c.deliver("alice@example.test").outcome == DELIVERED
        st = c.deliver("loop@example.test")
        assert st.outcome == BOUNCED, st
        before = read(mbox).count("\nDelivered-To:")
        st = c.deliver("self@example.test", "Subject: self\n\nx\n")
        assert st.outcome == BOUNCED and st.dsn == "5.1.1", st
        st = c.deliver("deep1@example.test")
        assert st.outcome == DELIVERED, st

        # loop by Delivered-To
        st = c.deliver("daemon@example.test",
                       "delivered-to: daemon@example.test\n\nx\n")
        assert (st.outcome, st.dsn) == (BOUNCED, "5.4.6"), st

        # commands: exit codes, output, privileges, environment, time
        st = c.deliver("daemon2@example.test", "Subject: c\n\nFrom x\n")
        assert st.outcome == DELIVERED and st.serial == 0, st
        out = read(a.top + "/pub/out")
        assert out.startswith("From sender@example.org") and \
            "\nDelivered-To: daemon2@example.test\n" in out and \
            out.endswith("\n\nFrom x\n"), out
        assert os.stat(a.top + "/pub/out").st_uid == \
            pwd.getpwnam("nobody").pw_uid
        for name, outcome, dsn, text in (
                ("fails", BOUNCED, "5.7.1", "go away"),
                ("temp", DEFERRED, "4.3.0", "come back later"),
                ("nouser", BOUNCED, "5.1.1", "user unknown"),
                ("odd", BOUNCED, "5.3.0", "died with status 3"),
                ("killed", DEFERRED, "4.3.0", "died with signal 9"),
                ("slow", BOUNCED, "5.3.0", "time limit exceeded")):
            t = time.time()
            st = c.deliver(name + "@example.test")
            assert (st.outcome, st.dsn) == (outcome, dsn), (name, st)
            assert text in st.text, st
            assert time.time() - t < 15 * SLOW
        st = c.deliver("who@example.test", sender="a;b`c`@example.org")
        assert "nobody" in st.text and "SENDER=a_b_c_@example.org" in \
            st.text and "CLIENT_ADDRESS=192.0.2.1" in st.text, st

        # slow things give the rest of the batch back
        tags = [c.message("Subject: b\n\n", [r + "@example.test"])
                for r in ("slow", "daemon", "daemon")]
        got = {}
        while len(got) < 3:
            st = c.status()
            got[st.tag] = st.outcome
        assert got[tags[0]] == BOUNCED, got
        # (they are gone back unless they came after the turn began)
        assert all(got[t] in (RETURNED, DELIVERED) for t in tags[1:]), got

        # files
        st = c.deliver("file@example.test")
        assert st.outcome == DELIVERED and "delivered to file" in st.text
        assert os.stat(a.top + "/pub/file").st_uid == \
            pwd.getpwnam("nobody").pw_uid
        assert c.deliver("null@example.test").outcome == DELIVERED

        # forwards: one message, duplicates dropped, sender and headers
        before = read(mbox).count("\nDelivered-To:")
        st = c.deliver("many@example.test")
        assert st.outcome == DELIVERED and "forwarded as NEWID1" in st.text
        assert st.action == "expanded", st
        assert read(mbox).count("\nDelivered-To:") == before + 1
        env, text = a.cleanup.got.pop()
        assert [r["addr"] for r in env["rcpts"]] == \
            ["joe blow@remote.example"], env
        assert env[4] == b"sender@example.org"
        assert env[2] == b"trace4abcdefz123"
        assert text.startswith(b"Delivered-To: many@example.test\n"), text

        # a list with an owner
        st = c.deliver("list@example.test")
        assert st.outcome == DELIVERED and st.action == "expanded", st
        env, text = a.cleanup.got.pop()
        assert env[4] == b"owner-list@example.test", env
        assert [r["addr"] for r in env["rcpts"]] == [
            "remote1@remote.example", "remote2@remote.example",
            "daemon@example.test"]
        # a bounce to a list keeps its empty sender
        assert c.deliver("list@example.test", sender="").outcome == DELIVERED
        assert a.cleanup.got.pop()[0].get(4, b"") == b""

        # :include:
        st = c.deliver("inc@example.test")
        assert st.outcome == DELIVERED, st
        env, _ = a.cleanup.got.pop()
        assert [r["addr"] for r in env["rcpts"]] == [
            "x@remote.example", "daemon@example.test", "y@remote.example"]
        st = c.deliver("incbad@example.test")
        assert st.outcome == BOUNCED and "world writable" in st.text, st
        st = c.deliver("inccmd@example.test")
        assert (st.outcome, st.dsn) == (BOUNCED, "5.7.1"), st
        assert c.deliver("noinc@example.test").outcome == DEFERRED

        # half of it fails for now: the mailbox has it once in the end
        for attempt in (1, 2, 3):
            st = c.deliver("mixed@example.test", "Received: id 4mixz\n"
                           "Subject: mixed\n\nx\n", qid="4mixz",
                           attempt=attempt)
            assert st.outcome == DEFERRED, st
        assert read(mbox).count("Subject: mixed") == 1

        # the queue refuses
        a.cleanup.answer = ("4.3.1", 452, "queue is full")
        st = c.deliver("inc@example.test")
        assert st.outcome == DEFERRED and "queue is full" in st.text, st
        a.cleanup.answer = ("5.4.0", 550, "too many hops")
        assert c.deliver("inc@example.test").outcome == BOUNCED
        a.cleanup.answer = ("2.0.0", 250, "")

        # root's own mailbox: root's file, not root's hands
        st = c.deliver("root2@example.test")
        assert st.outcome == (DEFERRED if a.uid else DELIVERED) or \
            os.stat(a.mail + "/root").st_uid == 0, st

        # several recipients of one message
        c.message("Subject: m\n\n", ["daemon@example.test",
                                     "nobodyknows@example.test",
                                     "alice@example.test"])
        assert [c.status().outcome for _ in range(3)] == \
            [DELIVERED, BOUNCED, DELIVERED]

        # somebody else's file is not written to
        os.rename(mbox, mbox + ".old")
        a.write(a.top + "/victim", "secret\n", 0o666)
        os.symlink(a.top + "/victim", mbox)
        st = c.deliver("daemon@example.test")
        assert st.outcome == DEFERRED, st
        assert read(a.top + "/victim") == "secret\n"
        os.unlink(mbox)
        a.write(mbox, "", 0o666)
        st = c.deliver("daemon@example.test")
        assert st.outcome == DEFERRED and "not owned" in st.text, st
        os.unlink(mbox)

        # .forward, with the administrator's idea of where it lies
        fwd = a.top + "/fwd"
        os.mkdir(fwd)
        os.chmod(fwd, 0o755)
        a.restart(forward_path=fwd + "/$user${recipient_delimiter}"
                  "$extension, " + fwd + "/$user")
        c = a.conn
        path = a.write(fwd + "/daemon", "# mine\n\\daemon, x@remote.example\n"
                       '"|cat >/dev/null; id -un; exit 75"\n')
        os.chown(path, a.uid, a.gid)
        st = c.deliver("daemon@example.test")
        assert st.outcome == DEFERRED and "daemon" in st.text, st
        assert read(mbox).count("\nDelivered-To:") == 1
        assert not a.cleanup.got    # nothing is sent while some is deferred
        path = a.write(fwd + "/daemon", "daemon\nx@remote.example\n")
        st = c.deliver("daemon@example.test")
        assert st.outcome == DELIVERED, st
        assert [r["addr"] for r in a.cleanup.got.pop()[0]["rcpts"]] == \
            ["x@remote.example"]
        assert read(mbox).count("\nDelivered-To:") == 2
        path = a.write(fwd + "/daemon+work", "work@remote.example\n")
        os.chown(path, a.uid, a.gid)
        st = c.deliver("daemon+work@example.test")
        assert st.outcome == DELIVERED and st.action == "none", st
        assert a.cleanup.got.pop()[0]["rcpts"][0]["addr"] == \
            "work@remote.example"
        # an extension cannot climb
        assert c.deliver("daemon+/../../etc/passwd@example.test"
                         ).outcome == DELIVERED
        # not one that somebody else could have written
        os.chmod(fwd + "/daemon", 0o666)
        n = len(a.cleanup.got)
        assert c.deliver("daemon@example.test").outcome == DELIVERED
        assert len(a.cleanup.got) == n
        os.chmod(fwd + "/daemon", 0o644)
        os.chown(fwd + "/daemon", 65534, 65534)
        assert c.deliver("daemon@example.test").outcome == DELIVERED
        assert len(a.cleanup.got) == n
        # an empty one means: do not forward
        a.write(fwd + "/daemon", "")
        os.chown(fwd + "/daemon", a.uid, a.gid)
        st = c.deliver("daemon@example.test")
        assert st.outcome == DELIVERED and "mailbox" in st.text, st
        os.unlink(fwd + "/daemon")

        # who is unknown: luser_relay; a name cannot be a command
        a.restart(luser_relay="$user@relay.example")
        st = a.conn.deliver("|touch pwned@example.test")
        assert st.outcome == DELIVERED, st
        assert a.cleanup.got.pop()[0]["rcpts"][0]["addr"] == \
            "|touch pwned@relay.example"

        # mailbox_command, home_mailbox
        a.restart(luser_relay="", mailbox_command="/bin/cat > TOP/pub/mc; "
                  'test "$USER" = daemon -a "$EXTENSION" = e')
        st = a.conn.deliver("daemon+e@example.test")
        assert st.outcome == DELIVERED or "Permission" in st.text, st
        assert os.stat(a.top + "/pub/mc").st_uid == a.uid

        # killed in the middle of anything, it starts again
        a.kill()
        a.start()
    print("1 passed, 0 failed, 0 skipped")


main()
