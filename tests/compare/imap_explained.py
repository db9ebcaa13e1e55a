# SPDX-License-Identifier: ISC
"""Where our answers are not Dovecot's, and why: dialogue, command, reason.  Both
are regular expressions; the first is of the whole name."""

EXPLAINED = [
    # What is no command (RFC 9051 9, and 2.2: "BAD").
    ("tags", r"!x\]", "] may be in a tag (ASTRING-CHAR)"),
    ("tags", r"!x\x7f", "DEL may not (CTL)"),
    (".*", r"(NOOP|LOGOUT|CAPABILITY|UNSELECT|IDLE|NAMESPACE|EXPUNGE) (x|1)$",
     "no arguments are defined; Dovecot passes them over"),
    (".*", r"(SELECT INBOX|CREATE x|RENAME x y|SUBSCRIBE a|STATUS.*\)|"
     r"COPY 1 a|MOVE 1 a|STORE.*\)|LIST.*\") (x|z|a|y)$", "too many arguments"),
    ("create", r"CREATE a\*c", "list-wildcards need quotes"),
    ("create", r"LIST \"\" a\*", "so it is not there"),
    (".*", r".*(\( |  | \)|\)\()", "one space between words, and none else"),
    (".*", r".*\((SEEN|FLAGS|UID|DATE) \)", "the same"),
    ("append", r".*\(\\Seen\)\{", "the same"),
    (".*", r".*(\(\)|MIN MIN)$", "an empty list of modifiers is none"),
    (".*", r"(UID )?(STORE|FETCH) 1 (FLAGS )?\(\)", "the same"),
    (".*", r"(UID )?STORE 1 FLAGS$", "a list of flags is missing"),
    (".*", r"(UID )?STORE 1 FLAGS \(x[]%*]y\)", "BAD, as no atom can have them"),
    (".*", r".*KEYWORD \\Seen", "flag-keyword is an atom"),
    (".*", r".*(31-Feb|32-Jan|25:00|\+9999)", "there is no such date"),
    ("append", r".*1960", "we keep dates before 1970; Dovecot takes today"),
    ("append", r"FETCH 7", "as those of the commands before; zones are kept"),
    ("append", r"(SELECT|APPEND|NOOP)", "numbers, as fewer were refused above"),
    ("append", r".*\{(-1|03)\+?\}", "-1 is no number, 03 is one"),
    ("append, syn.*", r".*", "what follows a refused command is read anew"),
    ("literals", r".*SUBJECT \{3\}\}", "the line does not end in a literal"),
    ("literals", r".*", "Dovecot ends the connection after {99999999999999}; "
     "we say TOOBIG and go on"),
    (".*", r".*BODY\S*\[(0|4294967297)\]", "section-part is an nz-number"),
    (".*", r".*<0\.0>", "partial's length is an nz-number"),
    (".*", r".*CHARSET FOO FOO", "the charset is seen first"),
    ("id.*", r"ID", "id-params-list is NIL or strings, in pairs (RFC 2971 4)"),
    ("id.*", r"ENABLE$", "at least one capability (RFC 5161 6)"),
    (".*", r".*FETCH 1 RFC822.SIZE $", "a space is let pass only where "
     "nothing can follow"),
    (".*", r".*REVERSE REVERSE", "once (RFC 5256 5)"),
    ("literals ever.*", r"(STATUS ~|ENABLE)", "bytes of a literal that is refused "
     "are no commands"),
    ("nothing.*", r"THREAD", "no space without threads (RFC 5256 5)"),
    # What Dovecot does not know.
    (".*", r".*(EMAILID|STATUS INBOX \(DELETED|PARTIAL -)", "newer than it"),
    # What it does otherwise.
    ("sel.*", r"SELECT INBOX (x|\(\))", "parameters are a list, not empty"),
    ("sel.*", r"(STORE|EXPUNGE|SELECT|UNSELECT)", "a mailbox that is open for "
     "reading is answered NO [READ-ONLY] (RFC 9051 6.3.3), and UNSELECT took "
     "place only once"),
    ("create", r"(CREATE|LIST) .*m/?$", "the name without the delimiter is made "
     "(RFC 9051 6.3.4)"),
    ("create", r"CREATE ~x", "any name; Dovecot's are files"),
    ("delete|rename while.*", r".*", "its own change does not end the "
     "connection; the mailbox is not selected any more, or has a new name"),
    ("delete while.*", r".*", "the same"),
    ("rename", r".*(n/?\*?|z/|\"\")", "a delimiter at the end is passed over"),
    ("list", r"LIST (a/b|/a) \"\"", "the root of a name that is not rooted may "
     "be empty (RFC 9051 6.3.9)"),
    ("list", r"LIST .*RETURN \(SPECIAL-USE\)", "\\UnMarked is not said"),
    ("lsub", r"(UN)?SUBSCRIBE", "a name needs no mailbox (RFC 9051 6.3.7), a "
     "delimiter at its end is passed over"),
    ("lsub", r"(LSUB|LIST)", "and so it is there"),
    ("status", r"STATUS inbox", "INBOX's name is INBOX"),
    ("status", r"STATUS INBOX", "what is there, also of the selected one"),
    (".*", r"(UID )?SEARCH 9:\*", "9:* is *:9, with the last one (RFC 9051 9)"),
    (".*", r".*KEYWORD (x|none)", "to ask for a keyword does not make one"),
    (".*", r".*FROM \"Sender 3 <", "fields are searched as they were written"),
    (".*", r".*BODY\S*\[1\.1\]", "a part that is no multipart has no part 1.1"),
    (".*", r".*BINARY\.SIZE\[\]", "a multipart is not decoded (README, 9)"),
    (".*", r".*BODY\S*\[1\.(HEADER|TEXT)\]", "literal or quoted"),
    (".*", r"(UID )?FETCH 1 \((FLAGS UID|BODY\S* FLAGS)\)", "in the order that "
     "was asked for"),
    (".*store.*", r"(UID )?STORE", "STORE's FETCH comes also where nothing "
     "changed (RFC 9051 6.4.6)"),
    ("order.*", r"STORE", "the same"),
    (".*", r".*THREAD REFERENCES UTF-8 9", "\"* THREAD\" has no space at its end"),
    ("expunged.*|store, seen.*|order.*", r"(STORE|EXPUNGE|(UID )?FETCH|(UID )?"
     r"SEARCH|NOOP|CHECK)", "what others have expunged is still there, as it "
     "was, until that is told (RFC 2180 4.1); when that is, and in which order, "
     "is each server's"),
    ("expunge", r"(UID )?EXPUNGE", "in ascending order, those before it gone; "
     "NO where the mailbox is open for reading"),
    ("copy.*", r"(UID )?(MOVE|COPY|EXAMINE|SELECT|FETCH)", "NO [READ-ONLY] for "
     "MOVE, and other numbers after it"),
    ("idle", r".*", "IDLE has no argument"),
    ("qresync", r"SELECT INBOX \(QRESYNC \(0 1\)", "uidvalidity is an "
     "nz-number"),
    ("qresync", r"(NOOP|SELECT)", "HIGHESTMODSEQ comes with EXPUNGE and STORE; "
     "CLOSED after a refused SELECT above"),
]
