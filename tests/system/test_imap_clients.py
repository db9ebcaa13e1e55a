#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 400
"""IMAP as real clients speak it: mbsync, offlineimap, getmail, curl, mutt,
interimap (which needs QRESYNC), neomutt and Perl's Mail::IMAPClient."""
import imaplib
import os
import pty
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from mailusers import TIMEOUT, Users  # noqa: E402

passed = skipped = 0


def there(program):
    """A program; with :: in its name a Perl module."""
    if "::" not in program:
        return shutil.which(program) is not None
    return shutil.which("perl") is not None and subprocess.run(
        ["perl", f"-M{program}", "-e1"], check=False,
        stderr=subprocess.DEVNULL).returncode == 0


def case(fn, program=None):
    global passed, skipped
    if program and not there(program):
        print(f"skip: {fn.__name__}: no {program} here")
        skipped += 1
        return
    with tempfile.TemporaryDirectory(dir=m.base) as d:
        fn(d)
    passed += 1


def run(*args, d, fine=(0,), **kw):
    done = subprocess.run(args, capture_output=True, timeout=TIMEOUT * 3,
                          cwd=d, env=dict(os.environ, HOME=d, LC_ALL="C.UTF-8",
                                          SSL_CERT_FILE=m.ca), **kw)
    if done.returncode not in fine:
        raise RuntimeError(f"{args}: {done.returncode}: {done.stdout} "
                           f"{done.stderr}\n{m.log()[-2000:]}")
    return done.stdout.decode("utf8", "replace").replace("\r\n", "\n")


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf8") as f:
        f.write(text)
    os.chmod(path, mode)


def imap(user="bob", password="builder", tls=False):
    if tls:
        c = imaplib.IMAP4_SSL("127.0.0.1", m.imaps_port,
                              ssl_context=ssl.create_default_context(
                                  cafile=m.ca))
    else:
        c = imaplib.IMAP4("127.0.0.1", m.imap_port)
    c.login(user + "@example.test", password)
    return c


def fill(box, n, c=None):
    c = c or imap()
    c.create(box)
    for i in range(n):
        assert c.append(box, "(\\Seen)" if i % 2 else None, None, (
            f"From: a{i}@example.org\r\nTo: bob@example.test\r\n"
            f"Subject: {box} {i}\r\nMessage-ID: <{box}{i}@x>\r\n"
            f"Date: Mon, 2 Mar 2026 10:00:{i:02d} +0000\r\n\r\n"
            f"body {i} of {box}\r\n").encode())[0] == "OK"
    return c


def texts(folder):
    """What lies in a Maildir, by file name."""
    found = {}
    for sub in ("cur", "new"):
        path = os.path.join(folder, sub)
        for name in os.listdir(path) if os.path.isdir(path) else ():
            with open(os.path.join(path, name), encoding="utf8") as f:
                found[name] = f.read()
    return found


def write_rc(d, near, channel):
    """bob's mbsync; lines for what is near, and for what goes where."""
    write(f"{d}/rc", f"""\
IMAPAccount a
Host 127.0.0.1
Port {m.imap_port}
User bob@example.test
Pass builder
SSLType None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path {d}/mail/
{near}SubFolders Verbatim

Channel c
{channel}Expunge Both
SyncState *
""")
    os.mkdir(f"{d}/mail")


def mbsync(d):
    c = fill("sync", 6)
    write_rc(d, f"""\
Inbox {d}/mail/INBOX
""", """\
Far :far:
Near :near:
Patterns sync
Create Both
""")
    run("mbsync", "-c", f"{d}/rc", "-a", d=d)
    got = texts(f"{d}/mail/sync")
    assert len(got) == 6 and any("body 3 of sync" in t for t in got.values())
    # Both sides change: a flag here, a message there, one away on each.
    seen = [n for n in got if ":2," in n and n.endswith("S")]
    assert len(seen) == 3, list(got)
    os.remove(f"{d}/mail/sync/cur/{seen[0]}")
    os.rename(f"{d}/mail/sync/cur/{seen[1]}",
              f"{d}/mail/sync/cur/{seen[1][:-1]}FS")
    write(f"{d}/mail/sync/new/1.2.3", "Subject: from here\n\nnew\n")
    fill("sync", 1, c)
    run("mbsync", "-c", f"{d}/rc", "-a", d=d)
    c.select("sync")
    ok, data = c.search(None, "ALL")
    assert len(data[0].split()) == 7, data
    assert c.search(None, "FLAGGED")[1][0].split(), "no flag came"
    assert c.search(None, "SUBJECT", '"from here"')[1][0], "no message came"
    assert len(texts(f"{d}/mail/sync")) == 7
    assert run("mbsync", "-c", f"{d}/rc", "-a", d=d) is not None
    c.logout()


def offlineimap(d):
    c = fill("offline", 5)
    write(f"{d}/.offlineimaprc", f"""\
[general]
accounts = a
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {d}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {m.imap_port}
ssl = no
starttls = no
auth_mechanisms = PLAIN
remoteuser = bob@example.test
remotepass = builder
folderfilter = lambda f: f == 'offline'
""")
    run("offlineimap", "-o", "-c", f"{d}/.offlineimaprc", d=d)
    assert len(texts(f"{d}/mail/offline")) == 5
    write(f"{d}/mail/offline/new/1_2.3.x,U=:2,", "Subject: up\n\nnew\n")
    run("offlineimap", "-o", "-c", f"{d}/.offlineimaprc", d=d)
    c.select("offline")
    assert len(c.search(None, "ALL")[1][0].split()) == 6
    c.logout()


def getmail(d):
    c = fill("get", 4)
    os.mkdir(f"{d}/.getmail", 0o700)
    write(f"{d}/.getmail/getmailrc", f"""\
[retriever]
type = SimpleIMAPRetriever
server = 127.0.0.1
port = {m.imap_port}
username = bob@example.test
password = builder
mailboxes = ("get",)
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >>{d}/got")
allow_root_commands = true
[options]
delete = true
""")
    run("getmail", f"--getmaildir={d}/.getmail", d=d)
    with open(f"{d}/got", encoding="utf8") as f:
        got = f.read()
    assert all(f"body {i} of get" in got for i in range(4)), got
    assert c.status("get", "(MESSAGES)")[1] == [b"get (MESSAGES 0)"]
    c.logout()


def curl(d):
    c = fill("INBOX", 3)
    write(f"{d}/up", "Subject: up\r\n\r\nloaded\r\n")
    for url, tls in ((f"imap://127.0.0.1:{m.imap_port}", ()),
                     (f"imap://127.0.0.1:{m.imap_port}", ("--ssl-reqd",)),
                     (f"imaps://127.0.0.1:{m.imaps_port}", ())):
        for login in ((), ("--login-options", "AUTH=PLAIN"),
                      ("--login-options", "AUTH=LOGIN")):
            args = ["curl", "-sS", "--cacert", m.ca, *tls, *login, "-u",
                    "bob@example.test:builder"]
            assert ' "/" INBOX' in run(*args, url + "/", d=d)
            assert "body 1 of INBOX" in run(*args, url + "/INBOX;UID=2", d=d)
            assert "* SEARCH 1" in run(*args, url + "/INBOX?FROM%20a0", d=d)
            run(*args, "-T", f"{d}/up", url + "/INBOX", d=d)
            run(*args, url + "/INBOX", "-X", "NOOP", d=d)
    assert c.status("INBOX", "(MESSAGES)")[1] == [b"INBOX (MESSAGES 12)"]
    c.logout()


REFUSED = b"not permitted by ACL"


def keys_in_mutt(d, box, keys, program="mutt", more=""):
    """bob opens a mailbox, presses keys and leaves; what he was shown."""
    write(f"{d}/rc", f"""\
set folder = "imap://127.0.0.1:{m.imap_port}/"
set imap_user = "bob@example.test"
set imap_pass = "builder"
set ssl_starttls = no
set ssl_force_tls = no
set spoolfile = "+{box}"
set header_cache = ""
set imap_delim_chars = "/"
set confirmappend = no
set delete = yes
set quit = yes
set wait_key = no
set move = no
set sort = mailbox-order
{more}push "<first-entry>{keys}<sync-mailbox><quit>"
""")
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(HOME=d, TERM="xterm", LC_ALL="C.UTF-8")
        os.execlp(program, program, "-n", "-F", f"{d}/rc")
    until = time.monotonic() + TIMEOUT * 3
    shown = b""
    while time.monotonic() < until:
        if select.select([fd], [], [], 0.5)[0]:
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            if not got:
                break
            shown += got
            if REFUSED in shown:
                # The keys that were to follow are thrown away: it sits there.
                os.kill(pid, 9)
                break
    else:
        os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(fd)
    return shown[-2000:]


def mutt(d):
    """It opens the mailbox, saves one message, deletes one, and leaves."""
    c = fill("mutt", 3)
    c.create("Saved")
    shown = keys_in_mutt(d, "mutt", "<delete-message><next-entry>"
                         "<flag-message><copy-message><kill-line>=Saved"
                         "<enter>y")
    assert c.status("Saved", "(MESSAGES)")[1] == [b"Saved (MESSAGES 1)"], \
        shown
    assert c.status("mutt", "(MESSAGES)")[1] == [b"mutt (MESSAGES 2)"]
    c.select("mutt")
    assert c.search(None, "FLAGGED")[1][0], "no flag"
    c.logout()


def shared_in_mutt(d):
    """A mailbox of alice's that bob may change, but at first not delete
    from: mutt asks for its rights, and goes no further."""
    a = fill("Team", 3, imap("alice", "wonderland"))
    flag = "<next-entry><flag-message>"
    for rights, keys, left in (
            ("lrsw", flag, 3), ("lrsw", "<delete-message>", 3),
            ("lrswte", "<delete-message>" + flag, 2)):
        assert a.setacl("Team", "bob@example.test", rights)[0] == "OK"
        shown = keys_in_mutt(d, "Other Users/alice@example.test/Team",
                             keys)
        assert (REFUSED in shown) == (flag not in keys), shown
        assert a.status("Team", "(MESSAGES)")[1] == \
            [b"Team (MESSAGES %d)" % left], shown
        a.select("Team")
        assert a.search(None, "FLAGGED")[1][0], shown
        a.close()
    a.delete("Team")
    a.logout()


def shared_by_mbsync(d):
    a = fill("Both", 4, imap("alice", "wonderland"))
    assert a.setacl("Both", "bob@example.test", "lrswite")[0] == "OK"
    box = "Other Users/alice@example.test/Both"
    write_rc(d, "", f"""\
Far ":far:{box}"
Near :near:Both
Create Near
""")
    run("mbsync", "-c", f"{d}/rc", "-a", d=d)
    assert len(texts(f"{d}/mail/Both")) == 4
    seen = os.listdir(f"{d}/mail/Both/cur")
    os.remove(f"{d}/mail/Both/cur/{seen[0]}")
    write(f"{d}/mail/Both/new/1.2.3", "Subject: from bob\n\nnew\n")
    run("mbsync", "-c", f"{d}/rc", "-a", d=d)
    a.select("Both")
    assert len(a.search(None, "ALL")[1][0].split()) == 4
    assert a.search(None, "SUBJECT", '"from bob"')[1][0]
    a.close()
    a.delete("Both")
    a.logout()


def listed(user, password, box):
    """(uid, size, flags) of each message, without what a session decides."""
    c = imap(user, password)
    c.select(box, readonly=True)
    found = []
    for line in c.fetch("1:*", "(UID RFC822.SIZE FLAGS)")[1]:
        uid, size, flags = re.search(
            rb"UID (\d+) RFC822.SIZE (\d+) FLAGS \((.*?)\)", line).groups()
        found.append((int(uid), int(size),
                      sorted(set(flags.split()) - {b"\\Recent"})))
    c.logout()
    return found


def interimap(d):
    """Two accounts kept alike by QRESYNC, both changed in between."""
    a = fill("Two", 12, imap("alice", "wonderland"))
    for side in ("config", "data"):
        os.makedirs(f"{d}/.{side}/interimap", 0o700)
    os.environ.update(XDG_CONFIG_HOME=f"{d}/.config",
                      XDG_DATA_HOME=f"{d}/.data")
    account = f"""\
type = imap
host = 127.0.0.1
port = {m.imap_port}
STARTTLS = NO
"""
    write(f"{d}/.config/interimap/config", f"""\
database = a.db
list-mailbox = Two
[local]
{account}username = alice@example.test
password = wonderland
[remote]
{account}username = bob@example.test
password = builder
""")
    run("interimap", d=d)
    ours = listed("alice", "wonderland", "Two")
    assert len(ours) == 12 and ours == listed("bob", "builder", "Two")
    b = imap()
    a.select("Two")
    b.select("Two")
    a.store("1:3", "+FLAGS", "(\\Flagged $Work)")
    b.store("3:5", "+FLAGS", "(\\Answered)")
    a.store("7:8", "+FLAGS", "\\Deleted")
    a.expunge()
    b.store("10", "+FLAGS", "\\Deleted")
    b.expunge()
    fill("Two", 1, b)
    run("interimap", d=d)
    ours, theirs = (listed(u, p, "Two") for u, p in
                    (("alice", "wonderland"), ("bob", "builder")))
    assert len(ours) == 10 and ours == theirs, (ours, theirs)
    assert ours[2][2] == [b"$Work", b"\\Answered", b"\\Flagged"], ours
    for c in (a, b):
        c.close()
        c.delete("Two")
        c.logout()


def neomutt(d):
    """QRESYNC and a cache of headers, with messages gone meanwhile."""
    c = fill("neo", 8)
    more = f"""\
set ssl_starttls = yes
set ssl_verify_host = no
set certificate_file = "{m.ca}"
set imap_qresync = yes
set imap_condstore = yes
set header_cache = "{d}/cache"
"""

    def keys(number, left):
        shown = keys_in_mutt(d, "neo", "<delete-pattern>~s<space>neo.%d<enter>"
                             % number, program="neomutt", more=more)
        c.noop()
        got = c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        got = [int(x[1].split()[-1]) for x in got if isinstance(x, tuple)]
        assert got == left, (got, shown, m.log()[-2000:])

    c.select("neo")
    keys(3, [0, 1, 2, 4, 5, 6, 7])
    c.store("1", "+FLAGS", "\\Deleted")
    c.expunge()
    keys(5, [1, 2, 4, 6, 7])
    c.logout()


PERL = r"""
use strict;
use Mail::IMAPClient;
my $c = Mail::IMAPClient->new(Server => '127.0.0.1', Port => $ARGV[0],
    User => 'bob@example.test', Password => 'builder', Uid => 1,
    Starttls => [SSL_ca_file => $ARGV[1], SSL_verifycn_name => $ARGV[2]])
    or die $@;
$c->select('perl') or die $@;
for ($c->messages) {
    $c->get_bodystructure($_) or die "structure of $_: $@";
    $c->get_envelope($_) or die "envelope of $_: $@";
    length($c->message_string($_)) == $c->size($_) or die "size of $_";
}
my $all = join ' ', sort { $a <=> $b } $c->sort('REVERSE DATE', 'UTF-8', 'ALL');
$all eq join ' ', $c->messages or die $all;
@{$c->thread('REFERENCES')} == 5 or die 'threads';
my $uid = $c->append_string('perl', "Subject: p\r\n\r\nx\r\n", '\Seen')
    or die $@;
$c->move('INBOX', $uid) or die $@;
$c->expunge or die $@;
keys %{$c->fetch_hash('FLAGS', 'RFC822.SIZE')} == 5 or die 'left behind';
$c->logout;
"""


def perl_mail_imapclient(d):
    fill("perl", 5).logout()
    write(f"{d}/t.pl", PERL)
    run("perl", f"{d}/t.pl", str(m.imap_port), m.ca, "mail.example.test", d=d)


def imaplib_over_tls(d):
    c = imap("alice", "wonderland", tls=True)
    big = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 65536 + b"\r\n"
    assert c.append("INBOX", None, None, big)[0] == "OK"
    c.select()
    assert c.fetch("1", "(BODY.PEEK[])")[1][0][1] == big
    c.logout()
    c = imaplib.IMAP4("127.0.0.1", m.imap_port)
    c.starttls(ssl.create_default_context(cafile=m.ca))
    assert "STARTTLS" not in c.capabilities
    c.login("alice@example.test", "wonderland")
    c.logout()


def imaplib_in_pieces(d):
    """imaplib sends the CRLF after a literal by itself, and its kernel keeps
    that back until the literal is acknowledged: not after the 40 ms for which
    ours would wait.  Some are as quick as those of one that keeps nothing back;
    otherwise none is."""
    for tls in (False, True):
        best = {}
        slow, quick = imap(tls=tls), imap(tls=tls)
        quick.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slow.create("pieces")
        for c in (slow, quick) * 200:
            if len(best) == 2 and best[slow] < best[quick] + 0.03:
                break
            start = time.monotonic()
            assert c.append("pieces", None, None, b"Subject: x\r\n\r\nx\r\n"
                            )[0] == "OK"
            took = time.monotonic() - start
            best[c] = min(took, best.get(c, took))
        assert best[slow] < best[quick] + 0.03, (tls, best)
        slow.delete("pieces")
        for c in (slow, quick):
            c.logout()


with Users(tls=True) as m:
    case(imaplib_over_tls)
    case(imaplib_in_pieces)
    case(curl, "curl")
    case(mbsync, "mbsync")
    case(offlineimap, "offlineimap")
    case(getmail, "getmail")
    case(mutt, "mutt")
    case(shared_in_mutt, "mutt")
    case(shared_by_mbsync, "mbsync")
    case(interimap, "interimap")
    case(neomutt, "neomutt")
    case(perl_mail_imapclient, "Mail::IMAPClient")
print(f"{passed} passed, 0 failed, {skipped} skipped")
