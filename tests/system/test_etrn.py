#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""ETRN (RFC 1985), postqueue -s and sendmail -qR: what waits for a domain is
tried at once, for those who may ask; answers are Postfix's, where it is
installed."""
import os
import re
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../bench"))
from instance import Instance, free_port  # noqa: E402
from dialogues import Client  # noqa: E402
import postfix  # noqa: E402

TABLE = """\
ok.example OK
rej.example REJECT no
def.example 450 later
five.example 550 go
code.example 459 go
dunno.example DUNNO
warn.example WARN x
"""
ALWAYS = {"smtpd_junk_command_limit": "1000", "smtpd_error_sleep_time": "0s",
          "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000"}
FAST = "fast.example, ok.example, parent.example"
SETTINGS = (
    {"fast_flush_domains": FAST,
     "smtpd_etrn_restrictions": "check_etrn_access hash:{base}/etc/etrn"},
    {"fast_flush_domains": "", "smtpd_helo_required": "yes",
     "smtpd_etrn_restrictions": "permit_mynetworks, reject"},
    {"fast_flush_domains": "static:all", "mynetworks": "192.0.2.0/24",
     "smtpd_etrn_restrictions": "permit_mynetworks, reject"},
    {"fast_flush_domains": "static:all", "mynetworks": "192.0.2.0/24",
     "smtpd_etrn_restrictions": "permit_mynetworks, defer"},
    {"fast_flush_domains": "static:all", "mynetworks": "192.0.2.0/24",
     "smtpd_client_restrictions": "permit_mynetworks, reject"},
    {"fast_flush_domains": "static:all",
     "smtpd_discard_ehlo_keywords": "etrn"},
)
DIALOGUES = (
    ["ETRN fast.example", "EHLO c.example", "ETRN", "ETRN a b",
     "ETRN fast.example", "etrn FAST.example", "ETRN @fast.example",
     "ETRN #fast.example", "ETRN sub.fast.example", "ETRN x.parent.example",
     "ETRN other.example", "ETRN bad_host!", "ETRN [127.0.0.1]",
     "ETRN [300.1.1.1]", "ETRN <fast.example>", "ETRN a@fast.example",
     "ETRN " + "a" * 300, "ETRN 127.0.0.1", "ETRN \xe9.example", "ETRN @",
     "ETRN fast.example."],
    ["EHLO c.example", "MAIL FROM:<a@b.example>", "ETRN fast.example",
     "RSET", "ETRN fast.example", "HELO x", "ETRN fast.example"],
    ["EHLO c.example"] + [f"ETRN {x}.example" for x in
                          "ok rej def five code dunno warn fast".split()],
)
# What postqueue is asked, and whether the exit is 0.
COMMANDS = (
    ("postqueue", "-s", "fast.example"), ("postqueue", "-s", "other.example"),
    ("postqueue", "-s", "bad_host!"), ("postqueue", "-s", ""),
    ("postqueue", "-s", "[127.0.0.1]"), ("postqueue", "-s", "[bad"),
    ("postqueue", "-s", ".x"), ("postqueue", "-s", "a@b"),
    ("sendmail", "-qRfast.example"), ("sendmail", "-qRother.example"),
    ("sendmail", "-qRbad!x"),
)


def ask(port):
    """[(what, code)] and the keywords of EHLO."""
    got = []
    for dialogue in DIALOGUES:
        c = Client(port)
        c.answer()
        for what in dialogue:
            c.say(what)
            got.append((what, c.answer()[:3]))
        c.f.close()
        c.s.close()
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        s.ehlo()
        got.append(("offered", s.has_extn("etrn")))
    return got


def run(program, conf, args):
    done = subprocess.run([program, *conf, *args], capture_output=True,
                          text=True, timeout=30, check=False)
    # Postfix's commands warn of a setting that stands twice in main.cf.
    said = [x for x in done.stderr.splitlines() if "overriding" not in x]
    return (args, done.returncode, done.stdout, said)


def write_table(etc, postmap):
    with open(f"{etc}/etrn", "w", encoding="ascii") as f:
        f.write(TABLE)
    subprocess.run([postmap, "-c", etc, f"{etc}/etrn"], check=True,
                   capture_output=True)


def ours(settings):
    m = Instance({**ALWAYS, **settings})
    write_table(m.etc, m.program("postmap"))
    with m:
        got = ask(m.smtp_port)
        for program, *args in COMMANDS if settings is SETTINGS[0] else ():
            conf = ["-C" if program == "sendmail" else "-c", m.etc]
            got.append(run(m.program(program), conf, args))
        return got, m.log()


def theirs(settings):
    port = free_port()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        p = postfix.Postfix(d, port, 1)
        with open(f"{d}/etc/main.cf", "a", encoding="ascii") as f:
            for k, v in {**ALWAYS, **settings}.items():
                f.write(f"{k} = {v.format(base=d)}\n")
        write_table(f"{d}/etc", "postmap")
        p.start()
        try:
            got = ask(port)
            for program, *args in COMMANDS if settings is SETTINGS[0] else ():
                conf = ["-C" if program == "sendmail" else "-c", f"{d}/etc"]
                got.append(run(program, conf, args))
        finally:
            p.stop()
        return got


def test_compare():
    for settings in SETTINGS:
        got, log = ours(settings)
        want = theirs(settings) if postfix.available() else None
        for a, b in zip(got, want or got):
            # Postfix takes an address for a bad domain name, and static:all
            # does not match it there.
            if "[127.0.0.1]" in str(a) and "static:all" in str(settings):
                continue
            assert a == b, f"{settings}:\nwe      {a}\nPostfix {b}"
        if settings is SETTINGS[0]:
            # What the words mean, also without Postfix to say so.
            codes = dict((w, c) for w, c, *_ in got if isinstance(w, str))
            assert codes["ETRN x.parent.example"] == "250"
            assert codes["ETRN other.example"] == "459"
            assert codes["ETRN bad_host!"] == "501"
            assert codes["ETRN rej.example"] == "554"
            assert re.search(r"NOQUEUE: reject: ETRN from localhost\S+: 554 "
                             r"5.7.1 <rej.example>: Etrn command rejected: "
                             r"no; proto=E?SMTP helo=", log)
            assert re.search(r"reject: ETRN other.example from local", log)
    if not postfix.available():
        print("skip: no Postfix to compare with")


def test_flush():
    """Only what waits for that domain is tried again."""
    settings = {"fast_flush_domains": "one.example, two.example",
                "virtual_alias_domains": "x.test",
                # To places that are down, which RCPT does not know yet.
                "virtual_alias_maps": "inline:{{ {{a@x.test = a@one.example}}"
                " {{b@x.test = b@sub.one.example}}"
                " {{c@x.test = c@two.example}} }}",
                "default_transport": "retry:4.4.1 the line is dead"}
    with Instance(settings) as m:
        for to in "abc":
            m.send(f"{to}@x.test", "Subject: x\n\nhi\n")
        m.wait_log("to=<c@two.example>")

        def tries():
            return {d: len(re.findall(rf"to=<\w@{d}>.*deferred", m.log()))
                    for d in ("one.example", "two.example")}
        deadline(lambda: {q["queue_name"] for q in m.queue()} == {"deferred"})
        before = tries()
        with m.smtp() as s:
            s.ehlo()
            assert s.has_extn("etrn")
            assert s.docmd("ETRN", "one.example") == (
                250, b"2.0.0 Queuing started")
        m.wait_log("flushing what waits for one.example")
        end = [before["one.example"] + 1, before["two.example"]]
        deadline(lambda: [tries()["one.example"],
                          tries()["two.example"]] == end)
        m.command("postqueue", "-s", "two.example")
        end[1] += 1
        deadline(lambda: [tries()["one.example"],
                          tries()["two.example"]] == end)
        # Many who ask at once do not make many rounds.
        with m.smtp() as s:
            for _ in range(20):
                assert s.docmd("ETRN", "one.example")[0] == 250


def test_qmgr_restarts():
    """The next qmgr is asked; the session goes on."""
    with Instance({"fast_flush_domains": "static:all"}) as m:
        with m.smtp() as s:
            s.helo()
            assert s.docmd("ETRN", "x.example")[0] == 250
            for _ in range(3):
                pid = next(p for p, name in m.children().items()
                           if name == "qmgr")
                os.kill(pid, signal.SIGKILL)
                deadline(lambda: s.docmd("ETRN", "x.example")[0] == 250)


def frame(kind, body):
    return struct.pack("<IHHI", len(body), kind, 0, 0) + body


def test_only_this():
    """Who has smtpd's socket to qmgr can do nothing else with it."""
    with Instance({"fast_flush_domains": "static:all"}) as m:
        m.send("alice", "Subject: x\n\nhi\n")
        path = f"{m.base}/spool/private/flush"
        for kind in (1, 3, 4, 6, 10, 11):     # FLUSH_ALL ... STATUS
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(path)
                name = b"qctl"
                s.sendall(frame(0, struct.pack("<I", len(name)) + name +
                                struct.pack("<I", 1)))
                s.sendall(frame(kind, b""))
                while s.recv(4096):
                    pass                    # its HELLO, and then the end


def deadline(what):
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


if __name__ == "__main__":
    test_compare()
    test_flush()
    test_qmgr_restarts()
    test_only_this()
