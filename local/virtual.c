/* SPDX-License-Identifier: ISC */
/*
 * virtual - delivery to virtual mailboxes; lib/store/virtual_map.h says where
 * they are.  A table that cannot be read defers the mail; it never makes a
 * user unknown.
 */
#include "local/virtual.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "local/agent.h"
#include "local/cred.h"
#include "mail/address.h"
#include "mail/charset.h"
#include "store/virtual_map.h"

static struct virtual_map *map;
static struct quota_map	*quotas;
static unsigned		 locks;
static struct buf	 head;		/* of the delivery under way */

static void
deliver(struct job *j, const struct rcpt *r, struct result *res)
{
	struct buf addr = BUF_INIT(BUF_UNLIMITED);
	struct virtual_place v = { .path = BUF_INIT(VIRTUAL_PATH_MAX) };
	struct store_place p = { .flags = locks, .size_limit =
	    conf.virtual_mailbox_limit, .base = virtual_map_base() };
	struct span local, domain, user, ext;
	struct store_quota quota;
	struct store_message m;
	struct why why = WHY_INIT;
	char *folder = NULL;
	int rc;

	address_fold(r->addr, true, &addr);
	rc = virtual_map_find(map, buf_span(&addr), &v, &why);
	if (rc == 0) {
		result_bounce(res, "5.1.1", "unknown user: \"%s\"", addr.data);
		goto out;
	}
	if (rc > 0 && job_delivered_to(j, r->addr)) {
		result_bounce(res, "5.4.6", "mail forwarding loop for %s",
		    addr.data);
		goto out;
	}
	if (rc < 0 || quota_map_find(quotas, buf_span(&addr), &quota,
	    &why) < 0) {
		result_why(res, &why);
		goto out;
	}
	if (j->env.flags & ENV_PROBE) {
		result_ok(res, "delivers to mailbox");
		res->durable = true;
		goto out;
	}
	/* bob+lists: into the folder "lists", when bob has one. */
	address_split(buf_span(&addr), &local, &domain);
	if (strcmp(conf.mailbox_detail_action, "folder-if-exists") == 0 &&
	    address_split_ext(local, conf.recipient_delimiter, &user, &ext) &&
	    ext.len > 0)
		p.folder = folder = span_dup(ext);
	p.format = v.format;
	p.quota = &quota;
	p.own_quota = true;
	p.path = v.path.data;
	p.uid = p.make_uid = p.write_uid = v.uid;
	p.gid = p.make_gid = p.write_gid = v.gid;
	if (conf.strict_mailbox_ownership)
		p.flags |= STORE_STRICT_OWNER;
	if (v.detect)
		p.flags |= STORE_DETECT;
	if (cred_become(v.uid, v.gid) < 0) {
		result_defer(res, "4.3.0", "cannot become user %u: %s",
		    (unsigned)v.uid, strerror(errno));
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
	mem_free(folder);
	buf_fini(&addr);
	buf_fini(&v.path);
}

static const struct agent virtual_agent = {
	.name = "virtual", .deliver = deliver,
};
static struct agent agent;

int
virtual_pre_jail(struct why *why)
{
	int rc = 0;

	head = BUF_INIT(BUF_UNLIMITED);
	/* For the text that searches look at; no modules can be loaded in the
	 * jail. */
	charset_preload();
	if (virtual_map_base()[0] != '/')
		rc = why_set(why, "", "virtual_mailbox_base: \"%s\" is no "
		    "absolute path", conf.virtual_mailbox_base);
	if (daemon_judge(rc, why) < 0 ||
	    daemon_judge(lock_parse("virtual_mailbox_lock",
	    conf.virtual_mailbox_lock, &locks, why), why) < 0)
		return -1;
	map = virtual_map_new(why);
	if (daemon_judge(map == NULL ? -1 : 0, why) < 0)
		return -1;
	quotas = quota_map_new(why);
	return quotas == NULL ? -1 : 0;
}

int
virtual_check(struct why *why)
{
	/* Where there are no such mailboxes nobody needs to say where. */
	if (conf.virtual_mailbox_maps[0] != '\0' &&
	    daemon_judge(virtual_pre_jail(why), why) < 0)
		return -1;
	daemon_judge_values("virtual_mailbox_maps", virtual_judge_mailbox);
	daemon_judge_values("virtual_uid_maps", virtual_judge_uid);
	daemon_judge_values("virtual_gid_maps", virtual_judge_gid);
	daemon_judge_values("quota_maps", store_quota_judge);
	return agent_check("virtual_delivery_status_filter",
	    conf.virtual_delivery_status_filter, why);
}

int
virtual_start(struct why *why)
{
	uid_t uid;
	gid_t gid;

	if (virtual_map_one_owner(map, &uid, &gid) && geteuid() == 0) {
		/* Nobody else's mail is ours to write: no way back. */
		if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			return why_errno(why, "", "cannot become the owner of "
			    "the mailboxes, uid %u", (unsigned)uid);
	}
	agent = virtual_agent;
	agent.status_filter = conf.virtual_delivery_status_filter;
	return agent_start(&agent, "virtual_delivery_status_filter", why);
}
