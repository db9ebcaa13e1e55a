#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Roundcube lists, reads, sorts, searches, files, shares and sends mail."""
import imaplib
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from instance import free_port, need_root, skip  # noqa: E402
from mailusers import Users  # noqa: E402
from roundcube import DEFAULTS, PROGRAM, Roundcube  # noqa: E402

BOB, ALICE = "bob@example.test", "alice@example.test"
MAILS = (
    ("From: b@example.org\nTo: bob@example.test\nSubject: beta\n"
     "Message-ID: <1@x>\nDate: Mon, 2 Mar 2026 10:00:00 +0000\n\ntwo words\n"),
    ("From: a@example.org\nTo: bob@example.test\n"
     "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\nMessage-ID: <2@x>\n"
     "MIME-Version: 1.0\nDate: Mon, 2 Mar 2026 11:00:00 +0000\n"
     'Content-Type: multipart/mixed; boundary="x"\n\n--x\n'
     "Content-Type: text/plain; charset=iso-8859-1\n"
     "Content-Transfer-Encoding: quoted-printable\n\nsch=F6ne gr=FC=DFe\n"
     "--x\nContent-Type: text/csv\n"
     'Content-Disposition: attachment; filename="list.csv"\n'
     "Content-Transfer-Encoding: base64\n\nMSwyLDMK\n--x--\n"),
    ("From: c@example.org\nTo: bob@example.test\nSubject: Re: beta\n"
     "Message-ID: <3@x>\nIn-Reply-To: <1@x>\nReferences: <1@x>\n"
     "Date: Mon, 2 Mar 2026 12:00:00 +0000\n\nan answer\n"),
)


class Suite(Users):
    def __init__(self):
        self.submission = free_port()
        super().__init__(tls=True, services=(
            f"127.0.0.1:{self.submission} inet n - - - - smtpd\n"
            "  -o smtpd_sasl_auth_enable=yes\n"
            "  -o smtpd_tls_security_level=encrypt\n"
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,"
            "reject\n"))

    def imap(self, user="bob", password="builder"):
        c = imaplib.IMAP4("127.0.0.1", self.imap_port)
        c.login(f"{user}@example.test", password)
        return c


def listing(r):
    assert r.messages("INBOX") == {1: "beta", 2: "grüße", 3: "Re: beta"}
    order = {by: list(r.messages("INBOX", _sort=by)) for by in
             ("subject_ASC", "from_ASC", "date_DESC", "size_DESC")}
    assert order == {"subject_ASC": [1, 3, 2], "from_ASC": [2, 1, 3],
                     "date_DESC": [3, 2, 1],
                     "size_DESC": [2, 3, 1]}, order
    got = r.mail("list", _mbox="INBOX", _threads="1")["exec"]
    assert '"unread_children":' in got and '"parent_uid":1' in got, got


def reading(r):
    page = r.get("mail", "show", _uid=2, _mbox="INBOX")
    assert "schöne grüße" in page and "list.csv" in page
    part = re.search(r"_part=([\d.]+)[^\"]*_download=1", page)
    got = r.get("mail", "get", _uid=2, _mbox="INBOX",
                _part=part[1] if part else "2", _download=1)
    assert got == "1,2,3\n", got
    assert "Return-Path" in r.get("mail", "viewsource", _uid=2, _mbox="INBOX")


def searching(r):
    for word, where, want in (("GRÜ", "subject", {2}),
                              ("words", "text", {1}),
                              ("nothing", "text", set())):
        got = r.messages("INBOX", "search", _q=word, _headers=where,
                         _scope="base")
        assert set(got) == want, (word, got)
    assert set(r.messages("INBOX", _filter="ALL", _search="")) == {1, 2, 3}


def marking(r):
    for flag in ("read", "flagged"):
        r.mail("mark", {"_uid": "1", "_mbox": "INBOX", "_flag": flag})
    with m.imap() as c:
        c.select("INBOX")
        assert c.search(None, "SEEN FLAGGED UID 1")[1] == [b"1"]
    r.mail("mark", {"_uid": "1", "_mbox": "INBOX", "_flag": "unread"})
    assert set(r.messages("INBOX", "search", _q="", _filter="UNSEEN",
                          _headers="subject", _scope="base")) >= {1}


def filing(r):
    r.get("settings", "save-folder", {
        "_name": "Prøve & co", "_parent": "", "_options": "1"})
    with m.imap() as c:
        assert b"Pr&APg-ve &- co" in b"".join(c.list()[1])
    r.mail("move", {"_uid": "1,3", "_mbox": "INBOX",
                    "_target_mbox": "Pr&APg-ve &- co"})
    assert set(r.messages("Pr&APg-ve &- co").values()) == {"beta", "Re: beta"}
    r.mail("copy", {"_uid": "2", "_mbox": "INBOX", "_target_mbox": "Trash"})
    r.mail("delete", {"_uid": "2", "_mbox": "INBOX"})
    r.mail("purge", {"_mbox": "Trash"})
    for box, n in (("INBOX", 0), ("Trash", 0)):
        got = r.messages(box)
        assert len(got) == n, (box, got)


def sharing(r):
    """The acl plug-in lists rights and gives them."""
    page = r.get("settings", "edit-folder", _mbox="Sent", _framed=1)
    assert BOB in page or "acltable" in page, page[:2000]
    r.get("settings", "plugin.acl", {
        "_act": "save", "_user": "alice@example.test", "_acl": "lrs",
        "_mbox": "Sent", "_old": ""}, remote=True)
    with m.imap() as c:
        acl = c.getacl("Sent")[1][0]
        assert b"alice@example.test lrs" in acl, acl


def sending(r):
    r.get("mail", "compose", _to=ALICE)
    page = r.get("mail", "compose", **dict(
        pair.split("=") for pair in r.url.partition("?")[2].split("&")
        if pair.startswith("_id=")))
    number = re.search(r'"compose_id":"(\w+)"', page)[1]
    sender = re.search(r'<option value="(\d+)"[^>]*>[^<]*bob@', page)
    r.get("mail", "send", {
        "_id": number, "_task": "mail", "_action": "send",
        "_from": sender[1] if sender else "1", "_to": ALICE,
        "_subject": "From the web – grüße", "_message": "hello from a page",
        "_is_html": "0", "_store_target": "Sent", "_framed": "1",
        "_draft": "", "_draft_saveid": "", "_attachments": ""},
        _framed=1)
    m.wait_idle()
    with m.imap("alice", "wonderland") as c:
        c.select("INBOX")
        found = c.search(None, 'BODY "hello from a page"')[1][0]
        assert len(found.split()) == 1, r.log()
    assert "From the web – grüße" in r.messages("Sent").values()


need_root()
for program in (DEFAULTS, PROGRAM):
    if not os.path.exists(program):
        skip("no Roundcube here")
if shutil.which("php") is None:
    skip("no PHP here")
cases = [listing, reading, searching, marking, filing, sharing, sending]
passed = failed = skipped = 0
if not os.path.exists(f"{PROGRAM}/plugins/acl"):
    print("skip: sharing: no plug-ins of Roundcube here")
    cases.remove(sharing)
    skipped += 1
with tempfile.TemporaryDirectory() as scratch, Suite() as m:
    for text in MAILS:
        m.send("bob", text)
        m.wait_idle()
    with Roundcube(f"{scratch}/web", f"tls://localhost:{m.imap_port}",
                   f"tls://localhost:{m.submission}", m.ca) as r:
        r.login(BOB, "builder")
        for case in cases:
            try:
                case(r)
                passed += 1
            except AssertionError as e:
                failed += 1
                print(f"{case.__name__}: {e}\n{r.log()}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
