/* SPDX-License-Identifier: ISC */
/*
 * tlsserve - the barest server on lib/tls: it greets and throws input away.
 *
 *	tlsserve config_dir port		keys in keyd (private/keyd)
 *	tlsserve config_dir port local		keys in this process
 *
 * What smtpd does beside TLS is not in it, so that the two ways of keeping a
 * key can be told apart.
 */
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"
#include "tls/chain.h"
#include "tls/settings.h"
#include "tls/tls.h"

static struct loop *l;
static struct tls_server *server;
static int listener;

static void
on_read(void *arg, struct stream *s)
{
	stream_consume(s, stream_input(s).len);
}

static void
on_end(void *arg, struct stream *s, enum stream_end why)
{
	stream_finish(&s, 1000);
}

static const struct stream_ops ops = { .on_read = on_read, .on_end = on_end };

static void
done(void *arg, struct stream *s, struct tls *t, const struct why *fail)
{
	if (fail != NULL) {
		log_warning("%s", fail->text);
		stream_finish(&s, 1000);
		return;
	}
	stream_printf(s, "220 ready\r\n");
}

static void
on_client(void *arg, unsigned events)
{
	int fd, yes = 1;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes,
		    sizeof(yes));
		(void)tls_start(stream_new(l, fd, 1 << 20, 1 << 20, &ops,
		    NULL), server, 0, NULL, 30000, done, NULL);
	}
}

static void
use_local(struct why *why)
{
	struct tls_settings s;
	struct tls_set *set;

	tls_settings_get(TLS_SMTPD, &s);
	set = tls_set_load(span_of(s.files), 0, why);
	if (set == NULL || tls_server_use(server, set, why) < 0)
		log_fatal("%s", why->text);
	tls_set_free(&set);
	mem_free(s.files);
}

int
main(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct sockaddr_in in = { .sin_family = AF_INET };
	int on = 1;

	log_set_tag("tlsserve");
	if (argc < 3)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	if (params_load(argv[1], NULL, 0, NULL, NULL) < 0 ||
	    chdir(conf.queue_directory) < 0 ||
	    tls_server_new(TLS_SMTPD, false, NULL, &server, &why) < 0 ||
	    server == NULL)
		log_fatal("cannot start: %s", why.text);
	l = loop_new();
	if (argc > 3)
		use_local(&why);
	else
		tls_server_start(server, l);
	in.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR,
	    &on, sizeof(on)) < 0 || bind(listener, (struct sockaddr *)&in,
	    sizeof(in)) < 0 || listen(listener, 128) < 0)
		log_fatal("listen: %m");
	loop_io_want(loop_io_new(l, listener, on_client, NULL), LOOP_READ);
	loop_run(l);
	return 0;
}
