/* SPDX-License-Identifier: ISC */
/*
 * bounce - delivery status notifications.
 *
 * qmgr asks for them (msg_bounce.h) with the message's envelope and a
 * descriptor of its content; they are composed from a template and handed to
 * cleanup.  The answer to qmgr comes when cleanup has made the notice
 * durable, so that the message it is about may be forgotten.
 */
#include "bounce/bounce.h"

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"

struct templates bounce_templates;

/* A template with an error must not stop bounces: the built-in text is used
 * until the file has been put right. */
static void
load_templates(void)
{
	struct buf text = BUF_INIT(TEMPLATE_FILE_MAX);
	struct why why = WHY_INIT;

	templates_fini(&bounce_templates);
	templates_init(&bounce_templates);
	if (conf.bounce_template_file[0] == '\0')
		return;
	if (fd_read_file(AT_FDCWD, conf.bounce_template_file, &text) < 0)
		log_warning("%s: %m; using the built-in templates",
		    conf.bounce_template_file);
	else if (templates_parse(&bounce_templates, buf_span(&text),
	    &why) < 0)
		log_warning("%s: %s; using the built-in templates",
		    conf.bounce_template_file, why.text);
	buf_fini(&text);
}

static int
start(struct why *why)
{
	load_templates();
	submit_start(daemon_loop());
	return 0;
}

static int
reload(struct why *why)
{
	load_templates();
	return 0;
}

static const struct daemon bounce = {
	.name	= "bounce",
	.start	= start,
	.accept	= request_accept,
	.reload	= reload,
};

int
main(int argc, char **argv)
{
	return daemon_main(&bounce, argc, argv);
}
