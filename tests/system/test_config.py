#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What only a daemon can tell to be wrong stops start, is named by check with
file and line, and on reload leaves what runs alone."""
import os
import sys

from instance import Instance
from masterlib import wait_for

WRONG = (
    # setting, part of the error
    ("smtpd_recipient_restrictions = permit_mynetworks, nonsense",
     'unknown restriction "nonsense"'),
    # Everybody could relay; Postfix refuses this, too.
    ("smtpd_relay_restrictions = permit_mynetworks",
     "everybody could relay"),
    ("smtpd_relay_restrictions = permit_mynetworks, "
     "warn_if_reject reject_unauth_destination",
     "everybody could relay"),
    ("smtpd_authorized_xclient_hosts = 300.1.2.3/8", "bad network address"),
    ("virtual_alias_maps = nosuchtype:/x", 'unsupported type "nosuchtype"'),
    ("header_checks = regexp:{/a/ OK}", "header_checks"),
    ("local_recipient_maps = unix:passwd.byname sql:users",
     'unsupported type "sql"'),
    ("transport_maps = /etc/mansio/transport", "transport_maps"),
    ("virtual_transport = vitual",
     'master.cf has no service "vitual" of type unix'),
    ("default_transport = nosuch:[127.0.0.1]:25",
     'master.cf has no service "nosuch" of type unix'),
    ("bounce_template_file = /nonexistent/templates",
     "bounce_template_file: /nonexistent/templates: No such file"),
    ("notify_classes = resource, bouncing", '"bouncing" is none'),
)
RIGHT = (
    "smtpd_relay_restrictions = \n"
    "smtpd_recipient_restrictions = permit_mynetworks, reject",
    "virtual_transport = discard:all of it\n"
    "transport_maps = inline:{{a.example=discard:}}\nnotify_classes = bounce,2bounce",
    "smtpd_restriction_classes = strict\nstrict = reject\n"
    "smtpd_relay_restrictions = permit_mynetworks, strict",
)


def write(m, text):
    with open(f"{m.etc}/new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(f"{m.etc}/new", f"{m.etc}/main.cf")


def main():
    with Instance() as m:
        with open(f"{m.etc}/main.cf", encoding="ascii") as f:
            good = f.read()
        line = good.count("\n") + 1
        with m.smtp() as s:
            s.ehlo()
            # Those that were just forked still have master's name.
            wait_for(lambda: "master" not in m.children().values())
            children = m.children()
            for setting, says in WRONG:
                write(m, good + setting + "\n")
                for command in ("check", "reload"):
                    done = m.command("mansio", command, check=False)
                    assert done.returncode == 1, (setting, command, done)
                    assert says in done.stderr, (setting, done.stderr)
                    assert f"main.cf:{line}: " in done.stderr, \
                        (setting, done.stderr)
                    # Said once, not by smtpd and lmtpd each.
                    if "relay" in says:
                        assert done.stderr.count(says) == 1, done.stderr
                # The process that judged them may not be gone quite yet.
                wait_for(lambda: m.children() == children)
                assert s.noop()[0] == 250
            for setting in RIGHT:
                write(m, good + setting + "\n")
                done = m.command("mansio", "check")
                assert done.stderr == "", done.stderr
            write(m, good)
        m.send("alice", "Subject: still here\n\n")
        m.wait_idle()
        assert len(m.maildir("alice")) == 1

        # An option of master.cf is judged like a line of main.cf.
        with open(f"{m.etc}/master.cf", "a", encoding="ascii") as f:
            f.write("127.0.0.1:1 inet n - - - - smtpd\n"
                    "  -o smtpd_relay_restrictions=permit\n")
        done = m.command("mansio", "check", check=False)
        assert done.returncode == 1 and "relay" in done.stderr, done

        # Nor does it start with that.
        m.stop()
        done = m.command("mansio", "start", check=False)
        assert done.returncode != 0 and "not started" in done.stderr, done
    return 0


if __name__ == "__main__":
    sys.exit(main())
