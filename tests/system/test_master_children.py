#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""master: processes that die, are too many, idle, hang; descriptors."""
import os
import random
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from masterlib import SINGLES, Scratch, alive, free_ports, run, wait_for


def storm_of_kills():
    port, = free_ports(1)
    with Scratch(SINGLES + f"127.0.0.1:{port} inet n - - - - smtpd\n"
                 "work unix - - - - - workw\n") as m:
        m.start()
        master = m.pid()
        random.seed(1)
        for _ in range(40):
            # Clients keep coming: on demand and to the prestarted.
            for where in (port, "private/work", "private/cleanup"):
                try:
                    with m.client(where) as c:
                        c.ask("pid")
                except (EOFError, ConnectionError):
                    pass            # its process was killed just then
            status = m.status()
            for s in status["services"]:
                if s["name"] == "cleanup":
                    assert len(s["processes"]) <= 1, s
            pids = [p["pid"] for s in status["services"]
                    for p in s["processes"]]
            for pid in random.sample(pids, min(2, len(pids))):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        assert m.pid() == master and alive(master)
        for where in (port, "private/work", "private/cleanup"):
            with m.client(where) as c:
                c.ask("pid")
        assert "killed by signal 9" in m.log()
        assert "throttling" not in m.log()


def bad_startup_is_throttled():
    port, = free_ports(1)
    with Scratch(f"127.0.0.1:{port} inet n - - - - smtpd\n"
                 "  -o myorigin=startup-failure\n"
                 "fine unix - - - - - event\n",
                 main={"service_throttle_time": "2s"}) as m:
        m.start()
        with_client = m.client
        try:
            with_client(port, timeout=1).close()
        except (TimeoutError, OSError):
            pass
        m.wait_log("bad command startup -- throttling")
        assert "fatal: told to fail" in m.log()
        assert "exit status 1" in m.log()
        assert m.service(f"127.0.0.1:{port}")["state"] == "throttled"
        with m.client("private/fine") as c:
            c.ask("pid")
        # A client waits and is served when the reason is gone.
        m.services = m.services.replace("  -o myorigin=startup-failure\n",
                                        "")
        m.write()
        m.reload()
        with m.client(port) as c:
            assert c.hello == "hello 0"


def one_that_keeps_crashing_is_throttled():
    with Scratch("x unix - - - - - event\n") as m:
        m.start()
        for how in ("exit 3", "abort", "segv", "exit 1", "segv"):
            with m.client("private/x") as c:
                try:
                    c.ask(how)
                    raise AssertionError("it answered")
                except (EOFError, ConnectionError):
                    pass
            before = m.service("x")["failed"]
            wait_for(lambda: not m.service("x")["processes"])
            assert before <= m.service("x")["failed"]
        log = m.log()
        for part in ("exit status 3", "killed by signal 6",
                     "killed by signal 11", "panic: told to"):
            assert part in log, part
        assert "ended at once -- throttling" in log
        with m.client("private/x") as c:       # after the punishment
            c.ask("pid")


def one_that_is_terminated_is_not_throttled():
    """A single job's process that ends because of a SIGTERM is replaced at
    once, however often; one that ends by itself is not."""
    def another(pid):
        found = m.service("cleanup")["processes"]
        return found and found[0]["pid"] != pid and \
            found[0]["state"] == "available" and found[0]["pid"]

    with Scratch(SINGLES) as m:
        m.start()
        pid = wait_for(lambda: another(0))
        for _ in range(12):
            os.kill(pid, signal.SIGTERM)
            pid = wait_for(lambda: another(pid))
        assert "throttling" not in m.log(), m.log()
        for _ in range(5):
            with m.client("private/cleanup") as c:
                try:
                    c.ask("exit 0")
                    raise AssertionError("it answered")
                except (EOFError, ConnectionError):
                    pass
        m.wait_log("5 processes have ended at once -- throttling")


def limits_of_processes_and_clients():
    with Scratch("x unix - - - - - event\n"
                 "  -o process_client_limit=2\n"
                 "w unix - - - - 2 workw\n"
                 "  -o max_use=2\n") as m:
        m.start()
        clients = [m.client("private/x") for _ in range(5)]
        pids = {c.ask("pid") for c in clients}
        assert len(pids) == 3, pids
        assert sum(p["clients"] for p in m.service("x")["processes"]) == 5
        for c in clients:
            c.close()
        # Two workers are busy; the third client waits for one of them.
        a, b = m.client("private/w"), m.client("private/w")
        first = {a.ask("pid"), b.ask("pid")}
        assert len(first) == 2
        m.wait_log('service "w" (private/w) has reached its process limit '
                   '"2"')
        assert m.service("w")["state"] == "full"
        a.send("sleep 300")
        late = m.client
        a.send("quit")
        with late("private/w") as c:
            assert c.ask("pid") in first
        b.close()
        a.close()
        # Each may serve two.
        seen = set()
        for _ in range(6):
            with m.client("private/w") as c:
                seen.add(c.ask("pid"))
        assert len(seen) >= 3, seen


def idle_ones_leave():
    with Scratch(SINGLES + "x unix - - - - - event\n"
                 "w unix - - - - - workw\n", main={"max_idle": "1s"}) as m:
        m.start()
        for where in ("private/x", "private/w"):
            with m.client(where) as c:
                c.ask("pid")
        wait_for(lambda: not m.service("x")["processes"] and
                 not m.service("w")["processes"])
        assert m.service("cleanup")["processes"]
        for where in ("private/x", "private/w"):
            with m.client(where) as c:
                c.ask("pid")
        assert "warning" not in m.log(), m.log()


def wakeup():
    with Scratch("x unix - - - 1 - event\n"
                 "y unix - - - 1? - event\n") as m:
        m.start()
        wait_for(lambda: m.log().count("dummy: wakeup") >= 2)
        assert m.service("y")["started"] == 0
        with m.client("private/y") as c:
            c.ask("pid")
        assert m.service("y")["started"] == 1


def watchdog():
    with Scratch("x unix - - - - - event\n",
                 main={"daemon_timeout": "2s"}) as m:
        m.start()
        with m.client("private/x") as c:
            c.send("hang")
            try:
                c.line()
                raise AssertionError("it answered")
            except (EOFError, ConnectionError):
                pass
        m.wait_log("killed by signal 6")
        # A second is healthy and lives on beyond that time.
        with m.client("private/x") as c:
            pid = c.ask("pid")
            time.sleep(3)
            assert c.ask("pid") == pid


def out_of_descriptors():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))

    with Scratch("x unix - - - - 1 event\n") as m:
        m.start(preexec_fn=limit)
        clients = []
        first = m.client("private/x")
        for _ in range(60):
            try:
                clients.append(m.client("private/x", timeout=0.2))
            except (TimeoutError, OSError):
                break
        m.wait_log("cannot accept: Too many open files")
        assert first.ask("pid")         # those inside are served
        assert m.log().count("cannot accept") <= 5
        for c in clients:
            c.close()
        with m.client("private/x", timeout=20) as c:
            assert c.ask("pid") == first.ask("pid")
        first.close()


def nonsense_from_a_child():
    """A process that says what it may not is ended; the others live."""
    with Scratch(SINGLES + "x unix - - - - - event\n") as m:
        m.start()
        with m.client("private/x") as c:
            pid = int(c.ask("pid"))
            c.send("master 77")
            m.wait_log(f"pid {pid}: unexpected message 77")
        wait_for(lambda: not alive(pid))
        with m.client("private/x") as c:
            assert int(c.ask("pid")) != pid


if __name__ == "__main__":
    run([storm_of_kills, bad_startup_is_throttled,
         one_that_keeps_crashing_is_throttled,
         one_that_is_terminated_is_not_throttled,
         limits_of_processes_and_clients, idle_ones_leave, wakeup, watchdog,
         out_of_descriptors, nonsense_from_a_child])
