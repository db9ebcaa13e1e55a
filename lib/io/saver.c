/* SPDX-License-Identifier: ISC */
/*
 * saver - see saver.h.
 */
#include "io/saver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"

struct saver {
	struct loop		*loop;
	char			*path;
	mode_t			 mode;
	int64_t			 delay_ms;
	saver_fn		*fn;
	void			*arg;
	struct loop_timer	*timer;
	struct loop_worker	*worker;
	bool			 dirty, armed;
	/* The thread's, while the worker is busy. */
	struct buf		 text;
	int			 error;
};

static void
write_text(void *arg)
{
	struct saver *s = arg;

	s->error = fd_replace_file(AT_FDCWD, s->path, s->mode, s->text.data,
	    s->text.len) < 0 ? errno : 0;
}

static void
arm(struct saver *s)
{
	if (s->armed)
		return;
	s->armed = true;
	loop_timer_set(s->timer, s->delay_ms);
}

static void
written(void *arg)
{
	struct saver *s = arg;

	if (s->error != 0)
		log_warning("cannot write %s: %s", s->path,
		    strerror(s->error));
	buf_fini(&s->text);
	if (s->dirty)
		arm(s);
}

static void
make_text(struct saver *s)
{
	s->text = BUF_INIT(BUF_UNLIMITED);
	s->fn(s->arg, &s->text);
	s->dirty = false;
}

static void
fired(void *arg)
{
	struct saver *s = arg;

	s->armed = false;
	/* written() arms it again. */
	if (!s->dirty || loop_worker_busy(s->worker))
		return;
	make_text(s);
	if (loop_worker_start(s->worker, write_text, written, s) < 0)
		log_panic("%s: two writers", s->path);
}

struct saver *
saver_new(struct loop *l, const char *path, mode_t mode, int64_t delay_ms,
    saver_fn *fn, void *arg)
{
	struct saver *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->path = mem_strdup(path);
	s->mode = mode;
	s->delay_ms = delay_ms;
	s->fn = fn;
	s->arg = arg;
	s->text = BUF_INIT(BUF_UNLIMITED);
	s->timer = loop_timer_new(l, fired, s);
	s->worker = loop_worker_new(l);
	return s;
}

void
saver_changed(struct saver *s)
{
	s->dirty = true;
	arm(s);
}

void
saver_delay(struct saver *s, int64_t delay_ms)
{
	s->delay_ms = delay_ms;
}

void
saver_flush(struct saver *s)
{
	bool busy = loop_worker_busy(s->worker);

	/* Waits for the thread; what follows its job is ours to do. */
	loop_worker_free(&s->worker);
	s->worker = loop_worker_new(s->loop);
	if (busy)
		written(s);
	if (!s->dirty)
		return;
	make_text(s);
	write_text(s);
	written(s);
}

void
saver_free(struct saver **sp)
{
	struct saver *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	saver_flush(s);
	loop_worker_free(&s->worker);
	loop_timer_free(&s->timer);
	mem_free(s->path);
	mem_free(s);
}
