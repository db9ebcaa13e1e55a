/* SPDX-License-Identifier: ISC */
/*
 * popload - a lean POP3 client that empties a mailbox, for benchmarks.
 *
 *	popload [-p] [-k] address port user password
 *	popload -P n [-w ms] address port user password
 *
 *	-p	pipelined: as many commands at a time as the server takes
 *	-k	keep: RSET before QUIT
 *	-P	n polls: connect, log in, STAT, UIDL, QUIT; each with another user
 *		where the name has a '#', which stands for 1 to n
 *	-w	wait so long after each poll, which is not counted as its time
 *
 * Without -P: STAT, UIDL, RETR of all, DELE of all, QUIT.  Prints one line of
 * JSON: messages, octets, seconds in all and of the parts.  Exit status 1
 * when an answer was wrong.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int	 fd;
static char	 in[1 << 20];
static size_t	 in_len, in_at;
static uint64_t	 octets;
static struct sockaddr_in server;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
fill(void)
{
	ssize_t n;

	if (in_at == in_len)
		in_at = in_len = 0;
	if (in_len == sizeof(in)) {
		if (in_at == 0)
			errx(1, "a line of a megabyte");
		memmove(in, in + in_at, in_len - in_at);
		in_len -= in_at;
		in_at = 0;
	}
	n = read(fd, in + in_len, sizeof(in) - in_len);
	if (n <= 0)
		errx(1, "the server has closed");
	in_len += (size_t)n;
	octets += (uint64_t)n;
}

static const char *
line(size_t *len)
{
	for (;;) {
		char *lf = memchr(in + in_at, '\n', in_len - in_at);
		const char *p = in + in_at;

		if (lf != NULL) {
			*len = (size_t)(lf - p);
			in_at += *len + 1;
			return p;
		}
		fill();
	}
}

static void
expect_ok(bool multi)
{
	size_t n;
	const char *p = line(&n);

	if (n < 3 || memcmp(p, "+OK", 3) != 0)
		errx(1, "%.*s", (int)n, p);
	if (multi)
		do {
			p = line(&n);
		} while (p[0] != '.' || (n != 2 && n != 1) ||
		    (n == 2 && p[1] != '\r'));
}

static void
put(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0)
			err(1, "write");
		p += done;
		n -= (size_t)done;
	}
}

static void __attribute__((format(printf, 2, 3)))
ask(bool multi, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(text, (size_t)n);
	expect_ok(multi);
}

/* VERB 1 to count, all of them before any answer is waited for. */
static void
pipelined(const char *verb, unsigned count, bool multi)
{
	char out[65536];
	size_t out_len = 0, out_at = 0;
	unsigned asked = 0, answered = 0;

	while (answered < count) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		while (out_len - out_at < 1000 && asked < count) {
			if (out_at == out_len)
				out_at = out_len = 0;
			if (out_len > sizeof(out) - 2000)
				break;
			for (int i = 0; i < 60 && asked < count; i++)
				out_len += (size_t)snprintf(out + out_len, 32,
				    "%s %u\r\n", verb, ++asked);
		}
		if (out_at < out_len)
			p.events |= POLLOUT;
		if (in_at == in_len && poll(&p, 1, -1) < 0)
			err(1, "poll");
		if (p.revents & POLLOUT) {
			ssize_t n = send(fd, out + out_at, out_len - out_at,
			    MSG_DONTWAIT);

			if (n > 0)
				out_at += (size_t)n;
		}
		if ((p.revents & POLLIN) || in_at < in_len) {
			expect_ok(multi);
			answered++;
			while (answered < count && memchr(in + in_at, '\n',
			    in_len - in_at) != NULL) {
				expect_ok(multi);
				answered++;
				if (asked < count && asked - answered < 500)
					break;
			}
		}
	}
}

static void
all(const char *verb, unsigned count, bool multi, bool pipe)
{
	if (pipe) {
		pipelined(verb, count, multi);
		return;
	}
	for (unsigned i = 1; i <= count; i++)
		ask(multi, "%s %u\r\n", verb, i);
}

static void
log_in(const char *user, const char *password)
{
	int on = 1;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&server,
	    sizeof(server)) < 0)
		err(1, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	in_at = in_len = 0;
	expect_ok(false);
	ask(false, "USER %s\r\n", user);
	ask(false, "PASS %s\r\n", password);
}

/* The user's name for poll n. */
static const char *
name_of(const char *user, unsigned n)
{
	static char name[256];
	const char *at = strchr(user, '#');

	if (at == NULL)
		return user;
	snprintf(name, sizeof(name), "%.*s%u%s", (int)(at - user), user, n,
	    at + 1);
	return name;
}

static unsigned
stat_count(void)
{
	const char *p;
	size_t n;

	put("STAT\r\n", 6);
	p = line(&n);
	if (n < 4 || memcmp(p, "+OK ", 4) != 0)
		errx(1, "%.*s", (int)n, p);
	return (unsigned)strtoul(p + 4, NULL, 10);
}

int
main(int argc, char **argv)
{
	bool pipe = false, keep = false;
	unsigned polls = 0, count = 0;
	long wait_ms = 0;
	double t0, t1, t2, t3;
	int c;

	while ((c = getopt(argc, argv, "kpP:w:")) != -1) {
		if (c == 'p')
			pipe = true;
		else if (c == 'k')
			keep = true;
		else if (c == 'P')
			polls = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'w')
			wait_ms = strtol(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind != 4)
		return 2;
	argv += optind;
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	if (inet_pton(AF_INET, argv[0], &server.sin_addr) != 1)
		return 2;
	t0 = now();
	for (unsigned i = 1; i <= polls; i++) {
		log_in(name_of(argv[2], i), argv[3]);
		count = stat_count();
		ask(true, "UIDL\r\n");
		ask(false, "QUIT\r\n");
		close(fd);
		if (wait_ms > 0)
			(void)poll(NULL, 0, (int)wait_ms);
	}
	if (polls > 0) {
		printf("{\"polls\": %u, \"messages\": %u, \"seconds\": %.4f}\n",
		    polls, count, now() - t0 - polls * (double)wait_ms / 1000);
		return 0;
	}
	log_in(argv[2], argv[3]);
	count = stat_count();
	ask(true, "UIDL\r\n");
	t1 = now();
	all("RETR", count, true, pipe);
	t2 = now();
	all("DELE", count, false, pipe);
	if (keep)
		ask(false, "RSET\r\n");
	ask(false, "QUIT\r\n");
	t3 = now();
	printf("{\"messages\": %u, \"octets\": %llu, \"seconds\": %.4f, "
	    "\"login_uidl\": %.4f, \"retr\": %.4f, \"dele_quit\": %.4f}\n",
	    count, (unsigned long long)octets, t3 - t0, t1 - t0, t2 - t1,
	    t3 - t2);
	return 0;
}
