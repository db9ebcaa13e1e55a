/* SPDX-License-Identifier: ISC */
/*
 * asker - questions from an event loop to a service that may come and go.
 *
 * Who asks has a struct question in a struct of its own.  The question is put
 * on the connection to the service, and again on the next one when that ends:
 * that a service was restarted is nothing that a client has to hear of.  One
 * that ASKER_PUTS_MAX connections in a row did not survive is suspected to be
 * the reason, and is not put once more.
 *
 * A question ends in one of three ways: answer() takes an answer, lost() is
 * told that nobody answers, or asker_forget() takes it back.  Neither handler
 * is called from within asker_ask().
 */
#ifndef IPC_ASKER_H
#define IPC_ASKER_H

#include "base/cc.h"
#include "base/list.h"
#include "ipc/ipc.h"

#define ASKER_PUTS_MAX	3

struct question {
	struct list	 link;
	uint32_t	 tag;		/* of its frames */
	int64_t		 asked_ms;
	int64_t		 wait_ms;	/* instead of asker_ops's, or 0; the
					 * owner's, before asker_ask() */
	unsigned	 ended;		/* connections that it was put on */
	bool		 put;		/* on the present connection */
};

struct asker_ops {
	/* Write its frame, with its tag. */
	void	(*put)(struct question *q, struct ipc_conn *c);
	/* A frame with its tag has come, of type answer_type unless that is
	 * 0.  -1: it makes no sense, and the connection ends.  0:
	 * asker_forget() has been called, or asker_again(). */
	int	(*answer)(struct question *q, const struct ipc_frame *f);
	/* It has been forgotten: there was no answer in time, or none of
	 * ASKER_PUTS_MAX connections brought one. */
	void	(*lost)(struct question *q);
	uint16_t answer_type;
	int64_t	 wait_ms;	/* for the answer of a service that is there */
	int64_t	 away_ms;	/* for the service; when it has been away for
				 * so long, questions are lost at once */
};

struct asker;
/* path is copied, ops are not. */
struct asker *asker_new(struct loop *l, const char *path,
	    const struct ipc_proto *p, const struct asker_ops *ops);
/* None may be under way. */
void	 asker_free(struct asker **a);
void	 asker_ask(struct asker *a, struct question *q);
/* Its answer has led to another question: put() is called once more. */
void	 asker_again(struct asker *a, struct question *q);
void	 asker_forget(struct asker *a, struct question *q);
/* One that is under way; NULL. */
struct question *asker_any(const struct asker *a);
/* The connection that it is put on; NULL. */
struct ipc_conn *asker_conn(struct asker *a, const struct question *q);

#endif
