/* SPDX-License-Identifier: ISC */
/*
 * mimeshow - what lib/mail says of messages in files, in IMAP's words.
 *
 *	mimeshow FILE ITEM ...
 *
 * Each item is answered by one line with literals in it, as an IMAP server
 * would write it (see compare.py):
 *
 *	ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE BODY[...] BINARY[...]
 *	BINARY.SIZE[...] PREVIEW THREAD
 *	TEXT=string BODY=string HEADER.name=string	"+", "-"; or "!" when the
 *				string is there and the signature denies it
 */
#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/signature.h"

#define FILE_MAX	(256u << 20)

static void
put_section(const struct message *m, struct span name, struct buf *out)
{
	struct arena a = ARENA_INIT;
	struct section s;
	struct section_text t;

	if (section_parse(name, &a, &s) < 0)
		buf_add_str(out, "BAD");
	else {
		buf_add_str(out, "BODY[");
		section_put(&s, out);
		buf_add_str(out, "] ");
		if (section_find(m, &s, &a, &t) < 0)
			buf_add_str(out, "\"\"");
		else {
			buf_addf(out, "{%llu}\r\n",
			    (unsigned long long)t.crlf_size);
			while (section_read(&t, 4093, out) > 0)
				;
		}
	}
	arena_fini(&a);
}

static void
put_binary(const struct message *m, struct span path, bool size,
    struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct arena a = ARENA_INIT;
	struct section s;
	uint64_t n = 0;
	enum binary_result r = BINARY_NO_PART;

	if (section_parse(path, &a, &s) == 0 && s.what == SECTION_ALL) {
		r = message_binary(m, s.path, s.npath, &b);
		if (r == BINARY_OK && (message_binary_size(m, s.path, s.npath,
		    &n) != BINARY_OK || n != b.len))
			log_panic("BINARY.SIZE %llu, but %zu bytes",
			    (unsigned long long)n, b.len);
	}
	buf_addf(out, "BINARY%s[%.*s] ", size ? ".SIZE" : "", SPAN_ARG(path));
	if (r == BINARY_UNKNOWN_CTE)
		buf_add_str(out, "UNKNOWN-CTE");
	else if (size)
		buf_addf(out, "%zu", b.len);
	else {
		buf_addf(out, "~{%zu}\r\n", b.len);
		buf_add_span(out, buf_span(&b));
	}
	arena_fini(&a);
	buf_fini(&b);
}

static void
put_match(const struct message *m, struct span item, struct buf *out)
{
	size_t eq = (size_t)span_find(item, '=');
	struct span what = span_sub(item, 0, eq);
	struct signature_query q;
	struct signature sig;
	struct message_key k;
	bool yes;

	if (message_key_init(&k, span_from(item, eq + 1)) < 0) {
		buf_add_str(out, "BAD");
		return;
	}
	if (span_is(what, "TEXT"))
		yes = message_has_text(m, &k);
	else if (span_is(what, "BODY"))
		yes = message_has_body(m, &k);
	else {
		char *name = span_dup(span_from(what, 7));

		yes = message_has_field(m, name, &k);
		mem_free(name);
	}
	signature_query(&q, span_make(k.bytes, k.len));
	signature_of_message(&sig, m);
	if (yes && !signature_may_contain(sig.bits, &q))
		buf_add_char(out, '!');
	else
		buf_add_char(out, yes ? '+' : '-');
	message_key_fini(&k);
}

/* Own id, "<" references, base subject. */
static void
put_thread(const struct message *m, struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_cache c;

	message_cache_encode(m, &b);
	if (message_cache_whole(buf_span(&b), &c) < 0)
		log_panic("record cannot be decoded");
	buf_addf(out, "%016llx", (unsigned long long)c.msgid);
	for (uint32_t i = 0; i < c.nrefs; i++)
		buf_addf(out, " < %016llx",
		    (unsigned long long)message_cache_ref(&c, i));
	buf_addf(out, " %d %.*s", (c.flags & MESSAGE_IS_REPLY) != 0,
	    SPAN_ARG(c.base_subject));
	buf_fini(&b);
}

static void
fetch(const struct message *m, struct span item, struct buf *out)
{
	if (span_is(item, "ENVELOPE")) {
		buf_add_str(out, "ENVELOPE ");
		message_put_envelope(m->root, out);
	} else if (span_is(item, "BODYSTRUCTURE") || span_is(item, "BODY")) {
		buf_addf(out, "%.*s ", SPAN_ARG(item));
		message_put_structure(m->root, item.len > 4, out);
	} else if (span_is(item, "RFC822.SIZE"))
		buf_addf(out, "RFC822.SIZE %llu",
		    (unsigned long long)m->crlf_size);
	else if (span_is(item, "PREVIEW")) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);

		message_preview(m, &b);
		buf_add_str(out, "PREVIEW ");
		message_put_nstring(buf_span(&b), out);
		buf_fini(&b);
	} else if (span_is(item, "THREAD"))
		put_thread(m, out);
	else if (span_find(item, '=') > 0)
		put_match(m, item, out);
	else if (span_starts(item, SPAN("BODY[")))
		put_section(m, span_sub(item, 5, item.len - 6), out);
	else if (span_starts(item, SPAN("BINARY[")))
		put_binary(m, span_sub(item, 7, item.len - 8), false, out);
	else if (span_starts(item, SPAN("BINARY.SIZE[")))
		put_binary(m, span_sub(item, 12, item.len - 13), true, out);
	else
		buf_add_str(out, "BAD");
}

int
main(int argc, char **argv)
{
	struct buf in = BUF_INIT(FILE_MAX), out = BUF_INIT(BUF_UNLIMITED);
	struct message m;

	if (argc < 3 || fd_read_file(AT_FDCWD, argv[1], &in) < 0) {
		fprintf(stderr, "usage: mimeshow FILE ITEM ...\n");
		return 2;
	}
	message_parse(&m, buf_span(&in));
	for (int i = 2; i < argc; i++) {
		fetch(&m, span_of(argv[i]), &out);
		buf_add_str(&out, "\r\n");
	}
	fwrite(out.data, 1, out.len, stdout);
	message_fini(&m);
	buf_fini(&in);
	buf_fini(&out);
	return 0;
}
