/* SPDX-License-Identifier: ISC */
/*
 * postqueue - look at the queue and hurry it, with Postfix's options and
 * output.  Called as mailq it is postqueue -p.
 *
 * Runs with the rights of whoever calls it: showq and qmgr decide what they
 * may, by the credentials of the socket.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/queue_client.h"
#include "conf/params.h"
#include "mail/address.h"
#include "queue/queue_id.h"

#define USAGE "usage: postqueue -f | postqueue -i queueid | postqueue -j | " \
	"postqueue -p | postqueue -s site"

/* --- postqueue -p ------------------------------------------------------------ */

struct totals {
	uint64_t	bytes;
	unsigned long	messages;
};

static void
show_rcpt(const struct rcpt *r, struct span *last_reason)
{
	/* The reason is shown once for recipients that share it. */
	if (r->text.len > 0 && !span_eq(r->text, *last_reason)) {
		int indent = 76 - (int)MIN(r->text.len, (size_t)76);

		printf("%*s(%.*s)\n", indent, "", SPAN_ARG(r->text));
		*last_reason = r->text;
	}
	printf("%47s%.*s\n", "", SPAN_ARG(r->addr));
}

static bool
show_text(void *arg, const char *queue, const struct envelope *e)
{
	struct totals *t = arg;
	struct span reason = SPAN_EMPTY;
	char id[QUEUE_ID_MAX + 2], when[32];
	time_t at = (time_t)(e->arrival_us / 1000000);
	struct tm tm;

	if (t->messages == 0)
		printf("----Queue ID----- --Size-- ---Arrival Time---- "
		    "--Sender/Recipient------\n");
	else
		printf("\n");
	t->messages++;
	t->bytes += e->size;
	snprintf(id, sizeof(id), "%.*s%s", SPAN_ARG(e->queue_id),
	    strcmp(queue, "active") == 0 ? "*" :
	    strcmp(queue, "hold") == 0 ? "!" :
	    (e->flags & ENV_EXPIRE) != 0 ? "#" : "");
	localtime_r(&at, &tm);
	strftime(when, sizeof(when), "%a %b %e %H:%M:%S", &tm);
	printf("%-17s %8llu %19s %.*s\n", id, (unsigned long long)e->size,
	    when, e->sender.len > 0 ? (int)e->sender.len : 13,
	    e->sender.len > 0 ? e->sender.p : "MAILER-DAEMON");
	for (size_t i = 0; i < e->rcpts.len; i++)
		if (e->rcpts.v[i].fate == RCPT_PENDING)
			show_rcpt(&e->rcpts.v[i], &reason);
	return !ferror(stdout);
}

static void
show_totals(const struct totals *t)
{
	if (t->messages == 0)
		printf("Mail queue is empty\n");
	else
		printf("\n-- %llu Kbytes in %lu Request%s.\n",
		    (unsigned long long)(t->bytes / 1024), t->messages,
		    t->messages == 1 ? "" : "s");
}

/* --- postqueue -j ------------------------------------------------------------ */

static void
put_json(struct buf *b, struct span s)
{
	buf_add_char(b, '"');
	while (s.len > 0) {
		size_t n = utf8_next(s, NULL);

		if (n == 0) {			/* not UTF-8 */
			buf_add_str(b, "\\ufffd");
			n = 1;
		} else if (n > 1) {
			buf_add(b, s.p, n);
		} else if (*s.p == '"' || *s.p == '\\') {
			buf_add_char(b, '\\');
			buf_add_char(b, *s.p);
		} else if (iscntrl((unsigned char)*s.p)) {
			buf_addf(b, "\\u%04x", (unsigned char)*s.p);
		} else {
			buf_add_char(b, *s.p);
		}
		s = span_from(s, n);
	}
	buf_add_char(b, '"');
}

static bool
show_json(void *arg, const char *queue, const struct envelope *e)
{
	struct buf *b = arg;
	bool first = true;

	buf_reset(b);
	buf_add_str(b, "{\"queue_name\": ");
	put_json(b, span_of(queue));
	buf_add_str(b, ", \"queue_id\": ");
	put_json(b, e->queue_id);
	buf_addf(b, ", \"arrival_time\": %lld, \"message_size\": %llu, "
	    "\"forced_expire\": %s, \"sender\": ",
	    (long long)(e->arrival_us / 1000000), (unsigned long long)e->size,
	    (e->flags & ENV_EXPIRE) != 0 ? "true" : "false");
	put_json(b, e->sender.len > 0 ? e->sender : SPAN("MAILER-DAEMON"));
	buf_add_str(b, ", \"trace_id\": ");
	put_json(b, e->trace_id);
	buf_add_str(b, ", \"recipients\": [");
	for (size_t i = 0; i < e->rcpts.len; i++) {
		const struct rcpt *r = &e->rcpts.v[i];

		if (r->fate != RCPT_PENDING)
			continue;
		buf_add_str(b, first ? "{\"address\": " : ", {\"address\": ");
		first = false;
		put_json(b, r->addr);
		if (r->orig.len > 0 && !span_eq(r->orig, r->addr)) {
			buf_add_str(b, ", \"orig_address\": ");
			put_json(b, r->orig);
		}
		if (r->text.len > 0) {
			buf_add_str(b, ", \"delay_reason\": ");
			put_json(b, r->text);
		}
		buf_add_char(b, '}');
	}
	buf_add_str(b, "]}\n");
	fwrite(b->data, 1, b->len, stdout);
	return !ferror(stdout);
}

static int
list(const struct spool *spool, bool json)
{
	struct buf line = BUF_INIT(BUF_UNLIMITED);
	struct totals totals = { 0, 0 };
	struct why why = WHY_INIT;
	bool down;

	if (queue_client_list(spool, json ? show_json : show_text,
	    json ? (void *)&line : (void *)&totals, &down, &why) < 0)
		log_fatal("%s", why.text);
	if (!json)
		show_totals(&totals);
	buf_fini(&line);
	if (fflush(stdout) == EOF)
		log_fatal("write: %m");
	return EX_OK;
}

/* --- flushing ---------------------------------------------------------------- */

static int
flush(uint16_t type, const char *arg)
{
	struct why why = WHY_INIT;
	struct ipc_sync *q = queue_client_qmgr(&why);
	uint32_t n;

	if (q == NULL)
		log_fatal("Cannot flush mail queue - mail system is down");
	if (queue_client_ask(q, type, span_of(arg), &n, &why) < 0) {
		if (why.code[0] == '5')
			log_fatal("Flush service is not configured for "
			    "destination \"%s\"", arg);
		log_fatal("Cannot flush mail queue: %s", why.text);
	}
	ipc_sync_free(&q);
	return EX_OK;
}

static int
flush_site(const char *site)
{
	if (site[0] == '[' ? !address_literal_valid(span_of(site)) :
	    !address_domain_valid(span_of(site), 0))
		log_fatal("Cannot flush mail queue - invalid destination: "
		    "\"%s\"", site);
	return flush(QCTL_FLUSH_SITE, site);
}

static int
flush_id(const char *id)
{
	if (!queue_id_plausible(span_of(id)))
		log_fatal("Cannot flush queue ID - invalid name: \"%s\"",
		    id);
	return flush(QCTL_FLUSH_ID, id);
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *config_dir = NULL;
	const char *name = slash != NULL ? slash + 1 : argv[0];
	bool mailq = strcmp(name, "mailq") == 0;
	struct spool spool;
	char *arg = NULL;
	int c, mode = mailq ? 'p' : 0;

	log_set_tag(mailq ? "mailq" : "postqueue");
	log_set_fatal_status(EX_UNAVAILABLE);
	while ((c = getopt(argc, argv, "c:fi:jps:v")) != -1) {
		switch (c) {
		case 'c':
			config_dir = optarg;
			break;
		case 'v':
			log_set_debug(true);
			break;
		case 'i':
		case 's':
			arg = optarg;
			FALLTHROUGH;
		case 'f':
		case 'j':
		case 'p':
			if (mode != 0 && !mailq)
				log_fatal(USAGE);
			mode = c;
			break;
		default:
			log_fatal(USAGE);
		}
	}
	if (mode == 0 || optind < argc)
		log_fatal(USAGE);
	queue_client_start(config_dir, &spool);
	switch (mode) {
	case 'f':
		return flush(QCTL_FLUSH_ALL, "");
	case 's':
		return flush_site(arg);
	case 'i':
		return flush_id(arg);
	default:
		return list(&spool, mode == 'j');
	}
}
