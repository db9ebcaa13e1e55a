/* SPDX-License-Identifier: ISC */
/*
 * master_proto - what master and its children say to each other.
 *
 * Starting.  master executes "$daemon_directory/<command>" with
 *
 *	-n service	the first column of master.cf
 *	-t type		inet, unix, unix-dgram, fifo or pass
 *	-c config_dir
 *	-s count	listeners, which are descriptors MASTER_LISTEN_FD and up;
 *			this option says that master is there at all
 *	-l		MASTER_LOG_FD is open: append log lines to it
 *	-y		MASTER_LOG_FD is syslog's socket, which master connects
 *	-m		the descriptor after the listeners holds the settings of
 *			main.cf that master has checked (params_snapshot()): read
 *			these, not the files, which may be wrong by now
 *	-k		keep running when idle: nobody else does this job
 *	-u		column 4 asks for mail_owner (a row of the sandbox table
 *			may be stricter, never weaker)
 *	-v		debug lines too
 *	-o name=value	settings of this service
 *	-- args ...	what else the entry says
 *
 * Descriptors 0 and 1 are /dev/null, 2 is too unless master runs in the
 * foreground.  No other descriptor is open.
 *
 * Talking.  MASTER_STATUS_FD is one end of a SOCK_SEQPACKET pair, of which
 * nobody else has a copy: end of file means that the other side is gone.  A
 * packet is one struct master_msg.  The child is the less trusted end: master
 * takes a packet of another size or type as a reason to end the child.
 *
 * The listeners are shared.  master looks at a listener only while none of
 * the service's children is available, and starts another process when a
 * client waits; the socket stays open in master all the time, so a client is
 * never refused because a process ends.
 */
#ifndef DAEMON_MASTER_PROTO_H
#define DAEMON_MASTER_PROTO_H

#include "base/cc.h"

#define MASTER_STATUS_FD	3
#define MASTER_LOG_FD		4
#define MASTER_LISTEN_FD	5	/* the first; -s says how many */
#define MASTER_LISTEN_MAX	64	/* listeners of one service */

enum master_msg_type {
	/* Child to master.  A fresh child counts as available. */
	MASTER_MSG_READY = 1,	/* start() is done; comes once, first */
	MASTER_MSG_AVAIL,		/* accepts clients; value: clients now */
	MASTER_MSG_BUSY,		/* accepts none for now; value: clients now */
	MASTER_MSG_EXITING,		/* accepts none any more, and will exit */
	MASTER_MSG_COUNT,		/* answer to MASTER_MSG_QUERY: clients, or jobs */
	MASTER_MSG_FAILED,		/* a reload in place failed; see the log */

	/* Master to child. */
	MASTER_MSG_LOG,		/* one descriptor comes along: the new log */
	MASTER_MSG_SYSLOG,		/* the same: a new socket of syslog */
	MASTER_MSG_WAKEUP,		/* the wake-up column's time has come */
	MASTER_MSG_QUERY,		/* say MASTER_MSG_COUNT */
	MASTER_MSG_DRAIN,		/* as SIGTERM: say goodbye and exit */
	MASTER_MSG_RETIRE,		/* no new clients; exit after the last */
};

struct master_msg {
	uint32_t	type;		/* enum master_msg_type */
	uint32_t	value;
};

#endif
