/* SPDX-License-Identifier: ISC */
/*
 * pair - a TLS server and a client on one loop, connected by a socket pair or
 * (pair_split) by a wire in the test's hands.  Included by the tests of TLS.
 */
#ifndef TESTS_UNIT_TLS_PAIR_H
#define TESTS_UNIT_TLS_PAIR_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/why.h"
#include "conf/params.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/stream.h"
#include "tls/chain.h"
#include "tls/make_cert.h"
#include "tls/tls.h"

/* One of the two ends, as its owner sees it. */
struct end {
	struct stream	*s;
	struct tls	*t;
	int		 done, ends;
	bool		 failed;
	struct why	 why;
	struct buf	 seen;
	enum stream_end	 how;
	bool		 stay;		/* keep the stream after a failure */
	bool		 keep;		/* leave plain input unread */
};

static struct loop *loop;
static struct tls_server *server;
static struct tls_client *client;
static struct end srv, cli;
static struct buf ca_pem, ca_key, key_pem, cert_pem;
static char tmp[64];
static int sockets[2] = { -1, -1 };
static char *ca_path;

static void
on_read(void *arg, struct stream *s)
{
	struct end *e = arg;
	struct span in = stream_input(s);

	if (e->keep && e->done == 0)
		return;
	buf_add_span(&e->seen, in);
	stream_consume(s, in.len);
}

static void
on_end(void *arg, struct stream *s, enum stream_end how)
{
	struct end *e = arg;

	e->ends++;
	e->how = how;
}

static const struct stream_ops ops = { .on_read = on_read, .on_end = on_end };

static void
done(void *arg, struct stream *s, struct tls *t, const struct why *fail)
{
	struct end *e = arg;

	e->done++;
	e->failed = fail != NULL;
	if (fail != NULL) {
		e->why = *fail;
		if (!e->stay)
			stream_finish(&e->s, 100);
	}
}

static UNUSED char *
pair_file(const char *name, struct buf *text)
{
	char *path = mem_printf("%s/%s", tmp, name);

	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, text->data,
	    text->len), 0);
	return path;
}

static void
make_certs(void)
{
	static const char *const names[] = { "mail.example.test",
	    "*.wild.example.test", "127.0.0.1" };
	struct tls_cert_request r = {
		.cn = "Test CA", .lifetime_s = 86400, .ca = true,
	};
	struct buf issuer = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	ca_pem = ca_key = key_pem = cert_pem = BUF_INIT(BUF_UNLIMITED);
	ck_assert_int_eq(tls_make_cert(&r, &ca_key, &ca_pem, &why), 0);
	buf_add_span(&issuer, buf_span(&ca_key));
	buf_add_span(&issuer, buf_span(&ca_pem));
	r = (struct tls_cert_request){
		.cn = "mail.example.test", .lifetime_s = 86400,
		.names = names, .nnames = 3, .issuer = buf_span(&issuer),
	};
	ck_assert_int_eq(tls_make_cert(&r, &key_pem, &cert_pem, &why), 0);
	buf_fini(&issuer);
}

static void
open_sockets(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
}

static UNUSED struct tls_client_conf
pair_client_conf(void)
{
	return (struct tls_client_conf){
		.prefix = "smtp", .ca_file = ca_path, .ca_path = "",
		.protocols = ">=TLSv1", .ciphers = "medium",
		.mandatory_protocols = ">=TLSv1.2",
		.mandatory_ciphers = "medium", .exclude_ciphers = "",
		.fingerprint_digest = "sha256", .session_time = 3600,
		.session_max = 2,
	};
}

static UNUSED void
pair_setup(const char *settings)
{
	struct why why = WHY_INIT;
	struct buf main_cf = BUF_INIT(BUF_UNLIMITED), both = BUF_INIT(1 << 20);
	struct tls_set *set;
	struct tls_client_conf c;
	char *path;

	(void)snprintf(tmp, sizeof(tmp), "/tmp/mansio-tls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tmp));
	make_certs();
	buf_add_span(&both, buf_span(&key_pem));
	buf_add_span(&both, buf_span(&cert_pem));
	path = pair_file("server.pem", &both);
	ca_path = pair_file("ca.pem", &ca_pem);
	buf_addf(&main_cf, "smtpd_tls_chain_files = %s\n%s\n", path, settings);
	mem_free(pair_file("main.cf", &main_cf));
	ck_assert_int_eq(params_load(tmp, NULL, 0, NULL, NULL), 0);
	loop = loop_new();
	ck_assert_int_eq(tls_server_new(TLS_SMTPD, false, NULL, &server,
	    &why), 0);
	ck_assert_ptr_nonnull(server);
	set = tls_set_load(span_of(path), 0, &why);
	ck_assert_msg(set != NULL, "%s", why.text);
	ck_assert_int_eq(tls_server_use(server, set, &why), 0);
	tls_set_free(&set);
	c = pair_client_conf();
	client = tls_client_new(&c, &why);
	ck_assert_msg(client != NULL, "%s", why.text);
	mem_free(path);
	buf_fini(&main_cf);
	buf_fini(&both);
	open_sockets();
}

static UNUSED void
pair_close(void)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = i == 0 ? &srv : &cli;

		stream_free(&e->s);
		buf_fini(&e->seen);
		memset(e, 0, sizeof(*e));
		fd_close(&sockets[i]);
	}
	if (loop != NULL)
		open_sockets();
}

static UNUSED void
pair_teardown(void)
{
	char *command = mem_printf("rm -rf %s", tmp);
	struct loop *l = loop;

	loop = NULL;
	pair_close();
	tls_server_free(&server);
	tls_client_free(&client);
	loop_free(&l);
	buf_fini(&ca_pem);
	buf_fini(&ca_key);
	buf_fini(&key_pem);
	buf_fini(&cert_pem);
	mem_free(ca_path);
	ck_assert_int_eq(system(command), 0);
	mem_free(command);
}

static struct stream *
new_end(struct end *e, int i)
{
	e->seen = BUF_INIT(BUF_UNLIMITED);
	e->s = stream_new(loop, sockets[i], 64 * 1024, 4 << 20, &ops, e);
	sockets[i] = -1;
	return e->s;
}

static UNUSED void
pair_server(unsigned flags, const char *alpn)
{
	struct stream *s = new_end(&srv, 0);

	ck_assert_uint_eq(tls_start(s, server, flags, alpn, 5000, done, &srv),
	    0);
}

static UNUSED struct tls_policy
pair_policy(enum tls_level level)
{
	static struct span match;

	match = SPAN("mail.example.test");
	return (struct tls_policy){
		.level = level, .sni = SPAN("mail.example.test"),
		.match = &match, .nmatch = 1,
	};
}

static UNUSED void
pair_client(const struct tls_policy *p)
{
	struct stream *s = new_end(&cli, 1);

	ck_assert_uint_eq(tls_connect(s, client, p, 5000, done, &cli), 0);
}

static void
stop(void *arg)
{
	loop_stop(loop);
}

static UNUSED void
pair_run(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);

	loop_timer_set(t, ms);
	loop_run(loop);
	loop_timer_free(&t);
}

static UNUSED void
pair_handshake(void)
{
	for (int i = 0; i < 3000 && (srv.done == 0 || cli.done == 0); i++)
		pair_run(1);
	ck_assert_int_eq(srv.done, 1);
	ck_assert_int_eq(cli.done, 1);
	srv.t = srv.s != NULL ? tls_of(srv.s) : NULL;
	cli.t = cli.s != NULL ? tls_of(cli.s) : NULL;
}

/* The other ends of the server's and the client's sockets, for the test. */
static int wire[2] = { -1, -1 };

static UNUSED void
pair_split(void)
{
	for (int i = 0; i < 2; i++) {
		int sv[2];

		fd_close(&sockets[i]);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		sockets[i] = sv[0];
		wire[i] = sv[1];
		ck_assert_int_eq(fd_set_nonblock(wire[i], true), 0);
	}
}

/* Carry up to n bytes from the end given to the other. */
static UNUSED size_t
pair_carry(int from, size_t n)
{
	char b[65536];
	ssize_t got = read(wire[from], b, MIN(n, sizeof(b)));

	if (got <= 0)
		return 0;
	ck_assert_int_eq(fd_write_all(wire[1 - from], b, (size_t)got), 0);
	return (size_t)got;
}

#endif
