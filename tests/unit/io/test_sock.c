/* SPDX-License-Identifier: ISC */
/*
 * sock: addresses, networks, listeners, connects, credentials.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/fd.h"
#include "io/sock.h"

static const struct {
	const char	*in, *want;	/* NULL: refused */
	bool		 loopback;
} addrs[] = {
	{ "192.0.2.1",			"192.0.2.1",	false },
	{ "[192.0.2.1]",		"192.0.2.1",	false },
	{ "127.255.0.9",		"127.255.0.9",	true },
	{ "2001:DB8:0::1",		"2001:db8::1",	false },
	{ "[::1]",			"::1",		true },
	{ "::ffff:127.0.0.1",		"127.0.0.1",	true },
	{ "::ffff:192.0.2.1",		"192.0.2.1",	false },
	{ "::",				"::",		false },
	{ "0.0.0.0",			"0.0.0.0",	false },
	{ "192.0.2",			NULL, false },
	{ "192.0.2.256",		NULL, false },
	{ "192.0.2.1 ",			NULL, false },
	{ "0x7f.1",			NULL, false },
	{ "127.1",			NULL, false },
	{ "[::1",			NULL, false },
	{ "fe80::1%eth0",		NULL, false },
	{ "1:2:3:4:5:6:7:8:9",		NULL, false },
	{ "",				NULL, false },
	{ "[]",				NULL, false },
};

START_TEST(addresses)
{
	struct sock_addr a;
	char text[SOCK_ADDR_TEXT_MAX];
	int rc = sock_addr_parse(span_of(addrs[_i].in), 25, &a);

	ck_assert_int_eq(rc, addrs[_i].want ? 0 : -1);
	if (rc < 0)
		return;
	sock_addr_text(&a, text);
	ck_assert_str_eq(text, addrs[_i].want);
	ck_assert_uint_eq(sock_addr_port(&a), 25);
	ck_assert_int_eq(sock_addr_is_loopback(&a), addrs[_i].loopback);
}
END_TEST

START_TEST(what_is_no_internet_address_is_unknown)
{
	struct sock_addr a = { .len = sizeof(a.un) };
	char text[SOCK_ADDR_TEXT_MAX];

	a.sa.sa_family = AF_UNIX;
	sock_addr_text(&a, text);
	ck_assert_str_eq(text, "unknown");
	ck_assert_uint_eq(sock_addr_port(&a), 0);
	ck_assert(!sock_addr_is_loopback(&a));
	a.len = 0;			/* claims to be longer than it is */
	a.sa.sa_family = AF_INET6;
	sock_addr_text(&a, text);
	ck_assert_str_eq(text, "unknown");
}
END_TEST

static const struct {
	const char	*net;		/* refused when in is NULL */
	const char	*in, *out;
} nets[] = {
	{ "192.0.2.0/24",	"192.0.2.255",	"192.0.3.0" },
	{ "192.0.2.0/24",	"::ffff:192.0.2.7", "::c000:207" },
	{ "192.0.2.128/25",	"192.0.2.128",	"192.0.2.127" },
	{ "192.0.2.1",		"192.0.2.1",	"192.0.2.2" },
	{ "0.0.0.0/0",		"203.0.113.9",	"::1" },
	{ "[2001:db8::]/32",	"2001:db8:ffff::", "2001:db9::" },
	{ "2001:db8::/33",	"2001:db8:7fff::", "2001:db8:8000::" },
	{ "[::1]",		"::1",		"::2" },
	{ "[::1]/128",		"::1",		"127.0.0.1" },
	{ "::/0",		"2001:db8::1",	"192.0.2.1" },
	{ "192.0.2.1/24",	NULL, NULL },	/* host bits */
	{ "2001:db8::1/64",	NULL, NULL },
	{ "192.0.2.0/33",	NULL, NULL },
	{ "::/129",		NULL, NULL },
	{ "192.0.2.0/",		NULL, NULL },
	{ "192.0.2.0/-1",	NULL, NULL },
	{ "192.0.2.0/24/8",	NULL, NULL },
	{ "/24",		NULL, NULL },
	{ "host.test",		NULL, NULL },
};

START_TEST(networks)
{
	struct sock_net n;
	struct sock_addr a;
	struct why why = WHY_INIT;
	int rc = sock_net_parse(span_of(nets[_i].net), &n, &why);

	ck_assert_int_eq(rc, nets[_i].in ? 0 : -1);
	if (rc < 0) {
		ck_assert_ptr_nonnull(strstr(why.text, nets[_i].net));
		return;
	}
	ck_assert_int_eq(sock_addr_parse(span_of(nets[_i].in), 0, &a), 0);
	ck_assert(sock_net_has(&n, &a));
	ck_assert_int_eq(sock_addr_parse(span_of(nets[_i].out), 0, &a), 0);
	ck_assert(!sock_net_has(&n, &a));
	a.sa.sa_family = AF_UNIX;
	ck_assert(!sock_net_has(&n, &a));
}
END_TEST

static void
check_listener(const char *ip)
{
	struct sock_addr a, peer;
	struct why why = WHY_INIT;
	char text[SOCK_ADDR_TEXT_MAX];
	int fd, client, served;

	ck_assert_int_eq(sock_addr_parse(span_of(ip), 0, &a), 0);
	fd = sock_listen_inet(&a, 5, &why);
	ck_assert_msg(fd >= 0, "%s", why.text);
	ck_assert_int_eq(getsockname(fd, &a.sa, &a.len), 0);
	ck_assert_int_eq(sock_accept(fd, &peer), -1);
	ck_assert_int_eq(errno, EAGAIN);
	client = socket(a.sa.sa_family, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(client, &a.sa, a.len), 0);
	usleep(2000);
	served = sock_accept(fd, &peer);
	ck_assert_int_ge(served, 0);
	ck_assert_int_eq(fcntl(served, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(served, F_GETFL) & O_NONBLOCK);
	sock_addr_text(&peer, text);
	ck_assert_str_eq(text, ip);
	ck_assert_int_eq(sock_listen_inet(&a, 5, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "Address already in use"));
	ck_assert_ptr_nonnull(strstr(why.text, ip));
	close(client);
	close(served);
	close(fd);
}

/* IPv6 may be built in and still have no address. */
static bool
have_ipv6_loopback(void)
{
	struct sock_addr a;
	bool ok;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	ck_assert_int_eq(sock_addr_parse(SPAN("::1"), 0, &a), 0);
	ok = fd >= 0 && bind(fd, &a.sa, a.len) == 0;
	if (!ok)
		ck_assert(errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
	if (fd >= 0)
		close(fd);
	return ok;
}

START_TEST(an_inet_listener_takes_clients)
{
	check_listener("127.0.0.1");
	if (have_ipv6_loopback())
		check_listener("::1");
	else
		fprintf(stderr, "skip: a listener on ::1: no such address\n");
}
END_TEST

START_TEST(a_unix_listener_appears_whole)
{
	char dir[] = "/tmp/mansio-sock-XXXXXX", path[64];
	char longer[200];
	struct why why = WHY_INIT;
	struct sock_addr peer;
	struct sock_cred cred;
	struct stat st;
	int fd, again, client, served;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(sock_connect_unix(path, 0), -1);
	ck_assert_int_eq(errno, ENOENT);
	fd = sock_listen_unix(path, 0666, 1, &why);
	ck_assert_msg(fd >= 0, "%s", why.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0666);
	/* Again, in the place of the old one. */
	again = sock_listen_unix(path, 0600, 1, &why);
	ck_assert_int_ge(again, 0);
	close(fd);
	client = sock_connect_unix(path, 0);
	ck_assert_int_ge(client, 0);
	served = sock_accept(again, &peer);
	ck_assert_int_ge(served, 0);
	ck_assert_int_eq(peer.sa.sa_family, AF_UNIX);
	ck_assert_int_eq(sock_peer_cred(served, &cred), 0);
	ck_assert_int_eq(cred.pid, getpid());
	ck_assert_uint_eq(cred.uid, geteuid());
	close(client);
	close(served);
	close(again);
	ck_assert_int_eq(sock_connect_unix(path, 0), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	unlink(path);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(sock_listen_unix(longer, 0600, 1, &why), -1);
	ck_assert_int_eq(sock_connect_unix(longer, 0), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	ck_assert_int_eq(sock_connect_unix("", 0), -1);
	ck_assert_int_eq(rmdir(dir), 0);	/* nothing was left behind */
}
END_TEST

START_TEST(a_full_backlog_is_waited_for_and_no_longer)
{
	char dir[] = "/tmp/mansio-sock-XXXXXX", path[64];
	int fd, clients[10], n = 0;
	int64_t t0;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	fd = sock_listen_unix(path, 0600, 1, NULL);
	while (n < 10 && (clients[n] = sock_connect_unix(path, 0)) >= 0)
		n++;
	ck_assert_int_lt(n, 10);
	ck_assert_int_eq(errno, ETIMEDOUT);
	t0 = clock_mono_ms();
	ck_assert_int_eq(sock_connect_unix(path, 50), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_ge(clock_mono_ms() - t0, 49);
	while (n-- > 0)
		close(clients[n]);
	close(fd);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(only_unix_sockets_have_credentials)
{
	struct sock_cred cred;
	int fd = socket(AF_INET, SOCK_STREAM, 0), file = open("/", O_RDONLY);

	ck_assert_int_eq(sock_peer_cred(fd, &cred), -1);
	ck_assert_int_eq(sock_peer_cred(file, &cred), -1);
	close(fd);
	close(file);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("sock");
	TCase *t = tcase_create("sock");

	tcase_add_loop_test(t, addresses, 0, ARRAY_LEN(addrs));
	tcase_add_test(t, what_is_no_internet_address_is_unknown);
	tcase_add_loop_test(t, networks, 0, ARRAY_LEN(nets));
	tcase_add_test(t, an_inet_listener_takes_clients);
	tcase_add_test(t, a_unix_listener_appears_whole);
	tcase_add_test(t, a_full_backlog_is_waited_for_and_no_longer);
	tcase_add_test(t, only_unix_sockets_have_credentials);
	suite_add_tcase(s, t);
	return s;
}
