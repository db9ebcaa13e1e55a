/* SPDX-License-Identifier: ISC */
/*
 * mansio status - what runs, for people and (--json) for programs.
 */
#include <getopt.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "cmd/mansio.h"
#include "ipc/msg_master.h"

#define TIMEOUT_MS	5000

struct process {
	uint32_t	pid, clients;
	char		*state;
	bool		 answered;
	uint64_t	 age_ms;
};

struct row {
	char		*name, *type, *command, *sockets, *origin, *state;
	uint32_t	 maxproc;
	uint64_t	 started, crashed;
	ARRAY(struct process) processes;
};

static ARRAY(struct row) rows;

static int
add(const struct ipc_frame *f)
{
	struct master_ctl_service s;
	struct master_ctl_process p;
	struct process *to;
	struct row *r;

	if (f->type == MASTER_CTL_SERVICE) {
		if (master_ctl_service_decode(&s, f->body) < 0)
			return -1;
		r = ARRAY_PUSH(&rows);
		r->name = span_dup(s.name);
		r->type = span_dup(s.type);
		r->command = span_dup(s.command);
		r->sockets = span_dup(s.sockets);
		r->origin = span_dup(s.origin);
		r->state = span_dup(s.state);
		r->maxproc = s.maxproc;
		r->started = s.started;
		r->crashed = s.crashed;
		return 0;
	}
	if (f->type != MASTER_CTL_PROCESS || rows.len == 0 ||
	    master_ctl_process_decode(&p, f->body) < 0)
		return -1;
	r = &rows.v[rows.len - 1];
	to = ARRAY_PUSH(&r->processes);
	to->pid = p.pid;
	to->clients = p.clients;
	to->state = span_dup(p.state);
	to->answered = p.answered;
	to->age_ms = p.age_ms;
	return 0;
}

static uint64_t
clients(const struct row *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->processes.len; i++)
		n += r->processes.v[i].clients;
	return n;
}

/* "3d 4h", "5h 6m", "7m 8s", "9s". */
static void
print_age(uint64_t ms, char *out, size_t size)
{
	unsigned long long s = ms / 1000;

	if (s >= 86400)
		snprintf(out, size, "%llud %lluh", s / 86400,
		    s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(out, size, "%lluh %llum", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(out, size, "%llum %llus", s / 60, s % 60);
	else
		snprintf(out, size, "%llus", s);
}

static void
print_table(const struct master_ctl_result *res, bool with_processes)
{
	char age[32];
	int w = 7;

	print_age(res->age_ms, age, sizeof(age));
	printf("mansio %.*s is running: pid %u, up %s, configuration %.*s\n\n",
	    SPAN_ARG(res->version), res->pid, age, SPAN_ARG(res->config_dir));
	for (size_t i = 0; i < rows.len; i++)
		w = MAX(w, (int)strlen(rows.v[i].name));
	printf("%-*s %-5s %-10s %-9s %5s %7s %7s %6s  %s\n", w, "SERVICE",
	    "TYPE", "PROGRAM", "STATE", "PROCS", "CLIENTS", "STARTED",
	    "FAILED", "LISTENS ON");
	for (size_t i = 0; i < rows.len; i++) {
		const struct row *r = &rows.v[i];

		printf("%-*s %-5s %-10s %-9s %5zu %7llu %7llu %6llu  %s\n", w,
		    r->name, r->type, r->command, r->state, r->processes.len,
		    (unsigned long long)clients(r),
		    (unsigned long long)r->started,
		    (unsigned long long)r->crashed, r->sockets);
		for (size_t k = 0; with_processes && k < r->processes.len;
		    k++) {
			const struct process *p = &r->processes.v[k];

			print_age(p->age_ms, age, sizeof(age));
			printf("%*s pid %u, %s, %u clients%s, up %s\n", w, "",
			    p->pid, p->state, p->clients,
			    p->answered ? "" : " (did not answer)", age);
		}
	}
}

static void
json_string(const char *s)
{
	putchar('"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < ' ')
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void
json_member(const char *name, const char *value)
{
	printf("\"%s\":", name);
	json_string(value);
	putchar(',');
}

static void
print_json(const struct master_ctl_result *res)
{
	char *version = span_dup(res->version);
	char *dir = span_dup(res->config_dir);

	printf("{\"running\":true,");
	json_member("version", version);
	json_member("config_directory", dir);
	printf("\"pid\":%u,\"age_ms\":%llu,\"services\":[", res->pid,
	    (unsigned long long)res->age_ms);
	for (size_t i = 0; i < rows.len; i++) {
		const struct row *r = &rows.v[i];
		struct span rest = span_of(r->sockets), word;
		bool first = true;

		printf("%s{", i > 0 ? "," : "");
		json_member("name", r->name);
		json_member("type", r->type);
		json_member("command", r->command);
		json_member("state", r->state);
		json_member("origin", r->origin);
		printf("\"sockets\":[");
		while (span_token(&rest, " ", &word)) {
			char *text = span_dup(word);

			if (!first)
				putchar(',');
			first = false;
			json_string(text);
			mem_free(text);
		}
		printf("],\"maxproc\":%u,\"clients\":%llu,\"started\":%llu,"
		    "\"failed\":%llu,\"processes\":[", r->maxproc,
		    (unsigned long long)clients(r),
		    (unsigned long long)r->started,
		    (unsigned long long)r->crashed);
		for (size_t k = 0; k < r->processes.len; k++) {
			const struct process *p = &r->processes.v[k];

			printf("%s{\"pid\":%u,", k > 0 ? "," : "", p->pid);
			json_member("state", p->state);
			printf("\"clients\":%u,\"answered\":%s,"
			    "\"age_ms\":%llu}", p->clients,
			    p->answered ? "true" : "false",
			    (unsigned long long)p->age_ms);
		}
		printf("]}");
	}
	printf("]}\n");
	mem_free(version);
	mem_free(dir);
}

int
mansio_status(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 },
	};
	bool json = false, processes = false;
	struct why why = WHY_INIT;
	struct master_ctl_result res;
	struct ipc_frame f;
	struct ipc_sync *s;
	pid_t pid;
	char *path;
	int c, rc;

	while ((c = getopt_long(argc, argv, "jp", longopts, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'p')
			processes = true;
		else
			return mansio_usage(argv[0]);
	}
	if (optind != argc)
		return mansio_usage(argv[0]);
	mansio_load_anyhow();
	pid = mansio_master_pid();
	if (pid == 0) {
		if (json)
			printf("{\"running\":false}\n");
		else
			printf("the mail system is not running\n");
		return MANSIO_FAILED;
	}
	path = mem_printf("%s/%s", conf.queue_directory, MASTER_CTL_PATH);
	s = ipc_sync_connect(path, &MASTER_CTL_PROTO, TIMEOUT_MS, &why);
	mem_free(path);
	if (s == NULL || ipc_sync_send(s, MASTER_CTL_STATUS, 1, SPAN_EMPTY,
	    &why) < 0)
		goto silent;
	while ((rc = ipc_sync_recv(s, &f, -1, &why)) == 1 &&
	    f.type != MASTER_CTL_RESULT)
		if (add(&f) < 0)
			goto silent;
	if (rc != 1 || master_ctl_result_decode(&res, f.body) < 0)
		goto silent;
	if (json)
		print_json(&res);
	else
		print_table(&res, processes);
	ipc_sync_free(&s);
	return MANSIO_OK;
silent:
	/* It holds the lock, so it runs: starting, stopping, or stuck. */
	log_error("the mail system is running (pid %d) but does not answer: "
	    "%s", (int)pid, why.text);
	ipc_sync_free(&s);
	return MANSIO_FAILED;
}
