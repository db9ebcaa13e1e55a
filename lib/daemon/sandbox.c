/* SPDX-License-Identifier: ISC */
/*
 * sandbox - see sandbox.h: the table, identities and jails.
 */
#include "daemon/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "daemon/sandbox_priv.h"
#include "io/fd.h"

/*
 * The table.  A daemon that reads tables may read wherever an administrator
 * puts one ("r:/"): what mail_owner may not read is the file modes' matter.
 */
const struct jail sandbox_table[] = {
	{ .name = "smtpd", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite private/auth "
	      "private/keyd private/quotad private/verify private/flush "
	      "private/resolver private/delegate",
	  .paths = "",
	  .says = "parses what strangers send" },
	{ .name = "lmtpd", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite private/keyd "
	      "private/quotad private/verify private/resolver "
	      "private/delegate",
	  .paths = "",
	  .says = "parses what other mail servers send" },
	{ .name = "imapd", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/auth private/session private/keyd",
	  .paths = "",
	  .says = "parses what mail clients send before the login" },
	{ .name = "pop3d", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/auth private/session private/keyd",
	  .paths = "",
	  .says = "parses what mail clients send before the login" },
	{ .name = "session", .user = JAIL_ROOT,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS |
	      JAIL_IDS | JAIL_FORK | JAIL_WATCH,
	  .sockets = "private/auth", .paths = NULL,
	  .says = "gives those who have logged in to a process of the user" },
	{ .name = "session-user", .user = JAIL_LOGIN,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_THREADS | JAIL_WATCH,
	  .sockets = "", .paths = "w:(the user's mail)",
	  .says = "serves one user's mail clients" },
	{ .name = "cleanup", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS,
	  .sockets = "private/rewrite private/bounce",
	  .paths = "r:/ w:log w:large w:corrupt w:hold w:state "
	      "w:$data_directory",
	  .says = "writes the message log; reads tables" },
	{ .name = "qmgr", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS,
	  .sockets = "private/feed private/rewrite private/bounce private/*",
	  .paths = "r:/etc r:. w:log w:state w:large w:deferred w:hold "
	      "w:corrupt maps:fast_flush_domains",
	  .says = "owns the queue" },
	{ .name = "rewrite", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT | JAIL_INET | JAIL_THREADS,
	  .sockets = "", .paths = "r:/",
	  .says = "looks up tables for the jailed" },
	{ .name = "resolver", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT | JAIL_INET | JAIL_THREADS,
	  .sockets = "",
	  .paths = "r:/etc r:/run r:/usr/share/dns "
	      "r:$resolver_trust_anchor_file",
	  .says = "asks name servers" },
	{ .name = "mtasts", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_INET |
	      JAIL_THREADS,
	  .sockets = "private/resolver", .paths = "w:$mtasts_directory",
	  .says = "fetches the MTA-STS policies of other domains" },
	{ .name = "tlsrpt", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_INET |
	      JAIL_THREADS,
	  .sockets = "private/resolver private/cleanup",
	  .paths = "w:$tlsrpt_directory",
	  .says = "reports to other domains how mail to them was secured" },
	{ .name = "authd", .user = JAIL_OWN, .owner = "authd_owner",
	  .may = JAIL_FILES | JAIL_THREADS,
	  .sockets = "", .paths = "r:/",
	  .says = "the only reader of password hashes" },
	{ .name = "authd-nurse", .user = JAIL_ROOT,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_INET |
	      JAIL_IDS | JAIL_FORK | JAIL_CHROOT,
	  .sockets = "", .paths = NULL,
	  .says = "starts authd's other processes" },
	{ .name = "authd-nurse-pam", .user = JAIL_ROOT,
	  .may = JAIL_PROGRAMS, .sockets = "", .paths = NULL,
	  .says = "the same where PAM is asked, for filters add up" },
	{ .name = "authd-keeper", .user = JAIL_ROOT,
	  .may = JAIL_FILES | JAIL_WRITE, .sockets = "",
	  .paths = "folder:$authd_password_file w:$data_directory",
	  .says = "changes the password file for authd" },
	/* Modules run programs and talk to servers.  A process of root gains
	 * nothing by programs that are set-uid, so it needs none. */
	{ .name = "authd-pam", .user = JAIL_ROOT, .owner = "authd_pam_owner",
	  .may = JAIL_PROGRAMS, .sockets = "", .paths = NULL,
	  .says = "asks PAM for authd" },
	{ .name = "authd-introspect", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT | JAIL_INET, .sockets = "private/resolver",
	  .paths = "",
	  .says = "asks a web server about access tokens for authd" },
	{ .name = "quotad", .user = JAIL_OWN, .owner = "store_owner",
	  .may = JAIL_FILES, .sockets = "", .paths = "r:/",
	  .says = "counts what is in virtual mailboxes" },
	{ .name = "keyd", .user = JAIL_READER,
	  .may = JAIL_FILES, .sockets = "", .paths = "r:(where keys lie)",
	  .says = "the only reader of private keys" },
	{ .name = "bounce", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite", .paths = "r:/",
	  .says = "writes delivery status notifications" },
	{ .name = "verify", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT,
	  .sockets = "private/cleanup", .paths = "w:$data_directory",
	  .says = "finds out which addresses can be delivered to" },
	/* UNIX sockets of policy services lie anywhere. */
	{ .name = "delegate", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT | JAIL_INET,
	  .sockets = "private/resolver", .paths = "r:/etc/services",
	  .says = "asks policy services; parses their answers" },
	{ .name = "pickup", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite",
	  .paths = "r:/etc maps:local_login_sender_maps "
	      "maps:authorized_submit_users",
	  .says = "takes mail from local users" },
	{ .name = "showq", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "public/qmgr", .paths = "r:. r:/etc",
	  .says = "lists the queue" },
	{ .name = "smtp", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT | JAIL_INET | JAIL_READ,
	  .sockets = "private/resolver private/rewrite private/mtasts "
	      "private/tlsrpt private/keyd",
	  .paths = "",
	  .says = "sends mail to other hosts; parses their answers" },
	/* The UNIX sockets it delivers to lie anywhere. */
	{ .name = "lmtp", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_CONNECT | JAIL_INET | JAIL_READ,
	  .sockets = "private/resolver private/rewrite private/keyd",
	  .paths = "",
	  .says = "sends mail to mailbox servers; parses their answers" },
	{ .name = "error", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT, .sockets = "private/bounce", .paths = "",
	  .says = "answers for transports that do not deliver" },
	{ .name = "discard", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT, .sockets = "private/bounce", .paths = "",
	  .says = "throws mail away" },
	{ .name = "retry", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT, .sockets = "private/bounce", .paths = "",
	  .says = "answers for transports that do not deliver" },
	{ .name = "virtual", .user = JAIL_ROOT,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS |
	      JAIL_IDS,
	  .sockets = "private/bounce", .paths = "r:/ w:$virtual_mailbox_base "
	      "w:$store_directory",
	  .says = "writes virtual mailboxes as their owners" },
	{ .name = "local", .user = JAIL_ROOT, .new_privs = true,
	  .may = JAIL_ANYTHING,
	  .sockets = "private/cleanup private/rewrite private/bounce",
	  .paths = NULL,
	  .says = "acts as each user: mailboxes, .forward, commands" },
	{ .name = "pipe", .user = JAIL_ROOT, .new_privs = true,
	  .may = JAIL_ANYTHING, .sockets = "private/bounce", .paths = NULL,
	  .says = "runs the administrator's programs, as their users" },
	/* They talk to whoever connects, and are no delivery: so they gain no
	 * rights by programs that are set-uid, and do nothing to the system. */
	{ .name = "spawn", .user = JAIL_ROOT,
	  .may = JAIL_PROGRAMS, .sockets = "", .paths = NULL,
	  .says = "runs the administrator's programs for clients, as their "
	      "users" },
	{ .name = NULL },
};

const struct jail *
sandbox_find(const char *daemon)
{
	for (const struct jail *j = sandbox_table; j->name != NULL; j++)
		if (strcmp(j->name, daemon) == 0)
			return j;
	return NULL;
}

int
sandbox_ids(struct sandbox_ids *out, struct why *why)
{
	struct passwd *pw;

	out->root = geteuid() == 0;
	out->uid = geteuid();
	out->gid = getegid();
	if (!out->root)
		return 0;
	errno = 0;
	pw = getpwnam(conf.mail_owner);
	if (pw == NULL)
		return errno != 0
		    ? why_errno(why, "", "mail_owner %s", conf.mail_owner)
		    : why_set(why, "", "mail_owner: no user \"%s\"",
			conf.mail_owner);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return why_set(why, "", "mail_owner: \"%s\" is root or in "
		    "root's group", conf.mail_owner);
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	return 0;
}

void
sandbox_own_ids(const struct jail *j, const struct sandbox_ids *mail,
    struct sandbox_ids *out)
{
	char *name;
	struct passwd *pw;

	*out = *mail;
	if (j->user != JAIL_OWN || !mail->root)
		return;
	name = params_get(j->owner);
	pw = name != NULL && name[0] != '\0' ? getpwnam(name) : NULL;
	if (pw != NULL && pw->pw_uid != 0 && pw->pw_gid != 0) {
		out->uid = pw->pw_uid;
		out->gid = pw->pw_gid;
	} else {
		log_warning("%s: no user \"%s\" that could be used: running "
		    "as mail_owner", j->owner, name != NULL ? name : "");
	}
	mem_free(name);
}

/* --- limits, root, ids --------------------------------------------------------- */

static int
set_limits(const struct jail *j, struct why *why)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return why_errno(why, "", "getrlimit");
	lim.rlim_cur = lim.rlim_max;
	if (j->nofile != 0 && j->nofile < lim.rlim_cur)
		lim.rlim_cur = lim.rlim_max = j->nofile;
	if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
		return why_errno(why, "", "limit of descriptors");
	return 0;
}

/* Give up every capability but that of reading files. */
static int
only_read(struct why *why)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = 1u << CAP_DAC_READ_SEARCH,
		  .permitted = 1u << CAP_DAC_READ_SEARCH },
	};

	if (setgroups(0, NULL) < 0 || syscall(SYS_capset, &head, data) < 0)
		return why_errno(why, "", "cannot give up capabilities");
	return 0;
}

/* What no daemon needs that stays root. */
static const int foreign_caps[] = {
	CAP_LINUX_IMMUTABLE, CAP_NET_BROADCAST, CAP_NET_ADMIN, CAP_NET_RAW,
	CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_PACCT,
	CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_SYS_TTY_CONFIG,
	CAP_MKNOD, CAP_SETFCAP, CAP_MAC_OVERRIDE, CAP_MAC_ADMIN, CAP_SYSLOG,
	CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_AUDIT_CONTROL, CAP_AUDIT_READ,
	CAP_PERFMON, CAP_BPF, CAP_CHECKPOINT_RESTORE,
};

/*
 * Root that keeps to files and users.  No program that it runs gets them
 * back: they leave the bounding set, too.
 */
static int
drop_foreign_caps(struct why *why)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return why_errno(why, "", "capget");
	for (size_t i = 0; i < ARRAY_LEN(foreign_caps); i++) {
		int c = foreign_caps[i];

		/* The kernel may be older than the capability. */
		if (prctl(PR_CAPBSET_DROP, c) < 0 && errno != EINVAL &&
		    errno != EPERM)
			return why_errno(why, "", "PR_CAPBSET_DROP");
		data[CAP_TO_INDEX(c)].effective &= ~CAP_TO_MASK(c);
		data[CAP_TO_INDEX(c)].permitted &= ~CAP_TO_MASK(c);
		data[CAP_TO_INDEX(c)].inheritable &= ~CAP_TO_MASK(c);
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return why_errno(why, "", "cannot give up capabilities");
	return 0;
}

int
sandbox_root_owner(const struct jail *j, struct sandbox_ids *out,
    struct why *why)
{
	char *name = params_get(j->owner);
	struct passwd *pw;
	int rc = 0;

	out->root = true;
	if (name != NULL && name[0] != '\0' && strcmp(name, "root") != 0) {
		pw = getpwnam(name);
		if (pw == NULL || pw->pw_uid == 0 || pw->pw_gid == 0)
			rc = why_set(why, "", "%s: \"%s\" is %s", j->owner,
			    name, pw == NULL ? "no user of this system" :
			    "root, or in root's group");
		else
			*out = (struct sandbox_ids){ pw->pw_uid, pw->pw_gid,
			    false };
	}
	mem_free(name);
	return rc;
}

/* The user that an administrator has put in the place of root, with all the
 * groups that he has.  0: nobody; 1: done. */
static int
become_owner(const struct jail *j, struct why *why)
{
	struct sandbox_ids own;
	struct passwd *pw;

	if (sandbox_root_owner(j, &own, why) < 0)
		return -1;
	if (own.root)
		return 0;
	pw = getpwuid(own.uid);
	if (pw == NULL || initgroups(pw->pw_name, own.gid) < 0 ||
	    setresgid(own.gid, own.gid, own.gid) < 0 ||
	    setresuid(own.uid, own.uid, own.uid) < 0)
		return why_errno(why, "", "cannot become user %u",
		    (unsigned)own.uid);
	if (setuid(0) == 0 || setgid(0) == 0)
		log_panic("became user %u and could become root again",
		    (unsigned)own.uid);
	return 1;
}

static int
become(const struct jail *j, const struct sandbox_ids *ids, bool keep_root,
    struct why *why)
{
	struct rlimit none = { 0, 0 };

	if (j->chroot) {
		char *dir = mem_printf("jail/%s", j->name);

		if (chroot(dir) < 0 || chdir("/") < 0) {
			why_errno(why, "", "cannot enter %s/%s",
			    conf.queue_directory, dir);
			mem_free(dir);
			return -1;
		}
		mem_free(dir);
	}
	if (j->user == JAIL_READER)
		return only_read(why);
	if (j->user == JAIL_ROOT && keep_root) {
		int rc = j->owner != NULL ? become_owner(j, why) : 0;

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		return j->may & JAIL_ANYTHING ? 0 : drop_foreign_caps(why);
	}
	if (setgroups(1, &ids->gid) < 0 ||
	    setresgid(ids->gid, ids->gid, ids->gid) < 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) < 0)
		return why_errno(why, "", "cannot become user %u",
		    (unsigned)ids->uid);
	if (setuid(0) == 0 || setgid(0) == 0)
		log_panic("became user %u and could become root again",
		    (unsigned)ids->uid);
	/* A process that starts no threads can start no process either. */
	if ((j->may & (JAIL_THREADS | JAIL_ANYTHING | JAIL_PROGRAMS)) == 0 &&
	    setrlimit(RLIMIT_NPROC, &none) < 0)
		return why_errno(why, "", "limit of processes");
	return 0;
}

int
sandbox_enter(const struct jail *j, const struct sandbox_ids *ids,
    bool keep_root, struct why *why)
{
	bool off = strcmp(conf.sandbox_level, "off") == 0;
	bool enforce = strcmp(conf.sandbox_level, "enforce") == 0;

	if (set_limits(j, why) < 0)
		return -1;
	if (ids->root) {
		if (become(j, ids, keep_root, why) < 0)
			return -1;
	} else
		log_debug("sandbox: not root, so neither chroot nor another "
		    "user");
	if (off || SANDBOX_SANITIZED) {
		log_debug("sandbox: files and system calls are not "
		    "restricted (%s)", off ? "sandbox_level = off"
		    : "built with a sanitizer");
		return 0;
	}
	/* No core file with mail in it, no tracing by processes of the same
	 * user. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return why_errno(why, "", "PR_SET_DUMPABLE");
	if (!j->new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return why_errno(why, "", "PR_SET_NO_NEW_PRIVS");
	if (enforce && j->paths != NULL && sandbox_restrict_files(j, why) < 0)
		return -1;
	if ((j->may & JAIL_ANYTHING) == 0 &&
	    sandbox_restrict_calls(j, enforce, why) < 0)
		return -1;
	return 0;
}

/* --- a process of a user ------------------------------------------------------- */

/* Root becomes the user, for good. */
static int
become_user(const struct sandbox_as *as, struct why *why)
{
	if (as->uid == 0 || as->gid == 0)
		return why_set(why, "", "a user's process as root");
	if (setgroups(1, &as->gid) < 0 ||
	    setresgid(as->gid, as->gid, as->gid) < 0 ||
	    setresuid(as->uid, as->uid, as->uid) < 0)
		return why_errno(why, "", "cannot become user %u",
		    (unsigned)as->uid);
	if (setuid(0) == 0 || setgid(0) == 0)
		log_panic("became user %u and could become root again",
		    (unsigned)as->uid);
	return 0;
}

int
sandbox_enter_as(const struct jail *j, const struct sandbox_as *as,
    struct why *why)
{
	bool off = strcmp(conf.sandbox_level, "off") == 0 ||
	    SANDBOX_SANITIZED;
	bool enforce = strcmp(conf.sandbox_level, "enforce") == 0;
	int ruleset, rc = 0;

	why->text[0] = '\0';
	if (set_limits(j, why) < 0 ||
	    (geteuid() == 0 && become_user(as, why) < 0))
		return -1;
	if (as->make != NULL && fd_mkdir_p(as->make, 0700) < 0)
		return why_errno(why, "", "cannot make %s", as->make);
	if (off)
		return 0;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return why_errno(why, "", "prctl");
	if (enforce) {
		ruleset = sandbox_ruleset_for(j, as, why);
		if (ruleset >= 0)
			rc = sandbox_ruleset_enter(ruleset, why);
		else if (why->text[0] != '\0')
			rc = -1;
		fd_close(&ruleset);
	}
	return rc < 0 ? -1 : sandbox_load_compiled(j, why);
}

/* --- master: the jails --------------------------------------------------------- */

static int
make_dir(int dirfd, const char *path, mode_t mode, struct why *why)
{
	struct stat st;

	if (mkdirat(dirfd, path, mode) < 0 && errno != EEXIST)
		return why_errno(why, "", "cannot make %s", path);
	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return why_errno(why, "", "%s", path);
	if (!S_ISDIR(st.st_mode))
		return why_set(why, "", "%s is not a directory", path);
	/* umask must not decide who can get in; and what lies in a jail must
	 * not be the jailed user's to change. */
	if ((st.st_uid != geteuid() &&
	    fchownat(dirfd, path, geteuid(), (gid_t)-1,
	    AT_SYMLINK_NOFOLLOW) < 0) || fchmodat(dirfd, path, mode, 0) < 0)
		return why_errno(why, "", "%s", path);
	return 0;
}

/* Make to a second name of the socket from, when it is not that already. */
static int
link_socket(int dirfd, const char *from, const char *to, struct why *why)
{
	struct stat have, want;
	char *tmp;
	int rc = 0;

	if (fstatat(dirfd, from, &want, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return why_errno(why, "", "%s", from);
		/* No such service now: connecting says so. */
		if (unlinkat(dirfd, to, 0) < 0 && errno != ENOENT)
			return why_errno(why, "", "cannot remove %s", to);
		return 0;
	}
	if (fstatat(dirfd, to, &have, AT_SYMLINK_NOFOLLOW) == 0 &&
	    have.st_dev == want.st_dev && have.st_ino == want.st_ino)
		return 0;
	tmp = mem_printf("%s.new", to);
	(void)unlinkat(dirfd, tmp, 0);
	if (linkat(dirfd, from, dirfd, tmp, 0) < 0 ||
	    renameat(dirfd, tmp, dirfd, to) < 0)
		rc = why_errno(why, "", "cannot link %s to %s", from, to);
	mem_free(tmp);
	return rc;
}

static int
prepare_jail(int dirfd, const struct jail *j, struct why *why)
{
	struct span rest = span_of(j->sockets), word;
	char *dir = mem_printf("jail/%s", j->name);
	int rc;

	rc = make_dir(dirfd, dir, 0711, why);
	while (rc == 0 && span_token(&rest, " \t", &word)) {
		ptrdiff_t slash = span_find(word, '/');
		char *name = span_dup(word);
		char *to = mem_printf("%s/%s", dir, name);
		char *sub = mem_printf("%s/%.*s", dir, (int)slash, name);

		rc = make_dir(dirfd, sub, 0711, why);
		if (rc == 0)
			rc = link_socket(dirfd, name, to, why);
		mem_free(name);
		mem_free(to);
		mem_free(sub);
	}
	mem_free(dir);
	return rc;
}

int
sandbox_prepare(int dirfd, struct why *why)
{
	if (geteuid() != 0)
		return 0;	/* nobody can chroot there */
	/* Only root walks through: what private/ keeps to mail_owner is here
	 * under a second name. */
	if (make_dir(dirfd, "jail", 0700, why) < 0)
		return -1;
	for (const struct jail *j = sandbox_table; j->name != NULL; j++)
		if (j->chroot && prepare_jail(dirfd, j, why) < 0)
			return -1;
	return 0;
}

void
sandbox_describe(const struct jail *j, struct buf *out)
{
	buf_addf(out, "%s\t%s\n", j->name, j->says);
	buf_addf(out, "\tuser     %s%s\n",
	    j->user == JAIL_ROOT ? j->owner != NULL ? "$" : "root" :
	    j->user == JAIL_READER ? "root, with no right but to read files" :
	    j->user == JAIL_LOGIN ? "who logged in" : "$",
	    j->owner != NULL ? j->owner :
	    j->user == JAIL_MAIL_OWNER ? "mail_owner" : "");
	if (j->chroot)
		buf_addf(out, "\troot     $queue_directory/jail/%s\n", j->name);
	else
		buf_addf(out, "\troot     /\n");
	buf_addf(out, "\tsockets  %s\n", j->sockets[0] ? j->sockets : "none");
	buf_addf(out, "\tfiles    %s\n", j->paths == NULL
	    ? "as the user may" : j->paths[0] ? j->paths : "none");
	buf_add_str(out, "\tcalls    ");
	sandbox_describe_calls(j, out);
	buf_addf(out, "\n\tnew privileges by exec: %s\n",
	    j->new_privs ? "yes" : "no");
}
