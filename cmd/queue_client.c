/* SPDX-License-Identifier: ISC */
/*
 * queue_client - see queue_client.h.
 */
#include "cmd/queue_client.h"

#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/need_main_cf.h"
#include "conf/params.h"
#include "io/fd.h"
#include "queue/qlist.h"

#define TIMEOUT_MS	120000	/* a long queue on a slow disk */

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_error("%s", line);
	else
		log_debug("%s", line);
}

void
queue_client_start(const char *config_dir, struct spool *spool)
{
	struct why why = WHY_INIT;

	need_main_cf(config_dir);
	if (params_load_anyhow(config_dir, NULL, 0, problem, NULL) < 0)
		log_fatal("the configuration cannot be read");
	if (chdir(conf.queue_directory) < 0)
		log_fatal("chdir %s: %m", conf.queue_directory);
	if (spool_open(spool, ".", &why) < 0)
		log_fatal("%s: %s", conf.queue_directory, why.text);
}

struct ipc_sync *
queue_client_qmgr(struct why *why)
{
	return ipc_sync_connect("public/qmgr", &QCTL_PROTO, TIMEOUT_MS, why);
}

int
queue_client_ask(struct ipc_sync *q, uint16_t type, struct span arg,
    uint32_t *n, struct why *why)
{
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct qctl_arg a = { .arg = arg };
	struct qctl_result r;
	struct ipc_frame f;
	int rc;

	if (type != QCTL_FLUSH_ALL && type != QCTL_STATUS)
		qctl_arg_encode(&body, &a);
	rc = ipc_sync_send(q, type, 1, buf_span(&body), why);
	buf_fini(&body);
	if (rc < 0)
		return -1;
	rc = ipc_sync_recv(q, &f, -1, why);
	if (rc != 1)
		return why->text[0] != '\0' ? -1 :
		    why_set(why, "4.3.0", "no answer from qmgr");
	fd_close(&f.fd);
	if (f.type == QCTL_DENIED)
		return why_set(why, "5.7.1", "not in fast_flush_domains");
	if (f.type != QCTL_RESULT || qctl_result_decode(&r, f.body) < 0)
		return why_set(why, "4.3.0", "bad answer from qmgr");
	*n = r.count;
	if (!r.ok)
		return why_set(why, "4.3.0", "%.*s", SPAN_ARG(r.text));
	return 0;
}

/* --- the list ---------------------------------------------------------------- */

struct local_list {
	queue_entry_fn	*fn;
	void		*arg;
};

static bool
on_local(void *arg, const struct qlist_entry *e)
{
	struct local_list *l = arg;

	return l->fn(l->arg, e->queue, e->envelope);
}

static int
list_files(const struct spool *spool, queue_entry_fn *fn, void *arg,
    struct why *why)
{
	struct local_list l = { fn, arg };

	if (qlist_log(spool, on_local, &l, why) < 0 ||
	    qlist_files(spool, SPOOL_HOLD, on_local, &l, why) < 0 ||
	    qlist_files(spool, SPOOL_DEFERRED, on_local, &l, why) < 0)
		return -1;
	return 0;
}

static int
on_frame(const struct ipc_frame *f, queue_entry_fn *fn, void *arg,
    bool *done, struct why *why)
{
	struct envelope env = ENVELOPE_INIT;
	struct qctl_result r;
	struct qctl_entry e;
	char queue[32];

	if (f->type == QCTL_RESULT && qctl_result_decode(&r, f->body) == 0) {
		*done = true;
		return r.ok ? 0 :
		    why_set(why, "4.3.0", "%.*s", SPAN_ARG(r.text));
	}
	if (f->type != QCTL_ENTRY || qctl_entry_decode(&e, f->body) < 0 ||
	    span_copy(e.queue, queue, sizeof(queue)) < 0 ||
	    envelope_decode(&env, e.envelope, why) < 0)
		return why_set(why, "4.3.0", "bad answer from showq");
	if (!fn(arg, queue, &env))
		*done = true;
	envelope_fini(&env);
	return 0;
}

int
queue_client_list(const struct spool *spool, queue_entry_fn *fn, void *arg,
    bool *down, struct why *why)
{
	struct ipc_sync *s = ipc_sync_connect("public/showq", &QCTL_PROTO,
	    TIMEOUT_MS, why);
	struct ipc_frame f;
	bool done = false;
	int rc;

	*down = s == NULL;
	if (s == NULL) {
		if (geteuid() != 0)
			return why_set(why, "4.3.0", "Queue report "
			    "unavailable - mail system is down");
		log_warning("Mail system is down -- accessing queue "
		    "directly (%s)", why->text);
		return list_files(spool, fn, arg, why);
	}
	rc = ipc_sync_send(s, QCTL_LIST, 1, SPAN_EMPTY, why);
	while (rc == 0 && !done) {
		rc = ipc_sync_recv(s, &f, -1, why);
		if (rc != 1) {
			rc = why->text[0] != '\0' ? -1 :
			    why_set(why, "4.3.0", "no answer from showq");
			break;
		}
		fd_close(&f.fd);
		rc = on_frame(&f, fn, arg, &done, why);
	}
	ipc_sync_free(&s);
	return rc;
}
