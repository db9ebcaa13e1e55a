/* SPDX-License-Identifier: ISC */
/*
 * pam_helper - the process that asks PAM, one user after the other.
 *
 * A module may wait as long as it likes; authd counts who waits, and there
 * are several of these processes.
 */
#include "authd/helper.h"
#include "base/log.h"
#include "base/mem.h"

#if __has_include(<security/pam_appl.h>)
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

static int
on_ask(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct pam_answer a = { .right = 2 };
	char *service, *user, *password, *client;
	struct pam_ask_msg m;
	const char *text = "";

	if (f->type != PAM_ASK || pam_ask_msg_decode(&m, f->body) < 0)
		return -1;
	service = span_dup(m.service);
	user = span_dup(m.user);
	password = span_dup(m.password);
	client = span_dup(m.client);
	a.right = ask(service, user, password, client, &text);
	a.text = span_sub(span_of(text), 0, AUTH_TEXT_MAX);
	mem_wipe(password, m.password.len);
	mem_free(service);
	mem_free(user);
	mem_free(password);
	mem_free(client);
	pam_answer_encode(ipc_begin(c, PAM_ANSWER, f->tag), &a);
	ipc_end(c);
	return 0;
}

const struct helper_ops pam_helper_ops = { .handle = on_ask };
