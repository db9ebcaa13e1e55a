/* SPDX-License-Identifier: ISC */
/*
 * mtasts.h - private to the daemon of MTA-STS policies.
 *
 * session.c has the clients, domain.c knows what we know of each domain and
 * when to look again, fetch.c gets a policy, store.c keeps them over restarts.
 */
#ifndef MTASTS_MTASTS_H
#define MTASTS_MTASTS_H

#include "base/array.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/why.h"
#include "dns/dns_client.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_mtasts.h"
#include "mail/sts.h"

/* --- a policy that we have seen ---------------------------------------------- */

struct policy {
	enum sts_mode	 mode;
	uint32_t	 max_age;	/* seconds */
	char		 id[STS_ID_MAX + 1];
	char		*mx;		/* patterns, a space between */
	int64_t		 fetched_s;	/* wall clock */
	int64_t		 used_s;	/* when somebody last asked */
};

/* --- fetch.c: one look at a domain ----------------------------------------------- */

struct fetch;
extern struct dns_client *dns;

/* Before the jail. */
MUST_CHECK int fetch_open(struct why *why);
void	 fetch_start(void);

struct fetch_result {
	enum mtasts_result result;
	const char	*id;		/* of the record */
	uint32_t	 ttl;		/* of the record, or of its absence */
	/* MTASTS_OK: the policy, or NULL: it is the one of known_id. */
	const struct sts_policy *policy;
	const char	*text;		/* what is wrong */
};
typedef void fetch_fn(void *arg, const struct fetch_result *r);
/*
 * known_id: of a policy that need not be fetched again; "" without.  fn is
 * called once, from the loop and not from here; r is good during the call.
 */
struct fetch *fetch_begin(const char *domain, const char *known_id,
	    fetch_fn *fn, void *arg);

/* --- domain.c ------------------------------------------------------------------------ */

struct domain;

struct waiter {			/* embedded in the question of a client */
	struct list	 link;
	void		(*fn)(struct waiter *w, const struct mtasts_policy *p);
};

void	 domain_start(void);
/* w->fn is called once, perhaps from here. */
void	 domain_ask(struct span name, bool fresh, struct waiter *w);
/* The question is taken back. */
void	 domain_leave(struct waiter *w);
/* Write what has changed, and wait for it. */
void	 domain_save(void);

/* --- store.c: the file --------------------------------------------------------------- */

/* Before the jail: makes the directory. */
MUST_CHECK int store_open(struct why *why);
typedef void store_fn(void *arg, const char *domain, struct policy *p);
/* Calls fn for each policy in the file, which it may take over (mx). */
void	 store_load(store_fn *fn, void *arg);
/* A line for the file. */
void	 store_put(struct buf *out, const char *domain,
	    const struct policy *p);
/* One line of it: 0, or -1: damaged.  p->mx is allocated. */
MUST_CHECK int store_parse(struct span line, char domain[DNS_NAME_MAX + 1],
	    struct policy *p);
/* The file. */
const char *store_path(void);

/* --- session.c --------------------------------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);
/* A reload, or the end: the next process reads what is saved now. */
void	 session_retire(void);

#endif
