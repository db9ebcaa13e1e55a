#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# compare.py - what Dovecot answers about ugly mail, beside what we answer.
#
#	compare.py [-v] [-s] [-i] [-k WORD] [-m COUNT [-r SEED]]
#	    [-w DIRECTORY] [FILE|DIRECTORY ...]
#
# Makes a scratch Maildir of the corpus (corpus.py makes most of it; Python's
# own test data are added where they are installed), runs Dovecot's imap
# program on it without a daemon (doveadm exec imap, its own configuration in
# the scratch directory), and mimeshow on the same files; with -i our IMAP engine
# instead (tests/imapd/engine), which is asked for SORT and THREAD, too.  Prints
# what differs; differences that README explains are counted, not printed.  Exit
# 0: none.

import argparse, collections, os, re, shutil, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get('BUILD_DIR', os.path.join(HERE, '../../build/opt'))
MIMESHOW = os.path.join(BUILD, 'tests/compare/mimeshow')
sys.path.insert(0, HERE)
import corpus
import explain
import mutate

CONF = '''
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
mail_location = maildir:{d}/mail
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
protocols = imap
ssl = no
'''


class Parser:
    """IMAP responses to Python: lists, bytes, None."""

    def __init__(self, data, at=0):
        self.d, self.at = data, at

    def value(self):
        d = self.d
        while self.at < len(d) and d[self.at:self.at + 1] == b' ':
            self.at += 1
        c = d[self.at:self.at + 1]
        if c == b'(':
            self.at += 1
            out = []
            while True:
                while d[self.at:self.at + 1] == b' ':
                    self.at += 1
                if d[self.at:self.at + 1] == b')':
                    self.at += 1
                    return out
                if self.at >= len(d):
                    raise ValueError('list without end')
                out.append(self.value())
        if c == b'"':
            m = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"').match(d, self.at)
            self.at = m.end()
            return re.sub(rb'\\(.)', rb'\1', m.group(1))
        m = re.compile(rb'~?\{(\d+)\+?\}\r\n').match(d, self.at)
        if m:
            n = int(m.group(1))
            self.at = m.end() + n
            if self.at > len(d):
                raise ValueError('literal without end')
            return d[m.end():self.at]
        # An atom; brackets hold a section with spaces in it.
        start, depth = self.at, 0
        while self.at < len(d):
            ch = d[self.at]
            if ch == 0x5b:
                depth += 1
            elif ch == 0x5d:
                depth -= 1
            elif depth == 0 and (ch in b' ()\r\n'):
                break
            self.at += 1
        if self.at == start:
            raise ValueError('nothing at %r' % d[start:start + 40])
        atom = d[start:self.at]
        return None if atom == b'NIL' else atom.decode('latin-1')


def pairs(values):
    """name value name value to a dict, names in capitals."""
    out = {}
    for i in range(0, len(values) - 1, 2):
        out[str(values[i]).upper().replace('"', '')] = values[i + 1]
    return out


class Dovecot:
    def __init__(self, scratch):
        self.user = os.geteuid()
        uid = 65534 if self.user == 0 else self.user
        gid = 65534 if self.user == 0 else os.getegid()
        for n in ('run', 'state', 'home', 'mail/cur', 'mail/new', 'mail/tmp'):
            os.makedirs(os.path.join(scratch, n), exist_ok=True)
        with open(os.path.join(scratch, 'conf'), 'w') as f:
            f.write(CONF.format(d=scratch, uid=uid, gid=gid))
        self.scratch, self.uid, self.gid = scratch, uid, gid

    def deliver(self, i, data):
        path = os.path.join(self.scratch, 'mail/cur',
                            '%d.M%06dP1.test:2,' % (1000000000 + i, i))
        with open(path, 'wb') as f:
            f.write(data)
        os.utime(path, (1000000000 + i, 1000000000 + i))
        return path

    def start(self):
        if self.user == 0:
            subprocess.run(['chown', '-R', '%d:%d' % (self.uid, self.gid),
                            self.scratch], check=True)
            os.chmod(self.scratch, 0o755)
        env = dict(os.environ, HOME=self.scratch + '/home', USER='nobody')
        kw = {}
        if self.user == 0:
            kw = dict(user=self.uid, group=self.gid, extra_groups=[])
        self.p = subprocess.Popen(
            ['doveadm', '-c', self.scratch + '/conf', 'exec', 'imap'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=env, **kw)
        self.p.stdout.readline()
        self.n = 0

    def command(self, text, literal=None):
        """All bytes up to the tagged line, and that line."""
        self.n += 1
        tag = b'a%d ' % self.n
        if isinstance(text, str):
            text = text.encode()
        self.p.stdin.write(tag + text + b'\r\n')
        self.p.stdin.flush()
        out = b''
        while True:
            line = self.p.stdout.readline()
            if not line:
                raise EOFError('dovecot has gone away at %r' % text[:80])
            if line.startswith(tag):
                return out, line[len(tag):].strip().decode('latin-1')
            out += line
            m = re.search(rb'\{(\d+)\}\r\n$', line)
            if m:
                out += self.p.stdout.read(int(m.group(1)))

    def fetch(self, seq, item):
        out, status = self.command('FETCH %d (%s)' % (seq, item))
        if not status.startswith('OK'):
            return status
        m = re.search(rb'^\* \d+ FETCH ', out, re.M)
        if not m:
            return 'nothing: ' + status
        return pairs(Parser(out, m.end()).value())

    def search(self, key):
        out, status = self.command(b'SEARCH CHARSET UTF-8 ' + key
                                   if key.strip() else b'SEARCH ALL')
        if not status.startswith('OK'):
            return status
        m = re.search(rb'^\* SEARCH([ \d]*)\r\n', out, re.M)
        return [int(x) for x in m.group(1).split()] if m else []

    def stop(self):
        try:
            self.command('LOGOUT')
        except (EOFError, BrokenPipeError):
            pass
        self.p.stdin.close()
        self.p.wait()


class Mansio(Dovecot):
    """The same questions to our engine; mail comes by APPEND."""

    def __init__(self, scratch):
        self.dir = os.path.join(scratch, 'mansio')
        os.makedirs(self.dir)
        self.mails = []

    def deliver(self, i, data):
        self.mails.append((i, data))

    def start(self):
        with open(os.path.join(self.dir, 'main.cf'), 'w') as f:
            f.write('queue_directory = %s\n' % self.dir)
        self.engine = subprocess.Popen(
            [os.path.join(BUILD, 'tests/imapd/engine'), self.dir],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        port = int(self.engine.stdout.readline())
        s = socket.create_connection(('127.0.0.1', port))
        f = s.makefile('rwb', buffering=0)
        self.p = type('Pipes', (), dict(stdin=s.makefile('wb'),
                                        stdout=s.makefile('rb')))
        f.close()
        s.close()
        self.p.stdout.readline()
        self.n = 0
        # So many at a time: each is durable before it is answered.
        for at in range(0, len(self.mails), 50):
            some = self.mails[at:at + 50]
            self.p.stdin.write(b''.join(
                b'm APPEND INBOX "%s" ~{%d+}\r\n%s\r\n' %
                (time.strftime('%d-%b-%Y %H:%M:%S +0000',
                               time.gmtime(1000000000 + i)).encode(),
                 len(data), data) for i, data in some))
            self.p.stdin.flush()
            for _ in some:
                line = self.p.stdout.readline()
                while line.startswith(b'* '):
                    line = self.p.stdout.readline()
                assert line.startswith(b'm OK'), line

    def stop(self):
        try:
            self.command('LOGOUT')
        except (EOFError, BrokenPipeError):
            pass
        self.p.stdin.close()
        self.p.stdout.close()
        self.engine.stdin.close()
        self.engine.wait()


# {0}: a set of messages.
ORDERS = ['SORT (%s) UTF-8 {0}' % k for k in (
    'SUBJECT', 'REVERSE SUBJECT', 'FROM', 'TO', 'CC', 'DATE', 'SIZE',
    'ARRIVAL', 'DISPLAYFROM', 'DISPLAYTO', 'FROM REVERSE SIZE',
    'REVERSE DATE SUBJECT')] + [
    'THREAD ORDEREDSUBJECT UTF-8 {0}', 'THREAD REFERENCES UTF-8 {0}',
    'SEARCH SENTBEFORE 1-Jan-2024 HEADER DATE 0', 'SEARCH SENTON 1-Jan-2024',
    'SEARCH SENTSINCE 2-Jan-2024', 'SEARCH LARGER 3000',
    'SEARCH SMALLER 50', 'SEARCH BEFORE 1-Jan-2010', 'SEARCH NOT TEXT needle',
    'SEARCH OR SUBJECT hello FROM example', 'SEARCH NOT (SUBJECT s 1:50)',
    'SEARCH UID 3:* LARGER 100 NOT SUBJECT s']


def compare_orders(dove, us, mails, sound):
    differ, same = [], 0
    # Without those that README gives another place.
    some = ','.join(str(i) for i, (_, data) in enumerate(mails, 1)
                    if not explain.is_odd(data, sound))
    if not some:
        print('none of them is plain enough to be sorted with Dovecot')
        return [], 0
    for cmd in ORDERS:
        cmd = cmd.format(some)
        if sound:
            cmd = cmd.replace('SEARCH ', 'SEARCH %s ' % some)
        verb = cmd.split()[0].encode()
        got = []
        for server in (dove, us):
            out, status = server.command(cmd)
            m = re.search(rb'^\* ' + verb + rb'([^\r]*)\r\n', out, re.M)
            got.append(m.group(1).decode().strip() if m else '')
        if got[0] == got[1]:
            same += 1
        else:
            differ.append(('all', cmd, got[0], got[1]))
    return differ, same


def ours(path, items):
    p = subprocess.run([MIMESHOW, path] + items, stdout=subprocess.PIPE,
                       timeout=60)
    if p.returncode != 0:
        return 'mimeshow: %d' % p.returncode
    out, parser = {}, Parser(p.stdout)
    for item in items:
        name = parser.value()
        value = parser.value()
        assert parser.d[parser.at:parser.at + 2] == b'\r\n', \
            parser.d[parser.at:parser.at + 30]
        parser.at += 2
        out[name.upper().replace('"', '')] = value
    return out


def our_matches(path, searches):
    p = subprocess.run([MIMESHOW, path] +
                       ['%s=%s' % (k, v) for k, v in searches],
                       stdout=subprocess.PIPE, timeout=120)
    return p.stdout.decode('latin-1').split('\r\n')[:-1]


def literal(text):
    data = text.encode()
    return b'{%d+}\r\n%s' % (len(data), data)


def compare_searches(dove, us, mails, paths, searches):
    """(name, key, dovecot, ours) of all answers that differ; and how many."""
    if us is None:
        ours_found = [our_matches(p, searches) for p in paths]
    differ, same = [], 0
    for i, (key, text) in enumerate(searches):
        cmd = key.encode() + b' ' + literal(text)
        if key.startswith('HEADER.'):
            cmd = b'HEADER ' + key[7:].encode() + b' ' + literal(text)
        theirs = dove.search(cmd)
        if not isinstance(theirs, list):
            print('SEARCH %s %r: Dovecot: %s' % (key, text, theirs))
            continue
        if us is not None:
            found = us.search(cmd)
            if not isinstance(found, list):
                print('SEARCH %s %r: Mansio: %s' % (key, text, found))
                continue
        for seq, (name, _) in enumerate(mails, 1):
            a = '+' if seq in theirs else '-'
            if us is None:
                b = ours_found[seq - 1][i]
            else:
                b = '+' if seq in found else '-'
            if a == b:
                same += 1
            else:
                differ.append((name, 'SEARCH %s %r' % (key, text), a, b))
    return differ, same


def compare_charsets(dove, us, mails):
    """The same, of strings in charsets of their own.  What a charset cannot say
    is not asked for."""
    differ, same = [], 0
    odd = {i for i, (_, data) in enumerate(mails, 1)
           if re.search(explain.WORDS, data)}
    for charset, word in corpus.CHARSET_SEARCHES:
        data = word.encode(charset, 'ignore')
        if data.decode(charset) != word:
            continue
        for key in (b'TEXT', b'SUBJECT', b'BODY'):
            cmd = b'SEARCH CHARSET %s %s {%d+}\r\n%s' % (
                charset.encode(), key, len(data), data)
            found = []
            for server in (dove, us):
                out, status = server.command(cmd)
                m = re.search(rb'^\* SEARCH([ \d]*)\r\n', out, re.M)
                found.append({int(x) for x in m.group(1).split()} - odd if m
                             else status.split()[0])
            if found[0] == found[1]:
                same += 1
            else:
                differ.append(('all', 'CHARSET %s %s %s' %
                               (charset, key.decode(), word), *found))
    return differ, same


def sections(structure, path=''):
    """All section names that a structure has, with some it has not."""
    out = []
    if isinstance(structure, list) and structure and \
            isinstance(structure[0], list):
        n = 0
        for part in structure:
            if not isinstance(part, list) or not part or n >= 12:
                break
            n += 1
            if not isinstance(part[0], (list, bytes)):
                break
            p = '%s%d' % (path and path + '.', n)
            out += [p, p + '.MIME'] + sections(part, p)
            if isinstance(part[0], bytes) and \
                    part[0].lower() == b'message' and \
                    part[1] and part[1].lower() == b'rfc822':
                out += [p + '.HEADER', p + '.TEXT',
                        p + '.HEADER.FIELDS (Subject To)',
                        p + '.HEADER.FIELDS.NOT (Subject To)']
    elif not path:
        out += ['1', '1.MIME']
        if structure[0].lower() == b'message' and \
                structure[1].lower() == b'rfc822':
            out += ['1.HEADER', '1.TEXT', '1.1', '1.1.MIME']
    elif structure[0].lower() == b'message' and len(structure) > 8 and \
            isinstance(structure[8], list):
        inner = structure[8]
        if isinstance(inner[0], list):
            out += sections(inner, path)
        else:
            out += [path + '.1', path + '.1.MIME']
    return out


LAST = 'BODYSTRUCTURE', 'BODY'


def peek(item):
    return item.replace('BODY[', 'BODY.PEEK[').replace('BINARY[',
                                                       'BINARY.PEEK[')


def structure_of(server, us, seq):
    if server:
        us = server.fetch(seq, 'BODYSTRUCTURE')
    return us.get('BODYSTRUCTURE') if isinstance(us, dict) else None


def have_dovecot():
    """The version whose answers README explains."""
    if not shutil.which('dovecot') or \
            not os.path.exists('/usr/lib/dovecot/imap'):
        return False
    out = subprocess.run(['dovecot', '--version'], stdout=subprocess.PIPE)
    return out.stdout.startswith(b'2.3.')


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('-v', action='store_true', help='show what is the same')
    ap.add_argument('-i', action='store_true', help='ask our IMAP engine')
    ap.add_argument('-s', action='store_true', help='only SEARCH')
    ap.add_argument('-k', default='', help='only messages with this in the name')
    ap.add_argument('-m', type=int, default=0, metavar='COUNT',
                    help='so many messages made from the others instead')
    ap.add_argument('-r', type=int, default=1, metavar='SEED', help='for -m')
    ap.add_argument('-w', metavar='DIRECTORY', help='keep what differs there')
    ap.add_argument('files', nargs='*')
    args = ap.parse_args()
    if not have_dovecot():
        print('skip: Dovecot 2.3 is not installed')
        return 77
    scratch = tempfile.mkdtemp(prefix='mansio-compare-')
    try:
        return run(args, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run(args, scratch):
    # Nothing of no bytes can be appended.
    mails = [m for m in corpus.all_mail(args.files) if args.k in m[0] and
             (m[1] or not args.i)]
    if args.m:
        mails = mutate.mutations(mails, args.m, args.r)
    dove = Dovecot(scratch)
    paths = [dove.deliver(i, data) for i, (_, data) in enumerate(mails)]
    dove.start()
    server = None
    if args.i:
        server = Mansio(scratch)
        for i, (_, data) in enumerate(mails):
            server.deliver(i, data)
        server.start()
        out, status = server.command('SELECT INBOX')
        assert status.startswith('OK'), status
    differ = same = known = 0
    reasons = collections.Counter()
    try:
        out, status = dove.command('SELECT INBOX')
        assert status.startswith('OK'), status
        for seq, ((name, data), path) in enumerate(zip(mails, paths), 1):
            if args.s:
                break
            items = ['ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'RFC822.SIZE',
                     'BODY[]', 'BODY[HEADER]', 'BODY[TEXT]',
                     'BODY[HEADER.FIELDS (From SUBJECT X-None Received)]',
                     'BODY[HEADER.FIELDS.NOT (From SUBJECT Received)]',
                     'BODY[3]']
            d = dove.fetch(seq, 'BODYSTRUCTURE')
            if isinstance(d, dict):
                names = sections(d['BODYSTRUCTURE'])
                items += ['BODY[%s]' % s for s in names]
                leaf = [s for s in names if re.fullmatch(r'[\d.]+', s)]
                items += ['BINARY[%s]' % s for s in leaf[:20]]
                items += ['BINARY.SIZE[%s]' % s for s in leaf[:20]]
            else:
                print('%s: Dovecot: %s' % (name, d))
            us = None if server else ours(path, items)
            case = explain.Case(name, data, structure_of(server, us, seq))
            # The sections first: they say why sizes differ.
            for item in sorted(items, key=lambda i: (
                    i in LAST, 'SIZE' in i, i[:5] != 'BODY[')):
                try:
                    theirs = dove.fetch(seq, peek(item))
                except EOFError:
                    dove.p.wait()       # number 5
                    dove.start()
                    dove.command('SELECT INBOX')
                    theirs = None
                key = item.upper()
                if server:
                    us = server.fetch(seq, peek(item))
                a, b = (x.get(key) if isinstance(x, dict) else x
                        for x in (theirs, us))
                a, b = ('UNKNOWN-CTE' if isinstance(x, str) and
                        'UNKNOWN-CTE' in x else x for x in (a, b))
                if '[' in item:
                    case.texts[item], case.theirs[item] = b, a
                if theirs is None:
                    known += 1
                elif a == b:
                    same += 1
                    if args.v:
                        print('%s %s: same' % (name, item))
                elif (why := explain.fetched(case, item, a, b)):
                    reasons[why] += 1
                    known += 1
                else:
                    differ += 1
                    keep(args.w, name, data)
                    print('%s %s\n  dovecot %s\n  mansio  %s' %
                          (name, item, short(a, b), short(b, a)))
        if server:
            wrong, right = compare_orders(dove, server, mails,
                                          args.m > 0)
            same += right
            for name, item, a, b in wrong:
                differ += 1
                print('%s\n  dovecot %s\n  mansio  %s' %
                      (item[:60], short(a, b), short(b, a)))
            wrong, right = compare_charsets(dove, server, mails)
            same += right
            for _, item, a, b in wrong:
                differ += 1
                print('%s\n  dovecot %s\n  mansio  %s' %
                      (item, short(a, b), short(b, a)))
        # What cannot be converted is each server's matter in noise.
        wrong, right = compare_searches(
            dove, server, mails, paths,
            [x for x in corpus.SEARCHES if not args.m or x[1] != '\ufffd'])
        same += right
        by_name = {name: (data, mails[n - 1][1] if n else b'')
                   for n, (name, data) in enumerate(mails)}
        for name, item, a, b in wrong:
            why = explain.searched(*by_name[name], item[7:], a)
            reasons[why] += 1
            if why:
                known += 1
            else:
                differ += 1
                keep(args.w, name, by_name[name][0])
                print('%s %s: dovecot %s mansio %s' % (name, item, a, b))
    finally:
        dove.stop()
        if server:
            server.stop()
    print('explained: ' + ', '.join('%d by %s' % (n, k) for k, n in
                                    sorted(reasons.items(), key=str) if k))
    print('%d messages, %d answers the same, %d differ as README says, '
          '%d differ' % (len(mails), same, known, differ))
    return 1 if differ else 0


def keep(folder, name, data):
    if folder:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name.replace('/', '_')), 'wb') as f:
            f.write(data)


def short(a, b):
    """a, from a little before the place where it is not b."""
    a, b = repr(a), repr(b)
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    start = max(0, n - 60)
    return ('…' if start else '') + a[start:start + 220]


if __name__ == '__main__':
    sys.exit(main())
