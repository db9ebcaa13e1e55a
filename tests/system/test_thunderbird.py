#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 400
"""Thunderbird reads, files, searches and sends mail, and fetches it by POP3."""
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from instance import free_port, need_root, skip  # noqa: E402
from mailusers import Users  # noqa: E402
from thunderbird import PLAIN, STARTTLS, TLS, Thunderbird  # noqa: E402

BOB, ALICE = "bob@example.test", "alice@example.test"


def imap_folders(t):
    """The account opens; the special folders are recognised as such."""
    t.js('await refresh(folder("INBOX"));'
         'await until("Trash", () => folder("Trash"));')
    for name, flag in (("Sent", "SentMail"), ("Drafts", "Drafts"),
                       ("Trash", "Trash"), ("Junk", "Junk")):
        assert t.js("return !!(folder(args[0]) && folder(args[0]).getFlag("
                    "Ci.nsMsgFolderFlags[args[1]]))", name, flag), name
    assert t.js('return subjects(folder("INBOX"))') == ["first"]


def imap_push(t):
    """Mail that comes while Thunderbird idles is shown without a question."""
    t.idles()
    m.send("bob", "From: a@example.org\nSubject: pushed\n\nhello\n")
    t.js('await until("pushed", () => find(folder("INBOX"), "pushed"));')


def imap_read(t):
    """A message's text and its attachment are what was sent."""
    m.send("bob", "From: a@example.org\nSubject: parts\nMIME-Version: 1.0\n"
           'Content-Type: multipart/mixed; boundary="x"\n\n--x\n'
           "Content-Type: text/plain; charset=utf-8\n"
           "Content-Transfer-Encoding: quoted-printable\n\n"
           "gr=C3=BC=C3=9Fe\n--x\nContent-Type: application/octet-stream\n"
           'Content-Disposition: attachment; filename="a.bin"\n'
           "Content-Transfer-Encoding: base64\n\nAAECAwQ=\n--x--\n")
    got = t.js("""
const f = folder("INBOX");
// It may come in the answer to another command, of which no notice is taken.
const h = await until("parts", async () => { await refresh(f);
    return find(f, "parts"); });
const {MsgHdrToMimeMessage} = ChromeUtils.importESModule(
    "resource:///modules/gloda/MimeMessage.sys.mjs");
const mime = await new Promise(r => MsgHdrToMimeMessage(h, null,
    (hdr, mime) => r(mime), true, {examineEncryptedParts: true}));
return [mime.coerceBodyToPlaintext(f).trim(),
    mime.allAttachments.map(a => a.name + " " + a.contentType)];
""")
    assert got == ["grüße", ["a.bin application/octet-stream"]], got


def imap_flags(t):
    """What is marked here is marked there, and the other way round."""
    t.js("""
const f = folder("INBOX"), h = find(f, "pushed");
f.markMessagesRead([h], true); f.markMessagesFlagged([h], true);
f.addKeywordsToMessages([h], "$label1 own_word");
await sleep(300); await refresh(f);
""")
    t.idles()
    with m.imap() as c:
        c.select("INBOX")
        found = c.search(None, "SEEN FLAGGED KEYWORD $label1 KEYWORD own_word")
        assert len(found[1][0].split()) == 1, found
        n = c.search(None, 'SUBJECT "first"')[1][0].decode()
        c.store(n, "+FLAGS", r"(\Answered)")
    t.js('await until("answered", () => find(folder("INBOX"), "first").flags &'
         ' Ci.nsMsgMessageFlags.Replied);')


def imap_filing(t):
    """Folders are made, renamed and removed; messages copied and moved."""
    t.js("""
const root = server().rootFolder, inbox = folder("INBOX");
root.createSubfolder("Projects", null);
const f = await until("Projects", () => folder("Projects"));
let l = done();
MailServices.copy.copyMessages(inbox, [find(inbox, "first")], f, false, l,
    null, false);
await l.promise;
l = done();
MailServices.copy.copyMessages(inbox, [find(inbox, "parts")], f, true, l,
    null, false);
await l.promise;
await refresh(f);
await until("both there", () => subjects(f).join() == "first,parts");
await until("one gone", () => !find(inbox, "parts"));
f.rename("Work", null);
await until("renamed", () => folder("Work") && !folder("Projects"));
""")
    with m.imap() as c:
        assert c.status("Work", "(MESSAGES)")[1] == [b"Work (MESSAGES 2)"]
    t.js("""
const f = folder("Work"); await refresh(f);
f.deleteMessages([find(f, "parts")], null, false, true, null, false);
await until("gone", () => !find(f, "parts"));
const trash = folder("Trash");
await refresh(trash);
await until("in the trash", () => find(trash, "parts"));
let l = done(); f.emptyTrash(l); await l.promise;
""")
    with m.imap() as c:
        assert c.status("Trash", "(MESSAGES)")[1] == [b"Trash (MESSAGES 0)"]


def imap_names(t):
    """Names that need encoding, a folder in another, and thrown away."""
    t.js("""
const root = server().rootFolder;
root.createSubfolder("Größe & Söhne", null);
const f = await until("made", () => folder("Größe & Söhne"));
f.createSubfolder("日本語", null);
const inner = await until("made inside", () => folder("日本語"));
inner.rename("R&D ~ 1", null);
await until("renamed", () => folder("R&D ~ 1"));
""")
    with m.imap() as c:
        names = [x.split(b'"/" ')[1].strip(b'"') for x in c.list()[1]]
        assert b"Gr&APYA3w-e &- S&APY-hne/R&-D ~ 1" in names, names
        lsub = b"\n".join(c.lsub()[1])
        assert b"S&APY-hne/R&-D ~ 1" in lsub, lsub
    t.js("""
MailServices.copy.copyFolder(folder("R&D ~ 1"), folder("Trash"), true, done(),
    null);
await until("in the trash", () => folder("R&D ~ 1").parent == folder("Trash"));
""")
    with m.imap() as c:
        assert b"Trash/R&-D ~ 1" in b"\n".join(c.list()[1]), c.list()


def imap_drafts(t):
    """A draft is saved, and replaced when it is saved again."""
    t.js("""
const a = MailServices.accounts.accounts[0], id = a.defaultIdentity;
const drafts = folder("Drafts");
for (const body of ["half", "half a sentence – and a dash"]) {
    const old = find(drafts, "unfinished");
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"]
        .createInstance(Ci.nsIMsgCompFields);
    fields.from = id.email; fields.subject = "unfinished";
    const file = Services.dirsvc.get("TmpD", Ci.nsIFile);
    file.append("thunderbird-test.eml");
    file.createUnique(Ci.nsIFile.NORMAL_FILE_TYPE, 0o600);
    await win.IOUtils.writeUTF8(file.path, [`From: ${id.email}`,
        "Subject: unfinished", `Message-ID: <${body.length}@example.test>`,
        `Date: ${new Date().toUTCString()}`, "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit", "", body, ""].join("\\r\\n"));
    let l = done();
    MailServices.copy.copyFileMessage(file, drafts, old || null, true,
        Ci.nsMsgMessageFlags.Read, "", l, null);
    await l.promise;
    if (old)
        drafts.deleteMessages([old], null, true, false, null, false);
    await until("saved", async () => { await refresh(drafts);
        return subjects(drafts).join() == "unfinished" &&
            find(drafts, "unfinished") != old; });
}
""")
    with m.imap() as c:
        c.select("Drafts", readonly=True)
        found = c.uid("SEARCH", "CHARSET", "UTF-8", "UNDELETED", "BODY",
                      '"a sentence"')[1][0].split()
        assert len(found) == 1, found
        assert rb"\Draft" in c.uid("FETCH", found[0].decode(), "FLAGS")[1][0]


def imap_shared(t):
    """A folder that another user shares is found, and may be read only."""
    assert t.js("""
const f = await until("Team", () => folder("Team"));
await refresh(f);
await until("for all", () => find(f, "for all"));
f.markMessagesRead([find(f, "for all")], true);
await sleep(300); await refresh(f);
return subjects(f);
""") == ["for all"]
    with m.imap("alice", "wonderland") as c:
        c.select("Team", readonly=True)
        assert c.search(None, "SEEN")[1] == [b"1"]


def share():
    """Before Thunderbird comes: who has a connection sees it with the next."""
    with m.imap("alice", "wonderland") as c:
        c.create("Team")
        c.append("Team", None, None, b"Subject: for all\r\n\r\nx\r\n")
        assert c.setacl("Team", BOB, "lrs")[0] == "OK"
    with m.imap() as c:
        assert c.subscribe(f'"Other Users/{ALICE}/Team"')[0] == "OK"


def imap_search(t):
    """The search that the server does."""
    got = t.js("""
const s = Cc["@mozilla.org/messenger/searchSession;1"]
    .createInstance(Ci.nsIMsgSearchSession);
const f = folder("INBOX"), found = [];
s.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, f);
const t = s.createTerm(), v = t.value;
t.attrib = v.attrib = Ci.nsMsgSearchAttrib.Body;
t.op = Ci.nsMsgSearchOp.Contains; v.str = args[0]; t.value = v;
s.appendTerm(t);
const end = new Promise(r => s.registerListener({
    QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
    onSearchHit: h => found.push(h.subject), onSearchDone: r,
    onNewSearch() {}}, Ci.nsIMsgSearchSession.allNotifications));
s.search(null);
await end;
return found;
""", "HELLO")
    assert got == ["pushed"], got


def imap_send(t):
    """A message is submitted over TLS and filed in Sent."""
    t.js('await refresh(folder("INBOX"));'
         'await until("Sent", () => folder("Sent"));')
    t.send(ALICE, "sent by bob", "Zürich")
    with m.imap("alice", "wonderland") as c:
        m.wait_idle()
        c.select("INBOX")
        n = c.search(None, 'SUBJECT "sent by bob"')[1][0].split()
        text = c.fetch(n[-1].decode(), "(BODY.PEEK[])")[1][0][1].decode()
        assert "Zürich" in text and "ESMTPSA" in text, text
    t.js('const f = folder("Sent");'
         'await until("filed", async () => { await refresh(f);'
         '    return find(f, "sent by bob"); });')


def pop3(t, keep):
    """All mail is fetched; what is deleted here goes there, too."""
    t.js("""
const s = server(), inbox = s.rootFolder.getFolderWithFlags(
    Ci.nsMsgFolderFlags.Inbox);
let l = done();
MailServices.pop3.GetNewMail(null, l, inbox, s);
await l.promise;
await until("two messages", () => subjects(inbox).join() == "one,two");
inbox.deleteMessages([find(inbox, "one")], null, false, true, null, false);
await until("deleted", () => !find(inbox, "one"));
l = done();
MailServices.pop3.GetNewMail(null, l, inbox, s);
await l.promise;
if (!args[0]) {
    inbox.deleteMessages([find(inbox, "two")], null, false, true, null, false);
    await until("deleted", () => !find(inbox, "two"));
    l = done();
    MailServices.pop3.GetNewMail(null, l, inbox, s);
    await l.promise;
}
""", keep)
    with m.pop3("alice") as c:
        assert c.ok("STAT").split()[0] == ("1" if keep else "0")
    # Without "leave messages on server" what is fetched is gone there.
    m.send("alice", "From: a@example.org\nSubject: three\n\nx\n")
    m.wait_idle()
    t.js("""
const s = server(), inbox = s.rootFolder.getFolderWithFlags(
    Ci.nsMsgFolderFlags.Inbox);
s.QueryInterface(Ci.nsIPop3IncomingServer).leaveMessagesOnServer = false;
const l = done();
MailServices.pop3.GetNewMail(null, l, inbox, s);
await l.promise;
await until("three", () => find(inbox, "three"));
""")
    with m.pop3("alice") as c:
        assert c.ok("STAT").split()[0] == "0"


class Suite(Users):
    def __init__(self):
        self.submission, self.smtps = free_port(), free_port()
        options = ("  -o smtpd_sasl_auth_enable=yes\n"
                   "  -o smtpd_relay_restrictions=permit_sasl_authenticated,"
                   "reject\n")
        super().__init__(tls=True, services=(
            f"127.0.0.1:{self.submission} inet n - - - - smtpd\n{options}"
            "  -o smtpd_tls_security_level=encrypt\n"
            f"127.0.0.1:{self.smtps} inet n - - - - smtpd\n{options}"
            "  -o smtpd_tls_wrappermode=yes\n"))

    def imap(self, user="bob", password="builder"):
        import imaplib
        c = imaplib.IMAP4("127.0.0.1", self.imap_port)
        c.login(f"{user}@example.test", password)
        return c


def with_thunderbird(name, kind, *account):
    """Thunderbird with an account, in a directory of its own."""
    t = Thunderbird(os.path.join(scratch, name))
    t.__enter__()
    try:
        t.trust(m.ca)
        t.account(kind, *account)
    except BaseException:
        t.__exit__(None, None, None)
        raise
    return t


def run(t, *cases):
    global passed, failed
    try:
        for case, *args in cases:
            try:
                case(t, *args)
                passed += 1
            except AssertionError as e:
                failed += 1
                print(f"{case.__name__}{args}: {e}\n{t.log()}")
                break  # what follows stands on it
        for line in re.findall(r"PARSER:Internal Syntax Error.*",
                               t.transcript()):
            failed += 1
            print(line)
    finally:
        t.__exit__(None, None, None)


need_root()
if shutil.which("thunderbird") is None:
    skip("no thunderbird here")
passed = failed = 0
with tempfile.TemporaryDirectory() as scratch, Suite() as m:
    m.send("bob", "From: a@example.org\nSubject: first\n\none\n")
    m.wait_idle()
    share()
    run(with_thunderbird("imap", "imap", BOB, "builder", m.imaps_port, TLS,
                         m.smtps, TLS),
        (imap_folders,), (imap_push,), (imap_read,), (imap_flags,),
        (imap_filing,), (imap_names,), (imap_drafts,), (imap_shared,),
        (imap_search,), (imap_send,))
    run(with_thunderbird("starttls", "imap", BOB, "builder", m.imap_port,
                         STARTTLS, m.submission, STARTTLS),
        (imap_send,))
    with m.imap("alice", "wonderland") as c:
        if c.select("INBOX")[1] != [b"0"]:
            c.store("1:*", "+FLAGS", r"(\Deleted)")
            c.expunge()
    for kind, port, keep in ((TLS, m.pop3s_port, True),
                             (STARTTLS, m.pop3_port, False),
                             (PLAIN, m.pop3_port, True)):
        for subject in ("one", "two"):
            m.send("alice", f"From: a@example.org\nSubject: {subject}\n\n"
                   "text\n.\n..\n")
        m.wait_idle()
        run(with_thunderbird(f"pop{kind}", "pop3", ALICE, "wonderland", port,
                             kind, m.smtps, TLS), (pop3, keep))
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(1 if failed else 0)
