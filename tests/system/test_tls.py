#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS in the whole suite: STARTTLS and implicit TLS of smtpd, keys in keyd,
renewal, names, tickets, and what is in the processes' memory."""
import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, Instance, free_port  # noqa: E402
from memory import in_memory, private_parts  # noqa: E402

NAME = "mail.example.test"
SETTINGS = {
    "smtpd_tls_chain_files": "{base}/etc/server.pem",
    "keyd_check_interval": "1s",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
}


class Tls(Instance):
    def __init__(self, settings=None, types=("ecdsa",),
                 keyd="keyd unix - - - - 1 keyd\n", **kw):
        self.implicit, self.strict = free_port(), free_port()
        services = (keyd +
                    f"127.0.0.1:{self.implicit} inet n - - - - smtpd\n"
                    "  -o smtpd_tls_wrappermode=yes\n"
                    f"127.0.0.1:{self.strict} inet n - - - - smtpd\n"
                    "  -o smtpd_tls_security_level=encrypt\n")
        super().__init__({**SETTINGS, **(settings or {})},
                         services=services, **kw)
        self.cert("selfsign", "-A", f"{self.etc}/ca-key.pem", "Test CA")
        with open(f"{self.etc}/ca.pem", "w", encoding="ascii") as f:
            f.write(self.cert("show", "-p", f"{self.etc}/ca-key.pem").stdout)
        self.make("server.pem", NAME, "127.0.0.1", types=types)
        with open(f"{self.etc}/sni", "w", encoding="ascii"):
            pass
        self.command("postmap", f"{self.etc}/sni")

    def cert(self, *args, **kw):
        return self.command("mansio", "cert", *args, **kw)

    def make(self, file, *names, types=("ecdsa",), options=()):
        """A new set of chains in etc/file, put in place at once."""
        path = f"{self.etc}/{file}"
        with open(path + ".new", "w", encoding="ascii") as out:
            os.fchmod(out.fileno(), 0o600)
            for t in types:
                one = f"{path}.{t}"
                if os.path.exists(one):
                    os.unlink(one)
                self.cert("selfsign", "-C", f"{self.etc}/ca-key.pem",
                          "-t", t, *options, one, *names)
                with open(one, encoding="ascii") as f:
                    out.write(f.read())
                os.unlink(one)
        os.rename(path + ".new", path)

    def context(self):
        return ssl.create_default_context(cafile=f"{self.etc}/ca.pem")

    def starttls(self, context=None, name=NAME, port=None):
        s = smtplib.SMTP("127.0.0.1", port or self.smtp_port, timeout=30)
        s.ehlo()
        s._host = name
        s.starttls(context=context or self.context())
        return s

    def wrapped(self, context=None, name=NAME, **kw):
        raw = socket.create_connection(("127.0.0.1", self.implicit), 30)
        return (context or self.context()).wrap_socket(
            raw, server_hostname=name, **kw)

    def serial(self, name=NAME, context=None):
        """The number of the certificate that is served."""
        with self.wrapped(context, name) as s:
            return s.getpeercert()["serialNumber"]

    def pids(self, program):
        return [p for p, n in self.children().items() if n == program]


def commands_and_trace(m):
    s = m.starttls()
    assert s.ehlo_resp is None
    code, text = s.ehlo()
    assert code == 250 and b"STARTTLS" not in text, text
    assert s.docmd("STARTTLS")[0] == 554
    s.sendmail("a@example.org", ["alice@example.test"], b"Subject: x\n\ny\n")
    s.quit()
    m.wait_idle()
    mail = m.maildir("alice")[-1].decode()
    assert re.search(
        r"\n\t\(using TLSv1\.3 with cipher TLS_\w+ \(\d+/\d+ bits\)\n"
        r"\t key-exchange X25519 server-signature ECDSA \(prime256v1\) "
        r"server-digest SHA256\)\n\t\(No client certificate requested\)\n"
        r"\tby mail\.example\.test \(Mansio\) with ESMTPS id", mail), mail
    m.wait_log("Anonymous TLS connection established from "
               "localhost[127.0.0.1] to mail.example.test: TLSv1.3 with "
               "cipher ")


def raw(port):
    s = socket.create_connection(("127.0.0.1", port), 30)
    f = s.makefile("rwb")
    assert f.readline().startswith(b"220 ")
    return s, f


def say(f, line):
    f.write(line + b"\r\n")
    f.flush()
    while True:
        got = f.readline()
        if got[3:4] != b"-":
            return got


def nothing_in_plain_survives(m):
    """RFC 3207 4.2 and the injection of CVE-2011-0411."""
    s, f = raw(m.smtp_port)
    say(f, b"EHLO plain.example")
    f.write(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
    f.flush()
    assert f.readline().startswith(b"554 5.5.0 "), "injection"
    s.close()
    # A transaction and a name from before are gone.
    s, f = raw(m.smtp_port)
    say(f, b"EHLO plain.example")
    assert say(f, b"XCLIENT LOGIN=eve").startswith(b"220 ")
    say(f, b"EHLO plain.example")
    assert say(f, b"STARTTLS").startswith(b"220 ")
    t = m.context().wrap_socket(s, server_hostname=NAME)
    f = t.makefile("rwb")
    assert say(f, b"RCPT TO:<alice@example.test>").startswith(b"503 ")
    assert say(f, b"MAIL FROM:<a@example.org>").startswith(b"250 ")
    assert say(f, b"RCPT TO:<alice@example.test>").startswith(b"250 ")
    assert say(f, b"STARTTLS").startswith(b"503 ")
    assert say(f, b"RSET").startswith(b"250 ")
    assert say(f, b"STARTTLS now").startswith(b"501 ")
    t.close()
    # Bytes that come between the reply and the handshake end it.
    s, f = raw(m.smtp_port)
    say(f, b"EHLO plain.example")
    assert say(f, b"STARTTLS").startswith(b"220 ")
    s.sendall(b"RSET\r\n")
    got = f.read()
    assert b"250" not in got, got
    m.wait_log("SSL_accept error from localhost[127.0.0.1]: ")


def required(m):
    s, f = raw(m.strict)
    assert say(f, b"NOOP").startswith(b"250 ")
    assert say(f, b"EHLO x.example").startswith(b"250 ")
    for line in (b"MAIL FROM:<>", b"RSET", b"VRFY x", b"DATA"):
        got = say(f, line)
        assert got == b"530 5.7.0 Must issue a STARTTLS command first\r\n", got
    s.close()
    t = m.starttls(port=m.strict)
    t.ehlo()
    assert t.mail("a@example.org")[0] == 250
    t.close()
    with m.wrapped() as t:
        f = t.makefile("rwb")
        assert f.readline().startswith(b"220 ")
        got = say(f, b"STARTTLS")
        assert got.startswith(b"554 "), got


def broken_handshakes(m):
    """Half a handshake, nonsense, silence: the next client is served."""
    for data in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / \r\n",
                 b"\x16\x03\x01\xff\xff" + b"x" * 5000, b"\x80\x80\x01\x03",
                 os.urandom(2000)):
        s = socket.create_connection(("127.0.0.1", m.implicit), 30)
        s.sendall(data)
        s.close()
    idle = [socket.create_connection(("127.0.0.1", m.implicit), 30)
            for _ in range(5)]
    assert m.serial()
    for s in idle:
        s.close()


def old_protocols(m):
    c = m.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        c.minimum_version = ssl.TLSVersion.TLSv1
        c.maximum_version = ssl.TLSVersion.TLSv1_1
    c.set_ciphers("ALL:@SECLEVEL=0")
    try:
        m.serial(context=c)
    except (ssl.SSLError, ConnectionError):
        pass
    else:
        raise AssertionError("TLS 1.1 was spoken")
    c = m.context()
    c.maximum_version = ssl.TLSVersion.TLSv1_2
    with m.wrapped(c) as t:
        assert t.version() == "TLSv1.2"
        assert t.cipher()[0].startswith("ECDHE-"), t.cipher()
    c.set_ciphers("kRSA")
    try:
        m.serial(context=c)
    except ssl.SSLError:
        pass
    else:
        raise AssertionError("RSA key exchange was accepted")


def tickets(m):
    """A session goes on in another process, also after keyd's key is old."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = m.context()
        c.maximum_version = version
        with m.wrapped(c) as t:
            t.makefile("rb").readline()
            session = t.session
            assert session.has_ticket
        for pid in m.pids("smtpd"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with m.wrapped(c, session=session) as t:
            t.makefile("rb").readline()
            assert t.session_reused, version
    m.wait_log("TLS connection reused from ")


def renewal(m):
    """A new certificate, without dropping who is there (and bad ones)."""
    first = m.serial()
    with m.wrapped() as t:
        f = t.makefile("rwb")
        f.readline()
        m.make("server.pem", NAME, "127.0.0.1")
        m.wait_log("/server.pem: new certificate")
        end = time.monotonic() + 20
        while m.serial() == first and time.monotonic() < end:
            time.sleep(0.1)
        second = m.serial()
        assert second != first
        assert say(f, b"NOOP").startswith(b"250 ")
        # Its key does not belong to it.
        with open(f"{m.etc}/server.pem", encoding="ascii") as g:
            good = g.read()
        m.make("other.pem", NAME)
        with open(f"{m.etc}/other.pem", encoding="ascii") as g:
            other = g.read()
        cut = "-----BEGIN CERTIFICATE-----"
        for text, says in (
                (good[:good.index(cut)] + other[other.index(cut):],
                 "the private key is not that of the certificate"),
                (good[:good.index(cut)], "no certificate"),
                ("", "empty"),
                (good.replace("A", "!", 9), "bad |PEM|no ")):
            with open(f"{m.etc}/server.pem", "w", encoding="ascii") as g:
                g.write(text)
            end = time.monotonic() + 20
            while not re.search(says + ".*; the old certificate stays",
                                m.log()) and time.monotonic() < end:
                time.sleep(0.1)
            assert re.search(says + ".*; the old certificate stays",
                             m.log()), (says, m.log()[-3000:])
            assert m.serial() == second
        assert m.cert("check", check=False).returncode == 1
        assert m.command("mansio", "check", check=False).returncode != 0
        # Then all is well again.
        with open(f"{m.etc}/server.pem", "w", encoding="ascii") as g:
            g.write(good)
        end = time.monotonic() + 20
        while m.cert("check", check=False).returncode != 0 and \
                time.monotonic() < end:
            time.sleep(0.1)
        assert say(f, b"NOOP").startswith(b"250 ")
        assert m.serial() == second


def dated(m, start, end):
    """A set whose certificate is good from start to end (YYYYMMDD)."""
    base = f"{m.base}/dated"
    shutil.rmtree(base, ignore_errors=True)
    os.makedirs(base)
    for name, text in (("index", ""), ("serial", "77\n"), ("conf", """\
[ca]
default_ca = x
[x]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
""")):
        with open(f"{base}/{name}", "w", encoding="ascii") as f:
            f.write(text)

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True,
                       cwd=base, timeout=60)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "key", "-out", "csr", "-subj", f"/CN={NAME}")
    openssl("ca", "-batch", "-config", "conf", "-selfsign", "-keyfile", "key",
            "-in", "csr", "-out", "crt", "-notext", "-startdate",
            f"{start}000000Z", "-enddate", f"{end}000000Z")
    text = ""
    for name in ("key", "crt"):
        with open(f"{base}/{name}", encoding="ascii") as f:
            text += f.read()
    return text


def out_of_date(m):
    """A set that is out of date is refused: where it replaces one, where the
    settings are made to name it, and by whoever asks."""
    if not shutil.which("openssl"):
        print("skip: out_of_date: no openssl")
        return
    serial, path = m.serial(), f"{m.etc}/server.pem"
    with open(path, encoding="ascii") as f:
        good = f.read()
    for start, end, says in (("20200101", "20200201", "has expired"),
                             ("20900101", "20910101", "is not valid yet")):
        bad = dated(m, start, end)
        with open(path + ".new", "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(bad)
        os.rename(path + ".new", path)
        m.wait_log(f"{says}; the old certificate stays")
        assert m.serial() == serial
        done = m.cert("check", check=False)
        assert done.returncode == 1 and says in done.stdout + done.stderr, done
        with open(path + ".new", "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(good)
        os.rename(path + ".new", path)
    # The settings are not taken, with all that they say.
    with open(f"{m.etc}/old.pem", "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(dated(m, "20200101", "20200201"))
    with open(f"{m.etc}/main.cf", encoding="utf-8") as f:
        settings = f.read()
    with open(f"{m.etc}/main.cf", "w", encoding="utf-8") as f:
        f.write(settings.replace("/server.pem", "/old.pem"))
    for command in ("check", "reload"):
        done = m.command("mansio", command, check=False)
        assert done.returncode != 0 and \
            "has expired" in done.stdout + done.stderr + m.log(), done
    assert m.serial() == serial
    with open(f"{m.etc}/main.cf", "w", encoding="utf-8") as f:
        f.write(settings)
    m.reload()
    assert m.serial() == serial


def names(m):
    m.make("one.pem", "one.example.test")
    m.make("wild.pem", "*.wild.example.test", "wild.example.test")
    with open(f"{m.etc}/sni", "w", encoding="ascii") as f:
        f.write(f"one.example.test {m.etc}/one.pem\n"
                f".wild.example.test {m.etc}/wild.pem\n"
                f"broken.example.test {m.etc}/no-such-file\n")
    m.command("postmap", f"{m.etc}/sni")
    time.sleep(1.2)         # a table is looked at once a second
    default = m.serial()
    assert m.serial("one.example.test") != default
    assert m.serial("ONE.example.test") == m.serial("one.example.test")
    assert m.serial("a.wild.example.test") not in (
        default, m.serial("one.example.test"))
    loose = m.context()
    loose.check_hostname = False
    for other in ("unknown.example.test", "x" * 60 + ".example.test",
                  "broken.example.test", "127.0.0.1"):
        assert m.serial(other, loose) == default, other
    t = m.starttls(name="one.example.test")
    t.close()
    m.wait_log("no certificate for the name broken.example.test: ")
    assert m.command("mansio", "check", check=False).returncode != 0
    said = m.cert("check", check=False)
    assert said.returncode == 1 and \
        f"one.example.test: {m.etc}/one.pem: good for" in said.stdout and \
        "broken.example.test: " in said.stdout, said
    if not shutil.which("openssl"):
        return
    # A name's certificate is judged like any other.
    with open(f"{m.etc}/dated.pem", "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(dated(m, "20200101", "20200201"))
    with open(f"{m.etc}/sni", "w", encoding="ascii") as f:
        f.write(f"dated.example.test {m.etc}/dated.pem\n")
    m.command("postmap", f"{m.etc}/sni")
    for command in (("cert", "check"), ("check",), ("reload",)):
        done = m.command("mansio", *command, check=False)
        assert done.returncode == 1 and "dated.example.test: " in \
            done.stdout + done.stderr and "has expired" in \
            done.stdout + done.stderr, (command, done)
    with open(f"{m.etc}/sni", "w", encoding="ascii") as f:
        f.write(f"one.example.test {m.etc}/one.pem\n"
                f".wild.example.test {m.etc}/wild.pem\n")
    m.command("postmap", f"{m.etc}/sni")


def own_certificates(m):
    """What a service of master.cf names for itself is judged and shown as
    main.cf's is."""
    own, path = free_port(), f"{m.etc}/master.cf"
    with open(path, encoding="utf-8") as f:
        services = f.read()

    def use(*options, command="smtpd"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"{services}127.0.0.1:{own} inet n - - - - {command}\n" +
                    "".join(f"  -o {x}\n" for x in options))
        return f"{path}:{services.count(chr(10)) + 1}: "

    def said(*command, bad):
        done = m.command("mansio", *command, check=False)
        assert (done.returncode != 0) == bad, (command, done)
        return done.stdout + done.stderr

    m.make("own.pem", "own.example.test")
    with open(f"{m.etc}/nothing.pem", "w", encoding="ascii"):
        pass
    # $service_name and another option are known to all who look.
    use("config_of_this=own", "smtpd_tls_cert_file=$config_directory/"
        "${config_of_this}.pem", "smtpd_tls_wrappermode=yes",
        "smtpd_tls_chain_files=")
    said("check", bad=False)
    text = said("cert", "check", bad=False)
    assert f"127.0.0.1:{own} (smtpd): {m.etc}/own.pem: good for" in text, text
    text = said("cert", "show", bad=False)
    assert f"{m.etc}/own.pem (127.0.0.1:{own} (smtpd))\n" in text, text
    said("reload", bad=False)
    with socket.create_connection(("127.0.0.1", own), 30) as s, \
            m.context().wrap_socket(s, server_hostname="own.example.test"):
        pass
    serial = m.serial()
    for command, option in (
            ("smtpd", "smtpd_tls_chain_files={}"),
            ("imapd", "imapd_tls_chain_files={}"),
            ("pop3d", "pop3d_tls_cert_file={}"),
            ("imapd", "mua_tls_cert_file={}"),
            ("smtpd", "tls_server_sni_maps=texthash:{}")):
        name = option.partition("=")[0]
        if name == "tls_server_sni_maps":
            bad, says = f"{m.etc}/texts", "x.example.test: "
            with open(bad, "w", encoding="ascii") as f:
                f.write(f"x.example.test {m.etc}/nothing.pem\n")
        else:
            bad, says = f"{m.etc}/nothing.pem", f"{m.etc}/nothing.pem: "
        where = use(option.format(bad), command=command)
        for verb in (("check",), ("reload",)):
            text = said(*verb, bad=True)
            assert f"{where}{name}: {says}" in text, (option, verb, text)
        assert says in said("cert", "check", bad=True)
    assert m.serial() == serial
    with open(path, "w", encoding="utf-8") as f:
        f.write(services)
    said("reload", bad=False)


def no_key_in_memory(m):
    """After full handshakes of all kinds only keyd knows the key."""
    needles = private_parts(f"{m.etc}/server.pem")
    for _ in range(5):
        m.serial()
    keyd, = m.pids("keyd")
    assert in_memory(keyd, needles), "the test does not see keys"
    servers = m.pids("smtpd")
    assert servers
    for pid in servers:
        assert not in_memory(pid, needles), f"smtpd {pid} has the key"
    # keyd is root without root's rights.
    with open(f"/proc/{keyd}/status", encoding="ascii") as f:
        status = dict(x.split(":", 1) for x in f.read().splitlines())
    assert int(status["CapEff"], 16) == 4, status["CapEff"]
    if "/san-" not in BUILD:
        assert status["Seccomp"].strip() == "2"


def without_keyd(m):
    """keyd dies: running sessions go on, and new ones when it is back."""
    with m.wrapped() as t:
        f = t.makefile("rwb")
        f.readline()
        keyd, = m.pids("keyd")
        os.kill(keyd, signal.SIGKILL)
        assert say(f, b"NOOP").startswith(b"250 ")
        end = time.monotonic() + 30
        while True:
            try:
                assert m.serial()
                break
            except (OSError, EOFError):
                assert time.monotonic() < end, m.log()[-3000:]
                time.sleep(0.2)


def clients(m):
    """The programs that people use."""
    mail = f"{m.base}/mail.txt"
    with open(mail, "w", encoding="ascii") as f:
        f.write("Subject: client\n\nhello\n")
    ca = f"{m.etc}/ca.pem"
    n = len(m.maildir("bob"))
    if shutil.which("curl"):
        for url in (f"smtp://127.0.0.1:{m.smtp_port}",
                    f"smtps://127.0.0.1:{m.implicit}"):
            subprocess.run(
                ["curl", "-sS", "--ssl-reqd", "--cacert", ca, url,
                 "--mail-from", "a@example.org", "--mail-rcpt",
                 "bob@example.test", "-T", mail], check=True, timeout=60)
            n += 1
    if shutil.which("msmtp"):
        with open(mail, encoding="ascii") as f:
            subprocess.run(
                ["msmtp", "--host=127.0.0.1", f"--port={m.strict}",
                 "--tls=on", f"--tls-trust-file={ca}", "--auth=off",
                 "--from=a@example.org", "bob@example.test"], stdin=f,
                check=True, timeout=60)
        n += 1
    if shutil.which("openssl"):
        out = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{m.smtp_port}",
             "-starttls", "smtp", "-CAfile", ca, "-verify_hostname", NAME,
             "-verify_return_error", "-brief"], input="QUIT\n", text=True,
            capture_output=True, timeout=60, check=False)
        assert "Verification: OK" in out.stderr, out
    m.wait_idle()
    assert len(m.maildir("bob")) == n


def other_keys():
    """RSA and Ed25519 beside ECDSA; the client's wish decides."""
    with Tls(types=("rsa", "ecdsa", "ed25519")) as m:
        c = m.context()
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        for suite, says in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
                            ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
            c.set_ciphers(suite)
            with m.wrapped(c) as t:
                assert t.cipher()[0] == suite
                assert says in suite
        assert m.serial()
    with Tls(types=("ed25519",)) as m:
        assert m.serial()
    with Tls(types=("rsa",)) as m:
        assert m.serial()
        m.wait_log("server-signature RSA-PSS (2048 bits) "
                   "server-digest SHA256")


def no_certificate():
    """Nothing is offered; where TLS is required, it is said."""
    with Tls({"smtpd_tls_chain_files": ""}) as m:
        s, f = raw(m.smtp_port)
        f.write(b"EHLO x\r\n")
        f.flush()
        text = b""
        while not text.endswith(b"\n") or b"250 " not in text:
            text += f.readline()
        assert b"STARTTLS" not in text
        assert say(f, b"STARTTLS").startswith(b"502 ")
        s.close()
        s, f = raw(m.strict)
        assert say(f, b"STARTTLS").startswith(b"454 4.7.0 ")
        assert say(f, b"MAIL FROM:<>").startswith(b"530 ")
        s.close()
        s = socket.create_connection(("127.0.0.1", m.implicit), 30)
        assert s.recv(100) == b""
        s.close()


def a_master_cf_of_postfix():
    """It knows no keyd; one runs where a certificate is named."""
    for settings, want in (({}, 1), ({"smtpd_tls_chain_files": ""}, 0)):
        with Tls(settings, keyd="") as m:
            assert len(m.pids("keyd")) == want
            if want:
                m.starttls().close()


def client_certificates():
    with Tls({"smtpd_tls_ask_ccert": "yes",
              "smtpd_tls_CAfile": "{base}/etc/ca.pem"}) as m:
        path = f"{m.base}/client.pem"
        m.cert("selfsign", "-u", "-C", f"{m.etc}/ca-key.pem", path,
               "client.example.test")
        c = m.context()
        c.load_cert_chain(path)
        s = m.starttls(c)
        s.ehlo()
        s.sendmail("a@example.org", ["carol@example.test"], b"\n\nx\n")
        s.quit()
        m.wait_idle()
        mail = m.maildir("carol")[-1].decode()
        assert ('\t(Client CN "client.example.test", Issuer "Test CA" '
                "(verified OK))\n") in mail, mail
        m.wait_log("Trusted TLS connection established from ")
        assert m.serial()       # without one


def main():
    with Tls({"tls_server_sni_maps": "hash:{base}/etc/sni"}) as m:
        for test in (commands_and_trace, nothing_in_plain_survives, required,
                     broken_handshakes, old_protocols, tickets,
                     no_key_in_memory, names, own_certificates, clients,
                     without_keyd):
            test(m)
    with Tls() as m:
        renewal(m)
    with Tls() as m:
        out_of_date(m)
    other_keys()
    no_certificate()
    a_master_cf_of_postfix()
    client_certificates()


main()
