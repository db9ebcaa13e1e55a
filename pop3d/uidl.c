/* SPDX-License-Identifier: ISC */
/*
 * uidl - unique ids of messages (RFC 1939 7).
 *
 * The default is the message's own id, which is made when it arrives and
 * never changes; copies of a message have it in common, so that a second one
 * in the same mailbox gets its UID behind it.  Other formats are for users
 * who come from another server and whose clients know ids of that form.
 */
#include "base/hash.h"
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
	return out->len > 0 && out->len <= UIDL_MAX;
}

int
uidl_check(const char *format, struct why *why)
{
	struct mailbox_message m = { .uid = UINT32_MAX };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool ok = make(format, &m, UINT32_MAX, &b);

	buf_fini(&b);
	if (!ok)
		return why_set(why, "", "pop3d_uidl_format: \"%s\" does not "
		    "give 1 to %d printable characters of %%i, %%u, %%v, "
		    "%%08Xu, %%08Xv", format, UIDL_MAX);
	/* Different for each message. */
	if (strstr(format, "u") == NULL && strstr(format, "i") == NULL)
		return why_set(why, "", "pop3d_uidl_format: \"%s\" is the "
		    "same for all messages", format);
	return 0;
}

/*
 * All ids at once, because only all of them show whether one is there twice.
 * A bad format was found at the start; the default takes its place.
 */
static void
make_all(struct drop *d)
{
	const char *format = format_now();
	uint32_t validity = mailbox_uidvalidity(d->box);
	struct hash seen = HASH_INIT;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	bool by_uid;

	if (uidl_check(format, &why) < 0)
		format = "%i";
	by_uid = strchr(format, 'u') != NULL;
	d->ids = mem_zalloc_array(d->count + 1, sizeof(d->ids[0]));
	for (uint32_t n = 1; n <= d->count; n++) {
		struct mailbox_message m;
		bool made = true;

		if (!mailbox_message(d->box, n, &m))
			continue;
		buf_reset(&b);
		(void)make(format, &m, validity, &b);
		if (!by_uid)
			hash_enter(&seen, buf_span(&b), &made);
		if (!made)
			buf_addf(&b, "-%u", m.uid);
		d->ids[n] = mem_strndup(b.data, MIN(b.len, (size_t)UIDL_MAX));
	}
	hash_fini(&seen, NULL);
	buf_fini(&b);
}

const char *
uidl_of(struct drop *d, uint32_t n)
{
	if (d->ids == NULL)
		make_all(d);
	return d->ids[n] != NULL ? d->ids[n] : "?";
}

void
uidl_forget(struct drop *d)
{
	if (d->ids == NULL)
		return;
	for (uint32_t n = 1; n <= d->count; n++)
		mem_free(d->ids[n]);
	mem_free(d->ids);
	d->ids = NULL;
}
