/* SPDX-License-Identifier: ISC */
/*
 * notify - tell systemd how we are (sd_notify(3)): a datagram to the socket
 * that NOTIFY_SOCKET names, and nothing at all when it is not set.
 */
#include "master/master.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"

static struct sockaddr_un	to;
static socklen_t		to_len;
static struct loop_timer	*watchdog_timer;
static int64_t			watchdog_ms;

static void
feed_watchdog(void *arg)
{
	notify_send("WATCHDOG=1");
	loop_timer_set(watchdog_timer, watchdog_ms);
}

void
notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	size_t len = path != NULL ? strlen(path) : 0;
	uint64_t n;

	if (len < 2 || len >= sizeof(to.sun_path))
		return;
	to.sun_family = AF_UNIX;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';		/* the abstract namespace */
	to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (usec != NULL && num_parse_u64(span_of(usec), INT64_MAX, &n) == 0)
		watchdog_ms = (int64_t)(n / 1000 / 2);
}

void
notify_send(const char *text)
{
	int fd;

	if (to_len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (struct sockaddr *)&to, to_len) < 0)
		log_debug("systemd: %m");
	if (fd >= 0)
		close(fd);
	if (watchdog_ms > 0 && watchdog_timer == NULL) {
		watchdog_timer = loop_timer_new(master.loop, feed_watchdog,
		    NULL);
		loop_timer_set(watchdog_timer, watchdog_ms);
	}
}

void
notify_reloading(void)
{
	struct timespec now;
	char *text;

	clock_gettime(CLOCK_MONOTONIC, &now);
	text = mem_printf("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify_send(text);
	mem_free(text);
}
