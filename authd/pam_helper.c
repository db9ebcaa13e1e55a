/* SPDX-License-Identifier: ISC */
/*
 * pam_helper - the process that asks PAM, one user after the other.
 *
 * A module may wait as long as it likes; authd counts who waits, and there
 * are several of these processes.  Each question is a child's: what modules
 * leave in memory, passwords and hashes among it, and whatever else they do to
 * a process, ends with it.
 */
#include "authd/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"

#ifdef WITH_PAM
#include <security/pam_appl.h>
#include <stdlib.h>

/* A conversation: every question without echo is the password's. */
static int
converse(int n, const struct pam_message **msg, struct pam_response **out,
    void *arg)
{
	struct pam_response *r;
	const char *password = arg;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	/* PAM frees it with free(). */
	r = calloc((size_t)n, sizeof(*r));
	if (r == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++)
		if (msg[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			r[i].resp = strdup(password);
	*out = r;
	return PAM_SUCCESS;
}

/* We keep failures waiting ourselves. */
static void
no_delay(int status, unsigned usec, void *arg)
{
}

static uint32_t
ask(const char *service, const char *user, const char *password,
    const char *client, const char **text)
{
	struct pam_conv conv = { converse, (void *)(uintptr_t)password };
	pam_handle_t *h = NULL;
	int rc = pam_start(service, user, &conv, &h);

	if (rc == PAM_SUCCESS)
		rc = pam_set_item(h, PAM_FAIL_DELAY,
		    (const void *)(uintptr_t)no_delay);
	if (rc == PAM_SUCCESS && client[0] != '\0')
		rc = pam_set_item(h, PAM_RHOST, client);
	if (rc == PAM_SUCCESS)
		rc = pam_authenticate(h, PAM_SILENT |
		    PAM_DISALLOW_NULL_AUTHTOK);
	if (rc == PAM_SUCCESS)
		rc = pam_acct_mgmt(h, PAM_SILENT);
	*text = pam_strerror(h, rc);
	if (h != NULL)
		(void)pam_end(h, rc);
	switch (rc) {
	case PAM_SUCCESS:
		return 1;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_PERM_DENIED:
	case PAM_CRED_INSUFFICIENT:
		return 0;
	default:
		return 2;
	}
}
#else
static uint32_t
ask(const char *service, const char *user, const char *password,
    const char *client, const char **text)
{
	*text = "built without PAM";
	return 2;
}
#endif

/* What a child has to say. */
struct verdict {
	uint32_t	right;
	char		text[AUTH_TEXT_MAX];
};

NORETURN static void
ask_in_child(const struct pam_ask_msg *m, int out)
{
	struct verdict v = { .right = 2 };
	const char *text = "";
	char *service = span_dup(m->service), *user = span_dup(m->user);
	char *password = span_dup(m->password), *client = span_dup(m->client);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	v.right = ask(service, user, password, client, &text);
	(void)!span_copy(span_sub(span_of(text), 0, sizeof(v.text) - 1),
	    v.text, sizeof(v.text));
	_exit(fd_write_all(out, &v, sizeof(v)) < 0);
}

/* false: it has ended without a word. */
static bool
listen_to(int in, struct verdict *v)
{
	size_t have = 0;

	while (have < sizeof(*v)) {
		ssize_t n = read(in, (char *)v + have, sizeof(*v) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	v->text[sizeof(v->text) - 1] = '\0';
	return v->right <= 2;
}

static void
ask_by_child(const struct pam_ask_msg *m, struct verdict *v)
{
	static const struct verdict failed = { 2, "PAM has failed" };
	int fds[2] = { -1, -1 }, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		log_warning("cannot ask PAM: %m");
		*v = failed;
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return;
	}
	if (pid == 0)
		ask_in_child(m, fds[1]);
	close(fds[1]);
	if (!listen_to(fds[0], v))
		*v = failed;
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		log_warning("PAM: %.*s: killed by signal %d",
		    SPAN_ARG(m->service), WTERMSIG(status));
}

static int
on_ask(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct pam_ask_msg m;
	struct pam_answer a;
	struct verdict v;

	if (f->type != PAM_ASK || pam_ask_msg_decode(&m, f->body) < 0)
		return -1;
	ask_by_child(&m, &v);
	a = (struct pam_answer){ .right = v.right, .text = span_of(v.text) };
	pam_answer_encode(ipc_begin(c, PAM_ANSWER, f->tag), &a);
	ipc_end(c);
	return 0;
}

const struct helper_ops pam_helper_ops = { .handle = on_ask };
