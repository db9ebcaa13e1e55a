/* SPDX-License-Identifier: ISC */
/*
 * casemap - see casemap.h.
 *
 * With auth/saslprep.c the only file that knows libunistring.  Its tables follow Unicode; ours
 * would be 100 KiB of generated source to keep up to date.  What is asked
 * often is remembered: characters below PLAIN (Latin, Greek, Cyrillic,
 * Hebrew, Arabic) are looked up once a process.
 */
#include <unicase.h>
#include <uninorm.h>

#include "base/utf8.h"
#include "mail/casemap.h"

#define PLAIN		0x800
#define MAPPED_MAX	7		/* bytes that are remembered */
#define DEPTH_MAX	8		/* decompositions of decompositions */

static struct { char len, bytes[MAPPED_MAX]; } known[PLAIN];

static void
put_cp(struct buf *out, ucs4_t cp)
{
	char b[4];
	size_t n = 0;

	if (cp < 0x80)
		b[n++] = (char)cp;
	else if (cp < 0x800)
		b[n++] = (char)(0xc0 | cp >> 6);
	else {
		if (cp < 0x10000)
			b[n++] = (char)(0xe0 | cp >> 12);
		else {
			b[n++] = (char)(0xf0 | cp >> 18);
			b[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
		}
		b[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	if (cp >= 0x80)
		b[n++] = (char)(0x80 | (cp & 0x3f));
	buf_add(out, b, n);
}

static void
decompose(ucs4_t cp, int depth, struct buf *out)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n;

	n = depth < DEPTH_MAX ? uc_decomposition(cp, &tag, parts) : -1;
	if (n < 0) {
		put_cp(out, cp);
		return;
	}
	for (int i = 0; i < n; i++)
		decompose(parts[i], depth + 1, out);
}

static void
map_cp(uint32_t cp, struct buf *out)
{
	size_t start = out->len, n;

	if (cp < PLAIN && known[cp].len > 0) {
		buf_add(out, known[cp].bytes, (size_t)known[cp].len);
		return;
	}
	decompose(uc_totitle(cp), 0, out);
	n = out->len - start;
	if (cp < PLAIN && n <= MAPPED_MAX) {
		memcpy(known[cp].bytes, out->data + start, n);
		known[cp].len = (char)n;
	}
}

/* As many bytes as are ASCII, upper case; returns how many. */
static size_t
ascii_run(struct span in, struct buf *out)
{
	char *o = buf_reserve(out, in.len);
	size_t i = 0;

	if (o == NULL)
		return 0;
	for (; i + 8 <= in.len; i += 8) {
		uint64_t w, heptets, is_gt_z, is_ge_a;

		memcpy(&w, in.p + i, 8);
		if (w & 0x8080808080808080)
			break;
		/* Eight bytes at once: 0x20 off where 'a' <= byte <= 'z'. */
		heptets = w & 0x7f7f7f7f7f7f7f7f;
		is_gt_z = heptets + 0x0505050505050505;
		is_ge_a = heptets + 0x1f1f1f1f1f1f1f1f;
		w ^= (is_ge_a ^ is_gt_z) >> 2 & 0x2020202020202020;
		memcpy(o + i, &w, 8);
	}
	for (; i < in.len && (unsigned char)in.p[i] < 0x80; i++)
		o[i] = in.p[i] >= 'a' && in.p[i] <= 'z' ?
		    (char)(in.p[i] - 32) : in.p[i];
	buf_commit(out, i);
	return i;
}

void
casemap(struct span in, struct buf *out)
{
	while (in.len > 0) {
		uint32_t cp;
		size_t n = ascii_run(in, out);

		in = span_from(in, n);
		while (in.len > 0 && (unsigned char)in.p[0] >= 0x80) {
			n = utf8_next(in, &cp);
			map_cp(n > 0 ? cp : 0xfffd, out);
			in = span_from(in, MAX(n, 1));
		}
	}
}
