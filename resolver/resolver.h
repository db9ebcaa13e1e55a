/* SPDX-License-Identifier: ISC */
/*
 * resolver.h - private to the resolver daemon.
 */
#ifndef RESOLVER_RESOLVER_H
#define RESOLVER_RESOLVER_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_resolver.h"

/* --- session.c: the clients ---------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);

/* --- servers.c: the name servers ------------------------------------------------ */

#define SERVERS_MAX	16
#define RESOLV_CONF	"/etc/resolv.conf"

struct server {
	char		 text[128];	/* libunbound's form */
	struct sock_addr addr;		/* len 0: only libunbound knows it */
};
struct servers {
	struct server	 v[SERVERS_MAX];
	size_t		 n;		/* 0: the root servers */
};
/* -1 with why: resolver_servers makes no sense. */
MUST_CHECK int servers_read(struct servers *s, struct why *why);

/* --- alive.c: whether one of them answers ----------------------------------------- */

struct alive;
struct alive *alive_new(struct loop *l, const struct servers *s);
void	 alive_free(struct alive **a);
/* A question waits for long: look whether somebody is there. */
void	 alive_doubt(struct alive *a);
/* Somebody is. */
void	 alive_heard(struct alive *a);
/* Nobody was when we looked last. */
bool	 alive_silent(const struct alive *a);

/* --- source.c: whom they ask ----------------------------------------------------- */

struct source;
/* At start and at reload; -1 with why. */
MUST_CHECK int source_setup(struct why *why);
/* For a new question: it holds the source until source_leave(). */
struct source *source_now(void);
struct unb *source_unb(const struct source *o);
struct alive *source_alive(const struct source *o);
void	 source_leave(struct source *o);

/* --- unbound.c: the only file that knows libunbound ------------------------------ */

struct unb;			/* a resolver with its servers and cache */
struct unb_question;

struct unb_answer {
	enum resolver_status status;
	bool		 secure;
	uint32_t	 ttl;
	const char	*name;		/* where the CNAMEs led */
	const struct buf *records;	/* as resolver_answer's */
	const char	*text;
};
typedef void unb_fn(void *arg, const struct unb_answer *a);

/* From conf.resolver_...; NULL with why. */
struct unb *unb_new(struct loop *l, const struct servers *s, struct why *why);
/* Its questions are forgotten: no handler is called. */
void	 unb_free(struct unb **u);
/* NULL with why: it cannot be asked. */
struct unb_question *unb_ask(struct unb *u, const char *name, unsigned type,
	    unb_fn *fn, void *arg, struct why *why);
void	 unb_cancel(struct unb_question **q);
size_t	 unb_pending(const struct unb *u);

/* --- names.c: names as DNS wants them -------------------------------------------- */

/* A-labels, lower case, without dot at the end; 0 or -1. */
MUST_CHECK int name_to_ascii(struct span name, char out[256]);

/* --- hosts.c: /etc/hosts ------------------------------------------------------------- */

/*
 * The addresses of name that text (a hosts(5) file) has, of type DNS_A or
 * DNS_AAAA, appended to records as resolver_answer's; *other says that it has
 * one of the other family.  How many.
 */
size_t	 hosts_find(struct span text, const char *name, unsigned type,
	    struct buf *records, bool *other);
/* The name of the first line with the address that reverse ("1.2.0.192.
 * in-addr.arpa") stands for, as a PTR record; 1 or 0. */
size_t	 hosts_find_name(struct span text, const char *reverse,
	    struct buf *records);

#endif
