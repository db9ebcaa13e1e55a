#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""smtpd_reject_footer, its maps, smtpd_command_filter and
smtpd_discard_ehlo_keyword_address_maps: the same settings do the same with us
and with Postfix's smtpd, to the letter where replies are the same."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dialogues  # noqa: E402
from dialogues import EHLO, MAIL, RCPT, beside_postfix  # noqa: E402

SETTINGS = {
    "smtpd_reject_footer": r"Call us.\nTell $client_address, $server_name",
    "smtpd_reject_footer_maps": "regexp:{d}/footers",
    "smtpd_command_filter": "regexp:{d}/commands",
    "smtpd_discard_ehlo_keyword_address_maps": "cidr:{d}/clients",
}
FILES = {
    "clients": "127.0.0.0/8 pipelining, dsn, chunking, starttls\n",
    "footers": r"""
/^503 5\.5\.1/	\c, $$client_address
/^501 5\.1\.3/	\c.\nSee $$server_name.
/^555/		one\ntwo
""",
    "commands": """
/^HELO *$/	HELO domain.invalid
/^(RCPT TO:<)'([^ ]+)'(>.*)/	$1$2$3
/^  *NOOP/	QUIT
/^X-TOUCH/	NOOP
/^NOTHING/	BOGUS
""",
}
DIALOGUES = (
    ["HELO ", MAIL, "RCPT TO:<'u0@example.test'>", "  NOOP", "X-TOUCH",
     "NOTHING", "QUIT"],
    [MAIL, "DATA", "QUIT"],
    [EHLO, "MAIL FROM:<a@b> BODY=8BITMIME", "BDAT 0", "RSET", "QUIT"],
    [EHLO, MAIL, "RCPT TO:<x@other.example>", "RCPT TO:<>", RCPT, "RSET",
     "STARTTLS", "QUIT"],
    ["MAIL FROM:<a@b> FOO=BAR", "FOO", "QUIT"],
)


class Client(dialogues.Client):
    """Codes of all lines, and the text of what a footer added."""
    def answer(self):
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = self.line().rstrip("\r\n")
            if line in ("", "waits"):
                return line or "closed"
            lines.append(line)
        if lines[0][0] not in "45":
            # Ours has more extensions, and each its own order.
            return f"{lines[0][:3]} " + " ".join(sorted(
                x[4:] for x in lines[1:] if x[4:] in (
                    "PIPELINING", "DSN", "CHUNKING", "8BITMIME", "ETRN")))
        first = re.match(r"\d{3}[ -](\d\.\d+\.\d+ )?", lines[0])[0]
        inline = re.search(r", 127\.0\.0\.1$|\.$", lines[0])
        return "|".join([first + (inline[0] if inline else ""), *lines[1:]])


def main():
    dialogues.Client = Client
    with tempfile.TemporaryDirectory(prefix="mansio-quirks-") as d:
        os.chmod(d, 0o755)
        for name, text in FILES.items():
            with open(f"{d}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        return beside_postfix(DIALOGUES, {}, {
            "myhostname": "mail.example.test",
            **{k: v.replace("{d}", d) for k, v in SETTINGS.items()}})


if __name__ == "__main__":
    sys.exit(main())
