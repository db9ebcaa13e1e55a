/* SPDX-License-Identifier: ISC */
/*
 * sandbox_files - Landlock: which files a process may see and change.
 *
 * Landlock is used by its system calls; constants that the C library's
 * headers are too old for are written down here, and what the running kernel
 * does not know is left out, as the kernel's documentation asks for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "daemon/sandbox_priv.h"
#include "io/fd.h"

/* The attribute as of version 6; an older kernel takes the first fields. */
struct landlock_attr {
	uint64_t	fs, net, scoped;
};

#define FS_EXECUTE	(1u << 0)
#define FS_WRITE_FILE	(1u << 1)
#define FS_READ_FILE	(1u << 2)
#define FS_READ_DIR	(1u << 3)
#define FS_REMOVE_DIR	(1u << 4)
#define FS_REMOVE_FILE	(1u << 5)
#define FS_MAKE_DIR	(1u << 7)
#define FS_MAKE_REG	(1u << 8)
#define FS_REFER	(1u << 13)	/* version 2 */
#define FS_TRUNCATE	(1u << 14)	/* version 3 */
#define NET_BOTH	3u		/* version 4: TCP bind, connect */
#define SCOPE_BOTH	3u		/* version 6: abstract sockets, signals */

#define FS_READ		(FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE	(FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR |	\
			 FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |	\
			 FS_REFER | FS_TRUNCATE)

static uint64_t
landlock_fs_all(long version)
{
	if (version >= 5)
		return (1u << 16) - 1;		/* and ioctl of devices */
	if (version >= 3)
		return (1u << 15) - 1;
	if (version == 2)
		return (1u << 14) - 1;
	return (1u << 13) - 1;
}

static int
landlock_allow(int ruleset, const char *path, uint64_t access,
    struct why *why)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;
	int rc = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
			return 0;	/* nothing there to allow */
		return why_errno(why, "", "%s", path);
	}
	/* A rule for a file may name only what files have. */
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_READ_FILE | FS_WRITE_FILE |
		    FS_TRUNCATE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
	    &rule, 0) < 0)
		rc = why_errno(why, "", "Landlock rule for %s", path);
	close(rule.parent_fd);
	return rc;
}

/*
 * "maps:name": the files of the tables that the setting names, "type:/path".
 * It is their folder that may be read, for a new table takes the place of the
 * old one under its name.
 */
static int
landlock_maps(int ruleset, struct span name, uint64_t all, struct why *why)
{
	char *param = span_dup(name), *value = params_get(param);
	struct span rest = span_of(value), word;
	int rc = 0;

	while (rc == 0 && value != NULL &&
	    span_token(&rest, " \t\r\n,{}", &word)) {
		const char *at = memmem(word.p, word.len, ":/", 2);
		struct span path;
		char *dir;

		if (at == NULL)
			continue;
		path = span_from(word, (size_t)(at + 1 - word.p));
		dir = span_dup(span_sub(path, 0,
		    (size_t)MAX(span_rfind(path, '/'), 1)));
		rc = landlock_allow(ruleset, dir, FS_READ & all, why);
		mem_free(dir);
	}
	mem_free(value);
	mem_free(param);
	return rc;
}

/* Add the rules of a list of words, "r:path", "w:path" and "maps:name". */
static int
landlock_word(int ruleset, struct span word, uint64_t all, struct why *why)
{
	bool folder = span_starts(word, SPAN("folder:"));
	bool w = folder || span_starts(word, SPAN("w:"));
	char *path;
	int rc = 0;

	if (span_starts(word, SPAN("maps:")))
		return landlock_maps(ruleset, span_from(word, 5), all, why);
	if (folder) {
		word = span_sub(word, 0,
		    (size_t)MAX(span_rfind(word, '/'), 0));
		word = span_from(word, strlen("folder:") - 2);
	}
	path = span_dup(span_from(word, 2));
	if (path[0] != '\0')
		rc = landlock_allow(ruleset, path,
		    (w ? FS_WRITE : FS_READ) & all, why);
	mem_free(path);
	return rc;
}

static int
landlock_rules(int ruleset, const char *paths, uint64_t all, struct why *why)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span rest, word;
	int rc = 0;

	/* Who reads files reads its settings again at a reload. */
	if (paths[0] != '\0')
		buf_addf(&text, "r:%s ", params_config_dir());
	if (params_expand(paths, &text, why) < 0) {
		buf_fini(&text);
		return -1;
	}
	rest = buf_span(&text);
	while (rc == 0 && span_token(&rest, " \t", &word))
		rc = landlock_word(ruleset, word, all, why);
	buf_fini(&text);
	return rc;
}

/*
 * An empty ruleset for what the row may, and *all, the accesses to files that
 * this kernel knows.  -1: none in this kernel, or why says what is wrong.
 */
static int
landlock_ruleset(const struct jail *j, uint64_t *all, struct why *why)
{
	struct landlock_attr attr = { 0, 0, 0 };
	size_t size = sizeof(attr.fs);
	long version;
	int fd;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1) {
		/* Not in this kernel, or turned off at boot.  Modes, chroot
		 * and the system call filter remain. */
		log_debug("sandbox: no Landlock in this kernel");
		return -1;
	}
	attr.fs = *all = landlock_fs_all(version);
	if (version >= 4) {
		size = sizeof(attr.fs) + sizeof(attr.net);
		if ((j->may & JAIL_INET) == 0)
			attr.net = NET_BOTH;
	}
	if (version >= 6) {
		size = sizeof(attr);
		attr.scoped = SCOPE_BOTH;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		why_errno(why, "", "Landlock");
	return fd;
}

int
sandbox_ruleset_enter(int ruleset, struct why *why)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return why_errno(why, "", "Landlock");
	return 0;
}

int
sandbox_restrict_files(const struct jail *j, struct why *why)
{
	uint64_t all;
	int ruleset, rc;

	ruleset = landlock_ruleset(j, &all, why);
	if (ruleset < 0)
		return why->text[0] != '\0' ? -1 : 0;
	rc = landlock_rules(ruleset, j->paths, all, why);
	if (rc == 0)
		rc = sandbox_ruleset_enter(ruleset, why);
	close(ruleset);
	return rc;
}

int
sandbox_ruleset_for(const struct jail *j, const struct sandbox_as *as, struct why *why)
{
	uint64_t all;
	int ruleset, rc = 0;

	ruleset = landlock_ruleset(j, &all, why);
	for (size_t i = 0; ruleset >= 0 && rc == 0 && i < as->npaths; i++)
		rc = landlock_word(ruleset, span_of(as->paths[i]), all, why);
	if (rc < 0)
		fd_close(&ruleset);
	return ruleset;
}
