#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""main.cf and master.cf as Debian's Postfix makes them load and work: Internet
site, satellite, local only, null client, backup MX.  Changed are the places
where files lie, and the port."""
import os
import re
import shutil
import smtplib
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
from peerlib import DNS, Peer, need_root, wait_rcpt  # noqa: E402
from instance import BUILD, Instance, skip  # noqa: E402

SHARE = "/usr/share/postfix"

# What the package's questions add to main.cf.debian, in its words.
COMMON = """
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = host.example.test
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, example.test, localhost.example.test, , localhost
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_protocols = all
"""

SITES = {
    "internet": COMMON + "relayhost = \ninet_interfaces = all\n",
    "satellite": COMMON + "relayhost = [relay.test]:{port}\n"
                          "inet_interfaces = loopback-only\n",
    "local": COMMON + "relayhost = \ninet_interfaces = loopback-only\n"
                      "default_transport = error\nrelay_transport = error\n",
    # STANDARD_CONFIGURATION_README's words.
    "null": "myhostname = host.example.test\nmyorigin = $mydomain\n"
            "relayhost = $mydomain:{port}\ninet_interfaces = loopback-only\n"
            "mydestination =\n",
    # Debian's, with what its readers are told to add against spam.
    "careful": COMMON + "relayhost =\ninet_interfaces = all\n"
               "smtpd_helo_required = yes\n"
               "smtpd_helo_restrictions = permit_mynetworks, "
               "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, "
               "reject_unknown_helo_hostname\n"
               "smtpd_sender_restrictions = reject_non_fqdn_sender, "
               "reject_unknown_sender_domain\n"
               "smtpd_client_restrictions = permit_mynetworks, "
               "reject_unknown_reverse_client_hostname\n"
               "smtpd_recipient_restrictions = reject_non_fqdn_recipient, "
               "reject_unknown_recipient_domain, permit_mynetworks, "
               "permit_sasl_authenticated, reject_unauth_destination, "
               "permit_dnswl_client list.dnswl.test, "
               "reject_rbl_client zen.test=127.0.0.[2..11], "
               "reject_rhsbl_sender dbl.test=127.0.1.[2..99]\n",
    # STANDARD_CONFIGURATION_README: on a local network, behind a gateway.
    "network": "myhostname = host.example.test\nmyorigin = $mydomain\n"
               "mynetworks = 127.0.0.0/8 10.0.0.0/24\n"
               "relayhost = $mydomain:{port}\n"
               "relay_domains =\ninet_interfaces = loopback-only\n"
               "mydestination = localhost\n"
               "alias_maps = hash:/etc/aliases\n",
    # The gateway: all for the domain goes on to the host inside.
    "gateway": "myhostname = gw.example.test\nmyorigin = example.test\n"
               "mydestination =\nlocal_recipient_maps =\n"
               "local_transport = error:local mail delivery is disabled\n"
               "mynetworks = 127.0.0.0/8 10.0.0.0/24\n"
               "relay_domains = example.test\n"
               "relay_recipient_maps = hash:{etc}/relay_recipients\n"
               "smtpd_relay_restrictions = permit_mynetworks, "
               "reject_unauth_destination\n"
               "transport_maps = hash:{etc}/transport\n"
               "parent_domain_matches_subdomains = debug_peer_list "
               "smtpd_access_maps\n"
               "virtual_alias_maps = hash:{etc}/virtual\n",
    # Who sends decides where it goes, and as whom.
    "bysender": COMMON + "inet_interfaces = loopback-only\n"
                "relayhost = [nowhere.test]\n"
                "smtp_sender_dependent_authentication = yes\n"
                "sender_dependent_relayhost_maps = hash:{etc}/bysender\n"
                "smtp_sasl_auth_enable = yes\n"
                "smtp_sasl_password_maps = hash:{etc}/passwords\n"
                "smtp_sasl_security_options = noanonymous\n",
    # No list of domains: the DNS says for whom we keep mail.
    "mxbackup": re.sub("smtpd_relay.*\n", "", COMMON) +
                "inet_interfaces = 127.0.0.9\nrelayhost =\n"
                "smtpd_relay_restrictions =\n"
                "smtpd_recipient_restrictions = permit_mx_backup, "
                "reject_unauth_destination\n"
                "permit_mx_backup_networks = 127.0.0.0/8\n"
                "proxy_interfaces = 192.0.2.1\n",
    "backup": COMMON + "inet_interfaces = all\nrelayhost =\n"
              "relay_domains = backup.test\n"
              "smtpd_recipient_restrictions = permit_mynetworks, "
              "reject_unauth_destination\n"
              "relay_recipient_maps = hash:{etc}/relay_recipients\n"
              "transport_maps = hash:{etc}/transport\n",
}

# All that the check says of them, each of it in postconf(5) or mansio(8).
KNOWN = (
    r"mailbox_size_limit = 0 is taken as unlimited",
    r"(smtp|smtpd)_tls_session_cache_database",
    # Entries of master.cf for programs that this machine does not have.
    r"service \S+: user=\S+: no such user: mail for it waits$",
)

ZONES = {
    "far.test": {"MX": ["10 mx.far.test"]},
    "mx.far.test": {"A": ["127.0.0.1"]},
    "relay.test": {"A": ["127.0.0.1"]},
    "primary.test": {"MX": ["10 mx.far.test", "20 us.test"]},
    "faraway.test": {"MX": ["10 out.test", "20 us.test"]},
    "us.test": {"A": ["192.0.2.1"]}, "out.test": {"A": ["198.51.100.1"]},
    "fails.test": "SERVFAIL",
    "example.test": {"MX": ["10 relay.test"], "A": ["127.0.0.1"]},
}


class Stock(Instance):
    def __init__(self, site, dns, port):
        self.site, self.dns, self.port = site, dns, port
        super().__init__()

    def write_config(self, settings, services, maildir):
        for d in ("etc", "lib", "mail", "log"):
            os.makedirs(f"{self.base}/{d}", exist_ok=True)
        os.chown(f"{self.base}/lib", self.owner.pw_uid, self.owner.pw_gid)
        with open(f"{SHARE}/main.cf.debian", encoding="utf-8") as f:
            text = f.read()
        text += SITES[self.site].replace("{port}", str(self.port)) \
            .replace("{etc}", self.etc)
        with open(f"{self.etc}/main.cf", "w", encoding="utf-8") as f:
            f.write(text.replace("/etc/aliases", f"{self.etc}/aliases"))
            f.write(f"queue_directory = {self.base}/spool\n"
                    f"data_directory = {self.base}/lib\n"
                    f"daemon_directory = {BUILD}/bin\n"
                    f"command_directory = {BUILD}/bin\n"
                    f"mail_owner = {self.owner.pw_name}\n"
                    f"maillog_file = {self.base}/log/mail.log\n"
                    f"maillog_file_prefixes = {self.base}\n"
                    f"mail_spool_directory = {self.mail}\n"
                    f"resolver_servers = 127.0.0.1:{self.dns.port}\n"
                    f"smtp_tcp_port = {self.port}\n")
        with open(f"{SHARE}/master.cf.dist", encoding="utf-8") as f:
            text = f.read()
        text, n = re.subn(r"^smtp( +)inet", f"127.0.0.1:{self.smtp_port} inet",
                          text, flags=re.M)
        assert n == 1
        with open(f"{self.etc}/master.cf", "w", encoding="utf-8") as f:
            f.write(text)
        for name, lines in (("aliases", "postmaster: root\nbox: discarded\n"
                             "discarded: /dev/null\n"),
                            ("relay_recipients", "known@backup.test x\n"
                             "known@example.test x\n"),
                            ("transport", "backup.test relay:[127.0.0.1]:"
                             f"{self.port}\nexample.test relay:[127.0.0.1]:"
                             f"{self.port}\nfido.test ifmail:\n"
                             "uucp.test uucp:\n"),
                            ("virtual", "postmaster known@example.test\n"
                             "abuse known@example.test\n"),
                            ("bysender", "one@host.example.test [relay.test]:"
                             f"{self.port}\n"),
                            ("passwords", "one@host.example.test one:secret\n"
                             )):
            with open(f"{self.etc}/{name}", "w", encoding="ascii") as f:
                f.write(lines)
        self.command("postalias", f"hash:{self.etc}/aliases")
        for name in ("relay_recipients", "transport", "virtual", "bysender",
                     "passwords"):
            self.command("postmap", f"hash:{self.etc}/{name}")


def check(m):
    done = m.command("mansio", "check", check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, said
    for line in said:
        if "warning:" in line:
            assert any(re.search(k, line) for k in KNOWN), line


def send(m, to, mail="user@host.example.test"):
    with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=60) as s:
        s.sendmail(mail, [to], "Subject: x\r\n\r\nhi\r\n")


def refused(m, to):
    try:
        send(m, to)
    except smtplib.SMTPRecipientsRefused as e:
        return e.recipients[to][0]
    raise AssertionError(f"{to} was taken")


def internet(m, p):
    send(m, "a@far.test")
    p.wait()
    assert "relay=mx.far.test[127.0.0.1]" in wait_rcpt(m, "a@far.test")
    send(m, "box@example.test")
    assert "status=sent" in wait_rcpt(m, "box@example.test")
    assert refused(m, "nobody-here@example.test") == 550


def satellite(m, p):
    send(m, "a@anything.test")
    p.wait()
    assert "relay=relay.test[127.0.0.1]" in wait_rcpt(m, "a@anything.test")
    sendmail(m, "b@anything.test")
    p.wait(2)
    assert p.messages[1].mail.startswith("MAIL FROM:<root@"), \
        p.messages[1].mail


def sendmail(m, to):
    subprocess.run([m.program("sendmail"), "-C", m.etc, "-f", "root", to],
                   input=b"Subject: y\n\nhello\n", check=True, timeout=60)


def local(m, p):
    send(m, "box@example.test")
    assert "status=sent" in wait_rcpt(m, "box@example.test")
    assert refused(m, "a@far.test") == 550
    assert not p.commands


def null(m, p):
    sendmail(m, "root")
    p.wait()
    got = p.messages[0]
    assert got.mail.startswith("MAIL FROM:<root@example.test>"), got.mail
    assert got.rcpts[0].startswith("RCPT TO:<root@example.test>"), got.rcpts


def careful(m, p):
    internet(m, p)
    for to, want in (("a@none.test", 450), ("a@fails.test", 450),
                     ("a@unqualified", 504)):
        assert refused(m, to) == want, to
    try:
        send(m, "a@far.test", "x@none.test")
        raise AssertionError("x@none.test was taken")
    except smtplib.SMTPRecipientsRefused as e:
        assert e.recipients["a@far.test"][0] == 450, e


def network(m, p):
    send(m, "a@anything.test")
    p.wait()
    sendmail(m, "root@localhost")
    assert "status=sent" in wait_rcpt(m, "root@localhost")


def gateway(m, p):
    send(m, "known@example.test", "x@far.test")
    p.wait()
    assert refused(m, "unknown@example.test") == 550
    sendmail(m, "postmaster")
    p.wait(2)
    assert p.messages[1].rcpts[0].startswith("RCPT TO:<known@example.test>")
    send(m, "out@far.test", "known@example.test")
    p.wait(3)


def bysender(m, p):
    p.on["EHLO"] = "250-x\n250-AUTH PLAIN\n250 8BITMIME"
    p.on["AUTH"] = "235 2.7.0 Ok"
    send(m, "a@anything.test", "one@host.example.test")
    p.wait()
    assert any(c.startswith("AUTH PLAIN") for c in p.commands), p.commands
    send(m, "b@anything.test", "two@host.example.test")
    assert "status=deferred" in wait_rcpt(m, "b@anything.test")
    m.wait_log("name=nowhere.test")


def mxbackup(m, p):
    send(m, "a@primary.test", "x@other.test")
    p.wait()
    assert "relay=mx.far.test[127.0.0.1]" in wait_rcpt(m, "a@primary.test")
    assert refused(m, "a@faraway.test") == 554
    assert refused(m, "a@far.test") == 554
    assert refused(m, "a@fails.test") == 450


def backup(m, p):
    send(m, "known@backup.test")
    p.wait()
    assert "status=sent" in wait_rcpt(m, "known@backup.test")
    assert refused(m, "unknown@backup.test") == 550
    p.on["RCPT"] = "450 4.2.0 later"
    send(m, "known@backup.test")
    end = time.monotonic() + 30
    while not m.queue():
        assert time.monotonic() < end
        time.sleep(0.1)
    p.on.clear()
    m.command("postqueue", "-s", "backup.test")
    p.wait(2)
    # Programs that are not there lose no mail, and hold up no other.
    for to in ("a@fido.test", "a@uucp.test"):
        send(m, to)
        assert "status=deferred" in wait_rcpt(m, to) or \
            shutil.which("uux"), to


def main():
    need_root()
    if not os.path.exists(f"{SHARE}/main.cf.debian"):
        skip("no files of Debian's Postfix")
    n = 0
    with DNS(ZONES) as dns:
        for name in SITES:
            with Peer() as p, Stock(name, dns, p.port) as m:
                check(m)
                globals()[name](m, p)
                n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
