/* SPDX-License-Identifier: ISC */
/*
 * postsuper - the superuser's hand in the queue: delete, hold, release,
 * requeue, expire; by queue id, all, or by what a message is.
 *
 * While the mail system runs, qmgr owns the queue and is asked; otherwise the
 * files are changed here, under qmgr's lock.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/postsuper_offline.h"
#include "cmd/queue_client.h"
#include "conf/params.h"
#include "queue/qlist.h"
#include "queue/queue_id.h"

#define USAGE "usage: postsuper [-psSv] [-c config_dir] [-d queue_id] " \
	"[-e queue_id] [-f queue_id] [-h queue_id] [-H queue_id] " \
	"[-r queue_id] [--sender=text] [--recipient=text] [--site=domain] " \
	"[--reason=text] [--trace=id] [--older=time] [--newer=time] " \
	"[--larger=bytes] [--smaller=bytes] [--dry-run] [--json] [queue ...]"
#define ID_LINE_MAX	256

enum { OPT_SENDER = 256, OPT_RCPT, OPT_SITE, OPT_REASON, OPT_TRACE,
	OPT_OLDER, OPT_NEWER, OPT_LARGER, OPT_SMALLER, OPT_DRY, OPT_JSON };

static const struct action {
	int		 option;
	unsigned	 type;
	const char	*done;		/* of one message */
	const char	*total;
} actions[] = {
	{ 'd', QCTL_DELETE,  "removed",			"Deleted" },
	{ 'e', QCTL_EXPIRE,  "expired",			"Force-expired" },
	{ 'f', QCTL_EXPIRE_RELEASE, "expired",		"Force-expired" },
	{ 'h', QCTL_HOLD,    "placed on hold",		"Placed on hold" },
	{ 'H', QCTL_RELEASE, "released from hold",	"Released from hold" },
	{ 'r', QCTL_REQUEUE, "requeued",		"Requeued" },
};

struct filter {
	const char	*sender, *rcpt, *site, *reason, *trace;
	int64_t		 older, newer;		/* seconds of age; -1 unset */
	uint64_t	 larger, smaller;	/* bytes */
	ARRAY(char *)	 queues;
	bool		 any;			/* something but queues is set */
};

struct request {
	const struct action	*action;
	const char		*arg;		/* id, "ALL" or "-" */
};

static struct spool	 spool;
static struct filter	 filter = { .older = -1, .newer = -1,
	.smaller = UINT64_MAX };
static bool		 dry_run, json, down;
static struct ipc_sync	*qmgr;
static struct offline	*offline;

/* --- filters ------------------------------------------------------------------ */

static bool
contains(struct span s, const char *text)
{
	return span_casesearch(s, span_of(text)) >= 0;
}

static bool
rcpt_matches(const struct rcpt *r)
{
	ptrdiff_t at = span_rfind(r->addr, '@');
	struct span domain = at < 0 ? SPAN_EMPTY :
	    span_from(r->addr, (size_t)at + 1);

	return r->fate == RCPT_PENDING &&
	    (filter.rcpt == NULL || contains(r->addr, filter.rcpt) ||
	    contains(r->orig, filter.rcpt)) &&
	    (filter.site == NULL || span_caseis(domain, filter.site)) &&
	    (filter.reason == NULL || contains(r->text, filter.reason));
}

/* Whether the queue is one of those that were named, or none was. */
static bool
queue_wanted(const char *queue)
{
	for (size_t i = 0; i < filter.queues.len; i++)
		if (strcmp(filter.queues.v[i], queue) == 0)
			return true;
	return filter.queues.len == 0;
}

static bool
matches(const char *queue, const struct envelope *e)
{
	int64_t age = clock_wall_s() - e->arrival_us / 1000000;

	if (!queue_wanted(queue) ||
	    (filter.sender != NULL && !contains(e->sender.len > 0 ?
	    e->sender : SPAN("MAILER-DAEMON"), filter.sender)) ||
	    (filter.trace != NULL && !span_is(e->trace_id, filter.trace)) ||
	    (filter.older >= 0 && age <= filter.older) ||
	    (filter.newer >= 0 && age >= filter.newer) ||
	    e->size < filter.larger || e->size > filter.smaller)
		return false;
	if (filter.rcpt == NULL && filter.site == NULL &&
	    filter.reason == NULL)
		return true;
	for (size_t i = 0; i < e->rcpts.len; i++)
		if (rcpt_matches(&e->rcpts.v[i]))
			return true;
	return false;
}

struct selection {
	ARRAY(char *) ids;
};

static bool
select_one(void *arg, const char *queue, const struct envelope *e)
{
	struct selection *s = arg;

	if (matches(queue, e))
		*ARRAY_PUSH(&s->ids) = span_dup(e->queue_id);
	return true;
}

/* --- acting --------------------------------------------------------------------- */

/* What happened to one message, for people or programs. */
static void
tell(const struct action *a, const char *id)
{
	if (json)
		printf("{\"queue_id\": \"%s\", \"action\": \"%s\", "
		    "\"dry_run\": %s}\n", id, a->done,
		    dry_run ? "true" : "false");
	else
		log_info("%s: %s%s", id, dry_run ? "would be " : "", a->done);
}

static void
connect_or_lock(void)
{
	struct why why = WHY_INIT;

	if (qmgr != NULL || offline != NULL)
		return;
	qmgr = queue_client_qmgr(&why);
	if (qmgr != NULL)
		return;
	offline = offline_begin(&spool, &why);
	if (offline == NULL)
		log_fatal("the queue manager does not answer, and the queue "
		    "cannot be changed without it: %s", why.text);
}

/* One id, or "ALL" when qmgr is asked; the number of messages. */
static uint32_t
act(const struct action *a, const char *id)
{
	struct buf arg = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	uint32_t n = 0;
	int rc;

	connect_or_lock();
	if (qmgr != NULL) {
		buf_add_str(&arg, id);
		for (size_t i = 0; i < filter.queues.len; i++)
			buf_addf(&arg, "%c%s", i == 0 ? ' ' : ',',
			    filter.queues.v[i]);
		rc = queue_client_ask(qmgr, (uint16_t)a->type, buf_span(&arg),
		    &n, &why);
		buf_fini(&arg);
	} else {
		rc = offline_act(offline, a->type, span_of(id), queue_wanted,
		    &why);
		n = rc > 0;
	}
	if (rc < 0)
		log_fatal("%s: %s", id, why.text);
	return n;
}

static uint32_t
act_on_id(const struct action *a, const char *id, bool say)
{
	uint32_t n;

	if (!queue_id_valid(span_of(id))) {
		if (!queue_id_plausible(span_of(id)))
			log_warning("invalid mail queue id: %s", id);
		return 0;
	}
	n = dry_run ? 1 : act(a, id);
	if (n > 0 && (say || dry_run || json))
		tell(a, id);
	return n;
}

static uint32_t
act_on_list(const struct action *a, bool all)
{
	struct selection s = { ARRAY_EMPTY };
	struct why why = WHY_INIT;
	uint32_t n = 0;

	if (all && !filter.any && !dry_run && !json) {
		connect_or_lock();
		if (qmgr != NULL)
			return act(a, "ALL");
	}
	if (queue_client_list(&spool, select_one, &s, &down, &why) < 0)
		log_fatal("%s", why.text);
	for (size_t i = 0; i < s.ids.len; i++) {
		n += act_on_id(a, s.ids.v[i], filter.any);
		mem_free(s.ids.v[i]);
	}
	ARRAY_FINI(&s.ids);
	return n;
}

static uint32_t
act_on_stdin(const struct action *a)
{
	char line[ID_LINE_MAX];
	uint32_t n = 0;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct span s = span_trim(span_of(line));
		char id[ID_LINE_MAX];

		/* As mailq shows it. */
		while (s.len > 0 && strchr("*!#", s.p[s.len - 1]) != NULL)
			s.len--;
		if (span_copy(s, id, sizeof(id)) == 0)
			n += act_on_id(a, id, true);
	}
	return n;
}

/* Returns the number of messages. */
static uint32_t
carry_out(const struct request *r)
{
	if (strcmp(r->arg, "-") == 0)
		return act_on_stdin(r->action);
	if (strcmp(r->arg, "ALL") == 0)
		return act_on_list(r->action, true);
	return act_on_id(r->action, r->arg, true);
}

/* One total for each kind of action, whatever came of it. */
static void
carry_out_all(const struct request *v, size_t n)
{
	uint32_t total[ARRAY_LEN(actions)] = { 0 };
	bool used[ARRAY_LEN(actions)] = { false };

	for (size_t i = 0; i < n; i++) {
		size_t a = (size_t)(v[i].action - actions);

		total[a] += carry_out(&v[i]);
		used[a] = true;
	}
	for (size_t a = 0; a < ARRAY_LEN(actions) && !json; a++)
		if (used[a])
			log_info("%s%s: %u message%s", dry_run ?
			    "Would have been " : "", actions[a].total,
			    total[a], total[a] == 1 ? "" : "s");
}

/* --- -s: structure ---------------------------------------------------------------- */

static enum spool_queue	checking;
static unsigned long	moved;

static bool
check_file(void *arg, const char *id, int64_t next_us,
    int64_t changed_us)
{
	struct why why = WHY_INIT;
	struct qfile *f = qfile_open(&spool, checking, span_of(id), &why);

	if (f != NULL) {
		qfile_close(&f);
		return true;
	}
	if (strstr(why.text, "damaged") == NULL)
		return true;		/* gone, or unreadable for now */
	log_warning("%s/%s: %s: moved to corrupt", spool_queue_name(checking),
	    id, why.text);
	if (qfile_move(&spool, span_of(id), checking, SPOOL_CORRUPT,
	    &why) < 0)
		log_warning("%s: %s", id, why.text);
	else
		moved++;
	return true;
}

static void
check_structure(void)
{
	static const enum spool_queue queues[] = { SPOOL_DEFERRED,
	    SPOOL_HOLD };
	struct why why = WHY_INIT;

	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		checking = queues[i];
		if (qfile_each(&spool, checking, check_file, NULL, &why) < 0)
			log_fatal("%s", why.text);
	}
	if (moved > 0)
		log_info("Moved to corrupt: %lu message%s", moved,
		    moved == 1 ? "" : "s");
}

/* --- options ------------------------------------------------------------------------ */

static int64_t
seconds(const char *text)
{
	struct span s = span_of(text);
	int64_t unit = 1;
	uint32_t n;

	if (s.len > 0) {
		switch (s.p[s.len - 1]) {
		case 's': unit = 1; s.len--; break;
		case 'm': unit = 60; s.len--; break;
		case 'h': unit = 3600; s.len--; break;
		case 'd': unit = 86400; s.len--; break;
		case 'w': unit = 7 * 86400; s.len--; break;
		}
	}
	if (num_parse_u32(s, 100000000, &n) < 0)
		log_fatal("\"%s\" is not a time such as 90s, 30m, 12h, 5d",
		    text);
	return (int64_t)n * unit;
}

static uint64_t
bytes(const char *text)
{
	uint64_t n;

	if (num_parse_u64(span_of(text), UINT64_MAX, &n) < 0)
		log_fatal("\"%s\" is not a number of bytes", text);
	return n;
}

static bool
set_filter(int c, const char *arg)
{
	switch (c) {
	case OPT_SENDER:	filter.sender = arg; break;
	case OPT_RCPT:		filter.rcpt = arg; break;
	case OPT_SITE:		filter.site = arg; break;
	case OPT_REASON:	filter.reason = arg; break;
	case OPT_TRACE:		filter.trace = arg; break;
	case OPT_OLDER:		filter.older = seconds(arg); break;
	case OPT_NEWER:		filter.newer = seconds(arg); break;
	case OPT_LARGER:	filter.larger = bytes(arg); break;
	case OPT_SMALLER:	filter.smaller = bytes(arg); break;
	default:
		return false;
	}
	filter.any = true;
	return true;
}

static const struct action *
find_action(int option)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (actions[i].option == option)
			return &actions[i];
	return NULL;
}

static void
add_queue(const char *name)
{
	/* Some of Postfix's that we do not have never have a message. */
	static const char *const known[] = { "active", "incoming",
	    "deferred", "hold", "maildrop", "bounce", "defer", "trace",
	    "flush" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i], name) == 0) {
			*ARRAY_PUSH(&filter.queues) = mem_strdup(name);
			return;
		}
	log_fatal("invalid directory name: %s", name);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "sender", required_argument, NULL, OPT_SENDER },
		{ "recipient", required_argument, NULL, OPT_RCPT },
		{ "site", required_argument, NULL, OPT_SITE },
		{ "reason", required_argument, NULL, OPT_REASON },
		{ "trace", required_argument, NULL, OPT_TRACE },
		{ "older", required_argument, NULL, OPT_OLDER },
		{ "newer", required_argument, NULL, OPT_NEWER },
		{ "larger", required_argument, NULL, OPT_LARGER },
		{ "smaller", required_argument, NULL, OPT_SMALLER },
		{ "dry-run", no_argument, NULL, OPT_DRY },
		{ "json", no_argument, NULL, OPT_JSON },
		{ NULL, 0, NULL, 0 }
	};
	ARRAY(struct request) requests = ARRAY_EMPTY;
	const char *config_dir = NULL;
	bool structure = false;
	struct why why = WHY_INIT;
	int c;

	log_set_tag("postsuper");
	while ((c = getopt_long(argc, argv, "c:d:e:f:h:H:r:psSv", longs,
	    NULL)) != -1) {
		const struct action *a = find_action(c);

		if (a != NULL) {
			*ARRAY_PUSH(&requests) = (struct request){ a, optarg };
			continue;
		}
		if (set_filter(c, optarg))
			continue;
		switch (c) {
		case 'c': config_dir = optarg; break;
		case 'v': log_set_debug(true); break;
		case 'p':	/* purge is part of the check */
		case 's':
		case 'S': structure = true; break;
		case OPT_DRY: dry_run = true; break;
		case OPT_JSON: json = true; break;
		default:
			log_fatal(USAGE);
		}
	}
	for (; optind < argc; optind++)
		add_queue(argv[optind]);
	queue_client_start(config_dir, &spool);
	if (geteuid() != 0)
		log_fatal("use of this command is reserved for the superuser");
	/* Without an action Postfix checks and repairs. */
	if (structure || requests.len == 0)
		check_structure();
	carry_out_all(requests.v, requests.len);
	if (offline_end(&offline, &why) < 0)
		log_fatal("%s", why.text);
	ipc_sync_free(&qmgr);
	ARRAY_FINI(&requests);
	if (fflush(stdout) == EOF)
		log_fatal("write: %m");
	return 0;
}
