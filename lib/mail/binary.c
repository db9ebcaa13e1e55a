/* SPDX-License-Identifier: ISC */
/*
 * binary - BINARY[…] and BINARY.SIZE[…]; see message.h.
 */
#include "mail/message.h"
#include "mail/transfer.h"

#define PIECE	(64u << 10)	/* bytes decoded at a time for the size */

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
