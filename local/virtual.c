/* SPDX-License-Identifier: ISC */
/*
 * virtual - table look-ups and delivery for virtual mailboxes.
 *
 * Each table is asked for the whole address, then without extension, then for
 * @domain (pattern tables: the whole address only), in lower case.  A table
 * that cannot be read defers the mail; it never makes a user unknown.
 */
#include "local/virtual.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "local/agent.h"
#include "local/cred.h"
#include "mail/address.h"

static struct maps	*mailbox_maps, *uid_maps, *gid_maps;
static unsigned		 locks;
static enum store_format dir_format;
/* The owner of all mailboxes, when there is one; else of those without. */
static bool		 one_owner, have_owner;
static uid_t		 owner_uid;
static gid_t		 owner_gid;
static struct buf	 value, head;	/* of the delivery under way */

/* As table_get() on a list, in Postfix's order for addresses. */
static int
find(struct maps *m, struct span addr, struct buf *out, struct why *why)
{
	struct span local, domain, user, ext;
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	int rc;

	rc = maps_get(m, addr, false, out, why);
	if (rc != 0)
		return rc;
	address_split(addr, &local, &domain);
	if (domain.p == NULL)
		return 0;
	if (address_split_ext(local, conf.recipient_delimiter, &user, &ext)) {
		buf_add_span(&key, user);
		buf_add_char(&key, '@');
		buf_add_span(&key, domain);
		rc = maps_get(m, buf_span(&key), true, out, why);
	}
	if (rc == 0) {
		buf_reset(&key);
		buf_add_char(&key, '@');
		buf_add_span(&key, domain);
		rc = maps_get(m, buf_span(&key), true, out, why);
	}
	buf_fini(&key);
	return rc;
}

int
virtual_parse_mailbox(struct span v, enum store_format dirs,
    enum store_format *format, bool *detect, struct buf *out, struct why *why)
{
	ptrdiff_t colon;
	struct span rest, part;
	bool given = false;

	v = span_trim(v);
	colon = span_find(v, ':');
	*detect = false;
	if (colon > 0 && store_format_parse(span_sub(v, 0, (size_t)colon),
	    format) == 0) {
		v = span_from(v, (size_t)colon + 1);
		given = true;
	} else if (span_ends(v, SPAN("/"))) {
		*format = dirs;
		*detect = true;
	} else {
		*format = STORE_MBOX;
	}
	if (given && *format == STORE_MBOX && span_ends(v, SPAN("/")))
		return why_set(why, "4.3.5", "an mbox cannot end in \"/\": "
		    "%.*s", SPAN_ARG(v));
	rest = v;
	size_t n = 0;
	while (span_token(&rest, "/", &part)) {
		if (span_is(part, "."))
			continue;
		if (span_is(part, "..") || span_has_nul(part))
			return why_set(why, "4.3.5",
			    "a mailbox path may not contain \"..\": %.*s",
			    SPAN_ARG(v));
		if (n++ > 0)
			buf_add_char(out, '/');
		buf_add_span(out, part);
	}
	if (n == 0)
		return why_set(why, "4.3.5", "no mailbox path in \"%.*s\"",
		    SPAN_ARG(v));
	return 0;
}

/* A number from a table, or the fixed owner's.  0, -1 with why. */
static int
find_id(struct maps *m, const char *title, struct span addr, int64_t least,
    uint32_t fixed, uint32_t *out, struct why *why)
{
	uint64_t n;
	int rc;

	if (maps_empty(m)) {
		if (!have_owner)
			return why_set(why, "4.3.5", "mail system "
			    "configuration error: neither %s nor store_owner "
			    "names an owner", title);
		*out = fixed;
		return 0;
	}
	buf_reset(&value);
	if ((rc = find(m, addr, &value, why)) < 0)
		return -1;
	if (rc == 0) {
		log_warning("%.*s is not in %s", SPAN_ARG(addr), title);
		return why_set(why, "4.3.5", "mail system configuration "
		    "error");
	}
	if (num_parse_u64(span_trim(buf_span(&value)), UINT32_MAX - 1,
	    &n) < 0 || n < (uint64_t)least) {
		log_warning("%s: bad value \"%s\" for %.*s (a number from "
		    "%lld)", title, value.data, SPAN_ARG(addr),
		    (long long)least);
		return why_set(why, "4.3.5", "mail system configuration "
		    "error");
	}
	*out = (uint32_t)n;
	return 0;
}

static void
deliver(struct job *j, const struct rcpt *r, struct result *res)
{
	struct buf addr = BUF_INIT(BUF_UNLIMITED), path = BUF_INIT(4096);
	struct store_place p = { .flags = locks, .size_limit =
	    conf.virtual_mailbox_limit, .base = conf.virtual_mailbox_base };
	struct store_message m;
	struct why why = WHY_INIT;
	uint32_t uid, gid;
	bool detect;
	int rc;

	address_fold(r->addr, true, &addr);
	buf_reset(&value);
	rc = find(mailbox_maps, buf_span(&addr), &value, &why);
	if (rc < 0) {
		log_warning("virtual_mailbox_maps: %s", why.text);
		result_defer(res, "4.3.5", "mail system configuration error");
		goto out;
	}
	if (rc == 0) {
		result_bounce(res, "5.1.1", "unknown user: \"%s\"", addr.data);
		goto out;
	}
	if (job_delivered_to(j, r->addr)) {
		result_bounce(res, "5.4.6", "mail forwarding loop for %s",
		    addr.data);
		goto out;
	}
	if (virtual_parse_mailbox(buf_span(&value), dir_format, &p.format,
	    &detect, &path, &why) < 0) {
		log_warning("virtual_mailbox_maps: %s: %s", addr.data,
		    why.text);
		result_defer(res, "4.3.5", "mail system configuration error");
		goto out;
	}
	p.path = path.data;
	if (find_id(uid_maps, "virtual_uid_maps", buf_span(&addr),
	    conf.virtual_minimum_uid, owner_uid, &uid, &why) < 0 ||
	    find_id(gid_maps, "virtual_gid_maps", buf_span(&addr), 1,
	    owner_gid, &gid, &why) < 0) {
		result_why(res, &why);
		goto out;
	}
	p.uid = p.make_uid = p.write_uid = uid;
	p.gid = p.make_gid = p.write_gid = gid;
	if (conf.strict_mailbox_ownership)
		p.flags |= STORE_STRICT_OWNER;
	if (detect)
		p.flags |= STORE_DETECT;
	if (cred_become(uid, gid) < 0) {
		result_defer(res, "4.3.0", "cannot become user %u: %s",
		    (unsigned)uid, strerror(errno));
		goto out;
	}
	buf_reset(&head);
	job_head(&head, r, j->env.sender.p != NULL ? j->env.sender : SPAN(""),
	    r->addr);
	m = (struct store_message){
		.queue_id = j->env.queue_id, .rcpt = r->addr,
		.sender = j->env.sender, .arrival_us = j->env.arrival_us,
		.head = buf_span(&head), .content = &j->content,
		.again = j->req.recovered,
	};
	rc = store_deliver(agent_store(), &p, &m, &why);
	if (rc < 0)
		result_why(res, &why);
	else if (p.format == STORE_MAILDIR)
		result_ok(res, "delivered to maildir");
	else
		result_ok(res, "delivered to mailbox");
out:
	buf_fini(&addr);
	buf_fini(&path);
}

static const struct agent virtual_agent = {
	.name = "virtual", .deliver = deliver,
};
static struct agent agent;

/* "static:5000" alone: 1 and the number; 0 it is something else. */
static int
static_number(const char *text, uint32_t *out)
{
	struct span s = span_trim(span_of(text));
	uint64_t n;

	if (!span_starts(s, SPAN("static:")) ||
	    num_parse_u64(span_from(s, 7), UINT32_MAX - 1, &n) < 0 || n == 0)
		return 0;
	*out = (uint32_t)n;
	return 1;
}

int
virtual_pre_jail(struct why *why)
{
	uint32_t uid = 0, gid = 0;

	value = BUF_INIT(TABLE_VALUE_MAX);
	head = BUF_INIT(BUF_UNLIMITED);
	if (conf.virtual_mailbox_base[0] != '/')
		return why_set(why, "", "virtual_mailbox_base must be an "
		    "absolute path; it is \"%s\"", conf.virtual_mailbox_base);
	if (lock_parse("virtual_mailbox_lock", conf.virtual_mailbox_lock,
	    &locks, why) < 0 ||
	    store_format_parse(span_of(conf.store_format), &dir_format) < 0)
		return -1;
	mailbox_maps = maps_new("virtual_mailbox_maps",
	    conf.virtual_mailbox_maps, TABLE_FOLD, why);
	uid_maps = maps_new("virtual_uid_maps", conf.virtual_uid_maps,
	    TABLE_FOLD, why);
	gid_maps = maps_new("virtual_gid_maps", conf.virtual_gid_maps,
	    TABLE_FOLD, why);
	if (mailbox_maps == NULL || uid_maps == NULL || gid_maps == NULL)
		return -1;
	if (geteuid() != 0) {
		/* A test, or an administrator's single-user set-up. */
		one_owner = have_owner = true;
		owner_uid = geteuid();
		owner_gid = getegid();
		return 0;
	}
	if (maps_empty(uid_maps) || maps_empty(gid_maps)) {
		struct passwd *pw = getpwnam(conf.store_owner);

		if (pw != NULL && pw->pw_uid != 0) {
			have_owner = true;
			owner_uid = pw->pw_uid;
			owner_gid = pw->pw_gid;
		}
	}
	if (maps_empty(uid_maps) && maps_empty(gid_maps)) {
		one_owner = have_owner;
	} else if (static_number(conf.virtual_uid_maps, &uid) &&
	    static_number(conf.virtual_gid_maps, &gid) &&
	    uid >= conf.virtual_minimum_uid) {
		one_owner = have_owner = true;
		owner_uid = uid;
		owner_gid = gid;
	}
	return 0;
}

int
virtual_start(struct why *why)
{
	if (one_owner && geteuid() == 0) {
		/* Nobody else's mail is ours to write: no way back. */
		if (setgroups(1, &owner_gid) < 0 ||
		    setresgid(owner_gid, owner_gid, owner_gid) < 0 ||
		    setresuid(owner_uid, owner_uid, owner_uid) < 0)
			return why_errno(why, "", "cannot become the owner of "
			    "the mailboxes, uid %u", (unsigned)owner_uid);
	}
	agent = virtual_agent;
	agent.status_filter = conf.virtual_delivery_status_filter;
	return agent_start(&agent, "virtual_delivery_status_filter", why);
}
