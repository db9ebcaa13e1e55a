/* SPDX-License-Identifier: ISC */
/*
 * settings - the words of the TLS parameters, and what inherits what.
 */
#include "tls/settings.h"

#include <dirent.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "tls/tls_priv.h"

#define SEPARATORS	", \t\r\n"
#define CIPHER_SEPARATORS ":, \t\r\n"

static const struct {
	const char	*name;
	enum tls_level	 level;
} levels[] = {
	{ "none", TLS_LEVEL_NONE }, { "may", TLS_LEVEL_MAY },
	{ "encrypt", TLS_LEVEL_ENCRYPT }, { "dane", TLS_LEVEL_DANE },
	{ "dane-only", TLS_LEVEL_DANE_ONLY },
	{ "fingerprint", TLS_LEVEL_FINGERPRINT },
	{ "verify", TLS_LEVEL_VERIFY }, { "secure", TLS_LEVEL_SECURE },
};

enum tls_level
tls_level_parse(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (span_caseis(name, levels[i].name))
			return levels[i].level;
	return TLS_LEVEL_INVALID;
}

const char *
tls_level_name(enum tls_level l)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (levels[i].level == l)
			return levels[i].name;
	return "invalid";
}

/* --- inheritance ---------------------------------------------------------------------- */

/* All files of a service in one list; "" when none is named. */
static char *
join_files(const char *chain_files, const char *const *others, size_t n)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (chain_files[0] != '\0')
		return mem_strdup(chain_files);
	for (size_t i = 0; i < n; i++) {
		/* A key in the file of its certificate is named twice. */
		if (others[i][0] == '\0' ||
		    (i % 2 == 1 && strcmp(others[i], others[i - 1]) == 0))
			continue;
		buf_addf(&b, "%s%s", b.len > 0 ? " " : "", others[i]);
	}
	buf_addf(&b, "%s", "");
	return buf_take(&b);
}

static char *
smtpd_files(void)
{
	const char *others[] = {
		conf.smtpd_tls_cert_file, conf.smtpd_tls_key_file,
		conf.smtpd_tls_eccert_file, conf.smtpd_tls_eckey_file,
	};

	return join_files(conf.smtpd_tls_chain_files, others, 4);
}

char *
tls_client_files(bool lmtp)
{
	const char *smtp[] = {
		conf.smtp_tls_cert_file, conf.smtp_tls_key_file,
		conf.smtp_tls_eccert_file, conf.smtp_tls_eckey_file,
	}, *other[] = {
		conf.lmtp_tls_cert_file, conf.lmtp_tls_key_file,
		conf.lmtp_tls_eccert_file, conf.lmtp_tls_eckey_file,
	};

	return join_files(lmtp ? conf.lmtp_tls_chain_files :
	    conf.smtp_tls_chain_files, lmtp ? other : smtp, 4);
}

static char *
files_or(const char *chain, const char *cert, const char *key, char *or)
{
	const char *others[] = { cert, key };
	char *own = join_files(chain, others, 2);

	if (own[0] != '\0') {
		mem_free(or);
		return own;
	}
	mem_free(own);
	return or;
}

static char *
mua_files(void)
{
	return files_or(conf.mua_tls_chain_files, conf.mua_tls_cert_file,
	    conf.mua_tls_key_file, smtpd_files());
}

static void
smtpd_settings(struct tls_settings *s)
{
	s->name = s->prefix = "smtpd";
	s->level = conf.smtpd_tls_security_level[0] != '\0' ?
	    conf.smtpd_tls_security_level : conf.smtpd_enforce_tls ?
	    "encrypt" : conf.smtpd_use_tls ? "" : "none";
	s->files = smtpd_files();
	s->ca_file = conf.smtpd_tls_CAfile;
	s->ca_path = conf.smtpd_tls_CApath;
	s->protocols = conf.smtpd_tls_protocols;
	s->ciphers = conf.smtpd_tls_ciphers;
	s->exclude_ciphers = conf.smtpd_tls_exclude_ciphers;
	s->mandatory_protocols = conf.smtpd_tls_mandatory_protocols;
	s->mandatory_ciphers = conf.smtpd_tls_mandatory_ciphers;
	s->mandatory_exclude_ciphers = conf.smtpd_tls_mandatory_exclude_ciphers;
	s->ask_ccert = conf.smtpd_tls_ask_ccert;
	s->req_ccert = conf.smtpd_tls_req_ccert;
}

/* Mail readers have one kind of protocols and ciphers. */
#define READER_SETTINGS(s, d) do {					\
	(s)->name = (s)->prefix = #d;					\
	(s)->level = conf.d##_tls_security_level;			\
	(s)->files = files_or(conf.d##_tls_chain_files,			\
	    conf.d##_tls_cert_file, conf.d##_tls_key_file, mua_files()); \
	(s)->ca_file = conf.d##_tls_CAfile;				\
	(s)->ca_path = "";						\
	(s)->protocols = (s)->mandatory_protocols =			\
	    conf.d##_tls_protocols;					\
	(s)->ciphers = (s)->mandatory_ciphers = conf.d##_tls_ciphers;	\
	(s)->exclude_ciphers = conf.d##_tls_exclude_ciphers;		\
	(s)->mandatory_exclude_ciphers = "";				\
	(s)->ask_ccert = conf.d##_tls_ask_ccert;			\
	(s)->req_ccert = false;						\
} while (0)

void
tls_settings_get(enum tls_service which, struct tls_settings *s)
{
	switch (which) {
	case TLS_IMAPD:
		READER_SETTINGS(s, imapd);
		break;
	case TLS_POP3D:
		READER_SETTINGS(s, pop3d);
		break;
	default:
		smtpd_settings(s);
		if (which == TLS_LMTPD) {
			s->name = "lmtpd";
			s->level = conf.lmtpd_tls_security_level;
		}
		break;
	}
	s->sni_maps = conf.tls_server_sni_maps;
	s->digest = conf.smtpd_tls_fingerprint_digest;
	s->verify_depth = conf.smtpd_tls_ccert_verifydepth;
	s->session_time = conf.smtpd_tls_session_cache_timeout;
}

enum tls_level
tls_service_level(enum tls_service which)
{
	struct tls_settings s;
	enum tls_level l;

	tls_settings_get(which, &s);
	if (s.level[0] != '\0')
		l = tls_level_parse(span_of(s.level));
	else
		l = s.files[0] != '\0' ? TLS_LEVEL_MAY : TLS_LEVEL_NONE;
	mem_free(s.files);
	return l;
}

bool
tls_settings_is_files(const char *name, bool *is_table)
{
	static const char *const ends[] = {
		"_tls_chain_files", "_tls_cert_file", "_tls_key_file",
		"_tls_eccert_file", "_tls_eckey_file",
	};

	*is_table = strcmp(name, "tls_server_sni_maps") == 0;
	if (*is_table)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (span_ends(span_of(name), span_of(ends[i])))
			return true;
	return false;
}

void
tls_settings_files(void (*fn)(void *arg, const char *value, bool is_table),
    void *arg)
{
	size_t n;
	const struct param_row *rows = params_rows(&n);

	for (size_t i = 0; i < n; i++) {
		bool is_table;
		char *value;

		if (!tls_settings_is_files(rows[i].name, &is_table))
			continue;
		value = params_get(rows[i].name);
		if (value != NULL && value[0] != '\0')
			fn(arg, value, is_table);
		mem_free(value);
	}
}

/* --- protocols ---------------------------------------------------------------------------- */

static const struct {
	const char	*name;
	int		 version;
	uint64_t	 off;		/* to turn it off; 0: does not exist */
} versions[] = {
	{ "SSLv2", 0, 0 }, { "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.0", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

#define ALL_VERSIONS	(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 |		\
			 SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 |	\
			 SSL_OP_NO_TLSv1_3)

static int
find_version(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (span_caseis(name, versions[i].name))
			return (int)i;
	return -1;
}

struct range {
	uint64_t	off;		/* SSL_OP_NO_... */
	int		min, max;	/* max 0: the newest */
};

static int
parse_protocols(const char *value, struct range *r, struct why *why)
{
	struct span rest = span_of(value), word;
	uint64_t only = 0;

	/* SSLv3 is never spoken, whatever the list says. */
	*r = (struct range){ .off = SSL_OP_NO_SSLv3, .min = TLS1_VERSION };
	while (span_token(&rest, ":" SEPARATORS, &word)) {
		bool least = span_starts(word, SPAN(">="));
		bool most = span_starts(word, SPAN("<="));
		bool not = span_starts(word, SPAN("!"));
		int i = find_version(span_from(word, least || most ? 2 :
		    not ? 1 : 0));

		if (i < 0)
			return why_set(why, "", "unknown TLS protocol "
			    "\"%.*s\"", SPAN_ARG(word));
		if (least)
			r->min = MAX(TLS1_VERSION, versions[i].version);
		else if (most)
			r->max = versions[i].version;
		else if (not)
			r->off |= versions[i].off;
		else
			only |= versions[i].off;
	}
	if (only != 0)
		r->off |= ALL_VERSIONS & ~only;
	if ((r->max != 0 && r->min > r->max) ||
	    (r->off & ALL_VERSIONS) == ALL_VERSIONS)
		return why_set(why, "", "no TLS protocol is left by \"%s\"",
		    value);
	return 0;
}

/* Older ones sign with SHA-1, which level 1 does not allow. */
static int
security_level(const struct range *r)
{
	bool old = r->min < TLS1_2_VERSION &&
	    (r->off & (SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1)) !=
	    (SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1);

	return old ? 0 : 1;
}

int
tls_set_protocols(SSL_CTX *ctx, const char *value, struct why *why)
{
	struct range r;

	if (parse_protocols(value, &r, why) < 0)
		return -1;
	SSL_CTX_clear_options(ctx, ALL_VERSIONS);
	SSL_CTX_set_options(ctx, r.off);
	SSL_CTX_set_security_level(ctx, security_level(&r));
	(void)SSL_CTX_set_min_proto_version(ctx, r.min);
	(void)SSL_CTX_set_max_proto_version(ctx, r.max);
	return 0;
}

int
tls_ssl_protocols(SSL *ssl, const char *value, struct why *why)
{
	struct range r;

	if (parse_protocols(value, &r, why) < 0)
		return -1;
	SSL_clear_options(ssl, ALL_VERSIONS);
	SSL_set_options(ssl, r.off);
	SSL_set_security_level(ssl, security_level(&r));
	(void)SSL_set_min_proto_version(ssl, r.min);
	(void)SSL_set_max_proto_version(ssl, r.max);
	return 0;
}

/* --- ciphers ------------------------------------------------------------------------------- */

static int
cipher_list(const char *grade, const char *exclude, struct buf *list,
    struct why *why)
{
	struct span rest = span_of(exclude), word;

	if (strcasecmp(grade, "high") == 0)
		buf_add_str(list, conf.tls_high_cipherlist);
	else if (strcasecmp(grade, "medium") == 0 ||
	    strcasecmp(grade, "low") == 0 || strcasecmp(grade, "export") == 0)
		/* What was below has died out. */
		buf_add_str(list, conf.tls_medium_cipherlist);
	else
		return why_set(why, "", "unknown grade of ciphers \"%s\"",
		    grade);
	buf_add_str(list, ":!kRSA:!eNULL");
	while (span_token(&rest, CIPHER_SEPARATORS, &word))
		buf_addf(list, ":!%.*s", SPAN_ARG(word));
	return 0;
}

/* Exactly one of ctx and ssl is given. */
static int
set_ciphers(SSL_CTX *ctx, SSL *ssl, const char *grade, const char *exclude,
    struct why *why)
{
	struct buf list = BUF_INIT(BUF_UNLIMITED);
	int rc = cipher_list(grade, exclude, &list, why);

	if (rc == 0 && (ctx != NULL ?
	    SSL_CTX_set_cipher_list(ctx, list.data) :
	    SSL_set_cipher_list(ssl, list.data)) != 1)
		rc = why_set(why, "", "no cipher is left by \"%s\"",
		    list.data);
	ERR_clear_error();
	buf_fini(&list);
	return rc;
}

int
tls_set_ciphers(SSL_CTX *ctx, const char *grade, const char *exclude,
    struct why *why)
{
	return set_ciphers(ctx, NULL, grade, exclude, why);
}

int
tls_ssl_ciphers(SSL *ssl, const char *grade, const char *exclude,
    struct why *why)
{
	return set_ciphers(NULL, ssl, grade, exclude, why);
}

const EVP_MD *
tls_digest(const char *name)
{
	return EVP_get_digestbyname(name);
}

static const struct {
	const char	*name;
	uint64_t	 bit;
} options[] = {
	{ "ENABLE_KTLS", SSL_OP_ENABLE_KTLS },
	{ "IGNORE_UNEXPECTED_EOF", SSL_OP_IGNORE_UNEXPECTED_EOF },
	{ "NO_ENCRYPT_THEN_MAC", SSL_OP_NO_ENCRYPT_THEN_MAC },
	{ "NO_EXTENDED_MASTER_SECRET", SSL_OP_NO_EXTENDED_MASTER_SECRET },
	{ "NO_TICKET", SSL_OP_NO_TICKET },
	{ "PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA },
	/* Always so. */
	{ "NO_COMPRESSION", 0 }, { "NO_RENEGOTIATION", 0 },
};

static void
set_options(SSL_CTX *ctx)
{
	struct span rest = span_of(conf.tls_ssl_options), word;

	while (span_token(&rest, SEPARATORS, &word)) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_LEN(options); i++)
			if (span_caseis(word, options[i].name)) {
				SSL_CTX_set_options(ctx, options[i].bit);
				known = true;
			}
		if (!known)
			log_warning("%s: tls_ssl_options: unknown option "
			    "\"%.*s\" is ignored",
			    params_origin("tls_ssl_options"), SPAN_ARG(word));
	}
}

/* OpenSSL refuses a list of groups as a whole: try each. */
static int
set_groups(SSL_CTX *ctx, struct why *why)
{
	struct span rest = span_of(conf.tls_eecdh_auto_curves), word;
	struct buf list = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	while (span_token(&rest, CIPHER_SEPARATORS, &word)) {
		bool quiet = span_starts(word, SPAN("?"));
		char *name = span_dup(span_from(word, quiet ? 1 : 0));

		if (SSL_CTX_set1_groups_list(ctx, name) == 1)
			buf_addf(&list, "%s%s", list.len > 0 ? ":" : "",
			    name);
		else if (!quiet)
			log_warning("%s: tls_eecdh_auto_curves: \"%s\" is not "
			    "known to OpenSSL",
			    params_origin("tls_eecdh_auto_curves"), name);
		mem_free(name);
	}
	ERR_clear_error();
	if (list.len == 0 && conf.tls_eecdh_auto_curves[0] != '\0')
		rc = why_set(why, "", "%s: tls_eecdh_auto_curves: nothing of "
		    "\"%s\" is known to OpenSSL",
		    params_origin("tls_eecdh_auto_curves"),
		    conf.tls_eecdh_auto_curves);
	else if (list.len > 0 && SSL_CTX_set1_groups_list(ctx, list.data) != 1)
		rc = why_set(why, "", "tls_eecdh_auto_curves: \"%s\" is not "
		    "taken by OpenSSL", list.data);
	buf_fini(&list);
	return rc;
}

int
tls_set_common(SSL_CTX *ctx, struct why *why)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT |
	    (conf.tls_preempt_cipherlist ? SSL_OP_CIPHER_SERVER_PREFERENCE :
	    0));
	SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
	    SSL_OP_LEGACY_SERVER_CONNECT);
	/* An idle session gives its 34 KiB of buffers back. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_max_cert_list(ctx, TLS_CHAIN_MAX);
	SSL_CTX_set_dh_auto(ctx, 1);
	set_options(ctx);
	return set_groups(ctx, why);
}

/* OpenSSL would open the files when it needs them: too late in a jail. */
static int
read_ca_dir(SSL_CTX *ctx, const char *path, struct why *why)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL)
		return why_errno(why, "", "%s", path);
	while ((e = readdir(d)) != NULL) {
		char *file;

		if (e->d_name[0] == '.')
			continue;
		file = mem_printf("%s/%s", path, e->d_name);
		/* Whatever is no certificate is left out. */
		(void)SSL_CTX_load_verify_file(ctx, file);
		mem_free(file);
	}
	closedir(d);
	ERR_clear_error();
	return 0;
}

int
tls_cas_why(const char *file, struct why *why)
{
	struct why text = WHY_INIT;

	/* OpenSSL's words for the first two are for programmers. */
	if (access(file, R_OK) < 0)
		why_errno(why, "", "%s", file);
	else if (ERR_GET_REASON(ERR_peek_last_error()) ==
	    X509_R_NO_CERTIFICATE_OR_CRL_FOUND)
		why_set(why, "", "%s: no certificate in it", file);
	else {
		tls_openssl_why(&text, file);
		why_set(why, "", "%s", text.text);
	}
	ERR_clear_error();
	return -1;
}

int
tls_set_cas(SSL_CTX *ctx, const char *file, const char *path,
    struct why *why)
{
	ERR_clear_error();
	if (file[0] != '\0' && SSL_CTX_load_verify_file(ctx, file) != 1)
		return tls_cas_why(file, why);
	return path[0] != '\0' ? read_ca_dir(ctx, path, why) : 0;
}
