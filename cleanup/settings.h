/* SPDX-License-Identifier: ISC */
/*
 * settings - what cleanup makes of main.cf, once: tables, lists, flags.
 *
 * A reload makes a new one and puts it in the place of the old one only when
 * it is whole.  Handlers take cl.set afresh at each event.
 */
#ifndef CLEANUP_SETTINGS_H
#define CLEANUP_SETTINGS_H

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/table.h"
#include "mail/mime.h"
#include "queue/envelope.h"

enum {					/* classes of addresses */
	CLASS_ENVELOPE_SENDER = 1, CLASS_ENVELOPE_RECIPIENT = 2,
	CLASS_HEADER_SENDER = 4, CLASS_HEADER_RECIPIENT = 8
};

struct masquerade {
	char		*domain;
	bool		 not;
};

struct settings {
	struct maps	*header_checks, *mime_header_checks;
	struct maps	*nested_header_checks, *body_checks;
	struct maps	*canonical, *sender_canonical, *recipient_canonical;
	struct maps	*virtual_alias, *sender_bcc, *recipient_bcc;
	struct maps	*sender_quota, *sender_domain_quota;
	unsigned	 canonical_classes, sender_canonical_classes;
	unsigned	 recipient_canonical_classes, masquerade_classes;
	bool		 propagate_canonical, propagate_virtual;
	ARRAY(struct masquerade) masquerade;
	struct match_list *masquerade_exceptions;
	ARRAY(char *)	 drop_headers;
	/* local_header_rewrite_clients */
	bool		 local_interfaces, local_networks, local_sasl;
	struct match_list *mynetworks;
	struct maps	*local_clients;	/* check_address_map */

	struct srs	*srs;		/* NULL: none */
	struct mime_options mime;
	bool		 content_checks;	/* any *_checks */
	bool		 strict_mime;	/* refuse what the parser reports */
	bool		 rewrites;	/* canonical or masquerade */
	bool		 reject_bytes, strip_bytes;
	bool		 reject[256], strip[256];
};

/* From conf; NULL with why. */
struct settings *settings_new(struct why *why);
void	 settings_free(struct settings **s);
/* Whether the headers of mail from this client are ours to complete and
 * rewrite: 1, 0, or -1 with why. */
MUST_CHECK int settings_local_client(const struct settings *s,
	    const struct envelope *e, struct why *why);

#endif
