/* SPDX-License-Identifier: ISC */
/*
 * uidl - unique ids of messages (RFC 1939 7).
 *
 * The default is the message's own id, which is made when it arrives and
 * never changes.  A copy has the id of what it was made from, which may lie in
 * the same mailbox or be put back into it: copies get their UID behind it, so
 * that an id means one message for ever, whatever else comes and goes.  A
 * message that was imported with the id that another server gave it keeps that.
 * Other formats are for users whose mailboxes came here with their UIDs, but
 * without ids.
 */
#include "base/num.h"
#include "conf/params.h"
#include "pop3d/pop3.h"
#include "store/uidl_format.h"

#define DEFAULT		"%i"
#define BY_FILE		"%f"	/* stands alone */
#define MADE_MAX	70	/* bytes (RFC 1939 7) */

static const char *
format_now(void)
{
	const char *compat = uidl_format_of(conf.pop3d_uidl_compat);

	return compat != NULL ? compat : conf.pop3d_uidl_format;
}

int
uidl_check(const char *format, struct why *why)
{
	static const uint8_t id[16];
	const struct uidl_values v = { .uid = UINT32_MAX,
	    .uidvalidity = UINT32_MAX, .id = id };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool ok;

	if (strcmp(format, BY_FILE) == 0)
		return 0;
	ok = uidl_format(format, &v, &b) == 0 && b.len > 0 &&
	    b.len <= MADE_MAX - (sizeof("-4294967295") - 1);

	buf_fini(&b);
	if (!ok)
		return why_set(why, "", "pop3d_uidl_format: \"%s\" does not "
		    "give 1 to %zu printable characters of %%i, %%u, %%v, "
		    "%%08Xu, %%08Xv, and is not %%f", format,
		    MADE_MAX - (sizeof("-4294967295") - 1));
	/* Different for each message. */
	if (!uidl_format_has(format, 'u') && !uidl_format_has(format, 'i'))
		return why_set(why, "", "pop3d_uidl_format: \"%s\" is the "
		    "same for all messages", format);
	return 0;
}

/* --- what is sent ------------------------------------------------------------------------ */

/* A bad format was found at the start; the default takes its place. */
static void
choose(struct drop *d)
{
	struct why why = WHY_INIT;

	d->uidl = format_now();
	if (uidl_check(d->uidl, &why) < 0)
		d->uidl = DEFAULT;
	d->uidl_file = strcmp(d->uidl, BY_FILE) == 0;
	d->uidl_plain = d->uidl_file || strcmp(d->uidl, DEFAULT) == 0;
	d->uidl_ids = !uidl_format_has(d->uidl, 'u');
}

/* What nearly all clients get for nearly all messages. */
static char *
put_id(const uint8_t id[16], char *to)
{
	/* Eight digits at a time, each in a byte: 0 to 9 and, 39 further, a
	 * to f. */
	for (size_t i = 0; i < 16; i += 4) {
		uint64_t v = num_get_le32(id + i), letters;

		v = (v | v << 16) & 0x0000ffff0000ffff;
		v = (v | v << 8) & 0x00ff00ff00ff00ff;
		v = (v >> 4 & 0x000f000f000f000f) |
		    (v << 8 & 0x0f000f000f000f00);
		letters = (v + 0x0606060606060606) >> 4 & 0x0101010101010101;
		num_put_le64(to, v + 0x3030303030303030 + letters * 39);
		to += 8;
	}
	return to;
}

static char *
put_made(const struct drop *d, uint32_t n, char *to)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct mailbox_message m;

	if (mailbox_message(d->box, n, &m)) {
		const struct uidl_values v = { .uid = m.uid, .id = m.emailid,
		    .uidvalidity = mailbox_uidvalidity(d->box) };

		if (uidl_format(d->uidl, &v, &b) < 0)
			buf_reset(&b);	/* uidl_check() has tried */
	}
	memcpy(to, b.data, b.len);	/* uidl_check() knows how long it gets */
	to += b.len;
	buf_fini(&b);
	return to;
}

/* Whether a file's name is a unique id by itself (RFC 1939 7). */
static bool
is_id(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < 0x21 || name.p[i] > 0x7e)
			return false;
	return name.len > 0 && name.len <= MADE_MAX;
}

char *
uidl_put(struct drop *d, uint32_t n, char *to)
{
	struct span own = mailbox_uidl(d->box, n);
	const uint8_t *id;
	bool copied;

	/* Clients know it from another server, whatever the format is. */
	if (own.len > 0) {
		memcpy(to, own.p, own.len);
		return to + own.len;
	}
	if (d->uidl == NULL)
		choose(d);
	if (d->uidl_file) {
		struct span name = mailbox_file(d->box, n);

		if (is_id(name)) {
			memcpy(to, name.p, name.len);
			return to + name.len;
		}
	}
	id = mailbox_emailid(d->box, n, &copied);
	if (id == NULL)
		return to;
	to = d->uidl_plain ? put_id(id, to) : put_made(d, n, to);
	if (copied && d->uidl_ids) {
		*to++ = '-';
		to = num_put_decimal(to, mailbox_uid(d->box, n));
	}
	return to;
}
