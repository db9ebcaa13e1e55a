/* SPDX-License-Identifier: ISC */
/*
 * engine - the IMAP engine on a port, without front, monitor and login.
 *
 *	engine DIRECTORY [name=value ...]
 *
 * Listens on a free port of 127.0.0.1, prints the port, and serves every
 * client as one that has just logged in with tag "L0" as the owner of the
 * account in DIRECTORY, all of them in this process, as in a session process.
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

struct session_private {
	struct session_conn	 c;
	struct list		 link;
	char			 id[32];
	bool			 idle;
};

static struct loop *loop;
static struct account *account;
static struct session_user user;
static struct list conns = LIST_INIT(conns);

/* --- what session/engine.h promises ---------------------------------------------- */

struct account *
session_account(struct session_conn *c, struct why *why)
{
	struct account_options o;

	if (account)
		return account;
	account_options_init(&o);
	if (store_format_parse(span_of(conf.store_format), &o.format) != 0)
		o.format = STORE_PACKED;
	o.flags |= STORE_MAKE_BASE | STORE_DETECT;
	o.base = user.base;
	o.path = user.path;
	o.owner = user.name;
	account = account_open(&o, why);
	return account;
}

void
session_idle(struct session_conn *c, bool idle)
{
	c->priv->idle = idle;
}

int
session_watch(struct session_conn *c, int fd)
{
	return 0;
}

void
session_while_frozen(struct session_conn *c, struct span text,
    uint32_t every_s, uint32_t expire_s)
{
}

void
session_done(struct session_conn *c, const char *how, const char *counts)
{
	struct session_private *p = c->priv;

	if (c->stream)
		stream_finish(&c->stream, 5000);
	log_info("%s: %s: %s", p->id, how, counts);
	list_remove(&p->link);
	mem_free(p);
}

/* There is no front to go to. */
void
session_return(struct session_conn *c, struct span rest, const char *how,
    const char *counts)
{
	session_done(c, how, counts);
}

void
session_shared(struct session_conn *c, struct span ident, bool on)
{
}

void
session_others(struct session_conn *c,
    void (*fn)(struct session_conn *other, void *arg), void *arg)
{
	LIST_FOREACH(at, &conns) {
		struct session_private *p =
		    CONTAINER_OF(at, struct session_private, link);

		if (&p->c != c)
			fn(&p->c, arg);
	}
}

/* --- the rest ------------------------------------------------------------------------ */

static void
accepted(void *arg, unsigned events)
{
	int *listener = arg, fd = accept(*listener, NULL, NULL);
	static unsigned serial;
	struct session_private *p;

	if (fd < 0)
		return;
	p = mem_zalloc(sizeof(*p));
	snprintf(p->id, sizeof(p->id), "c%u", ++serial);
	p->c = (struct session_conn){
		.loop = loop, .user = &user, .priv = p,
		.facts = { .id = p->id, .tag = "L0", .client_ip = "127.0.0.1",
		    .server_ip = "127.0.0.1", .method = "PLAIN", .tls = "",
		    .notes = "" },
	};
	list_append(&conns, &p->link);
	p->c.stream = stream_new(loop, fd, imap_engine.in_max,
	    imap_engine.out_max, imap_engine.ops, &p->c);
	imap_engine.start(&p->c);
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

int
main(int argc, char **argv)
{
	struct loop_io *in, *io;
	struct loop_signal *usr1;
	int listener;

	if (argc < 2) {
		fprintf(stderr, "usage: engine DIRECTORY [name=value ...]\n");
		return 2;
	}
	if (params_load(argv[1], (const char *const *)argv + 2,
	    (size_t)argc - 2, problem,
	    NULL) != 0)
		return 2;
	user = (struct session_user){ .name = "tester", .login = "tester",
	    .uid = geteuid(), .gid = getegid(), .home = "",
	    .format = STORE_PACKED, .base = argv[1], .path = "account" };
	loop = loop_new();
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
