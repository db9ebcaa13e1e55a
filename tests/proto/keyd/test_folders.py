#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""keyd reads the folders where keys lie, and no others; a key that comes to
lie elsewhere is found all the same."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../system"))
from instance import BUILD, Instance, free_port, need_root  # noqa: E402


class Keys(Instance):
    """As certbot lays them out: live/NAME/pem -> ../../archive/NAME/pem1."""

    def __init__(self, sni):
        self.port = free_port()
        super().__init__(settings={
            "smtpd_tls_chain_files": "{base}/keys/live/a/pem",
            "tls_server_sni_maps": sni, "keyd_check_interval": "1s",
        }, services="keyd unix - - - - 1 keyd\n"
            f"127.0.0.1:{self.port} inet n - - - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes\n")
        self.n = 0
        self.make("a", "a.test")
        os.makedirs(f"{self.base}/tables")
        with open(f"{self.base}/tables/sni", "w", encoding="ascii") as f:
            f.write(f"b.test {self.base}/keys/live/b/pem\n")
        self.make("b", "b.test")
        if sni.startswith("hash"):
            self.command("postmap", f"{self.base}/tables/sni")

    def make(self, folder, name, top="keys"):
        self.n += 1
        base = f"{self.base}/{top}"
        for kind in ("live", "archive"):
            os.makedirs(f"{base}/{kind}/{folder}", exist_ok=True)
        self.command("mansio", "cert", "selfsign",
                     f"{base}/archive/{folder}/pem{self.n}", name)
        link = f"{base}/live/{folder}/pem"
        os.symlink(f"../../archive/{folder}/pem{self.n}", link + ".new")
        os.rename(link + ".new", link)

    def shown(self, name):
        """The common name of what is served for a name."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
             "-servername", name], input="QUIT\n", capture_output=True,
            text=True, timeout=60, check=False)
        for line in done.stdout.splitlines():
            if line.startswith("subject=") and "CN" in line:
                return line.rpartition("CN = ")[2]
        return done.stdout

    def soon(self, name, want):
        end = time.monotonic() + 30
        while self.shown(name) != want:
            assert time.monotonic() < end, (name, want, self.shown(name),
                                            self.log()[-3000:])
            time.sleep(0.3)

    def keyd(self):
        return [p for p, n in self.children().items() if n == "keyd"]


def renewed(m):
    assert m.shown("a.test") == "a.test"
    assert m.shown("b.test") == "b.test"
    old = m.keyd()
    m.make("a", "a2.test")
    m.make("b", "b2.test")
    m.soon("a.test", "a2.test")
    m.soon("b.test", "b2.test")
    assert m.keyd() == old and "beginning anew" not in m.log()


def elsewhere(m, hashed):
    """A name that is new in the table, then a setting after a reload."""
    old = m.keyd()
    m.make("c", "c.test", "other")
    with open(f"{m.base}/tables/sni", "a", encoding="ascii") as f:
        f.write(f"c.test {m.base}/other/live/c/pem\n")
    if hashed:
        m.command("postmap", f"{m.base}/tables/sni")
    m.soon("c.test", "c.test")
    new = m.keyd()
    assert new != old, new
    assert m.log().count("beginning anew") == 1
    m.make("d", "d.test", "third")
    with open(f"{m.etc}/main.cf", "a", encoding="ascii") as f:
        f.write(f"smtpd_tls_chain_files = {m.base}/third/live/d/pem\n")
    m.command("mansio", "reload")
    m.soon("z.test", "d.test")
    assert m.shown("c.test") == "c.test"


def no_table_to_read(m):
    """What a pattern table names cannot be known: nothing is hidden."""
    m.make("b", "b.test", "patterns")
    m.soon("b.test", "b.test")
    assert "beginning anew" not in m.log()


def main():
    need_root()
    for sni in ("hash:{base}/tables/sni", "texthash:{base}/tables/sni"):
        with Keys(sni) as m:
            renewed(m)
            elsewhere(m, sni.startswith("hash"))
    m = Keys("pcre:{base}/patterns.pcre")
    with open(f"{m.base}/patterns.pcre", "w", encoding="ascii") as f:
        f.write(rf"/^(\w+)\.test$/ {m.base}/patterns/live/$1/pem" + "\n")
    with m:
        no_table_to_read(m)
    print("5 passed, 0 failed, 0 skipped")


if "/san-" in BUILD:
    print("skip: sanitizers need what the sandbox forbids")
    sys.exit(77)
main()
