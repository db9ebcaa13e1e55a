/* SPDX-License-Identifier: ISC */
#ifndef QUEUE_QMSG_PRIV_H
#define QUEUE_QMSG_PRIV_H

#include <errno.h>

/* The code of a failed write: "4.3.1" when there is no room, else "4.3.0". */
static inline const char *
io_code(void)
{
	return errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0";
}

#endif
