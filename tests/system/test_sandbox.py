#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The sandbox: what a row forbids fails, what it allows works."""
import ctypes
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from masterlib import BUILD, ROOT, Scratch, run

DENIED = ("Operation not permitted", "Permission denied",
          "No such file or directory", "Resource temporarily unavailable")
SANITIZED = "/san-" in BUILD
# landlock_create_ruleset(NULL, 0, VERSION): without it files are not confined
LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


def dummy(m, jail, **options):
    opts = "".join(f"  -o {k}={v}\n" for k, v in options.items())
    m.services = f"x unix - - - - - event\n  -o mail_name=jail-{jail}\n" + \
        opts
    m.write()


def expect(c, command, ok):
    got = c.ask(command)
    if ok:
        assert got == "ok", (command, got)
    else:
        assert got in DENIED, (command, got)


def no_file_no_connection_no_program():
    with Scratch("x unix - - - - - event\n") as m:
        dummy(m, "chroot")
        m.mansio("check")
        os.makedirs(f"{m.spool}/jail/dummy/private", exist_ok=True)
        os.chmod(m.spool, 0o755)
        m.start()
        # A socket that the row names, and one that it does not.
        with socket.socket(socket.AF_UNIX) as yes, \
                socket.socket(socket.AF_UNIX) as no:
            # Without root there is no jail, and the names are the usual.
            inside = f"{m.spool}/jail/dummy/private/allowed" if ROOT \
                else f"{m.spool}/private/allowed"
            yes.bind(inside)
            os.chmod(inside, 0o666)
            yes.listen()
            no.bind(f"{m.spool}/private/other")
            no.listen()
            with m.client("private/x") as c:
                expect(c, "connect private/allowed", True)
                if ROOT:
                    expect(c, "connect private/other", False)
                    assert c.ask("uid") != "0 0 0"
                if not SANITIZED:
                    for what in ("open /etc/passwd", "open main.cf",
                                 "open /proc/self/status", "write x",
                                 "write /tmp/x", "inet", "fork", "thread",
                                 "limit"):
                        expect(c, what, False)
                elif ROOT:
                    expect(c, "open /etc/passwd", False)


def only_the_paths_of_the_row():
    with Scratch("x unix - - - - - event\n") as m:
        dummy(m, "files")
        m.start()
        with m.client("private/x") as c:
            expect(c, "thread", True)
            expect(c, "open /etc/passwd", True)
            if not SANITIZED:
                expect(c, f"open {m.etc}/main.cf", True)
                if LANDLOCK:
                    expect(c, "open /proc/self/status", False)
                    expect(c, f"open {BUILD}/bin/master", False)
                    expect(c, "write x", False)
                else:
                    print("skip: only_the_paths_of_the_row: no Landlock in "
                          "this kernel")
                expect(c, "inet", False)
                expect(c, "fork", False)


def a_program_is_the_end():
    if SANITIZED:
        return
    with Scratch("x unix - - - - - event\n") as m:
        dummy(m, "files")
        m.start()
        with m.client("private/x") as c:
            try:
                got = c.ask("exec")
                raise AssertionError(got)
            except (EOFError, ConnectionError):
                pass
        m.wait_log("killed by signal 31 (it went beyond its sandbox)")


def log_and_off_let_it():
    for level in ("log", "off"):
        with Scratch("x unix - - - - - event\n",
                     main={"sandbox_level": level}) as m:
            dummy(m, "files")
            m.start()
            with m.client("private/x") as c:
                expect(c, "open /proc/self/status", True)
                expect(c, "inet", True)
                expect(c, "fork", True)


def row_of_root():
    if not ROOT:
        return
    with Scratch("x unix - - - - - event\n") as m:
        dummy(m, "root")
        m.services = m.services.replace("x unix - - -", "x unix - n -")
        m.write()
        m.start()
        with m.client("private/x") as c:
            assert c.ask("uid") == "0 0 0"
            expect(c, "fork", True)
        m.stop()
        # Column 4 can take that away, and never gives it.
        m.services = m.services.replace("x unix - n -", "x unix - y -")
        m.write()
        m.start()
        with m.client("private/x") as c:
            assert c.ask("uid").split()[0] != "0"


def the_table_can_be_seen():
    done = subprocess.run([f"{BUILD}/bin/mansio", "sandbox", "show",
                           "smtpd"], capture_output=True, text=True,
                          check=True)
    assert "jail/smtpd" in done.stdout and "private/cleanup" in done.stdout
    done = subprocess.run([f"{BUILD}/bin/mansio", "sandbox", "show", "x"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1


def cost():
    """Starting a process with and without; for people to read."""
    times = {}
    for level in ("off", "enforce"):
        with Scratch("x unix - - - - - event\n",
                     main={"sandbox_level": level, "max_idle": "1s"}) as m:
            dummy(m, "chroot" if ROOT else "files")
            os.makedirs(f"{m.spool}/jail/dummy", exist_ok=True)
            os.chmod(m.spool, 0o755)
            m.start()
            best = 9.0
            for _ in range(15):
                begin = time.perf_counter()
                with m.client("private/x") as c:
                    best = min(best, time.perf_counter() - begin)
                    try:
                        c.ask("exit 0")
                    except (EOFError, ConnectionError):
                        pass
            times[level] = best * 1000
    print("start of a process: %.2f ms without, %.2f ms with" %
          (times["off"], times["enforce"]))


if __name__ == "__main__":
    run([no_file_no_connection_no_program, only_the_paths_of_the_row,
         a_program_is_the_end, log_and_off_let_it, row_of_root,
         the_table_can_be_seen, cost])
