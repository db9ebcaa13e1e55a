#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""master: reload under load, changes of services and addresses, bad
configurations, log rotation."""
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from masterlib import (BUILD, SINGLES, SLOW, Scratch, alive,  # noqa: E402
                       free_ports, run, wait_for)


class Load:
    """Clients that come all the time; any failure is remembered."""

    def __init__(self, m, *places):
        self.failures, self.served = [], 0
        self.stop = False
        self.threads = [threading.Thread(target=self.work, args=(m, p))
                        for p in places for _ in range(2)]
        for t in self.threads:
            t.start()

    def work(self, m, place):
        while not self.stop:
            try:
                with m.client(place) as c:
                    c.ask("pid")
                self.served += 1
            except Exception as e:          # pylint: disable=broad-except
                self.failures.append((place, repr(e)))
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop = True
        for t in self.threads:
            t.join()


def no_client_is_lost():
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n"
                 "work unix - - - - - workw\n"
                 "inplace unix - - - - - event\n"
                 "  -o mail_name=reload\n") as m:
        m.start()
        with m.client(port) as old, m.client("private/inplace") as same, \
                Load(m, port, "private/work", "private/inplace") as load:
            first = old.ask("pid")
            for i in range(8):
                m.main["smtpd_banner"] = f"banner {i}"
                m.write()
                m.reload()
                with m.client(port) as c:
                    wait_for(lambda: c.ask("pid"))
            # A session that began before has not noticed.
            assert old.ask("pid") == first
            # Another process serves new clients, with new settings.
            with m.client(port) as c:
                assert c.ask("pid") != first
                assert c.ask("setting smtpd_banner") == "banner 7"
            wait_for(lambda: same.ask("setting smtpd_banner") == "banner 7")
            assert "dummy: reloaded" in m.log()
        assert not load.failures, load.failures[:5]
        assert load.served > 50, load.served
        print(f"served {load.served} during 8 reloads")
        # The old process ends with its last client.
        wait_for(lambda: not alive(int(first)))
        assert "exit status" not in m.log() and "killed" not in m.log()


def services_come_and_go():
    a, b = free_ports(2)
    one = f"127.0.0.1:{a} inet n - - - - smtpd\n"
    with Scratch(SINGLES + one) as m:
        m.start()
        with m.client(a) as c:
            pid = c.ask("pid")
            # Another port, and this one goes on.
            m.services = SINGLES + one + \
                f"127.0.0.1:{b} inet n - - - - smtpd\n"
            m.write()
            m.reload()
            with m.client(b) as d:
                assert d.ask("service") == f"127.0.0.1:{b}"
            assert c.ask("pid") == pid
            # Now the first goes; its client stays to its end.
            m.services = SINGLES + f"127.0.0.1:{b} inet n - - - - smtpd\n"
            m.write()
            m.reload()
            assert c.ask("pid") == pid
            try:
                m.client(a, timeout=1)
                raise AssertionError("somebody listens")
            except ConnectionRefusedError:
                pass
        wait_for(lambda: not alive(int(pid)))
        with m.client(b) as d:
            d.ask("pid")
        # An option of a single job: the process changes, never two.
        with m.client("private/cleanup") as c:
            before = c.ask("pid")
        m.services = m.services.replace("0 cleanup\n",
                                        "0 cleanup\n  -o mail_name=x\n")
        m.write()
        m.reload()

        def changed():
            with m.client("private/cleanup") as e:
                return e.ask("pid") != before and \
                    e.ask("setting mail_name") == "x"
        wait_for(changed)


def an_address_changes_its_service():
    """The same socket under another name, and all to one address."""
    port, = free_ports(1)
    with Scratch(SINGLES + f"{port} inet n - - - - smtpd\n",
                 main={"inet_interfaces": "all",
                       "inet_protocols": "ipv4"}) as m:
        m.start()
        with m.client(port) as c:
            c.ask("pid")
        with Load(m, port) as load:
            # "2525" becomes "0.0.0.0:2525": the socket stays open.
            m.services = SINGLES + f"0.0.0.0:{port} inet n - - - - smtpd\n"
            m.write()
            m.reload()
            time.sleep(0.2)
        assert not load.failures, load.failures
        # The wildcard goes and one address comes, which is in its way.
        m.services = SINGLES + f"{port} inet n - - - - smtpd\n"
        m.main["inet_interfaces"] = "127.0.0.1"
        m.write()
        m.reload()

        def serves():
            try:
                with m.client(port) as c:
                    return c.ask("service") == str(port)
            except (EOFError, ConnectionError):
                return False
        wait_for(serves)
        assert m.service(str(port))["sockets"] == [f"127.0.0.1:{port}"]


def a_wrong_configuration_changes_nothing():
    port, = free_ports(1)
    good = SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n"
    with Scratch(good) as m:
        m.start()
        with m.client(port) as c:
            pid = c.ask("pid")
            before = m.pids()
            m.services = good + "nosuch unix - - - - - nosuch\n" \
                "bad unix -\n"
            m.main["max_idle"] = "soon"
            m.main["daemon_directory"] = "/nowhere"
            m.write()
            done = m.mansio("reload", check=False)
            assert done.returncode == 1
            for part in ("max_idle", "master.cf", "/nowhere"):
                assert part in done.stderr, done.stderr
            # And when somebody just sends the signal.
            os.kill(m.pid(), signal.SIGHUP)
            m.wait_log("going on with the old configuration")
            for part in ('max_idle: "soon"', "bad field count", "/nowhere"):
                assert part in m.log(), part
            m.main["max_idle"] = "100s"
            m.main["daemon_directory"] = m.bin
            m.main["queue_directory"] = m.base + "/elsewhere"
            m.services = good
            m.write()
            m.main["queue_directory"] = m.spool
            os.kill(m.pid(), signal.SIGHUP)
            m.wait_log("queue_directory cannot change")
            m.write()
            assert c.ask("pid") == pid
            assert m.pids() == before


def a_wrong_main_cf_lies_there_for_long():
    """Daemons that start meanwhile have the settings that were accepted, and
    one can look and stop."""
    with Scratch(SINGLES + "x unix - - - - - event\n",
                 main={"mail_name": "good"}) as m:
        m.start()
        with m.client("private/x") as c:
            pid = c.ask("pid")
            assert c.ask("setting mail_name") == "good"
        m.main["mail_name"] = "half an edit"
        m.main["max_use"] = "many"
        m.write()
        assert m.mansio("reload", check=False).returncode == 1
        os.kill(int(pid), signal.SIGKILL)
        with m.client("private/x") as c:
            assert c.ask("pid") != pid
            assert c.ask("setting mail_name") == "good"
        done = m.mansio("status")
        assert "max_use" in done.stderr and "x" in done.stdout, done
        # Mended: the next reload takes it.
        m.main["max_use"] = "100"
        m.main["mail_name"] = "better"
        m.write()
        m.reload()
        with m.client("private/x") as c:
            pid = c.ask("pid")
        os.kill(int(pid), signal.SIGKILL)
        with m.client("private/x") as c:
            assert c.ask("pid") != pid
            assert c.ask("setting mail_name") == "better"
        with open(f"{m.etc}/main.cf", "a", encoding="utf-8") as f:
            f.write("no equals sign\n")
        done = m.mansio("stop")
        assert "missing '='" in done.stderr, done
        # Without a main.cf nobody knows which instance is meant.
        os.rename(f"{m.etc}/main.cf", f"{m.etc}/aside")
        done = m.mansio("stop", check=False)
        assert done.returncode == 1 and "main.cf" in done.stderr, done


# In master's check of a configuration, and only there, it waits for a file.
SLOW_CHECK = """\
#!/bin/bash
read -r parent < /proc/$PPID/comm
case "$parent $*" in
master*-CC*)
	: > {base}/asked
	while [ ! -e {base}/go ]; do sleep 0.05; done;;
esac
exec -a "${{0##*/}}" {bin} "$@"
"""


def slow_check(m):
    """smtpd takes its time to judge the settings, until {base}/go is there."""
    real = os.path.realpath(f"{m.bin}/smtpd")
    with open(f"{m.bin}/new", "w", encoding="ascii") as f:
        f.write(SLOW_CHECK.format(base=m.base, bin=real))
    os.chmod(f"{m.bin}/new", 0o755)
    os.rename(f"{m.bin}/new", f"{m.bin}/smtpd")


def it_is_stopped_while_it_checks():
    """The check ends with it, and so do the programs that are asked: nothing
    of them keeps the next one from starting."""
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n") as m:
        m.start()
        slow_check(m)
        os.kill(m.pid(), signal.SIGHUP)
        wait_for(lambda: os.path.exists(f"{m.base}/asked"))
        m.stop()
        assert "killing what has not finished" not in m.log()
        open(f"{m.base}/go", "w", encoding="ascii").close()
        m.start()
        with m.client(port) as c:
            c.ask("pid")


def many_ask_at_once():
    """Each hears what came of it, and that it came to something."""
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n") as m:
        m.start()
        slow_check(m)
        asking = [subprocess.Popen(
            [f"{BUILD}/bin/mansio", "-c", m.etc, "reload"],
            stderr=subprocess.PIPE, text=True) for _ in range(3)]
        wait_for(lambda: os.path.exists(f"{m.base}/asked"))
        time.sleep(0.5 * SLOW)      # the others are likely to have asked
        m.main["mail_name"] = "changed meanwhile"
        m.write()
        open(f"{m.base}/go", "w", encoding="ascii").close()
        for p in asking:
            said = p.communicate(timeout=60 * SLOW)[1]
            assert p.returncode == 0 and said == "", said


def the_log_is_rotated():
    with Scratch(SINGLES + "x unix - - - - - event\n"
                 "w unix - - - - - workw\n",
                 main={"maillog_file_compressor": "/bin/true",
                       "maillog_file_rotate_suffix": "old"}) as m:
        m.start()
        with m.client("private/x") as x, m.client("private/w") as w:
            x.ask("log before-x")
            w.ask("log before-w")
            wait_for(lambda: "before-w" in m.log())
            m.mansio("logrotate")
            assert "before-x" not in m.log()
            x.ask("log after-x")
            w.ask("log after-w")
            wait_for(lambda: "after-x" in m.log() and "after-w" in m.log())
        with open(m.logfile + ".old", encoding="utf-8") as f:
            old = f.read()
        assert "before-x" in old and "before-w" in old
        assert "after" not in old
        # mv and kill -USR1, as logrotate(8) does it.
        os.rename(m.logfile, m.logfile + ".1")
        os.kill(m.pid(), signal.SIGUSR1)

        def written():
            # A process has the new one soon, and until then the old one.
            with m.client("private/x") as c:
                c.ask("log third")
            return "third" in m.log()
        wait_for(written)


if __name__ == "__main__":
    run([no_client_is_lost, services_come_and_go,
         an_address_changes_its_service,
         a_wrong_configuration_changes_nothing,
         a_wrong_main_cf_lies_there_for_long, it_is_stopped_while_it_checks,
         many_ask_at_once, the_log_is_rotated])
