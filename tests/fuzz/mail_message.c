/* SPDX-License-Identifier: ISC */
/*
 * A message, parsed, and all that is written of it.
 *
 * Whatever the bytes are: parts lie inside of their parents, sizes are those of
 * the CRLF form, a section is the same however it is read, answers are one
 * balanced list, and the message says the same when it is stored with CRLF.
 */
#include <stdlib.h>

#include "mail/message.h"
#include "mail/message_cache.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* The bytes of one value at the start of s: list, string, literal, atom. */
static size_t
value_len(struct span s)
{
	size_t depth = 0, i = 0;

	do {
		must(i < s.len);
		switch (s.p[i]) {
		case '(':
			depth++;
			i++;
			break;
		case ')':
			must(depth-- > 0);
			i++;
			break;
		case '"':
			for (i++; must(i < s.len), s.p[i] != '"'; i++) {
				must(s.p[i] != '\r' && s.p[i] != '\n' &&
				    s.p[i] != '\0' &&
				    (unsigned char)s.p[i] < 0x80);
				if (s.p[i] == '\\')
					i++;
			}
			i++;
			break;
		case '{': {
			size_t n = 0;

			for (i++; must(i < s.len), s.p[i] != '}'; i++)
				n = n * 10 + (size_t)(s.p[i] - '0');
			must(i + 3 + n <= s.len);
			must(memchr(s.p + i + 3, '\0', n) == NULL);
			i += 3 + n;
			break;
		}
		default:
			must(s.p[i] > ' ' && s.p[i] < 0x7f);
			while (i < s.len && s.p[i] > ' ' && s.p[i] < 0x7f &&
			    s.p[i] != '(' && s.p[i] != ')')
				i++;
		}
		while (depth > 0 && i < s.len && s.p[i] == ' ')
			i++;
	} while (depth > 0);
	return i;
}

static bool
inside(struct span a, struct span b)
{
	return a.p >= b.p && a.p + a.len <= b.p + b.len;
}

static void
check_part(const struct message *m, const struct message_part *p)
{
	uint32_t lines;

	must(inside(p->header, m->bytes) && inside(p->body, m->bytes));
	must(p->header.p + p->header.len == p->body.p);
	must(message_crlf_size(p->header, NULL) == p->header_crlf);
	must(message_crlf_size(p->body, &lines) == p->body_crlf);
	must(lines == p->body_lines);
	must(p->depth <= MESSAGE_DEPTH_MAX);
	if (p->parent != NULL)
		must(inside(p->header, p->parent->body) &&
		    inside(p->body, p->parent->body));
	must((p->kind == MESSAGE_RFC822) <= (p->child != NULL));
	must(p->child == NULL || p->kind == MESSAGE_RFC822 ||
	    p->kind == MESSAGE_MULTIPART);
}

/* A section whole, in pieces, and from the middle. */
static void
check_section(const struct message *m, const char *name, size_t step)
{
	struct buf whole = BUF_INIT(BUF_UNLIMITED), b = whole;
	struct arena a = ARENA_INIT;
	struct section s;
	struct section_text t;
	size_t n;

	must(section_parse(span_of(name), &a, &s) == 0);
	if (section_find(m, &s, &a, &t) == 0) {
		must(section_read(&t, SIZE_MAX, &whole) == t.crlf_size);
		must(whole.len == t.crlf_size);
		section_seek(&t, 0);
		while ((n = section_read(&t, step, &b)) > 0)
			must(n <= step);
		must(span_eq(buf_span(&whole), buf_span(&b)));
		buf_reset(&b);
		section_seek(&t, step);
		section_seek(&t, step * 2);
		(void)section_read(&t, 100, &b);
		must(span_eq(buf_span(&b), span_sub(buf_span(&whole),
		    step * 2, 100)));
	}
	buf_fini(&whole);
	buf_fini(&b);
	arena_fini(&a);
}

static void
put_all(const struct message *m, struct buf *out)
{
	size_t start = out->len;

	message_put_envelope(m->root, out);
	must(value_len(span_from(buf_span(out), start)) == out->len - start);
	start = out->len;
	message_put_structure(m->root, true, out);
	must(value_len(span_from(buf_span(out), start)) == out->len - start);
	start = out->len;
	message_put_structure(m->root, false, out);
	must(value_len(span_from(buf_span(out), start)) == out->len - start);
	buf_addf(out, " %llu", (unsigned long long)m->crlf_size);
	message_preview(m, out);
}

static void
check_binary(const struct message *m)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint32_t path[2] = { 1, 1 };
	uint64_t size;

	for (size_t n = 0; n <= 2; n++) {
		buf_reset(&b);
		if (message_binary(m, path, n, &b) != BINARY_OK)
			continue;
		must(message_binary_size(m, path, n, &size) == BINARY_OK);
		must(b.len == size && size <= m->crlf_size);
	}
	buf_fini(&b);
}

static int
add(void *arg, struct span s)
{
	buf_add_span(arg, s);
	return 0;
}

/* In base64 there is nothing binary left, and every part is what it was. */
static void
check_base64(const struct message *m)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const struct message_part *p, *q;
	struct message again;

	must(message_put_base64(m, add, &b) == 0);
	must(b.len <= 2 * m->bytes.len);
	message_parse(&again, buf_span(&b));
	must(!message_is_binary(&again));
	must(again.nparts == m->nparts);
	for (p = m->root, q = again.root; p != NULL;
	    p = message_part_next(p, true), q = message_part_next(q, true))
		must(p->kind == q->kind && p->depth == q->depth);
	message_fini(&again);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "", "HEADER", "TEXT", "1", "2.1",
	    "1.MIME", "2", "2.HEADER", "1.1.TEXT", "HEADER.FIELDS (From TO)",
	    "HEADER.FIELDS.NOT (subject)", "1.HEADER.FIELDS.NOT (x)" };
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = a, crlf = a;
	struct span in;
	struct message m;
	struct message_cache c;
	uint32_t n = 0;

	if (size < 1)
		return 0;
	in = span_make(data + 1, size - 1);
	message_parse(&m, in);
	for (const struct message_part *p = m.root; p != NULL;
	    p = message_part_next(p, true)) {
		check_part(&m, p);
		n++;
	}
	must(n == m.nparts && n <= MESSAGE_PARTS_MAX);
	must(message_crlf_size(in, NULL) == m.crlf_size);
	put_all(&m, &a);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		check_section(&m, names[i], data[0] + 1u);
	check_binary(&m);
	check_base64(&m);
	message_put_crlf(in, &crlf);
	must(crlf.len == m.crlf_size);
	message_cache_encode(&m, &b);
	if (b.len <= MESSAGE_CACHE_MAX) {
		must(message_cache_whole(buf_span(&b), &c) == 0);
		must(c.crlf_size == m.crlf_size);
	}
	message_fini(&m);

	message_parse(&m, buf_span(&crlf));
	buf_reset(&b);
	put_all(&m, &b);
	must(span_has_nul(in) || span_eq(buf_span(&a), buf_span(&b)));
	message_fini(&m);

	message_parse_header(&m, in);
	must(m.root->header.len + m.root->body.len == in.len);
	message_fini(&m);
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&crlf);
	return 0;
}
