/* SPDX-License-Identifier: ISC */
/*
 * access - access(5) tables: what they are asked, and what they answer.
 */
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "smtpd/policy.h"

/* --- keys ------------------------------------------------------------------------- */

static void
add(struct lookup_keys *k, struct span key)
{
	if (k->n < REWRITE_KEYS_MAX && key.len > 0)
		k->v[k->n++] = key;
}

static struct span
fold(struct arena *a, struct span s)
{
	char *p = arena_span_dup(a, s);

	for (size_t i = 0; i < s.len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 'a' - 'A');
	return span_make(p, s.len);
}

/* Whether example.com in a table stands for a.example.com too. */
static bool
parents_match(void)
{
	struct span rest = span_of(conf.parent_domain_matches_subdomains);
	struct span word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, "smtpd_access_maps"))
			return true;
	return false;
}

void
access_domain_keys(struct lookup_keys *k, struct arena *a,
    struct span domain)
{
	bool bare = parents_match();
	struct span d = fold(a, domain);
	ptrdiff_t dot;

	if (d.len > 0 && d.p[d.len - 1] == '.')
		d.len--;
	add(k, d);
	if (d.len == 0 || d.p[0] == '[')
		return;		/* a literal has no parents */
	while (k->n < REWRITE_KEYS_MAX - 4 && (dot = span_find(d, '.')) >= 0) {
		if (bare) {
			d = span_from(d, (size_t)dot + 1);
			add(k, d);
		} else {
			d = span_from(d, (size_t)dot);
			add(k, d);
			d = span_from(d, 1);
		}
	}
}

void
access_addr_keys(struct lookup_keys *k, struct arena *a, struct span addr)
{
	char sep = span_find(addr, ':') >= 0 ? ':' : '.';
	struct span s = addr;
	ptrdiff_t at;

	add(k, s);
	while (k->n < REWRITE_KEYS_MAX && (at = span_rfind(s, sep)) > 0) {
		s = span_sub(s, 0, (size_t)at);
		/* "2001:db8::1" is shortened to "2001:db8", not to a colon. */
		while (s.len > 0 && s.p[s.len - 1] == sep)
			s.len--;
		add(k, s);
	}
}

bool
access_print_keys(struct policy_run *r, enum print_order order)
{
	const struct secured *sec = r->s->secured;
	struct lookup_keys *k = &r->keys;
	struct span cert, pkey;

	if (sec == NULL || sec->cert_print == NULL)
		return false;
	cert = fold(&r->arena, span_of(sec->cert_print));
	pkey = fold(&r->arena, span_of(sec->pkey_print));
	k->n = 0;
	if (order == PRINT_PKEY_CERT || order == PRINT_PKEY)
		add(k, pkey);
	if (order != PRINT_PKEY)
		add(k, cert);
	if (order == PRINT_CERT_PKEY)
		add(k, pkey);
	k->nwhole = k->n;
	return k->n > 0;
}

/* user+ext@domain, user@domain, domain and parents, user+ext@, user@. */
void
access_email_keys(struct lookup_keys *k, struct arena *a, struct span addr)
{
	struct span local, domain, user, ext;
	bool has_ext;

	if (addr.len == 0) {
		add(k, span_of(conf.smtpd_null_access_lookup_key));
		return;
	}
	addr = fold(a, addr);
	address_split(addr, &local, &domain);
	has_ext = conf.recipient_delimiter[0] != '\0' &&
	    address_split_ext(local, conf.recipient_delimiter, &user, &ext);
	add(k, addr);
	if (domain.p == NULL) {
		if (has_ext)
			add(k, user);
		return;
	}
	if (has_ext)
		add(k, span_of(arena_printf(a, "%.*s@%.*s", SPAN_ARG(user),
		    SPAN_ARG(domain))));
	access_domain_keys(k, a, domain);
	add(k, span_of(arena_printf(a, "%.*s@", SPAN_ARG(local))));
	if (has_ext)
		add(k, span_of(arena_printf(a, "%.*s@", SPAN_ARG(user))));
}

/* --- results ----------------------------------------------------------------------- */

/* "5.7.1 text" or "text": the code is cut off when it fits the reply's. */
static struct span
split_dsn(struct span text, char class, const char *fallback, char dsn[12])
{
	struct span rest = text, word;

	if (span_token(&rest, " \t", &word) && dsn_code_valid(word) &&
	    word.p[0] == class && span_copy(word, dsn, 12) == 0)
		return span_trim(rest);
	if (span_copy(span_of(fallback), dsn, 12) < 0)
		dsn[0] = '\0';
	return text;
}

static enum verdict
refuse(struct policy_run *r, int code, struct span text, const char *fallback,
    enum flavour f)
{
	char dsn[12];
	char def[8] = "5.7.1";

	def[0] = code < 500 ? '4' : '5';
	text = split_dsn(text, def[0], def, dsn);
	if (text.len == 0)
		text = span_of(fallback);
	return policy_reject(r, code, dsn, "<%s>: %s rejected: %.*s",
	    policy_reply_name(r, f), policy_class_text(f), SPAN_ARG(text));
}

static void
defer_if(struct policy_run *r, struct deferral *d, struct span text,
    enum flavour f)
{
	char dsn[12];

	text = split_dsn(text, '4', "4.7.1", dsn);
	if (text.len == 0)
		text = SPAN("Service unavailable");
	policy_defer_if(r, d, (int)conf.access_map_defer_code, dsn,
	    "<%s>: %s rejected: %.*s", policy_reply_name(r, f),
	    policy_class_text(f), SPAN_ARG(text));
}

static struct span
keep(struct txn *t, struct span s)
{
	return span_make(arena_span_dup(&t->arena, s), s.len);
}

/* "name: value", fit to stand in front of a header section. */
static bool
is_header(struct span s)
{
	ptrdiff_t colon = span_find(s, ':');

	if (colon <= 0 || span_find(s, '\n') >= 0)
		return false;
	for (ptrdiff_t i = 0; i < colon; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127)
			return false;
	return true;
}

/*
 * Actions that mark the message.  They need a transaction; after the content
 * it is too late for a header only.
 */
static enum verdict
mark(struct policy_run *r, struct span word, struct span text,
    const struct rule *rule, enum flavour f)
{
	struct txn *t = r->s->txn;
	const char *name = policy_reply_name(r, f);
	const char *class = policy_class_text(f);

	if (t == NULL || r->stage == STAGE_VRFY ||
	    (r->stage == STAGE_EOD && span_caseis(word, "PREPEND"))) {
		log_warning("access table %.*s: action %.*s is skipped: it "
		    "cannot be done at this stage", SPAN_ARG(rule->arg),
		    SPAN_ARG(word));
		return V_DUNNO;
	}
	if (text.len > ENVELOPE_VALUE_MAX) {
		log_warning("access table %.*s: the text of %.*s is too long",
		    SPAN_ARG(rule->arg), SPAN_ARG(word));
		return V_DUNNO;
	}
	if (span_caseis(word, "DISCARD")) {
		policy_log(r, "discard", "<%s>: %s %.*s", name, class,
		    SPAN_ARG(text.len > 0 ? text :
		    SPAN("triggers DISCARD action")));
		t->discard = r->discard = true;
		return V_PERMIT;
	}
	t->changed |= r->stage == STAGE_EOD;
	if (span_caseis(word, "HOLD")) {
		policy_log(r, "hold", "<%s>: %s %.*s", name, class,
		    SPAN_ARG(text.len > 0 ? text :
		    SPAN("triggers HOLD action")));
		t->env.flags |= ENV_HOLD;
	} else if (span_caseis(word, "FILTER")) {
		if (span_find(text, ':') <= 0) {
			log_warning("access table %.*s: FILTER needs "
			    "transport:destination", SPAN_ARG(rule->arg));
			return V_DUNNO;
		}
		policy_log(r, "filter", "<%s>: %s triggers FILTER %.*s", name,
		    class, SPAN_ARG(text));
		t->env.filter = keep(t, text);
	} else if (span_caseis(word, "REDIRECT")) {
		if (span_find(text, '@') < 0) {
			log_warning("access table %.*s: REDIRECT needs "
			    "user@domain", SPAN_ARG(rule->arg));
			return V_DUNNO;
		}
		policy_log(r, "redirect", "<%s>: %s triggers REDIRECT %.*s",
		    name, class, SPAN_ARG(text));
		t->env.redirect = keep(t, text);
	} else if (span_caseis(word, "BCC")) {
		if (span_find(text, '@') < 0) {
			log_warning("access table %.*s: BCC needs "
			    "user@domain", SPAN_ARG(rule->arg));
			return V_DUNNO;
		}
		policy_log(r, "bcc", "<%s>: %s triggers BCC %.*s", name,
		    class, SPAN_ARG(text));
		for (size_t i = 0; i < t->bcc.len; i++)
			if (span_eq(t->bcc.v[i], text))
				return V_DUNNO;
		*ARRAY_PUSH(&t->bcc) = keep(t, text);
	} else {			/* PREPEND */
		if (!is_header(text)) {
			log_warning("access table %.*s: PREPEND needs "
			    "headername: value", SPAN_ARG(rule->arg));
			return V_DUNNO;
		}
		policy_log(r, "prepend", "<%s>: %s triggers PREPEND %.*s",
		    name, class, SPAN_ARG(text));
		/* The same rule decides anew for each recipient. */
		for (size_t i = 0; i < t->prepend.len; i++)
			if (span_eq(t->prepend.v[i], text))
				return V_DUNNO;
		*ARRAY_PUSH(&t->prepend) = keep(t, text);
	}
	return V_DUNNO;
}

static bool
all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.len > 0;
}

static void
bad_list(const char *origin, const char *text)
{
	log_warning("%s: %s", origin, text);
}

bool
access_result_known(struct span value)
{
	static const char *const words[] = {
		"DUNNO", "OK", "REJECT", "DEFER", "DEFER_IF_PERMIT",
		"DEFER_IF_REJECT", "WARN", "INFO", "DISCARD", "HOLD", "FILTER",
		"REDIRECT", "BCC", "PREPEND"
	};
	struct span word;
	uint32_t code;

	if (!span_token(&value, " \t", &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_caseis(word, words[i]))
			return true;
	if (all_digits(word))
		return word.len != 3 || (span_trim(value).len > 0 &&
		    num_parse_u32(word, 599, &code) == 0 && code >= 400);
	return rules_known(word);
}

enum verdict
access_result(struct policy_run *r, const struct rule *rule,
    struct span value, struct span key, enum flavour f)
{
	static const char *const marks[] = {
		"DISCARD", "HOLD", "FILTER", "REDIRECT", "BCC", "PREPEND"
	};
	struct span rest, word, text;
	const char *name, *class;
	uint32_t code;

	value = span_trim(value);
	rest = value;
	if (!span_token(&rest, " \t", &word)) {
		log_warning("access table %.*s: entry %.*s has an empty "
		    "value", SPAN_ARG(rule->arg), SPAN_ARG(key));
		return V_DUNNO;
	}
	text = span_trim(rest);
	r->rule_text = arena_printf(&r->arena, "%s[%.*s]", rule->text,
	    SPAN_ARG(key));
	if (span_caseis(word, "DUNNO"))
		return V_DUNNO;
	if (span_caseis(word, "OK") || (all_digits(value) && value.len != 3))
		return V_PERMIT;
	if (word.len == 3 && num_parse_u32(word, 599, &code) == 0 &&
	    code >= 400 && text.len > 0)
		return refuse(r, (int)code, text, "Access denied", f);
	if (all_digits(value))
		return V_PERMIT;
	if (span_caseis(word, "REJECT"))
		return refuse(r, (int)conf.access_map_reject_code, text,
		    "Access denied", f);
	if (span_caseis(word, "DEFER"))
		return refuse(r, (int)conf.access_map_defer_code, text,
		    "Access denied", f);
	if (span_caseis(word, "DEFER_IF_PERMIT")) {
		defer_if(r, &r->if_permit, text, f);
		return V_DUNNO;
	}
	if (span_caseis(word, "DEFER_IF_REJECT")) {
		defer_if(r, &r->if_reject, text, f);
		return V_DUNNO;
	}
	name = policy_reply_name(r, f);
	class = policy_class_text(f);
	if (span_caseis(word, "WARN")) {
		policy_log(r, "warn", "<%s>: %s %.*s", name, class,
		    SPAN_ARG(text.len > 0 ? text :
		    SPAN("triggers WARN action")));
		return V_DUNNO;
	}
	if (span_caseis(word, "INFO")) {
		policy_log(r, "info", "<%s>: %s %.*s", name, class,
		    SPAN_ARG(text.len > 0 ? text :
		    SPAN("triggers INFO action")));
		return V_DUNNO;
	}
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (span_caseis(word, marks[i]))
			return mark(r, word, text, rule, f);
	/* A list of restrictions. */
	r->enter = rules_compile(rule->text, arena_printf(&r->arena,
	    "access table %.*s, entry %.*s", SPAN_ARG(rule->arg),
	    SPAN_ARG(key)), value, &r->arena, bad_list);
	if (r->enter == NULL)
		return policy_reject(r, 451, "4.3.5",
		    "Server configuration error");
	return V_ENTER;
}

/*
 * check_*_access.  A client is looked up by its name and then by its
 * address; each is whole for pattern tables, so it takes two questions.
 */
enum verdict
access_eval(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	const struct session *s = r->s;
	const struct answer *a;
	struct span key;

	for (;;) {
		if (!r->have_table) {
			r->keys.n = 0;
			r->keys.nwhole = 1;
			switch (f) {
			case FOR_CLIENT:
				if (r->sub == 0)
					access_domain_keys(&r->keys,
					    &r->arena, span_of(s->name));
				else
					access_addr_keys(&r->keys, &r->arena,
					    span_of(s->addr_text));
				break;
			case FOR_REVERSE:
				if (s->reverse_name == NULL)
					return V_DUNNO;
				access_domain_keys(&r->keys, &r->arena,
				    span_of(s->reverse_name));
				break;
			case FOR_HELO:
				if (s->helo == NULL)
					return V_DUNNO;
				access_domain_keys(&r->keys, &r->arena,
				    span_of(s->helo));
				break;
			case FOR_SENDER:
				if (s->txn == NULL)
					return V_DUNNO;
				access_email_keys(&r->keys, &r->arena,
				    s->txn->env.sender);
				break;
			case FOR_RCPT:
				if (r->rcpt.len == 0)
					return V_DUNNO;
				a = policy_need_rcpt(r);
				if (a == NULL)
					return V_WAIT;
				access_email_keys(&r->keys, &r->arena,
				    a->status == ANSWER_OK ? a->address :
				    r->rcpt);
				break;
			case FOR_CCERT:
				if (!access_print_keys(r,
				    (enum print_order)rule->number))
					return V_DUNNO;
				break;
			case FOR_LOGIN:
				if (s->login == NULL)
					return V_DUNNO;
				add(&r->keys, fold(&r->arena,
				    span_of(s->login)));
				break;
			default:		/* FOR_ETRN */
				access_domain_keys(&r->keys, &r->arena,
				    r->rcpt);
				break;
			}
		}
		a = policy_ask_table(r, rule->arg);
		if (a == NULL)
			return V_WAIT;
		if (a->status != ANSWER_OK) {
			log_warning("%s: table %.*s cannot be read: %.*s",
			    s->namaddr, SPAN_ARG(rule->arg),
			    SPAN_ARG(a->text));
			r->rule_text = rule->text;
			/* Never "not listed": the mail comes again. */
			return policy_reject(r, 451, "4.3.5",
			    "<%s>: %s rejected: Server configuration error",
			    policy_reply_name(r, f),
			    policy_class_text(f));
		}
		if (a->found) {
			key = a->key < r->keys.n ? r->keys.v[a->key] :
			    SPAN("?");
			return access_result(r, rule, a->value, key, f);
		}
		if (f != FOR_CLIENT || r->sub == 1)
			return V_DUNNO;
		r->sub = 1;
	}
}
