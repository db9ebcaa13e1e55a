/* SPDX-License-Identifier: ISC */
/*
 * sandbox_calls - seccomp: which system calls a process may make.  The only
 * file that knows libseccomp.
 */
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/sandbox_priv.h"
#include "io/fd.h"

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
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents),
	SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(chdir),
	SCMP_SYS(fchdir), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
	SCMP_SYS(flock), SCMP_SYS(fadvise64), SCMP_SYS(readahead),
	SCMP_SYS(sendfile), SCMP_SYS(ioctl), SCMP_SYS(mprotect),
};

/* What comes as a descriptor: no file is opened. */
static const int calls_read[] = { SCMP_SYS(pread64), SCMP_SYS(preadv) };

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
	SCMP_SYS(utimensat), SCMP_SYS(memfd_create),
};

static const int calls_connect[] = { SCMP_SYS(connect) };

static const int calls_ids[] = {
	SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setreuid),
	SCMP_SYS(setregid), SCMP_SYS(setgroups), SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
};

/* The session monitor: fork, wait, confine the child. */
static const int calls_fork[] = {
	SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(kill), SCMP_SYS(seccomp),
	SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self), SCMP_SYS(setrlimit),
	SCMP_SYS(prlimit64), SCMP_SYS(prctl), SCMP_SYS(timer_create),
	SCMP_SYS(capget), SCMP_SYS(capset),
};

static const int calls_watch[] = {
	SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
};

static const int calls_chroot[] = { SCMP_SYS(chroot) };

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

/* What is done to a system, and what would get around a filter. */
static const int calls_system[] = {
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(bpf), SCMP_SYS(userfaultfd), SCMP_SYS(perf_event_open),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register), SCMP_SYS(lookup_dcookie),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr), SCMP_SYS(unshare), SCMP_SYS(setns),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(mknod), SCMP_SYS(mknodat),
	SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon),
	SCMP_SYS(swapoff), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(syslog),
};

static const struct {
	unsigned	 may;		/* 0: always */
	const char	*says;
	const int	*calls;
	size_t		 n;
} groups[] = {
	{ 0, NULL, calls_all, ARRAY_LEN(calls_all) },
	{ JAIL_FILES, "files", calls_files, ARRAY_LEN(calls_files) },
	{ JAIL_READ, "read", calls_read, ARRAY_LEN(calls_read) },
	{ JAIL_WRITE, "write", calls_write, ARRAY_LEN(calls_write) },
	{ JAIL_CONNECT, "connect", calls_connect, ARRAY_LEN(calls_connect) },
	{ JAIL_INET, "inet", NULL, 0 },
	{ JAIL_THREADS, "threads", NULL, 0 },
	{ JAIL_IDS, "ids", calls_ids, ARRAY_LEN(calls_ids) },
	{ JAIL_ANYTHING, "anything", NULL, 0 },
	{ JAIL_FORK, "fork", calls_fork, ARRAY_LEN(calls_fork) },
	{ JAIL_WATCH, "watch", calls_watch, ARRAY_LEN(calls_watch) },
	{ JAIL_CHROOT, "chroot", calls_chroot, ARRAY_LEN(calls_chroot) },
	{ JAIL_PROGRAMS, "programs", NULL, 0 },
};

/* Stands for the process id in a filter that is made before there is one. */
#define PID_HOLE	0x5e551070

/* What is being made: a filter, and the first thing that went wrong. */
struct making {
	scmp_filter_ctx	 f;
	int		 rc;
};

/*
 * One rule.  libseccomp gives -EDOM and the like for calls that this
 * architecture does not have; those cannot be made, so there is nothing to
 * allow.
 */
static void
rule(struct making *m, uint32_t action, int call, unsigned n,
    const struct scmp_arg_cmp *args)
{
	int rc;

	if (call < 0 || m->rc != 0)
		return;
	rc = seccomp_rule_add_array(m->f, action, call, n, args);
	if (rc != -EACCES && rc != -EDOM)
		m->rc = rc;
}

static void
allow(struct making *m, int call)
{
	rule(m, SCMP_ACT_ALLOW, call, 0, NULL);
}

/* Allow a call where this holds of an argument. */
static void
allow_if(struct making *m, int call, struct scmp_arg_cmp cmp)
{
	rule(m, SCMP_ACT_ALLOW, call, 1, &cmp);
}

static void
allow_memory(struct making *m, const struct jail *j)
{
	const struct scmp_arg_cmp data =
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);

	/* Memory that is written to is never executed. */
	allow_if(m, SCMP_SYS(mmap), data);
	if ((j->may & JAIL_FILES) == 0)
		allow_if(m, SCMP_SYS(mprotect), data);
	else	/* the JIT compiler of pcre: tables */
		allow_if(m, SCMP_SYS(mmap),
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

static void
allow_sockets(struct making *m, const struct jail *j)
{
	const struct scmp_arg_cmp route[] = {
		SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
		SCMP_A2(SCMP_CMP_EQ, 0),	/* NETLINK_ROUTE */
	};

	allow_if(m, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (j->may & JAIL_CONNECT)
		allow_if(m, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (j->may & JAIL_INET) {
		allow_if(m, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET));
		allow_if(m, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	}
	/* The default of mynetworks asks for our addresses (getifaddrs); a
	 * user's process looks up nothing. */
	if ((j->may & (JAIL_FILES | JAIL_INET)) && j->user != JAIL_LOGIN) {
		rule(m, SCMP_ACT_ALLOW, SCMP_SYS(socket), ARRAY_LEN(route),
		    route);
		allow(m, SCMP_SYS(bind));
	}
}

static void
allow_processes(struct making *m, const struct jail *j, uint32_t pid)
{
	/* abort(): a signal to ourselves. */
	allow_if(m, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, pid));
	/* Ask for limits, set none. */
	if ((j->may & JAIL_FORK) == 0) {
		allow_if(m, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
		allow_if(m, SCMP_SYS(prctl),
		    SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	}
	/*
	 * A thread, not a process.  clone3 hides its flags in memory that a
	 * filter cannot read; told that there is none, the C library uses
	 * clone.
	 */
	if (j->may & JAIL_THREADS)
		allow_if(m, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ,
		    CLONE_THREAD, CLONE_THREAD));
	/* fork() of the C library; no thread, nothing of namespaces. */
	if (j->may & JAIL_FORK)
		allow_if(m, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_EQ,
		    CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD));
	rule(m, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
}

static void
allow_groups(struct making *m, const struct jail *j)
{
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		if (groups[g].may != 0 && (groups[g].may & j->may) == 0)
			continue;
		for (size_t i = 0; i < groups[g].n; i++)
			allow(m, groups[g].calls[i]);
	}
}

static void
kill_the_hostile(struct making *m, const struct jail *j)
{
	for (size_t i = 0; i < ARRAY_LEN(calls_hostile); i++)
		if (calls_hostile[i] != SCMP_SYS(chroot) ||
		    (j->may & JAIL_CHROOT) == 0)
			rule(m, SCMP_ACT_KILL_PROCESS, calls_hostile[i], 0,
			    NULL);
}

/*
 * All but what calls_system has.  An error, not the end of the process: it
 * may be a library that only looks what there is.
 */
static void
refuse_the_system(struct making *m, bool enforce)
{
	for (size_t i = 0; i < ARRAY_LEN(calls_system); i++)
		rule(m, enforce ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_LOG,
		    calls_system[i], 0, NULL);
}

/* What libseccomp answers: a negated errno, or -1. */
static int
seccomp_failed(int rc, struct why *why)
{
	errno = rc < -1 ? -rc : EINVAL;
	return why_errno(why, "", "seccomp");
}

/* The row's filter, to be released; NULL with why. */
static scmp_filter_ctx
make_filter(const struct jail *j, bool enforce, uint32_t pid, struct why *why)
{
	struct making m = {
		seccomp_init(j->may & JAIL_PROGRAMS ? SCMP_ACT_ALLOW :
		    enforce ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_LOG), 0,
	};

	if (m.f == NULL) {
		why_set(why, "", "seccomp: cannot make a filter");
		return NULL;
	}
	/* We set no_new_privs ourselves; a tree of tests, not a list. */
	(void)seccomp_attr_set(m.f, SCMP_FLTATR_CTL_NNP, 0);
	(void)seccomp_attr_set(m.f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (j->may & JAIL_PROGRAMS) {
		refuse_the_system(&m, enforce);
	} else {
		allow_groups(&m, j);
		allow_memory(&m, j);
		allow_sockets(&m, j);
		allow_processes(&m, j, pid);
		if (enforce)
			kill_the_hostile(&m, j);
	}
	if (m.rc == 0)
		return m.f;
	(void)seccomp_failed(m.rc, why);
	seccomp_release(m.f);
	return NULL;
}

int
sandbox_restrict_calls(const struct jail *j, bool enforce, struct why *why)
{
	scmp_filter_ctx f;
	int rc;

	f = make_filter(j, enforce, (uint32_t)getpid(), why);
	if (f == NULL)
		return -1;
	rc = seccomp_load(f);
	seccomp_release(f);
	return rc == 0 ? 0 : seccomp_failed(rc, why);
}

static struct {
	const struct jail	*jail;
	struct sock_filter	*code;
	unsigned short		 len;
} compiled;

int
sandbox_compile(const struct jail *j, struct why *why)
{
	bool enforce = strcmp(conf.sandbox_level, "enforce") == 0;
	scmp_filter_ctx f;
	struct stat st;
	int fd, rc = -1;

	if (strcmp(conf.sandbox_level, "off") == 0 || SANDBOX_SANITIZED)
		return 0;
	f = make_filter(j, enforce, PID_HOLE, why);
	if (f == NULL)
		return -1;
	fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0 || seccomp_export_bpf(f, fd) < 0 || fstat(fd, &st) < 0 ||
	    st.st_size <= 0 ||
	    (size_t)st.st_size / sizeof(*compiled.code) > BPF_MAXINSNS) {
		why_set(why, "", "seccomp: cannot compile a filter");
		goto out;
	}
	mem_free(compiled.code);
	compiled.jail = j;
	compiled.len = (unsigned short)((size_t)st.st_size /
	    sizeof(*compiled.code));
	compiled.code = mem_alloc_array(compiled.len, sizeof(*compiled.code));
	if (fd_pread_all(fd, compiled.code,
	    compiled.len * sizeof(*compiled.code), 0) < 0)
		why_errno(why, "", "seccomp: cannot read a filter");
	else
		rc = 0;
out:
	fd_close(&fd);
	seccomp_release(f);
	return rc;
}

int
sandbox_load_compiled(const struct jail *j, struct why *why)
{
	struct sock_fprog prog = { compiled.len, compiled.code };

	if (compiled.jail != j)
		log_panic("the filter of %s is not compiled", j->name);
	for (size_t i = 0; i < compiled.len; i++)
		if (compiled.code[i].k == PID_HOLE)
			compiled.code[i].k = (uint32_t)getpid();
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return why_errno(why, "", "seccomp");
	return 0;
}

void
sandbox_describe_calls(const struct jail *j, struct buf *out)
{
	if (j->may & JAIL_ANYTHING) {
		buf_add_str(out, "all");
		return;
	}
	buf_add_str(out, "base");
	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		if (groups[g].may & j->may)
			buf_addf(out, " %s", groups[g].says);
}
