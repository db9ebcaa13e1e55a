/* SPDX-License-Identifier: ISC */
/*
 * smtpload - a lean SMTP client that sends many messages, for benchmarks.
 *
 *	smtpload [-s sessions] [-n messages] [-l bytes] [-u users] [-1] [-p]
 *	    [-d domain] [-i seconds] address port
 *
 *	-s	sessions at the same time (1)
 *	-n	messages in all (1000)
 *	-l	bytes of content in each (4096)
 *	-u	recipients u0@domain to u<n-1>@domain take turns (1)
 *	-1	a connection of its own for each message
 *	-p	PIPELINING: MAIL, RCPT, DATA in one write, together with the
 *		message before
 *	-i	no messages: open the sessions, send EHLO and MAIL, print
 *		"idle" and hold them for so many seconds
 *
 * Prints one line of JSON: messages accepted and refused, seconds, messages
 * a second, and percentiles of the time from the end of a message to its
 * reply.  Exit status 1 when any was refused.
 *
 * One thread, one epoll; messages are made once.  What it costs itself is
 * mostly system calls: with -p two a message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum state {
	CONNECT, GREETING, EHLO, MAIL, RCPT, DATA, CONTENT, QUIT, IDLE
};

struct session {
	int		 fd;
	enum state	 state;
	bool		 has_message;	/* counts towards -n */
	bool		 group_sent;	/* -p: commands are on their way */
	char		 in[4096];
	size_t		 in_len;
	char		*out;		/* what is being written */
	size_t		 out_len, out_at, out_alloc;
	int64_t		 sent_us;
};

static struct sockaddr_in	 server;
static int			 ep;
static unsigned			 nsessions = 1, users = 1, idle_s;
static unsigned long		 nmessages = 1000, started, accepted, refused;
static size_t			 content_len = 4096;
static bool			 one_each, pipelined;
static const char		*domain = "example.test";
static char			*content;
static size_t			 content_out;	/* with the final dot */
static uint32_t			*latency;	/* us, of each accepted */
static unsigned			 live, idle_ready;

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
die(const char *what)
{
	fprintf(stderr, "smtpload: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
make_content(void)
{
	static const char head[] =
	    "From: <sender@example.org>\r\nTo: <user@example.test>\r\n"
	    "Subject: benchmark\r\nDate: Mon, 02 Mar 2026 12:00:00 +0000\r\n"
	    "Message-ID: <1@example.org>\r\n\r\n";
	static const char line[] =
	    "The quick brown fox jumps over the lazy dog, again and "
	    "again and again.\r\n";
	size_t at = sizeof(head) - 1;

	content = malloc(content_len + sizeof(head) + sizeof(line) + 8);
	if (content == NULL)
		die("memory");
	memcpy(content, head, at);
	while (at < content_len) {
		memcpy(content + at, line, sizeof(line) - 1);
		at += sizeof(line) - 1;
	}
	memcpy(content + at, ".\r\n", 3);
	content_out = at + 3;
}

static void
put(struct session *s, const char *p, size_t n)
{
	if (s->out_len + n > s->out_alloc) {
		s->out_alloc = (s->out_len + n) * 2;
		s->out = realloc(s->out, s->out_alloc);
		if (s->out == NULL)
			die("memory");
	}
	memcpy(s->out + s->out_len, p, n);
	s->out_len += n;
}

static void
put_line(struct session *s, const char *line)
{
	put(s, line, strlen(line));
}

/* Begin a message if there is one left to send. */
static bool
take_message(struct session *s)
{
	if (started == nmessages)
		return false;
	started++;
	s->has_message = true;
	return true;
}

static void
put_rcpt(struct session *s)
{
	char line[512];

	snprintf(line, sizeof(line), "RCPT TO:<u%lu@%s>\r\n",
	    started % users, domain);
	put_line(s, line);
}

static void
put_group(struct session *s)
{
	put_line(s, "MAIL FROM:<sender@example.org>\r\n");
	put_rcpt(s);
	put_line(s, "DATA\r\n");
	s->group_sent = true;
}

static void	open_session(struct session *s);

static void
want(struct session *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(ep, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		die("epoll_ctl");
}

static void
flush(struct session *s)
{
	while (s->out_at < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_at,
		    s->out_len - s->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			want(s, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0)
			die("send");
		s->out_at += (size_t)n;
		if (s->out_at == s->out_len && s->out_len > 65536)
			want(s, EPOLLIN);
	}
	s->out_at = s->out_len = 0;
}

static void
close_session(struct session *s)
{
	close(s->fd);
	s->fd = -1;
	s->in_len = s->out_len = s->out_at = 0;
	live--;
	if (started < nmessages && idle_s == 0)
		open_session(s);
}

static void
open_session(struct session *s)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT,
	    .data.ptr = s };
	int on = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(s->fd, (struct sockaddr *)&server, sizeof(server)) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	s->state = CONNECT;
	s->group_sent = s->has_message = false;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev) < 0)
		die("epoll_ctl");
	live++;
}

static void
send_content(struct session *s)
{
	put(s, content, content_out);
	s->state = CONTENT;
	s->group_sent = false;
	s->sent_us = now_us();
	if (pipelined && !one_each && started < nmessages) {
		/* The next group goes with this message. */
		started++;
		put_group(s);
	}
}

static void
next_message(struct session *s)
{
	if (s->group_sent) {
		s->has_message = true;
		s->state = MAIL;
		return;
	}
	if ((one_each && s->state == CONTENT) || !take_message(s)) {
		put_line(s, "QUIT\r\n");
		s->state = QUIT;
		return;
	}
	if (pipelined) {
		put_group(s);
	} else {
		put_line(s, "MAIL FROM:<sender@example.org>\r\n");
	}
	s->state = MAIL;
}

static void
refuse(struct session *s, const char *line)
{
	if (refused++ < 5)
		fprintf(stderr, "smtpload: %s\n", line);
	s->has_message = false;
	close_session(s);
}

/* One whole reply has come; false when the session was closed. */
static bool
on_reply(struct session *s, const char *line)
{
	char code = line[0];

	switch (s->state) {
	case CONNECT:
	case GREETING:
		put_line(s, "EHLO bench.example.org\r\n");
		s->state = EHLO;
		break;
	case EHLO:
		if (idle_s > 0) {
			put_line(s, "MAIL FROM:<sender@example.org>\r\n");
			s->state = IDLE;
			break;
		}
		next_message(s);
		break;
	case IDLE:
		if (++idle_ready == nsessions) {
			printf("idle\n");
			fflush(stdout);
		}
		break;
	case MAIL:
		if (code != '2') {
			refuse(s, line);
			return false;
		}
		if (!pipelined)
			put_rcpt(s);
		s->state = RCPT;
		break;
	case RCPT:
		if (code != '2') {
			refuse(s, line);
			return false;
		}
		if (!pipelined)
			put_line(s, "DATA\r\n");
		s->state = DATA;
		break;
	case DATA:
		if (code != '3') {
			refuse(s, line);
			return false;
		}
		send_content(s);
		break;
	case CONTENT:
		if (code != '2') {
			refuse(s, line);
			return false;
		}
		latency[accepted++] = (uint32_t)(now_us() - s->sent_us);
		s->has_message = false;
		next_message(s);
		break;
	case QUIT:
		close_session(s);
		return false;
	}
	return true;
}

static void
on_input(struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->in_len,
	    sizeof(s->in) - 1 - s->in_len, 0);
	char *line = s->in, *nl;

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		refuse(s, "connection lost");
		return;
	}
	s->in_len += (size_t)n;
	s->in[s->in_len] = '\0';
	while ((nl = strchr(line, '\n')) != NULL) {
		*nl = '\0';
		if (nl - line >= 4 && line[3] == '-') {
			line = nl + 1;
			continue;
		}
		if (!on_reply(s, line))
			return;
		line = nl + 1;
	}
	s->in_len -= (size_t)(line - s->in);
	memmove(s->in, line, s->in_len);
	flush(s);
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The latency that percent of the messages do not exceed. */
static double
percentile_ms(unsigned long percent)
{
	unsigned long at = accepted * percent / 100;

	return accepted ? (double)latency[at] / 1000.0 : 0.0;
}

static void
report(double seconds)
{
	qsort(latency, accepted, sizeof(*latency), by_value);
	printf("{\"messages\": %lu, \"refused\": %lu, \"seconds\": %.3f, "
	    "\"per_second\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
	    accepted, refused, seconds, (double)accepted / seconds,
	    percentile_ms(50), percentile_ms(99));
}

static void
loop(struct session *sessions)
{
	struct epoll_event ev[256];
	int64_t end = now_us() + (int64_t)idle_s * 1000000;

	for (unsigned i = 0; i < nsessions; i++) {
		open_session(&sessions[i]);
		/* Stay below the listener's backlog. */
		if (i % 64 == 63)
			usleep(2000);
	}
	while (live > 0) {
		int n = epoll_wait(ep, ev, 256, 1000);

		for (int i = 0; i < n; i++) {
			struct session *s = ev[i].data.ptr;

			if (s->fd < 0)
				continue;
			if (s->state == CONNECT) {
				s->state = GREETING;
				want(s, EPOLLIN);
			}
			if (ev[i].events & EPOLLOUT)
				flush(s);
			if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				on_input(s);
		}
		if (idle_s > 0 && now_us() > end)
			return;
	}
}

static unsigned long
number(const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end != '\0' || end == text) {
		fprintf(stderr, "smtpload: not a number: %s\n", text);
		exit(2);
	}
	return v;
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct session *sessions;
	int64_t begin;
	int c;

	while ((c = getopt(argc, argv, "s:n:l:u:d:i:1p")) != -1) {
		switch (c) {
		case 's': nsessions = (unsigned)number(optarg); break;
		case 'n': nmessages = number(optarg); break;
		case 'l': content_len = number(optarg); break;
		case 'u': users = (unsigned)number(optarg); break;
		case 'd': domain = optarg; break;
		case 'i': idle_s = (unsigned)number(optarg); break;
		case '1': one_each = true; break;
		case 'p': pipelined = true; break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2 || users == 0 || nsessions == 0) {
		fprintf(stderr, "usage: smtpload [options] address port\n");
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)number(argv[optind + 1]));
	if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1) {
		fprintf(stderr, "smtpload: not an address\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	ep = epoll_create1(0);
	make_content();
	latency = calloc(nmessages + 1, sizeof(*latency));
	sessions = calloc(nsessions, sizeof(*sessions));
	if (ep < 0 || latency == NULL || sessions == NULL)
		die("memory");
	begin = now_us();
	loop(sessions);
	if (idle_s == 0)
		report((double)(now_us() - begin) / 1e6);
	free(sessions);
	free(latency);
	return refused > 0;
}
