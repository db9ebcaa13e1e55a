/* SPDX-License-Identifier: ISC */
/*
 * base64 - see base64.h.
 */
#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct span in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = in.len;

	for (; n >= 3; n -= 3, p += 3) {
		buf_add_char(out, alphabet[p[0] >> 2]);
		buf_add_char(out, alphabet[(p[0] & 3) << 4 | p[1] >> 4]);
		buf_add_char(out, alphabet[(p[1] & 15) << 2 | p[2] >> 6]);
		buf_add_char(out, alphabet[p[2] & 63]);
	}
	if (n == 0)
		return;
	buf_add_char(out, alphabet[p[0] >> 2]);
	if (n == 1) {
		buf_add_char(out, alphabet[(p[0] & 3) << 4]);
		buf_add_char(out, '=');
	} else {
		buf_add_char(out, alphabet[(p[0] & 3) << 4 | p[1] >> 4]);
		buf_add_char(out, alphabet[(p[1] & 15) << 2]);
	}
	buf_add_char(out, '=');
}

static int
value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return -1;
}

/* in has no padding any more. */
static int
decode(struct span in, bool url, struct buf *out)
{
	size_t before = out->len;
	uint32_t bits = 0;
	unsigned n = 0;

	if (in.len % 4 == 1)
		return -1;
	for (size_t i = 0; i < in.len; i++) {
		int v = value(in.p[i], url);

		if (v < 0)
			goto bad;
		bits = (bits << 6 | (uint32_t)v) & 0xffffff;
		n += 6;
		if (n < 8)
			continue;
		n -= 8;
		if (buf_put_char(out, (char)(bits >> n & 0xff)) < 0)
			goto bad;
	}
	/* What is left over carries nothing (RFC 4648 3.5). */
	if ((bits & ((1u << n) - 1)) != 0)
		goto bad;
	return 0;
bad:
	buf_trunc(out, before);
	return -1;
}

int
base64_decode(struct span in, struct buf *out)
{
	if (in.len % 4 != 0)
		return -1;
	if (in.len > 0 && in.p[in.len - 1] == '=') {
		in.len--;
		if (in.p[in.len - 1] == '=')
			in.len--;
	}
	return decode(in, false, out);
}

int
base64url_decode(struct span in, struct buf *out)
{
	return decode(in, true, out);
}
