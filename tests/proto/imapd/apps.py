# SPDX-License-Identifier: ISC
"""What mail apps say: one dialogue for each, for test_apps.py.

Each app finds a mailbox of its own with the three MAILS of test_apps.py, UIDs
1 to 3.  A line is a command and regular expressions, each for one line of the
answer, which must be OK unless the first of them is NO or BAD.
"""
DRAFT = ("Subject: draft\r\nX-Uniform-Type-Identifier: com.apple.mail-draft"
         "\r\nMessage-ID: <d1@x>\r\nContent-Type: text/plain; charset=utf-8"
         "\r\n\r\nhalf a =C3=BC\r\n")
NON_ASCII = "Subject: grüße\r\n\r\nschöne\r\n"


def append(box, flags, text, utf8=False):
    n = len(text.encode())
    return (f'APPEND "{box}" ({flags}) UTF8 (~{{{n}+}}\r\n{text})' if utf8
            else f'APPEND "{box}" ({flags}) {{{n}+}}\r\n{text}')


IOS_HEADERS = (
    "date subject from to cc message-id in-reply-to references content-type "
    "x-priority x-uniform-type-identifier x-universally-unique-identifier "
    "list-id list-unsubscribe bimi-indicator bimi-location "
    "x-bimi-indicator-hash authentication-results dkim-signature")
K9_HEADERS = (
    "date subject from content-type to reply-to message-id references "
    "in-reply-to list-unsubscribe sender X-K9mail-Identity cc bcc")
PINE_HEADERS = (
    "Newsgroups Content-MD5 Content-Disposition Content-Language "
    "Content-Location Followup-To References")

APPS = {
    "iOS Mail": [
        ("CAPABILITY", r"^\* CAPABILITY .*\bIDLE\b"),
        ('ID ("name" "iPhone Mail" "version" "22F76" "os" "iOS" '
         '"os-version" "18.5 (22F76)")', r"^\* ID "),
        # Where it is advertised only, and harmless where it is not.
        ("XAPPLEPUSHSERVICE aps-version 2 aps-account-id 0715A26B "
         "aps-device-token 2918390218 aps-subtopic com.apple.mobilemail "
         "mailboxes (INBOX Notes)", "BAD"),
        ("ENABLE CONDSTORE", r"^\* ENABLED CONDSTORE"),
        ("NAMESPACE", r'^\* NAMESPACE \(\("" "/"\)'),
        ('LIST "" ""', r'"/" ""$'),
        ('LIST "" "*"', r'\\Drafts.*Drafts', r'\\Trash.*Trash'),
        ('LSUB "" "*"', r'INBOX'),
        ("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN "
         "HIGHESTMODSEQ)", r"MESSAGES 3 .*HIGHESTMODSEQ \d"),
        ("STATUS Nowhere (MESSAGES)", "NO", r"NONEXISTENT"),
        ("SELECT INBOX", r"^\* 3 EXISTS", r"UIDNEXT 4"),
        ("FETCH 1:* (FLAGS UID)", r"^\* 3 FETCH \("),
        ("UID FETCH 1:* (FLAGS)", r"^\* 1 FETCH \("),
        (f"UID FETCH 1:3 (INTERNALDATE UID RFC822.SIZE FLAGS "
         f"BODY.PEEK[HEADER.FIELDS ({IOS_HEADERS})])",
         r"^\* 3 FETCH .*RFC822.SIZE"),
        ("UID FETCH 3 (BODYSTRUCTURE BODY.PEEK[HEADER])", r'"a.pdf"'),
        ("UID FETCH 3 (BODY.PEEK[1.MIME] BODY.PEEK[1] BODY.PEEK[2.MIME] "
         "BODY.PEEK[2])", r"BODY\[2\]", r"JVBERg=="),
        ("UID SEARCH 1:* UNDELETED", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH UNDELETED SINCE 1-Jan-2020", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH RETURN (ALL) UID 1:3 UNDELETED",
         r"^\* ESEARCH .* UID ALL 1:3$"),
        ("UID STORE 1 +FLAGS.SILENT (\\Seen)",),
        ("UID STORE 2 +FLAGS.SILENT (\\Flagged $MailFlagBit0 "
         "$MailFlagBit2)",),
        ("IDLE\r\nDONE", r"^\+ "),
        (append("Drafts", "\\Seen \\Draft $NotJunk NotJunk", DRAFT),
         r"APPENDUID \d+ 1"),
        (append("Drafts", "\\Seen \\Draft", DRAFT), r"APPENDUID \d+ 2"),
        ("SELECT Drafts", r"^\* 2 EXISTS"),
        ("UID SEARCH HEADER Message-ID <d1@x> NOT DELETED",
         r"^\* SEARCH 1 2$"),
        ("UID STORE 1 +FLAGS.SILENT (\\Deleted)",),
        ("UID EXPUNGE 1", r"^\* 1 EXPUNGE"),
        ("SELECT INBOX", r"\[CLOSED\]", r"^\* 3 EXISTS"),
        ("UID COPY 2 Archive", "NO", r"TRYCREATE"),
        ("CREATE Archive",), ("SUBSCRIBE Archive",),
        ("UID COPY 2 Archive", r"COPYUID \d+ 2 1"),
        ("UID STORE 2 +FLAGS.SILENT (\\Deleted)",),
        ("UID EXPUNGE 2", r"^\* 2 EXPUNGE"),
        ("UID MOVE 3 Trash", r"COPYUID", r"^\* 2 EXPUNGE"),
        ("CLOSE",), ("LOGOUT", r"^\* BYE"),
    ],
    "macOS Mail": [
        ('ID ("name" "Mac OS X Mail" "version" "16.0 (3826.600.51)" "os" '
         '"Mac OS X" "os-version" "15.5" "vendor" "Apple Inc.")', r"^\* ID "),
        ("ENABLE CONDSTORE QRESYNC", r"^\* ENABLED .*QRESYNC"),
        ('GETQUOTAROOT "INBOX"', r"^\* QUOTAROOT INBOX"),
        ('LIST "" "*" RETURN (SPECIAL-USE)', r"\\Junk"),
        ("SELECT INBOX (CONDSTORE)", r"HIGHESTMODSEQ"),
        ("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)", r"^\* 3 FETCH .*MODSEQ"),
        ("UID FETCH 1:3 (FLAGS UID MODSEQ)", r"MODSEQ \(\d"),
        ("UID FETCH 2 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])", r"BODY\[TEXT\]"),
        ("UID STORE 1 (UNCHANGEDSINCE 99999999) +FLAGS.SILENT "
         "(\\Answered $Forwarded)", r"MODSEQ"),
        ("UID STORE 1 -FLAGS.SILENT ($Forwarded Redirected)", r"MODSEQ"),
        ("UID SEARCH CHARSET UTF-8 OR HEADER Subject {7+}\r\ngrüße BODY "
         "{7+}\r\ngrüße", r"^\* SEARCH 2$"),
        ('RENAME "Drafts" "Entw&APw-rfe"',), ('LIST "" "Entw*"', r"&APw-"),
        ("IDLE\r\nDONE",), ("LOGOUT", r"^\* BYE"),
    ],
    "Outlook for Windows, older": [
        ("CAPABILITY",),
        ('LSUB "" "*"', r"INBOX"), ('XLIST "" "*"', "BAD"),
        ('LIST "" "Inbox"', r'^\* LIST .* "?INBOX"?$'),
        ('SELECT "Inbox"', r"^\* 3 EXISTS"),
        ("UID FETCH 1:* (UID FLAGS)", r"^\* 3 FETCH"),
        ("FETCH 1:3 (BODY.PEEK[HEADER] BODYSTRUCTURE UID FLAGS INTERNALDATE "
         "RFC822.SIZE)", r"^\* 2 FETCH"),
        ("UID FETCH 1 (BODY.PEEK[]<0.60> UID)", r"BODY\[\]<0> \{60\}"),
        ("UID FETCH 1 (BODY.PEEK[]<60.16384> UID)", r"BODY\[\]<60> "),
        ("UID FETCH 1 (BODY.PEEK[]<16384.16384> UID)",
         r'BODY\[\]<16384> ("")'),
        ("IDLE\r\nDONE",), ("IDLE\r\nDONE",), ("IDLE\r\nDONE",),
        ("UID STORE 1 +FLAGS (\\Seen)", r"\\Seen"),
        ("UID STORE 1 -FLAGS (\\Seen)", r"FLAGS"),
        ('UID COPY 1 "Deleted Items"', "NO", r"TRYCREATE"),
        ('CREATE "Deleted Items"',), ('SUBSCRIBE "Deleted Items"',),
        ('UID COPY 1 "Deleted Items"', r"COPYUID"),
        ("UID STORE 1 +FLAGS (\\Deleted \\Seen)", r"\\Deleted"),
        ("UID STORE 1 -FLAGS (\\Deleted)", r"FLAGS"),
        ("UID STORE 1 +FLAGS.SILENT (\\Deleted)",),
        ("EXPUNGE", r"^\* 1 EXPUNGE"),
        ("UID FETCH 4:* (UID FLAGS)", r"^\* 2 FETCH \(UID 3 "),
        ("NOOP",), ("CLOSE",), ("LOGOUT", r"^\* BYE"),
    ],
    "Outlook for phones, and the newer one": [
        ('ID ("name" "Outlook-iOS-Android/2.0" "version" "2")', r"^\* ID "),
        ('LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED)', r"\\Sent"),
        ("STATUS INBOX (UIDVALIDITY UIDNEXT MESSAGES UNSEEN)", r"UNSEEN 3"),
        ("EXAMINE INBOX", r"READ-ONLY"),
        ("UID SEARCH UID 1:* SINCE 1-Jan-2020", r"^\* SEARCH 1 2 3$"),
        ("UID FETCH 1,2,3 (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE "
         "ENVELOPE BODY.PEEK[HEADER.FIELDS (References X-Priority Importance "
         "X-MS-Exchange-Organization-SCL)])", r"^\* 3 FETCH"),
        ("UID FETCH 2 (BODY.PEEK[1] BODY.PEEK[2] BODY.PEEK[2.MIME])",
         r"BODY\[2\.MIME\]"),
        ("SELECT INBOX", r"READ-WRITE"),
        ("UID STORE 1:3 +FLAGS.SILENT (\\Seen)",),
        ("UID MOVE 1:2 Junk", r"COPYUID \d+ 1:2 1:2"),
        ("LOGOUT",),
    ],
    "K-9 and Thunderbird for Android": [
        ('ID ("name" "K-9 Mail" "version" "8.0")', r"^\* ID "),
        ("NAMESPACE",),
        ('LIST "" "*" RETURN (SPECIAL-USE)', r"\\Trash"),
        ('LSUB "" "*"',),
        ('SELECT "INBOX"', r"PERMANENTFLAGS .*\\\*"),
        ("UID SEARCH 1:* NOT DELETED", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH 1:3 SINCE 01-Jan-2020 NOT DELETED",
         r"^\* SEARCH 1 2 3$"),
        (f"UID FETCH 3,2,1 (UID FLAGS INTERNALDATE RFC822.SIZE "
         f"BODY.PEEK[HEADER.FIELDS ({K9_HEADERS})])", r"^\* 3 FETCH"),
        ("UID FETCH 1,2 (UID BODYSTRUCTURE)", r'"alternative"'),
        ("UID FETCH 3 (UID BODY.PEEK[TEXT]<0.32768>)", r"BODY\[TEXT\]<0>"),
        ("UID FETCH 3 (UID BODY.PEEK[2])", r"JVBERg=="),
        ("UID FETCH 1:3 (UID FLAGS)", r"^\* 2 FETCH"),
        ('UID SEARCH HEADER MESSAGE-ID "<2@x>"', r"^\* SEARCH 2$"),
        ('UID SEARCH (TEXT "text")', r"^\* SEARCH 2$"),
        ("UID SEARCH UID 3 NOT DELETED", r"^\* SEARCH 3$"),
        ("UID STORE 2 +FLAGS.SILENT (\\Answered $Forwarded)",),
        ('UID MOVE 2 "Trash"', r"COPYUID"),
        ("NOOP",), ("IDLE\r\nDONE", r"^\+ "),
        (append("Drafts", "\\Seen \\Draft", DRAFT), r"APPENDUID"),
        ('SELECT "Drafts"', r"^\* 1 EXISTS"),
        ("UID STORE 1 +FLAGS.SILENT (\\Deleted)",),
        ("UID EXPUNGE 1", r"^\* 1 EXPUNGE"), ("CLOSE",), ("LOGOUT",),
    ],
    "FairEmail": [
        ("ENABLE UTF8=ACCEPT", r"^\* ENABLED UTF8=ACCEPT"),
        ('ID ("name" "FairEmail" "version" "1.2267")', r"^\* ID "),
        ("NAMESPACE",),
        ('LIST "" "*"', r"\\Drafts"), ('LSUB "" "*"',),
        ("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN "
         "HIGHESTMODSEQ)", r"MESSAGES 3"),
        ("SELECT INBOX", r"^\* 3 EXISTS"),
        ("UID SEARCH SINCE 1-Jan-2020", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH OR SINCE 1-Jan-2026 OR UNSEEN FLAGGED",
         r"^\* SEARCH 1 2 3$"),
        ('UID SEARCH OR OR FROM "grüße" TO "grüße" OR SUBJECT "grüße" '
         'BODY "grüße"', r"^\* SEARCH 2$"),
        ("UID FETCH 1:* (FLAGS)", r"^\* 3 FETCH"),
        ("FETCH 1:3 (ENVELOPE INTERNALDATE RFC822.SIZE FLAGS BODYSTRUCTURE "
         "UID BODY.PEEK[HEADER])", r"^\* 2 FETCH .*ENVELOPE"),
        ("FETCH 3 (BODY.PEEK[2]<0.524288>)", r"BODY\[2\]<0>"),
        ("STORE 1 +FLAGS ($Forwarded $MDNSent $Phishing $label1)",
         r"\$Phishing"),
        ("UID SEARCH KEYWORD $MDNSent", r"^\* SEARCH 1$"),
        ('CREATE "Größe & Söhne"',), ('SUBSCRIBE "Größe & Söhne"',),
        ('LIST "" "Größe*"', r"Größe & Söhne"),
        (append("Größe & Söhne", "\\Seen", NON_ASCII, True), r"APPENDUID"),
        ('MOVE 2 "Größe & Söhne"', r"COPYUID"),
        ('GETQUOTAROOT "INBOX"', r"^\* QUOTAROOT"),
        ("IDLE\r\nDONE",), ("CLOSE",), ("LOGOUT",),
    ],
    "Gmail's app, and Android's before it": [
        ('ID ("name" "com.google.android.gm" "os" "android" "os-version" '
         '"14; UP1A" "vendor" "Google" "x-android-device-model" "Pixel" '
         '"x-android-mobile-net-operator" "test" "AGUID" "QUJD")', r"^\* ID "),
        ('LIST "" "*"', r"INBOX"),
        ("STATUS INBOX (UNSEEN)", r"UNSEEN 3"),
        ('SELECT "INBOX"', r"^\* 3 EXISTS"),
        ("UID SEARCH 1:* UNDELETED", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH SINCE 1-Jan-2020 NOT DELETED", r"^\* SEARCH 1 2 3$"),
        ("UID FETCH 1:3 (UID FLAGS)", r"^\* 3 FETCH"),
        ("UID FETCH 3,2,1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK["
         "HEADER.FIELDS (date subject from content-type to cc message-id)])",
         r"^\* 1 FETCH"),
        ("UID FETCH 2 (UID BODYSTRUCTURE)", r'"html"'),
        ("UID FETCH 2 (UID BODY.PEEK[1])", r"BODY\[1\]"),
        ("UID FETCH 2 (UID BODY.PEEK[]<0.128000>)", r"BODY\[\]<0>"),
        ("UID SEARCH CHARSET UTF-8 OR FROM {7+}\r\ngrüße OR TO {7+}\r\ngrüße "
         "OR SUBJECT {7+}\r\ngrüße BODY {7+}\r\ngrüße", r"^\* SEARCH 2$"),
        ("UID STORE 1 +FLAGS.SILENT (\\SEEN)",),
        ('UID COPY 1 "Trash"', r"COPYUID"),
        ("UID STORE 1 +FLAGS.SILENT (\\DELETED)",),
        ("EXPUNGE", r"^\* 1 EXPUNGE"), ("CLOSE",), ("LOGOUT",),
    ],
    "Gmail fetching from elsewhere": [
        ('LIST "" "*"', r"INBOX"), ("EXAMINE INBOX", r"READ-ONLY"),
        ("UID FETCH 1:* (UID RFC822.SIZE FLAGS INTERNALDATE)",
         r"^\* 3 FETCH"),
        ("UID FETCH 1:2 (UID BODY.PEEK[])", r"^\* 2 FETCH"),
        ("UID SEARCH RETURN (MIN MAX COUNT) ALL", r"MIN 1 MAX 3 COUNT 3"),
        ("SELECT INBOX", r"READ-WRITE"),
        ("UID STORE 1:2 +FLAGS.SILENT (\\Seen)",), ("LOGOUT",),
    ],
    "Samsung Email": [
        ('ID ("name" "com.samsung.android.email.provider" "os" "android")',
         r"^\* ID "),
        ('LIST "" "%"', r"Trash"), ('LIST "" "Sent/%"',),
        ("EXAMINE INBOX", r"^\* 3 EXISTS"), ("SELECT INBOX", r"READ-WRITE"),
        ("UID SEARCH 1:* SINCE 1-Jan-2020", r"^\* SEARCH 1 2 3$"),
        ("UID SEARCH 1:*", r"^\* SEARCH 1 2 3$"),
        ("UID FETCH 1:3 (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE "
         "BODY.PEEK[HEADER.FIELDS (date subject from content-type to cc bcc "
         "message-id x-priority importance reply-to)])", r"^\* 3 FETCH"),
        ("UID FETCH 2 (UID BODY.PEEK[HEADER] BODY.PEEK[1]<0.51200>)",
         r"BODY\[1\]<0>"),
        ("UID FETCH 3 (UID BODY.PEEK[2]<0.51200>)", r"BODY\[2\]<0>"),
        ("UID STORE 3 +FLAGS.SILENT (\\FLAGGED)",),
        ("IDLE\r\nDONE",), ("LOGOUT",),
    ],
    "those on mailcore, and servers that fetch for an app": [
        ('ID ("name" "Spark" "version" "3")', r"^\* ID "),
        ("ENABLE CONDSTORE QRESYNC", r"QRESYNC"),
        ("NAMESPACE",), ('LIST "" ""',), ('LIST "" "*"', r"\\Sent"),
        ("STATUS INBOX (UNSEEN MESSAGES RECENT UIDNEXT UIDVALIDITY "
         "HIGHESTMODSEQ)", r"HIGHESTMODSEQ"),
        ("SELECT INBOX (CONDSTORE)", r"HIGHESTMODSEQ"),
        ("UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 1 VANISHED)",
         r"^\* 3 FETCH .*MODSEQ"),
        ("UID FETCH 1:3 (UID ENVELOPE FLAGS INTERNALDATE BODYSTRUCTURE "
         "RFC822.SIZE BODY.PEEK[HEADER.FIELDS (References)])",
         r"^\* 3 FETCH"),
        ("UID FETCH 3 BODY.PEEK[]", r"BODY\[\]"),
        ("UID FETCH 3 BODY.PEEK[2]", r"JVBERg=="),
        ("UID SEARCH CHARSET utf-8 SUBJECT {7+}\r\ngrüße", r"^\* SEARCH 2$"),
        ("UID STORE 2 +FLAGS.SILENT (\\Deleted)", r"MODSEQ"),
        ("UID EXPUNGE 2", r"^\* VANISHED 2$"),
        ("UID MOVE 3 Trash", r"COPYUID", r"^\* VANISHED 3$"),
        ("IDLE\r\nDONE",), ("LOGOUT",),
    ],
    "imapflow": [
        ('ID ("name" "imapflow" "version" "1.0")', r"^\* ID "),
        ("ENABLE CONDSTORE UTF8=ACCEPT QRESYNC", r"QRESYNC"),
        ('LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED STATUS (MESSAGES UNSEEN '
         'UIDNEXT))', r"^\* STATUS INBOX \(MESSAGES 3"),
        ("SELECT INBOX", r"MAILBOXID"),
        ("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE "
         "RFC822.SIZE EMAILID THREADID MODSEQ BODY.PEEK[HEADER.FIELDS ("
         "subject references)])", r"EMAILID \("),
        ('UID SEARCH RETURN (ALL) TEXT "grüße" NOT SEEN', r"UID ALL 2$"),
        ("UID FETCH 3 (UID BODY.PEEK[2.MIME] BODY.PEEK[2]<0.65536>)",
         r"BODY\[2\]<0>"),
        ("UID STORE 2 +FLAGS (\\Answered $x)", r"MODSEQ"),
        ('CREATE "日本語 & R&D"', r"MAILBOXID"),
        ('UID MOVE 1,3 "日本語 & R&D"', r"^\* VANISHED 1,3$",
         r"COPYUID \d+ 1,3 1:2"),
        ('RENAME "日本語 & R&D" "日本語"',), ('DELETE "日本語"',),
        ("IDLE\r\nDONE",), ("LOGOUT",),
    ],
    "Evolution": [
        ('LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)',
         r"\\Subscribed"),
        ("STATUS INBOX (MESSAGES UNSEEN UIDVALIDITY UIDNEXT HIGHESTMODSEQ)",),
        ('NOTIFY SET (selected (MessageNew (UID RFC822.SIZE RFC822.HEADER '
         'FLAGS) MessageExpunge FlagChange)) (personal (MessageNew '
         'MessageExpunge MailboxName SubscriptionChange))',),
        ("SELECT INBOX (CONDSTORE)", r"HIGHESTMODSEQ"),
        ("UID FETCH 1:* (UID FLAGS)", r"^\* 3 FETCH"),
        ("UID FETCH 1:3 (RFC822.SIZE RFC822.HEADER FLAGS)",
         r"RFC822\.HEADER \{"),
        ("UID FETCH 2 (BODY.PEEK[]<0.32768>)", r"BODY\[\]<0>"),
        ('UID SEARCH OR HEADER SUBJECT "plain" BODY "plain"',
         r"^\* SEARCH 1$"),
        ('UID SEARCH NOT DELETED KEYWORD "$Labelwork"', r"^\* SEARCH$"),
        ("UID STORE 1:2 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Seen)",
         r"MODIFIED 1:2"),
        ("NOTIFY NONE",), ("IDLE\r\nDONE",), ("LOGOUT",),
    ],
    "Geary": [
        ('LIST "" % RETURN (SPECIAL-USE)', r"\\Junk"),
        ("STATUS INBOX (UIDNEXT UIDVALIDITY UNSEEN MESSAGES)",),
        ("SELECT INBOX",), ("UID FETCH 3:* (UID)", r"UID 3"),
        ("FETCH 1:3 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY.PEEK["
         "HEADER.FIELDS (REFERENCES)])", r"^\* 3 FETCH"),
        ("UID FETCH 2 BODY.PEEK[1]<0.256>", r"BODY\[1\]<0>"),
        ("UID FETCH 2 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])",
         r"BODY\[TEXT\]"),
        ("UID FETCH 1:3 PREVIEW (LAZY)", r"PREVIEW"), ("LOGOUT",),
    ],
    "Alpine, and PHP's imap_ functions": [
        ("SELECT INBOX",), ("FETCH 1:3 (UID ENVELOPE BODY.PEEK["
         f"HEADER.FIELDS ({PINE_HEADERS})] INTERNALDATE RFC822.SIZE FLAGS)",
         r"^\* 3 FETCH"),
        ("FETCH 1:3 ALL", r"ENVELOPE"), ("FETCH 1:3 FULL", r"BODY \("),
        ("UID SORT (REVERSE ARRIVAL) US-ASCII ALL", r"^\* SORT [123] [123] [123]$"),
        ("THREAD REFERENCES US-ASCII ALL", r"^\* THREAD \(1 2\)\(3\)$"),
        ("SEARCH CHARSET UTF-8 TEXT grüße", "BAD"),
        ('SEARCH ALL SUBJECT "plain"', r"^\* SEARCH 1$"),
        ("FETCH 2 BODY[TEXT]", r"BODY\[TEXT\]", r"\\Seen"),
        ("STORE 2 -Flags (\\SEEN)", r"FLAGS"),
        ("FETCH 2 RFC822.TEXT", r"RFC822\.TEXT"),
        ("COPY 1:2 Trash", r"COPYUID"), ("CHECK",), ("EXPUNGE",),
        ("LOGOUT",),
    ],
    "Webklex's php-imap, and Laravel's": [
        ('EXAMINE "INBOX"',), ('UID SEARCH UNSEEN SINCE "01-Jan-2020"',
                               r"^\* SEARCH 1 2 3$"),
        ('UID SEARCH UID "1,3"', r"^\* SEARCH 1 3$"),
        ('UID SEARCH NOT UID "2:3"', r"^\* SEARCH 1$"),
        ('SELECT "INBOX"',), ('UID STORE 2 +FLAGS (done)', r"done"),
        ('UID SEARCH KEYWORD "done" FROM "carol"', r"^\* SEARCH 2$"),
        ('UID SEARCH UNKEYWORD "done"', r"^\* SEARCH 1 3$"),
        ("UID SEARCH HEADER Message-ID <2@x>", r"^\* SEARCH 2$"),
        ('UID SEARCH KEYWORD "two words"', "BAD"),
        ('UID SEARCH KEYWORD ""', "BAD"), ('UID SEARCH UID "1', "BAD"),
        ("UID FETCH 1:3 (UID FLAGS)",), ("UID FETCH 1 (RFC822.HEADER)",),
        ("UID FETCH 1 (RFC822.TEXT)", r"\\Seen"), ("LOGOUT",),
    ],
    "Claws, Sylpheed": [
        ('LIST "" ""',), ('LIST "" "%"', r"Sent"), ("EXAMINE INBOX",),
        ("SELECT INBOX",), ("UID FETCH 1:* (UID)", r"UID 3\)"),
        ("UID FETCH 1:3 (UID FLAGS RFC822.SIZE RFC822.HEADER)",
         r"RFC822\.HEADER"),
        ("UID SEARCH ANSWERED", r"^\* SEARCH$"),
        ("UID FETCH 1 BODY.PEEK[]", r"BODY\[\]"),
        ("UID STORE 1:2 +FLAGS.SILENT (\\Seen)",),
        ("UID COPY 1 Trash", r"COPYUID"), ("CLOSE",), ("LOGOUT",),
    ],
}
