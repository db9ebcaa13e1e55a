/* SPDX-License-Identifier: ISC */
/*
 * named - the certificates that the configuration names: main.cf's for each
 * kind of service, and those that a service of master.cf has of its own.
 *
 * keyd, which serves and judges them, and the commands that show and judge
 * them go by this one list.
 */
#ifndef TLS_NAMED_H
#define TLS_NAMED_H

#include <stdbool.h>

struct tls_named {
	const char	*who;		/* "imapd", or the service: "465 (smtpd)" */
	const char	*origin;	/* "/etc/mansio/main.cf:12" */
	const char	*param;		/* whose value it is */
	const char	*value;		/* files with keys and chains */
	bool		 table;		/* no: a table that names such */
};

/*
 * Call fn for each of them; its strings are good until fn returns.  After
 * params_load().  master.cf is read for it; what is wrong in there is left
 * out, and not said.
 */
void	 tls_named_each(void (*fn)(void *arg, const struct tls_named *n),
	    void *arg);

#endif
