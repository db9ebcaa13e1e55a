#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# threads.py - THREAD and SORT of random mailboxes, Dovecot's beside ours.
#
#	threads.py [SEEDS]		default 20
#
# References are random, with loops, missing and repeated ids; what differs is
# printed with its seed.  Exit 0: nothing did.

import os, random, shutil, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare

SUBJECTS = ['A', 'B', 'C', '', 'Re: A', 'Re: B', 'Fwd: C', '[l] A', 'Re:']


def mailbox(seed):
    r = random.Random(seed)
    n = r.choice([6, 12, 30, 80])
    ids = ['m%d@x' % i for i in range(max(2, int(n * r.choice([.5, 1, 1.5]))))]
    for _ in range(n):
        h = ''
        if r.random() < .9:
            h += 'Subject: %s\r\n' % r.choice(SUBJECTS)
        h += 'Date: %d Jan 2024 %02d:00:00 +0000\r\n' % (
            r.randint(1, 28), r.randint(0, 23))
        if r.random() < .9:
            h += 'Message-ID: <%s>\r\n' % r.choice(ids)
        kind = r.random()
        if kind < .5:
            h += 'References: %s\r\n' % ' '.join(
                '<%s>' % r.choice(ids) for _ in range(r.randint(1, 4)))
        elif kind < .65:
            h += 'In-Reply-To: <%s>\r\n' % r.choice(ids)
        yield (h + '\r\nbody\r\n').encode()


def differences(seed):
    scratch = tempfile.mkdtemp(prefix='mansio-threads-')
    servers = compare.Dovecot(scratch), compare.Mansio(scratch)
    found = 0
    try:
        n = 0
        for n, mail in enumerate(mailbox(seed), 1):
            for s in servers:
                s.deliver(n, mail)
        for s in servers:
            s.start()
            s.command('SELECT INBOX')
        for command in ('THREAD REFERENCES UTF-8 ALL',
                        'THREAD REFERENCES UTF-8 2:%d' % (n // 2 + 1),
                        'THREAD ORDEREDSUBJECT UTF-8 ALL',
                        'SORT (SUBJECT DATE) UTF-8 ALL'):
            a, b = (s.command(command)[0] for s in servers)
            if a != b:
                found += 1
                print('seed %d: %s\n  dovecot %r\n  mansio  %r' %
                      (seed, command, a, b))
        for s in servers:
            s.stop()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return found


def main():
    if not compare.have_dovecot():
        print('skip: Dovecot 2.3 is not installed')
        return 77
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    bad = sum(differences(seed) for seed in range(seeds))
    print('%d mailboxes, %d answers differ' % (seeds, bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
