#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""POP3 as real clients speak it: in the clear, with STLS, with TLS."""
import os
import poplib
import pty
import select
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mailusers import Users  # noqa: E402

passed = skipped = 0
HOW = ("plain", "stls", "tls")
TEXT = "Subject: {n}\r\nX-Token: {n}\r\n\r\n.dot\r\n..two\r\nlast {n}\r\n"


def case(fn, program=None):
    global passed, skipped
    if program and shutil.which(program) is None:
        print(f"skip: {fn.__name__}: no {program} here")
        skipped += len(HOW)
        return
    for how in HOW:
        tokens = [f"{fn.__name__}-{how}-{i}" for i in range(3)]
        for t in tokens:
            m.send("alice", TEXT.format(n=t))
        m.wait_idle()
        with tempfile.TemporaryDirectory(dir=m.base) as d:
            got = fn(how, d)
        for t in tokens:
            assert f"X-Token: {t}" in got and f"last {t}" in got, (how, got)
        assert "\n.dot" in got and "\n..two" in got, (how, got)
        with m.pop3("alice") as c:      # and the mail is gone
            assert c.ok("STAT") == "0 0", (fn.__name__, how)
            c.ok("QUIT")
        passed += 1


def port(how):
    return m.pop3s_port if how == "tls" else m.pop3_port


def run(*args, d=None, **kw):
    done = subprocess.run(args, capture_output=True, timeout=60, cwd=d,
                          env=dict(os.environ, HOME=d or "/tmp",
                                   SSL_CERT_FILE=m.ca, LC_ALL="C"), **kw)
    if done.returncode != 0:
        raise RuntimeError(f"{args}: {done.returncode}: {done.stdout} "
                           f"{done.stderr}\n{m.log()[-3000:]}")
    return done.stdout.decode().replace("\r\n", "\n")


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


def files(d):
    found = ""
    for base, _, names in os.walk(d):
        for name in names:
            with open(f"{base}/{name}", encoding="utf-8",
                      errors="replace") as f:
                found += f.read()
    return found


def with_poplib(how, d):
    ctx = ssl.create_default_context(cafile=m.ca)
    if how == "tls":
        c = poplib.POP3_SSL("localhost", port(how), context=ctx, timeout=30)
    else:
        c = poplib.POP3("127.0.0.1", port(how), timeout=30)
        if how == "stls":
            ctx.check_hostname = False
            c.stls(ctx)
    c.user("alice@example.test")
    c.pass_("wonderland")
    found = ""
    for n in range(1, c.stat()[0] + 1):
        found += b"\n".join(c.retr(n)[1]).decode() + "\n"
        c.dele(n)
    c.quit()
    return found


def with_curl(how, d):
    base = ("curl", "-sS", "--cacert", m.ca, "-u",
            "alice@example.test:wonderland")
    if how == "stls":
        base += ("--ssl-reqd",)
    url = f"{'pop3s' if how == 'tls' else 'pop3'}://localhost:{port(how)}/"
    found = ""
    count = len(run(*base, url).splitlines())
    for n in range(1, count + 1):
        found += run(*base, url + str(n))
    for n in range(count, 0, -1):
        run(*base, "-X", "DELE", "-I", url + str(n))
    return found


def with_fetchmail(how, d):
    tls = {"plain": "sslproto ''", "stls": "sslproto 'TLS1.2+'",
           "tls": "ssl"}[how]
    rc = write(f"{d}/rc", f"""\
poll localhost protocol pop3 port {port(how)} auth password uidl
  user "alice@example.test" password "wonderland" {tls}
  sslcertfile "{m.ca}"
  mda "cat >>{d}/got" no rewrite fetchall
""")
    run("fetchmail", "-f", rc, "--nosyslog", "--pidfile", f"{d}/pid",
        "-i", f"{d}/ids", d=d)
    return files(d)


def with_getmail(how, d):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(f"{d}/box/{sub}")
    kind = "SimplePOP3SSLRetriever" if how == "tls" else \
        "SimplePOP3Retriever"
    extra = f"ca_certs = {m.ca}\n" if how == "tls" else ""
    write(f"{d}/rc", f"""\
[retriever]
type = {kind}
server = localhost
port = {port(how)}
username = alice@example.test
password = wonderland
{extra}
[destination]
type = Maildir
path = {d}/box/
[options]
delete = true
delivered_to = false
received = false
""")
    # It refuses to deliver as root.
    subprocess.run(["chown", "-R", str(m.vmail.pw_uid), d], check=True)
    # It waits for its delivery with a signal that it can miss, then for ever.
    for last in (False, True):
        try:
            run("getmail", "--getmaildir", d, "--rcfile", "rc", d=d,
                user=m.vmail.pw_uid, group=m.vmail.pw_gid, extra_groups=[])
            break
        except subprocess.TimeoutExpired:
            if last:
                raise
    return files(f"{d}/box")


def with_mpop(how, d):
    tls = {"plain": "tls off", "stls": "tls on\ntls_starttls on",
           "tls": "tls on\ntls_starttls off"}[how]
    write(f"{d}/rc", f"""\
account default
host localhost
port {port(how)}
user alice@example.test
password wonderland
auth {'plain' if how == 'plain' else 'on'}
{tls}
{'' if how == 'plain' else 'tls_trust_file ' + m.ca}
uidls_file {d}/uidls
delivery mbox {d}/got
keep off
""")
    run("mpop", "-C", f"{d}/rc", d=d)
    # mbox: its own quoting is of lines that begin with "From ".
    return files(d)


def with_mutt(how, d):
    scheme = "pops" if how == "tls" else "pop"
    rc = write(f"{d}/rc", f"""\
set ssl_starttls={'yes' if how == 'stls' else 'no'}
set ssl_force_tls={'no' if how == 'plain' else 'yes'}
set ssl_ca_certificates_file={m.ca} certificate_file={d}/certs
set ssl_verify_host=no
set pop_user="alice@example.test" pop_pass="wonderland"
set pop_delete=yes delete=yes quit=yes confirmappend=no confirmcreate=no
set folder={d} mbox_type=mbox record="" wait_key=no
set pop_checkinterval=1 header_cache={d}/cache
set pop_authenticators="SCRAM-SHA-256"
""")
    push = ("<tag-pattern>~A<enter><tag-prefix><save-message>"
            f"<kill-line>{d}/got<enter><sync-mailbox><quit>")
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(d)
        os.environ.update(HOME=d, TERM="xterm", LC_ALL="C")
        os.execvp("mutt", ["mutt", "-n", "-F", rc, "-e", f"push {push}", "-f",
                           f"{scheme}://localhost:{port(how)}/"])
    end, screen = time.monotonic() + 40, b""
    try:
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.5)[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    break
                if not data:
                    break
                screen += data
        else:
            os.kill(pid, 9)
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
    if not os.path.exists(f"{d}/got"):
        raise RuntimeError(f"mutt: {screen[-2000:]!r}")
    with open(f"{d}/got", encoding="utf-8") as f:
        return f.read()


with Users({"pop3d_user_connection_limit": "0"}, tls=True) as m:
    case(with_poplib)
    case(with_curl, "curl")
    case(with_fetchmail, "fetchmail")
    case(with_mpop, "mpop")
    case(with_mutt, "mutt")
    HOW = ("plain", "tls")      # it has no STLS
    case(with_getmail, "getmail")
print(f"{passed} passed, 0 failed, {skipped} skipped")
