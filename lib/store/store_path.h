/* SPDX-License-Identifier: ISC */
/*
 * store_path - open a file below a directory that its owner is free to fill
 * with links.
 */
#ifndef STORE_STORE_PATH_H
#define STORE_STORE_PATH_H

#include "base/cc.h"

/*
 * Open path (slashes in front are ignored) below dirfd for reading or
 * writing, never leaving dirfd on the way; nothing is created.  The
 * descriptor, or -1 with errno.
 */
int	 store_path_open(int dirfd, const char *path, int flags);

#endif
