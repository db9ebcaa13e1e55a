/* SPDX-License-Identifier: ISC */
/*
 * postlog - write lines to the mail log, for scripts.
 *
 * Lines are the arguments, or else what standard input has.  The log is where
 * main.cf says; a maillog_file is opened for appending, so the caller needs
 * the right to do that.
 */
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"

static enum log_level priority = LOG_LEVEL_INFO;
static bool to_stderr_too;

NORETURN static void
usage(void)
{
	log_fatal("usage: postlog [-iv] [-c config_dir] [-p priority] "
	    "[-t tag] [text ...]");
}

static enum log_level
find_priority(const char *name)
{
	static const struct {
		const char	*name;
		enum log_level	 level;
	} names[] = {
		{ "info", LOG_LEVEL_INFO }, { "warn", LOG_LEVEL_WARNING },
		{ "warning", LOG_LEVEL_WARNING },
		{ "error", LOG_LEVEL_ERROR }, { "fatal", LOG_LEVEL_FATAL },
		{ "panic", LOG_LEVEL_PANIC },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i].name, name) == 0)
			return names[i].level;
	log_fatal("Unknown priority: %s", name);
}

static void
echo(enum log_level level, const char *line)
{
	fprintf(stderr, "%s: %s\n", log_tag(), line);
}

/* "fatal" and "panic" are words in the line here, not our own end. */
static void
write_line(const char *text)
{
	switch (priority) {
	case LOG_LEVEL_WARNING:
		log_warning("%s", text);
		break;
	case LOG_LEVEL_ERROR:
		log_error("%s", text);
		break;
	case LOG_LEVEL_FATAL:
		log_error("fatal: %s", text);
		break;
	case LOG_LEVEL_PANIC:
		log_error("panic: %s", text);
		break;
	default:
		log_info("%s", text);
	}
}

static void
open_log(void)
{
	int fd;

	if (conf.maillog_file[0] == '\0') {
		log_open_syslog(conf.syslog_facility, -1);
		return;
	}
	fd = open(conf.maillog_file, O_WRONLY | O_APPEND | O_CREAT |
	    O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		log_fatal("cannot open %s: %m", conf.maillog_file);
	log_open_fd(fd);
}

static void
copy_input(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			line[n - 1] = '\0';
		write_line(line);
	}
	free(line);
}

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_error("%s", line);
}

int
main(int argc, char **argv)
{
	const char *config_dir = NULL, *tag = NULL;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char *full;
	int c;

	log_set_tag("postlog");
	while ((c = getopt(argc, argv, "c:ip:t:v")) != -1) {
		switch (c) {
		case 'c':
			config_dir = optarg;
			break;
		case 'i':
			break;			/* the log has it anyway */
		case 'p':
			priority = find_priority(optarg);
			break;
		case 't':
			tag = optarg;
			break;
		case 'v':
			to_stderr_too = true;
			break;
		default:
			usage();
		}
	}
	if (params_load(config_dir, NULL, 0, problem, NULL) < 0)
		return 1;
	if (tag == NULL)
		tag = getenv("MAIL_LOGTAG");
	full = tag != NULL ? mem_strdup(tag) : mem_printf("%s/postlog",
	    conf.syslog_name);
	log_set_tag(full);
	open_log();
	/* As Postfix: a person at a terminal sees it too. */
	if (to_stderr_too || isatty(STDERR_FILENO))
		log_set_hook(echo);
	if (optind == argc)
		copy_input();
	else {
		for (int i = optind; i < argc; i++)
			buf_addf(&b, "%s%s", i > optind ? " " : "", argv[i]);
		write_line(b.data);
	}
	log_flush();
	buf_fini(&b);
	mem_free(full);
	return 0;
}
