/* SPDX-License-Identifier: ISC */
/*
 * keyd_frames: what a daemon that was taken over asks of keyd.
 *
 * The first byte chooses the message.  What is signed is either 64 spaces and
 * the words of TLS 1.3, or begins with 64 bytes of randoms and then has
 * nothing but the parameters of a key exchange.
 */
#include <stdint.h>
#include <stdlib.h>

#include "ipc/msg_keyd.h"
#include "tls/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(const struct keyd_sign *m)
{
	bool server = tls_is_handshake(m->tbs, false, m->scheme);
	bool client = tls_is_handshake(m->tbs, true, m->scheme);
	bool spaces = m->tbs.len > 64;

	for (size_t i = 0; spaces && i < 64; i++)
		spaces = m->tbs.p[i] == ' ';
	/* A server's key never signs what a client would. */
	if (server && client && spaces)
		abort();
	if (server && !spaces && (m->tbs.len < 64 + 5 ||
	    m->tbs.len > 64 + 3 * (2 + 2048)))
		abort();
	if (client && !spaces && m->tbs.p[0] != 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct keyd_get get;
	struct keyd_sign sign;
	struct keyd_chain chain;
	struct keyd_set set;
	struct keyd_signature signature;
	struct keyd_tickets tickets;

	if (size == 0)
		return 0;
	in = span_from(in, 1);
	switch (data[0] % 6) {
	case 0:
		if (keyd_get_decode(&get, in) == 0 &&
		    (get.name.len > KEYD_NAME_MAX || span_has_nul(get.files)))
			abort();
		break;
	case 1:
		if (keyd_sign_decode(&sign, in) == 0)
			judge(&sign);
		break;
	case 2:
		if (keyd_chain_decode(&chain, in) == 0 &&
		    chain.certs.len > KEYD_CERTS_MAX)
			abort();
		break;
	case 3:
		if (keyd_set_decode(&set, in) == 0 &&
		    set.chains > KEYD_CHAINS_MAX)
			abort();
		break;
	case 4:
		if (keyd_signature_decode(&signature, in) == 0 &&
		    signature.signature.len > KEYD_SIG_MAX)
			abort();
		break;
	default:
		if (keyd_tickets_decode(&tickets, in) == 0 &&
		    tickets.keys.len > KEYD_TICKET_KEYS * KEYD_TICKET_KEY_LEN)
			abort();
		break;
	}
	return 0;
}
