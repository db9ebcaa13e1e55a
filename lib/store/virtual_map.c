/* SPDX-License-Identifier: ISC */
/*
 * virtual_map - see virtual_map.h.
 */
#include "store/virtual_map.h"

#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/address.h"

struct virtual_map {
	struct maps		*mailbox, *uid, *gid;
	enum store_format	 dir_format;
	/* The owner of all mailboxes, when there is one; else of those
	 * without. */
	bool			 one_owner, have_owner;
	uid_t			 owner_uid;
	gid_t			 owner_gid;
	struct buf		 value;		/* scratch */
};

int
virtual_maps_get(struct maps *m, struct span addr, struct buf *out, struct why *why)
{
	struct span local, domain, user, ext;
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	int rc;

	rc = maps_get(m, addr, false, out, why);
	if (rc != 0)
		return rc;
	address_split(addr, &local, &domain);
	if (domain.p == NULL)
		return 0;
	if (address_split_ext(local, conf.recipient_delimiter, &user, &ext)) {
		buf_add_span(&key, user);
		buf_add_char(&key, '@');
		buf_add_span(&key, domain);
		rc = maps_get(m, buf_span(&key), true, out, why);
	}
	if (rc == 0) {
		buf_reset(&key);
		buf_add_char(&key, '@');
		buf_add_span(&key, domain);
		rc = maps_get(m, buf_span(&key), true, out, why);
	}
	buf_fini(&key);
	return rc;
}

int
virtual_parse_mailbox(struct span v, enum store_format dirs,
    enum store_format *format, bool *detect, struct buf *out, struct why *why)
{
	ptrdiff_t colon;
	struct span rest, part;
	bool given = false;

	v = span_trim(v);
	colon = span_find(v, ':');
	*detect = false;
	if (colon > 0 && store_format_parse(span_sub(v, 0, (size_t)colon),
	    format) == 0) {
		v = span_from(v, (size_t)colon + 1);
		given = true;
	} else if (span_ends(v, SPAN("/"))) {
		*format = dirs;
		*detect = true;
	} else {
		*format = STORE_MBOX;
	}
	if (given && *format == STORE_MBOX && span_ends(v, SPAN("/")))
		return why_set(why, "4.3.5", "an mbox cannot end in \"/\": "
		    "%.*s", SPAN_ARG(v));
	rest = v;
	size_t n = 0;
	while (span_token(&rest, "/", &part)) {
		if (span_is(part, "."))
			continue;
		if (span_is(part, "..") || span_has_nul(part))
			return why_set(why, "4.3.5",
			    "a mailbox path may not contain \"..\": %.*s",
			    SPAN_ARG(v));
		if (n++ > 0)
			buf_add_char(out, '/');
		buf_add_span(out, part);
	}
	if (n == 0)
		return why_set(why, "4.3.5", "no mailbox path in \"%.*s\"",
		    SPAN_ARG(v));
	return 0;
}

static int
parse_id(struct span value, int64_t least, uint32_t *out, struct why *why)
{
	uint64_t n;

	value = span_trim(value);
	if (num_parse_u64(value, UINT32_MAX - 1, &n) < 0 ||
	    n < (uint64_t)least)
		return why_set(why, "4.3.5", "\"%.*s\" is no number from "
		    "%lld", SPAN_ARG(value), (long long)least);
	*out = (uint32_t)n;
	return 0;
}

int
virtual_judge_uid(struct span value, struct why *why)
{
	uint32_t id;

	return parse_id(value, conf.virtual_minimum_uid, &id, why);
}

int
virtual_judge_gid(struct span value, struct why *why)
{
	uint32_t id;

	return parse_id(value, 1, &id, why);
}

int
virtual_judge_mailbox(struct span value, struct why *why)
{
	struct buf path = BUF_INIT(BUF_UNLIMITED);
	enum store_format format;
	bool detect;
	int rc = virtual_parse_mailbox(value, STORE_MAILDIR, &format, &detect,
	    &path, why);

	buf_fini(&path);
	return rc;
}

/* A number from a table, or the fixed owner's.  0, -1 with why. */
static int
find_id(struct virtual_map *v, struct maps *m, const char *title,
    struct span addr, int64_t least, uint32_t fixed, uint32_t *out, struct why *why)
{
	struct why bad = WHY_INIT;
	int rc;

	if (maps_empty(m)) {
		if (!v->have_owner)
			return why_set(why, "4.3.5", "mail system "
			    "configuration error: neither %s nor store_owner "
			    "names an owner", title);
		*out = fixed;
		return 0;
	}
	buf_reset(&v->value);
	if ((rc = virtual_maps_get(m, addr, &v->value, why)) < 0)
		return -1;
	if (rc == 0) {
		log_warning("%.*s is not in %s", SPAN_ARG(addr), title);
		return why_set(why, "4.3.5", "mail system configuration "
		    "error");
	}
	if (parse_id(buf_span(&v->value), least, out, &bad) < 0) {
		log_warning("%s: %.*s: %s", title, SPAN_ARG(addr), bad.text);
		return why_set(why, "4.3.5", "mail system configuration "
		    "error");
	}
	return 0;
}

int
virtual_map_find(struct virtual_map *v, struct span addr,
    struct virtual_place *out, struct why *why)
{
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	uint32_t uid, gid;
	int rc;

	address_fold(addr, true, &low);
	addr = buf_span(&low);
	buf_reset(&v->value);
	rc = virtual_maps_get(v->mailbox, addr, &v->value, why);
	if (rc == 0)
		goto out;
	if (rc < 0) {
		log_warning("virtual_mailbox_maps: %s", why->text);
		rc = why_set(why, "4.3.5", "mail system configuration error");
		goto out;
	}
	buf_reset(&out->path);
	if (virtual_parse_mailbox(buf_span(&v->value), v->dir_format,
	    &out->format, &out->detect, &out->path, why) < 0) {
		log_warning("virtual_mailbox_maps: %s: %s", low.data,
		    why->text);
		rc = why_set(why, "4.3.5", "mail system configuration error");
		goto out;
	}
	if (find_id(v, v->uid, "virtual_uid_maps", addr,
	    conf.virtual_minimum_uid, v->owner_uid, &uid, why) < 0 ||
	    find_id(v, v->gid, "virtual_gid_maps", addr, 1, v->owner_gid,
	    &gid, why) < 0) {
		rc = -1;
		goto out;
	}
	out->uid = uid;
	out->gid = gid;
out:
	buf_fini(&low);
	return rc;
}

/* "static:5000" alone: 1 and the number; 0 it is something else. */
static int
static_number(const char *text, uint32_t *out)
{
	struct span s = span_trim(span_of(text));
	uint64_t n;

	if (!span_starts(s, SPAN("static:")) ||
	    num_parse_u64(span_from(s, 7), UINT32_MAX - 1, &n) < 0 || n == 0)
		return 0;
	*out = (uint32_t)n;
	return 1;
}

static void
find_owner(struct virtual_map *v)
{
	uint32_t uid = 0, gid = 0;

	if (geteuid() != 0) {
		/* A test, or an administrator's single-user set-up. */
		v->one_owner = v->have_owner = true;
		v->owner_uid = geteuid();
		v->owner_gid = getegid();
		return;
	}
	if (maps_empty(v->uid) || maps_empty(v->gid)) {
		struct passwd *pw = getpwnam(conf.store_owner);

		if (pw != NULL && pw->pw_uid != 0) {
			v->have_owner = true;
			v->owner_uid = pw->pw_uid;
			v->owner_gid = pw->pw_gid;
		}
	}
	if (maps_empty(v->uid) && maps_empty(v->gid)) {
		v->one_owner = v->have_owner;
	} else if (static_number(conf.virtual_uid_maps, &uid) &&
	    static_number(conf.virtual_gid_maps, &gid) &&
	    uid >= conf.virtual_minimum_uid) {
		v->one_owner = v->have_owner = true;
		v->owner_uid = uid;
		v->owner_gid = gid;
	}
}

const char *
virtual_map_base(void)
{
	return conf.virtual_mailbox_base[0] == '\0' &&
	    strcmp(conf.store_format, "packed") == 0 ? conf.store_directory :
	    conf.virtual_mailbox_base;
}

struct virtual_map *
virtual_map_new(struct why *why)
{
	struct virtual_map *v = mem_zalloc(sizeof(*v));

	v->value = BUF_INIT(TABLE_VALUE_MAX);
	if (virtual_map_base()[0] != '/' &&
	    conf.virtual_mailbox_maps[0] != '\0') {
		(void)why_set(why, "", "virtual_mailbox_base: \"%s\" is no "
		    "absolute path", conf.virtual_mailbox_base);
		goto bad;
	}
	if (store_format_parse(span_of(conf.store_format),
	    &v->dir_format) < 0) {
		(void)why_set(why, "", "bad store_format");
		goto bad;
	}
	v->mailbox = maps_new("virtual_mailbox_maps",
	    conf.virtual_mailbox_maps, TABLE_FOLD, why);
	v->uid = maps_new("virtual_uid_maps", conf.virtual_uid_maps,
	    TABLE_FOLD, why);
	v->gid = maps_new("virtual_gid_maps", conf.virtual_gid_maps,
	    TABLE_FOLD, why);
	if (v->mailbox == NULL || v->uid == NULL || v->gid == NULL)
		goto bad;
	find_owner(v);
	return v;
bad:
	virtual_map_free(&v);
	return NULL;
}

void
virtual_map_free(struct virtual_map **vp)
{
	struct virtual_map *v = *vp;

	*vp = NULL;
	if (v == NULL)
		return;
	maps_free(&v->mailbox);
	maps_free(&v->uid);
	maps_free(&v->gid);
	buf_fini(&v->value);
	mem_free(v);
}

bool
virtual_map_one_owner(const struct virtual_map *v, uid_t *uid, gid_t *gid)
{
	*uid = v->owner_uid;
	*gid = v->owner_gid;
	return v->one_owner;
}
