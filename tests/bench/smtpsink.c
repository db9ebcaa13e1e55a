/* SPDX-License-Identifier: ISC */
/*
 * smtpsink - a lean SMTP server that takes all mail and keeps none, for
 * benchmarks.
 *
 *	smtpsink [-a ADDRESS] [-n SILENT] PORT
 *
 *	-a	listen there (127.0.0.1)
 *	-n	the first SILENT connections are accepted and hear nothing
 *
 * Answers EHLO with PIPELINING and 8BITMIME, and each group of commands with
 * one write.  Every second, and at the end (SIGTERM), it prints one line of
 * JSON: messages, recipients and connections so far, and those that are open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_KEEP	1024	/* bytes of an unfinished line */

struct session {
	int	 fd;
	bool	 data, silent;
	bool	 first;		/* no content has been passed over */
	size_t	 in_len;
	char	 in[LINE_KEEP];
};

static unsigned long messages, rcpts, connections, live, silent;
static volatile sig_atomic_t stop;
static char input[LINE_KEEP + 256 * 1024], output[64 * 1024];

static void
on_term(int sig)
{
	stop = 1;
}

static void
die(const char *what)
{
	fprintf(stderr, "smtpsink: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
report(void)
{
	printf("{\"messages\": %lu, \"rcpts\": %lu, \"connections\": %lu, "
	    "\"live\": %lu}\n", messages, rcpts, connections, live);
	fflush(stdout);
}

/* The reply to a line of commands. */
static const char *
command(struct session *s, const char *p, size_t n)
{
	if (n >= 4 && strncasecmp(p, "EHLO", 4) == 0)
		return "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
	if (n >= 4 && strncasecmp(p, "RCPT", 4) == 0)
		rcpts++;
	if (n >= 4 && strncasecmp(p, "DATA", 4) == 0) {
		s->data = s->first = true;
		return "354 go\r\n";
	}
	if (n >= 4 && strncasecmp(p, "QUIT", 4) == 0)
		return "221 bye\r\n";
	return "250 ok\r\n";
}

/* Where content ends: behind its dot; NULL: not here. */
static const char *
content_end(bool first, const char *p, const char *end)
{
	const char *dot;

	if (first && end - p >= 3 && memcmp(p, ".\r\n", 3) == 0)
		return p + 3;
	dot = memmem(p, (size_t)(end - p), "\r\n.\r\n", 5);
	return dot == NULL ? NULL : dot + 5;
}

/* False: the connection is over. */
static bool
take(struct session *s)
{
	const char *p = input, *end;
	size_t out = 0;
	ssize_t n;

	memcpy(input, s->in, s->in_len);
	n = recv(s->fd, input + s->in_len, sizeof(input) - s->in_len, 0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	end = input + s->in_len + n;
	s->in_len = 0;
	if (s->silent)
		return true;
	while (p < end) {
		const char *line = p, *reply;

		if (s->data) {
			p = content_end(s->first, p, end);
			if (p == NULL) {
				/* The dot may be half here. */
				p = end - line > 4 ? end - 4 : line;
				s->first = s->first && p == line;
				break;
			}
			s->data = false;
			messages++;
			reply = "250 ok\r\n";
		} else {
			p = memchr(p, '\n', (size_t)(end - p));
			if (p == NULL) {
				p = line;
				break;
			}
			reply = command(s, line, (size_t)(++p - line));
		}
		if (out + 128 > sizeof(output))
			return false;
		memcpy(output + out, reply, strlen(reply));
		out += strlen(reply);
	}
	if (end - p > LINE_KEEP)
		return false;
	s->in_len = (size_t)(end - p);
	memcpy(s->in, p, s->in_len);
	return out == 0 ||
	    send(s->fd, output, out, MSG_NOSIGNAL) == (ssize_t)out;
}

static void
greet(int ep, int listener)
{
	static const char hello[] = "220 sink\r\n";
	struct epoll_event ev = { .events = EPOLLIN };
	int on = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct session *s = calloc(1, sizeof(*s));

		if (s == NULL)
			die("memory");
		s->fd = fd;
		s->silent = connections < silent;
		ev.data.ptr = s;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("epoll_ctl");
		connections++;
		live++;
		if (!s->silent)
			(void)send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL);
	}
}

static int
listen_at(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
		sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 1 << 20, 1 << 20 };
	struct epoll_event ev = { .events = EPOLLIN }, got[64];
	const char *address = "127.0.0.1";
	int opt, listener, ep;

	while ((opt = getopt(argc, argv, "a:n:")) != -1) {
		if (opt == 'a')
			address = optarg;
		else if (opt == 'n')
			silent = strtoul(optarg, NULL, 10);
		else
			return 64;
	}
	if (argc - optind != 1)
		return 64;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGTERM, on_term);
	listener = listen_at(address, argv[optind]);
	ep = epoll_create1(0);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
		die("epoll");
	report();
	while (!stop) {
		int n = epoll_wait(ep, got, 64, 1000);

		if (n == 0)
			report();
		for (int i = 0; i < n; i++) {
			struct session *s = got[i].data.ptr;

			if (s == NULL) {
				greet(ep, listener);
			} else if (!take(s)) {
				close(s->fd);
				free(s);
				live--;
			}
		}
	}
	report();
	return 0;
}
