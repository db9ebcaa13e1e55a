/* SPDX-License-Identifier: ISC */
/*
 * ca_file - see ca_file.h.
 */
#include "tls/ca_file.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/cc.h"

const char *
tls_system_ca_file(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",	/* Debian, Alpine */
		"/etc/pki/tls/certs/ca-bundle.crt",	/* Fedora */
		"/etc/ssl/ca-bundle.pem",		/* SUSE */
		"/etc/ssl/cert.pem",			/* the BSDs */
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return "";
}
