/* SPDX-License-Identifier: ISC */
/*
 * pam - see pam.h: questions and answers.
 */
#include "authd/pam.h"

#include "authd/helper.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/sandbox.h"
#include "ipc/tags.h"

#define PROCESSES	2
#define WAITING_MAX	100		/* for one of them */

struct process {
	struct helper	*helper;
	struct tags	 jobs;
};

struct pam_job {
	struct process	*process;
	uint32_t	 tag;
	char		*user;
	pam_fn		*fn;
	void		*arg;
};

static struct process processes[PROCESSES];

static void
answer(struct pam_job *j, int right)
{
	tags_del(&j->process->jobs, j->tag);
	j->fn(j->arg, right);
	mem_free(j->user);
	mem_free(j);
}

static int
on_frame(void *arg, const struct ipc_frame *f)
{
	struct process *p = arg;
	struct pam_job *j = tags_get(&p->jobs, f->tag);
	struct pam_answer m;

	if (f->type != PAM_ANSWER || pam_answer_decode(&m, f->body) < 0)
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
on_lost(void *arg)
{
	struct process *p = arg;

	tags_each(&p->jobs, lost);
}

static const struct helper_client helper_side = {
	.on_frame = on_frame, .on_lost = on_lost,
};

static bool
wanted(void)
{
	return strstr(conf.authd_password_maps, "pam:") != NULL;
}

int
pam_check(struct why *why)
{
	struct sandbox_ids ids;

	return wanted() ? sandbox_root_owner(sandbox_find("authd-pam"), &ids,
	    why) : 0;
}

void
pam_open(void)
{
	if (!wanted())
		return;
	for (size_t i = 0; i < PROCESSES; i++)
		processes[i].helper = helper_add("authd-pam", &pam_helper_ops,
		    &helper_side, &processes[i]);
}

struct pam_job *
pam_ask(const char *service, struct span user, struct span password,
    const char *client, pam_fn *fn, void *arg)
{
	struct pam_ask_msg m = {
		.service = span_of(service), .user = user,
		.password = password, .client = span_of(client),
	};
	struct process *p = NULL;
	struct ipc_conn *c;
	struct pam_job *j;

	for (size_t i = 0; i < PROCESSES; i++) {
		struct process *this = &processes[i];

		if (this->helper != NULL && helper_conn(this->helper) != NULL &&
		    (p == NULL || this->jobs.used < p->jobs.used))
			p = this;
	}
	if (p == NULL || p->jobs.used >= WAITING_MAX ||
	    m.service.len > 64 || password.len > 1024)
		return NULL;
	j = mem_zalloc(sizeof(*j));
	j->process = p;
	j->user = span_dup(user);
	j->fn = fn;
	j->arg = arg;
	j->tag = tags_add(&p->jobs, j);
	c = helper_conn(p->helper);
	pam_ask_msg_encode(ipc_begin(c, PAM_ASK, j->tag), &m);
	ipc_end(c);
	return j;
}

void
pam_cancel(struct pam_job **jp)
{
	struct pam_job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	tags_del(&j->process->jobs, j->tag);
	mem_free(j->user);
	mem_free(j);
}
