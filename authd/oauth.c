/* SPDX-License-Identifier: ISC */
/*
 * oauth - see oauth.h: the key file, read again when it has changed, and
 * what a token must say.
 */
#include "authd/oauth.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "auth/jwt.h"
#include "authd/introspect.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "io/fd.h"
#include "ipc/msg_auth.h"

static struct jwt_keys *keys;
static struct stat seen;

static int
refresh(struct why *why)
{
	const char *path = conf.authd_oauth_jwks_file;
	struct buf text = BUF_INIT(JWKS_MAX);
	struct jwt_keys *fresh;
	struct stat st;

	if (path[0] == '\0')
		return why_set(why, "", "authd_oauth_jwks_file is not set");
	if (stat(path, &st) < 0)
		return why_errno(why, "", "%s", path);
	if (keys != NULL && st.st_ino == seen.st_ino &&
	    st.st_size == seen.st_size &&
	    st.st_mtim.tv_sec == seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
		return 0;
	if (fd_read_file(AT_FDCWD, path, &text) < 0) {
		buf_fini(&text);
		return why_errno(why, "", "cannot read %s", path);
	}
	fresh = jwt_keys_parse(buf_span(&text), why);
	buf_fini(&text);
	if (fresh == NULL) {
		/* A bad file does not take the good keys away. */
		log_warning("%s: %s", path, why->text);
		return keys != NULL ? 0 : -1;
	}
	if (jwt_keys_count(fresh) == 0)
		log_warning("%s: no RSA key of 2048 bits and no key on P-256",
		    path);
	jwt_keys_free(&keys);
	keys = fresh;
	seen = st;
	return 0;
}

static int
check_here(struct span token, struct buf *user, struct why *why)
{
	struct jwt_demands want = {
		.issuer = conf.authd_oauth_issuer,
		.audience = conf.authd_oauth_audience,
		.scope = conf.authd_oauth_scope,
		.user_claim = conf.authd_oauth_username_claim,
		.now_s = clock_wall_s(),
	};

	if (refresh(why) < 0)
		return -1;
	return jwt_check(keys, token, &want, user, why);
}

enum oauth_result
oauth_check(struct span token, struct buf *user, struct why *why)
{
	bool ask = conf.authd_oauth_introspection_url[0] != '\0';
	bool always = strcmp(conf.authd_oauth_introspection, "always") == 0;

	/* What is no JSON web token can be judged elsewhere only. */
	if (ask && (conf.authd_oauth_jwks_file[0] == '\0' ||
	    !jwt_is_one(token)))
		goto ask;
	if (check_here(token, user, why) < 0)
		return OAUTH_BAD;
	if (!ask || !always)
		return OAUTH_GOOD;
ask:
	/* It would not fit into a question. */
	if (token.len > AUTH_DATA_MAX) {
		(void)why_set(why, "", "too long");
		return OAUTH_BAD;
	}
	switch (introspect_known(token, user)) {
	case INTROSPECT_GOOD:
		return OAUTH_GOOD;
	case INTROSPECT_BAD:
		(void)why_set(why, "", "refused a moment ago");
		return OAUTH_BAD;
	default:
		return OAUTH_ASK;
	}
}
