#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logging to syslog: its restart costs no line of any daemon, in a jail or
not, whether its socket is of datagrams or a stream."""
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402
from syslogd import LOG, Syslogd, own_dev  # noqa: E402

DGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM
# What a message leaves in the log, by daemon; smtpd lives in a jail.
SAID = {"smtpd": "client=", "cleanup": "message-id=", "qmgr": "removed",
        "virtual": "to=<alice@example.test>.*sent"}


def until(what, lines=(), seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "\n".join(["waited in vain", *lines])
        time.sleep(0.02)


def missing(lines, messages):
    """Daemons that have not said what they say of so many messages."""
    text = "\n".join(lines)
    return {d: n for d, want in SAID.items() if (n := len(re.findall(
        rf"mansio/{d}\[\d+\]: \w+: {want}", text))) != messages}


def send(m, n=1):
    for _ in range(n):
        m.send("alice", "Subject: x\n\nhi\n")
    m.wait_idle()


def restart(m, kind, unlink, next_kind):
    """Lines of before, of meanwhile and of after, each to who was there."""
    with Syslogd(kind, unlink=unlink) as first:
        send(m)
        until(lambda: not missing(first.lines, 1), first.lines)
    send(m, 2)
    assert missing(first.lines, 1) == {}, first.lines
    with Syslogd(next_kind) as second:
        until(lambda: not missing(second.lines, 2), second.lines)
        send(m)
        until(lambda: not missing(second.lines, 3), second.lines)
        assert not [x for x in second.lines if "were lost" in x]
        # master sees the end of a stream when it comes, and not only when
        # there is a new name.
        if kind == STREAM:
            until(lambda: any("syslog is there again" in x
                              for x in second.lines), second.lines)


def test_restarts(m):
    for kind, unlink, next_kind in (
            (DGRAM, True, DGRAM),       # as rsyslogd ends
            (DGRAM, False, DGRAM),      # killed
            (STREAM, True, STREAM),
            (STREAM, False, DGRAM),     # another one was installed
            (DGRAM, True, STREAM)):
        restart(m, kind, unlink, next_kind)
        print("ok", kind, unlink, next_kind)


def test_replaced_at_once(m):
    """The new syslogd is there before anybody could miss the old one."""
    old = Syslogd(unlink=False).start()
    send(m)
    with Syslogd() as new:      # it takes the name away from the old one
        time.sleep(0.3)         # for master to see it
        old.stop()
        send(m)
        until(lambda: not missing(new.lines, 1))


def test_shape(m):
    with Syslogd() as s:
        send(m)
        until(lambda: not missing(s.lines, 1))
    line = next(x for x in s.lines if "client=" in x)
    # mail is facility 2, info is 6.
    assert re.fullmatch(r"<22>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
                        r"mansio/smtpd\[\d+\]: \w+: client=.*", line), line


def test_link(m):
    """As with systemd: /dev/log leads to a directory of its own."""
    os.mkdir("/dev/journal")
    os.symlink("journal/socket", LOG)
    for _ in range(2):
        with Syslogd(path="/dev/journal/socket") as s:
            send(m)
            until(lambda s=s: not missing(s.lines, 1))
    os.unlink(LOG)


def test_reload(m):
    """From syslog to a file and back, without a restart."""
    def log_to(value):
        m.reload(f"maillog_file = {value}")
    with Syslogd() as s:
        send(m)
        until(lambda: not missing(s.lines, 1))
        log_to(m.logfile)
        send(m)
        until(lambda: not missing(m.log().splitlines(), 1))
        log_to("")
        send(m)
        until(lambda: not missing(s.lines, 2))
        assert not missing(m.log().splitlines(), 1)


def main():
    own_dev()
    m = Instance()
    m.command("postconf", "-e", "maillog_file =")
    try:
        # Nobody is there yet; the lines wait, and who starts it is told.
        done = m.command("mansio", "start")
        m.running = True
        assert "log lines wait for a syslog daemon" in done.stderr, done
        with Syslogd() as s:
            until(lambda: any("daemon started" in x for x in s.lines))
            until(lambda: any("syslog is there again" in x
                              for x in s.lines))
        for test in (test_restarts, test_replaced_at_once, test_shape,
                     test_link, test_reload):
            test(m)
            print("ok", test.__name__)
        with Syslogd() as s:
            m.stop()
            until(lambda: any("master" in x and "stopped" in x
                              for x in s.lines), s.lines)
    finally:
        m.__exit__(*sys.exc_info())


if __name__ == "__main__":
    main()
