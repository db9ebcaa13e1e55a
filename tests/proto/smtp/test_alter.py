#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""smtp: generic(5) addresses, checks on the way out, and the filters of
answers and statuses: the same settings and message through Postfix give the
same mail."""
import os
import re
import smtplib
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../../bench"))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt)  # noqa: E402
import instance  # noqa: E402
import postfix  # noqa: E402

MAPS = {
    "generic": """\
joe@in.test joe@out.test
ann+tag@in.test tagged@out.test
ann@in.test ann@out.test
@host.in.test @world.test
"odd name"@in.test "even name"@out.test
nobody@in.test unqualified
""",
    "header": """\
/^X-Secret:/ IGNORE
/^X-Old:(.*)/ REPLACE X-New:$1
/^Subject: (.*)/ PREPEND X-Subject: $1
/^X-Note:/ INFO seen
/^X-Warn:/ WARN odd
/^X-Reject:/ REJECT cannot be
/^X-Strip:/ STRIP gone
/^Reply-To:.*/ REPLACE Reply-To: joe@in.test
""",
    "mime": "/^Content-Disposition:/ IGNORE\n",
    "nested": "/^X-Inner:(.*)/ REPLACE X-Within:$1\n",
    "body": """\
/^secret/ IGNORE
/^old (.*)/ REPLACE new $1
/^mark/ PREPEND marked:
""",
}

SETTINGS = {
    "smtp_generic_maps": "regexp:{etc}/none, hash:{etc}/generic",
    "smtp_header_checks": "regexp:{etc}/header",
    "smtp_mime_header_checks": "regexp:{etc}/mime",
    "smtp_nested_header_checks": "regexp:{etc}/nested",
    "smtp_body_checks": "regexp:{etc}/body",
    "propagate_unmatched_extensions": "canonical, virtual, generic",
    "recipient_delimiter": "+",
    "myorigin": "origin.test",
    "smtp_reply_filter": "regexp:{etc}/reply",
    "smtp_delivery_status_filter": "regexp:{etc}/status",
}

MESSAGE = """\
From: Joe <joe@in.test>, other@elsewhere.test\r
To: "Ann Tag" <ann+tag@in.test>,\r
 ann+more@in.test (Ann), <any.one@host.in.test>\r
Cc: "odd name"@in.test, group: joe@in.test, keep@in.test;, nobody@in.test\r
Reply-To: ann@in.test\r
Message-ID: <joe@in.test>\r
Date: Sun, 22 Nov 2026 10:00:00 +0000\r
Subject: hello\r
 there\r
X-Secret: 1\r
X-Old: value joe@in.test\r
X-Note: n\r
X-Warn: w\r
X-Reject: r\r
X-Strip: s\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
old preamble\r
--b\r
Content-Type: text/plain\r
Content-Disposition: attachment\r
X-Secret: stays\r
\r
secret line\r
mark this\r
joe@in.test stays\r
.dot\r
--b\r
Content-Type: message/rfc822\r
\r
From: joe@in.test\r
X-Inner: 1\r
\r
old mail\r
--b--\r
"""

RCPTS = ["ann+more@in.test", "far@host.in.test", "plain@else.test"]


def write_maps(etc):
    for name, text in MAPS.items():
        with open(f"{etc}/{name}", "w", encoding="ascii") as f:
            f.write(text)
    for name, text in (
            ("none", "/^nothing$/ x@y\n"),
            ("reply", "/^250-odd (.*)/ 250-$1\n"
                      "/^5(.. 5)(.* later.*)/ 4$1$2\n/^554 5(.*)/ 454 4$1\n"),
            ("status", "/^4\\.(.*full.*)/ 5.$1\n"
                       "/^2\\.0\\.0 (.*)/ 2.9.9 fine: $1\n"
                       "/^5\\.6\\.(.*)/ 2.6.$1\n")):
        with open(f"{etc}/{name}", "w", encoding="ascii") as f:
            f.write(text)
    os.chmod(etc, 0o755)


def make_index(tmp):
    with open(f"{tmp}/main.cf", "w", encoding="ascii"):
        pass
    subprocess.run([f"{instance.BUILD}/bin/postmap", "-c", tmp,
                    f"hash:{tmp}/generic"], check=True, timeout=60)


def submit(port, data=MESSAGE, rcpts=None, mail="joe@in.test"):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        s.sendmail(mail, rcpts or RCPTS, data)


def strip(message):
    """Envelope and content without what each host adds itself."""
    text = message.data.decode()
    # How a field is folded, and which line ends a table's text has, is
    # another matter.
    text = re.sub(r"\r?\n[ \t]+", " ", text)
    lines = [x for x in text.split("\r\n") if not x.startswith("Received:")]
    return ([message.mail.split(">")[0] + ">"]
            + sorted(r.split(">")[0] for r in message.rcpts), lines)


def through_mansio(tmp, dns):
    with Peer() as p, sender(dns, 1, {
            **{k: v.format(etc=tmp) for k, v in SETTINGS.items()},
            "relayhost": f"[127.0.0.1]:{p.port}"}) as m:
        submit(m.smtp_port)
        p.wait()
        line = wait_rcpt(m, "ann+more@in.test")
        assert "dsn=2.9.9, status=sent (fine: 250 2.0.0 Ok" in line, line
        log = m.log()
        for what in ("replace: header X-Old:", "prepend: header Subject:",
                     "info: header X-Note: n: seen",
                     "warning: header X-Warn: w: odd",
                     "strip: header X-Strip: s: gone",
                     "action cannot be taken for mail on its way out"):
            assert what in log, (what, log[-3000:])
        got = strip(p.messages[0])
        # What the table does not have, and an answer put right.
        p.forget()
        p.on["EHLO"] = "250-peer.test\n250-odd 8BITMIME\n250 SIZE"
        p.on["RCPT"] = ["550 5.2.1 try later", "450 4.2.2 mailbox full",
                        "550 5.6.1 never", "554 5.4.4 now"]
        submit(m.smtp_port, "Subject: x\r\n\r\nhi\r\n",
               [f"r{i}@else.test" for i in range(4)], "")
        want = ["dsn=4.0.0, status=deferred (host 127.0.0.1[127.0.0.1] said: "
                "450 5.2.1 try later",
                "dsn=5.2.2, status=bounced", "dsn=5.6.1, status=bounced",
                "dsn=4.4.4, status=deferred"]
        for i, text in enumerate(want):
            line = wait_rcpt(m, f"r{i}@else.test")
            assert text in line, line
        assert "replacing server reply \"250-odd 8BITMIME\"" in m.log()
        assert "a success cannot become a failure" in m.log()
    return got


def tables_away(tmp, dns):
    """A table that cannot be read defers, and nothing is sent."""
    with Peer() as p, sender(dns, 1, {
            "smtp_generic_maps": f"hash:{tmp}/missing",
            "relayhost": f"[127.0.0.1]:{p.port}"}) as m:
        submit(m.smtp_port)
        line = wait_rcpt(m, "plain@else.test")
        assert "dsn=4.3.0, status=deferred (generic map lookup problem" \
            in line, line
        assert not p.commands
    with Peer() as p, sender(dns, 1, {
            "smtp_header_checks": f"regexp:{tmp}/missing",
            "relayhost": f"[127.0.0.1]:{p.port}"}) as m:
        submit(m.smtp_port)
        line = wait_rcpt(m, "plain@else.test")
        assert "status=deferred" in line, line
        assert not p.messages


def through_postfix(tmp):
    port = instance.free_port()
    with Peer() as p:
        x = postfix.Postfix(f"{tmp}/postfix", port, 1)
        with open(f"{tmp}/postfix/etc/main.cf", "a", encoding="ascii") as f:
            f.writelines(f"{k} = {v.format(etc=tmp)}\n"
                         for k, v in SETTINGS.items())
            f.write(f"relayhost = [127.0.0.1]:{p.port}\n"
                    "local_header_rewrite_clients =\n")
        x.start()
        try:
            submit(port)
            p.wait(timeout=60)
            time.sleep(0.2)
        finally:
            x.stop()
        return strip(p.messages[0])


def main():
    need_root()
    with tempfile.TemporaryDirectory() as tmp, DNS({}) as dns:
        write_maps(tmp)
        make_index(tmp)
        ours = through_mansio(tmp, dns)
        assert ours[0][0] == "MAIL FROM:<joe@out.test>", ours[0]
        assert "RCPT TO:<ann+more@out.test" in ours[0], ours[0]
        assert "X-New: value joe@in.test" in ours[1], ours[1]
        tables_away(tmp, dns)
        if not postfix.available():
            print("skip: no Postfix to compare with")
            return
        theirs = through_postfix(tmp)
        assert ours == theirs, "\n".join(
            f"{a!r}   {b!r}" for a, b in zip(ours[0] + ours[1],
                                            theirs[0] + theirs[1]) if a != b)


main()
