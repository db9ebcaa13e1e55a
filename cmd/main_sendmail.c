/* SPDX-License-Identifier: ISC */
/*
 * sendmail - hand mail to the queue, the way programs have always done it.
 *
 * Also installed as mailq (sendmail -bp) and newaliases (sendmail -bi).  The
 * exit status is one of sysexits.h; 0 for a message means that it is queued
 * on stable storage.
 */
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/sendmail.h"
#include "conf/params.h"
#include "io/fd.h"
#include "mail/address.h"
#include "mail/chars.h"
#include "mail/dsn.h"
#include "mail/header.h"

void
sendmail_fatal(int status, const char *fmt, ...)
{
	struct buf b = BUF_INIT(2000);
	va_list ap;

	va_start(ap, fmt);
	(void)!buf_vprintf(&b, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: fatal: %s\n", log_tag(), b.data);
	exit(status);
}

/* --- configuration and other commands --------------------------------------------- */

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		fprintf(stderr, "%s: %s\n", log_tag(), line);
}

/* -C names main.cf or its directory; so does MAIL_CONFIG. */
static const char *
config_dir(const struct sendmail_options *o)
{
	const char *dir = o->config_dir;
	struct stat st;
	char *slash, *copy;

	if (dir == NULL)
		dir = getenv("MAIL_CONFIG");
	if (dir == NULL || dir[0] == '\0')
		return SYSCONFDIR "/mansio";
	if (stat(dir, &st) < 0 || S_ISDIR(st.st_mode))
		return dir;
	copy = mem_strdup(dir);
	slash = strrchr(copy, '/');
	if (slash == NULL)
		return ".";
	slash[slash == copy ? 1 : 0] = '\0';
	return copy;
}

NORETURN static void
run(const char *command, const char *arg1, const char *arg2, const char *arg3)
{
	char *path = mem_printf("%s/%s", conf.command_directory, command);
	const char *argv[] = { path, "-c", params_config_dir(), arg1, arg2,
	    arg3, NULL };

	fflush(NULL);
	execv(path, (char *const *)argv);
	sendmail_fatal(EX_OSERR, "cannot run %s: %s", path, strerror(errno));
}

NORETURN static void
newaliases(const struct sendmail_options *o)
{
	char *path = mem_printf("%s/postalias", conf.command_directory);
	struct span rest = span_of(o->alias_file != NULL ? o->alias_file :
	    conf.alias_database), word;
	ARRAY(const char *) argv = ARRAY_EMPTY;

	*ARRAY_PUSH(&argv) = path;
	*ARRAY_PUSH(&argv) = "-c";
	*ARRAY_PUSH(&argv) = params_config_dir();
	*ARRAY_PUSH(&argv) = "--";
	while (span_token(&rest, " \t\r\n,", &word))
		*ARRAY_PUSH(&argv) = span_dup(word);
	if (argv.len == 4)
		exit(EX_OK);		/* there is none: nothing to do */
	*ARRAY_PUSH(&argv) = NULL;
	execv(path, (char *const *)argv.v);
	sendmail_fatal(EX_OSERR, "cannot run %s: %s", path, strerror(errno));
}

/* --- the envelope ------------------------------------------------------------------ */

/* "&" in the comment field of passwd stands for the login name. */
static void
gecos_name(const struct passwd *pw, struct buf *out)
{
	for (const char *p = pw->pw_gecos; *p != '\0' && *p != ','; p++) {
		if (*p != '&') {
			buf_add_char(out, *p);
			continue;
		}
		if (pw->pw_name[0] >= 'a' && pw->pw_name[0] <= 'z')
			buf_add_char(out, (char)(pw->pw_name[0] - 'a' + 'A'));
		else
			buf_add_char(out, pw->pw_name[0]);
		buf_add_str(out, pw->pw_name + 1);
	}
}

static void
full_name(const struct sendmail_options *o, struct buf *out)
{
	const char *name = o->full_name;
	struct passwd *pw;

	if (name == NULL)
		name = getenv("NAME");
	if (name != NULL)
		buf_add_str(out, name);
	else if ((pw = getpwuid(getuid())) != NULL)
		gecos_name(pw, out);
	if (!utf8_valid(buf_span(out)))
		buf_reset(out);
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
			out->data[i] = ' ';
	if (out->len > 250)
		buf_trunc(out, 250);
}

static void
sender_of(const struct sendmail_options *o, struct buf *out)
{
	strings list = ARRAY_EMPTY;

	if (add_addresses(span_of(o->sender), &list) < 0 || list.len > 1)
		sendmail_fatal(EX_USAGE, "bad sender address: %s", o->sender);
	/* "" and "<>" are the null sender. */
	if (list.len == 0 && span_search(span_of(o->sender), SPAN("@")) >= 0)
		sendmail_fatal(EX_USAGE, "bad sender address: %s", o->sender);
	if (list.len == 1)
		buf_add_str(out, list.v[0]);
	strings_fini(&list);
}

/* What is wrong with a message says whose it is. */
NORETURN static void
fail_with(int status, const char *text)
{
	struct passwd *pw = getpwuid(getuid());

	sendmail_fatal(status, "%s(%u): %s",
	    pw != NULL ? pw->pw_name : "unknown", (unsigned)getuid(), text);
}

NORETURN static void
fail(const struct why *why)
{
	fail_with(submission_status(why), why->text);
}

NORETURN static void
fail_without_recipients(void)
{
	fail_with(EX_USAGE, "Recipient addresses must be specified on the "
	    "command line or via the -t option");
}

/* --- a message ------------------------------------------------------------------------ */

struct message {
	struct input	*in;
	struct buf	 head;		/* read before pickup is asked */
	bool		 complete;	/* head is all of it */
	bool		 eightbit;
};

static int
next_line(struct message *m, struct span *line)
{
	int rc = input_line(m->in, line);

	if (rc < 0)
		sendmail_fatal(EX_IOERR, "cannot read the message: %s",
		    strerror(errno));
	return rc;
}

/*
 * The header section of -t: up to the first line that is neither a field nor
 * a continuation, which goes to rest.
 */
static void
read_header(struct message *m, struct buf *section, struct buf *rest)
{
	struct span line;
	bool start = true;

	while (next_line(m, &line) == 1) {
		bool fold = section->len > 0 &&
		    (line.p[0] == ' ' || line.p[0] == '\t');

		if (start && !fold && header_name_len(line, NULL) == 0) {
			buf_add_span(rest, line);
			return;
		}
		if (section->len + line.len > SENDMAIL_HEADER_MAX)
			sendmail_fatal(EX_DATAERR,
			    "message header is too long");
		buf_add_span(section, line);
		start = line.p[line.len - 1] == '\n';
	}
	m->complete = true;
}

static void
check_size(uint64_t size)
{
	if (conf.message_size_limit > 0 &&
	    conf.message_size_limit != PARAM_UNLIMITED &&
	    size > (uint64_t)conf.message_size_limit)
		sendmail_fatal(EX_UNAVAILABLE, "message file too big");
}

/*
 * Whoever types a message takes time: pickup is not asked to wait for a short
 * one at all.
 */
static void
read_first(struct message *m)
{
	struct span line;

	while (!m->complete && m->head.len < SENDMAIL_READ_FIRST) {
		if (next_line(m, &line) == 0) {
			m->complete = true;
			break;
		}
		buf_add_span(&m->head, line);
	}
	check_size(m->head.len);
}

/* Postfix's words, which programs look for. */
static void
say_report(const struct sendmail_options *o, struct span sender)
{
	struct passwd *pw = getpwuid(getuid());
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (o->sender != NULL)
		address_quote_822(sender, &b);
	else if (pw != NULL)
		buf_add_str(&b, pw->pw_name);
	else
		buf_addf(&b, "uid-%u", (unsigned)getuid());
	printf("Mail Delivery Status Report will be mailed to <%s>.\n",
	    b.data);
	buf_fini(&b);
}

static void
submit(const struct sendmail_options *o, struct message *m,
    const strings *rcpts)
{
	struct buf sender = BUF_INIT(BUF_UNLIMITED);
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	struct submit_begin b = {
		.own_sender = o->sender == NULL, .gateway = o->gateway,
		.eightbit = o->eightbit, .dsn_ret = o->ret,
		.envid = span_of(o->envid),
		.report = o->mode == MODE_VERIFY ? SUBMIT_REPORT_VERIFY :
		    o->verbose > 0 ? SUBMIT_REPORT_RECORD :
		    SUBMIT_REPORT_NONE,
	};
	struct submission *s;
	struct why why = WHY_INIT;
	struct span line;

	if (o->sender != NULL)
		sender_of(o, &sender);
	full_name(o, &name);
	b.sender = buf_span(&sender);
	b.full_name = buf_span(&name);
	if (b.sender.len > SUBMIT_ADDRESS_MAX)
		sendmail_fatal(EX_USAGE, "sender address is too long");
	if ((s = submission_new(&why)) == NULL ||
	    submission_begin(s, &b, &why) < 0)
		fail(&why);
	for (size_t i = 0; i < rcpts->len; i++) {
		struct submit_rcpt r = {
			.address = span_of(rcpts->v[i]), .notify = o->notify,
		};

		if (r.address.len > SUBMIT_ADDRESS_MAX)
			sendmail_fatal(EX_DATAERR, "recipient address is too "
			    "long: %.100s...", rcpts->v[i]);
		if (submission_rcpt(s, &r, &why) < 0)
			fail(&why);
	}
	if (submission_content(s, buf_span(&m->head), &why) < 0)
		fail(&why);
	while (!m->complete && next_line(m, &line) == 1)
		if (submission_content(s, line, &why) < 0)
			fail(&why);
	if (submission_end(s, NULL, &why) < 0)
		fail(&why);
	submission_free(&s);
	if (b.report != SUBMIT_REPORT_NONE)
		say_report(o, b.sender);
	buf_fini(&sender);
	buf_fini(&name);
}

static int
mail(const struct sendmail_options *o)
{
	struct message m = { .head = BUF_INIT(BUF_UNLIMITED) };
	struct buf section = BUF_INIT(BUF_UNLIMITED);
	struct buf rest = BUF_INIT(BUF_UNLIMITED);
	strings rcpts = ARRAY_EMPTY;

	for (int i = 0; i < o->nrcpts; i++)
		if (add_addresses(span_of(o->rcpts[i]), &rcpts) < 0)
			sendmail_fatal(EX_DATAERR, "bad recipient: %s",
			    o->rcpts[i]);
	if (rcpts.len == 0 && !o->from_header)
		fail_without_recipients();
	m.in = input_new(STDIN_FILENO, o->keep_dots);
	if (o->from_header) {
		read_header(&m, &section, &rest);
		if (header_recipients(buf_span(&section), &rcpts,
		    &m.head) < 0)
			sendmail_fatal(EX_DATAERR,
			    "too many addresses in message header");
		if (rcpts.len == 0)
			fail_with(EX_DATAERR, "No recipient addresses found "
			    "in message header");
		buf_add_span(&m.head, buf_span(&rest));
		buf_fini(&section);
		buf_fini(&rest);
	}
	read_first(&m);
	submit(o, &m, &rcpts);
	input_free(&m.in);
	buf_fini(&m.head);
	strings_fini(&rcpts);
	return EX_OK;
}

/* A message without text that goes the ways of a real one, and whose report
 * says how far it would have come. */
static void
probe(const struct sendmail_options *o, const strings *rcpts)
{
	struct message m = { .head = BUF_INIT(BUF_UNLIMITED),
	    .complete = true };

	for (size_t i = 0; i < rcpts->len; i++) {
		buf_add_str(&m.head, "To: ");
		address_quote_822(span_of(rcpts->v[i]), &m.head);
		buf_add_char(&m.head, '\n');
	}
	buf_add_str(&m.head, "Subject: probe\n\n");
	submit(o, &m, rcpts);
	buf_fini(&m.head);
}

static int
verify(const struct sendmail_options *o)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct submission *s;
	strings rcpts = ARRAY_EMPTY;
	int status = EX_OK;

	for (int i = 0; i < o->nrcpts; i++)
		if (add_addresses(span_of(o->rcpts[i]), &rcpts) < 0)
			sendmail_fatal(EX_DATAERR, "bad recipient: %s",
			    o->rcpts[i]);
	if (rcpts.len == 0)
		fail_without_recipients();
	if ((s = submission_new(&why)) == NULL)
		fail(&why);
	for (size_t i = 0; i < rcpts.len; i++) {
		buf_reset(&text);
		why = WHY_INIT;
		if (submission_verify(s, span_of(rcpts.v[i]), &text,
		    &why) < 0) {
			if (text.len == 0)
				fail(&why);
			status = submission_status(&why);
		}
		printf("%s%s%s\n", text.data[0] == '<' ? "" : address_show(
		    span_of(rcpts.v[i]), &tmp), text.data[0] == '<' ? "" :
		    "... ", text.data);
	}
	submission_free(&s);
	probe(o, &rcpts);
	strings_fini(&rcpts);
	buf_fini(&text);
	buf_fini(&tmp);
	return status;
}

/* "newaliases: fatal: ...": by the name we were called. */
static void
set_tag(const char *argv0)
{
	const char *slash = strrchr(argv0 != NULL ? argv0 : "", '/');
	const char *name = slash != NULL ? slash + 1 : argv0;

	log_set_tag(name != NULL && (strcmp(name, "mailq") == 0 ||
	    strcmp(name, "newaliases") == 0) ? name : "sendmail");
}

int
main(int argc, char **argv)
{
	struct sendmail_options o;

	/* The output may have been closed by who started us. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", O_RDWR) != fd)
			return EX_OSERR;
	set_tag(argv[0]);
	sendmail_options(&o, argc, argv);
	if (params_load_anyhow(config_dir(&o), NULL, 0, problem, NULL) < 0)
		sendmail_fatal(EX_CONFIG, "the configuration cannot be read");
	switch (o.mode) {
	case MODE_MAIL:
		return mail(&o);
	case MODE_SMTP:
		return sendmail_smtp();
	case MODE_VERIFY:
		return verify(&o);
	case MODE_DAEMON:
		run("mansio", "start", NULL, NULL);
	case MODE_NEWALIASES:
		newaliases(&o);
	case MODE_MAILQ:
		run("postqueue", "-p", NULL, NULL);
	case MODE_FLUSH:
		if (o.flush_site != NULL)
			run("postqueue", "-s", o.flush_site, NULL);
		if (o.flush_id != NULL)
			run("postqueue", "-i", o.flush_id, NULL);
		run("postqueue", "-f", NULL, NULL);
	}
	return EX_SOFTWARE;
}
