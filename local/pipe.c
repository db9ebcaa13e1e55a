/* SPDX-License-Identifier: ISC */
/*
 * pipe - one message, one run of the command, whatever the number of
 * recipients (transport_destination_recipient_limit = 1 makes it one each).
 */
#include "local/pipe.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "local/command.h"
#include "store/store_internal.h"

static struct pipe_conf pc;
static struct agent agent;

/* What comes before the message, with the command's own line ends. */
static void
make_head(const struct job *j, struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const struct envelope *e = &j->env;
	struct rcpt r = e->rcpts.v[0];
	struct span line, rest;

	if (pc.flags & PIPE_FROM)
		mbox_from_line(&b, e->sender, clock_wall_us());
	if (!(pc.flags & PIPE_ORIGINAL))
		r.orig = r.addr = SPAN_EMPTY;
	job_head(&b, &r, pc.flags & PIPE_RETURN ? (e->sender.p != NULL ?
	    e->sender : SPAN("")) : SPAN_EMPTY,
	    pc.flags & PIPE_DELIVERED ? e->rcpts.v[0].addr : SPAN_EMPTY);
	rest = buf_span(&b);
	while (span_line(&rest, &line)) {
		buf_add_span(out, line);
		buf_add_str(out, pc.eol);
	}
	buf_fini(&b);
}

static bool
is_plain(void)
{
	return !(pc.flags & (PIPE_DOT | PIPE_ANGLE | PIPE_BLANK)) &&
	    strcmp(pc.eol, "\n") == 0;
}

/* All of it in memory: message_size_limit bounds it. */
static int
add_content(struct job *j, struct buf *out, struct why *why)
{
	struct buf all = BUF_INIT(BUF_UNLIMITED);
	struct span piece;
	int rc = 0;

	for (uint64_t at = 0; at < j->content.len && rc == 0;
	    at += piece.len) {
		rc = store_content_read(&j->content, at, &piece, why);
		if (rc == 0)
			buf_add_span(&all, piece);
	}
	if (rc == 0)
		pipe_content(&pc, buf_span(&all), out);
	buf_fini(&all);
	return rc;
}

static void
deliver_all(struct job *j, struct result *res)
{
	struct buf text = BUF_INIT(COMMAND_OUTPUT_MAX);
	struct buf head = BUF_INIT(BUF_UNLIMITED);
	struct command_spec c = { .job = j, .run = { .search = true,
	    .uid = pc.program.uid, .gid = pc.program.gid,
	    .dir = pc.directory } };
	struct why why = WHY_INIT;
	struct span out;
	bool late;
	int status;

	if (pc.program.missing != NULL) {
		log_warning("service %s: %s", daemon_service_name(),
		    pc.program.missing);
		result_defer(res, "4.3.5", "mail system configuration error");
		return;
	}
	if (pc.size_max > 0 && j->content.len > (uint64_t)pc.size_max) {
		result_bounce(res, "5.2.3", "message size %llu exceeds the "
		    "limit of this service",
		    (unsigned long long)j->content.len);
		return;
	}
	if ((pc.flags & PIPE_DELIVERED) && job_delivered_to(j,
	    j->env.rcpts.v[0].addr)) {
		result_bounce(res, "5.4.6", "mail forwarding loop for %.*s",
		    SPAN_ARG(j->env.rcpts.v[0].addr));
		return;
	}
	c.run.argv = pipe_expand(&pc, &j->env, j->req.nexthop, j->content.len,
	    j->arena, &why);
	if (c.run.argv == NULL) {
		log_warning("%s: %s", daemon_service_name(), why.text);
		result_why(res, &why);
		return;
	}
	if (j->env.flags & ENV_PROBE) {
		result_ok(res, "delivers to command: %s", c.run.argv[0]);
		res->durable = true;
		goto end;
	}
	make_head(j, &head);
	if (!is_plain()) {
		if (add_content(j, &head, &why) < 0) {
			result_why(res, &why);
			goto end;
		}
		c.job = NULL;
	}
	c.head = buf_span(&head);
	c.run.env = program_env(j->arena);
	c.limit_s = params_transport_int(daemon_service_name(), "time_limit",
	    conf.command_time_limit);
	status = command_run(&c, &text, &late, &why);
	if ((status < 0 && why.text[0] != '\0') ||
	    command_judge(c.run.argv[0], status, late, &text, &why) < 0) {
		result_why(res, &why);
		goto end;
	}
	out = span_sub(span_trim(buf_span(&text)), 0, 300);
	result_ok(res, "delivered via %s service%s%.*s%s",
	    daemon_service_name(), out.len > 0 ? " (" : "", SPAN_ARG(out),
	    out.len > 0 ? ")" : "");
	res->durable = true;
	/* RFC 3464 2.3.3: what the program does with it we do not know. */
	if (!(pc.flags & PIPE_FINAL))
		res->action = "relayed";
end:
	buf_fini(&text);
	buf_fini(&head);
}

int
pipe_pre_jail(struct why *why)
{
	if (pipe_parse(daemon_argc(), daemon_argv(), &pc, why) < 0) {
		why_prefix(why, "service %s", daemon_service_name());
		return -1;
	}
	return 0;
}

int
pipe_check(struct why *why)
{
	if (daemon_judge(pipe_pre_jail(why), why) < 0)
		return -1;
	if (pc.program.missing != NULL)
		daemon_remark("service %s: %s: mail for it waits",
		    daemon_service_name(), pc.program.missing);
	return agent_check("pipe_delivery_status_filter",
	    conf.pipe_delivery_status_filter, why);
}

int
pipe_start(struct why *why)
{
	agent = (struct agent){ .name = daemon_service_name(),
	    .deliver_all = deliver_all,
	    .status_filter = conf.pipe_delivery_status_filter };
	return agent_start(&agent, "pipe_delivery_status_filter", why);
}
