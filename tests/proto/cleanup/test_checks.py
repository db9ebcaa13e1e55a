#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""header_checks(5): every action, every kind of header, body_checks."""
from cleanuplib import *

REMOTE = dict(client_addr="192.0.2.1", client_name="c.example.net", helo="h")

HEADER = """\
/^Subject: reject/	REJECT
/^Subject: coded/	REJECT 5.7.2 go away
/^Subject: later/	REJECT 4.7.1 come back
/^Subject: text/	reject no such thing
/^Subject: discard/	DISCARD bin
/^Subject: hold/	HOLD look at it
/^Subject: warn/	WARN careful
/^Subject: info/	INFO fyi
/^Subject: ignore/	IGNORE
/^Subject: strip/	STRIP why
/^Subject: dunno/	DUNNO
/^Subject: filter/	FILTER smtp:[127.0.0.1]:10025
/^Subject: redirect/	REDIRECT other@x.test
/^Subject: bcc/	BCC copy@x.test
/^Subject: prepend/	PREPEND X-Before: yes
/^Subject: replace(.*)/	REPLACE Subject: new$1
/^Subject: pass/	PASS
/^Subject: bad/	NONSENSE
/^Subject: folded\\n\\tline$/	REJECT folded
/^Received: .*from hell/	REJECT
/^X-Evil:/	REJECT evil
"""
BODY = """\
/^evil$/	REJECT 5.7.9 body
/^drop$/	IGNORE
/^old(.*)/	REPLACE new$1
/^front/	PREPEND before
/^gone/	DISCARD
"""


def sent(i, c, subject, **kw):
    return c.message(f"Subject: {subject}\n\nb\n", **kw, **REMOTE)


def header_actions():
    "each action of header_checks"
    with Instance({"header_checks": "pcre:ETC/h"}, {"h": HEADER}) as i:
        c = Client(i)
        r = sent(i, c, "reject me")
        eq((r.smtp, r.code, r.text), (550, "5.7.1",
                                      "message content rejected"))
        has(i.log_text(), f"{r.queue_id}: reject: header Subject: reject me "
            "from c.example.net[192.0.2.1]; from=<sender@example.org> "
            "to=<rcpt@example.com> proto=ESMTP helo=<h>: "
            "5.7.1 message content rejected\n")
        r = sent(i, c, "coded")
        eq((r.smtp, r.code, r.text), (550, "5.7.2", "go away"))
        r = sent(i, c, "later")
        eq((r.smtp, r.code, r.text), (451, "4.7.1", "come back"))
        r = sent(i, c, "text")
        eq((r.smtp, r.code, r.text), (550, "5.7.1", "no such thing"))
        has(i.log_text(), "helo=<h>: no such thing\n")
        r = sent(i, c, "discard")
        eq((r.code, r.discard), ("2.0.0", True))
        has(i.log_text(), f"{r.queue_id}: discard: header Subject: discard ")
        eq(i.messages(), {})
        r = c.message("Subject: folded\n\tline\n\nb\n", **REMOTE)
        eq(r.text, "folded")

        def stored(subject):
            r = sent(i, c, subject)
            eq((r.code, r.discard), ("2.0.0", False))
            e, m = i.messages()[r.queue_id]
            return r.queue_id, e, header(m)

        q, e, h = stored("hold")
        assert e["flags"] & F_HOLD
        has(i.log_text(), f"{q}: hold: header Subject: hold from ")
        for word, action in (("warn", "warning"), ("info", "info")):
            q, e, h = stored(word)
            has(h, f"\nSubject: {word}\n")
            has(i.log_text(), f"{q}: {action}: header Subject: {word} from ")
        for word in ("ignore", "strip"):
            q, e, h = stored(word)
            assert "Subject" not in h
        has(i.log_text(), f"{q}: strip: header Subject: strip from ")
        has(stored("dunno")[2], "\nSubject: dunno\n")
        eq(stored("filter")[1]["filter"], "smtp:[127.0.0.1]:10025")
        e = stored("redirect")[1]
        eq([x["addr"] for x in e["rcpts"]], ["other@x.test"])
        e = stored("bcc")[1]
        eq([x["addr"] for x in e["rcpts"]],
           ["rcpt@example.com", "copy@x.test"])
        eq(e["rcpts"][1]["notify"], 1)
        has(stored("prepend")[2], "\nX-Before: yes\nSubject: prepend\n")
        has(stored("replaced")[2], "\nSubject: newd\n")
        q, e, h = stored("bad")
        has(i.log_text(), "unknown action in \"NONSENSE\"")
        # PASS: what comes later is not looked at.
        r = c.message("Subject: pass\nX-Evil: 1\n\nb\n", **REMOTE)
        eq(r.code, "2.0.0")
        r = c.message("X-Evil: 1\nSubject: pass\n\nb\n", **REMOTE)
        eq(r.code, "5.7.1")
        # Internal mail is not checked; our own Received is not either.
        r = sent(i, c, "reject", flags=F_NO_CHECKS)
        eq(r.code, "2.0.0")
        r = c.message("S: x\n\nb\n", client_addr="192.0.2.1",
                      client_name="x", helo="from hell")
        eq(r.code, "2.0.0")


MULTI = """\
Subject: top
Content-Type: multipart/mixed; boundary=bb

drop
--bb
Content-Type: text/plain
%s

text
--bb
Content-Type: message/rfc822

Subject: inner
%s

%s
--bb--
"""


def parts_and_attached_messages():
    "mime_header_checks, nested_header_checks, body_checks"
    tables = {"m": "/^X-Evil/ REJECT mime\n", "n": "/^X-Evil/ REJECT nested\n",
              "h": "/^X-Evil/ REJECT header\n/^Subject: inner/ REJECT\n",
              "b": BODY}
    with Instance({"header_checks": "regexp:ETC/h",
                   "mime_header_checks": "regexp:ETC/m",
                   "nested_header_checks": "regexp:ETC/n",
                   "body_checks": "pcre:ETC/b"}, tables) as i:
        c = Client(i)
        r = c.message(MULTI % ("X: 1", "X: 2", "ok"), **REMOTE)
        eq(r.code, "2.0.0")
        m = i.messages()[r.queue_id][1].decode()
        eq(m[m.index("Subject: top"):],
           (MULTI % ("X: 1", "X: 2", "ok")).replace("\ndrop\n", "\n", 1))
        eq(c.message(MULTI % ("X-Evil: 1", "X", "ok"), **REMOTE).text, "mime")
        eq(c.message(MULTI % ("X: 1", "X-Evil: 2", "ok"), **REMOTE).text,
           "nested")
        eq(c.message("X-Evil: 1\n\n", **REMOTE).text, "header")
        r = c.message(MULTI % ("X: 1", "X: 2", "evil"), **REMOTE)
        eq((r.smtp, r.code, r.text), (550, "5.7.9", "body"))
        has(i.log_text(), f"{r.queue_id}: reject: body evil from ")
        r = c.message("S: x\n\nold thing\nfront\nrest\n", **REMOTE)
        assert i.messages()[r.queue_id][1].endswith(
            b"\n\nnew thing\nbefore\nfront\nrest\n")
        # One byte at a time.
        r = c.message(MULTI % ("X: 1", "X: 2", "evil"), chunk=1, **REMOTE)
        eq(r.code, "5.7.9")
        assert c.message("S: x\n\ngone\n", **REMOTE).discard
        # Only so much of a body.
        i.reload({"body_checks_size_limit": "100"})
        r = c.message("S: x\n\n" + "y" * 120 + "\nevil\n", **REMOTE)
        eq(r.code, "2.0.0")


def nesting_is_bounded():
    "mime_nesting_limit"
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"
                   for n in range(30)) + "\nx\n"
    with Instance({"mime_nesting_limit": 20}) as i:
        c = Client(i)
        eq(c.message(deep, **REMOTE).code, "2.0.0")
        i.write("h", "/x/ DUNNO\n")
        i.reload({"header_checks": "regexp:ETC/h"})
        r = c.message(deep, **REMOTE)
        eq((r.smtp, r.code), (550, "5.6.0"))


def strict_8bit():
    "strict_7bit_headers, strict_8bitmime_body"
    with Instance({"strict_7bit_headers": "yes"}) as i:
        c = Client(i)
        eq(c.message("S: \xe4\n\nb\n", **REMOTE).code, "5.6.2")
        eq(c.message("S: a\n\n\xe4\n", **REMOTE).code, "2.0.0")
        i.reload({"strict_7bit_headers": "no",
                  "strict_8bitmime_body": "yes"})
        eq(c.message("S: \xe4\n\nb\n", **REMOTE).code, "2.0.0")
        eq(c.message("S: a\n\n\xe4\n", **REMOTE).code, "5.6.1")
        eq(c.message("MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n"
                     "\xe4\n", **REMOTE).code, "2.0.0")


def a_table_that_fails_refuses_for_now():
    "nothing is let through unchecked, nothing is lost"
    with Instance({"header_checks": "fail:x"}) as i:
        c = Client(i)
        r = c.message("S: x\n\nb\n", **REMOTE)
        eq((r.smtp, r.code), (451, "4.3.0"))
        # A reload that cannot be: the old settings stay.
        i.reload({"header_checks": "regexp:ETC/not-there"})
        eq(c.message("S: x\n\nb\n", **REMOTE).code, "4.3.0")
        i.write("h", "/x/ REJECT\n")
        i.reload({"header_checks": "regexp:ETC/h"})
        eq(c.message("S: x\n\nb\n", **REMOTE).code, "5.7.1")
        i.reload({"header_checks": ""})
        eq(c.message("S: x\n\nb\n", **REMOTE).code, "2.0.0")


def a_table_that_is_missing_at_the_start():
    "mail waits; when the table is there, it goes on"
    with Instance({"virtual_alias_maps": "texthash:ETC/later"}) as i:
        c = Client(i)
        r = c.message("S: x\n\nb\n", **REMOTE)
        eq(r.smtp, 451)
        i.write("later", "rcpt@example.com other@x.test\n")
        deadline = time.time() + 10
        while r.code != "2.0.0":
            assert time.time() < deadline
            time.sleep(0.2)
            r = c.message("S: x\n\nb\n", **REMOTE)
        eq(i.messages()[r.queue_id][0]["rcpts"][0]["addr"], "other@x.test")
    with Instance({"canonical_classes": "nonsense"}) as i:
        r = Client(i).message("S: x\n\nb\n", **REMOTE)
        eq((r.smtp, r.code), (451, "4.3.5"))
        has(i.log_text(), "mail is answered 451 until this is put right")
        i.reload({"canonical_classes": ""})
        eq(Client(i).message("S: x\n\nb\n", **REMOTE).code, "2.0.0")


run([header_actions, a_table_that_is_missing_at_the_start, parts_and_attached_messages, nesting_is_bounded,
     strict_8bit, a_table_that_fails_refuses_for_now])
