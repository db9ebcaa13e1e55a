#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 120
"""While "mansio import" fills a mailbox: IMAP and POP3 sessions go on, new mail
is taken and comes behind what was imported; an import that is killed has
changed nothing."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from importing import imap, state  # noqa: E402
from mailusers import PASSWORDS, TIMEOUT, Users  # noqa: E402

USER = "alice@example.test"
COUNT = 5000
VALIDITY = 1700000000
passed = 0


def make_source(m):
    """A Maildir as Dovecot leaves it; where it is."""
    path = f"{m.base}/source"
    for sub in ("", "/cur", "/new", "/tmp"):
        os.mkdir(path + sub)
    lines = [f"3 V{VALIDITY} N{COUNT + 1} G{'0123456789abcdef' * 2}\n"]
    for n in range(1, COUNT + 1):
        name = f"17{n:08d}.M{n}P1.host"
        with open(f"{path}/cur/{name}:2,S", "wb") as f:
            f.write(b"Subject: %d\n\n" % n + b"a line of the body\n" * 300)
        lines.append(f"{n} :{name}\n")
    with open(f"{path}/dovecot-uidlist", "w", encoding="ascii") as f:
        f.writelines(lines)
    subprocess.run(["chown", "-R", f"{m.vmail.pw_uid}:{m.vmail.pw_gid}", path],
                   check=True)
    os.chmod(m.base, 0o755)
    return path


def stored(m):
    """Bytes of messages in the account."""
    top = f"{m.mail}/example.test/alice"
    try:
        return sum(os.stat(f"{top}/{x}").st_size for x in os.listdir(top)
                   if x.endswith(".seg"))
    except FileNotFoundError:
        return 0


def stopped_import(m, source):
    """One that has stored some, and holds still."""
    with m.pop3("alice") as c:          # the account is there
        c.ok("QUIT")
    begin = stored(m)
    p = subprocess.Popen([m.program("mansio"), "-c", m.etc, "import", USER,
                          "INBOX", source], stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + TIMEOUT
    while stored(m) < begin + 1000000:
        assert p.poll() is None, "it was quicker than we looked"
        assert time.monotonic() < end, "it stores nothing"
    p.send_signal(signal.SIGSTOP)
    return p


def sees(m, want):
    with m.pop3("alice") as c:
        assert c.ok("STAT").split()[0] == str(want)
        c.ok("QUIT")


def change(m):
    """Delete the first message, flag the second; its unique id."""
    with imap(m.imap_port, USER, PASSWORDS["alice"]) as i:
        i.select()
        assert i.store("1", "+FLAGS", r"\Deleted")[0] == "OK"
        assert i.expunge()[0] == "OK"
        assert i.store("1", "+FLAGS", r"(\Flagged $Work)")[0] == "OK"
    with m.pop3("alice") as c:
        unique = c.ok("UIDL 1").split()[1]
        c.ok("QUIT")
    return unique


def main():
    global passed
    with Users(users=["alice"]) as m:
        source = make_source(m)
        # Killed: it is as if it had not begun, and mail comes in.
        p = stopped_import(m, source)
        sees(m, 0)
        p.kill()
        p.communicate()
        sees(m, 0)
        passed += 1
        # Mail that comes meanwhile is there at once, can be read, flagged and
        # deleted, and is still there afterwards.
        p = stopped_import(m, source)
        sees(m, 0)
        for text in ("gone", "meanwhile"):
            m.send("alice", f"Subject: {text}\n\nx\n")
        m.wait_idle(TIMEOUT)
        sees(m, 2)
        unique = change(m)
        sees(m, 1)
        # Purging can wait; it would take what nobody names yet.
        r = m.command("mansio", "purge", USER, check=False)
        assert r.returncode != 0 and "purged already" in r.stderr, r
        p.send_signal(signal.SIGCONT)
        out = p.communicate()[0]
        assert p.returncode == 0 and out.startswith(f"{COUNT} messages"), out
        m.wait_idle(TIMEOUT)
        sees(m, COUNT + 1)
        head, found = state(m.imap_port, USER, PASSWORDS["alice"])
        assert head == [COUNT + 1, COUNT + 2, VALIDITY], head
        assert list(found) == list(range(1, COUNT + 2))
        assert b"Subject: meanwhile" in found[COUNT + 1][3]
        assert found[COUNT + 1][0] == {b"\\flagged", b"$work"}, found[COUNT +
                                                                      1][0]
        with m.pop3("alice") as c:      # POP3 knows it still
            assert c.ok(f"UIDL {COUNT + 1}").split()[1] == unique
            c.ok("QUIT")
        m.command("mansio", "purge", USER)
        m.command("mansio", "index", "verify", USER)
        assert found[COUNT][3].startswith(b"Subject: %d\r\n" % COUNT)
        passed += 1
        bad = [x for x in m.log().splitlines() if "panic" in x or
               "fatal" in x]
        assert not bad, bad


main()
print(f"{passed} passed, 0 failed, 0 skipped")
