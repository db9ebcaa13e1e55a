/* SPDX-License-Identifier: ISC */
/*
 * sandbox - see sandbox.h.  The only file that knows libseccomp and Landlock.
 *
 * Landlock is used by its system calls; constants that the C library's
 * headers are too old for are written down here, and what the running kernel
 * does not know is left out, as the kernel's documentation asks for.
 */
#include "daemon/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "io/fd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true		/* its runtime reads /proc and traces itself */
#else
#define SANITIZED false
#endif

/*
 * The table.  A daemon that reads tables may read wherever an administrator
 * puts one ("r:/"): what mail_owner may not read is the file modes' matter.
 */
const struct jail sandbox_table[] = {
	{ .name = "smtpd", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite", .paths = "",
	  .says = "parses what strangers send" },
	{ .name = "lmtpd", .user = JAIL_MAIL_OWNER, .chroot = true,
	  .may = JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite", .paths = "",
	  .says = "parses what other mail servers send" },
	{ .name = "cleanup", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS,
	  .sockets = "private/rewrite private/bounce",
	  .paths = "r:/ w:log w:large w:corrupt w:hold w:state",
	  .says = "writes the message log; reads tables" },
	{ .name = "qmgr", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT | JAIL_THREADS,
	  .sockets = "private/feed private/rewrite private/bounce private/*",
	  .paths = "r:/etc r:. w:log w:state w:large w:deferred w:hold "
	      "w:corrupt",
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
	{ .name = "bounce", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite", .paths = "r:/",
	  .says = "writes delivery status notifications" },
	{ .name = "pickup", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "private/cleanup private/rewrite",
	  .paths = "r:/etc",
	  .says = "takes mail from local users" },
	{ .name = "showq", .user = JAIL_MAIL_OWNER,
	  .may = JAIL_FILES | JAIL_CONNECT,
	  .sockets = "public/qmgr", .paths = "r:. r:/etc",
	  .says = "lists the queue" },
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
	  .sockets = "private/bounce", .paths = "r:/ w:$virtual_mailbox_base",
	  .says = "writes virtual mailboxes as their owners" },
	{ .name = "local", .user = JAIL_ROOT, .new_privs = true,
	  .may = JAIL_ANYTHING,
	  .sockets = "private/cleanup private/rewrite private/bounce",
	  .paths = NULL,
	  .says = "acts as each user: mailboxes, .forward, commands" },
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
	if (j->user == JAIL_ROOT && keep_root)
		return 0;
	if (setgroups(1, &ids->gid) < 0 ||
	    setresgid(ids->gid, ids->gid, ids->gid) < 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) < 0)
		return why_errno(why, "", "cannot become %s",
		    conf.mail_owner);
	if (setuid(0) == 0 || setgid(0) == 0)
		log_panic("became %s and could become root again",
		    conf.mail_owner);
	/* A process that starts no threads can start no process either. */
	if ((j->may & (JAIL_THREADS | JAIL_ANYTHING)) == 0 &&
	    setrlimit(RLIMIT_NPROC, &none) < 0)
		return why_errno(why, "", "limit of processes");
	return 0;
}

/* --- Landlock ------------------------------------------------------------------- */

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
	while (rc == 0 && span_token(&rest, " \t", &word)) {
		bool w = span_starts(word, SPAN("w:"));
		char *path = span_dup(span_from(word, 2));

		if (path[0] != '\0')
			rc = landlock_allow(ruleset, path,
			    (w ? FS_WRITE : FS_READ) & all, why);
		mem_free(path);
	}
	buf_fini(&text);
	return rc;
}

static int
restrict_files(const struct jail *j, struct why *why)
{
	struct landlock_attr attr = { 0, 0, 0 };
	size_t size = sizeof(attr.fs);
	long version;
	int ruleset, rc;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1) {
		/* Not in this kernel, or turned off at boot.  Modes, chroot
		 * and the system call filter remain. */
		log_debug("sandbox: no Landlock in this kernel");
		return 0;
	}
	attr.fs = landlock_fs_all(version);
	if (version >= 4) {
		size = sizeof(attr.fs) + sizeof(attr.net);
		if ((j->may & JAIL_INET) == 0)
			attr.net = NET_BOTH;
	}
	if (version >= 6) {
		size = sizeof(attr);
		attr.scoped = SCOPE_BOTH;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return why_errno(why, "", "Landlock");
	rc = landlock_rules(ruleset, j->paths, attr.fs, why);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		rc = why_errno(why, "", "Landlock");
	close(ruleset);
	return rc;
}

/* --- system calls ---------------------------------------------------------------- */

/* What every process does: memory, time, its own descriptors, signals. */
static const int calls_all[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(lseek),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
	SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
	SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getgroups), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
	SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times),
	SCMP_SYS(getrusage), SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime),
	SCMP_SYS(timer_delete), SCMP_SYS(setitimer), SCMP_SYS(alarm),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(futex), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu),
	SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(membarrier),
	SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrlimit),
	SCMP_SYS(umask),
};

static const int calls_files[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents),
	SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(chdir),
	SCMP_SYS(fchdir), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
	SCMP_SYS(flock), SCMP_SYS(fadvise64), SCMP_SYS(readahead),
	SCMP_SYS(sendfile), SCMP_SYS(ioctl), SCMP_SYS(mprotect),
};

static const int calls_write[] = {
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(link), SCMP_SYS(linkat),
	SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(syncfs),
	SCMP_SYS(sync_file_range), SCMP_SYS(msync), SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev), SCMP_SYS(pwritev2), SCMP_SYS(copy_file_range),
	SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
	SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(fchownat),
	SCMP_SYS(utimensat),
};

static const int calls_connect[] = { SCMP_SYS(connect) };

static const int calls_ids[] = {
	SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setreuid),
	SCMP_SYS(setregid), SCMP_SYS(setgroups), SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
};

/* What only an attacker asks for: the end of the process. */
static const int calls_hostile[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork),
	SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(bpf), SCMP_SYS(userfaultfd),
	SCMP_SYS(perf_event_open), SCMP_SYS(mount), SCMP_SYS(umount2),
	SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
	SCMP_SYS(setns), SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(personality),
};

static const struct {
	unsigned	 may;		/* 0: always */
	const char	*says;
	const int	*calls;
	size_t		 n;
} groups[] = {
	{ 0, NULL, calls_all, ARRAY_LEN(calls_all) },
	{ JAIL_FILES, "files", calls_files, ARRAY_LEN(calls_files) },
	{ JAIL_WRITE, "write", calls_write, ARRAY_LEN(calls_write) },
	{ JAIL_CONNECT, "connect", calls_connect, ARRAY_LEN(calls_connect) },
	{ JAIL_INET, "inet", NULL, 0 },
	{ JAIL_THREADS, "threads", NULL, 0 },
	{ JAIL_IDS, "ids", calls_ids, ARRAY_LEN(calls_ids) },
	{ JAIL_ANYTHING, "anything", NULL, 0 },
};

/*
 * libseccomp gives -EDOM and the like for calls that this architecture does
 * not have; those cannot be made, so there is nothing to allow.
 */
static int
rule(scmp_filter_ctx f, uint32_t action, int call, unsigned n,
    const struct scmp_arg_cmp *args)
{
	int rc;

	if (call < 0)
		return 0;
	rc = seccomp_rule_add_array(f, action, call, n, args);
	return rc == -EACCES || rc == -EDOM ? 0 : rc;
}

static int
add_argument_rules(scmp_filter_ctx f, const struct jail *j)
{
	const uint32_t yes = SCMP_ACT_ALLOW;
	int rc = 0;

	/* Memory that is written to is never executed. */
	rc |= rule(f, yes, SCMP_SYS(mmap), 1, (struct scmp_arg_cmp[]){
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) });
	if ((j->may & JAIL_FILES) == 0)
		rc |= rule(f, yes, SCMP_SYS(mprotect), 1,
		    (struct scmp_arg_cmp[]){
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) });
	else	/* the JIT compiler of pcre: tables */
		rc |= rule(f, yes, SCMP_SYS(mmap), 1, (struct scmp_arg_cmp[]){
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC) });
	/* abort(): a signal to ourselves. */
	rc |= rule(f, yes, SCMP_SYS(tgkill), 1, (struct scmp_arg_cmp[]){
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()) });
	/* Ask for limits, set none. */
	rc |= rule(f, yes, SCMP_SYS(prlimit64), 1, (struct scmp_arg_cmp[]){
	    SCMP_A2(SCMP_CMP_EQ, 0) });
	rc |= rule(f, yes, SCMP_SYS(prctl), 1, (struct scmp_arg_cmp[]){
	    SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME) });
	rc |= rule(f, yes, SCMP_SYS(socketpair), 1, (struct scmp_arg_cmp[]){
	    SCMP_A0(SCMP_CMP_EQ, AF_UNIX) });
	if (j->may & JAIL_CONNECT)
		rc |= rule(f, yes, SCMP_SYS(socket), 1,
		    (struct scmp_arg_cmp[]){
		    SCMP_A0(SCMP_CMP_EQ, AF_UNIX) });
	if (j->may & JAIL_INET) {
		rc |= rule(f, yes, SCMP_SYS(socket), 1,
		    (struct scmp_arg_cmp[]){
		    SCMP_A0(SCMP_CMP_EQ, AF_INET) });
		rc |= rule(f, yes, SCMP_SYS(socket), 1,
		    (struct scmp_arg_cmp[]){
		    SCMP_A0(SCMP_CMP_EQ, AF_INET6) });
	}
	/* The default of mynetworks asks for our addresses (getifaddrs). */
	if (j->may & (JAIL_FILES | JAIL_INET)) {
		rc |= rule(f, yes, SCMP_SYS(socket), 2,
		    (struct scmp_arg_cmp[]){
		    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
		    SCMP_A2(SCMP_CMP_EQ, 0) });	/* NETLINK_ROUTE */
		rc |= rule(f, yes, SCMP_SYS(bind), 0, NULL);
	}
	/*
	 * A thread, not a process.  clone3 hides its flags in memory that a
	 * filter cannot read; told that there is none, the C library uses
	 * clone.
	 */
	if (j->may & JAIL_THREADS)
		rc |= rule(f, yes, SCMP_SYS(clone), 1,
		    (struct scmp_arg_cmp[]){ SCMP_A0(SCMP_CMP_MASKED_EQ,
		    CLONE_THREAD, CLONE_THREAD) });
	rc |= rule(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	return rc < 0 ? -1 : 0;
}

static int
restrict_calls(const struct jail *j, bool enforce, struct why *why)
{
	uint32_t other = enforce ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_LOG;
	scmp_filter_ctx f;
	int rc = 0;

	f = seccomp_init(other);
	if (f == NULL)
		return why_set(why, "", "seccomp: cannot make a filter");
	/* We set no_new_privs ourselves; a tree of tests, not a list. */
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		if (groups[g].may != 0 && (groups[g].may & j->may) == 0)
			continue;
		for (size_t i = 0; rc == 0 && i < groups[g].n; i++)
			rc = rule(f, SCMP_ACT_ALLOW, groups[g].calls[i], 0,
			    NULL);
	}
	if (rc == 0)
		rc = add_argument_rules(f, j);
	if (enforce)
		for (size_t i = 0; rc == 0 &&
		    i < ARRAY_LEN(calls_hostile); i++)
			rc = rule(f, SCMP_ACT_KILL_PROCESS, calls_hostile[i],
			    0, NULL);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	if (rc == 0)
		return 0;
	errno = rc < -1 ? -rc : EINVAL;
	return why_errno(why, "", "seccomp");
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
	if (off || SANITIZED) {
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
	if (enforce && j->paths != NULL && restrict_files(j, why) < 0)
		return -1;
	if ((j->may & JAIL_ANYTHING) == 0 &&
	    restrict_calls(j, enforce, why) < 0)
		return -1;
	return 0;
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
	buf_addf(out, "\tuser     %s\n",
	    j->user == JAIL_ROOT ? "root" : "$mail_owner");
	if (j->chroot)
		buf_addf(out, "\troot     $queue_directory/jail/%s\n", j->name);
	else
		buf_addf(out, "\troot     /\n");
	buf_addf(out, "\tsockets  %s\n", j->sockets[0] ? j->sockets : "none");
	buf_addf(out, "\tfiles    %s\n", j->paths == NULL
	    ? "as the user may" : j->paths[0] ? j->paths : "none");
	buf_add_str(out, "\tcalls    ");
	if (j->may & JAIL_ANYTHING)
		buf_add_str(out, "all");
	else {
		buf_add_str(out, "base");
		for (size_t g = 0; g < ARRAY_LEN(groups); g++)
			if (groups[g].may & j->may)
				buf_addf(out, " %s", groups[g].says);
	}
	buf_addf(out, "\n\tnew privileges by exec: %s\n",
	    j->new_privs ? "yes" : "no");
}
