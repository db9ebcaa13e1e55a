# SPDX-License-Identifier: ISC
#
# mutate.py - the corpus' mail as it is after an accident: cut off, with other
# line ends, nested, in other charsets.  The same every time for the same seed.

import random
import re


def cut_at_boundary(r, data):
    """Before, in, or behind one of the lines that look like a boundary."""
    found = [m for m in re.finditer(rb'(?m)^--.*\n?', data)]
    if not found:
        return data[:r.randrange(len(data))]
    m = r.choice(found)
    return data[:r.choice([m.start(), m.end(), m.end() - 1,
                           r.randint(m.start(), m.end())])]


def cut_anywhere(r, data):
    return data[:r.randrange(len(data))]


def line_ends(r, data):
    lines = data.replace(b'\r\n', b'\n').split(b'\n')
    how = r.choice(['crlf', 'lf', 'mixed', 'one'])
    one = r.randrange(len(lines))
    out = b''
    for n, line in enumerate(lines[:-1]):
        crlf = how == 'crlf' or (how == 'mixed' and r.random() < .5) or \
            (how == 'one' and n == one)
        out += line + (b'\r\n' if crlf else b'\n')
    return out + lines[-1]


def lines_of(data):
    return data.splitlines(True)


def drop_line(r, data):
    lines = lines_of(data)
    del lines[r.randrange(len(lines))]
    return b''.join(lines)


def double_line(r, data):
    lines = lines_of(data)
    n = r.randrange(len(lines))
    return b''.join(lines[:n + 1] + lines[n:])


def move_line(r, data):
    lines = lines_of(data)
    lines.insert(r.randrange(len(lines)), lines.pop(r.randrange(len(lines))))
    return b''.join(lines)


def blank_line(r, data):
    lines = lines_of(data)
    lines.insert(r.randrange(len(lines)), r.choice([b'\n', b' \n', b'\r\n']))
    return b''.join(lines)


def drop_boundary(r, data):
    found = [m for m in re.finditer(rb'(?m)^--.*\n?', data)]
    if not found:
        return data
    m = r.choice(found)
    return data[:m.start()] + data[m.end():]


def wrap_part(r, data):
    kind = r.choice([b'mixed', b'digest', b'alternative'])
    typ = b'' if kind == b'digest' else b'Content-Type: message/rfc822\n'
    end = r.choice([b'', b'\n'])
    return (b'Subject: outer\nMIME-Version: 1.0\nContent-Type: multipart/' +
            kind + b'; boundary="=_w"\n\n--=_w\n' + typ + b'\n' + data + end +
            b'--=_w\n\nlast\n--=_w--\n')


def wrap_message(r, data):
    return (b'Subject: outer\nMIME-Version: 1.0\n'
            b'Content-Type: message/rfc822\n\n' + data)


def same_boundary(r, data):
    """An inner multipart with the boundary of the outer one."""
    found = re.findall(rb'(?i)boundary="?([^"\s;]+)', data)
    if len(found) < 2:
        return data
    return data.replace(found[1], found[0])


CHARSETS = [b'utf-8', b'us-ascii', b'iso-8859-1', b'iso-8859-15', b'koi8-r',
            b'windows-1252', b'shift_jis', b'iso-2022-jp', b'gb18030', b'big5',
            b'euc-kr', b'x-unknown', b'"utf-8"', b'', b'unknown-8bit',
            b'UTF-7', b"utf-8'en'"]


def charset(r, data):
    return re.sub(rb'(?i)(charset=)("[^"]*"|[^\s;]*)',
                  lambda m: m.group(1) + r.choice(CHARSETS), data)


ENCODINGS = [b'base64', b'quoted-printable', b'7bit', b'8bit', b'binary',
             b'x-odd', b'BASE64', b'', b'base64 ', b'Quoted-Printable; x=y']


def encoding(r, data):
    return re.sub(rb'(?im)^(content-transfer-encoding:)[ \t]*[^\r\n]*',
                  lambda m: m.group(1) + b' ' + r.choice(ENCODINGS), data)


def header_case(r, data):
    how = r.choice([bytes.upper, bytes.lower, bytes.title])
    return re.sub(rb'(?m)^[A-Za-z-]+:', lambda m: how(m.group()), data)


def header_order(r, data):
    head, blank, body = data.partition(b'\n\n')
    fields = re.split(rb'\n(?![ \t])', head)
    r.shuffle(fields)
    return b'\n'.join(fields) + blank + body


def noise(r, data):
    at = r.randrange(len(data) + 1)
    what = r.choice([b'\xff', b'\xe4', b'\x01', b'\x7f', b'"', b'(', b'\\',
                     b';', b',', b'<', b'@', b'=?utf-8?q?', b'?=', b'\t',
                     b'\r', b'\xc3', b'=', b':'])
    return data[:at] + what + data[at:]


def long_line(r, data):
    lines = lines_of(data)
    n = r.randrange(len(lines))
    lines[n] = lines[n].rstrip(b'\r\n') + b' x' * 3000 + b'\n'
    return b''.join(lines)


KINDS = [cut_at_boundary, cut_anywhere, line_ends, drop_line, double_line,
         move_line, blank_line, drop_boundary, wrap_part, wrap_message,
         same_boundary, charset, encoding, header_case, header_order, noise,
         long_line]


def mutations(mails, count, seed):
    """(name, bytes) of so many, each of one to three accidents."""
    r = random.Random(seed)
    mails = [m for m in mails if 0 < len(m[1]) < 20000]
    seen, out = set(), []
    while len(out) < count:
        name, data = r.choice(mails)
        for _ in range(r.choice([1, 1, 2, 3])):
            kind = r.choice(KINDS)
            if data:
                data = kind(r, data)
            name += '+' + kind.__name__
        if data and data not in seen:
            seen.add(data)
            out.append(('%s#%d' % (name, len(out)), data))
    return out
