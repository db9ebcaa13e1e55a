#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""transport_maps with error: and retry:, as seen at RCPT and in the log."""
import os
import smtplib
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402

MAPS = ("inline:{{ {{a.example=error:5.7.9 no thanks}}, {{b.example=error:}}, "
        "{{c.example=error:4.3.0 later}}, {{d.example=retry:5.9.9 hm}} }}")
WANT = (
    ("u@a.example", 550, "5.7.9 <u@a.example>: Recipient address rejected: "
     "no thanks"),
    ("u@b.example", 550, "5.1.1 <u@b.example>: Recipient address rejected: "
     "Address is undeliverable"),
    # The transport decides what becomes of it, the text only why.
    ("u@c.example", 550, "5.3.0 <u@c.example>: Recipient address rejected: "
     "later"),
    ("u@d.example", 450, "4.9.9 <u@d.example>: Recipient address rejected: "
     "hm"),
    ("nobody@va.example", 550, "5.1.1 <nobody@va.example>: Recipient address "
     "rejected: User unknown in virtual alias table"),
)


def main():
    settings = {
        "transport_maps": MAPS, "virtual_alias_domains": "va.example",
        "virtual_alias_maps": "inline:{{x@va.example=alice@example.test}}",
    }
    with Instance(settings) as m:
        with m.smtp() as s:
            s.ehlo("client.example.org")
            s.mail("sender@example.org")
            for rcpt, code, text in WANT:
                got = s.rcpt(rcpt)
                assert got == (code, text.encode()), (rcpt, got)
        # Without the check at RCPT the transport says the same.
        with open(f"{m.etc}/main.cf", "a", encoding="ascii") as f:
            f.write("smtpd_reject_unlisted_recipient = no\n"
                    "notify_classes =\n")
        m.command("mansio", "reload")
        # A client may still meet a process with the old settings.
        end = time.monotonic() + 30
        while True:
            try:
                m.send([r for r, _, _ in WANT[:4]],
                       "Subject: hello\n\nhi\n")
                break
            except smtplib.SMTPRecipientsRefused:
                assert time.monotonic() < end
                time.sleep(0.1)
        m.wait_log("to=<u@a.example>, relay=none")
        for text in ("dsn=5.7.9, status=bounced (no thanks)",
                     "dsn=5.0.0, status=bounced (Address is undeliverable)",
                     "dsn=5.3.0, status=bounced (later)",
                     "dsn=4.9.9, status=deferred (hm)"):
            m.wait_log(text)


if __name__ == "__main__":
    main()
