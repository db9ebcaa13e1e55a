/* SPDX-License-Identifier: ISC */
/*
 * keyd - certificates, signatures and ticket keys for those who must not
 * hold a private key (private/keyd; clients: every daemon with TLS).
 *
 * Requests carry a tag, which their answers repeat; answers come in any
 * order.  A signature is made only over what a TLS handshake signs (RFC 8446
 * 4.4.3, RFC 8422 5.4), which keyd checks, so that a client that was taken
 * over can pass for us while it lasts, and no longer.
 *
 * A key id is made from the public key and the role, so it is the same after
 * a restart of keyd: a handshake that began before finds its key.
 */
#ifndef IPC_MSG_KEYD_H
#define IPC_MSG_KEYD_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define KEYD_FILES_MAX		4096	/* a parameter's value */
#define KEYD_NAME_MAX		255
#define KEYD_CERTS_MAX		(100 * 1024)	/* of one chain */
#define KEYD_CHAINS_MAX		8	/* kinds of keys in a set */
/* The longest input of a signature: a client's transcript of TLS 1.2. */
#define KEYD_TBS_MAX		(64 * 1024)
#define KEYD_SIG_MAX		2048	/* RSA of 16384 bits */
#define KEYD_TICKET_KEYS	3	/* the newest first */
#define KEYD_TICKET_KEY_LEN	80	/* name 16, AES-256 32, HMAC 32 */

enum {
	KEYD_GET = 1,		/* -> keyd_get */
	KEYD_CHAIN,		/* <- keyd_chain, for each chain of the set */
	KEYD_SET,		/* <- keyd_set, after them */
	KEYD_SIGN,		/* -> keyd_sign */
	KEYD_SIGNATURE,		/* <- keyd_signature */
	KEYD_TICKETS,		/* <- keyd_tickets, unasked, tag 0 */
	KEYD_CHANGED,		/* <- empty, unasked: ask for sets again */
};

/*
 * The certificates of these files or, with a name, those that sni_maps has
 * for this server name.  Files and tables must be named by this machine's
 * configuration: keyd opens no others.
 */
#define KEYD_GET_ROWS(ROW)						\
	ROW(STR, files, KEYD_FILES_MAX)	/* separated by spaces */	\
	ROW(STR, sni_maps, KEYD_FILES_MAX)				\
	ROW(STR, name, KEYD_NAME_MAX)					\
	ROW(BOOL, client, )	/* to show to servers */
IPC_MESSAGE(keyd_get, KEYD_GET_ROWS)

#define KEYD_CHAIN_ROWS(ROW)						\
	ROW(U64, key_id, UINT64_MAX)					\
	ROW(BLOB, certs, KEYD_CERTS_MAX)	/* DER, leaf first */
IPC_MESSAGE(keyd_chain, KEYD_CHAIN_ROWS)

enum keyd_status {
	KEYD_OK = 0,
	KEYD_NONE,		/* no certificate for this name */
	KEYD_REFUSED,		/* not in the configuration, not for TLS */
	KEYD_FAILED		/* files cannot be used; text says why */
};
#define KEYD_SET_ROWS(ROW)						\
	ROW(U32, status, KEYD_FAILED)					\
	ROW(U32, chains, KEYD_CHAINS_MAX)	/* how many came */	\
	ROW(STR, text, 512)
IPC_MESSAGE(keyd_set, KEYD_SET_ROWS)

#define KEYD_SIGN_ROWS(ROW)						\
	ROW(U64, key_id, UINT64_MAX)					\
	ROW(U32, scheme, 0xffff)	/* SignatureScheme, below */	\
	ROW(BLOB, tbs, KEYD_TBS_MAX)
IPC_MESSAGE(keyd_sign, KEYD_SIGN_ROWS)

/*
 * RFC 8446 4.2.3.  The curve is the key's own: for keyd the three ECDSA
 * schemes only name the hash.
 */
enum keyd_scheme {
	SCHEME_RSA_PKCS1_SHA1	= 0x0201,
	SCHEME_ECDSA_SHA1	= 0x0203,
	SCHEME_RSA_PKCS1_SHA256	= 0x0401,
	SCHEME_ECDSA_SHA256	= 0x0403,
	SCHEME_RSA_PKCS1_SHA384	= 0x0501,
	SCHEME_ECDSA_SHA384	= 0x0503,
	SCHEME_RSA_PKCS1_SHA512	= 0x0601,
	SCHEME_ECDSA_SHA512	= 0x0603,
	SCHEME_RSA_PSS_SHA256	= 0x0804,
	SCHEME_RSA_PSS_SHA384	= 0x0805,
	SCHEME_RSA_PSS_SHA512	= 0x0806,
	SCHEME_ED25519		= 0x0807,
	SCHEME_ED448		= 0x0808,
	SCHEME_RSA_MD5_SHA1	= 0xff01,	/* TLS 1.0 and 1.1; ours */
};

#define KEYD_SIGNATURE_ROWS(ROW)					\
	ROW(U32, status, KEYD_FAILED)					\
	ROW(BLOB, signature, KEYD_SIG_MAX)
IPC_MESSAGE(keyd_signature, KEYD_SIGNATURE_ROWS)

#define KEYD_TICKETS_ROWS(ROW)						\
	ROW(BLOB, keys, KEYD_TICKET_KEYS * KEYD_TICKET_KEY_LEN)
IPC_MESSAGE(keyd_tickets, KEYD_TICKETS_ROWS)

static const struct ipc_proto KEYD_PROTO UNUSED = {
	.name = "keyd", .version = 1,
	.frame_max = 128 * 1024, .out_max = 4u << 20,
};

#endif
