/* SPDX-License-Identifier: ISC */
/*
 * showq - list the queue for mailq and postqueue (public/showq).
 *
 * A worker: one client at a time, answered as the queue is read, so that the
 * first message is shown at once however many there are.  Messages that qmgr
 * works on come from qmgr, which alone knows what was delivered a moment
 * ago; the others from the files of hold/ and deferred/.  When qmgr is away or
 * still reading, log/ and state/ are read in its place.
 *
 * Speaks msg_qctl.h: LIST, answered with ENTRY frames and a RESULT.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "ipc/msg_qctl.h"
#include "queue/qlist.h"
#include "queue/spool.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#define QMGR_TIMEOUT_MS	 10000	/* for its whole answer to begin */
#define CLIENT_TIMEOUT_MS 60000	/* a client that does not read */

struct listing {
	struct ipc_sync	*client;
	struct hash	 seen;		/* queue ids that qmgr named */
	struct buf	 body;
	uint32_t	 count;
	struct why	 why;		/* the client is gone */
	bool		 failed;
};

static struct spool	 spool;
static struct match_list *allowed;

static int
open_spool(struct why *why)
{
	allowed = match_list_new("authorized_mailq_users",
	    conf.authorized_mailq_users, 0, why);
	if (allowed == NULL)
		return -1;
	return spool_open(&spool, ".", why);
}

static bool
send_entry(struct listing *l, const char *queue, struct span envelope)
{
	struct qctl_entry e = { .queue = span_of(queue),
	    .envelope = envelope };

	buf_reset(&l->body);
	qctl_entry_encode(&l->body, &e);
	if (ipc_sync_send(l->client, QCTL_ENTRY, 0, buf_span(&l->body),
	    &l->why) < 0) {
		l->failed = true;
		return false;
	}
	l->count++;
	return true;
}

static bool
on_entry(void *arg, const struct qlist_entry *e)
{
	struct listing *l = arg;
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	bool ok;

	if (hash_find(&l->seen, e->envelope->queue_id) != NULL)
		return true;
	/* It may have become a file since it was listed from the log. */
	if (e->seq != 0)
		hash_put(&l->seen, e->envelope->queue_id, NULL);
	envelope_encode(&text, e->envelope);
	ok = send_entry(l, e->queue, buf_span(&text));
	buf_fini(&text);
	return ok;
}

/*
 * Pass on what qmgr has; 0, or -1 when it did not answer to the end, or does
 * not know the whole log (it has just started, or cleanup is away).
 */
static int
list_qmgr(struct listing *l)
{
	struct why why = WHY_INIT;
	struct ipc_sync *q = ipc_sync_connect(
	    daemon_socket_path("public/qmgr"), &QCTL_PROTO, QMGR_TIMEOUT_MS,
	    &why);
	struct qctl_result r;
	struct ipc_frame f;
	int rc = -1;

	if (q == NULL)
		return -1;
	if (ipc_sync_send(q, QCTL_LIST, 1, SPAN_EMPTY, &why) < 0)
		goto out;
	while (!l->failed && ipc_sync_recv(q, &f, -1, &why) == 1) {
		struct qctl_entry e;
		struct envelope env = ENVELOPE_INIT;

		fd_close(&f.fd);
		if (f.type == QCTL_RESULT &&
		    qctl_result_decode(&r, f.body) == 0) {
			rc = r.ok ? 0 : -1;
			goto out;
		}
		if (f.type != QCTL_ENTRY || qctl_entry_decode(&e, f.body) < 0)
			break;
		if (envelope_decode(&env, e.envelope, &why) == 0) {
			char *queue = span_dup(e.queue);

			hash_put(&l->seen, env.queue_id, NULL);
			(void)send_entry(l, queue, e.envelope);
			mem_free(queue);
		}
		envelope_fini(&env);
	}
	if (!l->failed)
		log_warning("qmgr: %s", why.text[0] != '\0' ? why.text :
		    "no answer");
out:
	ipc_sync_free(&q);
	return rc;
}

static void
list_all(struct listing *l)
{
	struct why why = WHY_INIT;

	if (list_qmgr(l) < 0 && !l->failed &&
	    qlist_log(&spool, on_entry, l, &why) < 0)
		log_warning("%s", why.text);
	/* Show what there is before the long part. */
	if (!l->failed && ipc_sync_flush(l->client, &l->why) < 0)
		l->failed = true;
	if (!l->failed &&
	    qlist_files(&spool, SPOOL_HOLD, on_entry, l, &why) < 0)
		log_warning("%s", why.text);
	if (!l->failed &&
	    qlist_files(&spool, SPOOL_DEFERRED, on_entry, l, &why) < 0)
		log_warning("%s", why.text);
}

/* authorized_mailq_users; root and mail_owner always may. */
static bool
may_list(const struct sock_cred *cred)
{
	struct passwd *pw;
	struct why why = WHY_INIT;
	char number[32];
	int rc;

	if (cred->uid == 0 || cred->uid == daemon_mail_uid())
		return true;
	pw = getpwuid(cred->uid);
	snprintf(number, sizeof(number), "%u", (unsigned)cred->uid);
	rc = match_list_string(allowed,
	    span_of(pw != NULL ? pw->pw_name : number), &why);
	if (rc < 0)
		log_warning("authorized_mailq_users: %s", why.text);
	return rc == 1;
}

static void
answer(struct listing *l, uint32_t tag, bool ok, const char *text)
{
	struct qctl_result r = { .ok = ok, .count = l->count,
	    .text = span_of(text) };

	buf_reset(&l->body);
	qctl_result_encode(&l->body, &r);
	if (ipc_sync_send(l->client, QCTL_RESULT, tag, buf_span(&l->body),
	    &l->why) < 0 || ipc_sync_flush(l->client, &l->why) < 0)
		l->failed = true;
}

static void
serve(int fd)
{
	struct listing l = { .seen = HASH_INIT,
	    .body = BUF_INIT(BUF_UNLIMITED), .why = WHY_INIT };
	struct ipc_frame f;

	l.client = ipc_sync_accept(fd, &QCTL_PROTO, CLIENT_TIMEOUT_MS,
	    &l.why);
	if (l.client == NULL) {
		log_warning("%s", l.why.text);
		return;
	}
	if (ipc_sync_recv(l.client, &f, -1, &l.why) == 1) {
		uint32_t tag = f.tag;

		fd_close(&f.fd);
		if (f.type != QCTL_LIST) {
			answer(&l, tag, false, "showq only lists");
		} else if (!may_list(ipc_sync_peer(l.client))) {
			answer(&l, tag, false, "you are not allowed to see "
			    "the mail queue");
		} else {
			list_all(&l);
			if (!l.failed)
				answer(&l, tag, true, "");
		}
	}
	ipc_sync_free(&l.client);
	hash_fini(&l.seen, NULL);
	buf_fini(&l.body);
}

static const struct daemon showq = {
	.name		= "showq",
	.start		= open_spool,
	.serve		= serve,
};

int
main(int argc, char **argv)
{
	return daemon_main(&showq, argc, argv);
}
