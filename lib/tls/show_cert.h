/* SPDX-License-Identifier: ISC */
/*
 * show_cert - certificates, and the library, as text for people.
 */
#ifndef TLS_SHOW_CERT_H
#define TLS_SHOW_CERT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

/* Describe each certificate of a PEM text; what else is in it is skipped.
 * -1 with why: there is none, or a bad one. */
MUST_CHECK int tls_cert_show(struct span pem, struct buf *out,
	    struct why *why);
/* Only the certificates of a PEM text, without keys, as PEM again. */
MUST_CHECK int tls_cert_public(struct span pem, struct buf *out,
	    struct why *why);
/* The name and version of the TLS library: of the one we were compiled with,
 * or of the one that runs. */
const char *tls_library(bool compiled);
/* The kinds of keys that a server's certificate may have, one in a line. */
const char *tls_key_types(void);

#endif
