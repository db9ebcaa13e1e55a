/* SPDX-License-Identifier: ISC */
/*
 * verify - what became of a probe (ENV_PROBE), told to verify.
 *
 * A probe has one recipient; when aliases have made several of it, the
 * address can be delivered to when one of them can.  Nothing is promised: a
 * report that is lost makes verify send another probe.
 */
#include "qmgr/qmgr.h"

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "ipc/msg_verify.h"

static struct ipc_client *client;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	return -1;		/* UPDATE is not answered */
}

static const struct ipc_client_ops ops = { .on_frame = on_frame };

/* At the first probe: a site without verify has none. */
static struct ipc_conn *
verify_conn(void)
{
	char path[128];

	if (client == NULL) {
		(void)snprintf(path, sizeof(path), "private/%s",
		    conf.address_verify_service_name);
		client = ipc_client_new(qm.loop, daemon_socket_path(path),
		    &VERIFY_PROTO, &ops, NULL);
	}
	return ipc_client_conn(client);
}

static enum verify_status
status_of(enum rcpt_state s)
{
	return s == R_DELIVERED ? VERIFY_OK : s == R_BOUNCED ? VERIFY_BOUNCE :
	    VERIFY_DEFER;
}

void
verify_report(const struct message *m)
{
	struct ipc_conn *c;
	struct verify_update u = { .status = VERIFY_BOUNCE };
	bool any = false;

	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		const struct rcpt *r = &m->env.rcpts.v[i];
		enum verify_status s = status_of(m->mr[i].state);

		if (m->mr[i].state == R_DONE || (any && s >= u.status))
			continue;
		any = true;
		u.status = s;
		u.address = r->orig.len > 0 ? r->orig : r->addr;
		u.text = span_sub(r->text, 0, VERIFY_TEXT_MAX);
	}
	if (!any)
		return;
	c = verify_conn();
	if (c == NULL) {
		log_warning("%.*s: %s is away: what became of the probe is "
		    "lost", SPAN_ARG(m->env.queue_id),
		    conf.address_verify_service_name);
		return;
	}
	verify_update_encode(ipc_begin(c, VERIFY_UPDATE, 0), &u);
	ipc_end(c);
}
