#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Received, missing headers, dropped headers, rewriting in headers."""
import re

from cleanuplib import *

REMOTE = dict(client_addr="192.0.2.1", client_name="client.example.net",
              helo="helo.example.net")
LOCAL = dict(flags=F_LOCAL, submit_uid=1000, protocol="local")


def content_of(i, r):
    eq(r.code, "2.0.0")
    return i.messages()[r.queue_id][1]


def received_has_the_trace_fields():
    "RFC 5321 4.4"
    with Instance({"smtpd_sasl_authenticated_header": "yes"}) as i:
        c = Client(i)
        r = c.message("Subject: x\n\nb\n", **REMOTE)
        h = header(content_of(i, r))
        assert re.match(
            r"Received: from helo\.example\.net \(client\.example\.net "
            r"\[192\.0\.2\.1\]\)\n\tby mail\.example\.test \(Mansio\) with "
            rf"ESMTP id {r.queue_id}\n\tfor <rcpt@example\.com>; \w\w\w, "
            r"[ \d]\d \w\w\w \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)\n"
            r"Subject: x\n$", h), h
        # Two recipients are nobody else's business.
        r = c.message("Subject: x\n\nb\n", rcpts=["a@x.test", "b@x.test"],
                      **REMOTE)
        assert " for <" not in header(content_of(i, r))
        r = c.message("\nb\n", client_addr="2001:db8::1", client_name="unknown",
                      helo="[IPv6:2001:db8::1]", login="joe",
                      tls="using TLSv1.3", protocol="ESMTPSA")
        h = header(content_of(i, r))
        has(h, "from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\n"
            "\t(using TLSv1.3)\n\t(Authenticated sender: joe)\n\tby ")
        has(h, "with ESMTPSA id ")
        # What a stranger says cannot look like our words.
        r = c.message("\nb\n", client_addr="192.0.2.1",
                      client_name="unknown", helo="x (evil [10.0.0.1])\\")
        has(header(content_of(i, r)), "from x ?evil [10.0.0.1]?? (unknown ")
        r = c.message("\nb\n", **LOCAL)
        assert re.match(r"Received: by mail.example.test \(Mansio, from "
                        rf"userid 1000\)\n\tid {r.queue_id}; ",
                        header(content_of(i, r)))


def missing_headers_are_added_for_local_mail_only():
    "RFC 5322 3.6, RFC 6409 8"
    with Instance() as i:
        c = Client(i)
        r = c.message("Subject: x\n\nb\n", **REMOTE)
        h = header(content_of(i, r))
        for name in ("Date:", "From:", "Message-Id:"):
            assert f"\n{name}" not in h, h
        has(i.log_text(), f"{r.queue_id}: message-id=<>")
        r = c.message("Subject: x\n\nb\n", sender="joe", **LOCAL)
        h = header(content_of(i, r))
        assert re.search(rf"\nMessage-Id: <\d{{14}}\.{r.queue_id}@mail\."
                         r"example\.test>\nDate: .*\nFrom: joe@mail\.example"
                         r"\.test\n$", h), h
        has(i.log_text(), f".{r.queue_id}@mail.example.test>")
        r = c.message("date: D\nMESSAGE-ID: <a@b>\nFrom: f@x.test\n\nb\n",
                      **LOCAL)
        h = header(content_of(i, r))
        eq(h.split("\n", 2)[2],
           "date: D\nMESSAGE-ID: <a@b>\nFrom: f@x.test\n")
        has(i.log_text(), f"{r.queue_id}: message-id=<a@b>")
        r = c.message("\nb\n", sender="", **LOCAL)
        has(header(content_of(i, r)),
            "\nFrom: MAILER-DAEMON@mail.example.test\n")
        r = c.message("\nb\n", sender="a@b.test",
                      attrs=[("fullname", 'J. "Q" Public')], **LOCAL)
        has(header(content_of(i, r)),
            '\nFrom: "J. \\"Q\\" Public" <a@b.test>\n')
        # Resent: its own set, and the others stay missing.
        r = c.message("Resent-To: a@b.test\nFrom: x@y.test\n\nb\n",
                      sender="a@b.test", **LOCAL)
        h = header(content_of(i, r))
        has(h, "\nResent-Message-Id: <")
        has(h, "\nResent-Date: ")
        has(h, "\nResent-From: a@b.test\n")
        assert "\nDate: " not in h
        i.reload({"always_add_missing_headers": "yes",
                  "undisclosed_recipients_header":
                  "To: undisclosed-recipients:;"})
        r = c.message("Subject: x\n\nb\n", **REMOTE)
        h = header(content_of(i, r))
        has(h, "\nFrom: sender@example.org\nTo: undisclosed-recipients:;\n")
        i.reload({"header_from_format": "obsolete"})
        r = c.message("\nb\n", sender="a@b.test",
                      attrs=[("fullname", 'J. (Q) Public')], **LOCAL)
        has(header(content_of(i, r)),
            "\nFrom: a@b.test (J. \\(Q\\) Public)\n")


def some_headers_are_dropped():
    "message_drop_headers"
    with Instance() as i:
        c = Client(i)
        r = c.message("Bcc: secret@x.test\n y@x.test\nContent-Length: 5\n"
                      "Return-Path: <a@b>\nResent-Bcc: z\nX-Bcc: stays\n\n"
                      "Bcc: body\n", **REMOTE)
        m = content_of(i, r)
        h = header(m)
        assert h.endswith("\nX-Bcc: stays\n") and "secret" not in h, h
        assert "y@x" not in h and "Return-Path" not in h
        assert m.endswith(b"\n\nBcc: body\n")


def bodies_are_passed_on_unchanged():
    "8-bit, long lines, no final newline, NUL, no body, no header"
    with Instance() as i:
        c = Client(i)
        for body in (b"x\n", b"", b"a" * 100000 + b"\nb\n", b"\xff\xfe\n",
                     b"a\0b\n", b"\n\n\n", b".\n..\n", b"From x\n>From\n"):
            r = c.message(b"S: x\n\n" + body, **REMOTE)
            eq(content_of(i, r).split(b"\nS: x\n\n")[1], body)
        r = c.message(b"S: x\n\nno newline", **REMOTE)
        assert content_of(i, r).endswith(b"\n\nno newline\n")
        r = c.message(b"no header at all\nmore\n", **REMOTE)
        assert content_of(i, r).endswith(b"\n\nno header at all\nmore\n")
        r = c.message(b"S: x\nnot a header\n\nmore\n", **REMOTE)
        assert content_of(i, r).endswith(
            b"\nS: x\n\nnot a header\n\nmore\n")
        r = c.message(b"", **REMOTE)
        assert content_of(i, r).endswith(b")\n\n")
        # Pieces of one byte make no difference.
        whole = b"A: b\n c\nMessage-Id: <z@z>\n\nbody\r\nx\ry\n"
        r = c.message(whole, chunk=1, **REMOTE)
        assert content_of(i, r).endswith(
            b"\nA: b\n c\nMessage-Id: <z@z>\n\nbody\nx y\n")
        r = c.message(b"A: b\n\n\r\r\n\r", flags=F_BINARY, **REMOTE)
        assert content_of(i, r).endswith(b"\nA: b\n\n\r\r\n\r")
        i.reload({"cleanup_replace_stray_cr_lf": "no"})
        r = c.message(b"A: b\n\nx\ry\n", **REMOTE)
        assert content_of(i, r).endswith(b"\n\nx\ry\n")


def loops_are_refused():
    "hopcount_limit: RFC 5321 6.3"
    with Instance({"hopcount_limit": 5}) as i:
        c = Client(i)
        line = "Received: from a by b; date\n"
        r = c.message(line * 5 + "\nb\n", **REMOTE)
        eq(r.code, "2.0.0")
        r = c.message(line * 6 + "\nb\n", **REMOTE)
        eq((r.smtp, r.code, r.text), (554, "5.4.6", "Error: too many hops"))
        assert r.queue_id
        eq(len(i.messages()), 1)


def header_addresses_are_rewritten():
    "canonical, masquerade, append_at_myorigin, append_dot_mydomain"
    tables = {"canonical": "joe@old.test joe@new.test\n"
                           "@both.test @other.test\n",
              "scan": "snd@x.test sender-only@x.test\n"}
    with Instance({"canonical_maps": "texthash:ETC/canonical",
                   "sender_canonical_maps": "texthash:ETC/scan",
                   "masquerade_domains": "!keep.example.com example.com",
                   "masquerade_exceptions": "root",
                   "append_dot_mydomain": "yes",
                   "mydomain": "example.test",
                   "myorigin": "origin.test"}, tables) as i:
        c = Client(i)
        text = ("From: \"Joe, B.\" <joe@old.test> (comment)\n"
                "To: joe@old.test,\n Other <x@both.test>, snd@x.test\n"
                "Cc: a@www.example.com, b@x.keep.example.com,\n"
                "\troot@www.example.com, c@example.com\n"
                "Reply-To: snd@x.test\n"
                "Subject: joe@old.test\nX-To: joe@old.test\n\njoe@old.test\n")
        r = c.message(text, sender="joe@old.test", rcpts=["joe@old.test"],
                      **REMOTE)
        e, m = i.messages()[r.queue_id]
        h = header(m).split("\n", 3)[3]
        eq(h, "From: \"Joe, B.\" <joe@new.test> (comment)\n"
              "To: joe@new.test,\n Other <x@other.test>, snd@x.test\n"
              "Cc: a@example.com, b@x.keep.example.com,\n"
              "\troot@www.example.com, c@example.com\n"
              "Reply-To: sender-only@x.test\n"
              "Subject: joe@old.test\nX-To: joe@old.test\n")
        assert m.endswith(b"\n\njoe@old.test\n")
        eq(e["sender"], "joe@new.test")
        eq(e["rcpts"][0]["addr"], "joe@new.test")
        eq(e["rcpts"][0]["orig"], "joe@old.test")
        # Not for mail that says so.
        r = c.message(text, sender="joe@old.test", rcpts=["joe@old.test"],
                      flags=F_NO_REWRITE, **REMOTE)
        e, m = i.messages()[r.queue_id]
        has(header(m), "<joe@old.test> (comment)")
        eq(e["sender"], "joe@old.test")
        # Local mail is completed, strangers' is not.
        text = "From: joe\nTo: Bob <bob@host>, \"a b\"@x.test\n\nb\n"
        r = c.message(text, **REMOTE)
        has(header(content_of(i, r)), "From: joe\nTo: Bob <bob@host>, ")
        r = c.message(text, **LOCAL)
        has(header(content_of(i, r)), "From: joe@origin.test\n"
            "To: Bob <bob@host.example.test>, \"a b\"@x.test\n")
        i.reload({"remote_header_rewrite_domain": "domain.invalid"})
        r = c.message(text, **REMOTE)
        has(header(content_of(i, r)), "From: joe@domain.invalid\n")
        i.reload({"local_header_rewrite_clients":
                  "permit_mynetworks permit_sasl_authenticated"})
        r = c.message(text, client_addr="127.0.0.9", client_name="x")
        has(header(content_of(i, r)), "From: joe@origin.test\n")
        r = c.message(text, login="joe", **REMOTE)
        has(header(content_of(i, r)), "From: joe@origin.test\n")


def giant_headers_are_cut():
    "header_size_limit"
    with Instance({"header_size_limit": 1000}) as i:
        c = Client(i)
        r = c.message("X: " + "y" * 5000 + "\nS: after\n\nb\n", **REMOTE)
        m = content_of(i, r)
        assert 990 < m.index(b"\nS: after\n") - m.index(b"X: ") < 1010
        r = c.message("X: " + "y" * 100 * 1000 * 100, **REMOTE)
        assert len(content_of(i, r)) < 2000


def the_end_of_a_header_without_a_blank_line():
    "non_empty_end_of_header_action"
    with Instance({"non_empty_end_of_header_action": "add_header"}) as i:
        c = Client(i)
        text = "S: x\nbody\n"
        has(header(content_of(i, c.message(text, **REMOTE))),
            "\nMIME-Error: improper message header termination\n")
        i.reload({"non_empty_end_of_header_action": "reject"})
        eq(c.message(text, **REMOTE).code, "5.6.0")
        eq(c.message("S: x\n\nbody\n", **REMOTE).code, "2.0.0")


def bytes_are_refused_or_stripped():
    "message_reject_characters, message_strip_characters"
    with Instance({"message_strip_characters": r"\0\007"}) as i:
        c = Client(i)
        r = c.message(b"S: x\0y\n\na\0b\x07c\n", **REMOTE)
        assert content_of(i, r).endswith(b"\nS: xy\n\nabc\n")
        i.reload({"message_reject_characters": r"\0"})
        r = c.message(b"S: x\n\na\0b\n", **REMOTE)
        eq((r.smtp, r.code), (550, "5.7.1"))


run([received_has_the_trace_fields,
     missing_headers_are_added_for_local_mail_only,
     some_headers_are_dropped, bodies_are_passed_on_unchanged,
     loops_are_refused, header_addresses_are_rewritten,
     giant_headers_are_cut, the_end_of_a_header_without_a_blank_line,
     bytes_are_refused_or_stripped])
