# SPDX-License-Identifier: ISC
"""What lies in a process's memory, and the secrets to look for there."""
import base64
import os
import re

AREA_MAX = 1 << 28      # bytes; what is larger is a sanitizer's shadow


def in_memory(pid, needles):
    """Which of the byte strings lie in the process's memory."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            area, rights = line.split()[:2]
            if not rights.startswith("r") or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in area.split("-"))
            if end - begin > AREA_MAX:
                continue
            try:
                mem.seek(begin)
                data = mem.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue
            found |= {n for n in needles if n in data}
    return found


def der_items(data):
    """(tag, value) of what a DER value holds, one level."""
    at = 0
    while at < len(data):
        tag, n = data[at], data[at + 1]
        at += 2
        if n & 0x80:
            size = n & 0x7f
            n = int.from_bytes(data[at:at + size], "big")
            at += size
        yield tag, data[at:at + n]
        at += n


def private_parts(path):
    """The secret numbers of the keys in a PEM file, as they may lie in
    memory (most or least significant byte first), and pieces of its text."""
    with open(path, encoding="ascii") as f:
        text = f.read()
    found = set()
    for body in re.findall("-----BEGIN PRIVATE KEY-----(.*?)-----END", text,
                           re.S):
        lines = body.split()
        found |= {line.encode() for line in lines[1:-1] or lines}
        der = base64.b64decode(body)
        pkcs8 = list(der_items(next(der_items(der))[1]))
        inner = pkcs8[2][1]             # an OCTET STRING
        tag, value = next(der_items(inner))
        if tag == 0x30:
            parts = list(der_items(value))
            # EC: version, OCTET STRING; RSA: version, n, e, d, p, q ...
            numbers = [v for t, v in parts if t == 4] or \
                [v.lstrip(b"\0") for t, v in parts[3:] if t == 2]
        else:
            numbers = [value]           # Ed25519
        for n in numbers:
            found |= {n, n[::-1]}
    return found


def hashes(path):
    """What is kept of passwords in an authd_password_file: the hashes and
    SCRAM's keys, as text and as bytes."""
    with open(path, "rb") as f:
        text = f.read()
    found = set()
    for argon in re.findall(rb"\$argon2id\$[^:\n]{20,}", text):
        digest = argon.rpartition(b"$")[2]
        found |= {digest, base64.b64decode(digest + b"=" * (-len(digest) %
                                                            4))}
    for _, stored, server in re.findall(
            rb"scram\d+=\d+,([^,]+),([^,]+),([^:\n]+)", text):
        found |= {stored, server, base64.b64decode(stored),
                  base64.b64decode(server)}
    return found


def tasks():
    """{pid: (parent, name)} of all processes."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                head, _, rest = f.read().rpartition(")")
        except OSError:
            continue
        found[int(name)] = int(rest.split()[1]), head.partition("(")[2]
    return found


def below(root):
    """{pid: name} of a process's descendants and itself."""
    all_of_them = tasks()
    found = {root: all_of_them[root][1]}
    grew = True
    while grew:
        grew = False
        for pid, (parent, name) in all_of_them.items():
            if parent in found and pid not in found:
                found[pid] = name
                grew = True
    return found
