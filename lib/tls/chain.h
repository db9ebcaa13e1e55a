/* SPDX-License-Identifier: ISC */
/*
 * chain - certificate chains and their private keys, read from files.
 *
 * For keyd and for commands: no process that talks to strangers calls this.
 * A set holds up to one chain for each kind of key (RSA, EC, Ed25519).
 */
#ifndef TLS_CHAIN_H
#define TLS_CHAIN_H

#include <time.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define TLS_SET_MAX	8		/* chains in a set */
#define TLS_FILE_MAX	(1 << 20)	/* bytes of one file */

struct tls_set;

enum {
	/* Refuse what is not valid at this time; without it only logged. */
	TLS_SET_DATES	= 1 << 0,
};
/*
 * Read a set from PEM files, named in a list with commas or spaces
 * (smtpd_tls_chain_files).  A certificate that belongs to one of the keys
 * begins a chain, the others follow their leaf; keys may stand anywhere.
 * Refused with why, naming the file: no key, a key without a certificate or a
 * certificate without a key, a chain in the wrong order, two chains of one
 * kind, a file over TLS_FILE_MAX.
 */
struct tls_set *tls_set_load(struct span files, unsigned flags,
	    struct why *why);
/* The same from the text of one PEM file; origin is for messages. */
struct tls_set *tls_set_parse(struct span pem, const char *origin,
	    unsigned flags, struct why *why);
/*
 * A value of tls_server_sni_maps: a list of files, as above, or what "postmap
 * -F" makes of one, the base64 of their contents.  True: the latter, with the
 * text in pem.
 */
bool	 tls_sni_is_pem(struct span value, struct buf *pem);
/* The set that it stands for. */
struct tls_set *tls_set_of_sni(struct span value, unsigned flags,
	    struct why *why);
void	 tls_set_free(struct tls_set **sp);

size_t	 tls_set_count(const struct tls_set *set);
/* Of chain i: */
const char *tls_set_origin(const struct tls_set *set, size_t i);
uint64_t tls_set_key_id(const struct tls_set *set, size_t i, bool client);
void	 tls_set_der(const struct tls_set *set, size_t i, struct buf *out);
time_t	 tls_set_not_after(const struct tls_set *set, size_t i);
/*
 * Sign as a TLS handshake does; scheme is enum keyd_scheme (ipc/msg_keyd.h).
 * -1: this key does not do that.
 */
MUST_CHECK int tls_set_sign(const struct tls_set *set, size_t i,
	    uint32_t scheme, struct span tbs, struct buf *sig);
/* Whether tbs is what the server (client) of a TLS handshake signs. */
bool	 tls_is_handshake(struct span tbs, bool client, uint32_t scheme);

/* Use these chains with keys in this process, for tests and measurements. */
struct tls_server;
MUST_CHECK int tls_server_use(struct tls_server *srv, struct tls_set *set,
	    struct why *why);

#endif
