# SPDX-License-Identifier: ISC
"""
dnslib - a name server for tests, in threads of this process, UDP and TCP.

    with DNS({"example.test": {"MX": ["10 mail.example.test"]},
              "mail.example.test": {"A": ["127.0.0.1"]}}) as dns:
        settings = {"resolver_servers": f"127.0.0.1:{dns.port}"}

A name's value may be "SERVFAIL", "REFUSED", "DROP" (no answer), "TC" (only
over TCP there is an answer), or a dict of types; a type's value may be one of
these too.  CNAMEs are followed.  What is not there is NXDOMAIN.
zones may be changed while it runs; questions are kept in dns.asked.
"""
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16,
         "AAAA": 28, "SRV": 33, "TLSA": 52}
NAMES = {v: k for k, v in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def wire_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode("latin-1")
    return out + b"\0"


def rdata(kind, text):
    if isinstance(text, bytes):
        return text
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind in ("CNAME", "PTR", "NS"):
        return wire_name(text)
    if kind == "MX":
        pref, name = text.split()
        return struct.pack(">H", int(pref)) + wire_name(name)
    if kind == "SRV":
        a, b, c, name = text.split()
        return struct.pack(">HHH", int(a), int(b), int(c)) + wire_name(name)
    if kind == "TXT":
        data = text.encode()
        parts = [data[i:i + 255] for i in range(0, len(data), 255)] or [b""]
        return b"".join(bytes([len(p)]) + p for p in parts)
    if kind == "TLSA":
        u, s, m, data = text.split()
        return bytes([int(u), int(s), int(m)]) + bytes.fromhex(data)
    raise ValueError(kind)


class DNS:
    def __init__(self, zones=None, ttl=1, port=0):
        self.zones, self.ttl, self.asked = zones or {}, ttl, []
        self.open(port)

    def open(self, port=0):
        for _ in range(20):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", port))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
            except OSError:
                self.udp.close()
                self.tcp.close()
                continue
            self.tcp.listen(16)
            break
        for fn in (self.run_udp, self.run_tcp):
            threading.Thread(target=fn, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def run_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
                answer = self.answer(data, False)
                if answer:
                    self.udp.sendto(answer, peer)
            except OSError:
                return
            except (struct.error, IndexError):
                continue

    def run_tcp(self):
        while True:
            try:
                c, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.one_tcp, args=(c,),
                             daemon=True).start()

    def one_tcp(self, c):
        with c, c.makefile("rb") as f:
            while True:
                head = f.read(2)
                if len(head) < 2:
                    return
                answer = self.answer(f.read(struct.unpack(">H", head)[0]),
                                     True)
                if answer:
                    c.sendall(struct.pack(">H", len(answer)) + answer)

    def look(self, name, kind, tcp):
        """(rcode, [(owner, type, rdata)]); None: no answer; "TC"."""
        out = []
        for _ in range(20):
            entry = self.zones.get(name)
            if isinstance(entry, dict) and "CNAME" in entry and \
                    kind != "CNAME":
                target = entry["CNAME"][0]
                out.append((name, "CNAME", rdata("CNAME", target)))
                name = target.lower().rstrip(".")
                continue
            value = entry.get(kind) if isinstance(entry, dict) else entry
            if value == "DROP":
                return None, out
            if value == "TC":
                if not tcp:
                    return "TC", []
                value = ["192.0.2.77"]
            if value == "SERVFAIL":
                return SERVFAIL, []
            if value == "REFUSED":
                return REFUSED, []
            if entry is None:
                below = any(k.endswith("." + name) for k in self.zones)
                return (NOERROR if below else NXDOMAIN), out
            for text in value or []:
                out.append((name, kind, rdata(kind, text)))
            return NOERROR, out
        return SERVFAIL, []

    def answer(self, data, tcp):
        (ident, flags, nq) = struct.unpack_from(">HHH", data)
        if nq != 1:
            return None
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        qtype, _ = struct.unpack_from(">HH", data, at + 1)
        question = data[12:at + 5]
        name, kind = ".".join(labels).lower(), NAMES.get(qtype, str(qtype))
        self.asked.append((name, kind))
        rcode, records = self.look(name, kind, tcp)
        if rcode is None:
            return None
        cut = rcode == "TC"
        rcode = NOERROR if cut else rcode
        soa = b""
        if not records and rcode in (NOERROR, NXDOMAIN):
            soa = (wire_name("test") + struct.pack(">HHIH", 6, 1, self.ttl, 22)
                   + b"\0\0" + struct.pack(">IIIII", 1, 60, 60, 60, self.ttl))
        head = struct.pack(">HHHHHH", ident, 0x8480 | (0x200 if cut else 0)
                           | (flags & 0x100) | rcode, 1, len(records),
                           1 if soa else 0, 0)
        body = b"".join(
            wire_name(owner) + struct.pack(">HHIH", TYPES[k], 1, self.ttl,
                                           len(d)) + d
            for owner, k, d in records)
        if not tcp and len(body) > 1100:
            return struct.pack(">HHHHHH", ident, 0x8680 | (flags & 0x100), 1,
                               0, 0, 0) + question
        return head + question + body + soa
