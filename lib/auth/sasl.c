/* SPDX-License-Identifier: ISC */
/*
 * sasl - see sasl.h: all mechanisms but SCRAM.
 */
#include "auth/sasl_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#define PASSWORD_LEN_MAX	1024	/* bytes; what is stored is shorter */
#define TOKEN_LEN_MAX		12288

static const struct {
	const char	*name;
	bool		 plaintext;
} mechs[SASL_MECH_COUNT] = {
	[SASL_PLAIN]		 = { "PLAIN", true },
	[SASL_LOGIN]		 = { "LOGIN", true },
	[SASL_SCRAM_SHA1]	 = { "SCRAM-SHA-1", false },
	[SASL_SCRAM_SHA1_PLUS]	 = { "SCRAM-SHA-1-PLUS", false },
	[SASL_SCRAM_SHA256]	 = { "SCRAM-SHA-256", false },
	[SASL_SCRAM_SHA256_PLUS] = { "SCRAM-SHA-256-PLUS", false },
	[SASL_OAUTHBEARER]	 = { "OAUTHBEARER", true },
	[SASL_XOAUTH2]		 = { "XOAUTH2", true },
	[SASL_EXTERNAL]		 = { "EXTERNAL", false },
};

const char *
sasl_mech_name(enum sasl_mech m)
{
	return mechs[m].name;
}

int
sasl_mech_find(struct span name, enum sasl_mech *out)
{
	for (unsigned i = 0; i < SASL_MECH_COUNT; i++)
		if (span_caseis(name, mechs[i].name)) {
			*out = (enum sasl_mech)i;
			return 0;
		}
	return -1;
}

bool
sasl_mech_plaintext(enum sasl_mech m)
{
	return mechs[m].plaintext;
}

struct sasl *
sasl_new(enum sasl_mech m, const struct sasl_channel *channel)
{
	struct sasl *s = mem_zalloc(sizeof(*s));

	s->mech = m;
	s->channel = *channel;
	s->out = BUF_INIT(BUF_UNLIMITED);
	s->authcid = BUF_INIT(SASL_NAME_LEN_MAX);
	s->authzid = BUF_INIT(SASL_NAME_LEN_MAX);
	s->password = BUF_SECRET(PASSWORD_LEN_MAX);
	s->token = BUF_SECRET(TOKEN_LEN_MAX);
	s->nonce = BUF_INIT(1024);
	s->bare = BUF_INIT(BUF_UNLIMITED);
	s->first = BUF_INIT(BUF_UNLIMITED);
	s->gs2 = BUF_INIT(BUF_UNLIMITED);
	return s;
}

void
sasl_free(struct sasl **sp)
{
	struct sasl *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	buf_fini(&s->out);
	buf_fini(&s->authcid);
	buf_fini(&s->authzid);
	buf_wipe(&s->password);
	buf_wipe(&s->token);
	buf_fini(&s->nonce);
	buf_fini(&s->bare);
	buf_fini(&s->first);
	buf_fini(&s->gs2);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

enum sasl_need
sasl_broken(struct sasl *s, const char *why)
{
	s->why = why;
	s->at = AT_END;
	return SASL_BROKEN;
}

bool
sasl_name_ok(struct span name)
{
	if (name.len > SASL_NAME_LEN_MAX || !utf8_valid(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
			return false;
	return true;
}

static enum sasl_need
ask(struct sasl *s, const char *text)
{
	buf_reset(&s->out);
	buf_add_str(&s->out, text);
	return SASL_NEED_RESPONSE;
}

static enum sasl_need
judge(struct sasl *s, enum sasl_need what)
{
	s->at = AT_JUDGE;
	return what;
}

/* --- PLAIN: [authzid] NUL authcid NUL password ------------------------------------ */

static enum sasl_need
plain(struct sasl *s, struct span in)
{
	ptrdiff_t a = span_find(in, '\0'), b;
	struct span rest, authzid, authcid;

	if (a < 0)
		return sasl_broken(s, "no NUL in a PLAIN response");
	authzid = span_sub(in, 0, (size_t)a);
	rest = span_from(in, (size_t)a + 1);
	b = span_find(rest, '\0');
	if (b < 0)
		return sasl_broken(s, "one NUL in a PLAIN response");
	authcid = span_sub(rest, 0, (size_t)b);
	rest = span_from(rest, (size_t)b + 1);
	if (span_has_nul(rest))
		return sasl_broken(s, "too many NULs in a PLAIN response");
	if (authcid.len == 0 || !sasl_name_ok(authcid) ||
	    !sasl_name_ok(authzid))
		return sasl_broken(s, "not a user name");
	if (rest.len == 0 || !utf8_valid(rest) ||
	    buf_put_span(&s->password, rest) < 0)
		return sasl_broken(s, "not a password");
	buf_add_span(&s->authcid, authcid);
	buf_add_span(&s->authzid, authzid);
	return judge(s, SASL_NEED_PASSWORD);
}

/* --- LOGIN: two questions ------------------------------------------------------------ */

static enum sasl_need
login_name(struct sasl *s, struct span in)
{
	if (in.len == 0 || !sasl_name_ok(in))
		return sasl_broken(s, "not a user name");
	buf_add_span(&s->authcid, in);
	s->at = AT_LOGIN_PASSWORD;
	/* Some clients look for just this text. */
	return ask(s, "Password:");
}

static enum sasl_need
login_password(struct sasl *s, struct span in)
{
	if (in.len == 0 || span_has_nul(in) || !utf8_valid(in) ||
	    buf_put_span(&s->password, in) < 0)
		return sasl_broken(s, "not a password");
	return judge(s, SASL_NEED_PASSWORD);
}

/* --- OAUTHBEARER and XOAUTH2 ----------------------------------------------------------- */

/* "auth=Bearer token" among fields that end in ^A. */
static enum sasl_need
bearer_fields(struct sasl *s, struct span in)
{
	ptrdiff_t end;

	while ((end = span_find(in, '\001')) > 0) {
		struct span field = span_sub(in, 0, (size_t)end);
		struct span type = SPAN("auth=Bearer ");

		in = span_from(in, (size_t)end + 1);
		if (span_starts(field, SPAN("user="))) {
			field = span_from(field, 5);
			if (!sasl_name_ok(field))
				return sasl_broken(s, "not a user name");
			buf_reset(&s->authzid);
			buf_add_span(&s->authzid, field);
			continue;
		}
		if (!span_casestarts(field, type))
			continue;	/* host=, port=: not ours to need */
		field = span_trim(span_from(field, type.len));
		for (size_t i = 0; i < field.len; i++)	/* RFC 6750 2.1 */
			if (field.p[i] <= ' ' || field.p[i] > '~')
				return sasl_broken(s, "not a token");
		if (s->token.len > 0 || buf_put_span(&s->token, field) < 0)
			return sasl_broken(s, "not a token");
	}
	if (end != 0 || in.len != 1)
		return sasl_broken(s, "a response without its end");
	return judge(s, SASL_NEED_TOKEN);
}

static enum sasl_need
oauthbearer(struct sasl *s, struct span in)
{
	struct span header, name;
	ptrdiff_t end = span_find(in, '\001');

	/* RFC 7628 3.1: gs2-header, ^A; no channel binding. */
	if (end < 0)
		return sasl_broken(s, "no GS2 header");
	header = span_sub(in, 0, (size_t)end);
	if (!span_starts(header, SPAN("n,")) &&
	    !span_starts(header, SPAN("y,")))
		return sasl_broken(s, "not a GS2 header");
	header = span_from(header, 2);
	if (header.len == 0 || header.p[header.len - 1] != ',')
		return sasl_broken(s, "not a GS2 header");
	header.len--;
	if (header.len > 0) {
		if (!span_starts(header, SPAN("a=")))
			return sasl_broken(s, "not a GS2 header");
		name = span_from(header, 2);
		if (name.len == 0 || !sasl_name_ok(name) ||
		    span_find(name, ',') >= 0 || span_find(name, '=') >= 0)
			return sasl_broken(s, "not a user name");
		buf_add_span(&s->authzid, name);
	}
	return bearer_fields(s, span_from(in, (size_t)end + 1));
}

/* --- EXTERNAL ----------------------------------------------------------------------------- */

static enum sasl_need
external(struct sasl *s, struct span in)
{
	if (!sasl_name_ok(in))
		return sasl_broken(s, "not a user name");
	s->at = AT_END;
	if (s->channel.cert_name.len == 0 ||
	    !sasl_name_ok(s->channel.cert_name))
		return SASL_WRONG;
	buf_add_span(&s->authzid, in);
	buf_add_span(&s->authcid, s->channel.cert_name);
	return SASL_PROVEN;
}

/* --- one step -------------------------------------------------------------------------------- */

static enum sasl_need
start(struct sasl *s, const struct span *in)
{
	/* Where the client speaks first, an empty challenge asks it to. */
	if (in == NULL)
		return ask(s, s->mech == SASL_LOGIN ? "Username:" : "");
	switch (s->mech) {
	case SASL_PLAIN:
		return plain(s, *in);
	case SASL_LOGIN:
		return login_name(s, *in);
	case SASL_OAUTHBEARER:
		return oauthbearer(s, *in);
	case SASL_XOAUTH2:
		return bearer_fields(s, *in);
	case SASL_EXTERNAL:
		return external(s, *in);
	default:
		return scram_first(s, *in);
	}
}

enum sasl_need
sasl_step(struct sasl *s, const struct span *response)
{
	struct span in = response != NULL ? *response : SPAN("");

	if (++s->steps > SASL_STEPS_MAX)
		return sasl_broken(s, "too many responses");
	buf_reset(&s->out);
	switch (s->at) {
	case AT_START:
		return start(s, response);
	case AT_LOGIN_PASSWORD:
		return login_password(s, in);
	case AT_SCRAM_FINAL:
		return scram_final(s, in);
	case AT_SCRAM_DONE:
		s->at = AT_END;
		if (in.len != 0)
			return sasl_broken(s, "data after the end");
		return SASL_PROVEN;
	case AT_TOKEN_FAILED:
		/* RFC 7628 3.2.3: a dummy response, then the failure. */
		s->at = AT_END;
		return SASL_WRONG;
	default:
		return sasl_broken(s, "data after the end");
	}
}

enum sasl_need
sasl_judge(struct sasl *s, bool right)
{
	bool bearer = s->mech == SASL_OAUTHBEARER || s->mech == SASL_XOAUTH2;

	if (s->at != AT_JUDGE)
		return sasl_broken(s, "out of turn");
	s->at = AT_END;
	if (right)
		return SASL_PROVEN;
	if (!bearer)
		return SASL_WRONG;
	s->at = AT_TOKEN_FAILED;
	return ask(s, s->mech == SASL_XOAUTH2
	    ? "{\"status\":\"401\",\"schemes\":\"bearer\"}"
	    : "{\"status\":\"invalid_token\"}");
}

enum sasl_need
sasl_keys(struct sasl *s, const struct scram_keys *k, bool known)
{
	if (s->at != AT_SCRAM_KEYS)
		return sasl_broken(s, "out of turn");
	s->keys = *k;
	s->known = known;
	return scram_challenge(s);
}

struct span
sasl_out(const struct sasl *s)
{
	return buf_span(&s->out);
}

struct span
sasl_authcid(const struct sasl *s)
{
	return buf_span(&s->authcid);
}

struct span
sasl_authzid(const struct sasl *s)
{
	return buf_span(&s->authzid);
}

struct span
sasl_password(const struct sasl *s)
{
	return buf_span(&s->password);
}

struct span
sasl_token(const struct sasl *s)
{
	return buf_span(&s->token);
}

const char *
sasl_why(const struct sasl *s)
{
	return s->why != NULL ? s->why : "";
}

int
sasl_set_authcid(struct sasl *s, struct span name)
{
	if (name.len == 0 || !sasl_name_ok(name))
		return -1;
	buf_reset(&s->authcid);
	return buf_put_span(&s->authcid, name);
}

void
sasl_fix_nonce(struct sasl *s, struct span nonce)
{
	s->fixed_nonce = nonce;
}
