/* SPDX-License-Identifier: ISC */
/*
 * policy - restriction lists: compiled (rules.c, plan.c), evaluated (policy.c),
 * what they ask others (ask.c, service.c), and access tables (access.c).
 * Private to these.
 *
 * A list is an array of rules; a class is a list that a rule enters.  A run
 * keeps a stack of (list, place), so that it can stop at a rule that has to
 * ask rewrite and go on with that rule when the answer is there.  A rule
 * that returns WAIT is called again and must come to the same point: rules
 * have no effects before their last question is answered.
 */
#ifndef SMTPD_POLICY_H
#define SMTPD_POLICY_H

#include "dns/dns_client.h"
#include "smtpd/smtpd.h"

/* Questions to the DNS in one decision; further ones are not answered. */
#define POLICY_DNS_MAX		400

/* Classes in classes in access tables: deeper is a loop. */
#define POLICY_DEPTH_MAX	16
/* Rules in one decision, the same ones again included. */
#define POLICY_RULES_MAX	1000

enum verdict {
	V_DUNNO,		/* no opinion: the next rule */
	V_PERMIT,		/* this list is over */
	V_REJECT,		/* the reply is chosen */
	V_WAIT,
	V_ENTER			/* run->enter is a list to go through first */
};

struct rule;
struct rules;

typedef enum verdict rule_fn(struct policy_run *r, const struct rule *rule);

enum rule_arg {
	ARG_NONE, ARG_TABLE, ARG_PRINTS, ARG_NUMBER,
	ARG_DOMAIN,		/* example.org=127.0.0.[1;3..5] */
	ARG_SERVICE		/* inet:host:port, { ..., timeout=10s } */
};

struct rule_def {
	const char	*name;
	enum rule_arg	 arg;
	rule_fn		*eval;
	int		 flavour;	/* for functions with several names */
};

/* What check_policy_service is about: a service, and its settings. */
struct policy_service {
	char		*server;	/* "inet:127.0.0.1:9998" */
	char		*default_action, *policy_context;
	int64_t		 timeout, max_idle, max_ttl, retry_delay; /* s */
	int64_t		 request_limit, try_limit;
};

struct rule {
	const struct rule_def	*def;
	struct span		 arg;		/* a table, or "" */
	int64_t			 number;	/* ARG_PRINTS: enum print_order */
	const struct rules	*list;		/* of a class */
	struct policy_service	*service;	/* ARG_SERVICE */
	char			*text;		/* as written, for the log */
};

struct rules {
	const char	*title;		/* "smtpd_client_restrictions" */
	const char	*origin;	/* "/etc/mansio/main.cf:12" */
	size_t		 n;
	struct rule	*v;
};

enum flavour {			/* whose text and address a rule is about */
	FOR_CLIENT, FOR_HELO, FOR_SENDER, FOR_RCPT, FOR_ETRN, FOR_DATA,
	FOR_EOD, FOR_CCERT, FOR_LOGIN,
	FOR_REVERSE		/* the client, by the name it claims */
};

/* Which fingerprints of a client's certificate are looked up, in order: of the
 * certificate, of its public key. */
enum print_order {
	PRINT_CERT_PKEY, PRINT_PKEY_CERT, PRINT_CERT, PRINT_PKEY
};

/*
 * Compile a list.  Errors are reported through fn, each with the
 * parameter's origin; the result is then NULL.  With a (not NULL) all memory
 * comes from there: lists in access tables live as long as the run.
 */
typedef void rules_problem_fn(const char *origin, const char *text);
struct rules *rules_compile(const char *title, const char *origin,
	    struct span text, struct arena *a, rules_problem_fn *fn);
/* Classes by name, from smtpd_restriction_classes. */
MUST_CHECK int rules_load_classes(rules_problem_fn *problem);
const struct rule_def *rules_find_def(struct span name);
/* Whether a word can stand in a list: a restriction, a class, a table. */
bool	 rules_known(struct span word);
/*
 * "inet:host:port" or "inet:host:port, timeout=10s, ...".  The memory is a's, or
 * kept for good where that is NULL.  NULL with why.
 */
struct policy_service *service_parse(struct span arg, struct arena *a,
	    struct why *why);
void	 service_free(struct policy_service **p);	/* not an arena's */
/* The rule for reject_unlisted_recipient and the like, to be added. */
struct rules *rules_builtin(const char *title, const char *name);

struct frame {
	const struct rules	*list;
	size_t			 next;
	bool			 warn;		/* warn_if_reject for next */
	bool			 warn_all;	/* it stood before the class */
};

/* The lists of a stage, in order; the last one has no rules. */
struct plan {
	const struct rules	*list;
	enum flavour		 flavour;
};

/* The lists of a stage. */
const struct plan *policy_plan(enum stage s);
/* Whether smtpd_log_access_permit_actions names it. */
bool	 policy_logs_permit(const char *restriction);

/* A question to the DNS, and its answer once it is there. */
struct policy_dns {
	struct list	 link;		/* of the run's */
	struct policy_run *r;
	struct dns_query *q;		/* NULL: answered */
	struct span	 name;
	enum dns_type	 type;
	struct dns_answer answer;	/* in the run's arena */
};

struct deferral {
	bool		 active;
	char		*text;		/* the whole reply, in the arena */
};

struct policy_run {
	struct session	*s;
	enum stage	 stage;
	policy_fn	*done;
	struct arena	 arena;

	const struct plan *plan;
	enum flavour	 flavour;	/* of the list we are in */
	struct frame	 frames[POLICY_DEPTH_MAX];
	unsigned	 depth;
	unsigned	 rules_done;
	unsigned	 sub;		/* step inside the rule */
	bool		 stepping, warn;
	const struct rules *enter;

	struct ask	 ask;
	enum { ASKED_NONE, ASKED_RCPT, ASKED_SENDER, ASKED_TABLE } asked;
	struct service_query *service;	/* under way, or NULL */
	int64_t		 patience_ms;	/* what we wait for may take so long */
	unsigned	 defaulted;	/* depth at which a service's default
					 * action was taken; 0: none */
	bool		 have_table;
	struct answer	 table;
	struct lookup_keys keys;
	struct list	 dns;		/* struct policy_dns */
	unsigned	 ndns;
	bool		 dns_wait;	/* the rule waits for one of them */
	/* The recipient or sender, resolved. */
	bool		 have_rcpt, have_sender;
	struct answer	 rcpt_answer, sender_answer;

	struct span	 rcpt;		/* as given; "" when there is none */
	struct span	 rcpt_show;
	struct policy_rcpt out;
	struct deferral	 if_permit, if_reject;
	bool		 rcpt_checked, sender_checked, discard;
	/* The reply, and what it is about. */
	char		*text;
	char		*rule_text;
	const struct rule *rule;
};

/* Choose a reply: "code dsn text"; logs it; V_REJECT, or V_DUNNO where the
 * rule may only warn. */
enum verdict policy_reject(struct policy_run *r, int code, const char *dsn,
	    const char *fmt, ...) PRINTF(4, 5);
void	 policy_defer_if(struct policy_run *r, struct deferral *d, int code,
	    const char *dsn, const char *fmt, ...) PRINTF(5, 6);
/* Log an action that is no rejection: "hold", "warn", "prepend", ... */
void	 policy_log(struct policy_run *r, const char *action,
	    const char *fmt, ...) PRINTF(3, 4);
/* "Sender address", and the address, as Postfix words them. */
const char *policy_class_text(enum flavour f);
const char *policy_reply_name(struct policy_run *r, enum flavour f);
/* Ask for the recipient or sender; NULL: wait. */
const struct answer *policy_need_rcpt(struct policy_run *r);
const struct answer *policy_need_sender(struct policy_run *r);
/* Go on after V_WAIT; the run may be gone afterwards. */
void	 policy_continue(struct policy_run *r);
/* Ask verify; class is then enum verify_status. */
const struct answer *policy_ask_verify(struct policy_run *r,
	    struct span addr);
const struct answer *policy_ask_table(struct policy_run *r,
	    struct span table);
/* The same, for quotad's answer. */
const struct answer *policy_ask_room(struct policy_run *r,
	    struct span addr, uint64_t bytes);

/* The same, for a policy service: value is its action. */
const struct answer *policy_ask_service(struct policy_run *r,
	    const struct policy_service *p);

/*
 * Ask the DNS; NULL: wait.  Asked once in a run, however often a rule comes
 * by, so that rules with many questions are written as if each had its answer.
 */
const struct dns_answer *policy_ask_dns(struct policy_run *r,
	    struct span name, enum dns_type type);
/* The other policy_ask_...() are for a rule that waits for no DNS answer. */

/* The reply where rewrite could not say what f's address is. */
enum verdict policy_not_resolved(struct policy_run *r,
	    const struct answer *a, enum flavour f);
/* dsn with the class that goes with code: "4.7.1", 554 is "5.7.1". */
const char *policy_dsn(struct policy_run *r, int code, const char *dsn);

/* ask.c: for the run itself. */
void	 policy_ask_init(struct policy_run *r);
void	 policy_ask_cancel(struct policy_run *r);
/* A copy in the run's memory. */
struct span policy_keep(struct policy_run *r, struct span s);
/* "RCPT", "END-OF-MESSAGE": what the client has just said. */
const char *policy_stage_text(const struct policy_run *r);

/* service.c */
rule_fn eval_policy_service;
/* Ask; *q is for service_cancel(), and NULL when fn is called. */
struct service_query;
void	 service_ask(struct ask *ask, struct policy_run *r,
	    const struct policy_service *p, struct service_query **q);
void	 service_cancel(struct service_query **q);	/* *q may be NULL */
/* How long an answer can take, ms. */
int64_t	 service_patience_ms(const struct policy_service *p);

/* access.c */
void	 access_email_keys(struct lookup_keys *k, struct arena *a,
	    struct span addr);
void	 access_domain_keys(struct lookup_keys *k, struct arena *a,
	    struct span domain);
void	 access_addr_keys(struct lookup_keys *k, struct arena *a,
	    struct span addr);
/* Whether its first word is an action of access(5), or a restriction. */
bool	 access_result_known(struct span value);
enum verdict access_result(struct policy_run *r, const struct rule *rule,
	    struct span value, struct span key, enum flavour f);
/* The fingerprints of the client's certificate.  False: there is none. */
bool	 access_print_keys(struct policy_run *r, enum print_order order);
rule_fn access_eval;

#endif
