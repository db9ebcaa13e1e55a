/* SPDX-License-Identifier: ISC */
/*
 * engine - the IMAP engine on a port, without front, monitor and login.
 *
 *	engine [-u USER] DIRECTORY [name=value ...]
 *
 * Listens on a free port of 127.0.0.1, prints the port, and serves every
 * client as one that has just logged in with tag "L0" as the owner of the
 * account in DIRECTORY, all of them in this process, as in a session process.
 * With -u they are USER, who has an account beside it and sees what the owner
 * shares below "Other Users/tester".
 * SIGUSR1 freezes all connections that can be frozen and thaws them again.
 * Ends when standard input does.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "session/engine.h"
#include "store/account.h"
#include "tests/session.h"

static void
conn_done(struct session_private *p, const char *how, const char *counts)
{
	if (p->c.stream)
		stream_finish(&p->c.stream, 5000);
	log_info("%s: %s: %s", p->id, how, counts);
	mem_free(p);
}

/* Whoever comes is name, and not the owner. */
static void
be_another(const char *name)
{
	struct account_options o;
	struct account *shared;
	struct why why = WHY_INIT;

	account_options_init(&o);
	o.format = user.format;
	o.flags |= STORE_DETECT;
	o.base = user.base;
	o.path = user.path;
	o.owner = "tester";
	o.user = name;
	o.auto_create = o.auto_subscribe = "";
	shared = account_open(&o, &why);
	user.name = user.login = user.path = name;
	user.is_virtual = true;
	if (shared == NULL || (account = open_account(&why)) == NULL ||
	    account_mount(account, "Other Users/tester", shared, &why) != 0)
		log_fatal("%s", why.text);
	account_reserve(account, "Other Users");
}

static void
accepted(void *arg, unsigned events)
{
	int *listener = arg, fd = accept(*listener, NULL, NULL);
	static unsigned serial;
	char id[32];

	if (fd < 0)
		return;
	snprintf(id, sizeof(id), "c%u", ++serial);
	imap_engine.start(&conn_new(&imap_engine, fd, id, "L0")->c);
}

/* Through freeze and thaw, the stream staying as it is. */
static void
hibernate(void *arg)
{
	LIST_FOREACH(at, &conns) {
		struct session_private *p =
		    CONTAINER_OF(at, struct session_private, link);
		struct buf state = BUF_INIT(SESSION_STATE_MAX);

		if (p->idle && imap_engine.freeze &&
		    imap_engine.freeze(&p->c, &state) == 0)
			imap_engine.thaw(&p->c, buf_span(&state), true);
		buf_fini(&state);
	}
}

static void
stdin_ended(void *arg, unsigned events)
{
	char c;

	if (read(STDIN_FILENO, &c, 1) <= 0)
		loop_stop(loop);
}

static int
listen_somewhere(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&sin, len) != 0 ||
	    listen(fd, 100) != 0 || getsockname(fd, (void *)&sin, &len) != 0)
		log_fatal("cannot listen");
	printf("%d\n", ntohs(sin.sin_port));
	fflush(stdout);
	return fd;
}

static void
problem(void *arg, bool is_error, const char *line)
{
	log_warning("%s", line);
}

static int
usage(void)
{
	fprintf(stderr, "usage: engine [-u USER] DIRECTORY [name=value ...]\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct loop_io *in, *io;
	struct loop_signal *usr1;
	const char *other = NULL;
	int listener, c;

	while ((c = getopt(argc, argv, "+u:")) == 'u')
		other = optarg;
	if (c != -1 || optind == argc)
		return usage();
	argv += optind;
	if (params_load(argv[0], (const char *const *)argv + 1,
	    (size_t)(argc - optind - 1), problem, NULL) != 0)
		return 2;
	user = (struct session_user){ .name = "tester", .login = "tester",
	    .uid = geteuid(), .gid = getegid(), .home = "",
	    .format = STORE_PACKED, .base = argv[0], .path = "account" };
	if (store_format_parse(span_of(conf.store_format), &user.format) != 0)
		user.format = STORE_PACKED;
	loop = loop_new();
	if (other != NULL)
		be_another(other);
	listener = listen_somewhere();
	io = loop_io_new(loop, listener, accepted, &listener);
	loop_io_want(io, LOOP_READ);
	in = loop_io_new(loop, STDIN_FILENO, stdin_ended, NULL);
	loop_io_want(in, LOOP_READ);
	usr1 = loop_signal_new(loop, SIGUSR1, hibernate, NULL);
	loop_run(loop);
	loop_signal_free(&usr1);
	loop_io_free(&io);
	loop_io_free(&in);
	close(listener);
	return 0;
}
