/* SPDX-License-Identifier: ISC */
/*
 * conn - one TLS connection, as the layer of a stream.
 *
 * OpenSSL never sees the socket: it reads from t->src, the bytes that the
 * stream has received, and writes into the stream's output, so that a turn
 * costs one recv and one send whatever the records are.
 *
 * A handshake that needs a signature runs as an OpenSSL job, which has a
 * stack of its own: tls_sign() notes what is to be signed and pauses the job,
 * we send the question to keyd, and its answer continues the job.  Nothing
 * waits in between.  Jobs are used in the handshake only.
 */
#include <openssl/async.h>

#include "base/log.h"
#include "base/mem.h"
#include "tls/keyd_client.h"
#include "tls/tls_priv.h"

static void ended(void *arg, struct stream *s, enum stream_end end);
static void nothing(void *arg, struct stream *s);

/* The stream's owner during the handshake. */
static const struct stream_ops handshake_ops = {
	.on_read = nothing,
	.on_end = ended,
};

/* Whose SSL_do_handshake() is running, for tls_sign(). */
static struct tls *current;
static BIO_METHOD *bio_method;

/* --- what OpenSSL reads and writes ---------------------------------------------- */

static int
bio_read(BIO *b, char *to, size_t n, size_t *got)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	*got = MIN(n, t->src.len);
	if (*got == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	memcpy(to, t->src.p, *got);
	t->src = span_from(t->src, *got);
	return 1;
}

static int
bio_write(BIO *b, const char *p, size_t n, size_t *put)
{
	struct tls *t = BIO_get_data(b);

	stream_layer_send(t->stream, p, n);
	*put = n;
	return 1;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *p)
{
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP ? 1 : 0;
}

static void
make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "stream");
	if (bio_method == NULL)
		log_fatal("OpenSSL: no memory");
	BIO_meth_set_read_ex(bio_method, bio_read);
	BIO_meth_set_write_ex(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

void
tls_init(void)
{
	static bool did;

	if (did)
		return;
	did = true;
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1)
		log_fatal("OpenSSL cannot be initialised");
	if (tls_remote_key_init() < 0)
		log_fatal("OpenSSL does not take our key provider");
	make_bio_method();
}

void
tls_openssl_why(struct why *why, const char *what)
{
	char text[256];
	unsigned long e = ERR_get_error();

	if (e == 0) {
		why_set(why, "4.7.0", "%s", what);
		return;
	}
	ERR_error_string_n(e, text, sizeof(text));
	why_set(why, "4.7.0", "%s: %s", what, text);
	ERR_clear_error();
}

/* --- the handshake ----------------------------------------------------------------- */

int
tls_sign(uint64_t key_id, uint32_t scheme, struct span tbs, struct buf *sig)
{
	struct tls *t = current;

	/* Outside of a handshake of ours there is nobody to wait. */
	if (t == NULL || ASYNC_get_current_job() == NULL)
		return -1;
	t->op.key_id = key_id;
	t->op.scheme = scheme;
	t->op.tbs = tbs;
	t->op.ok = false;
	t->op.state = OP_WANTED;
	while (t->op.state != OP_DONE)
		if (ASYNC_pause_job() != 1)
			return -1;
	t->op.state = OP_NONE;
	if (!t->op.ok || buf_put_span(sig, buf_span(&t->op.sig)) < 0)
		return -1;
	return 0;
}

static void
info_callback(const SSL *ssl, int where, int ret)
{
	struct tls *t = tls_from_ssl(ssl);

	/* OpenSSL answers a renegotiation (TLS 1.2) with a warning and would
	 * go on; whoever wants one is no client of ours. */
	if (where == SSL_CB_WRITE_ALERT &&
	    (ret & 0xff) == SSL_AD_NO_RENEGOTIATION && t != NULL)
		t->renegotiated = true;
}

struct tls *
tls_from_ssl(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

void
tls_make_ssl(struct tls *t, SSL_CTX *ctx, bool server)
{
	BIO *bio = BIO_new(bio_method);

	t->ssl = SSL_new(ctx);
	if (t->ssl == NULL || bio == NULL)
		log_fatal("OpenSSL: no memory for a connection");
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	SSL_set_info_callback(t->ssl, info_callback);
	if (server) {
		SSL_set_accept_state(t->ssl);
		SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
	} else {
		SSL_set_connect_state(t->ssl);
	}
}

struct why *
tls_why(struct tls *t)
{
	if (t->why == NULL)
		t->why = mem_zalloc(sizeof(*t->why));
	return t->why;
}

/* What went wrong in OpenSSL, unless somebody has said it better. */
static void
fail(struct tls *t, const char *what)
{
	t->state = TLS_OVER;
	if (t->why == NULL || t->why->text[0] == '\0')
		tls_openssl_why(tls_why(t), what);
	ERR_clear_error();
}

static enum stream_layer_says
established(struct tls *t)
{
	int rc = 0;

	SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	buf_fini(&t->op.sig);
	if (t->client != NULL)
		rc = tls_client_judge(t);
	else
		tls_server_judge(t);
	if (rc < 0) {
		t->state = TLS_OVER;
		(void)SSL_shutdown(t->ssl);
		return LAYER_BROKEN;
	}
	t->state = TLS_SECURE;
	/* It would keep them until the next record comes. */
	(void)SSL_free_buffers(t->ssl);
	/* The owner is told first, then it gets what may have come along. */
	loop_defer(stream_loop(t->stream), &t->notify);
	return LAYER_WAITS;
}

static enum stream_layer_says
handshake(struct tls *t)
{
	int rc;

	if (t->ssl == NULL && !tls_server_begin(t))
		return LAYER_WAITS;
	if (t->op.state == OP_SENT || t->ask.state == SNI_ASKED)
		return LAYER_WAITS;
	for (;;) {
		ERR_clear_error();
		current = t;
		rc = SSL_do_handshake(t->ssl);
		current = NULL;
		if (rc == 1)
			return established(t);
		switch (SSL_get_error(t->ssl, rc)) {
		case SSL_ERROR_WANT_READ:
			return LAYER_HUNGRY;
		case SSL_ERROR_WANT_ASYNC:
			keyd_client_sign(&t->op);
			if (t->op.state == OP_DONE)
				break;		/* keyd is away: fail */
			return LAYER_WAITS;
		case SSL_ERROR_WANT_CLIENT_HELLO_CB:
			return LAYER_WAITS;
		default:
			fail(t, "handshake failed");
			return LAYER_BROKEN;
		}
	}
}

/* --- the layer ---------------------------------------------------------------------- */

static enum stream_layer_says
read_records(struct tls *t, char *to, size_t room, size_t *put)
{
	size_t n;
	int rc;

	while (*put < room) {
		ERR_clear_error();
		rc = SSL_read_ex(t->ssl, to + *put, room - *put, &n);
		if (t->renegotiated) {
			why_set(tls_why(t), "4.7.0", "renegotiation refused");
			t->state = TLS_OVER;
			return LAYER_BROKEN;
		}
		if (rc == 1) {
			*put += n;
			continue;
		}
		switch (SSL_get_error(t->ssl, rc)) {
		case SSL_ERROR_WANT_READ:
			/* With a ticket or a new key it has made a buffer to
			 * write to, which it would keep until we write. */
			(void)SSL_free_buffers(t->ssl);
			return LAYER_HUNGRY;
		case SSL_ERROR_ZERO_RETURN:
			return LAYER_EOF;
		default:
			fail(t, "bad record");
			return LAYER_BROKEN;
		}
	}
	return t->src.len > 0 || SSL_has_pending(t->ssl) ? LAYER_MORE :
	    LAYER_HUNGRY;
}

/* Keep what OpenSSL has not read. */
static void
hold_rest(struct tls *t)
{
	if (t->held.len == 0) {
		buf_add_span(&t->held, t->src);
	} else {
		size_t used = t->held.len - t->src.len;

		if (used == t->held.len)
			buf_fini(&t->held);
		else
			buf_consume(&t->held, used);
	}
	t->src = SPAN_EMPTY;
}

static enum stream_layer_says
layer_input(void *arg, struct span in, char *to, size_t room, size_t *put)
{
	struct tls *t = arg;
	enum stream_layer_says says;

	if (t->state == TLS_OVER)
		return LAYER_BROKEN;
	if (t->state == TLS_HANDSHAKE)
		t->hello_bytes += in.len;
	if (t->held.len > 0 && in.len > 0)
		buf_add_span(&t->held, in);
	t->src = t->held.len > 0 ? buf_span(&t->held) : in;
	if (t->state == TLS_SECURE)
		says = t->done != NULL ? LAYER_WAITS :
		    read_records(t, to, room, put);
	else
		says = handshake(t);
	hold_rest(t);
	if (t->state == TLS_HANDSHAKE && t->hello_bytes > TLS_HELLO_MAX) {
		why_set(tls_why(t), "4.7.0", "handshake of more than %d bytes",
		    TLS_HELLO_MAX);
		t->state = TLS_OVER;
		says = LAYER_BROKEN;
	}
	return says;
}

static ssize_t
layer_output(void *arg, struct span plain)
{
	struct tls *t = arg;
	size_t n;

	if (t->state == TLS_HANDSHAKE)
		return 0;
	if (t->state == TLS_OVER)
		return -1;
	ERR_clear_error();
	/* The stream takes all that we write: no record is ever left over. */
	if (SSL_write_ex(t->ssl, plain.p, plain.len, &n) != 1) {
		fail(t, "write failed");
		return -1;
	}
	return (ssize_t)n;
}

static void
layer_close(void *arg)
{
	struct tls *t = arg;

	ERR_clear_error();
	if (t->state == TLS_SECURE)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void
layer_eof(void *arg)
{
	struct tls *t = arg;

	t->truncated = true;
}

/* A job that is paused cannot be freed: let it fail. */
static void
end_job(struct tls *t)
{
	if (t->op.state == OP_NONE)
		return;
	keyd_client_cancel(&t->op);
	t->op.ok = false;
	t->op.state = OP_DONE;
	ERR_clear_error();
	t->src = SPAN_EMPTY;
	(void)SSL_do_handshake(t->ssl);
	ERR_clear_error();
}

static void
layer_free(void *arg)
{
	struct tls *t = arg;

	loop_defer_cancel(&t->notify);
	list_remove(&t->waiting);
	if (t->ssl != NULL) {
		end_job(t);
		/* So that the session stays good for a resumption. */
		if (t->state == TLS_SECURE)
			SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN |
			    SSL_RECEIVED_SHUTDOWN);
		SSL_free(t->ssl);
	}
	if (t->server != NULL)
		tls_server_forget(t);
	else
		tls_client_forget(t);
	tls_facts_fini(t);
	buf_fini(&t->op.sig);
	buf_fini(&t->held);
	mem_free(t->alpn);
	mem_free(t->why);
	mem_free(t);
}

const struct stream_layer tls_layer = {
	.input = layer_input,
	.output = layer_output,
	.close = layer_close,
	.eof = layer_eof,
	.free = layer_free,
};

/* --- the owner ------------------------------------------------------------------------ */

static void
nothing(void *arg, struct stream *s)
{
}

/* Give the stream back to its owner.  t may be freed by it. */
static void
give_back(struct tls *t, const struct why *why)
{
	struct stream *s = t->stream;
	tls_done_fn *done = t->done;
	void *arg;

	/* An owner that has given the stream up is not told. */
	if (done == NULL || stream_ops_of(s, &arg) != &handshake_ops)
		return;
	t->done = NULL;
	stream_set_ops(s, t->owner_ops, t->owner_arg);
	stream_set_deadline(s, 0);
	if (why == NULL)
		stream_layer_resume(s);
	done(t->done_arg, s, t, why);
}

static void
notify(void *arg)
{
	struct tls *t = arg;

	give_back(t, NULL);
}

static void
ended(void *arg, struct stream *s, enum stream_end end)
{
	struct tls *t = arg;
	struct why why = WHY_INIT;

	t->state = TLS_OVER;
	if (t->why != NULL && t->why->text[0] != '\0')
		why = *t->why;
	else if (end == STREAM_EOF)
		why_set(&why, "4.7.0", "lost connection");
	else if (end == STREAM_TIMEOUT)
		why_set(&why, "4.7.0", "Connection timed out");
	else if (end == STREAM_ERROR)
		why_set(&why, "4.7.0", "%s", strerror(stream_errno(s)));
	else
		why_set(&why, "4.7.0", "too much data");
	give_back(t, &why);
}

size_t
tls_attach(struct tls *t, struct stream *s, int64_t timeout_ms,
    tls_done_fn *done, void *arg)
{
	size_t dropped = 0;

	tls_init();
	t->stream = s;
	t->state = TLS_HANDSHAKE;
	t->held = BUF_INIT(BUF_UNLIMITED);	/* the stream's limits hold */
	t->op.sig = BUF_INIT(TLS_CHAIN_MAX);
	t->op.tls = t;
	t->done = done;
	t->done_arg = arg;
	t->notify.fn = notify;
	t->notify.arg = t;
	list_init(&t->waiting);
	list_init(&t->op.link);
	list_init(&t->ask.link);
	t->owner_ops = stream_ops_of(s, &t->owner_arg);
	stream_set_ops(s, &handshake_ops, t);
	stream_set_layer(s, &tls_layer, t, &t->held);
	if (!(t->flags & TLS_KEEP_INPUT)) {
		dropped = t->held.len;
		buf_fini(&t->held);
	}
	stream_set_deadline(s, timeout_ms);
	stream_resume(s);
	stream_layer_resume(s);
	return dropped;
}

void
tls_continue(struct tls *t)
{
	stream_layer_resume(t->stream);
}

struct tls *
tls_of(const struct stream *s)
{
	struct tls *t = stream_layer_arg(s, &tls_layer);

	return t != NULL && t->state != TLS_HANDSHAKE ? t : NULL;
}

bool
tls_truncated(const struct tls *t)
{
	return t->truncated;
}
