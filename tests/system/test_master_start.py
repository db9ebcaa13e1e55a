#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""master: start, stop, second instance, foreground, systemd, kill -9."""
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from masterlib import (BUILD, ROOT, SINGLES, SLOW, Client, Scratch, alive,
                       free_ports, run, wait_for)


def start_and_stop():
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n") as m:
        begin = time.monotonic()
        m.start()
        with m.client(port) as c:
            banner = time.monotonic() - begin
            print(f"start to first banner: {banner * 1000:.0f} ms")
            assert banner < 0.3 * SLOW or os.getloadavg()[0] > 2, banner
            assert c.hello == "hello 0"
            # While it runs, another is refused and changes nothing.
            again = m.mansio("start", check=False)
            assert again.returncode == 1
            assert "already running" in again.stderr, again.stderr
            direct = subprocess.run([f"{BUILD}/bin/master", "-w", "-c",
                                     m.etc], capture_output=True, text=True,
                                    check=False, timeout=60)
            assert direct.returncode == 1
            assert "already running" in direct.stderr, direct.stderr
            pids = m.pids() | {m.pid()}
            assert len(pids) == 5
            assert c.ask("pid") in map(str, pids)
            m.stop()
            # The client was told, not cut off.
            assert c.line() == "bye"
        assert not any(alive(p) for p in pids)
        assert m.mansio("status", check=False).returncode == 1
        assert m.mansio("stop", check=False).returncode == 1
        for folder in ("private", "public"):
            assert os.listdir(f"{m.spool}/{folder}") == [], folder
        m.start()
        with m.client(port) as c:
            assert c.ask("service") == f"127.0.0.1:{port}"
        # Listener indexes are as the plan says: cleanup, then feed.
        with m.client("private/cleanup") as c, m.client("private/feed") as f:
            assert (c.hello, f.hello) == ("hello 0", "hello 1")


def busy_client_may_finish():
    with Scratch(SINGLES + "work unix - - - - - workw\n") as m:
        m.start()
        with m.client("private/work") as c:
            c.send("sleep 700")
            time.sleep(0.1)
            m.stop()
            assert c.line() == "slept"


def slow_client_is_killed():
    with Scratch("work unix - - - - - workw\n",
                 main={"stop_time_limit": "1s"}) as m:
        m.start()
        with m.client("private/work") as c:
            pid = int(c.ask("pid"))
            c.send("sleep 30000")
            begin = time.monotonic()
            m.stop()
            assert time.monotonic() - begin < 5 * SLOW
        assert not alive(pid)


def address_in_use():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with Scratch(f"127.0.0.1:{port} inet n - - - - smtpd\n") as m:
            done = m.mansio("start", check=False)
            assert done.returncode == 1
            assert "Address already in use" in done.stderr, done.stderr
            assert f"{m.etc}/master.cf:1:" in done.stderr, done.stderr


def foreground_and_systemd():
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n",
                 main={"maillog_file": "/dev/stdout",
                       "maillog_file_prefixes": "/dev/stdout"}) as m, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = f"{m.base}/notify"
        notify.bind(path)
        notify.settimeout(10 * SLOW)
        out = open(f"{m.base}/stdout", "w", encoding="utf-8")
        p = m.start_fg(env=dict(os.environ, NOTIFY_SOCKET=path),
                       stdout=out)
        assert notify.recv(1000) == b"READY=1"
        with m.client(port) as c:
            assert c.ask("env NOTIFY_SOCKET") == "unset"
        m.reload()
        said = notify.recv(1000)
        assert said.startswith(b"RELOADING=1\nMONOTONIC_USEC="), said
        assert notify.recv(1000) == b"READY=1"
        p.send_signal(signal.SIGTERM)
        assert notify.recv(1000) == b"STOPPING=1"
        assert p.wait(20 * SLOW) == 0
        out.close()
        with open(f"{m.base}/stdout", encoding="utf-8") as f:
            text = f.read()
        assert "dummy: started" in text and "daemon started" in text, text
        # In the background there is no standard output.
        done = m.mansio("start", check=False)
        assert done.returncode == 1 and "start-fg" in done.stderr


def master_is_killed():
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n") as m:
        m.start()
        with m.client(port) as c:
            c.ask("pid")
            pids = m.pids()
            # cleanup has something to finish first.
            with m.client("private/cleanup") as busy:
                busy.send("sleep 600")
                time.sleep(0.05)
                master = m.pid()
                os.kill(master, signal.SIGKILL)
                wait_for(lambda: not alive(master))
                m.start()
            assert c.line() == "bye"
        wait_for(lambda: not any(alive(p) for p in pids))
        with Client(port) as c:
            assert int(c.ask("pid")) not in pids
        assert "master is gone" in m.log()


def a_wrong_configuration_does_not_start():
    with Scratch("nosuch unix - - - - - nosuch\n"
                 "cleanup unix n - - - 0 cleanup\n"
                 "again unix n - - - 0 cleanup\n"
                 "25x inet n - - - - smtpd\n"
                 "a/b unix n - - - - event\n",
                 main={"max_idle": "soon", "mail_owner": "nobody-here",
                       "maillog_file": "/nowhere/log"}) as m:
        done = m.mansio("start", check=False)
        assert done.returncode == 1
        for part in ('max_idle: "soon"', "nobody-here" if ROOT else "25x",
                     "/nowhere/log",
                     "master.cf:1:", "master.cf:3:", "master.cf:4:",
                     "master.cf:5:"):
            assert part in done.stderr, (part, done.stderr)
        assert not os.path.exists(m.spool)
        done = m.mansio("check", check=False)
        assert done.returncode == 1 and "master.cf:5:" in done.stderr
    with Scratch("scache unix - - y - 1 scache\n"
                 "tlsmgr unix - - y 1000? 1 tlsmgr\n" + SINGLES) as m:
        m.start()       # as a stock master.cf has them
        assert "(tlsmgr) is passed over" in m.log()
        assert "(scache) is passed over" in m.log()


if __name__ == "__main__":
    run([start_and_stop, busy_client_may_finish, slow_client_is_killed,
         address_in_use, foreground_and_systemd, master_is_killed,
         a_wrong_configuration_does_not_start])
