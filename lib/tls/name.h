/* SPDX-License-Identifier: ISC */
/*
 * name - names and fingerprints of certificates, fit for logs.
 */
#ifndef TLS_NAME_H
#define TLS_NAME_H

#include "base/span.h"

/*
 * A name as a certificate has it, with '?' for what cannot be shown; "" when
 * it holds a NUL.  At most TLS_SUBJECT_MAX bytes; to mem_free().
 */
char	*tls_name_clean(struct span name);

#endif
