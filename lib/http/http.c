/* SPDX-License-Identifier: ISC */
/*
 * http - see http.h; the only file that knows libcurl.
 *
 * libcurl says which descriptors and what time it waits for, we call it when
 * something has happened.  It may not be called from its own callbacks, so
 * what is over is told at the end of the turn.
 */
#include "http/http.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "tls/ca_file.h"

struct http_request {
	struct list	 link;
	struct http	*h;
	http_fn		*fn;
	void		*arg;
	void		*easy;
	void		*resolve, *headers;	/* lists of libcurl's */
	struct buf	 body, post;
	size_t		 head_len;
	bool		 too_large;
	struct loop_defer fail;		/* it could not even be begun */
	struct http_answer answer;
	char		 error[256];
};

#define CA_MAX		(8u << 20)	/* bytes of certificates */

#ifdef WITH_CURL
#include <curl/curl.h>

_Static_assert(sizeof(((struct http_request *)0)->error) >= CURL_ERROR_SIZE,
    "libcurl writes so much");

struct watched {
	struct http	*h;
	curl_socket_t	 fd;
	struct loop_io	*io;
};

struct http {
	struct loop	*loop;
	struct list	 requests;
	struct buf	 ca;
	char		*agent;
	CURLM		*multi;
	struct loop_timer *timer;
	struct loop_defer reap;
};

/* --- libcurl and the loop --------------------------------------------------------- */

static void
act(struct http *h, curl_socket_t fd, int what)
{
	int running;
	CURLMcode rc = curl_multi_socket_action(h->multi, fd, what, &running);

	if (rc != CURLM_OK)
		log_fatal("libcurl: %s", curl_multi_strerror(rc));
	loop_defer(h->loop, &h->reap);
}

static void
on_ready(void *arg, unsigned events)
{
	struct watched *w = arg;

	act(w->h, w->fd, (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
	    (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched)
{
	struct http *h = arg;
	struct watched *w = watched;

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			loop_io_free(&w->io);
			mem_free(w);
		}
		(void)curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (w == NULL) {
		w = mem_zalloc(sizeof(*w));
		w->h = h;
		w->fd = fd;
		w->io = loop_io_new(h->loop, fd, on_ready, w);
		(void)curl_multi_assign(h->multi, fd, w);
	}
	loop_io_want(w->io, (what & CURL_POLL_IN ? LOOP_READ : 0) |
	    (what & CURL_POLL_OUT ? LOOP_WRITE : 0));
	return 0;
}

static void
on_time(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	if (ms < 0)
		loop_timer_cancel(h->timer);
	else
		loop_timer_set(h->timer, ms);
	return 0;
}

/* --- the life of a request ---------------------------------------------------------- */

static void
request_free(struct http_request *r)
{
	list_remove(&r->link);
	loop_defer_cancel(&r->fail);
	if (r->easy != NULL) {
		(void)curl_multi_remove_handle(r->h->multi, r->easy);
		curl_easy_cleanup(r->easy);
	}
	curl_slist_free_all(r->resolve);
	curl_slist_free_all(r->headers);
	buf_fini(&r->body);
	buf_wipe(&r->post);
	mem_free(r);
}

static enum http_result
result_of(const struct http_request *r, CURLcode rc)
{
	if (r->too_large)
		return HTTP_TOO_LARGE;
	switch (rc) {
	case CURLE_OK:
		return HTTP_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
		return HTTP_UNTRUSTED;
	case CURLE_FILESIZE_EXCEEDED:
		return HTTP_TOO_LARGE;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
	case CURLE_BAD_CONTENT_ENCODING:
		return HTTP_GARBLED;
	default:
		return HTTP_UNREACHABLE;
	}
}

static void
tell(struct http_request *r, CURLcode rc)
{
	struct http_answer a = { .result = result_of(r, rc), .text = "" };
	long status = 0;
	char *type = NULL;

	(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &type);
	a.status = (unsigned)status;
	a.type = span_of(type != NULL ? type : "");
	a.body = buf_span(&r->body);
	if (a.result == HTTP_TOO_LARGE)
		a.text = "the answer is too large";
	else if (a.result != HTTP_ANSWERED)
		a.text = r->error[0] != '\0' ? r->error :
		    curl_easy_strerror(rc);
	r->fn(r->arg, &a);
	request_free(r);
}

static void
reap(void *arg)
{
	struct http *h = arg;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		struct http_request *r = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE,
		    (char **)&r);
		tell(r, m->data.result);
	}
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;

	if (buf_put(&r->body, p, size * n) == 0)
		return size * n;
	r->too_large = true;
	return 0;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;

	r->head_len += size * n;
	if (r->head_len <= HTTP_HEAD_MAX)
		return size * n;
	r->too_large = true;
	return 0;
}

static struct curl_slist *
add(struct curl_slist *list, const char *line)
{
	list = curl_slist_append(list, line);
	if (list == NULL)
		log_fatal("libcurl: no memory");
	return list;
}

static struct curl_slist *
addresses(const struct http_ask *a)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct curl_slist *list;

	buf_addf(&b, "%s:%u:", a->host, a->port);
	for (size_t i = 0; i < MIN(a->naddrs, HTTP_ADDRS_MAX); i++) {
		char ip[SOCK_ADDR_TEXT_MAX];
		bool v6 = a->addrs[i].sa.sa_family == AF_INET6;

		sock_addr_text(&a->addrs[i], ip);
		buf_addf(&b, "%s%s%s%s", i > 0 ? "," : "", v6 ? "[" : "", ip,
		    v6 ? "]" : "");
	}
	list = add(NULL, b.data);
	buf_fini(&b);
	return list;
}

#define SET(option, value)	\
	(rc == CURLE_OK ? (rc = curl_easy_setopt(e, option, value)) : rc)

static CURLcode
set_options(struct http_request *r, const struct http_ask *a)
{
	struct curl_blob ca = { .data = r->h->ca.data, .len = r->h->ca.len,
	    .flags = CURL_BLOB_NOCOPY };
	CURL *e = r->easy;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, a->url);
	SET(CURLOPT_PRIVATE, r);
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, NULL);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CAINFO_BLOB, &ca);
	SET(CURLOPT_RESOLVE, (struct curl_slist *)r->resolve);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)a->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)a->timeout_ms);
	SET(CURLOPT_USERAGENT, r->h->agent);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)a->body_max);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, r);
	if (a->type != NULL) {
		char *type = mem_printf("Content-Type: %s", a->type);

		r->headers = add(NULL, type);
		/* No "Expect: 100-continue" and its wait. */
		r->headers = add(r->headers, "Expect:");
		mem_free(type);
		r->post = BUF_SECRET(BUF_UNLIMITED);
		buf_add_span(&r->post, a->body);
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, r->post.data);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->post.len);
	}
	if (a->authorization != NULL) {
		char *line = mem_printf("Authorization: %s",
		    a->authorization);

		r->headers = add(r->headers, line);
		mem_wipe(line, strlen(line));
		mem_free(line);
	}
	if (r->headers != NULL)
		SET(CURLOPT_HTTPHEADER, (struct curl_slist *)r->headers);
	return rc;
}

static void
failed_to_begin(void *arg)
{
	struct http_request *r = arg;

	r->fn(r->arg, &r->answer);
	request_free(r);
}

struct http_request *
http_ask(struct http *h, const struct http_ask *a, http_fn *fn, void *arg)
{
	struct http_request *r = mem_zalloc(sizeof(*r));
	CURLcode rc;

	r->h = h;
	r->fn = fn;
	r->arg = arg;
	r->body = BUF_INIT(a->body_max);
	r->post = BUF_INIT(BUF_UNLIMITED);
	r->fail = (struct loop_defer){ .fn = failed_to_begin, .arg = r };
	list_append(&h->requests, &r->link);
	r->resolve = a->naddrs > 0 ? addresses(a) : NULL;
	r->easy = curl_easy_init();
	if (r->easy == NULL)
		log_fatal("libcurl: no memory");
	rc = set_options(r, a);
	if (rc == CURLE_OK &&
	    curl_multi_add_handle(h->multi, r->easy) == CURLM_OK)
		return r;
	r->answer = (struct http_answer){ .result = HTTP_UNREACHABLE,
	    .text = curl_easy_strerror(rc) };
	loop_defer(h->loop, &r->fail);
	return r;
}

void
http_cancel(struct http_request **rp)
{
	struct http_request *r = *rp;

	*rp = NULL;
	if (r != NULL)
		request_free(r);
}

/* --- the client -------------------------------------------------------------------------- */

struct http *
http_new(const char *ca_file, const char *agent, struct why *why)
{
	struct http *h = mem_zalloc(sizeof(*h));

	list_init(&h->requests);
	h->ca = BUF_INIT(CA_MAX);
	h->agent = mem_strdup(agent);
	if (ca_file[0] == '\0')
		ca_file = tls_system_ca_file();
	if (ca_file[0] != '\0' &&
	    fd_read_file(AT_FDCWD, ca_file, &h->ca) < 0) {
		(void)why_errno(why, "", "%s", ca_file);
		http_free(&h);
		return NULL;
	}
	if (h->ca.len == 0)
		log_warning("no certificates of authorities: no web server "
		    "will be trusted");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (h->multi = curl_multi_init()) == NULL)
		log_fatal("libcurl does not start");
	return h;
}

void
http_start(struct http *h, struct loop *l)
{
	h->loop = l;
	h->timer = loop_timer_new(l, on_time, h);
	h->reap = (struct loop_defer){ .fn = reap, .arg = h };
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
}

void
http_free(struct http **hp)
{
	struct http *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	while (!list_empty(&h->requests))
		request_free(LIST_ENTRY(h->requests.next, struct http_request,
		    link));
	if (h->loop != NULL) {
		loop_defer_cancel(&h->reap);
		loop_timer_free(&h->timer);
	}
	if (h->multi != NULL)
		(void)curl_multi_cleanup(h->multi);
	buf_fini(&h->ca);
	mem_free(h->agent);
	mem_free(h);
}

#else /* no libcurl */

struct http {
	struct loop	*loop;
	struct list	 requests;
};

static void
unsupported(void *arg)
{
	struct http_request *r = arg;

	r->fn(r->arg, &r->answer);
	http_cancel(&r);
}

struct http_request *
http_ask(struct http *h, const struct http_ask *a, http_fn *fn, void *arg)
{
	struct http_request *r = mem_zalloc(sizeof(*r));

	r->h = h;
	r->fn = fn;
	r->arg = arg;
	r->fail = (struct loop_defer){ .fn = unsupported, .arg = r };
	r->answer = (struct http_answer){ .result = HTTP_UNSUPPORTED,
	    .text = "built without libcurl" };
	list_append(&h->requests, &r->link);
	loop_defer(h->loop, &r->fail);
	return r;
}

void
http_cancel(struct http_request **rp)
{
	struct http_request *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	list_remove(&r->link);
	loop_defer_cancel(&r->fail);
	mem_free(r);
}

struct http *
http_new(const char *ca_file, const char *agent, struct why *why)
{
	struct http *h = mem_zalloc(sizeof(*h));

	list_init(&h->requests);
	return h;
}

void
http_start(struct http *h, struct loop *l)
{
	h->loop = l;
}

void
http_free(struct http **hp)
{
	struct http *h = *hp;

	*hp = NULL;
	while (h != NULL && !list_empty(&h->requests)) {
		struct http_request *r = LIST_ENTRY(h->requests.next,
		    struct http_request, link);

		http_cancel(&r);
	}
	mem_free(h);
}

#endif

struct loop *
http_loop(const struct http *h)
{
	return h->loop;
}
