#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS: what a handshake costs the server, with the key in keyd and in the
process, beside Postfix and Dovecot where they are installed.

    tls.py [--count N] [--rounds N] [--keys "ecdsa rsa"]

CPU is that of all of the server's processes, in microseconds a connection:
TCP, handshake, greeting, end; and as many a second as that allows.  Keys are ECDSA P-256 unless said otherwise.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
import postfix  # noqa: E402
from instance import BUILD, Instance, free_port, need_root  # noqa: E402

LOAD = f"{BUILD}/tests/bench/tlsload"
SERVE = f"{BUILD}/tests/bench/tlsserve"
BULK = 64 << 20
SLICES = 24
TOGETHER = "16"


def load(port, *args):
    out = subprocess.run([LOAD, *args, "127.0.0.1", str(port)], check=True,
                         capture_output=True, text=True, timeout=600)
    return json.loads(out.stdout)


def measure(pids, port, count):
    """Microseconds a connection, full and resumed, and a MiB in bulk."""
    result = {}
    for name, args, n in (("full", (), count), ("resumed", ("-r",), count),
                          ("full 1.2", ("-2",), count)):
        load(port, *args, "-n", "20")
        before = sum(map(bench.cpu_of, pids))
        got = load(port, *args, "-n", str(n))
        cpu = sum(map(bench.cpu_of, pids)) - before
        if name == "resumed" and got["reused"] < n * 0.9:
            cpu = float("nan")
        result[name] = cpu / n * 1e6
    return result


def bulk(pids, port):
    before = sum(map(bench.cpu_of, pids))
    load(port, "-n", "4", "-b", str(BULK))
    return (sum(map(bench.cpu_of, pids)) - before) / 4 / (BULK >> 20) * 1e6


class Mansio(Instance):
    """smtpd and keyd, and the bare server with and without keyd."""

    def __init__(self, kind):
        self.tls_port = free_port()
        super().__init__(
            {"smtpd_tls_chain_files": "{base}/etc/server.pem",
             "smtpd_client_connection_count_limit": "0",
             "keyd_client_sign_limit": "100000"},
            services="keyd unix - - - - 1 keyd\n"
            f"127.0.0.1:{self.tls_port} inet n - - - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes\n")
        self.pem = f"{self.etc}/server.pem"
        self.command("mansio", "cert", "selfsign", "-t", kind, self.pem,
                     "mail.example.test")
        self.port = None

    def serve(self, *args):
        self.port = free_port()
        p = subprocess.Popen([SERVE, self.etc, str(self.port), *args])
        time.sleep(1)
        return p


def paired(m, keyd, count):
    """What keyd adds, where one handshake follows the other and where many
    come at once: both servers in turn, in slices so small that whatever else
    the machine does is the same for both; the sum of all slices."""
    servers = {}
    for name in ("keyd", "local"):
        p = m.serve(*(["local"] if name == "local" else []))
        servers[name] = p, m.port, [p.pid] + ([keyd] if name == "keyd" else [])
        load(m.port, "-n", "20")
    result = {}
    for column, args in (("full", ()), ("full 1.2", ("-2",)),
                         ("at once", ("-c", TOGETHER)),
                         ("at once 1.2", ("-2", "-c", TOGETHER))):
        cost = dict.fromkeys(servers, 0)
        for _ in range(SLICES):
            for name, (_, port, pids) in servers.items():
                before = sum(map(bench.cpu_of, pids))
                load(port, *args, "-n", str(max(count // SLICES, 32)))
                cost[name] += sum(map(bench.cpu_of, pids)) - before
        result[column] = 100 * (cost["keyd"] / cost["local"] - 1)
    for p, _, _ in servers.values():
        p.terminate()
        p.wait()
    return result


def wait_for(port):
    end = time.monotonic() + 20
    while True:
        try:
            load(port, "-n", "1")
            return
        except subprocess.CalledProcessError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def run_postfix(pem, count):
    base = tempfile.mkdtemp(prefix="mansio-bench-")
    os.chmod(base, 0o755)
    server = postfix.Postfix(base, free_port(), 1)
    port = free_port()
    with open(f"{base}/etc/master.cf", "a", encoding="ascii") as f:
        f.write(f"127.0.0.1:{port} inet n - n - - smtpd\n"
                "  -o smtpd_tls_wrappermode=yes\n"
                f"  -o smtpd_tls_chain_files={pem}\n"
                "  -o smtpd_tls_session_cache_timeout=3600s\n")
    # Without a cache it gives no tickets either.
    with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
        f.write("smtpd_tls_session_cache_database = "
                f"btree:{base}/lib/smtpd_scache\n")
    try:
        server.start()
        wait_for(port)
        return measure([server.pid], port, count)
    finally:
        server.stop()
        shutil.rmtree(base, ignore_errors=True)


def run_dovecot(pem, count):
    base = tempfile.mkdtemp(prefix="mansio-bench-")
    os.chmod(base, 0o755)
    port = free_port()
    path = f"{base}/dovecot.conf"
    with open(path, "w", encoding="ascii") as f:
        f.write(f"""base_dir = {base}/run
state_dir = {base}/state
protocols = imap
listen = 127.0.0.1
log_path = {base}/log
ssl = required
passdb {{
  driver = static
  args = password=none
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={base}
}}
ssl_cert = <{pem}
ssl_key = <{pem}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
""")
    p = subprocess.Popen(["dovecot", "-F", "-c", path],
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        return measure([p.pid], port, count)
    finally:
        p.terminate()
        p.wait()
        shutil.rmtree(base, ignore_errors=True)


def main():
    need_root()
    ap = argparse.ArgumentParser()
    ap.add_argument("--count", type=int, default=500)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--keys", default="ecdsa rsa")
    opt = ap.parse_args()
    rows = {}

    def note(name, result):
        # The table comes at the end, after minutes: show that it goes on.
        print(name, result, file=sys.stderr, flush=True)
        for key, value in result.items():
            rows.setdefault(name, {}).setdefault(key, []).append(value)

    for _ in range(opt.rounds):
        for kind in opt.keys.split():
            with Mansio(kind) as m:
                keyd, = [p for p, n in m.children().items() if n == "keyd"]
                note(f"keyd adds %, {kind}", paired(m, keyd, opt.count))
                p = m.serve()
                note(f"bare, keyd, {kind}",
                     measure([p.pid, keyd], m.port, opt.count))
                p.terminate()
                p.wait()
                p = m.serve("local")
                note(f"bare, in process, {kind}",
                     measure([p.pid], m.port, opt.count))
                if kind == "ecdsa":
                    note("bare, in process, ecdsa",
                         {"bulk/MiB": bulk([p.pid], m.port)})
                p.terminate()
                p.wait()
                if kind == "ecdsa":
                    note("smtpd", measure([m.master_pid()], m.tls_port,
                                          opt.count))
                    if postfix.available():
                        note("Postfix smtpd", run_postfix(m.pem, opt.count))
                    if shutil.which("dovecot"):
                        note("Dovecot imap-login",
                             run_dovecot(m.pem, opt.count))
    columns = ("full", "resumed", "full 1.2", "at once", "at once 1.2",
               "bulk/MiB")
    print("%-28s" % "CPU us" + "".join("%12s" % c for c in columns))
    for name, result in rows.items():
        print("%-28s" % name + "".join(
            "%12.0f" % statistics.median(result[c]) if c in result else
            "%12s" % "" for c in columns))
    print("%-28s" % "a second, on one core")
    for name, result in rows.items():
        if "%" not in name and "full" in result:
            print("%-28s" % name + "".join(
                "%12.0f" % (1e6 / statistics.median(result[c]))
                for c in columns if c in result and c != "bulk/MiB"))


main()
