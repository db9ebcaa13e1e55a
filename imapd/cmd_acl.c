/* SPDX-License-Identifier: ISC */
/*
 * cmd_acl - GETACL, SETACL, DELETEACL, LISTRIGHTS, MYRIGHTS (RFC 4314).
 */
#include "auth/saslprep.h"
#include "imapd/imap.h"

static void
put_rights(struct buf *b, unsigned rights)
{
	char text[ACCOUNT_RIGHTS_MAX];

	account_rights_format(rights, text);
	put_astring(b, span_of(text));
}

/* The mailbox, when the user may administer it; NULL: answered. */
static const struct account_box *
find_to_administer(struct imap *im, struct span name)
{
	const struct account_box *b = imap_find_box(im, name, "NONEXISTENT");
	unsigned rights;

	if (b == NULL)
		return NULL;
	rights = account_rights(im->account, b->box);
	if (rights & RIGHT_ADMIN)
		return b;
	/* RFC 4314 6: who may not even look must not learn that it is there. */
	if (rights & RIGHT_LOOKUP)
		imap_no(im, "NOPERM", "Permission denied");
	else
		imap_no_box(im, name, "NONEXISTENT");
	return NULL;
}

/* RFC 4314 3: an identifier is compared as logins are, and what cannot be one
 * is BAD.  False: answered. */
static bool
prepare_ident(struct imap *im, struct span *ident)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool ok = saslprep(*ident, &b) == 0 && b.len > 0;

	if (ok)
		*ident = span_make(arena_span_dup(&im->arena, buf_span(&b)),
		    b.len);
	else
		imap_bad(im, NULL, "Invalid identifier.");
	buf_fini(&b);
	return ok;
}

static bool
put_entry(void *arg, struct span ident, unsigned rights)
{
	struct imap *im = arg;

	buf_add_char(&im->out, ' ');
	put_astring(&im->out, ident);
	buf_add_char(&im->out, ' ');
	put_rights(&im->out, rights);
	return true;
}

void
cmd_getacl(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	b = find_to_administer(im, name);
	if (b == NULL)
		return;
	buf_add_str(&im->out, "* ACL ");
	put_mailbox(im, &im->out, name);
	account_acl_each(im->account, b->box, put_entry, im);
	buf_add_str(&im->out, "\r\n");
	imap_done(im);
}

struct find_ident {
	struct span	ident;
	bool		found;
};

static bool
is_ident(void *arg, struct span ident, unsigned rights)
{
	struct find_ident *f = arg;

	f->found |= rights != 0 && span_eq(f->ident, ident);
	return !f->found;
}

/* Sessions of who is given something must be able to open the account. */
static void
tell_of_share(struct imap *im, struct span name, struct span ident)
{
	struct find_ident f = { .ident = ident };

	if (account_is_mounted(im->account, name) || ident.p[0] == '-' ||
	    span_is(ident, account_owner(im->account)))
		return;
	for (size_t i = 0; i < account_count(im->account); i++) {
		const struct account_box *b = account_box(im->account, i);

		if (b->box != 0 && !account_is_mounted(im->account,
		    span_of(b->name)))
			account_acl_each(im->account, b->box, is_ident, &f);
	}
	session_shared(im->conn, ident, f.found);
}

static void
set_acl(struct imap *im, struct span name, struct span ident, char mod,
    unsigned rights)
{
	const struct account_box *b = find_to_administer(im, name);
	struct why why = WHY_INIT;

	if (b == NULL)
		return;
	if (ident.len == 0 || ident.len > ACCOUNT_IDENT_MAX)
		imap_no(im, "CANNOT", "Invalid identifier");
	else if (account_acl_set(im->account, b->box, ident, mod, rights,
	    &why) != 0)
		imap_fail(im, &why);
	else {
		tell_of_share(im, name, ident);
		imap_done(im);
	}
}

void
cmd_setacl(struct imap *im, struct scan *s)
{
	struct span name, ident, text;
	unsigned rights;
	char mod = 0;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_sp(s) ||
	    !scan_astring(s, &ident) || !scan_sp(s) ||
	    !scan_astring(s, &text) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	if (text.len > 0 && (text.p[0] == '+' || text.p[0] == '-')) {
		mod = text.p[0];
		text = span_from(text, 1);
	}
	if (account_rights_parse(text, &rights) != 0)
		imap_bad(im, NULL, "Unknown right.");	/* RFC 4314 3.1 */
	else if (prepare_ident(im, &ident))
		set_acl(im, name, ident, mod, rights);
}

void
cmd_deleteacl(struct imap *im, struct scan *s)
{
	struct span name, ident;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_sp(s) ||
	    !scan_astring(s, &ident) || !scan_end(s))
		imap_refuse(im, s);
	else if (prepare_ident(im, &ident))
		set_acl(im, name, ident, 0, 0);
}

/* Each right that can be given by itself; c and d where they are not among
 * the others already (RFC 4314 2.1.1, 3.7). */
static void
put_optional(struct buf *b, unsigned always)
{
	static const char letters[] = "lrswipkxtea";

	for (unsigned i = 0; letters[i] != '\0'; i++)
		if (!(always & 1u << i))
			buf_addf(b, " %c", letters[i]);
	if (!(always & (RIGHT_CREATE | RIGHT_DELETE_BOX)))
		buf_add_str(b, " c");
	if (!(always & (RIGHT_EXPUNGE | RIGHT_DELETE)))
		buf_add_str(b, " d");
}

void
cmd_listrights(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct span name, ident, said;
	unsigned always;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_sp(s) ||
	    !scan_astring(s, &ident) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	said = ident;
	if (!prepare_ident(im, &ident) ||
	    (b = find_to_administer(im, name)) == NULL)
		return;
	always = account_always(im->account, b->box, ident);
	buf_add_str(&im->out, "* LISTRIGHTS ");
	put_mailbox(im, &im->out, name);
	buf_add_char(&im->out, ' ');
	/* RFC 4314 3.4: "the same form as specified by the client". */
	put_astring(&im->out, said);
	buf_add_char(&im->out, ' ');
	/* What is always there, then each that can be given by itself. */
	put_rights(&im->out, always);
	put_optional(&im->out, always);
	buf_add_str(&im->out, "\r\n");
	imap_done(im);
}

void
acl_put_myrights(struct imap *im, const struct account_box *b)
{
	buf_add_str(&im->out, "* MYRIGHTS ");
	put_mailbox(im, &im->out, span_of(b->name));
	buf_add_char(&im->out, ' ');
	put_rights(&im->out, account_rights(im->account, b->box));
	buf_add_str(&im->out, "\r\n");
}

void
cmd_myrights(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	b = imap_find_box(im, name, "NONEXISTENT");
	if (b == NULL)
		return;
	acl_put_myrights(im, b);
	imap_done(im);
}
