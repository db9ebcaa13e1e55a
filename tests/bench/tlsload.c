/* SPDX-License-Identifier: ISC */
/*
 * tlsload - make TLS connections to a server that greets, one after another.
 *
 *	tlsload [-r] [-2] [-n count] [-b bytes | -c clients] host port
 *
 * -r resumes the last session each time, -2 speaks TLS 1.2, -b sends so many
 * bytes on each connection, -c has so many connections at a time.  Prints seconds, how many sessions were resumed,
 * and our own CPU time, as JSON.
 */
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"

#define PIECE	(256 * 1024)

static SSL_SESSION *last;
static bool resume;
static char piece[PIECE];

static int
new_session(SSL *ssl, SSL_SESSION *s)
{
	SSL_SESSION_free(last);
	last = s;
	return 1;
}

static int
dial(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		log_fatal("connect: %m");
	return fd;
}

/* Returns whether the session was resumed. */
static bool
one(SSL_CTX *ctx, const struct addrinfo *ai, long long bytes)
{
	int fd = dial(ai);
	SSL *ssl = SSL_new(ctx);
	char text[4096];
	bool reused;

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		log_fatal("no memory");
	if (resume && last != NULL)
		SSL_set_session(ssl, last);
	if (SSL_connect(ssl) != 1 ||
	    SSL_read(ssl, text, sizeof(text)) <= 0) {
		ERR_print_errors_fp(stderr);
		log_fatal("no handshake or no greeting");
	}
	reused = SSL_session_reused(ssl) == 1;
	for (long long left = bytes; left > 0; left -= PIECE)
		if (SSL_write(ssl, piece, (int)MIN(left, PIECE)) <= 0)
			log_fatal("write failed");
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
	return reused;
}

/* --- several at a time ------------------------------------------------------ */

#define CLIENTS_MAX	256

static struct client {
	SSL	*ssl;
	int	 fd;
	short	 wants;		/* POLLIN or POLLOUT */
} clients[CLIENTS_MAX];

static void
begin(struct client *c, SSL_CTX *ctx, const struct addrinfo *ai)
{
	c->fd = dial(ai);
	c->ssl = SSL_new(ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
		log_fatal("no memory");
	if (resume && last != NULL)
		SSL_set_session(c->ssl, last);
	SSL_set_connect_state(c->ssl);
	c->wants = POLLOUT;
}

/* Go on; whether it has been greeted. */
static bool
step(struct client *c)
{
	char text[4096];
	int rc;

	ERR_clear_error();
	rc = SSL_read(c->ssl, text, sizeof(text));
	if (rc > 0)
		return true;
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		c->wants = POLLIN;
		return false;
	case SSL_ERROR_WANT_WRITE:
		c->wants = POLLOUT;
		return false;
	default:
		ERR_print_errors_fp(stderr);
		log_fatal("no handshake or no greeting");
	}
}

/* Returns how many sessions were resumed. */
static long
many(SSL_CTX *ctx, const struct addrinfo *ai, size_t n, long count)
{
	struct pollfd p[CLIENTS_MAX];
	long begun = 0, done = 0, reused = 0;

	for (; begun < (long)n && begun < count; begun++)
		begin(&clients[begun], ctx, ai);
	n = (size_t)begun;
	while (done < count) {
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){ .fd = clients[i].ssl != NULL ?
			    clients[i].fd : -1, .events = clients[i].wants };
		if (poll(p, n, -1) < 0)
			log_fatal("poll: %m");
		for (size_t i = 0; i < n; i++) {
			struct client *c = &clients[i];

			if (p[i].revents == 0 || !step(c))
				continue;
			reused += SSL_session_reused(c->ssl);
			SSL_shutdown(c->ssl);
			SSL_free(c->ssl);
			close(c->fd);
			c->ssl = NULL;
			done++;
			if (begun++ < count)
				begin(c, ctx, ai);
		}
	}
	return reused;
}

int
main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	struct timespec a, b;
	struct rusage u;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	long long bytes = 0;
	long count = 1000, reused = 0, together = 1;
	int c;

	log_set_tag("tlsload");
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt(argc, argv, "2b:c:n:r")) != -1)
		switch (c) {
		case '2':
			SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
			break;
		case 'b':
			bytes = strtoll(optarg, NULL, 10);
			break;
		case 'c':
			together = strtol(optarg, NULL, 10);
			break;
		case 'n':
			count = strtol(optarg, NULL, 10);
			break;
		case 'r':
			resume = true;
			break;
		default:
			return 64;
		}
	if (together < 1 || together > CLIENTS_MAX || argc - optind != 2 ||
	    getaddrinfo(argv[optind], argv[optind + 1], &hints, &ai) != 0)
		return 64;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	(void)one(ctx, ai, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (together > 1)
		reused = many(ctx, ai, (size_t)together, count);
	else
		for (long i = 0; i < count; i++)
			reused += one(ctx, ai, bytes);
	clock_gettime(CLOCK_MONOTONIC, &b);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"seconds\": %.4f, \"reused\": %ld, \"own_cpu\": %.4f}\n",
	    (double)(b.tv_sec - a.tv_sec) +
	    (double)(b.tv_nsec - a.tv_nsec) / 1e9, reused,
	    (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 +
	    (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6);
	freeaddrinfo(ai);
	SSL_CTX_free(ctx);
	return 0;
}
