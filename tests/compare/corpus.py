# SPDX-License-Identifier: ISC
#
# corpus.py - mail as it should not be, but is; for compare.py and tests.

import base64, glob, os


def mime(head, body='', top='From: a@example.test\nSubject: s\n'):
    return (top + 'MIME-Version: 1.0\n' + head + '\n' + body)


def nested(n, boundary='b%d'):
    out = 'From: a@example.test\nMIME-Version: 1.0\n'
    for i in range(n):
        b = boundary % i
        out += 'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n' % (b, b)
    out += 'Content-Type: text/plain\n\ninnermost\n'
    for i in reversed(range(n)):
        out += '--%s--\n' % (boundary % i)
    return out


def rfc822(n):
    return ('From: a@example.test\nMIME-Version: 1.0\n' +
            'Content-Type: message/rfc822\n\n' * n + 'Subject: in\n\nbody\n')


def parts(n):
    return mime('Content-Type: multipart/mixed; boundary=x\n',
                ''.join('--x\n\npart %d\n' % i for i in range(n)) + '--x--\n')


def headers(**kw):
    return ''.join('%s: %s\n' % (k.replace('_', '-'), v)
                   for k, v in kw.items()) + '\nbody\n'


HAND = {
    # --- header sections
    'empty': '',
    'only-newline': '\n',
    'only-body': '\nbody\n',
    'no-body': 'From: a@example.test\nSubject: x\n',
    'no-body-no-newline': 'From: a@example.test\nSubject: x',
    'no-blank': 'From: a@example.test\nthis is body\nmore: of it\n\nafter\n',
    'no-colon-first': 'hello there\nFrom: a@example.test\n\nbody\n',
    'starts-with-space': ' folded\nFrom: a@example.test\n\nbody\n',
    'mbox-from': 'From joe Mon Jan  1 00:00:00 2024\nSubject: x\n\nbody\n',
    'space-before-colon': 'From : a@example.test\nSubject\t: x\n\nbody\n',
    'empty-name': ': empty\nSubject: x\n\nbody\n',
    'fold-blank': 'Subject: a\n \n b\nFrom: a@example.test\n\nbody\n',
    'fold-tab': 'Subject:\n\ta\n\t b\nFrom:\n a@example.test\n\nbody\n',
    'crlf': 'From: a@example.test\r\nSubject: x\r\n\r\nbody\r\nmore\r\n',
    'mixed-ends': 'From: a@example.test\r\nSubject: x\n\r\nbody\nmore\r\nx\n',
    'bare-cr': 'From: a@example.test\nSubject: a\rb\n\nbo\rdy\r\r\nx\n',
    'cr-blank': 'Subject: a\n\r\r\nbody\n',
    'cr-end': 'Subject: a\n\nbody\r',
    'nul': 'From: a@example.test\nSubject: a\0b\n\nbo\0dy\n',
    'nul-from': 'From: a\0b@exa\0mple.test\n\nbody\n',
    'no-final-newline': 'Subject: x\n\nbody',
    'twice': 'From: a@example.test\nFrom: b@example.test\nSubject: one\n'
             'Subject: two\nTo: c@example.test\nTo: d@example.test\n'
             'Date: Mon, 1 Jan 2024 00:00:00 +0000\n'
             'Date: Tue, 2 Jan 2024 00:00:00 +0000\n'
             'Message-ID: <1@x>\nMessage-ID: <2@x>\n\nbody\n',
    'huge-header': 'Subject: ' + 'x' * 100000 + '\nFrom: a@example.test\n\nb\n',
    'many-headers': ''.join('X-%d: y\n' % i for i in range(5000)) + '\nb\n',
    'huge-to': 'To: ' + ', '.join('u%d@example.test' % i for i in range(3000)) +
               '\n\nb\n',
    '8bit-header': b'From: J\xf6rg <j@example.test>\nSubject: \xfcber\n\nb\n',
    'utf8-header': 'From: Jörg <j@example.test>\nSubject: über\n'
                   'To: ж@пример.test\n\nb\n',
    'quote-subject': headers(Subject='a "quoted" \\ thing "x" "y" "z"'),
    'trailing-space': 'Subject: x   \nFrom: a@example.test   \n\nb\n',
    'leading-space': 'Subject:    x\nMessage-ID:   <1@x>  \n\nb\n',
    'empty-fields': 'Subject:\nFrom:\nTo: \nDate:\nMessage-ID:\nIn-Reply-To:\n'
                    'Cc: ,\nBcc: ;\n\nb\n',
    'colon-subject': headers(Subject=': x: y'),
    'ws-only-line': 'Subject: x\n   \nFrom: a@example.test\n\nbody\n',
    'no-space': 'Subject:x\nFrom:a@example.test\n\nb\n',
    # --- addresses
    'addr-group': headers(To='grp: a@x.test, B <b@x.test>;, c@x.test'),
    'addr-group-empty': headers(To='undisclosed-recipients:;'),
    'addr-group-open': headers(To='grp: a@x.test, b@x.test'),
    'addr-group-two': headers(To='a: x@a;, b: y@b;'),
    'addr-no-domain': headers(From='joe', To='<joe>, "Joe" <joe>'),
    'addr-no-local': headers(From='@example.test', To='<@example.test>'),
    'addr-empty-angle': headers(From='<>', To='Joe <>'),
    'addr-open-angle': headers(From='Joe <joe@x.test', To='<joe@x.test, b@y'),
    'addr-comment': headers(From='joe@x.test (Joe (the) User)',
                            To='a@x (one) (two), (three) b@x'),
    'addr-comment-name': headers(From='(c1) Joe (c2) <joe@x.test> (c3)'),
    'addr-quoted': headers(From='"Joe \\"Q\\" User" <"joe q"@x.test>'),
    'addr-quoted-local': headers(From='"joe smith"@x.test'),
    'addr-open-quote': headers(From='"Joe <joe@x.test>'),
    'addr-route': headers(From='<@a.test,@b.test:joe@c.test>'),
    'addr-route-bad': headers(From='<@a.test joe@c.test>'),
    'addr-literal': headers(From='joe@[192.0.2.1]', To='joe@[IPv6:::1]'),
    'addr-dots': headers(From='joe..x@x.test', To='.joe@x.test, joe.@x.test'),
    'addr-dot-domain': headers(From='joe@x.test.', To='joe@x..test, a@.x'),
    'addr-space': headers(From='joe smith@x.test', To='joe @ x.test, a@ b'),
    'addr-no-comma': headers(To='a@x b@x', Cc='A <a@x> B <b@x>'),
    'addr-semicolon': headers(To='a@x; b@x; c@x'),
    'addr-commas': headers(To=',,a@x,,b@x,'),
    'addr-at-name': headers(From='joe@x.test <joe@x.test>'),
    'addr-dot-name': headers(From='Joe Q. User <joe@x.test>',
                             To='J.R. <jr@x>'),
    'addr-slash': headers(From='/O=ORG/CN=JOE <joe@x>', To='IMCEAEX-_O=A@x'),
    'addr-fold': 'To: a@x.test,\n\tb@x.test,\n c@x.test\n\nb\n',
    'addr-fold-quote': 'From: "Joe\n User" <joe@x.test>\n\nb\n',
    'addr-encoded': headers(From='=?utf-8?q?J=C3=B6rg?= <j@x.test>',
                            To='=?iso-8859-1?q?J=F6rg?= =?utf-8?q?x?= <j@x>'),
    'addr-encoded-at': headers(From='=?utf-8?q?a=40b?=@x.test'),
    'addr-brackets': headers(From='[Joe] <joe@x>', To='Joe [home] <joe@x>'),
    'addr-double-angle': headers(From='<<joe@x.test>>'),
    'addr-two-at': headers(From='a@b@c.test', To='"a@b"@c, <a@b@c>'),
    'addr-colon': headers(From='a:b@x.test', To='mailto:joe@x.test'),
    'addr-backslash': headers(From='joe\\@x@y.test', To='Joe\\, <joe@x>'),
    'addr-8bit': b'From: \xe4@x.test, \xfc <b@x>\n\nb\n',
    'addr-unclosed-comment': headers(From='joe@x.test (Joe', To='(a b@x'),
    'addr-only-name': headers(From='Joe User', To='"Joe User"'),
    'addr-sender-empty': 'From: a@x\nSender:\nReply-To: \n\nb\n',
    'addr-sender-group': 'From: a@x\nSender: <>\nReply-To: :;\n\nb\n',
    'addr-trailing': headers(From='Joe <joe@x.test> trailing words'),
    'addr-control': headers(From='Joe\x01 <joe\x02@x.test>'),
    'addr-tab': headers(From='Joe\tUser\t<joe@x.test>'),
    # --- types
    'type-none-mime': 'MIME-Version: 1.0\nSubject: x\n\nbody\n',
    'type-empty': mime('Content-Type:\n', 'b\n'),
    'type-bad': mime('Content-Type: text\n', 'b\n'),
    'type-bad2': mime('Content-Type: /plain\n', 'b\n'),
    'type-bad3': mime('Content-Type: text/\n', 'b\n'),
    'type-bad4': mime('Content-Type: text/plain/x; charset=utf-8\n', 'b\n'),
    'type-bad5': mime('Content-Type: garbage; charset=utf-8\n', 'b\n'),
    'type-bad6': mime('Content-Type: ; charset=utf-8\n', 'b\n'),
    'type-spaces': mime('Content-Type: text / html ; charset = utf-8\n', 'b\n'),
    'type-comment': mime('Content-Type: text/(c)html (d); (e) charset=x (f)\n',
                         'b\n'),
    'type-case': mime('CONTENT-TYPE: TEXT/HTML; CHARSET=X\n', 'b\n'),
    'type-params': mime('Content-Type: text/plain; a=1; b="2 3"; c=; d; '
                        'e="\\"q\\""; f=x/y=z\n', 'b\n'),
    'type-noise': mime('Content-Type: text/plain charset=utf-8; x=y\n', 'b\n'),
    'type-semicolons': mime('Content-Type: text/plain;; x=y;;; z=w;\n', 'b\n'),
    'type-open-quote': mime('Content-Type: text/plain; name="open\n', 'b\n'),
    'type-2231': mime("Content-Type: application/x; name*=utf-8''%C3%A4.txt\n",
                      'b\n'),
    'type-2231-parts': mime('Content-Type: application/x; name*0="ab"; '
                            'name*1="cd"; name*2*=%20e\n', 'b\n'),
    'type-encoded-name': mime('Content-Type: application/x; '
                              'name="=?utf-8?q?=C3=A4?="\n', 'b\n'),
    'type-encoded-unq': mime('Content-Type: application/x; '
                             'name==?utf-8?q?=C3=A4?=\n', 'b\n'),
    'type-fold': mime('Content-Type: text/plain;\n\tcharset="utf-8";\n'
                      ' format=flowed\n', 'b\n'),
    'type-twice': mime('Content-Type: text/html\nContent-Type: text/plain\n',
                       'b\n'),
    'type-8bit': b'MIME-Version: 1.0\nContent-Type: application/x; '
                 b'name="\xe4.txt"\n\nb\n',
    'type-global': mime('Content-Type: message/global\n',
                        'Subject: ü\n\nx\n'),
    'type-partial': mime('Content-Type: message/partial; id=1; number=1\n',
                         'b\n'),
    'type-external': mime('Content-Type: message/external-body; '
                          'access-type=x\n', 'Content-Type: image/gif\n\n'),
    'type-many-params': mime('Content-Type: text/plain' + ''.join(
        '; p%d=v%d' % (i, i) for i in range(300)) + '\n', 'b\n'),
    'no-mime-version': 'Content-Type: text/html; charset=utf-8\n\nb\n',
    'encoding-odd': mime('Content-Transfer-Encoding: x-odd\n', 'b\n'),
    'encoding-param': mime('Content-Transfer-Encoding: base64; x=y\n',
                           'YQ==\n'),
    'encoding-quoted': mime('Content-Transfer-Encoding: "base64"\n', 'YQ==\n'),
    'encoding-comment': mime('Content-Transfer-Encoding: (x) base64 (y)\n',
                             'YQ==\n'),
    'encoding-empty': mime('Content-Transfer-Encoding:\n', 'b\n'),
    'encoding-two': mime('Content-Transfer-Encoding: 8bit base64\n', 'b\n'),
    'encoding-upper': mime('Content-Transfer-Encoding: QUOTED-PRINTABLE\n',
                           'a=3Db=\nc \n=C3=A4\n=\nx=zz=4\nend='),
    'all-ext': mime('Content-ID: <x@y>\nContent-Description: a\n b\n'
                    'Content-MD5: abc\nContent-Disposition: attachment; '
                    'filename="x y.txt"; size=12\nContent-Language: en, de\n'
                    'Content-Location: http://x/\n y\n', 'b\n'),
    'disp-bad': mime('Content-Disposition: ; filename=x\n', 'b\n'),
    'disp-only': mime('Content-Disposition: inline\n', 'b\n'),
    'disp-bad2': mime('Content-Disposition: attachment filename=x; y=z\n',
                      'b\n'),
    'disp-quoted': mime('Content-Disposition: "attachment"; filename=x\n',
                        'b\n'),
    'disp-unq-space': mime('Content-Disposition: attachment; '
                           'filename=a b c.txt; x=y\n', 'b\n'),
    'lang-bad': mime('Content-Language: ,en,,de\nContent-MD5: \n', 'b\n'),
    'lang-comment': mime('Content-Language: en (English), de\n', 'b\n'),
    # --- transfer encodings
    'b64': mime('Content-Transfer-Encoding: base64\n',
                base64.encodebytes(bytes(range(256))).decode()),
    'b64-noise': mime('Content-Transfer-Encoding: base64\n',
                      'YW Jj\n!!ZGVm\n\nZw==\nYWJj\n'),
    'b64-cut': mime('Content-Transfer-Encoding: base64\n', 'YWJjZ'),
    'b64-text': mime('Content-Transfer-Encoding: base64\n',
                     'YWJj\nThis is plain text.\n'),
    'uu': mime('Content-Transfer-Encoding: x-uuencode\n',
               'begin 644 x\n#86)C\n`\nend\n'),
    'bin-8bit': mime('Content-Transfer-Encoding: 8bit\n', 'ä\nö\n'),
    # --- multiparts
    'multi': mime('Content-Type: multipart/mixed; boundary="x"\n',
                  'preamble\n--x\n\none\n--x\nContent-Type: text/html\n\n'
                  '<p>two\n\n--x--\nepilogue\n'),
    'multi-no-boundary': mime('Content-Type: multipart/mixed\n',
                              '--x\n\none\n--x--\n'),
    'multi-empty-boundary': mime('Content-Type: multipart/mixed; '
                                 'boundary=""\n', '--\n\none\n----\n'),
    'multi-no-parts': mime('Content-Type: multipart/mixed; boundary=x\n',
                           'nothing here\n'),
    'multi-no-body': 'Content-Type: multipart/mixed; boundary=x\n\n',
    'multi-no-end': mime('Content-Type: multipart/mixed; boundary=x\n',
                         '--x\n\none\n--x\n\ntwo'),
    'multi-only-end': mime('Content-Type: multipart/mixed; boundary=x\n',
                           '--x--\n'),
    'multi-empty-parts': mime('Content-Type: multipart/mixed; boundary=x\n',
                              '--x\n--x\n\n--x\n\n\n--x\n--x--\n'),
    'multi-empty-body': mime('Content-Type: multipart/mixed; boundary=x\n',
                             '--x\nContent-Type: text/html\n\n--x\n'
                             'Content-Type: text/html\n\n\n--x--\n'),
    'multi-eof-boundary': mime('Content-Type: multipart/mixed; boundary=x\n',
                               '--x\n\none\n--x'),
    'type-open-comment': mime('Content-Type: message/rf(c822\n', 'b\n'),
    'not-mime': 'Content-Disposition: attachment; filename=x\n'
                'Content-ID: <a>\nContent-Transfer-Encoding: base64\n\n'
                'YQ==\n',
    'encoding-unknown': mime('Content-Type: text/plain; charset=iso-2022-jp\n'
                             'Content-Transfer-Encoding: 7bi\n',
                             '\x1b$B$3$s$K$A$O\x1b(B needle\n'),
    'multi-header-cut': mime('Content-Type: multipart/mixed; boundary=x\n',
                             '--x\nContent-Type: text/html\n--x\n\nb\n--x--\n'),
    'multi-prefix': mime('Content-Type: multipart/mixed; boundary=xx\n',
                         '--xx\nContent-Type: multipart/alternative; '
                         'boundary=xxx\n\n--xxx\n\none\n--xxx--\n--xx\n\n'
                         'two\n--xx--\n'),
    'multi-prefix2': mime('Content-Type: multipart/mixed; boundary=xxx\n',
                          '--xxx\nContent-Type: multipart/alternative; '
                          'boundary=xx\n\n--xx\n\none\n--xx--\n--xxx\n\n'
                          'two\n--xxx--\n'),
    'multi-same': mime('Content-Type: multipart/mixed; boundary=x\n',
                       '--x\nContent-Type: multipart/alternative; '
                       'boundary=x\n\n--x\n\none\n--x--\n--x\n\ntwo\n--x--\n'),
    'multi-suffix': mime('Content-Type: multipart/mixed; boundary=x\n',
                         '--xyz\n\none\n--x   \n\ntwo\n--x-- trailing\nend\n'),
    'multi-space-boundary': mime('Content-Type: multipart/mixed; '
                                 'boundary="x y "\n', '--x y \n\none\n--x y\n\n'
                                 'two\n--x y--\n'),
    'multi-unquoted': mime('Content-Type: multipart/mixed; '
                           'boundary=----=_Part/1=2\n', '------=_Part/1=2\n\n'
                           'one\n------=_Part/1=2--\n'),
    'multi-dash-end': mime('Content-Type: multipart/mixed; boundary="x--"\n',
                           '--x--\n\none\n--x----\nend\n'),
    'multi-dash-both': mime('Content-Type: multipart/mixed; boundary="x"\n',
                            '--x\nContent-Type: multipart/mixed; boundary='
                            '"x--"\n\n--x--\n\none\n--x----\n--x--\nend\n'),
    'multi-after-end': mime('Content-Type: multipart/mixed; boundary=x\n',
                            '--x\n\none\n--x--\n--x\n\nafter\n--x--\n'),
    'multi-inner-open': mime('Content-Type: multipart/mixed; boundary=x\n',
                             '--x\nContent-Type: multipart/mixed; boundary=y\n'
                             '\n--y\n\none\n--x\n\ntwo\n--x--\n'),
    'multi-crlf': mime('Content-Type: multipart/mixed; boundary=x\n',
                       '--x\n\none\n--x\n\ntwo\n--x--\n').replace('\n', '\r\n'),
    'multi-mixed-ends': mime('Content-Type: multipart/mixed; boundary=x\n',
                             '--x\r\n\r\none\r\n--x\n\ntwo\n--x--\r\n'),
    'multi-b64': mime('Content-Type: multipart/mixed; boundary=x\n'
                      'Content-Transfer-Encoding: base64\n',
                      '--x\n\none\n--x--\n'),
    'multi-long-boundary': mime('Content-Type: multipart/mixed; boundary=' +
                                'x' * 200 + '\n', '--' + 'x' * 200 +
                                '\n\none\n--' + 'x' * 200 + '--\n'),
    'multi-case': mime('Content-Type: multipart/mixed; boundary=X\n',
                       '--x\n\nnot\n--X\n\nyes\n--X--\n'),
    'multi-2231-boundary': mime('Content-Type: multipart/mixed; '
                                'boundary*0=a; boundary*1=b\n',
                                '--ab\n\none\n--ab--\n'),
    'multi-digest': mime('Content-Type: multipart/digest; boundary=x\n',
                         '--x\n\nSubject: one\n\nfirst\n--x\nContent-Type: '
                         'text/plain\n\nplain\n--x--\n'),
    'multi-rfc822': mime('Content-Type: multipart/mixed; boundary=x\n',
                         '--x\nContent-Type: message/rfc822\n\n'
                         'Subject: inner\nFrom: i@x\nContent-Type: '
                         'multipart/mixed; boundary=y\n\n--y\n\nyy\n'
                         '--y\nContent-Type: message/rfc822\n\nSubject: deep\n'
                         '\ndd\n--y--\n--x\n\nlast\n--x--\n'),
    'multi-rfc822-empty': mime('Content-Type: multipart/mixed; boundary=x\n',
                               '--x\nContent-Type: message/rfc822\n\n--x--\n'),
    'multi-rfc822-head': mime('Content-Type: multipart/mixed; boundary=x\n',
                              '--x\nContent-Type: message/rfc822\n\n'
                              'Subject: no body\n--x\n\nb\n--x--\n'),
    'rfc822': rfc822(1),
    'rfc822-5': rfc822(5),
    'rfc822-200': rfc822(200),
    'rfc822-b64': mime('Content-Type: message/rfc822\n'
                       'Content-Transfer-Encoding: base64\n',
                       base64.encodebytes(b'Subject: x\n\nbody\n').decode()),
    'rfc822-empty': mime('Content-Type: message/rfc822\n', ''),
    'rfc822-no-header': mime('Content-Type: message/rfc822\n', '\nbody\n'),
    'nested-10': nested(10),
    'nested-99': nested(99),
    'nested-150': nested(150),
    'parts-1000': parts(1000),
    'parts-12000': parts(12000),
    'dashes': mime('Content-Type: multipart/mixed; boundary=x\n',
                   '--x\n\n' + '--\n--y\n-- \n-' * 50 + '\n--x--\n'),
    'long-line': 'Subject: x\n\n' + 'y' * 200000 + '\n',
    'blank-lines': 'Subject: x\n\n\n\n\n',
}


# --- for SEARCH: what is said in many ways
def enc(charset, text, how='base64', head=''):
    body = text.encode(charset, 'replace')
    if how == 'base64':
        body = base64.encodebytes(body)
    elif how == 'qp':
        import quopri
        body = quopri.encodestring(body)
    return (('From: a@example.test\nMIME-Version: 1.0\n%s'
             'Content-Type: text/plain; charset=%s\n'
             'Content-Transfer-Encoding: %s\n\n' %
             (head, charset, {'qp': 'quoted-printable'}.get(how, how))).encode()
            + body)


HAND.update({
    's-plain': headers(Subject='Hello World', X_Odd='Needle') + 'quick brown\n',
    's-utf8': enc('utf-8', 'Grüße aus Köln, ЖУК, ΣΊΣΥΦΟΣ, straße\n'),
    's-latin1': enc('iso-8859-1', 'Grüße aus Köln, straße\n', 'qp'),
    's-latin1-8bit': enc('iso-8859-1', 'Grüße aus Köln\n', '8bit'),
    's-latin2': enc('iso-8859-2', 'Zażółć gęślą jaźń\n', 'qp'),
    's-1251': enc('windows-1251', 'Привет ЖУК\n', 'qp'),
    's-koi8': enc('koi8-r', 'Привет ЖУК\n'),
    's-gb18030': enc('gb18030', '你好，世界\n'),
    's-gb2312': enc('gb2312', '你好，世界\n'),
    's-sjis': enc('shift_jis', 'こんにちは世界\n'),
    's-iso2022jp': enc('iso-2022-jp', 'こんにちは世界\n', '7bit'),
    's-eucjp': enc('euc-jp', 'こんにちは世界\n'),
    's-big5': enc('big5', '你好世界\n'),
    's-euckr': enc('euc-kr', '안녕 세계\n'),
    's-utf7': enc('utf-7', 'Grüße aus Köln\n', '7bit'),
    's-utf16': enc('utf-16', 'Grüße aus Köln\n'),
    's-unknown': enc('utf-8', 'Needle ascii Köln\n').replace(
        b'charset=utf-8', b'charset=x-nobody-knows'),
    's-bad-utf8': b'From: a@x\nContent-Type: text/plain; charset=utf-8\n\n'
                  b'Needle \xff\xfe K\xf6ln end\n',
    's-no-charset': b'From: a@x\n\nNeedle K\xf6ln\n',
    's-subject-q': headers(Subject='=?iso-8859-1?q?Gr=FC=DFe_aus_K=F6ln?='),
    's-subject-b': headers(Subject='=?utf-8?b?R3LDvMOfZSBhdXM=?=\n '
                           '=?utf-8?b?IEvDtmxu?='),
    's-subject-split': headers(Subject='=?utf-8?b?R3LD?= =?utf-8?b?vMOfZQ==?='),
    's-subject-jp': headers(Subject='=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?='),
    's-subject-raw': 'Subject: Grüße\n\nb\n',
    's-subject-fold': 'Subject: one two\n three\n\tfour\n\nb\n',
    's-subject-bad': headers(Subject='=?utf-8?q?broken Grüße =?x?y?z?='),
    's-from': headers(From='=?utf-8?q?J=C3=B6rg_M=C3=BCller?= <jm@example.test>',
                      To='"Doe, Jane" <jane@example.test>'),
    's-html': enc('utf-8', '<html><body>Hello <b>W</b>orld &amp; Needle'
                  '</body></html>\n').replace(b'text/plain', b'text/html'),
    's-qp-soft': enc('utf-8', 'nothing', '7bit').replace(
        b'7bit\n\nnothing', b'quoted-printable\n\nqui=\nck bro=77n\n'),
    's-attachment': mime('Content-Type: multipart/mixed; boundary=x\n',
                         'preamble Needle0\n--x\n\ntext Needle1\n--x\n'
                         'Content-Type: application/octet-stream; '
                         'name="Needle2.bin"\n\nNeedle3\n--x\n'
                         'Content-Type: message/rfc822\n\nSubject: Needle4\n\n'
                         'Needle5\n--x\nContent-Type: text/x-odd; '
                         "name*=utf-8''N%C3%BCdel6\n\n"
                         'Needle7\n--x--\nepilogue Needle8\n'),
    's-line': 'Subject: x\n\none\ntwo three\n',
    's-spaces': 'Subject: a  b   c\n\nd  e\n',
    's-date': headers(Date='Mon, 1 Jan 2024 23:30:00 -0500'),
})

# A word in each charset that mail is in: in a body and in a subject.
WORDS = {
    'latin': ('Grüße', 'iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-9 '
              'iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 '
              'windows-1250 windows-1252 windows-1254 windows-1257 '
              'windows-1258 utf-8 gb18030'),
    'cyrillic': ('Привет', 'iso-8859-5 windows-1251 koi8-r koi8-u utf-8 '
                 'gb18030 shift_jis euc-jp iso-2022-jp gb2312 gbk euc-kr '
                 'utf-16 utf-7'),
    'greek': ('Καλημέρα', 'iso-8859-7 windows-1253 utf-8 gb18030'),
    'hebrew': ('שלום', 'iso-8859-8 windows-1255 utf-8'),
    'arabic': ('مرحبا', 'iso-8859-6 windows-1256 utf-8'),
    'thai': ('สวัสดี', 'tis-620 utf-8'),
    'chinese': ('再见朋友', 'gb2312 gbk gb18030 utf-8 hz'),
    'taiwan': ('再見朋友', 'big5 gb18030 utf-8'),
    'japanese': ('さようなら', 'shift_jis iso-2022-jp euc-jp utf-8 gb18030'),
    'korean': ('안녕히', 'euc-kr iso-2022-kr utf-8 gb18030'),
}

for _name, (_word, _charsets) in WORDS.items():
    for _c in _charsets.split():
        _data = _word.encode(_c, 'ignore')
        HAND['c-%s-%s' % (_name, _c)] = enc(
            _c, _word + '\n', 'base64', 'Subject: =?%s?b?%s?=\n' %
            (_c, base64.b64encode(_data).decode()))
        if _c not in ('utf-16', 'utf-7', 'hz') and '2022' not in _c:
            HAND['c-%s-%s-8bit' % (_name, _c)] = enc(_c, _word + '\n', '8bit')

# What is searched for, in a charset of its own: (charset, word).
CHARSET_SEARCHES = [(c, word) for word, charsets in WORDS.values()
                    for c in charsets.split()
                    if c != 'hz']

SEARCHES = [
    ('TEXT', x) for x in (
        'needle', 'NEEDLE', 'grüße', 'GRÜSSE', 'köln', 'koln', 'straße',
        'STRASSE', 'жук', 'привет', 'σίσυφος', '你好', '世界', 'こんにちは',
        '안녕', 'hello world', 'hello  world', 'quick brown', 'ick bro',
        'needle0', 'needle2', 'needle3', 'needle4', 'needle5', 'nüdel6',
        'needle7', 'needle8', 'one two three four', 'one two', 'a b c',
        'a  b', 'subject: hello', 'x-odd: needle', 'from: a@', '=?utf-8',
        'iso-8859-1', 'base64', 'text/html', 'boundary', '<b>', 'gęślą',
        'ПРИВЕТ', 'καλημέρα', 'שלום', 'مرحبا', 'สวัสดี', '再见', '再見朋友',
        'さようなら', '안녕히', 'ascii', 'end', 'body', 'content-type', '\ufffd', 'jörg', 'doe, jane',
        '"doe', 'x', 'é', 'world &', '&amp;', 'brown\n')] + [
    ('BODY', x) for x in (
        'needle', 'grüße', 'hello', 'needle0', 'needle2', 'needle3',
        'needle4', 'needle5', 'nüdel6', 'needle7', 'needle8', 'body',
        'content-type', 'subject', 'text/x-odd', 'two')] + [
    ('HEADER.Subject', x) for x in (
        'hello', 'grüße', 'grüße aus köln', 'こんにちは', 'two three',
        'three four', 'two\tthree', 'broken', '=?x', '', 'a  b', 'subject')] + [
    ('HEADER.From', x) for x in ('jörg', 'jörg müller <jm', 'a@example', '',
                                 'example.test', 'example.test>')] + [
    ('HEADER.To', x) for x in ('doe', '"doe', 'jane@', 'u2999@', '')] + [
    ('HEADER.X-Odd', x) for x in ('need', '', 'odd')] + [
    ('HEADER.Received', x) for x in ('', 'postfix')] + [
    ('HEADER.Content-Type', x) for x in ('plain', '', 'boundary')]


def all_mail(paths=()):
    """(name, bytes) of each message."""
    out = []
    for name, text in HAND.items():
        data = text if isinstance(text, bytes) else text.encode()
        out.append((name, data))
    found = list(paths) or sorted(
        glob.glob('/usr/lib/python3*/test/test_email/data/*.txt'))
    for p in found:
        files = [os.path.join(d, f) for d, _, fs in os.walk(p) for f in fs] \
            if os.path.isdir(p) else [p]
        for f in sorted(files):
            with open(f, 'rb') as fh:
                out.append((os.path.basename(f), fh.read()))
    return out

