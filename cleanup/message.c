/* SPDX-License-Identifier: ISC */
/*
 * message - a struct message: its beginning, its refusal, its end.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "daemon/daemon.h"
#include "io/fault.h"
#include "io/fd.h"

struct message *
message_new(void)
{
	struct message *m = mem_zalloc(sizeof(*m));

	m->arena = ARENA_INIT;
	m->env = ENVELOPE_INIT;
	m->out = BUF_INIT(BUF_UNLIMITED);
	m->record = BUF_INIT(BUF_UNLIMITED);
	m->large_fd = -1;
	cl.messages++;
	daemon_busy(1);
	return m;
}

void
message_free(struct message *m)
{
	if (m->state == MESSAGE_COMMITTING)
		room_committing(-(ptrdiff_t)m->held);
	room_hold(m, 0);
	cl.messages--;
	if (m->conn != NULL) {
		list_remove(&m->in_conn);
		m->conn->count--;
	}
	list_remove(&m->in_work);
	content_free(m);
	fd_close(&m->large_fd);
	if (m->large_tmp[0] != '\0')
		(void)fault_unlinkat(cl.spool.dirfd, m->large_tmp, 0);
	buf_fini(&m->out);
	buf_fini(&m->record);
	envelope_fini(&m->env);
	ARRAY_FINI(&m->bcc);
	arena_fini(&m->arena);
	mem_free(m);
	daemon_busy(-1);
}

int
refuse(struct message *m, unsigned smtp, const char *code,
    const char *fmt, ...)
{
	char text[WHY_TEXT_MAX];
	va_list ap;

	if (m->refused != 0)
		return -1;
	m->refused = smtp;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	why_set(&m->why, code, "%s", text);
	return -1;
}

int
refuse_why(struct message *m, const struct why *why)
{
	return refuse(m, why_temporary(why) ? 451 : 550,
	    why->code[0] != '\0' ? why->code : "4.3.0", "%s", why->text);
}
