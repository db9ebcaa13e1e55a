/* SPDX-License-Identifier: ISC */
/*
 * folders - where keys lie: all that keyd may read, once it is in its jail.
 *
 * A folder and not a file, because a renewed certificate takes the place of
 * the old one under its name; and the folder of what a link leads to, because
 * tools that renew certificates keep them behind links.  The tables of names
 * are read through: what they name is found in its folder later.
 *
 * What lies elsewhere can be named later, too, by a table or after a reload.
 * Then keyd begins anew, with the folders of that time: its clients connect
 * again and ask again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "keyd/keyd.h"

#define SEPARATORS	", \t\r\n"
/* More folders than this are everywhere. */
#define FOLDERS_MAX	4096

static struct hash folders;
static bool everywhere;		/* a table cannot be read through */
static bool jailed;

static char yes[] = "";

static void
add_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;

	if (slash == NULL)
		return;
	folder = slash == path ? mem_strdup("/") :
	    mem_strndup(path, (size_t)(slash - path));
	(void)hash_put(&folders, span_of(folder), yes);
	mem_free(folder);
}

static void
add_file(const char *path)
{
	char *real;

	add_folder_of(path);
	real = realpath(path, NULL);
	if (real != NULL)
		add_folder_of(real);
	free(real);
}

void
folders_add_files(struct span list)
{
	struct span word;

	while (span_token(&list, SEPARATORS, &word)) {
		char *path = span_dup(word);

		add_file(path);
		mem_free(path);
	}
}

void
folders_add_table(struct span table)
{
	struct span word;

	while (span_token(&table, SEPARATORS "{}", &word)) {
		const char *at = memmem(word.p, word.len, ":/", 2);

		if (at != NULL)
			folders_add_files(span_from(word,
			    (size_t)(at + 1 - word.p)));
	}
}

void
folders_everywhere(void)
{
	everywhere = true;
}

static void
put_folder(struct hash_entry *e, void *arg)
{
	struct buf *out = arg;

	/* What a list of paths cannot hold: it is then read no more. */
	if (span_find(e->key, ' ') >= 0 || span_find(e->key, '$') >= 0) {
		everywhere = true;
		return;
	}
	buf_addf(out, " r:%.*s", SPAN_ARG(e->key));
}

void
folders_paths(struct buf *out)
{
	hash_each(&folders, put_folder, out);
	if (folders.count > FOLDERS_MAX)
		everywhere = true;
	if (everywhere) {
		log_debug("keys may be anywhere: every file can be read");
		buf_reset(out);
		buf_add_str(out, "r:/");
	}
}

void
folders_closed(void)
{
	jailed = true;
}

/*
 * Whether it is the jail that keeps us from reading it.  A folder that we
 * know is not hidden: beginning anew would not help.
 */
static bool
hidden(const char *path)
{
	char *real = realpath(path, NULL);
	const char *slash = real != NULL ? strrchr(real, '/') : NULL;
	int fd = slash != NULL ? open(real, O_RDONLY | O_CLOEXEC |
	    O_NONBLOCK) : -1;
	bool no = fd < 0 && errno == EACCES && slash != NULL &&
	    hash_get(&folders, span_make(real, (size_t)(slash - real))) ==
	    NULL;

	if (fd >= 0)
		close(fd);
	free(real);
	return no;
}

void
folders_failed(struct span list)
{
	struct span word;

	while (jailed && !everywhere && span_token(&list, SEPARATORS, &word)) {
		char *path = span_dup(word);

		if (hidden(path)) {
			log_info("%s lies where no key lay when we started: "
			    "beginning anew", path);
			log_flush();
			_exit(0);
		}
		mem_free(path);
	}
}
