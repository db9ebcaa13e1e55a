/* SPDX-License-Identifier: ISC */
/*
 * mansio - the administrator's command: start, stop, look, check.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "cmd/mansio.h"
#include "ipc/ipc.h"

static int	 mansio_help(int argc, char **argv);

/* In the order of the overview. */
static const struct subcommand subcommands[] = {
	{ "start", "", "start the mail system", mansio_start },
	{ "start-fg", "", "the same, in the foreground (containers, systemd)",
	  mansio_start },
	{ "stop", "", "finish what is under way and stop", mansio_stop },
	{ "abort", "", "stop at once", mansio_stop },
	{ "reload", "", "check the configuration and use it", mansio_reload },
	{ "status", "[-p] [--json]", "what runs", mansio_status },
	{ "check", "[-v] [--strict]", "all problems of the configuration",
	  mansio_check },
	{ "flush", "", "try to deliver all that waits", mansio_flush },
	{ "logrotate", "", "put the log file aside and begin another",
	  mansio_logrotate },
	{ "sandbox", "show [DAEMON]", "what each daemon may do",
	  mansio_sandbox },
	{ "probe", "[-f] DOMAIN|ADDRESS", "what would be done with mail for it",
	  mansio_probe },
	{ "cert",
	  "show [-p] [FILE ...]\n"
	  "check [FILE ...]\n"
	  "selfsign [-Au] [-C CA] [-d DAYS] [-t TYPE] FILE NAME ...",
	  "look at certificates, judge and make them", mansio_cert },
	{ "user",
	  "add ADDRESS\n"
	  "import FILE\n"
	  "list [--json]\n"
	  "show ADDRESS [--json]\n"
	  "password ADDRESS\n"
	  "disable|enable|delete ADDRESS\n"
	  "app-password add ADDRESS NAME [--scope smtp,imap,pop3] "
	  "[--expires 90d]\n"
	  "app-password delete ADDRESS NAME",
	  "accounts of virtual mailboxes", mansio_user },
	{ "who", "[--json] [USER|SESSION]", "users with a session",
	  mansio_who },
	{ "kick", "USER|SESSION", "end sessions", mansio_kick },
	{ "ban", "[ADDRESS|USER [TIME]]", "who may not log in for now",
	  mansio_ban },
	{ "unban", "ADDRESS|USER|all", "let them log in again", mansio_ban },
	{ "mailbox",
	  "list USER\n"
	  "create|delete|subscribe|unsubscribe USER MAILBOX\n"
	  "changes USER [STATE]\n"
	  "rename USER FROM TO",
	  "a user's mailboxes", mansio_mailbox },
	{ "quota",
	  "USER\n"
	  "set USER storage=SIZE messages=N mailboxes=N\n"
	  "clear USER",
	  "what a user's mail takes up, and may", mansio_quota },
	{ "acl",
	  "get USER MAILBOX\n"
	  "set USER MAILBOX WHO [+-]RIGHTS\n"
	  "delete USER MAILBOX WHO",
	  "rights on a mailbox", mansio_acl },
	{ "search", "USER TEXT [MAILBOX]", "messages with a text",
	  mansio_search },
	{ "undelete", "USER MAILBOX [UIDS|all|mailbox]",
	  "show expunged messages, have them back", mansio_undelete },
	{ "purge", "USER", "give back the space of what is over",
	  mansio_purge },
	{ "index", "verify|rebuild USER [MAILBOX]",
	  "compare what is kept of mail with the mail, make it anew",
	  mansio_index },
	{ "import", "[-n] [-u FORMAT] USER MAILBOX PATH", "messages of a Maildir or mbox",
	  mansio_import },
	{ "export", "USER MAILBOX [PATH]",
	  "as mbox, or into a directory as Maildir", mansio_export },
	{ "help", "[COMMAND]", "how a command is called", mansio_help },
};

static const char *config_dir;
static ARRAY(const char *) overrides;
static bool verbose;

static void
overview(FILE *to)
{
	fprintf(to, "usage: mansio [-v] [-c config_dir] [-o name=value] "
	    "command [argument ...]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name,
		    subcommands[i].says);
	fprintf(to, "\n\"mansio help COMMAND\" shows its arguments; see "
	    "mansio(8).\n");
}

static const struct subcommand *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		if (strcmp(subcommands[i].name, name) == 0)
			return &subcommands[i];
	return NULL;
}

/* A line for each form of a subcommand. */
static void
forms(FILE *to, const struct subcommand *c)
{
	struct span rest = span_of(c->usage);
	const char *first = "usage:";

	do {
		struct span line = SPAN_EMPTY;

		(void)span_token(&rest, "\n", &line);
		fprintf(to, "%-6s mansio %s%s%.*s\n", first, c->name,
		    line.len > 0 ? " " : "", SPAN_ARG(line));
		first = "";
	} while (rest.len > 0);
}

int
mansio_usage(const char *name)
{
	forms(stderr, find(name));
	return MANSIO_USAGE;
}

static int
unknown(const char *name)
{
	fprintf(stderr, "mansio: unknown command \"%s\"; \"mansio help\" "
	    "lists them\n", name);
	return MANSIO_USAGE;
}

static int
mansio_help(int argc, char **argv)
{
	const struct subcommand *c;

	if (argc > 2)
		return mansio_usage(argv[0]);
	if (argc < 2) {
		overview(stdout);
		return 0;
	}
	if ((c = find(argv[1])) == NULL)
		return unknown(argv[1]);
	forms(stdout, c);
	printf("\n%s\n", c->says);
	return 0;
}

const char *
mansio_config_dir(void)
{
	return config_dir;
}

bool
mansio_verbose(void)
{
	return verbose;
}

void
mansio_say_more(void)
{
	verbose = true;
}

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_error("%s", line);
	else
		log_warning("%s", line);
}

void
mansio_load(void)
{
	if (params_load(config_dir, overrides.v, overrides.len, problem,
	    NULL) < 0)
		exit(MANSIO_FAILED);
}

void
mansio_load_anyhow(void)
{
	if (params_load_anyhow(config_dir, overrides.v, overrides.len, problem,
	    NULL) < 0)
		exit(MANSIO_FAILED);
}

struct ipc_sync *
mansio_ask(const char *socket, const char *who, const struct ipc_proto *p,
    int64_t timeout_ms)
{
	char *path = mem_printf("%s/%s", conf.queue_directory, socket);
	struct why why = WHY_INIT;
	struct ipc_sync *s;

	s = ipc_sync_connect(path, p, timeout_ms, &why);
	if (s == NULL)
		log_fatal("cannot ask %s: %s (%s)", who, why.text,
		    geteuid() != 0 ? "this command is for root" :
		    "is it running?");
	mem_free(path);
	return s;
}

void
mansio_exec(const char *dir, const char *program, const char *const *args)
{
	ARRAY(char *) argv = ARRAY_EMPTY;
	char *path = mem_printf("%s/%s", dir, program);

	*ARRAY_PUSH(&argv) = mem_strdup(program);
	*ARRAY_PUSH(&argv) = mem_strdup("-c");
	*ARRAY_PUSH(&argv) = mem_strdup(config_dir);
	for (size_t i = 0; args[i] != NULL; i++)
		*ARRAY_PUSH(&argv) = mem_strdup(args[i]);
	*ARRAY_PUSH(&argv) = NULL;
	log_flush();
	execv(path, argv.v);
	log_fatal("cannot execute %s: %m", path);
}

pid_t
mansio_master_pid(void)
{
	char *path = mem_printf("%s/pid/master.pid", conf.queue_directory);
	char text[32] = "";
	pid_t pid = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	mem_free(path);
	if (fd < 0)
		return 0;
	/* Only a running master holds the lock; the number alone may be old. */
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	    read(fd, text, sizeof(text) - 1) > 0)
		pid = (pid_t)strtol(text, NULL, 10);
	close(fd);
	return pid > 1 ? pid : 0;
}

/*
 * Where a standard stream is closed, the next file that is opened would get its
 * number, and what is printed would go there.  Writing to it fails as before.
 */
static void
occupy_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* A listing that nobody got whole is no success. */
static int
finish(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	log_error("write standard output: %m");
	return rc != 0 ? rc : MANSIO_FAILED;
}

int
main(int argc, char **argv)
{
	const struct subcommand *command;
	int c;

	occupy_standard_streams();
	log_set_tag("mansio");
	config_dir = getenv("MAIL_CONFIG");
	if (config_dir == NULL)
		config_dir = SYSCONFDIR "/mansio";
	while ((c = getopt(argc, argv, "+c:ho:v")) != -1) {
		switch (c) {
		case 'c':
			config_dir = optarg;
			break;
		case 'h':
			overview(stdout);
			return finish(0);
		case 'o':
			*ARRAY_PUSH(&overrides) = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			overview(stderr);
			return MANSIO_USAGE;
		}
	}
	argc -= optind;
	argv += optind;
	optind = 0;		/* the subcommand has options of its own */
	if (argc == 0) {
		overview(stderr);
		return MANSIO_USAGE;
	}
	if (config_dir[0] != '/') {
		const char *path = realpath(config_dir, NULL);

		if (path == NULL)
			log_fatal("configuration directory %s: %m",
			    config_dir);
		config_dir = path;
	}
	command = find(argv[0]);
	if (command == NULL)
		return unknown(argv[0]);
	return finish(command->run(argc, argv));
}
