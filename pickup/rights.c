/* SPDX-License-Identifier: ISC */
/*
 * rights - authorized_submit_users and local_login_sender_maps.
 */
#include "base/log.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "pickup/pickup.h"
#include "route/addr_find.h"
#include "route/resolve.h"

static struct match_list *submitters;
static struct maps *senders;

int
rights_open(struct why *why)
{
	struct match_list *l;
	struct maps *m;

	l = match_list_new("authorized_submit_users",
	    conf.authorized_submit_users, 0, why);
	if (l == NULL)
		return -1;
	m = maps_new("local_login_sender_maps", conf.local_login_sender_maps,
	    TABLE_FOLD, why);
	if (m == NULL) {
		match_list_free(&l);
		return -1;
	}
	match_list_free(&submitters);
	maps_free(&senders);
	submitters = l;
	senders = m;
	return 0;
}

int
rights_may_submit(uid_t uid, const char *login, struct why *why)
{
	int rc;

	if (uid == 0 || uid == daemon_mail_uid())
		return 0;
	/* Postfix's name for a user without one. */
	rc = match_list_string(submitters,
	    span_of(login != NULL ? login : "unknown"), why);
	if (rc > 0)
		return 0;
	if (rc == 0)
		return why_set(why, "5.7.1", "User %s(%u) is not allowed to "
		    "submit mail", login != NULL ? login : "unknown",
		    (unsigned)uid);
	return -1;
}

/* Completed, without extension, in lower case. */
static void
canonical(struct span addr, struct buf *out)
{
	struct buf full = BUF_INIT(BUF_UNLIMITED);
	struct buf bare = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain, ext;

	address_complete(addr, &full);
	address_split(buf_span(&full), &local, &domain);
	(void)addr_split_ext(local, &local, &ext);
	buf_add_span(&bare, local);
	if (domain.p != NULL) {
		buf_add_char(&bare, '@');
		buf_add_span(&bare, domain);
	}
	address_fold(buf_span(&bare), true, out);
	buf_fini(&full);
	buf_fini(&bare);
}

static bool
allows(struct span pattern, struct span sender, struct span full)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool yes;

	if (span_is(pattern, "*"))
		return true;
	if (sender.len == 0)
		return span_is(pattern,
		    conf.empty_address_local_login_sender_maps_lookup_key);
	if (pattern.p[0] == '@')
		return span_caseends(full, pattern) &&
		    full.len > pattern.len;
	canonical(pattern, &b);
	yes = span_eq(buf_span(&b), full);
	buf_fini(&b);
	return yes;
}

int
rights_may_send_as(uid_t uid, const char *login, struct span sender,
    struct why *why)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	struct buf full = BUF_INIT(BUF_UNLIMITED);
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct span rest, pattern;
	bool yes = false;
	int rc;

	if (login != NULL)
		buf_add_str(&key, login);
	else
		buf_addf(&key, "uid:%u", (unsigned)uid);
	rc = maps_get(senders, buf_span(&key), false, &value, why);
	if (rc > 0) {
		canonical(sender, &full);
		rest = buf_span(&value);
		while (!yes && span_token(&rest, " \t\r\n,", &pattern))
			yes = allows(pattern, sender, buf_span(&full));
	}
	if (rc >= 0 && !yes) {
		struct buf tmp = BUF_INIT(BUF_UNLIMITED);

		rc = why_set(why, "5.7.1", "User %s is not allowed to send "
		    "as <%s>", key.data, address_show(sender, &tmp));
		buf_fini(&tmp);
	}
	buf_fini(&value);
	buf_fini(&full);
	buf_fini(&key);
	return rc < 0 ? -1 : 0;
}
