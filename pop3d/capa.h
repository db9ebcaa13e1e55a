/* SPDX-License-Identifier: ISC */
/*
 * capa - what front and engine both tell: CAPA's common part, LANG.
 */
#ifndef POP3D_CAPA_H
#define POP3D_CAPA_H

#include "base/buf.h"
#include "base/span.h"

/* The lines that hold before and after the login, without the last ".". */
void	 pop3_capa(struct buf *out);
/* The answer to LANG (RFC 6856 3), whole; rest.p NULL: no argument. */
void	 pop3_lang(struct span rest, struct buf *out);

#endif
