# SPDX-License-Identifier: ISC
"""Ports that a test may listen at again and again, as long as it runs.

A number that the kernel picks is soon another's: any client's connection may
get it, and a server that is started again does not ("Address already in use",
for a minute where that client closed first).  So ours come from below those
that the kernel gives to clients, and nobody else gets one until we end.
"""
import errno
import random
import socket

FROM = 20000
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

held = []       # abstract sockets: they end with us, and with the namespace


def below():
    with open(RANGE, encoding="ascii") as f:
        return int(f.read().split()[0])


def nobody_listens(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"),
                         (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((host, port))
        except OSError as e:
            if e.errno == errno.EADDRINUSE:
                return False
    return True


def hold(port):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind(f"\0mansio-test-port-{port}")
    except OSError:
        s.close()
        return False
    held.append(s)
    return True


def free_port():
    ports = range(FROM, max(below(), FROM + 1000))
    for port in random.Random().sample(ports, len(ports)):
        if hold(port):
            if nobody_listens(port):
                return port
            held.pop().close()
    raise OSError("no port is free")
