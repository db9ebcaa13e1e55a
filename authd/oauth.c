/* SPDX-License-Identifier: ISC */
#include "authd/oauth.h"

int
oauth_check(struct span token, struct buf *user, struct why *why)
{
	return why_set(why, "", "authd_oauth_jwks_file is not set");
}
