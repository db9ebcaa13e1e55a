#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What each daemon's sandbox forbids fails: a self-test of every row.

A probe enters the row as the daemon does and tries.  What is allowed is
written down here by hand, so that a row that grows is seen; and the daemons
that run are looked at from outside.
"""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, skip  # noqa: E402
from mailusers import Users  # noqa: E402
from memory import below  # noqa: E402

if "/san-" in BUILD:
    skip("sanitizers need what the sandbox forbids")
LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
if not LANDLOCK:
    skip("no Landlock in this kernel")

# The attempts, and who may.  "passwd": read a file of the system; "tmp":
# write somewhere; "queue": read queued mail; "mail": read another user's
# mail; "other": a socket that is not the row's; "inet": connect out; "key":
# a private key; "memory": another process's; "module", "mount", "mknod":
# what is done to a system.
FREE = {"local", "pipe"}                # they run users' programs
CAPS = 1 << 16 | 1 << 17 | 1 << 19 | 1 << 21 | 1 << 27  # MODULE, RAWIO,
#                                               PTRACE, ADMIN, MKNOD
PROGRAMS = {"authd-pam", "authd-nurse-pam", "spawn"}    # those of others
TABLES = {"cleanup", "rewrite", "bounce", "virtual", "authd", "quotad"}
ALLOWED = {
    "passwd": TABLES | {"session", "qmgr", "pickup", "showq", "resolver",
                        "authd-nurse"},
    "tmp": {"session", "authd-nurse"},
    "queue": {"qmgr", "showq", "cleanup", "rewrite", "bounce", "virtual",
              "session", "authd-nurse"},
    "mail": {"virtual", "session", "quotad", "authd-nurse"},
    # authd-keeper writes beside the password file: the key lies there, too.
    "key": {"keyd", "virtual", "session", "authd-keeper", "authd-nurse"},
    # These connect to sockets, and modes keep others' from them.
    "other": {"cleanup", "qmgr", "rewrite", "resolver", "bounce", "pickup",
              "showq", "lmtp", "virtual", "session", "mtasts", "verify",
              "tlsrpt", "delegate", "authd-nurse"},
    "inet": {"rewrite", "resolver", "smtp", "lmtp", "mtasts", "tlsrpt",
             "delegate",
             "authd-introspect", "authd-nurse"},
    "fork": {"session", "authd-nurse"},
    "exec": set(), "ptrace": set(), "memory": set(), "mount": set(),
    "module": set(), "mknod": set(), "kill": {"session", "authd-nurse"},
    "root": {"virtual", "session", "authd-nurse"},
}
ROOT = {"session", "session-nurse", "session-spare", "virtual", "keyd",
        "authd-nurse", "authd-keeper"}
ASLEEP = ("private/quotad", "private/verify", "private/delegate", "public/pickup",
          "public/showq", "private/error", "private/again=retry",
          "private/discard", "private/local", "private/virtual",
          "private/bounce", "private/smtp", "private/lmtp")
SERVICES = """\
again unix - - - - - retry
quotad unix - - - - 1 quotad
verify unix - - - - 1 verify
mtasts unix - - - - 1 mtasts
tlsrpt unix - - - - 1 tlsrpt
resolver unix - - - - 1 resolver
smtp unix - - - - - smtp
lmtp unix - - - - - lmtp
"""
ENDS = {"exec", "ptrace", "mount"}  # an honest process could not have asked
REFUSED = {"ptrace", "memory", "mount", "module", "mknod"}  # PROGRAMS, too

passed = 0


def attempts():
    return {
        "passwd": ("open", "/etc/passwd"),
        "tmp": ("write", "/tmp/mansio-sandbox-probe"),
        "queue": ("open", f"{m.base}/spool/deferred/probe"),
        "mail": ("open", f"{m.mail}/example.test/bob/secret"),
        "key": ("open", f"{m.etc}/server.pem"),
        "other": ("connect", f"{m.base}/spool/private/probe"),
        "inet": ("inet", str(inet.getsockname()[1])),
        "fork": ("fork",), "exec": ("exec",),
        "ptrace": ("ptrace", str(os.getpid())),
        "memory": ("memory", str(m.master_pid())),
        "mount": ("mount",), "module": ("module",),
        "mknod": ("mknod", "/tmp/mansio-sandbox-probe-device"),
        "kill": ("kill", str(os.getpid())), "root": ("root",),
    }


def probe(row, *attempt):
    env = dict(os.environ, MANSIO_PROBE_UID=str(m.vmail.pw_uid),
               MANSIO_PROBE_MAIL=f"{m.mail}/example.test/alice")
    done = subprocess.run([f"{BUILD}/tests/sandbox/probe", m.etc, row,
                           *attempt], env=env, capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode in (0, -signal.SIGSYS), (row, attempt, done)
    return "killed" if done.returncode else done.stdout.strip()


def rows():
    out = m.command("mansio", "sandbox", "show").stdout
    return [line.split("\t")[0] for line in out.splitlines()
            if line and not line.startswith("\t")]


def every_row():
    names = rows()
    assert FREE < set(names) and "session-user" in names
    for name in names:
        if name in FREE:
            assert probe(name, "exec") != "killed"
            continue
        for what, attempt in attempts().items():
            got = probe(name, *attempt)
            if name in PROGRAMS:
                assert what == "exec" or (got == "ok") == (
                    what not in REFUSED), (name, what, got)
            elif name in ALLOWED[what]:
                assert got == "ok", (name, what, got)
            elif what in ENDS:
                assert got == "killed", (name, what, got)
            else:
                assert got not in ("ok", ""), (name, what, got)


def own_mail_only():
    for path, ok in ((f"{m.mail}/example.test/alice/own", True),
                     (f"{m.mail}/example.test/bob/secret", False),
                     (f"{m.mail}/example.test", False),
                     (f"{m.etc}/main.cf", False),
                     ("/proc/self/status", False)):
        assert (probe("session-user", "open", path) == "ok") == ok, path
        if not path.startswith("/proc"):
            got = probe("session-user", "write", path + ".new")
            assert (got == "ok") == ok, (path, got)


def settled(pid):
    """A process's status, once it is in its sandbox."""
    end = time.monotonic() + 20
    while True:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            s = dict(x.rstrip("\n").split(":", 1) for x in f)
        if s["Seccomp"].strip() != "0" or time.monotonic() > end:
            return s
        time.sleep(0.05)


def the_running_ones():
    """From outside: no rights, a filter, nothing to gain by exec."""
    with m.pop3("alice") as c:
        seen, awake = set(), m.wake(
            f"{m.smtp_port}=smtpd", f"{m.lmtp_port}=lmtpd",
            f"{m.imap_port}=imapd", *ASLEEP)
        for pid, name in below(m.master_pid()).items():
            seen.add(name)
            if name in FREE or name == "master":
                continue
            s = settled(pid)
            assert s["Seccomp"].strip() == "2", (name, s["Seccomp"])
            assert s["NoNewPrivs"].strip() == "1", name
            uid = s["Uid"].split()[0]
            # Of root nothing that reaches beyond files and users.
            assert int(s["CapBnd" if name in ROOT - {"keyd"} else "CapEff"],
                       16) & CAPS == 0, (name, s)
            if name not in ROOT:
                assert uid != "0", name
                assert int(s["CapEff"], 16) == 0, (name, s["CapEff"])
        # Each row of the table, but for chance: the kernel keeps 15 bytes.
        missing = {r[:15] for r in rows()} - seen - {"pipe"} - PROGRAMS
        assert not missing, missing
        for s in awake:
            s.close()
        c.ok("QUIT")


with Users({"smtp_tlsrpt_enable": "yes",
            "authd_oauth_introspection_url": "https://localhost:1/"},
           SERVICES, tls=True) as m, \
        socket.create_server(("127.0.0.1", 0)) as inet, \
        socket.socket(socket.AF_UNIX) as other:
    other.bind(f"{m.base}/spool/private/probe")
    os.chmod(f"{m.base}/spool/private/probe", 0o666)
    other.listen(64)
    inet.listen(64)
    for user, name in (("alice", "own"), ("bob", "secret")):
        os.makedirs(f"{m.mail}/example.test/{user}", exist_ok=True)
        with open(f"{m.mail}/example.test/{user}/{name}", "w",
                  encoding="ascii") as file:
            file.write("x")
        for p in ("", user, f"{user}/{name}"):
            os.chown(f"{m.mail}/example.test/{p}", m.vmail.pw_uid,
                     m.vmail.pw_gid)
    os.chmod(f"{m.mail}/example.test/bob/secret", 0o600)
    # What the modes would not keep from mail_owner.
    with open(f"{m.base}/spool/deferred/probe", "w",
              encoding="ascii") as file:
        file.write("x")
    os.chown(f"{m.base}/spool/deferred/probe", m.owner.pw_uid, -1)
    try:
        for case in (every_row, own_mail_only, the_running_ones):
            case()
            passed += 1
    finally:
        if os.path.exists("/tmp/mansio-sandbox-probe"):
            os.unlink("/tmp/mansio-sandbox-probe")
print(f"{passed} passed, 0 failed, 0 skipped")
