#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Notices through the whole suite: failure, success, double bounce, forced
expiry, and a postmaster's own template."""
import email
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402

CONF = {
    "transport_maps": "inline:{{ {{ bad.test = error:5.1.2 no such place }},"
                      " {{ later.test = retry:4.3.2 not today }},"
                      " sink.test=discard: }}",
    "relay_domains": "bad.test later.test sink.test",
    "smtpd_reject_unlisted_recipient": "no",
    "notify_classes": "bounce, 2bounce",
    "virtual_alias_maps":
        "inline:{{ postmaster@mail.example.test=bob@example.test }}",
    "bounce_template_file": "{base}/etc/bounce.cf",
}
TEMPLATE = """\
failure_template = <<EOF
Subject: It came back

Our own words at ${myhostname}: $$5.
EOF
"""


def mails(m, user, n, timeout=15):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        got = m.maildir(user)
        if len(got) >= n:
            break
        time.sleep(0.05)
    got = [email.message_from_bytes(x) for x in m.maildir(user)]
    assert len(got) == n, (user, [x["subject"] for x in got])
    return got


def by_subject(got, subject):
    found = [x for x in got if x["subject"] == subject]
    assert len(found) == 1, (subject, [x["subject"] for x in got])
    return found[0]


def status(msg):
    assert msg.get_content_type() == "multipart/report"
    assert msg["auto-submitted"] == "auto-replied"
    parts = msg.get_payload()
    assert len(parts) == 3, len(parts)
    assert parts[1].get_content_type() == "message/delivery-status"
    return parts, parts[1].get_payload()[-1]


def main():
    m = Instance(settings=CONF)
    with open(f"{m.etc}/bounce.cf", "w", encoding="ascii") as f:
        f.write(TEMPLATE)
    with m:
        m.send("nobody@bad.test", "Subject: one\n\nthe body\n",
               sender="alice@example.test")
        m.send("x@sink.test", "Subject: two\n\nthe body\n",
               sender="alice@example.test", mail_options=["ENVID=e1"],
               rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;y@sink.test"])
        m.send("z@bad.test", "Subject: three\n\nx\n", sender="")
        m.send("n@bad.test", "Subject: four\n\nx\n",
               sender="alice@example.test", rcpt_options=["NOTIFY=NEVER"])
        m.wait_idle()
        got = mails(m, "alice", 2)
        parts, s = status(by_subject(got, "It came back"))
        assert parts[0].get_payload().startswith(
            "Our own words at mail.example.test: $5.\n"), parts[0]
        assert "<nobody@bad.test>: no such place" in parts[0].get_payload()
        assert s["action"] == "failed" and s["status"] == "5.1.2"
        assert s["final-recipient"] == "rfc822; nobody@bad.test"
        orig = parts[2].get_payload()[0]
        assert orig["subject"] == "one" and "the body" in orig.get_payload()
        parts, s = status(by_subject(got, "Successful Mail Delivery Report"))
        assert s["action"] == "delivered"
        assert s["original-recipient"] == "rfc822;y@sink.test"
        assert parts[1].get_payload()[0]["original-envelope-id"] == "e1"
        assert parts[2].get_content_type() == "text/rfc822-headers"
        # The copy of the failure, and the null sender's.
        got = mails(m, "bob", 2)
        for x in got:
            assert x["return-path"] == "<double-bounce@mail.example.test>"
            assert x["subject"] == "Postmaster Copy: Undelivered Mail"
        m.send("l@later.test", "Subject: five\n\nx\n",
               sender="carol@example.test")
        m.wait_log("(not today)")
        end = time.monotonic() + 10
        while not os.popen(f"find {m.base}/spool/deferred -type f").read():
            assert time.monotonic() < end
            time.sleep(0.05)
        m.command("postsuper", "-e", "ALL")
        s = status(mails(m, "carol", 1)[0])[1]
        assert s["status"] == "4.3.2" and s["action"] == "failed"
        assert "status=force-expired, returned to sender" in m.log()
        m.wait_idle()
    print("1 passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
