#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""spawn: whose rights a command has and what it gets, limits, its end, and
entries that are wrong."""
import os
import pwd
import signal
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../system"))
from masterlib import (BUILD, OWNER, ROOT, SINGLES, SLOW, Scratch,  # noqa: E402
                       free_ports, wait_for)

if not ROOT:
    print("skip: needs root")
    sys.exit(77)

USER = pwd.getpwnam("nobody")
SCRIPT = """#!/bin/sh
echo "$(id -u) $(id -g) $(id -G)"
echo "$#|$1|$2"
pwd
echo /proc/self/fd/*
grep NoNewPrivs /proc/self/status
env
echo to-stderr >&2
while read line; do
	case $line in
	exit*) exit ${line#exit} ;;
	die) kill -9 $$ ;;
	child) sleep 1000 & echo $! ;;
	stop) trap 'echo asked; exit 0' TERM; echo ready ;;
	*) echo "got $line" ;;
	esac
done
echo bye >>$0.out
"""


class Talk:
    def __init__(self, where):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.s = socket.socket(family)
        self.s.settimeout(30 * SLOW)
        self.s.connect(where if isinstance(where, str)
                       else ("127.0.0.1", where))
        self.f = self.s.makefile("r", encoding="utf-8")

    def line(self):
        return self.f.readline().rstrip("\n")

    def hello(self):
        lines = []
        while not lines or lines[-1] != "to-stderr":
            lines.append(self.line())
            assert lines[-1] or len(lines) < 100, lines
        return lines

    def say(self, text):
        self.s.sendall(f"{text}\n".encode())
        return self

    def ask(self, text):
        return self.say(text).line()

    def ended(self):
        try:
            return self.f.read() == ""
        except ConnectionResetError:
            return True

    def close(self):
        self.f.close()
        self.s.close()


def scratch(services, main=None):
    m = Scratch(SINGLES, main)
    os.symlink(f"{BUILD}/bin/spawn", f"{m.bin}/spawn")
    m.script = f"{m.base}/command"
    with open(m.script, "w", encoding="ascii") as f:
        f.write(SCRIPT)
    os.chmod(m.script, 0o755)
    with open(f"{m.script}.out", "w", encoding="ascii"):
        pass
    os.chmod(f"{m.script}.out", 0o666)
    m.services += services.format(script=m.script)
    m.write()
    return m


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def what_a_command_gets():
    port = free_ports(1)[0]
    with scratch("one unix - n n - 0 spawn user=nobody "
                 "argv={script} {{a b}} $x\n"
                 f"127.0.0.1:{port} inet n n n - - spawn user=nobody:mail "
                 "argv=sh {script} c\n",
                 {"export_environment": "TZ FOO=bar"}) as m:
        m.start()
        t = Talk(f"{m.spool}/private/one")
        got = t.hello()
        assert got[0] == f"{USER.pw_uid} {USER.pw_gid} {USER.pw_gid}", got
        assert got[1] == "2|a b|$x", got
        assert got[2] == m.spool, got
        # The shell has its script at 10, and the folder open that it reads.
        assert set(got[3].split()) <= {f"/proc/self/fd/{n}" for n in
                                       (0, 1, 2, 3, 10)}, got
        # A program that a sanitizer watches is in no sandbox.
        want = "0" if "/san-" in BUILD else "1"
        assert got[4].split() == ["NoNewPrivs:", want], got
        env = {v.split("=")[0] for v in got[5:-1]}
        assert "FOO=bar" in got and \
            "PATH=/usr/bin:/bin:/usr/sbin:/sbin" in got, got
        assert env <= {"FOO", "PATH", "TZ", "PWD", "_", "SHLVL", "OLDPWD"}
        assert t.ask("hello") == "got hello"
        # It hears of the client's end.
        t.close()
        wait_for(lambda: os.path.getsize(f"{m.script}.out") > 0)
        t = Talk(port)
        got = t.hello()
        assert got[0].split()[1] != str(USER.pw_gid), got
        assert got[1] == "1|c|", got
        t.close()


def how_it_ends():
    with scratch("one unix - n n - 0 spawn user=nobody argv={script}\n"
                 "none unix - n n - 0 spawn user=nobody argv=/no/such/thing\n"
                 "gone unix - n n - 0 spawn user=nobody-of-this-name "
                 "argv={script}\n") as m:
        m.start()
        at = f"{m.spool}/private"
        for word, said in (("exit3", "exit status 3"),
                           ("die", "killed by signal 9")):
            t = Talk(f"{at}/one")
            t.hello()
            assert t.say(word).ended()
            m.wait_log(f"command {m.script} {said}")
        t = Talk(f"{at}/one")
        t.hello()
        assert t.say("exit0").ended()
        for name, said in (
                ("none", "cannot run the command: /no/such/thing: No such "
                         "file"),
                ("gone", "user=nobody-of-this-name: no such user")):
            assert Talk(f"{at}/{name}").ended()
            m.wait_log(f"warning: service {name}: {said}")
        assert "exit status 0" not in m.log()
        assert "throttling" not in m.log(), "nothing of ours has failed"


def limits():
    with scratch("slow unix - n n - 2 spawn user=nobody argv={script}\n"
                 "long unix - n n - 2 spawn user=nobody argv={script}\n",
                 {"slow_time_limit": "2s"}) as m:
        m.start()
        t = Talk(f"{m.spool}/private/slow")
        t.hello()
        child = int(t.ask("child"))
        assert t.ended()        # both have the socket
        m.wait_log("command time limit exceeded")
        wait_for(lambda: not alive(child))
        first, second = (Talk(f"{m.spool}/private/long") for _ in range(2))
        first.hello()
        second.hello()
        third = Talk(f"{m.spool}/private/long")
        assert first.ask("x") == "got x" and second.ask("y") == "got y"
        m.wait_log('service "long" (private/long) has reached its process '
                   'limit "2"')
        assert first.say("exit0").ended()
        third.hello()
        assert third.ask("z") == "got z"


def reload_and_stop():
    with scratch("one unix - n n - 0 spawn user=nobody argv={script}\n") as m:
        m.start()
        t = Talk(f"{m.spool}/private/one")
        t.hello()
        m.reload()
        assert t.ask("x") == "got x"
        assert t.ask("stop") == "ready"
        child = Talk(f"{m.spool}/private/one")
        child.hello()
        pid = int(child.ask("child"))
        m.stop()
        assert t.line() == "asked"
        assert t.ended() and child.ended()
        assert not alive(pid)
        assert "by signal" not in m.log()
        assert "exit status" not in m.log()
        # Nobody is left when master alone is killed, either.
        m.start()
        t = Talk(f"{m.spool}/private/one")
        t.hello()
        os.kill(m.pid(), signal.SIGKILL)
        assert t.ended()


def wrong_entries():
    for entry, said in (
            ("", "argv= with the path of a program is missing"),
            ("user=nobody", "argv= with the path"),
            ("user=nobody argv=", "argv= with the path"),
            ("user=nobody argv=bin/x", "argv= with the path"),
            ("argv=/bin/true", "user= is missing"),
            ("user=root argv=/bin/true", "user=root: root is not allowed"),
            ("user=nobody:root argv=/bin/true", "root is not allowed"),
            (f"user={OWNER} argv=/bin/true", "$mail_owner is not allowed"),
            (f"user=nobody:{OWNER} argv=/bin/true", "is not allowed"),
            ("user=nobody:no-such-group argv=/bin/true", "no such group"),
            ("flags=D user=nobody argv=/bin/true",
             'unknown attribute "flags=D"')):
        with scratch(f"bad unix - n n - 0 spawn {entry}\n") as m:
            done = m.mansio("start", check=False)
            assert done.returncode == 1, entry
            assert said in done.stderr and "service bad: " in done.stderr \
                and "master.cf:4: " in done.stderr, (entry, done.stderr)
    with scratch("bad unix-dgram - n n - 0 spawn user=nobody "
                 "argv=/bin/true\n") as m:
        assert "does not read datagrams" in m.mansio(
            "check", check=False).stderr


for case in (what_a_command_gets, how_it_ends, limits, reload_and_stop,
             wrong_entries):
    case()
print("5 passed, 0 failed, 0 skipped")
