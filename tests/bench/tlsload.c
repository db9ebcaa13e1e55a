/* SPDX-License-Identifier: ISC */
/*
 * tlsload - make TLS connections to a server that greets, one after another.
 *
 *	tlsload [-r] [-2] [-n count] [-b bytes] host port
 *
 * -r resumes the last session each time, -2 speaks TLS 1.2, -b sends so many
 * bytes on each connection.  Prints seconds, how many sessions were resumed,
 * and our own CPU time, as JSON.
 */
#include <netdb.h>
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

int
main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	struct timespec a, b;
	struct rusage u;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	long long bytes = 0;
	long count = 1000, reused = 0;
	int c;

	log_set_tag("tlsload");
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt(argc, argv, "2b:n:r")) != -1)
		switch (c) {
		case '2':
			SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
			break;
		case 'b':
			bytes = strtoll(optarg, NULL, 10);
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
	if (argc - optind != 2 || getaddrinfo(argv[optind],
	    argv[optind + 1], &hints, &ai) != 0)
		return 64;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	(void)one(ctx, ai, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
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
