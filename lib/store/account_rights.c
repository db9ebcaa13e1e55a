/* SPDX-License-Identifier: ISC */
/*
 * account_rights - who may do what (RFC 4314).
 */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "store/account_internal.h"

#define ACL_COUNT	10000u	/* entries in an account */

static const char letters[] = "lrswipkxtea";	/* in the order of the bits */

_Static_assert(RIGHT_EXPUNGE == 1 << 9 && RIGHT_ADMIN == 1 << 10,
    "letters[] follows");

int
account_rights_parse(struct span text, unsigned *out)
{
	unsigned r = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *at = strchr(letters, text.p[i]);

		/* RFC 4314 2.1.1: what c and d stand for here. */
		if (text.p[i] == 'c')
			r |= RIGHT_CREATE | RIGHT_DELETE_BOX;
		else if (text.p[i] == 'd')
			r |= RIGHT_EXPUNGE | RIGHT_DELETE;
		else if (text.p[i] == '\0' || at == NULL)
			return -1;
		else
			r |= 1u << (at - letters);
	}
	*out = r;
	return 0;
}

void
account_rights_format(unsigned rights, char out[ACCOUNT_RIGHTS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; letters[i] != '\0'; i++) {
		if (rights & 1u << i)
			out[n++] = letters[i];
	}
	/* RFC 4314 2.1.1: c and d when any of theirs is there. */
	if (rights & (RIGHT_CREATE | RIGHT_DELETE_BOX))
		out[n++] = 'c';
	if (rights & (RIGHT_EXPUNGE | RIGHT_DELETE))
		out[n++] = 'd';
	out[n] = '\0';
}

bool
account_is_owner(const struct account *a)
{
	return span_is(span_of(a->opt.user), a->opt.owner);
}

static unsigned
owner_rights(const struct account *a)
{
	unsigned r;

	return account_rights_parse(span_of(a->opt.owner_rights), &r) < 0 ?
	    RIGHT_ALL : r;
}

/* Whether an identifier names the acting user. */
static bool
names_us(const struct account *a, struct span ident)
{
	if (span_is(ident, "anyone"))
		return true;
	if (ident.len > 1 && ident.p[0] == '$') {
		for (size_t i = 0; i < a->opt.ngroups; i++) {
			if (span_is(span_from(ident, 1), a->opt.groups[i]))
				return true;
		}
		return false;
	}
	return span_is(ident, a->opt.user);
}

unsigned
account_rights(struct account *a, uint32_t box)
{
	unsigned plus = 0, minus = 0;
	const struct acct_box *b;

	a = account_at(a, &box);
	b = account_box_by_id(a, box);
	/* They wait with it for its coming back. */
	if (b != NULL && b->gone && !account_is_owner(a))
		return 0;
	for (size_t i = 0; i < a->rights.len; i++) {
		const struct acct_right *r = &a->rights.v[i];
		struct span ident = span_of(r->ident);

		if (r->box != box)
			continue;
		if (ident.len > 1 && ident.p[0] == '-' &&
		    names_us(a, span_from(ident, 1)))
			minus |= r->rights;
		else if (names_us(a, ident))
			plus |= r->rights;
	}
	if (account_is_owner(a))
		return owner_rights(a) | (plus & ~minus);
	return plus & ~minus;
}

/*
 * RFC 4314 4: with one of these MYRIGHTS tells that it is there, and SELECT,
 * APPEND, CREATE, DELETE or SETACL may work; with none nothing does.
 */
#define RIGHTS_TO_KNOW	(RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | \
			RIGHT_CREATE | RIGHT_DELETE_BOX | RIGHT_ADMIN)

bool
account_is_known(struct account *a, uint32_t box)
{
	return account_is_owner(a) ||
	    (account_rights(a, box) & RIGHTS_TO_KNOW) != 0;
}

unsigned
account_always(struct account *a, uint32_t box, struct span ident)
{
	a = account_at(a, &box);
	return span_is(ident, a->opt.owner) ? owner_rights(a) : 0;
}

int
account_need(struct account *a, uint32_t box, unsigned rights,
    struct why *why)
{
	if ((account_rights(a, box) & rights) == rights)
		return 0;
	return account_say(a, ACCOUNT_NOPERM, why, "permission denied");
}

void
account_acl_each(struct account *a, uint32_t box,
    bool (*fn)(void *arg, struct span ident, unsigned rights), void *arg)
{
	unsigned owner;

	a = account_at(a, &box);
	owner = owner_rights(a);
	for (size_t i = 0; i < a->rights.len; i++) {
		if (a->rights.v[i].box == box && span_is(
		    span_of(a->opt.owner), a->rights.v[i].ident))
			owner |= a->rights.v[i].rights;
	}
	if (!fn(arg, span_of(a->opt.owner), owner))
		return;
	for (size_t i = 0; i < a->rights.len; i++) {
		const struct acct_right *r = &a->rights.v[i];

		if (r->box != box || span_is(span_of(a->opt.owner), r->ident))
			continue;
		if (!fn(arg, span_of(r->ident), r->rights))
			return;
	}
}

int
account_acl_set(struct account *a, uint32_t box, struct span ident, char mod,
    unsigned rights, struct why *why)
{
	struct buf v = BUF_INIT(BUF_UNLIMITED);
	const struct acct_box *b;
	uint8_t h[8];
	int rc = -1;

	a = account_at(a, &box);
	if (ident.len == 0 || ident.len > ACCOUNT_IDENT_MAX ||
	    !utf8_valid(ident) || span_has_nul(ident))
		return account_say(a, ACCOUNT_CANNOT, why, "bad identifier");
	if (account_lock(a, why) < 0)
		return -1;
	b = account_box_by_id(a, box);
	if (b == NULL || b->gone) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
		goto out;
	}
	if (account_need(a, box, RIGHT_ADMIN, why) < 0)
		goto out;
	if (a->rights.len >= ACL_COUNT) {
		(void)account_say(a, ACCOUNT_LIMIT, why, "too many rights");
		goto out;
	}
	for (size_t i = 0; i < a->rights.len && mod != 0; i++) {
		const struct acct_right *r = &a->rights.v[i];

		if (r->box == box && span_is(ident, r->ident)) {
			rights = mod == '+' ? r->rights | rights :
			    r->rights & ~rights;
			mod = 0;
		}
	}
	if (mod == '-')
		rights = 0;
	num_put_le32(h, box);
	num_put_le32(h + 4, rights);
	buf_add(&v, h, sizeof(h));
	buf_add_span(&v, ident);
	packed_put(a->list, PACKED_ACL, buf_span(&v));
	rc = account_flush(a, why);
out:
	account_unlock(a);
	buf_fini(&v);
	return rc;
}

void
account_inherit_rights(struct account *a, uint32_t from, uint32_t box)
{
	struct buf v = BUF_INIT(BUF_UNLIMITED);
	size_t n = 0;
	uint8_t h[8];

	for (size_t i = 0; i < a->rights.len; i++)
		n += a->rights.v[i].box == from;
	/* Some of them could be more than all: there are negative ones. */
	if (a->rights.len + n > ACL_COUNT)
		return;
	for (size_t i = 0; i < a->rights.len; i++) {
		const struct acct_right *r = &a->rights.v[i];

		if (r->box != from)
			continue;
		num_put_le32(h, box);
		num_put_le32(h + 4, r->rights);
		buf_reset(&v);
		buf_add(&v, h, sizeof(h));
		buf_add_str(&v, r->ident);
		packed_put(a->list, PACKED_ACL, buf_span(&v));
	}
	buf_fini(&v);
}
