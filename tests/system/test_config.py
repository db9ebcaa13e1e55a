#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What only a daemon can tell to be wrong stops start, is named by check with
file and line, and on reload leaves what runs alone."""
import os
import re
import sys

from instance import Instance
from masterlib import wait_for

WRONG = (
    # setting, part of the error
    ("smtpd_recipient_restrictions = permit_mynetworks, nonsense",
     'unknown restriction "nonsense"'),
    # Everybody could relay; Postfix refuses this, too.
    ("smtpd_relay_restrictions = permit_mynetworks",
     "everybody could relay"),
    ("smtpd_relay_restrictions = permit_mynetworks, "
     "warn_if_reject reject_unauth_destination",
     "everybody could relay"),
    ("smtpd_authorized_xclient_hosts = 300.1.2.3/8", "bad network address"),
    ("virtual_alias_maps = nosuchtype:/x", 'unsupported type "nosuchtype"'),
    ("header_checks = regexp:{/a/ OK}", "header_checks"),
    ("local_recipient_maps = unix:passwd.byname sql:users",
     'unsupported type "sql"'),
    ("transport_maps = /etc/mansio/transport", "transport_maps"),
    ("virtual_transport = vitual",
     'master.cf has no service "vitual" of type unix'),
    ("default_transport = nosuch:[127.0.0.1]:25",
     'master.cf has no service "nosuch" of type unix'),
    ("bounce_template_file = /nonexistent/templates",
     "bounce_template_file: /nonexistent/templates: No such file"),
    ("notify_classes = resource, bouncing", '"bouncing" is none'),
    ("tls_eecdh_auto_curves = nothing, nowhere\n"
     "smtp_tls_security_level = may",
     'tls_eecdh_auto_curves: nothing of "nothing, nowhere"'),
    ("smtpd_recipient_restrictions = check_policy_service "
     "{ inet:127.0.0.1:1, default_action=BOGUS }",
     'default_action: "BOGUS" is no action of access(5)'),
)
# Not wrong, but hardly meant: a line each, and it starts.
ODD = (
    ("smtpd_restriction_classes = loose",
     "restriction class loose is not defined"),
    ("smtpd_recipient_restrictions = reject, permit",
     'restriction "permit" after "reject" is ignored'),
    ("virtual_alias_maps = pcre:{{/(/ x}}", "skipping this rule"),
    ("smtpd_client_restrictions = { check_client_access "
     "cidr:{{10.0.0.1/8 REJECT}} }", "skipping this rule"),
    ("smtpd_milters = inet:localhost:8891", "milters are not supported yet"),
    ("smtpd_sasl_type = dovecot", "see authd_password_maps"),
    ("authd_mechanism_filter = plain, !cram-md5, foo",
     'authd_mechanism_filter: no mechanism "foo"'),
    ("authd_owner = nobody-here", 'authd_owner: no user "nobody-here"'),
    ("quota_maps = inline:{{joe@example.test = 5G}, {a@b = much}, {c@d = x}}",
     'a@b: "much" is no quota (storage=10G messages=100000 mailboxes=200) '
     "(and 1 more)"),
    ("sender_domain_quota_maps = inline:{{a.example = often}}",
     'a.example: "often" is no quota'),
    ("authd_oauth_jwks_file = /nonexistent/jwks", "jwks: No such file"),
)
# All of these at once, each said with its line: whoever finds them, and
# whatever else is wrong in front of it.
AT_ONCE = """\
queue_run_delay = 5parsecs
inet_protocols = ipv5
myhostname = two words
smtpd_helo_restrictions = check_helo_access nosuch:/x
smtpd_sender_restrictions = nonsense
smtpd_authorized_xclient_hosts = 300.1.2.3/8
smtpd_sasl_mechanism_filter = !
smtpd_tls_cert_file = /nonexistent/cert.pem
smtpd_tls_protocols = SSLv9
smtpd_tls_ciphers = fancy
smtpd_tls_mandatory_protocols = TLSv7
mua_tls_ciphers = fancier
smtpd_tls_fingerprint_digest = md17
smtpd_tls_CAfile = /nonexistent/clients.pem
smtpd_tls_CApath = /nonexistent/clients
authd_dovecot_socket = /nonexistent/auth
sender_quota_maps = static:many
virtual_uid_maps = static:vmail
virtual_gid_maps = static:users
quota_maps = static:much
proxy_interfaces = 1.2.3.
relay_domains = sql:x
body_checks = sql:x
canonical_classes = x
authd_username_format = %x
authd_password_maps = sql:x
notify_classes = bouncing
default_privs = nobody-here
prepend_delivered_header = all
mailbox_delivery_lock = lockf
mailbox_command_maps = sql:x
virtual_mailbox_lock = lockf
virtual_delivery_status_filter = sql:x
smtp_bind_address = 1.2.3
smtp_host_lookup = nis
smtp_header_checks = sql:x
smtp_tls_protocols = SSLv9
smtp_tls_mandatory_protocols = TLSv7
smtp_tls_fingerprint_digest = md17
smtp_tls_CAfile = /nonexistent/ca.pem
smtp_tls_trust_anchor_file = /nonexistent/anchor.pem
smtp_fallback_relay = [a.example], [unclosed
relayhost = [unclosed
relay_transport = smtp:[]:25
lmtp_tls_CAfile = /nonexistent/other.pem
lmtp_tcp_port = nosuchport
imapd_cleartext_networks = 1.2.3.4/99
pop3d_expire = soon
pop3d_uidl_format = %q
mua_tls_loglevel = 9
smtp_sasl_password_maps = sql:x
smtp_tls_policy_maps = sql:x
smtpd_sender_login_maps = sql:x
address_verify_map = sql:x
tls_server_sni_maps = sql:x
acl_owner_rights = lrq
"""
MORE_SERVICES = """\
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
127.0.0.1:1 inet n - n - - imapd
127.0.0.1:2 inet n - n - - pop3d
session unix - n n - 1 session
"""
WRONG_SERVICES = """\
short inet n -
piped unix - n n - - pipe user=nobody argv=
99999 inet n - n - - smtpd
"""
RIGHT = (
    "smtpd_relay_restrictions = \n"
    "smtpd_recipient_restrictions = permit_mynetworks, reject",
    "virtual_transport = discard:all of it\n"
    "transport_maps = inline:{{a.example=discard:}}\nnotify_classes = bounce,2bounce",
    "smtpd_restriction_classes = strict\nstrict = reject\n"
    "smtpd_relay_restrictions = permit_mynetworks, strict",
)


def write(m, text):
    with open(f"{m.etc}/new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(f"{m.etc}/new", f"{m.etc}/main.cf")


def everything_at_once():
    with Instance(services=MORE_SERVICES) as m:
        with open(f"{m.etc}/main.cf", encoding="ascii") as f:
            good = f.read()
        with open(f"{m.etc}/master.cf", encoding="ascii") as f:
            services = f.read()
        write(m, good + AT_ONCE)
        with open(f"{m.etc}/master.cf", "a", encoding="ascii") as f:
            f.write(WRONG_SERVICES)
        first = good.count("\n") + 1
        places = [f"/main.cf:{first + i}: .*{line.split()[0]}"
                  for i, line in enumerate(AT_ONCE.splitlines())]
        first = services.count("\n") + 1
        places += [f"/master.cf:{first + i}: " for i in range(3)]
        for command in "check", "reload", "start":
            if command == "start":
                m.stop()
            done = m.command("mansio", command, check=False)
            assert done.returncode == 1, done
            for place in places:
                found = re.findall(f"error: .*{place}.*", done.stderr)
                assert len(found) == 1, (command, place, found, done.stderr)
            for line in done.stderr.splitlines():
                assert re.search(r"main\.cf:\d+: |master\.cf:\d+: |"
                                 r"not (re|st)|default: ", line), line
        write(m, good)
        with open(f"{m.etc}/master.cf", "w", encoding="ascii") as f:
            f.write(services)
        m.start()


def main():
    everything_at_once()
    # No process is to end because it has nothing to do.
    with Instance({"max_idle": "1d"},
                  services="smtp unix - - n - - smtp\n") as m:
        with open(f"{m.etc}/main.cf", encoding="ascii") as f:
            good = f.read()
        line = good.count("\n") + 1
        with m.smtp() as s:
            s.ehlo()
            # Those that were just forked still have master's name.
            wait_for(lambda: "master" not in m.children().values())
            children = m.children()
            for setting, says in WRONG:
                write(m, good + setting + "\n")
                for command in ("check", "reload"):
                    done = m.command("mansio", command, check=False)
                    assert done.returncode == 1, (setting, command, done)
                    assert says in done.stderr, (setting, done.stderr)
                    assert f"main.cf:{line}: " in done.stderr, \
                        (setting, done.stderr)
                    # Said once, not by smtpd and lmtpd each.
                    if "relay" in says:
                        assert done.stderr.count(says) == 1, done.stderr
                # The process that judged them may not be gone quite yet.
                try:
                    wait_for(lambda: m.children() == children)
                except AssertionError as e:
                    raise AssertionError((setting, children,
                                          m.children())) from e
                assert s.noop()[0] == 250
            for setting in RIGHT:
                write(m, good + setting + "\n")
                done = m.command("mansio", "check")
                assert done.stderr == "", done.stderr
            # "-v" is taken on both sides.
            assert m.command("mansio", "-v", "check").stderr == \
                m.command("mansio", "check", "-v").stderr
            for setting, says in ODD:
                write(m, good + setting + "\n")
                done = m.command("mansio", "check")
                assert done.stderr.count(says) == 1, (setting, done.stderr)
            write(m, good)
        m.send("alice", "Subject: still here\n\n")
        m.wait_idle()
        assert len(m.maildir("alice")) == 1

        # An option of master.cf is judged like a line of main.cf.
        with open(f"{m.etc}/master.cf", "a", encoding="ascii") as f:
            f.write("127.0.0.1:1 inet n - - - - smtpd\n"
                    "  -o smtpd_relay_restrictions=permit\n")
        done = m.command("mansio", "check", check=False)
        assert done.returncode == 1 and "relay" in done.stderr, done
        with open(f"{m.etc}/master.cf", "a", encoding="ascii") as f:
            f.write("127.0.0.1:2 inet n - - - - smtpd -x\n")
        done = m.command("mansio", "check", check=False)
        assert "option -x is unknown" in done.stderr, done

        # Nor does it start with that.
        m.stop()
        done = m.command("mansio", "start", check=False)
        assert done.returncode != 0 and "not started" in done.stderr, done
    return 0


if __name__ == "__main__":
    sys.exit(main())
