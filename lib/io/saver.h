/* SPDX-License-Identifier: ISC */
/*
 * saver - a small file that is replaced as a whole a while after what it
 * holds has changed: state that should outlive its process, where losing the
 * last moments is bearable.
 *
 * The text is made on the loop and written, synced and renamed in a thread.
 * After a crash the file is the one before the last change, or the one after,
 * never half of one.  A write that fails is logged and tried again with the
 * next change.
 */
#ifndef IO_SAVER_H
#define IO_SAVER_H

#include <sys/types.h>

#include "base/buf.h"
#include "io/loop.h"

struct saver;

/* Append all that the file is to hold. */
typedef void saver_fn(void *arg, struct buf *out);
/* path is copied; it must be writable in the jail. */
struct saver *saver_new(struct loop *l, const char *path, mode_t mode,
	    int64_t delay_ms, saver_fn *fn, void *arg);
/* Something has changed: write it delay_ms after the first change. */
void	 saver_changed(struct saver *s);
/* From now on, the delay is another. */
void	 saver_delay(struct saver *s, int64_t delay_ms);
/* Write what has changed now, and wait for it. */
void	 saver_flush(struct saver *s);
void	 saver_free(struct saver **s);		/* flushes */

#endif
