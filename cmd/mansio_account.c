/* SPDX-License-Identifier: ISC */
/*
 * mansio user password, app-password, disable, enable, show - what changes or
 * tells something of one account that exists (mansio_user.c makes them).
 *
 * Only the account's line in authd_password_file is touched; authd sees the
 * change with the next login.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/userfile.h"
#include "auth/userline.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "cmd/mansio.h"
#include "mail/address.h"

#define APP_GROUPS	5		/* "abcde-fghij-...", five bits each */
#define APP_GROUP_LEN	5

struct one {
	struct userfile	 file;
	int		 lock;
	struct buf	 name;
	struct span	 text;		/* of the account's line */
};

void
mansio_give_users_to_authd(void)
{
	struct passwd *pw = getpwnam(conf.authd_owner);

	if (pw == NULL)
		pw = getpwnam(conf.mail_owner);
	if (geteuid() != 0 || pw == NULL)
		return;
	if (lchown(conf.authd_password_file, 0, pw->pw_gid) < 0 &&
	    errno != ENOENT)
		log_warning("cannot give %s to the group of authd: %m",
		    conf.authd_password_file);
}

/* Open the file and find the account; EX_NOUSER, or MANSIO_OK. */
static int
open_account(struct one *o, const char *address, bool change)
{
	struct why why = WHY_INIT;

	*o = (struct one){ .lock = -1, .name = BUF_INIT(BUF_UNLIMITED) };
	log_set_fatal_status(MANSIO_FAILED);
	mansio_load();
	if (change) {
		o->lock = open(params_config_dir(), O_RDONLY | O_DIRECTORY |
		    O_CLOEXEC);
		if (o->lock < 0 || flock(o->lock, LOCK_EX) < 0)
			log_fatal("cannot lock %s: %m", params_config_dir());
	}
	if (userfile_read(&o->file, conf.authd_password_file, &why) < 0)
		log_fatal("%s", why.text);
	address_fold(span_trim(span_of(address)), true, &o->name);
	if (!userfile_line(&o->file, buf_span(&o->name), &o->text)) {
		log_error("there is no account %s", o->name.data);
		return EX_NOUSER;
	}
	return MANSIO_OK;
}

static void
close_account(struct one *o)
{
	userfile_fini(&o->file);
	buf_fini(&o->name);
	if (o->lock >= 0)
		close(o->lock);
}

static int
store(struct one *o, struct buf *text)
{
	struct why why = WHY_INIT;

	(void)userfile_put(&o->file, buf_span(&o->name), buf_span(text));
	if (userfile_write(&o->file, &why) < 0)
		log_fatal("%s", why.text);
	mansio_give_users_to_authd();
	buf_wipe(text);
	close_account(o);
	return MANSIO_OK;
}

/* One field becomes value; see userline_edit(). */
static int
edit(const char *address, const char *prefix, struct span value)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct one o;
	int rc = open_account(&o, address, true);

	if (rc != MANSIO_OK)
		return rc;
	userline_edit(o.text, span_of(prefix), value, &text);
	return store(&o, &text);
}

static int
set_password(const char *address)
{
	struct buf password = BUF_INIT(PASSWORD_MAX + 2);
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct one o;
	int rc;

	rc = open_account(&o, address, true);
	if (rc != MANSIO_OK)
		return rc;
	mansio_ask_password(o.name.data, &password);
	if (password_line(buf_span(&password), PASSWORD_FULL, o.text, &text,
	    &why) < 0) {
		log_error("%s", why.text);
		buf_wipe(&password);
		return EX_DATAERR;
	}
	buf_wipe(&password);
	return store(&o, &text);
}

/* --- app passwords -------------------------------------------------------------- */

static void
make_secret(struct buf *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char raw[APP_GROUPS * APP_GROUP_LEN];

	rnd_bytes(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++) {
		if (i > 0 && i % APP_GROUP_LEN == 0)
			buf_add_char(out, '-');
		buf_add_char(out, letters[raw[i] & 31]);
	}
	mem_wipe(raw, sizeof(raw));
}

/* "90d" as seconds; -1: no time. */
int64_t
mansio_parse_time(const char *text)
{
	static const struct {
		char		unit;
		int64_t		seconds;
	} units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 7 * 86400 },
	};
	struct span s = span_of(text);
	int64_t unit = 1;
	uint64_t n;

	for (size_t i = 0; s.len > 1 && i < ARRAY_LEN(units); i++)
		if (s.p[s.len - 1] == units[i].unit) {
			unit = units[i].seconds;
			s.len--;
			break;
		}
	return num_parse_u64(s, 100ull * 366 * 86400 / (uint64_t)unit, &n) < 0
	    ? -1 : (int64_t)n * unit;
}

/* "imap,smtp" as "imap+smtp". */
static int
parse_scopes(const char *text, struct buf *out)
{
	struct span rest = span_of(text), w;

	while (span_token(&rest, ",+ ", &w)) {
		if (!span_is(w, "smtp") && !span_is(w, "imap") &&
		    !span_is(w, "pop3"))
			return -1;
		if (out->len > 0)
			buf_add_char(out, '+');
		buf_add_span(out, w);
	}
	return out->len > 0 ? 0 : -1;
}

static int
app_add(int argc, char **argv)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED), scopes, secret, hash, field;
	const char *scope = "imap,pop3,smtp", *expires = NULL;
	struct app_password app = { .created = (uint64_t)clock_wall_s() };
	char *prefix;
	int64_t after;
	struct one o;
	int rc;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--scope") == 0 && i + 1 < argc)
			scope = argv[++i];
		else if (strcmp(argv[i], "--expires") == 0 && i + 1 < argc)
			expires = argv[++i];
		else
			return mansio_usage("user");
	}
	scopes = secret = hash = field = BUF_INIT(BUF_UNLIMITED);
	if (!app_password_name_ok(span_of(argv[1]))) {
		log_error("\"%s\": the name of an app password is letters, "
		    "digits, '-', '_' and '.'", argv[1]);
		return EX_DATAERR;
	}
	if (parse_scopes(scope, &scopes) < 0) {
		log_error("--scope %s: a scope is a list of smtp, imap, pop3",
		    scope);
		return EX_DATAERR;
	}
	if (expires != NULL) {
		if ((after = mansio_parse_time(expires)) <= 0) {
			log_error("--expires %s: no time such as 90d",
			    expires);
			return EX_DATAERR;
		}
		app.expires = app.created + (uint64_t)after;
	}
	rc = open_account(&o, argv[0], true);
	if (rc != MANSIO_OK)
		return rc;
	make_secret(&secret);
	password_hash_random(buf_span(&secret), &hash);
	app.name = span_of(argv[1]);
	app.scopes = buf_span(&scopes);
	app.hash = buf_span(&hash);
	app_password_text(&app, &field);
	prefix = mem_printf("app=%s,", argv[1]);
	userline_edit(o.text, span_of(prefix), buf_span(&field), &text);
	rc = store(&o, &text);
	/* This is the only time that anybody sees it. */
	printf("%s\n", secret.data);
	mem_free(prefix);
	buf_fini(&scopes);
	buf_wipe(&secret);
	buf_fini(&hash);
	buf_fini(&field);
	return fflush(stdout) == 0 ? rc : MANSIO_FAILED;
}

static int
app_delete(const char *address, const char *name)
{
	char *prefix = mem_printf("app=%s,", name);
	struct one o;
	bool there;
	int rc;

	rc = open_account(&o, address, false);
	if (rc != MANSIO_OK)
		return rc;
	there = span_search(o.text, span_of(prefix)) >= 0;
	close_account(&o);
	if (!app_password_name_ok(span_of(name)) || !there) {
		log_error("%s has no app password \"%s\"", address, name);
		return EX_NOUSER;
	}
	rc = edit(address, prefix, SPAN(""));
	mem_free(prefix);
	return rc;
}

/* --- show ------------------------------------------------------------------------- */

static void
put_date(const char *title, uint64_t t, const char *never)
{
	char text[CLOCK_RFC5322_MAX];

	if (t == 0) {
		printf("  %s %s", title, never);
		return;
	}
	clock_rfc5322((int64_t)t, text);
	printf("  %s %s", title, text);
}

/* "{ARGON2ID}" of a secret. */
static struct span
scheme_of(struct span secret)
{
	ptrdiff_t close = span_find(secret, '}');

	return close > 0 ? span_sub(secret, 1, (size_t)close - 1) :
	    secret.len > 1 ? SPAN("CRYPT") : SPAN("none");
}

static void
show_text(const struct one *o, const struct userline *l)
{
	struct span rest = l->fields, f;
	struct app_password app;

	printf("%s\n", o->name.data);
	printf("  state: %s\n", l->disabled ? "disabled" : "enabled");
	printf("  password: %.*s\n", SPAN_ARG(scheme_of(l->secret)));
	printf("  SCRAM-SHA-256: %s\n", l->scram256.len > 0 ||
	    span_casestarts(l->secret, SPAN("{SCRAM-SHA-256}")) ?
	    "yes" : "after the next login with the password");
	while (userline_field(&rest, &f)) {
		if (!app_password_parse(f, &app))
			continue;
		printf("  app password: %.*s  for %.*s", SPAN_ARG(app.name),
		    SPAN_ARG(app.scopes));
		put_date("made", app.created, "?");
		put_date("expires", app.expires, "never");
		put_date("used", app.used, "never");
		printf("\n");
	}
}

/* Names were checked when they were made: nothing in them needs quoting. */
static void
show_json(const struct one *o, const struct userline *l)
{
	struct span rest = l->fields, f;
	struct app_password app;
	const char *comma = "";

	printf("{\"address\": \"%s\", \"disabled\": %s, \"scheme\": \"%.*s\", "
	    "\"scram\": %s, \"app_passwords\": [", o->name.data,
	    l->disabled ? "true" : "false", SPAN_ARG(scheme_of(l->secret)),
	    l->scram256.len > 0 ? "true" : "false");
	while (userline_field(&rest, &f)) {
		if (!app_password_parse(f, &app))
			continue;
		printf("%s{\"name\": \"%.*s\", \"scopes\": \"%.*s\", "
		    "\"created\": %llu, \"expires\": %llu, \"used\": %llu}",
		    comma, SPAN_ARG(app.name), SPAN_ARG(app.scopes),
		    (unsigned long long)app.created,
		    (unsigned long long)app.expires,
		    (unsigned long long)app.used);
		comma = ", ";
	}
	printf("]}\n");
}

static int
show(const char *address, bool json)
{
	struct userline l;
	struct one o;
	int rc = open_account(&o, address, false);

	if (rc != MANSIO_OK)
		return rc;
	userline_parse(&l, o.text);
	if (json)
		show_json(&o, &l);
	else
		show_text(&o, &l);
	close_account(&o);
	return fflush(stdout) == 0 ? MANSIO_OK : MANSIO_FAILED;
}

int
mansio_account(int argc, char **argv)
{
	const char *what = argv[1];

	if (strcmp(what, "password") == 0 && argc == 3)
		return set_password(argv[2]);
	if (strcmp(what, "disable") == 0 && argc == 3)
		return edit(argv[2], "disabled", SPAN("disabled"));
	if (strcmp(what, "enable") == 0 && argc == 3)
		return edit(argv[2], "disabled", SPAN(""));
	if (strcmp(what, "show") == 0 && argc == 3)
		return show(argv[2], false);
	if (strcmp(what, "show") == 0 && argc == 4 &&
	    strcmp(argv[3], "--json") == 0)
		return show(argv[2], true);
	if (strcmp(what, "app-password") == 0 && argc >= 5 &&
	    strcmp(argv[2], "add") == 0)
		return app_add(argc - 3, argv + 3);
	if (strcmp(what, "app-password") == 0 && argc == 5 &&
	    strcmp(argv[2], "delete") == 0)
		return app_delete(argv[3], argv[4]);
	return mansio_usage("user");
}
