#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Session processes: whose they are, limits, death, reload, stop, kick."""
import imaplib
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

SANITIZED = "/san-" in os.environ.get("BUILD_DIR", "")
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def until(fn, what):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.02)
    raise TimeoutError(what)


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":", 1) for line in f)


def none_left():
    until(lambda: not m.session_pids(), "session processes")


def who(*args):
    out = m.command("mansio", "who", "--json", *args).stdout
    return [json.loads(line) for line in out.splitlines()]


def one_for_each_user():
    with m.pop3("alice") as a, m.pop3("alice") as b, m.pop3("bob") as c:
        pids = m.session_pids()
        assert len(pids) == 2, pids
        for pid in pids:
            s = status(pid)
            uid, gid = m.vmail.pw_uid, m.vmail.pw_gid
            assert s["Uid"].split() == [str(uid)] * 4, s["Uid"]
            assert s["Gid"].split() == [str(gid)] * 4, s["Gid"]
            assert s["Groups"].split() == [str(gid)], s["Groups"]
            if not SANITIZED:
                assert s["Seccomp"].strip() == "2"
                assert s["NoNewPrivs"].strip() == "1"
                assert int(s["CapEff"], 16) == 0
                assert int(s["CapPrm"], 16) == 0
        rows = who()
        assert sorted(r["user"] for r in rows) == \
            ["alice@example.test"] * 2 + ["bob@example.test"]
        assert {r["pid"] for r in rows} == set(pids)
        assert all(r["service"] == "pop3" and r["client"] == "127.0.0.1"
                   for r in rows)
        assert len(who("bob@example.test")) == 1
        assert who(rows[0]["session"]) == [rows[0]]
        assert who("nobody") == []
        shown = m.command("mansio", "who").stdout
        assert "bob@example.test" in shown and rows[0]["session"] in shown
        for x in (a, b, c):
            x.ok("QUIT")
    none_left()
    assert who() == []


def limit_of_connections():
    many = [m.pop3("alice") for _ in range(4)]
    with m.pop3() as c:
        c.ok("USER alice@example.test")
        c.err("PASS wonderland", "[IN-USE]")
        many.pop().ok("QUIT")
        until(lambda: len(who()) == 3, "three sessions")
        c.ok("USER alice@example.test")
        c.ok("PASS wonderland")
        c.ok("QUIT")
    for x in many:
        x.close()
    none_left()


def a_process_that_dies():
    with m.pop3("alice") as a, m.pop3("bob") as b:
        victim = next(r["pid"] for r in who("alice@example.test"))
        os.kill(victim, signal.SIGKILL)
        assert a.at_end()
        b.ok("NOOP")
        until(lambda: len(who()) == 1, "one session")
        m.wait_log("was killed by signal 9")
        m.wait_log("has ended with 1 connection")
        with m.pop3("alice") as again:
            again.ok("QUIT")
        b.ok("QUIT")
    # Told to stop, it takes its leave.
    with m.pop3("alice") as a:
        os.kill(who()[0]["pid"], signal.SIGTERM)
        assert a.line() == "-ERR [SYS/TEMP] Server shutting down"
        assert a.at_end()
    none_left()


def fronts_come_and_go():
    with m.pop3("alice") as a, m.pop3() as b:
        for pid, name in m.children().items():
            if name == "pop3d":
                os.kill(pid, signal.SIGKILL)
        assert b.at_end()       # had not logged in
        a.ok("NOOP")            # is not the front's any more
        a.ok("QUIT")
    none_left()


def kicked():
    with m.pop3("alice") as a, m.pop3("alice") as b, m.pop3("bob") as c:
        rows = who("alice@example.test")
        out = m.command("mansio", "kick", rows[0]["session"]).stdout
        assert out == "1 session ended\n", out
        until(lambda: len(who("alice@example.test")) == 1, "one of alice")
        m.command("mansio", "kick", "alice@example.test")
        for x in (a, b):
            assert "administrator" in x.line()
            assert x.at_end()
        c.ok("NOOP")
        c.ok("QUIT")
    assert m.command("mansio", "kick", "nobody",
                     check=False).returncode == 1
    none_left()


def reloaded():
    with m.pop3("alice") as a:
        old = set(m.session_pids())
        m.command("mansio", "reload")
        a.ok("NOOP")
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:       # until the monitor has done it
            with m.pop3("alice") as b:
                new = {r["pid"] for r in who()} - old
                b.ok("QUIT")
            if new:
                break
        assert new, "no process with the new settings"
        a.ok("STAT")
        a.ok("QUIT")
    none_left()


def writes_to_the_log(pid):
    """To the file that has its name now."""
    log = os.stat(m.logfile)
    try:
        return any(os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), log)
                   for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:                 # it ends, or closes one
        return False


def log_moved():
    with m.pop3("alice") as a:
        old = os.stat(m.logfile).st_ino
        m.command("mansio", "logrotate")
        until(lambda: os.path.exists(m.logfile) and
              os.stat(m.logfile).st_ino != old, "a new log")
        until(lambda: all(map(writes_to_the_log, m.session_pids())),
              "the session's new log")
        a.ok("QUIT")
    m.wait_log("pop3: logout: user=<alice@example.test>, Logged out")
    none_left()


def hundreds():
    """who and kick with more sessions than are shown in a turn."""
    m.reload("pop3d_user_connection_limit=0",
             "mua_client_connection_count_limit=0")
    alice = [m.pop3("alice") for _ in range(300)]
    bob = [m.pop3("bob") for _ in range(100)]
    rows = who()
    assert len(rows) == 400 == len({r["session"] for r in rows})
    assert len(who("bob@example.test")) == 100
    out = m.command("mansio", "kick", "alice@example.test").stdout
    assert out == "300 sessions ended\n", out
    for a in alice:
        assert "administrator" in a.line()
        a.close()
    for b in bob:
        b.ok("QUIT")
        b.close()
    m.command("postconf", "-X", "pop3d_user_connection_limit",
              "mua_client_connection_count_limit")
    none_left()


def too_many_processes():
    m.reload("session_process_limit=1")
    with m.pop3("alice") as a, m.pop3() as b:
        b.ok("USER bob@example.test")
        b.err("PASS builder", "[SYS/TEMP]")
        a.ok("NOOP")
        a.ok("QUIT")
    none_left()


def alice():
    """A login while one process is the limit: the last one counts until the
    monitor has heard of its end."""
    def attempt():
        try:
            return m.pop3("alice")
        except AssertionError:
            return None
    return until(attempt, "a login")


def logs_in():
    """Whether alice does, while a monitor is being started."""
    try:
        with m.pop3("alice") as c:
            c.ok("QUIT")
            return True
    except (AssertionError, EOFError, OSError):
        time.sleep(0.2)
        return False


def the_monitor_dies():
    """Its sessions say goodbye, and the next monitor starts anew."""
    with alice() as a:
        assert len(who()) == 1      # by now the front knows, too
        os.kill(m.monitor_pid(), signal.SIGKILL)
        assert a.line() == "-ERR [SYS/TEMP] Server shutting down"
        assert a.at_end()
    until(lambda: m.monitor_pid(), "another monitor")
    until(logs_in, "a login after the monitor's death")


def the_monitor_dies_in_a_hand_over():
    """Nobody knows who has the client, so it is told and closed."""
    def attempt():
        with m.pop3() as c:
            c.ok("USER bob@example.test")
            os.kill(m.monitor_pid(), signal.SIGSTOP)
            c.send("PASS builder\r\n")
            time.sleep(0.5)     # authd's answer, and the front's question
            os.kill(m.monitor_pid(), signal.SIGKILL)
            assert c.line() == "-ERR [SYS/TEMP] try again later"
            c.s.settimeout(2)
            try:
                assert c.line() == "-ERR [SYS/TEMP] Server shutting down"
                assert c.at_end()
                return True
            except TimeoutError:    # it died before it was asked
                return False
            finally:
                until(logs_in, "a login after the monitor's death")
    until(attempt, "a client that is told and closed")


def the_nurseries():
    """They die, and are replaced; they go when their last child has gone."""
    with m.pop3("alice") as a:
        old = m.nursery_pids()
        assert len(old) == 2, old
        for pid in old:
            os.kill(pid, signal.SIGTERM)        # none of their business
        a.ok("NOOP")
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(m.nursery_pids()) & set(old), "their death")
        a.ok("STAT")
        assert len(who()) == 1

        def another():
            try:
                with m.pop3("bob") as b:
                    b.ok("QUIT")
                    return True
            except AssertionError:              # just after the start
                time.sleep(0.2)
                return False
        until(another, "a process from another nursery")
        a.ok("QUIT")
    none_left()
    assert who() == []
    # Alice may still have a process that nobody waits for.
    with m.pop3("carol") as a:
        old = m.nursery_pids()
        m.command("mansio", "reload")
        until(lambda: len(set(m.nursery_pids()) - set(old)) == 2, "new ones")
        a.ok("NOOP")
        until(lambda: len(m.nursery_pids()) == 3, "only carol's and the new")
        a.ok("QUIT")
    until(lambda: len(m.nursery_pids()) == 2, "the new ones only")


def another_process_for_imap():
    """One that can decode texts; POP3's sessions need not."""
    with m.pop3("alice") as a:
        pop = who()[0]["pid"]
        with imaplib.IMAP4("127.0.0.1", m.imap_port) as i:
            i.login("alice@example.test", "wonderland")
            both = {r["service"]: r["pid"] for r in who()}
            assert both["pop3"] == pop != both["imap"], both
            i.select()
            assert i.search("ISO-2022-JP", "SUBJECT", '"x"')[0] == "OK"
            with m.pop3("alice") as b:
                assert len({r["pid"] for r in who()}) == 2, who()
                b.ok("QUIT")
        a.ok("QUIT")
    none_left()


def stopped():
    a = alice()
    pids = set(m.session_pids()) | set(m.nursery_pids())
    m.stop()
    assert a.line() == "-ERR [SYS/TEMP] Server shutting down"
    assert a.at_end()
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}") or \
            status(pid)["State"].strip().startswith("Z")
    a.close()


with Users() as m:
    case(one_for_each_user)
    case(limit_of_connections)
    case(a_process_that_dies)
    case(fronts_come_and_go)
    case(kicked)
    case(reloaded)
    case(log_moved)
    case(the_nurseries)
    case(another_process_for_imap)
    case(hundreds)
    case(too_many_processes)
    case(the_monitor_dies)
    case(the_monitor_dies_in_a_hand_over)
    case(stopped)
print(f"{passed} passed, 0 failed, 0 skipped")
