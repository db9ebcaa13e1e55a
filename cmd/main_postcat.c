/* SPDX-License-Identifier: ISC */
/*
 * postcat - show a queued message: its envelope and its content, wherever it
 * lies (log/, deferred/, hold/, corrupt/), by queue id or file name, or what
 * comes on standard input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/queue_client.h"
#include "io/fd.h"
#include "mail/header.h"
#include "queue/qlist.h"
#include "queue/queue_id.h"

#define USAGE "usage: postcat [-bdehoqrv] [-c config_dir] [-s offset] " \
	"[queue_id|file ...]"
#define STEP	(64 * 1024)
#define INPUT_MAX (2u << 30)		/* bytes of standard input */

static struct spool	spool;
static bool		show_body = true, show_envelope = true,
			show_header = true, show_offset;

/* --- the envelope ------------------------------------------------------------ */

static void
put_safe(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		putchar(c < 32 || c == 127 ? '?' : c);
	}
}

static void
line(const char *name, struct span value)
{
	printf("%s: ", name);
	put_safe(value);
	putchar('\n');
}

static void
attribute(const char *name, struct span value)
{
	if (value.len == 0)
		return;
	printf("named_attribute: %s=", name);
	put_safe(value);
	putchar('\n');
}

static void
time_line(const char *name, int64_t us)
{
	time_t at = (time_t)(us / 1000000);
	struct tm tm;
	char when[64];

	if (us == 0)
		return;
	localtime_r(&at, &tm);
	strftime(when, sizeof(when), "%a %b %e %H:%M:%S %Y", &tm);
	printf("%s: %s\n", name, when);
}

static void
show_rcpt(const struct rcpt *r)
{
	static const char *const fates[] = { "recipient", "done_recipient",
	    "bounced_recipient", "removed_recipient" };

	if (r->dsn_orcpt.len > 0)
		attribute("dsn_orig_rcpt", r->dsn_orcpt);
	if (r->dsn_notify != 0)
		printf("named_attribute: notify_flags=%u\n", r->dsn_notify);
	line("original_recipient", r->orig.len > 0 ? r->orig : r->addr);
	line(fates[r->fate], r->addr);
	attribute("dsn", r->dsn);
	attribute("reason", r->text);
	attribute("relay", r->relay);
	time_line("last_attempt_time", r->tried_us);
}

static void
show_flags(unsigned flags)
{
	static const struct {
		unsigned	 flag;
		const char	*name;
	} names[] = {
		{ ENV_8BITMIME, "8bitmime" }, { ENV_BINARYMIME, "binarymime" },
		{ ENV_SMTPUTF8, "smtputf8" }, { ENV_REQUIRETLS, "requiretls" },
		{ ENV_LOCAL, "local" }, { ENV_HOLD, "hold" },
		{ ENV_NO_BOUNCE, "no_bounce" }, { ENV_EXPIRE, "expire" },
	};
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((flags & names[i].flag) != 0) {
			printf("%s%s", any ? " " : "named_attribute: flags=",
			    names[i].name);
			any = true;
		}
	if (any)
		putchar('\n');
}

static void
show_envelope_of(const struct envelope *e)
{
	char number[32];

	printf("message_size: %15llu %15zu\n", (unsigned long long)e->size,
	    e->rcpts.len);
	time_line("message_arrival_time", e->arrival_us);
	line("queue_id", e->queue_id);
	attribute("trace_id", e->trace_id);
	show_flags(e->flags);
	line("sender", e->sender);
	attribute("dsn_envid", e->dsn_envid);
	attribute("client_name", e->client_name);
	attribute("client_address", e->client_addr);
	if (e->client_port != 0) {
		snprintf(number, sizeof(number), "%u", e->client_port);
		attribute("client_port", span_of(number));
	}
	attribute("helo_name", e->helo);
	attribute("protocol_name", e->protocol);
	attribute("sasl_username", e->login);
	attribute("sasl_method", e->sasl_method);
	attribute("content_filter", e->filter);
	attribute("redirect_to", e->redirect);
	for (size_t i = 0; i < e->attrs.len; i++) {
		char *name = span_dup(e->attrs.v[i].name);

		attribute(name, e->attrs.v[i].value);
		mem_free(name);
	}
	if (e->attempts > 0)
		printf("named_attribute: attempts=%u\n", e->attempts);
	time_line("next_attempt_time", e->next_us);
	for (size_t i = 0; i < e->rcpts.len; i++)
		show_rcpt(&e->rcpts.v[i]);
}

/* --- the content -------------------------------------------------------------- */

/*
 * The header section ends before the first blank line; what is not wanted of
 * the two is left out.
 */
static void
show_content_of(const struct qmsg_content *c)
{
	char *step = mem_alloc(STEP);
	uint64_t at = 0;
	bool in_header = true, line_start = true;

	while (at < c->len) {
		size_t n = (size_t)MIN(c->len - at, (uint64_t)STEP);

		if (fd_pread_all(c->fd, step, n, (off_t)(c->offset + at)) < 0)
			log_fatal("read message content: %m");
		for (size_t i = 0; i < n; i++) {
			if (in_header && line_start && step[i] == '\n')
				in_header = false;
			if (line_start && show_offset &&
			    (in_header ? show_header : show_body))
				printf("%9llu ",
				    (unsigned long long)c->offset + at + i);
			line_start = step[i] == '\n';
			if (in_header ? show_header : show_body)
				putchar(step[i]);
		}
		at += n;
	}
	mem_free(step);
}

static void
show(const char *path, const struct envelope *e, const struct qmsg_content *c)
{
	if (show_envelope) {
		printf("*** ENVELOPE RECORDS %s ***\n", path);
		show_envelope_of(e);
	}
	if (show_header || show_body) {
		if (show_envelope)
			printf("*** MESSAGE CONTENTS %s ***\n", path);
		if (c->fd < 0)
			log_fatal("%s: the content cannot be read", path);
		show_content_of(c);
	}
	if (show_envelope)
		printf("*** MESSAGE FILE END %s ***\n", path);
}

static bool
show_entry(void *arg, const struct qlist_entry *e)
{
	show(e->path, e->envelope, &e->content);
	return false;
}

static void
show_id(const char *name)
{
	struct why why = WHY_INIT;
	struct span id = span_of(name);
	int rc = queue_id_valid(id) ?
	    qlist_find(&spool, id, show_entry, NULL, &why) : 0;

	if (rc < 0)
		log_fatal("open queue file %s: %s", name, why.text);
	if (rc == 0)
		log_fatal("open queue file %s: No such file or directory",
		    name);
}

static void
show_file(int fd, const char *name)
{
	struct why why = WHY_INIT;
	struct qfile *f = qfile_view_fd(fd, &why);
	struct qmsg_content c;

	if (f == NULL)
		log_fatal("%s: %s", name, why.text);
	c = qfile_content(f);
	show(name, qfile_envelope(f), &c);
	qfile_close(&f);
}

static int
open_name(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		log_fatal("open %s: %m", name);
	return fd;
}

/* A file of what comes on standard input, for that may be a pipe. */
static int
keep_input(void)
{
	char *step = mem_alloc(STEP);
	int fd = memfd_create("postcat", MFD_CLOEXEC);
	uint64_t len = 0;
	ssize_t n;

	if (fd < 0)
		log_fatal("memfd_create: %m");
	while ((n = read(STDIN_FILENO, step, STEP)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			log_fatal("read standard input: %m");
		len += (uint64_t)n;
		if (len > INPUT_MAX)
			log_fatal("standard input is too long");
		if (fd_write_all(fd, step, (size_t)n) < 0)
			log_fatal("keep standard input: %m");
	}
	mem_free(step);
	return fd;
}

int
main(int argc, char **argv)
{
	bool by_id = false, chosen = false, body = false, envelope = false,
	    header = false;
	const char *config_dir = NULL;
	int c;

	log_set_tag("postcat");
	while ((c = getopt(argc, argv, "bc:dehoqrs:v")) != -1) {
		switch (c) {
		case 'b': body = chosen = true; break;
		case 'e': envelope = chosen = true; break;
		case 'h': header = chosen = true; break;
		case 'c': config_dir = optarg; break;
		case 'q': by_id = true; break;
		case 'o': show_offset = true; break;
		case 'v': log_set_debug(true); break;
		case 'd':	/* decimal record types */
		case 'r':	/* in the order of the file */
		case 's':	/* skip ahead */
			break;	/* of Postfix's file format: no meaning here */
		default:
			log_fatal(USAGE);
		}
	}
	if (chosen) {
		show_body = body;
		show_envelope = envelope;
		show_header = header;
	}
	/* Names of files are the caller's: before we are in the queue. */
	if (optind == argc)
		show_file(keep_input(), "stdin");
	for (int i = optind; i < argc && !by_id; i++)
		show_file(open_name(argv[i]), argv[i]);
	if (by_id && optind < argc)
		queue_client_start(config_dir, &spool);
	for (int i = optind; i < argc && by_id; i++)
		show_id(argv[i]);
	if (fflush(stdout) == EOF)
		log_fatal("write: %m");
	return 0;
}
