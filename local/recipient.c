/* SPDX-License-Identifier: ISC */
/*
 * recipient - how a local recipient is delivered to, method by method.
 *
 * In this order (local(8)): aliases for the whole local part, aliases without
 * the extension, .forward, mailbox_transport_maps and mailbox_transport,
 * mailbox_command_maps and mailbox_command, home_mailbox or
 * mail_spool_directory; for who is no user: fallback_transport_maps,
 * fallback_transport, luser_relay.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "local/cred.h"
#include "local/local.h"
#include "local/token.h"
#include "mail/address.h"

struct local_conf lc;

/* --- what happened ---------------------------------------------------------------- */

void
note_ok(struct delivery *d, bool lazy, const char *fmt, ...)
{
	va_list ap;

	d->delivered++;
	d->lazy |= lazy;
	va_start(ap, fmt);
	vsnprintf(d->ok, sizeof(d->ok), fmt, ap);
	va_end(ap);
}

void
note_why(struct delivery *d, const struct why *why)
{
	bool hard = why->code[0] == '5';

	/* The first failure is shown; a deferral comes before a bounce, for
	 * that is what will happen. */
	if ((!d->soft && !d->hard) || (!hard && !d->soft))
		d->why = *why;
	if (d->why.code[0] == '\0')
		memcpy(d->why.code, "4.3.0", sizeof("4.3.0"));
	if (hard)
		d->hard = true;
	else
		d->soft = true;
}

void
note_fail(struct delivery *d, const char *code, const char *fmt, ...)
{
	struct why why = WHY_INIT;
	va_list ap;

	snprintf(why.code, sizeof(why.code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, ap);
	va_end(ap);
	note_why(d, &why);
}

bool
first_time(struct delivery *d, char kind, unsigned id, const char *what)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	bool made = true;

	buf_addf(&key, "%c%u:%s", kind, id, what);
	if (hash_get(&d->seen, buf_span(&key)) != NULL)
		made = false;
	else if ((int64_t)d->seen.count < conf.duplicate_filter_limit ||
	    conf.duplicate_filter_limit == 0)
		(void)hash_put(&d->seen, buf_span(&key), d);
	buf_fini(&key);
	return made;
}

/* --- addresses -------------------------------------------------------------------- */

/* Fill in what hangs on the address, which is unquoted. */
static void
attr_address(struct delivery *d, struct attr *a, struct span addr)
{
	struct span local, domain, user, ext;
	struct buf low = BUF_INIT(BUF_UNLIMITED);

	address_split(addr, &local, &domain);
	address_fold(local, true, &low);
	for (size_t i = 0; i < low.len; i++) {
		if (low.data[i] >= 'A' && low.data[i] <= 'Z')
			low.data[i] = (char)(low.data[i] - 'A' + 'a');
	}
	a->local = arena_span_dup(d->arena, buf_span(&low));
	buf_fini(&low);
	a->domain = domain.p != NULL ? arena_span_dup(d->arena, domain) :
	    conf.myorigin;
	a->recipient = arena_printf(d->arena, "%.*s@%s", SPAN_ARG(local),
	    a->domain);
	if (address_split_ext(span_of(a->local), conf.recipient_delimiter,
	    &user, &ext)) {
		a->user = arena_span_dup(d->arena, user);
		a->extension = arena_span_dup(d->arena, ext);
		a->delimiter = arena_span_dup(d->arena,
		    span_make(a->local + user.len, 1));
	} else {
		a->user = a->local;
		a->extension = a->delimiter = "";
	}
}

/* An address out of an alias, .forward or :include: file. */
static void
deliver_address(struct delivery *d, const struct attr *up, struct span addr)
{
	struct attr a = *up;
	struct span local, domain;
	struct why why = WHY_INIT;
	int ours = 1;

	if (addr.len == 0 || addr.len > ADDRESS_MAX) {
		log_warning("%.*s: an address in the expansion of %s is %s",
		    SPAN_ARG(d->job->env.queue_id), up->recipient,
		    addr.len == 0 ? "empty" : "too long");
		return;
	}
	address_split(addr, &local, &domain);
	if (domain.p != NULL) {
		ours = match_list_string(lc.mydestination, domain, &why);
		if (ours < 0) {
			note_fail(d, "4.3.5", "mydestination: %s", why.text);
			return;
		}
		/*
		 * With a transport table an address of our own domain may
		 * have a way of its own: let the queue find it.
		 */
		if (ours && conf.transport_maps[0] != '\0')
			ours = 0;
	}
	attr_address(d, &a, addr);
	a.up = up;
	a.level = up->level + 1;
	a.alias = NULL;
	if (!first_time(d, 'a', up->as != NULL ? up->as->uid : 0,
	    a.recipient))
		return;
	if (!ours) {
		add_forward(d, up, arena_span_dup(d->arena, addr));
		return;
	}
	/* Sub-addresses of a list go out as messages of their own: each gets
	 * a queue record, and the owner the bounces. */
	if ((up->owner != NULL && strcasecmp(up->owner, a.user) != 0) ||
	    up->origin == FROM_INCLUDE) {
		add_forward(d, up, a.recipient);
		return;
	}
	deliver_local(d, &a);
}

struct each {
	struct delivery		*d;
	const struct attr	*a;
	unsigned		 n;
};

static void
each_address(void *arg, const struct address_item *item)
{
	struct each *e = arg;

	e->n++;
	deliver_address(e->d, e->a, item->addr);
}

void
deliver_text(struct delivery *d, const struct attr *a, struct span text)
{
	struct buf out = BUF_INIT(65536);
	enum token_kind kind;
	int rc;

	while ((rc = token_next(&text, &kind, &out)) != 0) {
		struct each e = { d, a, 0 };

		if (++d->expansions > ENVELOPE_RCPT_MAX) {
			note_fail(d, "5.4.6", "more than %d destinations for "
			    "%s", ENVELOPE_RCPT_MAX, d->rcpt->addr.p != NULL ?
			    a->recipient : "");
			break;
		}
		if (rc < 0) {
			log_warning("%.*s: cannot make sense of a destination "
			    "in the expansion of %s",
			    SPAN_ARG(d->job->env.queue_id), a->recipient);
			continue;
		}
		char *what = arena_span_dup(d->arena, buf_span(&out));
		switch (kind) {
		case TOKEN_COMMAND:
			deliver_command(d, a, a->as, what, false);
			break;
		case TOKEN_FILE:
			deliver_file(d, a, what);
			break;
		case TOKEN_INCLUDE:
			deliver_include(d, a, what);
			break;
		case TOKEN_MAILBOX: {
			struct attr m = *a;

			attr_address(d, &m, span_of(what));
			m.up = a;
			m.level = a->level + 1;
			m.plain = true;
			deliver_local(d, &m);
			break;
		}
		case TOKEN_ADDRESS:
			if (address_list_each(span_of(what), 10000,
			    each_address, &e) < 0 || e.n == 0)
				log_warning("%.*s: no address in \"%s\", in "
				    "the expansion of %s",
				    SPAN_ARG(d->job->env.queue_id), what,
				    a->recipient);
			break;
		}
	}
	buf_fini(&out);
}

/* --- aliases ----------------------------------------------------------------------- */

/*
 * Whose rights commands and files of an alias have: the owner of the table's
 * file; default_privs when that is root, or when there is no file.
 */
static int
alias_owner(const char *table, const struct user **out, struct why *why)
{
	static const char *const with_files[] = {
		"hash:", "btree:", "texthash:", "lmdb:", "cdb:", "dbm:",
		"regexp:", "pcre:",
	};
	struct span spec = span_of(table), file = SPAN_EMPTY;
	struct stat st;
	char *path;
	int rc;

	*out = &lc.nobody;
	for (size_t i = 0; i < ARRAY_LEN(with_files); i++) {
		struct span prefix = span_of(with_files[i]);

		if (span_starts(spec, prefix))
			file = span_from(spec, prefix.len);
	}
	if (file.len == 0 || file.p[0] != '/')
		return 0;
	path = mem_printf("%.*s.db", SPAN_ARG(file));
	rc = stat(path, &st);
	mem_free(path);
	if (rc < 0 && stat(file.p, &st) < 0)
		return why_errno(why, "4.3.5", "cannot see who owns %s",
		    file.p);
	if (st.st_uid == 0)
		return 0;
	if ((rc = user_by_uid(st.st_uid, out, why)) < 0)
		return -1;
	if (rc == 0)
		return why_set(why, "4.3.5", "the owner of %s, uid %u, is no "
		    "user of this system", file.p, (unsigned)st.st_uid);
	return 0;
}

/* 1: there is such an alias, and it was delivered to; 0: there is none. */
static int
deliver_alias(struct delivery *d, const struct attr *a, const char *name,
    bool partial)
{
	struct buf v = BUF_INIT(TABLE_VALUE_MAX), o = BUF_INIT(TABLE_VALUE_MAX);
	struct why why = WHY_INIT;
	struct attr sub = *a;
	char *owner;
	int rc;

	/* An alias that leads to itself means the user. */
	for (const struct attr *u = a; u != NULL; u = u->up) {
		if (u->alias != NULL && strcmp(u->alias, name) == 0)
			return 0;
	}
	rc = maps_get(lc.alias_maps, span_of(name), partial, &v, &why);
	if (rc == 0)
		goto out;
	if (rc < 0) {
		log_warning("alias_maps: %s", why.text);
		note_fail(d, "4.3.0", "alias database unavailable");
		rc = 1;
		goto out;
	}
	if (d->probe) {
		note_ok(d, false, "aliased to %.*s", (int)MIN(v.len,
		    (size_t)ALIAS_SHOW_MAX), v.data);
		goto out;
	}
	if (a->level > LEVEL_MAX) {
		log_warning("possible alias database loop for %s", name);
		note_fail(d, "5.4.6", "possible alias database loop for %s",
		    name);
		goto out;
	}
	sub.alias = arena_strdup(d->arena, name);
	sub.origin = FROM_ALIAS;
	if (alias_owner(maps_last_table(lc.alias_maps), &sub.as, &why) < 0) {
		log_warning("%s", why.text);
		note_why(d, &why);
		goto out;
	}
	if (!conf.reset_owner_alias)
		sub.owner = a->owner;
	else
		sub.owner = NULL;
	owner = arena_printf(d->arena, "owner-%s", name);
	int has = conf.owner_request_special ? maps_get(lc.alias_maps,
	    span_of(owner), true, &o, &why) : 0;
	if (has < 0) {
		note_fail(d, "4.3.0", "alias database unavailable");
		goto out;
	}
	if (has == 1) {
		struct span who = span_trim(buf_span(&o));

		sub.owner = sub.alias;
		/* RFC 5321 4.5.5: what has no return path gets none. */
		if (a->sender.len > 0 && conf.expand_owner_alias &&
		    span_find(who, ',') < 0 && who.len > 0 &&
		    who.p[0] != '|' && who.p[0] != '/' && who.p[0] != ':')
			sub.sender = span_of(arena_printf(d->arena,
			    span_find(who, '@') < 0 ? "%.*s@%s" : "%.*s",
			    SPAN_ARG(who), conf.myorigin));
		else if (a->sender.len > 0)
			sub.sender = span_of(arena_printf(d->arena, "%s@%s",
			    owner, a->domain));
	}
	log_debug("%.*s: alias %s: %s", SPAN_ARG(d->job->env.queue_id), name,
	    v.data);
	unsigned before = d->expansions;
	deliver_text(d, &sub, buf_span(&v));
	if (d->expansions == before) {
		/* "name:" with nothing behind. */
		log_warning("alias %s has no destination", name);
		note_fail(d, "5.3.5", "mail system configuration error");
	}
out:
	buf_fini(&v);
	buf_fini(&o);
	return rc;
}

/* --- users ------------------------------------------------------------------------- */

void
deliver_unknown(struct delivery *d, const struct attr *a)
{
	struct buf v = BUF_INIT(4096);
	struct why why = WHY_INIT;
	struct attr sub = *a;
	char *text;
	int rc;

	rc = maps_get(lc.fallback_transport_maps, span_of(a->user), false, &v,
	    &why);
	if (rc < 0) {
		log_warning("fallback_transport_maps: %s", why.text);
		note_fail(d, "4.3.5", "mail system configuration error");
	} else if (rc == 1 && v.len > 0) {
		deliver_pass(d, a, v.data);
	} else if (conf.fallback_transport[0] != '\0') {
		deliver_pass(d, a, conf.fallback_transport);
	} else if (strcmp(a->user, "postmaster") == 0 ||
	    strcmp(a->user, "mailer-daemon") == 0) {
		/* RFC 5321 4.5.1: these must work; a bounce would be sent to
		 * them again. */
		log_warning("required alias not found: %s", a->user);
		note_ok(d, false, "discarded");
	} else if (conf.luser_relay[0] != '\0') {
		/*
		 * Whether it is a command is the administrator's word only: a
		 * recipient called "|command" must not make it one.
		 */
		bool special = strchr("|/:\"\\", conf.luser_relay[0]) != NULL;

		text = expand_local(d, a, NULL, conf.luser_relay,
		    special ? conf.command_expansion_filter : NULL, &why);
		sub.origin = FROM_ALIAS;
		sub.as = &lc.nobody;
		sub.level++;
		if (d->probe) {
			note_ok(d, false, "delivers to luser_relay");
		} else if (text == NULL) {
			log_warning("luser_relay: %s", why.text);
			note_fail(d, "4.3.5", "mail system configuration "
			    "error");
		} else if (!first_time(d, 'l', 0, text)) {
			/* Unknown there too. */
			note_fail(d, "5.1.1", "unknown user: \"%s\"", a->user);
		} else if (special) {
			deliver_text(d, &sub, span_of(text));
		} else {
			deliver_address(d, &sub, span_of(text));
		}
	} else {
		note_fail(d, "5.1.1", "unknown user: \"%s\"", a->user);
	}
	buf_fini(&v);
}

void
deliver_local(struct delivery *d, const struct attr *a)
{
	struct buf v = BUF_INIT(4096);
	const struct user *u = NULL;
	struct why why = WHY_INIT;
	struct attr sub = *a;
	int rc;

	if (a->level > LEVEL_MAX) {
		note_fail(d, "5.4.6", "possible alias database loop for %s",
		    a->user);
		return;
	}
	if (!a->plain) {
		if (deliver_alias(d, a, a->local, false) != 0)
			return;
		if (a->extension[0] != '\0' &&
		    deliver_alias(d, a, a->user, true) != 0)
			return;
	}
	rc = user_find(a->user, &u, &why);
	if (rc < 0) {
		log_warning("%s", why.text);
		note_why(d, &why);
		return;
	}
	/* A name with an extension character may be a user's own. */
	if (rc == 0 && a->extension[0] != '\0') {
		rc = user_find(a->local, &u, &why);
		if (rc == 1)
			sub.user = a->local;
		if (rc < 0) {
			note_why(d, &why);
			return;
		}
	}
	sub.as = rc == 1 ? u : NULL;
	if (rc == 1 && !a->plain && !d->probe && deliver_dotforward(d, &sub, u) != 0)
		return;
	/* Transports before we ask whether there is such a user. */
	rc = maps_get(lc.mailbox_transport_maps, span_of(sub.user), false, &v,
	    &why);
	if (rc < 0) {
		log_warning("mailbox_transport_maps: %s", why.text);
		note_fail(d, "4.3.5", "mail system configuration error");
	} else if (rc == 1 && v.len > 0) {
		deliver_pass(d, &sub, v.data);
	} else if (conf.mailbox_transport[0] != '\0') {
		deliver_pass(d, &sub, conf.mailbox_transport);
	} else if (sub.as == NULL) {
		deliver_unknown(d, &sub);
	} else {
		deliver_mailbox(d, &sub, u);
	}
	buf_fini(&v);
}

/* --- the agent's hook ---------------------------------------------------------------- */

void
local_deliver(struct job *j, const struct rcpt *r, struct result *res)
{
	struct delivery d = { .job = j, .rcpt = r, .arena = j->arena,
	    .res = res, .probe = j->env.flags & ENV_PROBE };
	struct attr a = { .origin = FROM_RCPT, .sender = j->env.sender };

	if (j->env.sender.p == NULL)
		a.sender = SPAN("");
	if (job_delivered_to(j, r->addr)) {
		result_bounce(res, "5.4.6", "mail forwarding loop for %.*s",
		    SPAN_ARG(r->addr));
		return;
	}
	attr_address(&d, &a, r->addr);
	deliver_local(&d, &a);
	/*
	 * Last, and only when nothing will be tried again: a message that was
	 * sent on cannot be recognised like one in a mailbox.
	 */
	if (d.forwards.len > 0 && d.probe)
		note_ok(&d, false, "forwarded");
	else if (d.forwards.len > 0 && !d.soft)
		send_forwards(&d);
	if (d.soft || d.hard)
		result_why(res, &d.why);
	else if (d.delivered == 0)
		result_bounce(res, "5.3.5", "no destination for %.*s",
		    SPAN_ARG(r->addr));
	else {
		result_ok(res, "%s", d.ok);
		res->durable = !d.lazy;
		/* RFC 3461 5.2.7.2: one became several, here or elsewhere. */
		if (d.delivered > 1)
			res->action = "expanded";
	}
	hash_fini(&d.seen, NULL);
	ARRAY_FINI(&d.forwards);
}

/* --- start ---------------------------------------------------------------------------- */

static int
parse_origins(const char *title, const char *text, bool out[4],
    struct why *why)
{
	struct span rest = span_of(text), t;

	while (span_token(&rest, " \t\r\n,", &t)) {
		if (span_caseis(t, "alias"))
			out[FROM_ALIAS] = true;
		else if (span_caseis(t, "forward"))
			out[FROM_FORWARD] = true;
		else if (span_caseis(t, "include"))
			out[FROM_INCLUDE] = true;
		else
			return why_set(why, "", "%s: unknown word \"%.*s\" "
			    "(alias, forward, include)", title, SPAN_ARG(t));
	}
	return 0;
}

static int
find_nobody(struct why *why)
{
	const struct user *u;
	int rc;

	if (geteuid() == 0) {
		if ((rc = user_find(conf.default_privs, &u, why)) < 0)
			return -1;
		if (rc == 0)
			return why_set(why, "", "default_privs: no user "
			    "\"%s\"", conf.default_privs);
		if (u->uid == 0 || u->gid == 0 ||
		    strcmp(conf.default_privs, conf.mail_owner) == 0)
			return why_set(why, "", "default_privs: \"%s\" has "
			    "too many privileges", conf.default_privs);
	} else if ((rc = user_by_uid(geteuid(), &u, why)) <= 0) {
		return rc < 0 ? -1 : why_set(why, "", "uid %u is no user of "
		    "this system", (unsigned)geteuid());
	}
	lc.nobody = *u;
	return 0;
}

static int
parse_prepended(struct why *why)
{
	struct span rest = span_of(conf.prepend_delivered_header), t;

	while (span_token(&rest, " \t\r\n,", &t)) {
		if (span_caseis(t, "command"))
			lc.head_command = true;
		else if (span_caseis(t, "file"))
			lc.head_file = true;
		else if (span_caseis(t, "forward"))
			lc.head_forward = true;
		else
			return why_set(why, "", "prepend_delivered_header: "
			    "unknown word \"%.*s\" (command, file, forward)",
			    SPAN_ARG(t));
	}
	return 0;
}

static int
open_maps(struct maps **out, const char *title, const char *value, int flags,
    struct why *why)
{
	*out = maps_new(title, value, flags, why);
	return daemon_judge(*out == NULL ? -1 : 0, why);
}

int
local_pre_jail(struct why *why)
{
#define MAPS(n, flags)	open_maps(&lc.n, #n, conf.n, flags, why)
	if (daemon_judge(find_nobody(why), why) < 0 ||
	    daemon_judge(parse_prepended(why), why) < 0 ||
	    daemon_judge(parse_origins("allow_mail_to_commands",
	    conf.allow_mail_to_commands, lc.command_from, why), why) < 0 ||
	    daemon_judge(parse_origins("allow_mail_to_files",
	    conf.allow_mail_to_files, lc.file_from, why), why) < 0 ||
	    daemon_judge(lock_parse("mailbox_delivery_lock",
	    conf.mailbox_delivery_lock, &lc.locks, why), why) < 0 ||
	    MAPS(alias_maps, TABLE_FOLD | TABLE_NO_SUBST) < 0 ||
	    MAPS(mailbox_command_maps, TABLE_FOLD) < 0 ||
	    MAPS(mailbox_transport_maps, TABLE_FOLD) < 0 ||
	    MAPS(fallback_transport_maps, TABLE_FOLD) < 0)
		return -1;
#undef MAPS
	lc.mydestination = match_list_new("mydestination", conf.mydestination,
	    0, why);
	if (daemon_judge(lc.mydestination == NULL ? -1 : 0, why) < 0)
		return -1;
	lc.quotas = quota_map_new(why);
	return lc.quotas == NULL ? -1 : 0;
}

int
local_check(struct why *why)
{
	if (daemon_judge(local_pre_jail(why), why) < 0)
		return -1;
	return agent_check("local_delivery_status_filter",
	    conf.local_delivery_status_filter, why);
}

int
local_start(struct why *why)
{
	static struct agent agent = { .name = "local",
	    .deliver = local_deliver };

	agent.status_filter = conf.local_delivery_status_filter;
	return agent_start(&agent, "local_delivery_status_filter", why);
}
