#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""pflogsumm, which people read Postfix's log with, counts the same in ours.

The same mails go through Postfix and through Mansio: delivered, refused,
deferred and returned ones.  Both logs are summed up.
"""
import os
import re
import smtplib
import subprocess
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../bench"))
from instance import Instance, free_port, need_root, skip  # noqa: E402
import postfix  # noqa: E402

USERS = ("u0", "u1", "u2")
SETTINGS = {
    "mynetworks": "192.0.2.0/24",
    "relay_domains": "later.example never.example",
    "smtpd_relay_restrictions":
        "permit_mynetworks, reject_unauth_destination",
    "smtpd_sender_restrictions":
        "check_sender_access inline:{{spam.example=REJECT}}",
    "virtual_alias_maps": "inline:{{later@example.test=x@later.example},"
        "{never@example.test=x@never.example}}",
    "transport_maps": "inline:{{later.example=retry:4.4.1 not now},"
        "{never.example=error:5.1.2 no such place}}",
}
# What must not differ.  Sizes do: Postfix's headers are longer.
TOTALS = ("received", "delivered", "forwarded", "deferred", "bounced",
          "rejected", "reject warnings", "held", "discarded",
          "recipients", "recipient hosts/domains")


def mails(port):
    """(refused, accepted), counted."""
    refused = accepted = 0

    def send(sender, rcpts, n=1):
        nonlocal refused, accepted
        for i in range(n):
            with smtplib.SMTP("127.0.0.1", port, "client.example",
                              timeout=60) as s:
                try:
                    refused += len(s.sendmail(
                        sender, rcpts, f"Subject: {i}\r\nFrom: <{sender}>\r\n"
                        f"To: <u0@example.test>\r\nDate: Mon, 2 Mar 2026 "
                        f"10:00:00 +0000\r\nMessage-ID: <{i}.{port}@x>\r\n"
                        f"\r\n{'hello ' * 10}\r\n"))
                    accepted += 1
                except smtplib.SMTPRecipientsRefused as e:
                    refused += len(e.recipients)
                except smtplib.SMTPSenderRefused:
                    refused += 1

    # The first line of a new smtpd may come late: its client is not counted.
    send("first@client.example", ["u2@example.test"])
    send("a@client.example", ["u0@example.test"], 5)
    send("b@client.example", ["u0@example.test", "u1@example.test"], 2)
    send("a@client.example", ["nobody@example.test"], 3)
    send("a@client.example", ["u0@example.test", "nobody@example.test"])
    send("a@client.example", ["x@elsewhere.example"], 2)
    send("c@spam.example", ["u0@example.test"])
    send("a@client.example", ["later@example.test"])
    send("u2@example.test", ["never@example.test", "u1@example.test"])
    return refused, accepted


def summary(text, name):
    done = subprocess.run(
        ["pflogsumm", "--syslog_name", name, "--problems_first"],
        input=text, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "", done.stderr
    return done.stdout


def numbers(text):
    out = {}
    for line in text[text.index("Grand Totals"):].splitlines():
        m = re.match(r" +(\d+k?) +([a-z/ ]+?)(?: +\(.*)?$", line)
        if m and m[2] not in out:
            out[m[2]] = m[1]
    return out


def section(text, title):
    """The lines of a part of the report, as {name: number}."""
    out, inside = {}, False
    for line in text.splitlines():
        if line.startswith(title):
            inside = True
        elif inside and line.startswith(" "):
            number, _, name = line.strip().partition(" ")
            out[name.strip()] = number
        elif inside and out:
            break
    return out


def with_postfix():
    port = free_port()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        p = postfix.Postfix(d, port, len(USERS))
        with open(f"{d}/etc/main.cf", "a", encoding="ascii") as f:
            f.write("myhostname = mail.example.test\n")
            f.writelines(f"{k} = {v}\n" for k, v in SETTINGS.items())
        p.keep_log()
        p.start()
        try:
            counts = mails(port)
            wait_for(f"{d}/log")
        finally:
            p.stop()
        with open(f"{d}/log", encoding="utf-8") as f:
            return counts, f.read()


def settled(path):
    """Everything but the deferred one has left the queue."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return text.count(": removed") == 11 and "status=deferred" in text


def with_mansio():
    settings = {k: v.replace("{", "{{").replace("}", "}}")
                for k, v in SETTINGS.items()}
    with Instance(settings, users=USERS) as m:
        counts = mails(m.smtp_port)
        wait_for(m.logfile)
        return counts, m.log()


def wait_for(path):
    end = time.monotonic() + 20
    while not settled(path):
        assert time.monotonic() < end, open(path).read()
        time.sleep(0.1)


def main():
    need_root()
    if shutil.which("pflogsumm") is None:
        skip("no pflogsumm")
    if not postfix.available():
        skip("no Postfix")
    counted, theirs = with_postfix()
    ours_counted, ours = with_mansio()
    assert counted == ours_counted == (7, 11), (counted, ours_counted)
    want, got = summary(theirs, "postfix"), summary(ours, "mansio")
    n, m = numbers(want), numbers(got)
    wrong = [(k, n.get(k), m.get(k)) for k in TOTALS
             if k not in n or n[k] != m.get(k)]
    assert not wrong, (wrong, want, got, ours)
    for title in ("Senders by message count", "Recipients by message count",
                  "message deferral detail", "message bounce detail"):
        a, b = section(want, title), section(got, title)
        a.pop("first@client.example", None)
        b.pop("first@client.example", None)
        assert a == b, (title, a, b)


if __name__ == "__main__":
    main()
