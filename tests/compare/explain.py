# SPDX-License-Identifier: ISC
#
# explain.py - what README says of answers that differ, as tests of both answers
# and of the message: none of them goes by the message's name.

import re


def line_ends(data):
    """As IMAP sends it: every LF after a CR."""
    return re.sub(rb'(?<!\r)\n', b'\r\n', data)


def walk(structure, path=''):
    """(path, node) of all parts of a BODYSTRUCTURE; '' is a multipart."""
    if not isinstance(structure, list) or not structure:
        return
    if isinstance(structure[0], list):
        yield path, structure
        for n, part in enumerate(structure, 1):
            if not isinstance(part, list) or not part or \
                    not isinstance(part[0], (list, bytes)):
                break
            yield from walk(part, '%s%d' % (path and path + '.', n))
        return
    path = path or '1'
    yield path, structure
    if is_message(structure):
        inner = structure[8]
        if isinstance(inner, list) and inner and isinstance(inner[0], list):
            yield from walk(inner, path)
        else:
            yield from walk(inner, path + '.1')


def is_multipart(node):
    return isinstance(node, list) and bool(node) and isinstance(node[0], list)


def is_message(node):
    return len(node) > 8 and isinstance(node[0], bytes) and \
        node[0].lower() == b'message' and isinstance(node[1], bytes) and \
        node[1].lower() in (b'rfc822', b'global')


class Case:
    """A message, our structure of it, and what has been seen of it so far."""

    def __init__(self, name, data, structure=None):
        self.name, self.raw = name, data
        self.crlf = line_ends(data)
        self.parts = {}
        for path, node in walk(structure):
            self.parts.setdefault(path, node)
        self.ends = set()	# sections where 1 was seen
        self.texts, self.theirs = {}, {}	# sections: ours, Dovecot's

    def node(self, item):
        m = re.search(r'\[([\d.]*)', item)
        return self.parts.get(m.group(1).rstrip('.')) if m else None

    def inside(self, item, kind):
        """Whether the section lies in, or is, a part of this kind."""
        m = re.search(r'\[([\d.]*)', item)
        path = m.group(1).rstrip('.') if m else ''
        while True:
            node = self.parts.get(path)
            if node is not None and kind(node):
                return True
            if not path:
                return False
            path = path.rpartition('.')[0]


def numbers(a, b, good):
    """Whether two structures are the same but for numbers, and good() says of
    each pair that differs that it may."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(numbers(x, y, good)
                                        for x, y in zip(a, b))
    if a == b:
        return True
    return isinstance(a, str) and isinstance(b, str) and a.isdigit() and \
        b.isdigit() and good(int(a), int(b))


def folded(v):
    if isinstance(v, list):
        return [folded(x) for x in v]
    return v.lower() if isinstance(v, (bytes, str)) else v


# A character between two words (11), and words whose last character comes out
# of the converter when it is told that this is the end (22).
WORDS = rb'(?i)\?=\s+=\?|=\?(windows-125[58]|iso-2022-kr)\?'


def is_odd(data, sound):
    """Whether 11, 19, 22 or, where only sound mail is asked for, 17, 18 or 26 give
    it another place in an order."""
    head = re.split(rb'\r?\n\r?\n', data, 1)[0]
    if re.search(WORDS, data) or b'\0' in data:
        return True
    dates = re.findall(rb'(?im)^date\s*:[^\n]*', head)
    return sound and (
        b'\r' in head.replace(b'\r\n', b'') or len(dates) != 1 or
        len(re.findall(rb'(?im)^(from|subject)\s*:', head)) != 2 or
        not re.fullmatch(rb'(?i)date: [a-z]{3}, \d\d? [a-z]{3} \d{4} '
                         rb'\d\d?:\d\d:\d\d [+-]\d{4}( \([A-Z]+\))?\r?',
                         dates[0]) or
        re.search(rb'[^\n]{998}', head) is not None or
        re.search(rb'(?im)^(from|to|cc|subject)\s*:.*[(\\<]?[^\x20-\x7e\r\n]',
                  head) is not None)


# --- one function for each number of README

def line_end(case, item, a, b):
    if isinstance(a, bytes) and isinstance(b, bytes):
        if a == b + b'\r\n' and (item.startswith('BINARY') or
                                 b + b'\r\n--' in case.crlf):
            case.ends.add(item)
            return True
        return False
    if item.startswith('BODY') and '[' not in item:
        return (bool(case.ends) or re.search(
            rb'(?m)^(--[^\n]*--|[\w-]+:[^\n]*|\s[^\n]*)\r?\n--',
            case.raw) is not None) and numbers(a, b, lambda x, y: 0 < x - y <= 2)
    return item.startswith('BINARY.SIZE') and str(a).isdigit() and \
        str(b).isdigit() and int(a) == int(b) + 2 and bool(case.ends)


def fields_blank(case, item, a, b):
    return 'HEADER.FIELDS' in item and isinstance(a, bytes) and \
        isinstance(b, bytes) and a == b + b'\r\n'


def boundary_field(case, item, a, b):
    return 'HEADER.FIELDS.NOT' in item and isinstance(a, bytes) and \
        isinstance(b, bytes) and a.startswith(b + b'--')


def no_decode(case, item, a, b):
    return item.startswith('BINARY') and isinstance(a, str) and 'PARSE' in a


def boundary_space(case, item, a, b):
    return re.search(rb'boundary\*?=\s*"[^"]*\s"', case.raw, re.I) is not None


def boundary_whole(case, item, a, b):
    return re.search(rb'boundary=[^";\s]*[=/:?,]|boundary="?[^"\s]{71}',
                     case.raw, re.I) is not None


def rfc2231(case, item, a, b):
    return re.search(rb"(boundary|charset)(\*0)?\*=\S*'", case.raw,
                     re.I) is not None


def binary_whole(case, item, a, b):
    node = case.node(item)
    if not item.startswith('BINARY') or node is None or \
            not (is_multipart(node) or is_message(node)):
        return False
    whole = case.texts.get('BODY' + item[item.index('['):])
    return b == whole or (item.startswith('BINARY.SIZE') and
                          str(b) == str(len(whole or b'')))


def no_part_of_leaf(case, item, a, b):
    m = re.search(r'\[([\d.]+)\.1(\.MIME)?\]$', item)
    node = case.parts.get(m.group(1)) if m else None
    return node is not None and not is_multipart(node) and \
        not is_message(node) and b in (b'', '0', None)


def global_message(case, item, a, b):
    return re.search(rb'message/global', case.raw, re.I) is not None


def only_case(case, item, a, b):
    return item in ('BODY', 'BODYSTRUCTURE') and folded(a) == folded(b)


def field_end(case, item, a, b):
    return 'HEADER.FIELDS.NOT' in item and isinstance(a, bytes) and \
        case.crlf.endswith(a[-2:]) and b == a + b'\r\n'


def folded_encoding(case, item, a, b):
    return item.startswith('BINARY') and a == 'UNKNOWN-CTE' and \
        re.search(rb'(?i)encoding:\s*[a-z0-9-]+\s*\n[ \t]+\r?\n',
                  case.raw) is not None


def long_field(case, item, a, b):
    return re.search(rb'[^\n]{998}', case.raw) is not None and \
        item.startswith('B')


def one_boundary(case, item, a, b):
    found = re.findall(rb'(?i)boundary="?([^"\s;]+)', case.raw)
    return len(set(found)) < len(found)


def gap(case, item, a, b):
    """RFC 2231 pieces of which one in the middle is missing."""
    found = {(n.lower(), int(i)) for n, i in
             re.findall(rb'(?i)([a-z]+)\*(\d{1,3})\*?=', case.raw)}
    return item in ('BODY', 'BODYSTRUCTURE') and any(
        i > 0 and (n, i - 1) not in found for n, i in found)


def size_of_binary(case, item, a, b):
    if not item.startswith('BINARY.SIZE'):
        return False
    name = 'BINARY' + item[item.index('['):]
    theirs, ours = (x.get(name) for x in (case.theirs, case.texts))
    return isinstance(ours, bytes) and b == str(len(ours)) and \
        not (isinstance(theirs, bytes) and a == str(len(theirs)))


# Which items, and the function; the first that says yes is the reason.
FETCHED = [
    (1, line_end), (2, fields_blank), (4, global_message), (5, no_decode),
    (6, boundary_space), (7, boundary_whole), (8, rfc2231),
    (9, binary_whole), (10, no_part_of_leaf), (20, only_case),
    (21, size_of_binary), (23, boundary_field),
    (24, field_end), (25, folded_encoding),
    (26, long_field), (27, one_boundary), (29, gap),
]

# SEARCH: number, key and string, and what the message must have.
SEARCHED = [
    (3, r"BODY 'subject'", rb'(?i)message/global'),
    (11, r'', WORDS),
    (12, r"TEXT 'n\xfcdel6'", rb"(?i)name\*="),
    (13, r"TEXT 'from: a@'", rb'(?im)^from(\s+:|:\S)'),
    (14, r"TEXT 'end'", rb'(?i)uuencode'),
    (18, r'HEADER', rb'(?im)^(from|to): ?(<?@|.*\0)'),
    (19, "TEXT '\ufffd'", rb'\0'),
    (16, r"TEXT 'brown\\n'", rb'bro(w|=77)n'),
    (8, r"TEXT '(ascii|utf|iso)", rb"(?i)charset\*=\S*'"),
    (22, "TEXT '\ufffd'", rb'(?i)utf-?16'),
]


def fetched(case, item, a, b):
    """The number of the reason why an item is not the same, or None."""
    for number, test in FETCHED:
        if test(case, item, a, b):
            return number
    return None


def has_no_part(data):
    """A multipart without a line that is its boundary."""
    found = re.findall(rb'(?i)boundary="?([^"\s;]+)', data)
    return any(not re.search(rb'\n\n(?s:.*)^--' + re.escape(b), data, re.M)
               for b in found) or \
        len(found) < len(re.findall(rb'(?i)type:\s*multipart/', data))


def searched(data, before, key, theirs):
    """The same for a SEARCH; before: the message in front of it."""
    if len(re.findall(rb'(?i)Content-Type: (?:message|multipart)/',
                      data)) > 100:
        return 15
    if key == "TEXT '\ufffd'" and theirs == '+' and \
            re.search(rb'(?i)utf-?16', before):
        return 22
    if has_no_part(data.replace(b'\r\n', b'\n')):
        return 28
    if re.search(rb'[^\n]{998}', data):
        return 26
    for number, pattern, what in SEARCHED:
        if re.match(pattern, key) and re.search(what, data):
            return number
    return None
