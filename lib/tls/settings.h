/* SPDX-License-Identifier: ISC */
/*
 * settings - the TLS parameters of a service, with what it inherits.
 *
 * imapd_tls_*, pop3d_tls_* inherit from mua_tls_*, and these from smtpd_tls_*:
 * one certificate serves all.  Certificates are inherited as a whole: a
 * service that names any file of its own uses only its own.
 */
#ifndef TLS_SETTINGS_H
#define TLS_SETTINGS_H

#include "base/cc.h"
#include "tls/tls.h"

struct tls_settings {
	const char	*name;		/* "lmtpd": for messages */
	const char	*prefix;	/* "smtpd": of its parameters' names */
	const char	*level;		/* may be "" */
	char		*files;		/* chains and keys; to mem_free() */
	const char	*sni_maps;
	const char	*ca_file, *ca_path;
	const char	*protocols, *ciphers, *exclude_ciphers;
	const char	*mandatory_protocols, *mandatory_ciphers;
	const char	*mandatory_exclude_ciphers;
	const char	*digest;
	bool		 ask_ccert, req_ccert;
	int64_t		 verify_depth, session_time;
};

/* What smtp or lmtp shows to servers that ask; "" nothing.  To mem_free(). */
char	*tls_client_files(bool lmtp);
void	 tls_settings_get(enum tls_service which, struct tls_settings *s);
/*
 * Call fn for the value of every parameter of the loaded configuration that
 * names files with keys (is_table false) or a table that does (true).
 */
void	 tls_settings_files(void (*fn)(void *arg, const char *value,
	    bool is_table), void *arg);
/* Whether a parameter of this name is one of those. */
bool	 tls_settings_is_files(const char *name, bool *is_table);

#endif
