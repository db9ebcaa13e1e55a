/* SPDX-License-Identifier: ISC */
/*
 * binary - BINARY[…] and BINARY.SIZE[…], and binary parts that become base64;
 * see message.h.
 */
#include "base/base64.h"
#include "mail/message.h"
#include "mail/transfer.h"

#define PIECE	(64u << 10)	/* bytes decoded at a time for the size */
#define LINE	57		/* bytes: 76 characters (RFC 2045 6.8) */

static bool
is_container(const struct message_part *p, size_t npath)
{
	return npath == 0 || p->kind == MESSAGE_MULTIPART ||
	    p->kind == MESSAGE_RFC822;
}

enum binary_result
message_binary(const struct message *m, const uint32_t *path, size_t npath,
    struct buf *out)
{
	const struct message_part *p = message_part_find(m, path, npath);
	struct transfer t;

	if (p == NULL)
		return BINARY_NO_PART;
	if (is_container(p, npath)) {
		message_put_crlf(npath == 0 ? m->bytes : p->body, out);
		return BINARY_OK;
	}
	if (p->encoding == ENCODING_UNKNOWN)
		return BINARY_UNKNOWN_CTE;
	transfer_init(&t, p->encoding, true);
	transfer_write(&t, p->body, out);
	transfer_finish(&t, out);
	transfer_fini(&t);
	return BINARY_OK;
}

enum binary_result
message_binary_size(const struct message *m, const uint32_t *path,
    size_t npath, uint64_t *size)
{
	const struct message_part *p = message_part_find(m, path, npath);
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct transfer t;

	if (p == NULL)
		return BINARY_NO_PART;
	if (is_container(p, npath)) {
		*size = npath == 0 ? m->crlf_size : p->body_crlf;
		return BINARY_OK;
	}
	if (p->encoding == ENCODING_UNKNOWN)
		return BINARY_UNKNOWN_CTE;
	*size = 0;
	transfer_init(&t, p->encoding, true);
	for (size_t at = 0; at < p->body.len; at += PIECE) {
		transfer_write(&t, span_sub(p->body, at, PIECE), &b);
		*size += b.len;
		buf_reset(&b);
	}
	transfer_finish(&t, &b);
	*size += b.len;
	transfer_fini(&t);
	buf_fini(&b);
	return BINARY_OK;
}

/* --- binary parts ----------------------------------------------------------- */

/* The word that says that the part is binary; p NULL: it is not.  What has
 * parts in it cannot be in base64 (RFC 2045 6.4). */
static struct span
binary_word(const struct message_part *p)
{
	struct span v = span_trim(p->mime.encoding);

	if (is_container(p, 1) || p->encoding != ENCODING_IDENTITY ||
	    !span_casestarts(v, SPAN("binary")))
		return SPAN_EMPTY;
	return span_sub(v, 0, strlen("binary"));
}

bool
message_is_binary(const struct message *m)
{
	const struct message_part *p = m->root;

	for (; p != NULL; p = message_part_next(p, true))
		if (binary_word(p).p != NULL && span_has_nul(p->body))
			return true;
	return false;
}

/* Lines end between two of them: what follows the part has its own. */
static int
put_coded(struct span body, int (*put)(void *arg, struct span s), void *arg)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	for (size_t at = 0; at < body.len && rc == 0; at += LINE) {
		if (at > 0)
			buf_add_str(&b, "\r\n");
		base64_encode(span_sub(body, at, LINE), &b);
		if (b.len >= PIECE || body.len - at <= LINE) {
			rc = put(arg, buf_span(&b));
			buf_reset(&b);
		}
	}
	buf_fini(&b);
	return rc;
}

int
message_put_base64(const struct message *m,
    int (*put)(void *arg, struct span s), void *arg)
{
	const struct message_part *p = m->root;
	const char *at = m->bytes.p, *end = at + m->bytes.len;
	int rc = 0;

	for (; p != NULL && rc == 0; p = message_part_next(p, true)) {
		struct span word = binary_word(p);
		const char *rest;

		if (word.p == NULL)
			continue;
		rest = word.p + word.len;
		rc = put(arg, span_make(at, (size_t)(word.p - at)));
		if (rc == 0)
			rc = put(arg, SPAN("base64"));
		if (rc == 0)
			rc = put(arg, span_make(rest,
			    (size_t)(p->body.p - rest)));
		if (rc == 0)
			rc = put_coded(p->body, put, arg);
		at = p->body.p + p->body.len;
	}
	return rc != 0 ? rc : put(arg, span_make(at, (size_t)(end - at)));
}
