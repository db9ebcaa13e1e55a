# SPDX-License-Identifier: ISC
"""
netns - several hosts on one network of their own, with a DNS that is signed.

    net = netns.enter()                 skips the test where that is forbidden
    with net:
        a, b = net.host("a"), net.host("b")
        net.zone("signed.test", {
            "@": ["MX 10 mx"], "mx": a.records(),
            "_25._tcp.mx": ["TLSA 3 1 1 " + net.spki("mx.signed.test")]})
        net.zone("plain.test", {...}, signed=False)
        net.start_dns()
        with net.mansio(a, "mx.signed.test", users={"alice": "signed.test"}),
             net.mansio(b, "mx.plain.test", {"smtp_tls_loglevel": "1"}) as m:
            m.send("alice@signed.test", "Subject: x\r\n\r\nx\r\n")

The test's process lives in the hub: a namespace with a bridge, at 10.53.0.1
and fd53::1, where the name server is.  A host is a namespace with an address
of each family on that bridge and a route to everywhere else through the hub,
which forwards nothing: 192.0.2.0/24 and 2001:db8::/32 swallow what is sent to
them, as a dead path does.

    with a:                             what is opened here is on host a:
        peer = Peer(host=a.ip4)         sockets, threads, processes

net.ca is a CA's certificate; net.cert(NAME, ...) makes one that it has
signed, as (certificate file, key file).  All is gone with the test's process.
"""
import ctypes
import glob
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, need_root, skip  # noqa: E402

NEWNS, NEWNET = 0x00020000, 0x40000000
HUB4, HUB6 = "10.53.0.1", "fd53::1"
TTL = 5

libc = ctypes.CDLL(None, use_errno=True)

UNBOUND = """\
server:
  interface: {ip4}
  interface: {ip6}
  port: 53
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{d}"
  pidfile: ""
  use-syslog: no
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "test." nodefault
remote-control:
  control-enable: no
"""
AUTH = """\
auth-zone:
  name: "{name}."
  zonefile: "{file}"
  for-downstream: yes
  for-upstream: yes
"""


def sys_call(what, rc):
    if rc != 0:
        e = ctypes.get_errno()
        raise OSError(e, f"{what}: {os.strerror(e)}")


def run(*args, **kw):
    done = subprocess.run(args, capture_output=True, text=True, check=False,
                          **kw)
    if done.returncode != 0:
        raise RuntimeError(f"{args}: {done.stdout}{done.stderr}")
    return done.stdout


def find_tool(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def enter():
    """The hub; this process and all it starts are in it from here on."""
    need_root()
    for tool in ("ip", "unbound", "dnssec-signzone", "dnssec-keygen",
                 "openssl"):
        if not find_tool(tool):
            skip(f"no {tool}")
    try:
        sys_call("unshare", libc.unshare(NEWNS | NEWNET))
        sys_call("mount", libc.mount(b"none", b"/", None, 0x44000, None))
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
    except (OSError, RuntimeError) as e:
        skip(f"no network namespaces: {e}")
    return Net()


class Host:
    """A namespace; "with host:" moves the calling thread into it."""

    def __init__(self, net, name, number):
        self.net, self.name = net, name
        self.ip4, self.ip6 = f"10.53.0.{number}", f"fd53::{number}"
        self.fd, self.before = -1, []
        t = threading.Thread(target=self.make)
        t.start()
        t.join()
        if self.fd < 0:
            raise RuntimeError(f"no namespace for {name}")

    def make(self):
        link = f"h-{self.name}"
        sys_call("unshare", libc.unshare(NEWNET))
        tid = threading.get_native_id()
        fd = os.open(f"/proc/self/task/{tid}/ns/net", os.O_RDONLY)
        # The hub is where the main thread is.
        run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", link,
            "netns", str(os.getpid()))
        for c in ("/proc/sys/net/ipv6/conf/eth0/accept_dad",
                  "/proc/sys/net/ipv6/conf/default/accept_dad"):
            with open(c, "w", encoding="ascii") as f:
                f.write("0")
        run("ip", "link", "set", "lo", "up")
        self.add(self.ip4, self.ip6)
        run("ip", "link", "set", "eth0", "up")
        with self.net.hub:
            run("ip", "link", "set", link, "master", "br0", "up")
        run("ip", "route", "add", "default", "via", HUB4)
        run("ip", "-6", "route", "add", "default", "via", HUB6)
        self.fd = fd

    def add(self, ip4=None, ip6=None):
        """Further addresses; call it inside."""
        if ip4:
            run("ip", "addr", "add", f"{ip4}/24", "dev", "eth0")
        if ip6:
            run("ip", "addr", "add", f"{ip6}/64", "dev", "eth0", "nodad")

    def records(self):
        return [f"A {self.ip4}", f"AAAA {self.ip6}"]

    def down(self):
        """The cable is pulled: packets to it are lost."""
        run("ip", "link", "set", f"h-{self.name}", "nomaster")

    def up(self):
        run("ip", "link", "set", f"h-{self.name}", "master", "br0")

    def __enter__(self):
        tid = threading.get_native_id()
        self.before.append(os.open(f"/proc/self/task/{tid}/ns/net",
                                   os.O_RDONLY))
        sys_call("setns", libc.setns(self.fd, NEWNET))
        return self

    def __exit__(self, *_):
        fd = self.before.pop()
        sys_call("setns", libc.setns(fd, NEWNET))
        os.close(fd)


class Hub(Host):
    def __init__(self):        # pylint: disable=super-init-not-called
        self.before = []
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)


class Net:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="mansio-net-")
        os.chmod(self.dir, 0o755)
        self.hub, self.hosts, self.zones = Hub(), {}, {}
        self.dns = None
        run("ip", "addr", "add", f"{HUB4}/24", "dev", "br0")
        run("ip", "addr", "add", f"{HUB6}/64", "dev", "br0", "nodad")
        run("ip", "link", "set", "br0", "up")
        with open(f"{self.dir}/resolv.conf", "w", encoding="ascii") as f:
            f.write(f"nameserver {HUB4}\n")
        # Other people's programs know no other place.
        sys_call("mount", libc.mount(
            f"{self.dir}/resolv.conf".encode(), b"/etc/resolv.conf", None,
            4096, None))
        self.ca, self.ca_key = f"{self.dir}/ca.pem", f"{self.dir}/ca.key"
        self.make_ca()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_dns()
        libc.umount2(b"/etc/resolv.conf", 2)
        shutil.rmtree(self.dir, ignore_errors=True)

    def host(self, name):
        h = Host(self, name, len(self.hosts) + 2)
        self.hosts[name] = h
        return h

    # --- names ---------------------------------------------------------------

    def zone(self, name, records, signed=True):
        """records: {owner: ["TYPE value", ...]}; names as in a zone file.
        Said again, it replaces the zone, after start_dns() or reload."""
        text = (f"$TTL {TTL}\n@ IN SOA ns root {int(time.time())} 60 60 600 "
                f"{TTL}\n@ IN NS ns\nns IN A {HUB4}\nns IN AAAA {HUB6}\n")
        for owner, values in records.items():
            for v in values:
                kind, _, rest = v.partition(" ")
                if kind == "TXT":
                    rest = '"' + rest.strip('"') + '"'
                text += f"{owner} IN {kind} {rest}\n"
        d = f"{self.dir}/zone-{name}"
        os.makedirs(d, exist_ok=True)
        with open(f"{d}/zone", "w", encoding="ascii") as f:
            f.write(text)
        if signed:
            if not glob.glob(f"{d}/K*.key"):
                for flags in (["-f", "KSK"], []):
                    run(find_tool("dnssec-keygen"), "-q", "-a",
                        "ECDSAP256SHA256", *flags, name, cwd=d)
            run(find_tool("dnssec-signzone"), "-q", "-S", "-O", "full",
                "-o", name, "-f", "served", "zone", cwd=d)
        else:
            shutil.copyfile(f"{d}/zone", f"{d}/served")
        self.zones[name] = signed

    def anchor(self):
        """A file with the keys that all signed zones can be checked by."""
        path = f"{self.dir}/anchor"
        with open(path, "w", encoding="ascii") as out:
            for key in glob.glob(f"{self.dir}/zone-*/K*.key"):
                with open(key, encoding="ascii") as f:
                    out.writelines(line for line in f
                                   if " 257 " in line and line[0] != ";")
        return path

    def start_dns(self):
        """Serve the zones as they are now."""
        self.stop_dns()
        with open(f"{self.dir}/unbound.conf", "w", encoding="ascii") as f:
            f.write(UNBOUND.format(ip4=HUB4, ip6=HUB6, d=self.dir))
            for name in self.zones:
                f.write(AUTH.format(
                    name=name, file=f"{self.dir}/zone-{name}/served"))
        self.dns = subprocess.Popen(
            [find_tool("unbound"), "-d", "-c", f"{self.dir}/unbound.conf"],
            stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((HUB4, 53), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def stop_dns(self):
        if self.dns:
            self.dns.terminate()
            self.dns.wait()
            self.dns = None

    # --- certificates --------------------------------------------------------

    def openssl(self, *args):
        run("openssl", *args)

    def make_ca(self):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
                     "-keyout", self.ca_key, "-out", self.ca, "-subj",
                     "/CN=Test CA")

    def cert(self, *names, key=None, days=9, ca=True, file=None):
        """A certificate for names; days < 0: one that has expired."""
        base = f"{self.dir}/{file or names[0]}"
        key_file = key or f"{base}.key"
        with open(f"{base}.ext", "w", encoding="ascii") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{n}" for n in names))
        new = ["-key", key_file] if key else [
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", key_file]
        self.openssl("req", "-new", *new, "-out", f"{base}.csr", "-subj",
                     f"/CN={names[0]}")
        sign = ["-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial"] \
            if ca else ["-signkey", key_file]
        self.openssl("x509", "-req", "-days", str(days), "-in",
                     f"{base}.csr", *sign, "-out", f"{base}.pem", "-extfile",
                     f"{base}.ext")
        return f"{base}.pem", key_file

    def spki(self, name):
        """SHA-256 of the public key of cert(name), for TLSA 3 1 1."""
        with open(f"{self.dir}/{name}.pem", encoding="ascii") as f:
            text = f.read()
        pub = subprocess.run(
            "openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER",
            shell=True, check=True, capture_output=True,
            input=text.encode()).stdout
        return hashlib.sha256(pub).hexdigest()

    # --- systems -------------------------------------------------------------

    def mansio(self, host, name, settings=None, services="", users=None,
               **kw):
        """A mail system on host, called name, with TLS; users: {login:
        domain} of its virtual mailboxes."""
        return NetInstance(self, host, name, settings or {}, services,
                           users or {}, **kw)


SERVICES = """\
smtp unix - - - - - smtp
relay unix - - - - - smtp
lmtp unix - - - - - lmtp
resolver unix - - - - 1 resolver
keyd unix - - - - 1 keyd
"""


class NetInstance(Instance):
    """An Instance on a host: port 25 of its addresses, and loopback."""

    def __init__(self, net, host, name, settings, services, users, **kw):
        self.net, self.host, self.name = net, host, name
        self.domains = users
        chain = f"{net.dir}/{name}.chain"
        if not os.path.exists(chain):
            if not os.path.exists(f"{net.dir}/{name}.pem"):
                net.cert(name)
            with open(chain, "w", encoding="ascii") as out:
                os.fchmod(out.fileno(), 0o600)
                for part in ("key", "pem"):
                    with open(f"{net.dir}/{name}.{part}",
                              encoding="ascii") as f:
                        out.write(f.read())
        base = {
            "myhostname": name,
            "inet_interfaces": f"127.0.0.1, {host.ip4}, {host.ip6}",
            "virtual_mailbox_domains":
                " ".join(sorted(set(users.values()))),
            "default_transport": "smtp",
            "resolver_servers": HUB4,
            "resolver_timeout": "10s",
            "resolver_dnssec": "validate",
            "resolver_trust_anchor_file": net.anchor(),
            "smtpd_tls_chain_files": chain,
            "smtp_tls_CAfile": net.ca,
            "minimal_backoff_time": "2s",
            "maximal_backoff_time": "3s",
            "queue_run_delay": "1s",
        }
        base.update(settings)
        kw.setdefault("users", tuple(users) or None)
        super().__init__(settings=base, services=SERVICES + services, **kw)

    def write_config(self, settings, services, maildir):
        for ip in (self.host.ip4, f"[{self.host.ip6}]"):
            services += f"{ip}:25 inet n - - - - smtpd\n"
        super().write_config(settings, services, maildir)
        with open(f"{self.etc}/vmailbox", "w", encoding="ascii") as f:
            for user, domain in self.domains.items():
                f.write(f"{user}@{domain} example.test/{user}/\n")
        self.command("postmap", f"{self.etc}/vmailbox")

    def command(self, name, *args, **kw):
        with self.host:
            return super().command(name, *args, **kw)

    def start(self):
        with self.host:
            return super().start()

    def smtp(self, **kw):
        with self.host:
            return super().smtp(**kw)


def https(host, cert, pages, port=443, ip=None):
    """A web server on host: pages is {path: answer}, an answer is text or
    bytes of a whole reply, or a function (path) -> one.  It is a list of what
    was asked for, as it goes on; its attribute stop() ends it."""
    return Web(host, cert, pages, port, ip)


class Web:
    def __init__(self, host, cert, pages, port=443, ip=None):
        self.asked, self.pages, self.names = [], pages, []
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(*cert)
        self.ctx.sni_callback = self.got_name
        with host:
            self.s = socket.socket()
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.s.bind((ip or host.ip4, port))
            self.s.listen(64)
            threading.Thread(target=self.run, daemon=True).start()

    def got_name(self, sock, name, ctx):
        self.names.append(name)

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        try:
            with self.ctx.wrap_socket(c, server_side=True) as s:
                s.settimeout(30)
                self.answer(s, s.makefile("rb"))
        except (OSError, ValueError):
            pass

    def answer(self, s, f):
        method, path, _ = f.readline().decode("latin-1").split(" ", 2)
        head, body = {}, b""
        while (line := f.readline().strip()):
            name, _, value = line.decode("latin-1").partition(":")
            head[name.lower()] = value.strip()
        if "content-length" in head:
            body = f.read(int(head["content-length"]))
        self.asked.append((method, path, head, body))
        page = self.pages.get(path)
        if callable(page):
            page = page(path)
        if page is None:
            page = b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n"
        if isinstance(page, str):
            text = page.encode()
            page = (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                    b"Content-Length: %d\r\nConnection: close\r\n\r\n"
                    % len(text)) + text
        s.sendall(page)

    def stop(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()
