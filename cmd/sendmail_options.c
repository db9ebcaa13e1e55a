/* SPDX-License-Identifier: ISC */
/*
 * sendmail_options - the options of sendmail(1): those that mean something,
 * and those that programs give out of habit.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/sendmail.h"
#include "mail/chars.h"
#include "mail/dsn.h"

NORETURN static void
usage(void)
{
	sendmail_fatal(EX_USAGE, "usage: %s [options]", log_tag());
}

static void
set_mode(struct sendmail_options *o, const char *arg)
{
	switch (arg[0]) {
	case 'm':
		o->mode = MODE_MAIL;
		break;
	case 's':
		o->mode = MODE_SMTP;
		break;
	case 'v':
		o->mode = MODE_VERIFY;
		break;
	case 'd': case 'D': case 'l':
		o->mode = MODE_DAEMON;
		break;
	case 'i':
		o->mode = MODE_NEWALIASES;
		break;
	case 'p':
		o->mode = MODE_MAILQ;
		break;
	case 'h': case 'H':		/* the cache of hosts: there is none */
		exit(EX_OK);
	default:
		sendmail_fatal(EX_USAGE, "unsupported: -b%s", arg);
	}
}

/* -o: what is left of old sendmail's configuration options. */
static void
set_old_option(struct sendmail_options *o, const char *arg)
{
	switch (arg[0]) {
	case '\0':
		usage();
	case 'A':
		o->alias_file = arg[1] == '=' ? arg + 2 : arg + 1;
		if (o->alias_file[0] == '\0')
			sendmail_fatal(EX_USAGE, "-oA requires pathname");
		break;
	case 'i':
		o->keep_dots = true;
		break;
	case '7':
		o->eightbit = false;
		break;
	case '8':
		o->eightbit = true;
		break;
	default:
		break;			/* -oem, -odi, ... mean nothing here */
	}
}

static void
set_new_option(struct sendmail_options *o, const char *arg)
{
	if (span_casestarts(span_of(arg), SPAN("AliasFile=")))
		o->alias_file = arg + strlen("AliasFile=");
}

static void
set_notify(struct sendmail_options *o, const char *arg)
{
	struct buf list = BUF_INIT(BUF_UNLIMITED);
	struct span rest = span_of(arg), word;

	while (span_token(&rest, " \t,", &word)) {
		if (list.len > 0)
			buf_add_char(&list, ',');
		buf_add_span(&list, word);
	}
	if (dsn_parse_notify(buf_span(&list), &o->notify) < 0)
		log_warning("bad -N option value -- ignored");
	buf_fini(&list);
}

static void
set_ret(struct sendmail_options *o, const char *arg)
{
	if (span_caseis(span_of(arg), "full"))
		o->ret = DSN_RET_FULL;
	else if (span_caseis(span_of(arg), "hdrs"))
		o->ret = DSN_RET_HDRS;
	else
		log_warning("bad -R option value -- ignored");
}

static void
set_envid(struct sendmail_options *o, const char *arg)
{
	struct span s = span_of(arg);

	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < ' ' || s.p[i] >= 0x7f)
			s.len = DSN_ENVID_MAX + 1;
	if (s.len == 0 || s.len > DSN_ENVID_MAX)
		log_warning("bad syntax in -V option value -- ignored");
	else
		o->envid = arg;
}

static void
set_queue_run(struct sendmail_options *o, const char *arg)
{
	if (arg == NULL || char_is_digit(arg[0])) {
		/* An interval belongs to a daemon, which has its own. */
		if (o->mode != MODE_DAEMON)
			o->mode = MODE_FLUSH;
		return;
	}
	o->mode = MODE_FLUSH;
	if (arg[0] == 'R' && arg[1] != '\0')
		o->flush_site = arg + 1;
	else if (arg[0] == 'I' && arg[1] != '\0')
		o->flush_id = arg + 1;
	else if (arg[0] == 'R')
		sendmail_fatal(EX_USAGE, "specify: -qRsitename");
	else if (arg[0] == 'I')
		sendmail_fatal(EX_USAGE, "specify: -qIqueueid");
	else
		sendmail_fatal(EX_USAGE, "-q%s: specify -q, -qIqueueid, or "
		    "-qRsitename", arg);
}

static void
set_body(struct sendmail_options *o, const char *arg)
{
	if (span_caseis(span_of(arg), "8BITMIME"))
		o->eightbit = true;
	else if (span_caseis(span_of(arg), "7BIT"))
		o->eightbit = false;
	else
		sendmail_fatal(EX_USAGE, "-B option needs 8BITMIME or 7BIT");
}

/* The name we were called by is an option too. */
static void
name_mode(struct sendmail_options *o, const char *argv0)
{
	const char *slash = strrchr(argv0 != NULL ? argv0 : "", '/');
	const char *name = slash != NULL ? slash + 1 : argv0;

	if (name == NULL)
		return;
	if (strcmp(name, "mailq") == 0)
		o->mode = MODE_MAILQ;
	else if (strcmp(name, "newaliases") == 0)
		o->mode = MODE_NEWALIASES;
}

/* What is for other work than delivering takes no recipients. */
static void
check_mode(const struct sendmail_options *o)
{
	static const char *const words[] = {
		[MODE_SMTP] = "stand-alone", [MODE_DAEMON] = "daemon",
		[MODE_NEWALIASES] = "alias initialization",
		[MODE_MAILQ] = "display queue", [MODE_FLUSH] = "flush queue",
	};

	if (o->mode == MODE_MAIL || o->mode == MODE_VERIFY)
		return;
	if (o->from_header)
		sendmail_fatal(EX_USAGE, "-t can be used only in delivery "
		    "mode");
	if (o->nrcpts > 0)
		sendmail_fatal(EX_USAGE, "%s mode requires no recipient",
		    words[o->mode]);
}

void
sendmail_options(struct sendmail_options *o, int argc, char **argv)
{
	bool daemon = false;
	int c;

	*o = (struct sendmail_options){ .mode = MODE_MAIL };
	name_mode(o, argv[0]);
	opterr = 0;
	while ((c = getopt(argc, argv, "+A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imn"
	    "o:p:r:q::tvx")) != -1) {
		switch (c) {
		case 'B':
			set_body(o, optarg);
			break;
		case 'C':
			o->config_dir = optarg;
			break;
		case 'F':
			o->full_name = optarg;
			break;
		case 'G':
			o->gateway = true;
			break;
		case 'I':
			o->mode = MODE_NEWALIASES;
			break;
		case 'N':
			set_notify(o, optarg);
			break;
		case 'O':
			set_new_option(o, optarg);
			break;
		case 'R':
			set_ret(o, optarg);
			break;
		case 'V':
			set_envid(o, optarg);
			break;
		case 'b':
			set_mode(o, optarg);
			daemon |= o->mode == MODE_DAEMON;
			break;
		case 'f': case 'r':
			o->sender = optarg;
			break;
		case 'i':
			o->keep_dots = true;
			break;
		case 'o':
			set_old_option(o, optarg);
			break;
		case 'q':
			set_queue_run(o, optarg);
			if (daemon)		/* "-q30m -bd", "-bd -q30m" */
				o->mode = MODE_DAEMON;
			break;
		case 't':
			o->from_header = true;
			break;
		case 'v':
			o->verbose++;
			break;
		case 'A': case 'L': case 'U': case 'X': case 'c': case 'e':
		case 'h': case 'm': case 'n': case 'p': case 'x':
			break;			/* given out of habit */
		default:
			usage();
		}
	}
	o->rcpts = argv + optind;
	o->nrcpts = argc - optind;
	check_mode(o);
}
