#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What mail apps say on a typical day is understood, all of it.

Each dialogue has the commands of one family of clients, in its spelling, and
what the answer must hold beside OK: regular expressions, each for one line.
Those here go on where the last one ended; each of apps.py begins anew.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apps import APPS  # noqa: E402
from imaptalk import Engine  # noqa: E402

MAILS = [
    b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
    b"Subject: plain\r\nDate: Mon, 5 Jan 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@x>\r\nList-Id: <l.example.org>\r\n\r\nhello\r\n",
    b"From: carol@example.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
    b"In-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\ntext\r\n--b\r\n"
    b"Content-Type: text/html\r\n\r\n<p>text</p>\r\n--b--\r\n",
    b"Subject: attachment\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
    b"Content-Disposition: attachment; filename=a.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n",
]
LITERAL = "Subject: mine\r\nX-Uniform-Type-Identifier: x\r\n\r\ntext\r\n"
HEADERS = ("date subject from to cc message-id in-reply-to references "
           "content-type x-priority x-uniform-type-identifier list-id "
           "list-unsubscribe authentication-results dkim-signature")

DIALOGUES = {
    "phone and desktop of a fruit": [
        ('ID ("name" "Mail" "version" "3826" "os" "iOS")', r"^\* ID "),
        ("NAMESPACE", r'^\* NAMESPACE \(\("" "/"\)'),
        ('LIST "" "*"', r'^\* LIST \(.*\\Sent.*\) "/" Sent'),
        ('STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)',
         r"^\* STATUS INBOX \(MESSAGES 3 "),
        ('CREATE "Sent Messages"',), ('SUBSCRIBE "Sent Messages"',),
        ('SELECT "INBOX"', r"^\* 3 EXISTS"),
        ("FETCH 1:3 (FLAGS UID)", r"^\* 3 FETCH \("),
        (f"UID FETCH 1:3 (INTERNALDATE UID RFC822.SIZE FLAGS "
         f"BODY.PEEK[HEADER.FIELDS ({HEADERS})])", r"^\* 1 FETCH .*RFC822.SIZE"),
        ("UID FETCH 2 BODYSTRUCTURE", r'"alternative"'),
        ("UID FETCH 2 (BODY.PEEK[HEADER] BODY.PEEK[1]<0.32768>)",
         r"BODY\[1\]<0> "),
        ("UID STORE 2 +FLAGS.SILENT (\\Seen $NotJunk NotJunk)",),
        ("UID SEARCH 1:* NOT DELETED", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH CHARSET UTF-8 OR OR FROM {7+}\r\ngrüße SUBJECT {7+}\r\n"
         "grüße TEXT hello UNDELETED",
         r"^\* SEARCH 1 2$"),
        (f'APPEND "Sent Messages" (\\Seen $NotJunk NotJunk) '
         f'"05-Jan-2026 10:00:00 +0100" {{{len(LITERAL)}+}}\r\n{LITERAL}',
         r"APPENDUID"),
        ('UID COPY 3 "Sent Messages"', r"COPYUID"),
        ("CHECK",), ("NOOP",), ("CLOSE",),
    ],
    "an office desktop": [
        ('ID ("name" "Microsoft Outlook" "version" "16.0")', r"^\* ID "),
        ('LIST "" "INBOX"', r'^\* LIST \(.*\) "/" INBOX'),
        ('LSUB "" "*"', r'^\* LSUB \(.*\) "/" INBOX'),
        ('LIST "" "%"', r"Trash"),
        ('SELECT "INBOX"', r"^\* 3 EXISTS"),
        ("UID FETCH 1:* (UID FLAGS)", r"^\* 3 FETCH \(UID 3 FLAGS"),
        ("UID FETCH 3 (UID FLAGS RFC822.SIZE BODY.PEEK[] INTERNALDATE)",
         r"BODY\[\] \{"),
        ("UID FETCH 4:* (UID FLAGS RFC822.SIZE)", r"^\* 3 FETCH"),
        ("UID STORE 3 +FLAGS (\\Flagged)", r"\\Flagged"),
        ("UID STORE 3 -FLAGS (\\Flagged)", r"UID 3"),
        ('UID MOVE 3 "Trash"', r"^\* 3 EXPUNGE", r"COPYUID"),
        ('SELECT "Trash"', r"^\* 1 EXISTS"),
        ('UID MOVE 1 "INBOX"', r"^\* 1 EXPUNGE"), ("UNSELECT",),
    ],
    "free phones": [
        ('LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED CHILDREN)',
         r"\\Drafts"),
        ('LIST (SUBSCRIBED) "" "*" RETURN (STATUS (MESSAGES UNSEEN))',
         r"^\* STATUS INBOX"),
        ('STATUS "INBOX" (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY '
         'HIGHESTMODSEQ)', r"HIGHESTMODSEQ"),
        ('EXAMINE "INBOX"', r"\[READ-ONLY\]"),
        ("UID SEARCH 1:* NOT DELETED", r"^\* SEARCH 1 2 4$"),
        ("SEARCH SINCE 1-Jan-2026 UNDELETED", r"^\* SEARCH"),
        (f"FETCH 1:3 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE "
         f"BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ({HEADERS.upper()})])",
         r"^\* 2 FETCH .*ENVELOPE"),
        ("UID FETCH 4 (UID BODY.PEEK[2.MIME] BODY.PEEK[2]<0.262144>)",
         r"BODY\[2\.MIME\]"),
        ("UID FETCH 1 (BODY.PEEK[]<0.262144>)", r"BODY\[\]<0>"),
        ('SELECT "INBOX"', r"READ-WRITE"),
        ('UID SEARCH RETURN (MIN MAX COUNT) UNSEEN', r"^\* ESEARCH .*COUNT"),
        ('UID SEARCH (HEADER Message-ID "<2@x>")', r"^\* SEARCH 2$"),
        ("UID STORE 1 FLAGS (\\Seen \\Answered)", r"\\Answered"),
        ("CLOSE",),
    ],
    "a groupware desktop": [
        ("ENABLE CONDSTORE QRESYNC", r"^\* ENABLED.*QRESYNC"),
        ('SELECT "INBOX" (CONDSTORE)', r"HIGHESTMODSEQ"),
        ("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)",
         r"^\* VANISHED \(EARLIER\) 3$", r"MODSEQ"),
        ("NOTIFY SET (selected (MessageNew (UID RFC822.SIZE RFC822.HEADER "
         "FLAGS) MessageExpunge FlagChange)) (subscribed (MessageNew "
         "MessageExpunge FlagChange))",),
        ("NOTIFY NONE",),
        ("UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Deleted)", r"MODIFIED 1"),
        ('GETQUOTAROOT "INBOX"', r"^\* QUOTAROOT INBOX"),
        ('MYRIGHTS "INBOX"', r"^\* MYRIGHTS INBOX \w+"),
        ('GETMETADATA (DEPTH infinity) "INBOX" (/shared /private)',),
        ("UID THREAD REFERENCES UTF-8 ALL", r"^\* THREAD \(1 2\)\(4\)$"),
        ("UID SORT (REVERSE DATE) UTF-8 ALL", r"^\* SORT "),
        ("UID EXPUNGE 1:*",), ("CLOSE",),
    ],
    "a terminal": [
        ('LIST "" ""', r'^\* LIST \(\\Noselect\) "/" ""$'),
        ('SELECT "INBOX"', r"^\* OK \[UNSEEN \d+\]"),
        ("FETCH 1:3 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK["
         "HEADER.FIELDS (DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES "
         "CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES "
         "LIST-POST X-LABEL)])", r"^\* 3 FETCH"),
        ("UID FETCH 1 BODY.PEEK[]", r"BODY\[\] \{"),
        ("UID STORE 4 +FLAGS.SILENT (Old)",),
        ("EXPUNGE",), ("LOGOUT", r"^\* BYE"),
    ],
}


def talk(client, name, command, wanted):
    lines = [x.decode("utf8", "replace") for x in client.cmd(
        command.encode())]
    want, done = "OK", lines[-1].split(" ")[1]
    if wanted and wanted[0] in ("NO", "BAD"):
        want, *wanted = wanted
    for pattern in wanted:
        if done != want or not any(re.search(pattern, x) for x in lines):
            done = f"{done}, no {pattern!r}"
            break
    if done != want:
        print(f"{name}: {command[:90]}: {done}:", *lines[-6:], sep="\n  ")
    return done == want


def run(dialogues):
    """How many of them go as they should, on one account."""
    engine = Engine()
    try:
        c = engine.client()
        for mail in MAILS:
            c.append("INBOX", mail)
        c.close()
        right = 0
        for app, dialogue in dialogues.items():
            c = engine.client()
            right += all([talk(c, app, command, wanted)
                          for command, *wanted in dialogue])
            c.close()
        return right
    finally:
        engine.stop()


passed = run(DIALOGUES) + sum(run({app: APPS[app]}) for app in APPS)
failed = len(DIALOGUES) + len(APPS) - passed
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(1 if failed else 0)
