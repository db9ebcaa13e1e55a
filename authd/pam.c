/* SPDX-License-Identifier: ISC */
/*
 * pam - see pam.h: questions and answers.
 */
#include "authd/pam.h"

#include "authd/helper.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/tags.h"

#define HELPERS		2
#define WAITING_MAX	100		/* for one of them */

struct helper {
	int		 fd;
	struct ipc_conn	*conn;
	struct tags	 jobs;
};

struct pam_job {
	struct helper	*helper;
	uint32_t	 tag;
	char		*user;
	pam_fn		*fn;
	void		*arg;
};

static struct helper helpers[HELPERS];

static void
answer(struct pam_job *j, int right)
{
	tags_del(&j->helper->jobs, j->tag);
	j->fn(j->arg, right);
	mem_free(j->user);
	mem_free(j);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct helper *h = arg;
	struct pam_job *j = tags_get(&h->jobs, f->tag);
	struct pam_answer m;

	if (f->type != PAM_ANSWER || f->fd >= 0 ||
	    pam_answer_decode(&m, f->body) < 0)
		return -1;
	if (j == NULL)
		return 0;
	if (m.right != 1)
		log_info("PAM: %s: %.*s", j->user, SPAN_ARG(m.text));
	answer(j, m.right == 2 ? -1 : (int)m.right);
	return 0;
}

static void
lost(void *p)
{
	answer(p, -1);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	struct helper *h = arg;

	log_warning("a process that asks PAM has ended; authd goes on "
	    "without it until it is started again");
	ipc_conn_free(&h->conn);
	tags_each(&h->jobs, lost);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

int
pam_open(struct why *why)
{
	for (size_t i = 0; i < HELPERS; i++)
		if ((helpers[i].fd = pam_helper_start(why)) < 0)
			return -1;
	return 0;
}

void
pam_loop(struct loop *l)
{
	for (size_t i = 0; i < HELPERS; i++)
		if (helpers[i].fd > 0)
			helpers[i].conn = ipc_conn_new(l, helpers[i].fd,
			    &HELPER_PROTO, &ops, &helpers[i]);
}

struct pam_job *
pam_ask(const char *service, struct span user, struct span password,
    const char *client, pam_fn *fn, void *arg)
{
	struct pam_ask_msg m = {
		.service = span_of(service), .user = user,
		.password = password, .client = span_of(client),
	};
	struct helper *h = NULL;
	struct pam_job *j;

	for (size_t i = 0; i < HELPERS; i++)
		if (helpers[i].conn != NULL && (h == NULL ||
		    helpers[i].jobs.used < h->jobs.used))
			h = &helpers[i];
	if (h == NULL || h->jobs.used >= WAITING_MAX ||
	    m.service.len > 64 || password.len > 1024)
		return NULL;
	j = mem_zalloc(sizeof(*j));
	j->helper = h;
	j->user = span_dup(user);
	j->fn = fn;
	j->arg = arg;
	j->tag = tags_add(&h->jobs, j);
	pam_ask_msg_encode(ipc_begin(h->conn, PAM_ASK, j->tag), &m);
	ipc_end(h->conn);
	return j;
}

void
pam_cancel(struct pam_job **jp)
{
	struct pam_job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	tags_del(&j->helper->jobs, j->tag);
	mem_free(j->user);
	mem_free(j);
}
