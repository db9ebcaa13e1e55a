/* SPDX-License-Identifier: ISC */
/*
 * schema - see schema.h: the rows' types on the wire, and the frame header.
 */
#include "base/log.h"
#include "base/num.h"
#include "ipc/schema.h"
#include "ipc/wire.h"

NORETURN static void
over(const char *row, uint64_t v, uint64_t max)
{
	log_panic("ipc: row %s: %llu is over its limit of %llu", row,
	    (unsigned long long)v, (unsigned long long)max);
}

void
ipc_put_u32(struct buf *b, uint32_t v, uint32_t max, const char *row)
{
	char raw[4];

	if (v > max)
		over(row, v, max);
	num_put_le32(raw, v);
	buf_add(b, raw, sizeof(raw));
}

void
ipc_put_u64(struct buf *b, uint64_t v, uint64_t max, const char *row)
{
	char raw[8];

	if (v > max)
		over(row, v, max);
	num_put_le64(raw, v);
	buf_add(b, raw, sizeof(raw));
}

void
ipc_put_bool(struct buf *b, bool v)
{
	buf_add_char(b, v ? 1 : 0);
}

void
ipc_put_blob(struct buf *b, struct span s, size_t max, const char *row)
{
	if (s.len > max || s.len > UINT32_MAX)
		over(row, s.len, max);
	ipc_put_u32(b, (uint32_t)s.len, UINT32_MAX, row);
	buf_add_span(b, s);
}

void
ipc_put_str(struct buf *b, struct span s, size_t max, const char *row)
{
	if (span_has_nul(s))
		log_panic("ipc: row %s: a NUL in a string", row);
	ipc_put_blob(b, s, max, row);
}

/* The next n bytes of *in, or -1. */
static int
take(struct span *in, size_t n, const char **p)
{
	if (in->len < n)
		return -1;
	*p = in->p;
	*in = span_from(*in, n);
	return 0;
}

int
ipc_get_u32(struct span *in, uint32_t max, uint32_t *out)
{
	const char *p;

	if (take(in, 4, &p) < 0)
		return -1;
	*out = num_get_le32(p);
	return *out <= max ? 0 : -1;
}

int
ipc_get_u64(struct span *in, uint64_t max, uint64_t *out)
{
	const char *p;

	if (take(in, 8, &p) < 0)
		return -1;
	*out = num_get_le64(p);
	return *out <= max ? 0 : -1;
}

int
ipc_get_bool(struct span *in, bool *out)
{
	const char *p;

	if (take(in, 1, &p) < 0 || (*p != 0 && *p != 1))
		return -1;
	*out = *p == 1;
	return 0;
}

int
ipc_get_blob(struct span *in, size_t max, struct span *out)
{
	uint32_t len;
	const char *p;

	if (ipc_get_u32(in, (uint32_t)MIN(max, UINT32_MAX), &len) < 0 ||
	    take(in, len, &p) < 0)
		return -1;
	*out = span_make(p, len);
	return 0;
}

int
ipc_get_str(struct span *in, size_t max, struct span *out)
{
	return ipc_get_blob(in, max, out) < 0 || span_has_nul(*out) ? -1 : 0;
}

void
ipc_header_put(char out[IPC_HEADER_LEN], const struct ipc_header *h)
{
	num_put_le32(out, h->len);
	num_put_le16(out + 4, h->type);
	num_put_le16(out + 6, h->nfds);
	num_put_le32(out + 8, h->tag);
}

int
ipc_header_get(struct ipc_header *h, const char in[IPC_HEADER_LEN],
    const struct ipc_proto *p, bool ready, const char **broken)
{
	h->len = num_get_le32(in);
	h->type = num_get_le16(in + 4);
	h->nfds = num_get_le16(in + 6);
	h->tag = num_get_le32(in + 8);
	if ((h->type == IPC_TYPE_HELLO) == ready)
		*broken = ready ? "a second HELLO" : "no HELLO";
	else if (h->len > (ready ? p->frame_max : IPC_HELLO_MAX))
		*broken = "a frame over the limit";
	else if (h->nfds > (ready ? 1 : 0))
		*broken = "too many descriptors";
	else
		return 0;
	return -1;
}

void
ipc_hello_put(struct buf *b, const struct ipc_proto *p)
{
	struct ipc_hello hello = { span_of(p->name), p->version };
	struct ipc_header h = { .type = IPC_TYPE_HELLO };
	char raw[IPC_HEADER_LEN] = { 0 };
	size_t at = b->len;

	buf_add(b, raw, sizeof(raw));
	ipc_hello_encode(b, &hello);
	h.len = (uint32_t)(b->len - at - IPC_HEADER_LEN);
	ipc_header_put(b->data + at, &h);
}

int
ipc_hello_check(struct span body, const struct ipc_proto *p,
    const char **broken)
{
	struct ipc_hello hello;

	if (ipc_hello_decode(&hello, body) < 0)
		*broken = "a HELLO that cannot be read";
	else if (!span_is(hello.name, p->name))
		*broken = "another conversation's HELLO";
	else if (hello.version != p->version)
		*broken = "a HELLO with another version";
	else
		return 0;
	return -1;
}
