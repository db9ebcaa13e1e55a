/* SPDX-License-Identifier: ISC */
/*
 * sets - chains and keys by the list of their files; see keyd.h.
 *
 * A set is loaded when somebody asks for it and stays.  When one of its files
 * has changed, it is loaded anew; what cannot be used (a key without its
 * certificate, because only one of two files has been replaced yet; dates
 * that do not hold) is refused, said once, and the old set stays.  A replaced
 * set lives on for a while, for handshakes that began with it.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "keyd/keyd.h"
#include "tls/settings.h"

#define SEPARATORS	", \t\r\n"
/* How long a replaced set can still sign. */
#define RETIRED_MS	(10 * 60 * 1000)
/* An expiry this near is warned of, once a day. */
#define WARN_BEFORE_S	(14 * 86400)
#define WARN_EVERY_S	86400

/* What a file was when it was read. */
struct stamp {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	mtime;
};

struct held {
	char		*spec;		/* files, or a PEM text */
	bool		 pem;
	struct tls_set	*set;		/* NULL: could not be loaded */
	ARRAY(struct stamp) stamps;	/* of the last attempt */
	char		*error;		/* of the last attempt, or NULL */
	time_t		 warned;
};

struct retired {
	struct tls_set	*set;
	int64_t		 until_ms;
};

static struct hash sets = { NULL, 0, 0 };	/* struct held by spec */
static ARRAY(struct retired) old = ARRAY_EMPTY;
static struct loop *loop;
static struct loop_timer *timer;
static void (*on_change)(void);

/* --- keys by their ids ------------------------------------------------------------- */

struct key_ref {
	const struct tls_set	*set;
	size_t			 i;
	bool			 client;
};
static struct hash keys = { NULL, 0, 0 };	/* struct key_ref by id */

static struct span
id_key(const uint64_t *id)
{
	return span_make(id, sizeof(*id));
}

static void
add_keys(const struct tls_set *set)
{
	for (size_t i = 0; i < tls_set_count(set); i++)
		for (int client = 0; client < 2; client++) {
			uint64_t id = tls_set_key_id(set, i, client == 1);
			struct key_ref *r = mem_alloc(sizeof(*r));

			*r = (struct key_ref){ set, i, client == 1 };
			mem_free(hash_put(&keys, id_key(&id), r));
		}
}

static void
add_held(struct hash_entry *e, void *arg)
{
	const struct held *h = e->value;

	if (h->set != NULL)
		add_keys(h->set);
}

/* Newer sets are added last and win: the keys are the same. */
static void
rebuild_keys(void)
{
	hash_fini(&keys, mem_free);
	for (size_t i = 0; i < old.len; i++)
		add_keys(old.v[i].set);
	hash_each(&sets, add_held, NULL);
}

int
sets_find_key(uint64_t id, bool *client, const struct tls_set **set,
    size_t *i)
{
	const struct key_ref *r = hash_get(&keys, id_key(&id));

	if (r == NULL)
		return -1;
	*client = r->client;
	*set = r->set;
	*i = r->i;
	return 0;
}

/* --- loading ----------------------------------------------------------------------------- */

static struct stamp
stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct stamp){ .size = -1 };
	return (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Whether a file of h has changed since the last attempt; takes the stamps. */
static bool
stamps_changed(struct held *h)
{
	struct span rest = span_of(h->spec), word;
	bool changed = false;
	size_t i = 0;

	if (h->pem)
		return false;
	while (span_token(&rest, SEPARATORS, &word)) {
		char *path = span_dup(word);
		struct stamp now = stamp_of(path);

		mem_free(path);
		if (i == h->stamps.len) {
			*ARRAY_PUSH(&h->stamps) = now;
			changed = true;
		} else if (!same_stamp(&now, &h->stamps.v[i])) {
			h->stamps.v[i] = now;
			changed = true;
		}
		i++;
	}
	return changed;
}

static void
retire(struct tls_set *set)
{
	if (set == NULL)
		return;
	if (loop == NULL) {
		tls_set_free(&set);
		return;
	}
	*ARRAY_PUSH(&old) = (struct retired){
		set, loop_now_ms(loop) + RETIRED_MS
	};
}

/* A new attempt; true when h has another set now. */
static bool
load(struct held *h, unsigned flags)
{
	struct why why = WHY_INIT;
	struct tls_set *set;

	(void)stamps_changed(h);
	set = h->pem ?
	    tls_set_parse(span_of(h->spec), "tls_server_sni_maps", flags,
	    &why) :
	    tls_set_load(span_of(h->spec), flags, &why);
	if (set == NULL) {
		if (h->error == NULL || strcmp(h->error, why.text) != 0)
			log_error("%s%s", why.text, h->set != NULL ?
			    "; the old certificate stays" : "");
		mem_free(h->error);
		h->error = mem_strdup(why.text);
		if (!h->pem)
			folders_failed(span_of(h->spec));
		return false;
	}
	mem_free(h->error);
	h->error = NULL;
	retire(h->set);
	h->set = set;
	rebuild_keys();
	return true;
}

static struct held *
hold(struct span spec, bool pem)
{
	struct held *h = mem_zalloc(sizeof(*h));

	h->spec = span_dup(spec);
	h->pem = pem;
	(void)hash_put(&sets, spec, h);
	/* An expired certificate is better than none when there is no other. */
	(void)load(h, 0);
	return h;
}

const struct tls_set *
sets_get(struct span spec, bool pem, struct why *why)
{
	struct held *h = hash_get(&sets, spec);

	if (h == NULL) {
		if (sets.count >= SETS_MAX) {
			why_set(why, "", "more than %d certificates",
			    SETS_MAX);
			return NULL;
		}
		h = hold(spec, pem);
	}
	if (h->set == NULL)
		why_set(why, "", "%s", h->error);
	return h->set;
}

void
sets_load_all(void)
{
	for (int i = 0; i < TLS_SERVICE_COUNT; i++) {
		struct tls_settings s;
		struct why why = WHY_INIT;

		tls_settings_get((enum tls_service)i, &s);
		if (s.files[0] != '\0')
			(void)sets_get(span_of(s.files), false, &why);
		mem_free(s.files);
	}
}

/* --- watching ---------------------------------------------------------------------------------- */

static void
warn_of_expiry(struct held *h)
{
	time_t now = time(NULL);

	if (h->set == NULL || now - h->warned < WARN_EVERY_S)
		return;
	for (size_t i = 0; i < tls_set_count(h->set); i++) {
		time_t left = tls_set_not_after(h->set, i) - now;

		if (left > WARN_BEFORE_S)
			continue;
		h->warned = now;
		if (left <= 0)
			log_error("%s: the certificate has expired",
			    tls_set_origin(h->set, i));
		else
			log_warning("%s: the certificate expires in %lld "
			    "days", tls_set_origin(h->set, i),
			    (long long)left / 86400);
	}
}

static void
check_one(struct hash_entry *e, void *arg)
{
	struct held *h = e->value;
	bool *changed = arg;

	if (stamps_changed(h) && load(h, h->set != NULL ? TLS_SET_DATES : 0)) {
		log_info("%s: new certificate",
		    tls_set_origin(h->set, 0));
		*changed = true;
	}
	warn_of_expiry(h);
}

static void
drop_retired(void)
{
	size_t kept = 0;
	bool dropped = false;

	for (size_t i = 0; i < old.len; i++) {
		if (loop == NULL || old.v[i].until_ms > loop_now_ms(loop)) {
			old.v[kept++] = old.v[i];
			continue;
		}
		tls_set_free(&old.v[i].set);
		dropped = true;
	}
	old.len = kept;
	if (dropped)
		rebuild_keys();
}

void
sets_check(void)
{
	bool changed = false;

	hash_each(&sets, check_one, &changed);
	drop_retired();
	if (changed && on_change != NULL)
		on_change();
}

static void
timer_fired(void *arg)
{
	sets_check();
	loop_timer_set(timer, conf.keyd_check_interval * 1000);
}

void
sets_watch(struct loop *l, void (*changed)(void))
{
	loop = l;
	on_change = changed;
	timer = loop_timer_new(l, timer_fired, NULL);
	loop_timer_set(timer, conf.keyd_check_interval * 1000);
}
