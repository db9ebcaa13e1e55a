/* SPDX-License-Identifier: ISC */
/*
 * show_cert - certificates as text for people.
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

#endif
