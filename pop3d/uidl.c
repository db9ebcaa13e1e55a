/* SPDX-License-Identifier: ISC */
/*
 * uidl - unique ids of messages (RFC 1939 7).
 *
 * The default is the message's own id, which is made when it arrives and
 * never changes; copies of a message have it in common, so that a second one
 * in the same mailbox gets its UID behind it.  Other formats are for users
 * who come from another server and whose clients know ids of that form.
 */
#include "base/mem.h"
#include "conf/params.h"
#include "pop3d/pop3.h"

static const struct {
	const char	*compat, *format;
} formats[] = {
	{ "dovecot", "%08Xu%08Xv" },	/* pop3_uidl_format's default */
	{ "courier", "%v-%u" },
	{ "cyrus", "%v.%u" },
};

static const char *
format_now(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (strcmp(conf.pop3d_uidl_compat, formats[i].compat) == 0)
			return formats[i].format;
	return conf.pop3d_uidl_format;
}

/* One "%..." at *at, behind the '%'; false: not known. */
static bool
expand(const char **at, const struct mailbox_message *m, uint32_t validity,
    struct buf *out)
{
	const char *p = *at;
	bool hex = strncmp(p, "08X", 3) == 0 || strncmp(p, "08x", 3) == 0;

	if (hex)
		p += 3;
	switch (*p) {
	case 'u':
		buf_addf(out, hex ? "%08x" : "%u", m->uid);
		break;
	case 'v':
		buf_addf(out, hex ? "%08x" : "%u", validity);
		break;
	case 'i':
		for (size_t i = 0; i < sizeof(m->emailid); i++)
			buf_addf(out, "%02x", m->emailid[i]);
		break;
	case '%':
		buf_add_char(out, '%');
		break;
	default:
		return false;
	}
	*at = p + 1;
	return true;
}

static bool
make(const char *format, const struct mailbox_message *m, uint32_t validity,
    struct buf *out)
{
	while (*format != '\0') {
		char c = *format++;

		if (c != '%') {
			/* RFC 1939 7: 0x21 to 0x7E. */
			if (c < 0x21 || c > 0x7e)
				return false;
			buf_add_char(out, c);
		} else if (!expand(&format, m, validity, out)) {
			return false;
		}
	}
	return true;
}

int
uidl_check(const char *format, struct why *why)
{
	struct mailbox_message m = { .uid = UINT32_MAX };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool ok = make(format, &m, UINT32_MAX, &b) && b.len > 0 &&
	    b.len <= UIDL_MAX - (sizeof("-4294967295") - 1);

	buf_fini(&b);
	if (!ok)
		return why_set(why, "", "pop3d_uidl_format: \"%s\" does not "
		    "give 1 to %zu printable characters of %%i, %%u, %%v, "
		    "%%08Xu, %%08Xv", format,
		    UIDL_MAX - (sizeof("-4294967295") - 1));
	/* Different for each message. */
	if (strstr(format, "u") == NULL && strstr(format, "i") == NULL)
		return why_set(why, "", "pop3d_uidl_format: \"%s\" is the "
		    "same for all messages", format);
	return 0;
}

/* --- finding ids that are there twice ---------------------------------------------------- */

/*
 * A set of 64-bit numbers, open addressing.  It says "perhaps there" rather
 * than being wrong the other way: an id that gets its UID for nothing is as
 * good as one without.  Ids are made of random bytes; what a user can choose
 * of them costs that user time.
 */
struct seen {
	uint64_t	*v;
	size_t		 mask;
};

static bool
seen_before(struct seen *s, uint64_t n)
{
	size_t at = (size_t)(n * 0x9e3779b97f4a7c15u >> 20) & s->mask;

	n |= 1;		/* 0 is a free place */
	while (s->v[at] != 0 && s->v[at] != n)
		at = (at + 1) & s->mask;
	if (s->v[at] == n)
		return true;
	s->v[at] = n;
	return false;
}

static uint64_t
fold(const uint8_t id[16])
{
	uint64_t a, b;

	memcpy(&a, id, sizeof(a));
	memcpy(&b, id + 8, sizeof(b));
	return a ^ (b * 0xff51afd7ed558ccdu);
}

/*
 * Which messages need their UID behind the id: only all of them together show
 * whether one is there twice, so it is worked out when the first id is asked
 * for.  A bad format was found at the start; the default takes its place.
 */
static void
look(struct drop *d)
{
	struct seen seen = { .mask = 15 };
	struct mailbox_message m;
	struct why why = WHY_INIT;

	d->uidl = format_now();
	if (uidl_check(d->uidl, &why) < 0)
		d->uidl = "%i";
	if (strchr(d->uidl, 'u') != NULL)
		return;
	while (seen.mask < (size_t)d->count * 2)
		seen.mask = seen.mask * 2 + 1;
	seen.v = mem_zalloc_array(seen.mask + 1, sizeof(seen.v[0]));
	for (uint32_t n = 1; n <= d->count; n++)
		if (mailbox_message(d->box, n, &m) &&
		    seen_before(&seen, fold(m.emailid)))
			d->marks[n] |= DROP_TWIN;
	mem_free(seen.v);
}

void
uidl_put(struct drop *d, uint32_t n, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";
	struct mailbox_message m;
	char *p;

	if (d->uidl == NULL)
		look(d);
	if (!mailbox_message(d->box, n, &m)) {
		buf_add_char(out, '?');
		return;
	}
	if (strcmp(d->uidl, "%i") == 0) {	/* nearly always */
		p = buf_reserve(out, 2 * sizeof(m.emailid));
		for (size_t i = 0; i < sizeof(m.emailid); i++) {
			*p++ = digits[m.emailid[i] >> 4];
			*p++ = digits[m.emailid[i] & 15];
		}
		buf_commit(out, 2 * sizeof(m.emailid));
	} else {
		(void)make(d->uidl, &m, mailbox_uidvalidity(d->box), out);
	}
	if (d->marks[n] & DROP_TWIN)
		buf_addf(out, "-%u", m.uid);
}
