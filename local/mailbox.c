/* SPDX-License-Identifier: ISC */
/*
 * mailbox - into a user's mailbox, or a file that somebody named.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "local/cred.h"
#include "local/local.h"

/*
 * Had an earlier attempt a chance to store it?  After a crash always; else
 * only where one recipient leads to several places, of which some may have
 * been served before another one was deferred.
 */
static bool
again(const struct delivery *d, const struct attr *a)
{
	return d->job->req.recovered ||
	    (d->job->req.attempt > 1 && a->up != NULL);
}

static void
put(struct delivery *d, const struct attr *a, const struct store_place *p,
    bool delivered_line, const char *ok)
{
	struct buf head = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct store_message m;

	job_head(&head, d->rcpt, a->sender, delivered_line ? d->rcpt->addr :
	    SPAN_EMPTY);
	m = (struct store_message){
		.queue_id = d->job->env.queue_id, .rcpt = d->rcpt->addr,
		.sender = a->sender, .arrival_us = d->job->env.arrival_us,
		.head = buf_span(&head), .content = &d->job->content,
		.again = again(d, a),
	};
	if (store_deliver(agent_store(), p, &m, &why) < 0) {
		if (why.code[0] == '4')
			log_warning("%.*s: %s", SPAN_ARG(m.queue_id),
			    why.text);
		note_why(d, &why);
	} else {
		note_ok(d, true, "%s", ok);
	}
	cred_restore();
	buf_fini(&head);
}

/* As put(), for what is u's own mailbox. */
static void
put_own(struct delivery *d, const struct attr *a, const struct user *u,
    struct store_place *p, const char *ok)
{
	struct store_quota quota;
	struct why why = WHY_INIT;

	if (quota_map_find(lc.quotas, span_of(u->name), &quota, &why) < 0) {
		log_warning("%s", why.text);
		note_why(d, &why);
		cred_restore();
		return;
	}
	p->quota = &quota;
	put(d, a, p, true, ok);
	p->quota = NULL;
}

/*
 * /var/mail/user.  Who may make the file and its lock there is up to the
 * directory's mode: anybody (like /tmp), its group (the user with that
 * group), or root only, who then gives the file to the user.
 */
static void
deliver_spool(struct delivery *d, const struct attr *a, const struct user *u)
{
	struct span dir = span_of(conf.mail_spool_directory);
	struct store_place p = {
		.format = STORE_MBOX, .path = u->name,
		.size_limit = conf.mailbox_size_limit, .flags = lc.locks,
		.uid = u->uid, .gid = u->gid,
		.write_uid = u->uid, .write_gid = u->gid,
	};
	struct stat st;

	if (conf.strict_mailbox_ownership)
		p.flags |= STORE_STRICT_OWNER;
	p.base = conf.mail_spool_directory;
	if (span_ends(dir, SPAN("/")) && dir.len > 1) {
		p.format = STORE_MAILDIR;
		p.make_uid = u->uid;
		p.make_gid = u->gid;
		if (u->uid == 0) {
			note_fail(d, "4.2.0", "root has no mailbox in %s: "
			    "make an alias for root", p.base);
			return;
		}
		if (cred_become(u->uid, u->gid) < 0) {
			note_fail(d, "4.3.0", "cannot become user %s: %s",
			    u->name, strerror(errno));
			return;
		}
		put_own(d, a, u, &p, "delivered to maildir");
		return;
	}
	if (stat(conf.mail_spool_directory, &st) < 0) {
		note_fail(d, "4.3.5", "cannot open %s: %s",
		    conf.mail_spool_directory, strerror(errno));
		return;
	}
	p.make_uid = u->uid;
	p.make_gid = u->gid;
	if ((st.st_mode & S_IWOTH) == 0) {
		if (st.st_mode & S_IWGRP)
			p.make_gid = st.st_gid;
		else
			p.make_uid = 0, p.make_gid = 0;
	}
	if (u->uid == 0) {
		/*
		 * root's mbox is made and opened as root, in a directory that
		 * only root can fill, and written to with no rights at all.
		 */
		if (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)) {
			note_fail(d, "4.2.0", "%s is world writable: make an "
			    "alias for root", conf.mail_spool_directory);
			return;
		}
		p.make_uid = 0;
		p.make_gid = 0;
		p.write_uid = lc.nobody.uid;
		p.write_gid = lc.nobody.gid;
	}
	put(d, a, &p, true, "delivered to mailbox");
}

static void
deliver_home(struct delivery *d, const struct attr *a, const struct user *u)
{
	struct store_place p = {
		.base = u->home, .size_limit = conf.mailbox_size_limit,
		.flags = lc.locks, .uid = u->uid, .gid = u->gid,
		.make_uid = u->uid, .make_gid = u->gid,
		.write_uid = u->uid, .write_gid = u->gid,
	};
	size_t n = strlen(conf.home_mailbox);

	if (conf.strict_mailbox_ownership)
		p.flags |= STORE_STRICT_OWNER;
	p.path = conf.home_mailbox;
	p.format = n > 0 && p.path[n - 1] == '/' ? STORE_MAILDIR : STORE_MBOX;
	if (cred_become(u->uid, u->gid) < 0) {
		note_fail(d, "4.3.0", "cannot become user %s: %s", u->name,
		    strerror(errno));
		return;
	}
	put_own(d, a, u, &p, p.format == STORE_MAILDIR ?
	    "delivered to maildir" : "delivered to mailbox");
}

void
deliver_mailbox(struct delivery *d, const struct attr *a,
    const struct user *u)
{
	struct buf v = BUF_INIT(4096);
	struct why why = WHY_INIT;
	int rc;

	if (d->probe) {
		note_ok(d, false, "delivers to mailbox");
		return;
	}
	if (!first_time(d, 'm', u->uid, u->name)) {
		buf_fini(&v);
		return;
	}
	rc = maps_get(lc.mailbox_command_maps, span_of(a->user), false, &v,
	    &why);
	if (rc < 0) {
		log_warning("mailbox_command_maps: %s", why.text);
		note_fail(d, "4.3.5", "mail system configuration error");
	} else if (rc == 1 && v.len > 0) {
		deliver_command(d, a, u, arena_span_dup(d->arena,
		    buf_span(&v)), true);
	} else if (conf.mailbox_command[0] != '\0') {
		deliver_command(d, a, u, conf.mailbox_command, true);
	} else if (conf.home_mailbox[0] != '\0' && u->uid != 0) {
		deliver_home(d, a, u);
	} else {
		deliver_spool(d, a, u);
	}
	buf_fini(&v);
}

void
deliver_file(struct delivery *d, const struct attr *a, const char *path)
{
	const struct user *u = a->as != NULL ? a->as : &lc.nobody;
	struct store_place p = {
		.size_limit = conf.mailbox_size_limit,
		.flags = lc.locks | STORE_DEVICE,
	};
	struct span home, s = span_of(path);
	ptrdiff_t slash;
	char *dir;

	if (u->uid == 0)
		u = &lc.nobody;
	if (!lc.file_from[a->origin]) {
		note_fail(d, "5.7.1", "mail to file is restricted");
		return;
	}
	if (!first_time(d, 'p', u->uid, path))
		return;
	p.uid = p.make_uid = p.write_uid = u->uid;
	p.gid = p.make_gid = p.write_gid = u->gid;
	p.format = span_ends(s, SPAN("/")) ? STORE_MAILDIR : STORE_MBOX;
	while (s.len > 1 && span_ends(s, SPAN("/")))
		s.len--;
	if (conf.strict_mailbox_ownership && a->origin == FROM_FORWARD)
		p.flags |= STORE_STRICT_OWNER;
	home = span_of(u->home);
	while (home.len > 1 && span_ends(home, SPAN("/")))
		home.len--;
	if (u != &lc.nobody && home.len > 1 && span_starts(s, home) &&
	    s.len > home.len + 1 && s.p[home.len] == '/') {
		p.base = u->home;
		p.path = path + home.len + 1;
	} else if ((slash = span_rfind(s, '/')) >= 0 && s.len > 1) {
		dir = arena_span_dup(d->arena, span_sub(s, 0, slash > 0 ?
		    (size_t)slash : 1));
		p.base = dir;
		p.path = path + slash + 1;
	} else {
		note_fail(d, "5.3.5", "cannot deliver to %s", path);
		return;
	}
	if (cred_become(u->uid, u->gid) < 0) {
		note_fail(d, "4.3.0", "cannot become user %s: %s", u->name,
		    strerror(errno));
		return;
	}
	put(d, a, &p, lc.head_file, arena_printf(d->arena,
	    "delivered to file: %s", path));
}
