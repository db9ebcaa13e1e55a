# SPDX-License-Identifier: ISC
#
# Mansio's whole build.  Each folder says in its module.mk what it makes:
#
#	$(eval $(call program,NAME,FOLDER,main.c,DIR,MORE))	a program
#
# where all .c files of FOLDER but main*.c go into FOLDER's archive, and DIR is
# where it is installed: libexec, sbin or bin.  MORE, mostly none, are folders
# whose archives are linked, too.  lib/ folders need no module.mk.
#
#	make			everything, under build/
#	make check		all tests (see tests/README)
#	make SAN=address,undefined check
#	make fuzz		fuzz every parser (needs clang)
#	make install		with DESTDIR=, PREFIX=, SYSCONFDIR=, LOCALSTATEDIR=
#	make layers | man | lint | bench | demo | demo-stop | clean
#
#	$(eval $(call link,NAME,PROGRAM,DIR))		another name of a program

.DEFAULT_GOAL	:= all
# Each layer may use itself and the layers before it: this is the link order.
LAYERS		:= base io conf ipc tls dns http mail route queue store auth daemon front session

PREFIX		?= /usr/local
SYSCONFDIR	?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
LOCALSTATEDIR	?= $(if $(filter /usr,$(PREFIX)),/var,/var)
SBINDIR		?= $(PREFIX)/sbin
BINDIR		?= $(PREFIX)/bin
LIBEXECDIR	?= $(PREFIX)/libexec
MANDIR		?= $(PREFIX)/share/man
UNITDIR		?= $(PREFIX)/lib/systemd/system
DESTDIR		?=

VERSION		:= 0.1.0

SAN		?=
comma		:= ,
BUILD		?= build/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),opt)
ifeq ($(strip $(BUILD)),)
$(error BUILD is empty: the outputs would go to /)
endif

CC		?= gcc
OPT		?= -O2 -g
WARN		:= -Wall -Wextra -Wshadow -Wstrict-prototypes \
		   -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
		   -Wvla -Walloca -Wundef -Wformat=2 -Wimplicit-fallthrough \
		   -Wno-unused-parameter -Wno-missing-field-initializers \
		   -Werror
HARDEN		:= -fstack-protector-strong -fstack-clash-protection \
		   -fcf-protection -fPIE -fno-strict-aliasing
# The same source gives the same bytes, whatever folder it lies in.
SAME		:= -ffile-prefix-map=$(CURDIR)=.
ifeq ($(SAN),)
# Not where a packager's flags say it, nor without optimization.
HARDEN		+= $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(OPT) $(CFLAGS)),,-D_FORTIFY_SOURCE=2)
else
HARDEN		+= $(if $(FUZZ),-fsanitize=fuzzer-no-link)
HARDEN		+= -fsanitize=$(SAN) -fno-omit-frame-pointer \
		   -fno-sanitize-recover=all
endif
# make fuzz: see there.
FUZZ		?=
ifneq ($(FUZZ),)
HARDEN		+= -fsanitize=fuzzer-no-link
endif
DIRS		:= -DSYSCONFDIR='"$(SYSCONFDIR)"' \
		   -DLOCALSTATEDIR='"$(LOCALSTATEDIR)"' \
		   -DSBINDIR='"$(SBINDIR)"' -DBINDIR='"$(BINDIR)"' \
		   -DLIBEXECDIR='"$(LIBEXECDIR)"' -DMANSIO_VERSION='"$(VERSION)"'
ALL_CPPFLAGS	:= -Ilib -I. -D_GNU_SOURCE -include lib/base/banned.h $(DIRS) \
		   $(CPPFLAGS)
ALL_CFLAGS	:= -std=c17 $(OPT) $(WARN) $(HARDEN) $(SAME) -pthread $(CFLAGS)
ALL_LDFLAGS	:= -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed \
		   $(if $(SAN),-fsanitize=$(SAN)) -pthread $(LDFLAGS)
# Libraries that one can do without are used when they are there; WITH_CURL=
# and so on builds without one, whatever is there.
found		= $(if $(wildcard $(1:%=/usr/include/%)),1)
WITH_CURL	?= $(call found,curl/curl.h */curl/curl.h)
WITH_PAM	?= $(call found,security/pam_appl.h)
WITH_ZSTD	?= $(call found,zstd.h */zstd.h)
USE_CURL	:= $(WITH_CURL:%=-DWITH_CURL)
USE_PAM		:= $(WITH_PAM:%=-DWITH_PAM)
USE_ZSTD	:= $(WITH_ZSTD:%=-DWITH_ZSTD)
LIBS		:= -lssl -lcrypto -levent_core -ldb-5.3 -lpcre2-8 -lseccomp -lcrypt -largon2 -ljansson \
		   $(if $(WITH_PAM),-lpam) $(if $(WITH_CURL),-lcurl) \
		   $(if $(WITH_ZSTD),-lzstd) \
		   -lunbound -lidn2 -lunistring -lz

Q		:= $(if $(V),,@)
ALL_OBJS	:=
objs		= $(patsubst %.c,$(BUILD)/%.o,$(1))

# --- libraries: one archive a layer -------------------------------------------
# $(call archive,FILE,SOURCES)
define archive
$(1): $(call objs,$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
ALL_OBJS	+= $(call objs,$(2))
endef

# The linker reads from left to right: the highest layer comes first.
ARCHIVES	:=
define library
ifneq ($(wildcard lib/$(1)/*.c),)
ARCHIVES	:= $(BUILD)/lib/lib$(1).a $$(ARCHIVES)
$(call archive,$(BUILD)/lib/lib$(1).a,$(wildcard lib/$(1)/*.c))
endif
endef
$(foreach l,$(LAYERS),$(eval $(call library,$(l))))

# --- programs: $(call program,NAME,FOLDER,MAIN,DIR) ----------------------------
# A folder with several programs has a main*.c for each; all its other files
# go into its archive, so that a unit test can call any of it.
PROGRAMS	:=
define program
PROGRAMS	+= $(BUILD)/bin/$(1)
PROGRAM_DIR_$(1) := $(4)
ALL_OBJS	+= $(call objs,$(2)/$(3))
ifeq ($$(filter $(2),$$(FOLDERS)),)
FOLDERS		+= $(2)
$(call archive,$(BUILD)/$(2)/lib.a,$(filter-out $(2)/main%,$(wildcard $(2)/*.c)))
endif
$(BUILD)/bin/$(1): $(call objs,$(2)/$(3)) $(BUILD)/$(2)/lib.a \
    $(5:%=$(BUILD)/%/lib.a) $(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD    $(1)"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS)
# The same in which MANSIO_FAULT works (io/fault.h), for tests.
FAULTY		+= $(BUILD)/fault/bin/$(1)
$(BUILD)/fault/bin/$(1): $(call objs,$(2)/$(3)) $(BUILD)/fault/fault.o \
    $(BUILD)/$(2)/lib.a $(5:%=$(BUILD)/%/lib.a) $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
FAULTY		:=
FOLDERS		:=

# $(call link,NAME,PROGRAM,DIR): another name of PROGRAM.
LINKS		:=
define link
LINKS		+= $(1)
LINK_TO_$(1)	:= $(2)
LINK_DIR_$(1)	:= $(3)
$(BUILD)/bin/$(1): $(BUILD)/bin/$(2)
	$$(Q)ln -sf $(2) $$@
endef

-include $(sort $(wildcard */module.mk))

all: $(ARCHIVES) $(PROGRAMS) $(LINKS:%=$(BUILD)/bin/%) $(EXTRA_ALL)

# Everything is compiled again when the flags have changed: PREFIX is in them.
FLAGS_FILE	:= $(BUILD)/flags
FLAGS_NOW	:= $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(USE_CURL) $(USE_PAM) $(USE_ZSTD)
ifneq ($(file <$(FLAGS_FILE)),$(FLAGS_NOW))
$(shell mkdir -p $(BUILD))
$(file >$(FLAGS_FILE),$(FLAGS_NOW))
endif

$(BUILD)/%.o: %.c $(FLAGS_FILE)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# One file each knows such a library.
$(BUILD)/lib/http/http.o: ALL_CPPFLAGS += $(USE_CURL)
$(BUILD)/authd/pam_helper.o: ALL_CPPFLAGS += $(USE_PAM)
$(BUILD)/lib/store/compress.o: ALL_CPPFLAGS += $(USE_ZSTD)

# Linked before libio, it takes the place of the one there.
$(BUILD)/fault/fault.o: lib/io/fault.c $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -DFAULT=1 -MMD -MP -c -o $@ $<
ALL_OBJS	+= $(BUILD)/fault/fault.o

# --- tests: see tests/README ---------------------------------------------------
UNIT_SRCS	:= $(wildcard tests/unit/*/test_*.c)
UNIT_BINS	:= $(UNIT_SRCS:%.c=$(BUILD)/%)
FUZZ_SRCS	:= $(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c))
FUZZ_BINS	:= $(FUZZ_SRCS:%.c=$(BUILD)/%)
HELPER_SRCS	:= $(filter-out tests/unit/% tests/fuzz/%,$(wildcard tests/*/*.c))
FUSE_LIBS	:= $(shell pkg-config --libs fuse3 2>/dev/null)
ifeq ($(FUSE_LIBS),)
HELPER_SRCS	:= $(filter-out tests/crash/logdisk.c,$(HELPER_SRCS))
endif
HELPER_BINS	:= $(HELPER_SRCS:%.c=$(BUILD)/%)
TEST_OBJS	:= $(call objs,$(UNIT_SRCS) $(FUZZ_SRCS) $(HELPER_SRCS) \
		   tests/unit/main.c tests/fuzz/replay.c)
ALL_OBJS	+= $(TEST_OBJS)
TEST_LD		= $(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)
# The archive of the daemon that a test is about: tests/unit/FOLDER/test_*.c,
# tests/fuzz/FOLDER_*.c, tests/FOLDER/*.c.
own_archive	= $(if $(filter $(1),$(FOLDERS)),$(BUILD)/$(1)/lib.a)

.SECONDARY: $(TEST_OBJS)
$(UNIT_BINS:=.o): ALL_CPPFLAGS += -include tests/unit/unit.h
$(BUILD)/tests/crash/logdisk.o: ALL_CPPFLAGS += \
	$(shell pkg-config --cflags fuse3 2>/dev/null)

# main() is taken from the archive by tests that have none.
$(BUILD)/tests/unit/main.a: $(BUILD)/tests/unit/main.o
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

define unit_bin
$(1): $(1).o $(BUILD)/tests/unit/main.a \
    $(call own_archive,$(word 3,$(subst /, ,$(1:$(BUILD)/%=%)))) $(ARCHIVES)
	$$(TEST_LD) $(CHECK_LIBS)
endef
CHECK_LIBS	:= $(shell pkg-config --libs check 2>/dev/null || echo -lcheck)
$(foreach b,$(UNIT_BINS),$(eval $(call unit_bin,$(b))))

# Under make fuzz the engine comes from the compiler, otherwise replay.c
# shows the corpus to the target.
FUZZ_ENGINE	:= $(if $(FUZZ),,$(BUILD)/tests/fuzz/replay.o)
define fuzz_bin
$(1): $(1).o $(FUZZ_ENGINE) \
    $(call own_archive,$(firstword $(subst _, ,$(notdir $(1))))) $(ARCHIVES)
	$$(TEST_LD) $(if $(FUZZ),-fsanitize=fuzzer)
endef
$(foreach b,$(FUZZ_BINS),$(eval $(call fuzz_bin,$(b))))

define helper_bin
$(1): $(1).o $(call own_archive,$(word 2,$(subst /, ,$(1:$(BUILD)/%=%)))) \
    $(ARCHIVES)
	$$(TEST_LD) $(if $(findstring logdisk,$(1)),$(FUSE_LIBS))
endef
$(foreach b,$(HELPER_BINS),$(eval $(call helper_bin,$(b))))

tests: $(UNIT_BINS) $(FUZZ_BINS) $(HELPER_BINS) $(FAULTY)

# T=word runs only the tests that have it in their name.
JOBS		?= 2
T		?=
check: all tests
	@BUILD_DIR=$(abspath $(BUILD)) SAN='$(SAN)' tests/run -j $(JOBS) \
		$(if $(T),-t '$(T)') $(UNIT_BINS) $(FUZZ_BINS)

# Fuzz each target for FUZZ_TIME seconds, T=word as above.  What is found lies
# in build/fuzz/found, new interesting inputs in build/fuzz/corpus.
FUZZ_TIME	?= 60
fuzz:
	$(MAKE) FUZZ=1 CC=clang SAN=address,undefined BUILD=build/fuzz fuzz-all
fuzz-all: $(patsubst %,fuzz-run-%,$(foreach f,$(FUZZ_SRCS),$(if \
    $(if $(T),$(findstring $(T),$(f)),y),$(basename $(notdir $(f))))))
fuzz-run-%: $(BUILD)/tests/fuzz/%
	@mkdir -p $(BUILD)/corpus/$* $(BUILD)/found tests/fuzz/corpus/$*
	$< -max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix=$(BUILD)/found/$*- \
		$(BUILD)/corpus/$* tests/fuzz/corpus/$*

-include $(ALL_OBJS:.o=.d)

# --- checks of the source --------------------------------------------------------
layers:
	@tests/layers $(LAYERS)

# Every manual page is correct.
man: $(MAN_PAGES)
	mandoc -T lint -W warning $(MAN_PAGES)

# T=word looks only at C files that have it in their name.
lint: layers man
	@CPPFLAGS='$(subst ','\'',$(ALL_CPPFLAGS)) $(USE_CURL) $(USE_PAM) $(USE_ZSTD)' JOBS=$(JOBS) tests/lint $(T)

# --- speed: see tests/README ---------------------------------------------------
BENCH		?=
BENCH_IMAP	?= 20000
bench: all tests
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/run.py $(BENCH)
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/login.py
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/pop3.py 20000 4096 1
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/idle.py --users 2000
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/tls.py --rounds 1 --keys ecdsa
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/tls_sessions.py
	@BUILD_DIR='$(abspath $(BUILD))' tests/bench/imap.py $(BENCH_IMAP)

# --- install ----------------------------------------------------------------------
# Configuration that is there already is never touched.
dir_of		= $(DESTDIR)$(if $(filter libexec,$(1)),$(LIBEXECDIR)/mansio,$(if \
		  $(filter sbin,$(1)),$(SBINDIR),$(BINDIR)))
subst_dirs	= sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@BINDIR@|$(BINDIR)|g' \
		  -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' \
		  -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' \
		  -e 's|@LOCALSTATEDIR@|$(LOCALSTATEDIR)|g' \
		  -e 's|@MANDIR@|$(MANDIR)|g'
CONFDIR		:= $(DESTDIR)$(SYSCONFDIR)/mansio
DOCDIR		:= $(DESTDIR)$(PREFIX)/share/doc/mansio

install: all
	$(foreach p,$(PROGRAMS:$(BUILD)/bin/%=%),install -D -m 0755 \
		$(BUILD)/bin/$(p) $(call dir_of,$(PROGRAM_DIR_$(p)))/$(p)$(NEWLINE))
	$(foreach l,$(LINKS),install -d -m 0755 \
		$(call dir_of,$(LINK_DIR_$(l)))$(NEWLINE)\
		ln -sf $(call link_path,$(l)) \
		$(call dir_of,$(LINK_DIR_$(l)))/$(l)$(NEWLINE))
	@umask 022; for f in $(MAN_PAGES); do \
		d='$(DESTDIR)$(MANDIR)'/man$${f##*.}; mkdir -p "$$d" && \
		$(subst_dirs) "$$f" >"$$d/$${f##*/}" && \
		chmod 0644 "$$d/$${f##*/}" || exit 1; done
	@umask 022; for n in $(PROGRAMS:$(BUILD)/bin/%=%) $(LINKS); do \
		for f in man/$$n.[1-8]; do [ ! -e "$$f" ] || continue 2; done; \
		f=$$(grep -lxE "[.]Nm $$n( ,)?" \
			$(filter %.1 %.8,$(MAN_SRCS)) | head -n 1); \
		[ -n "$$f" ] || continue; s=$${f##*.}; \
		d='$(DESTDIR)$(MANDIR)'/man$$s; \
		echo ".so man$$s/$${f##*/}" >"$$d/$$n.$$s" || exit 1; done
	@umask 022; for f in etc/*; do n=$${f##*/}; n=$${n%.in}; \
		[ -f "$$f" ] && [ ! -x "$$f" ] || continue; \
		case $$n in *.service) to='$(DESTDIR)$(UNITDIR)' ;; \
		*.sysusers) to='$(DESTDIR)$(PREFIX)/lib/sysusers.d'; \
			n=mansio.conf ;; \
		*.tmpfiles) to='$(DESTDIR)$(PREFIX)/lib/tmpfiles.d'; \
			n=mansio.conf ;; \
		*.logrotate) to='$(DESTDIR)$(SYSCONFDIR)/logrotate.d'; \
			n=mansio ;; \
		*.fail2ban) to='$(DESTDIR)$(SYSCONFDIR)/fail2ban/filter.d'; \
			n=mansio.conf ;; \
		*) to='$(CONFDIR)' ;; esac; \
		mkdir -p "$$to"; \
		case $$to in '$(DESTDIR)$(SYSCONFDIR)'/*) [ ! -e "$$to/$$n" ] || \
			{ echo "$$to/$$n is there: kept"; continue; } ;; esac; \
		$(subst_dirs) "$$f" >"$$to/$$n" && chmod 0644 "$$to/$$n" || exit 1; \
	done
	@install -d -m 0755 '$(DOCDIR)'
	@for f in LICENSE README README.md ARCHITECTURE.md; do [ -f $$f ] || \
		continue; install -m 0644 $$f '$(DOCDIR)' || exit 1; done
define NEWLINE


endef
# In one directory a relative link survives DESTDIR and moving.
link_path	= $(if $(filter $(LINK_DIR_$(1)),$(PROGRAM_DIR_$(LINK_TO_$(1)))),$(LINK_TO_$(1)),$(patsubst \
		  $(DESTDIR)%,%,$(call dir_of,$(PROGRAM_DIR_$(LINK_TO_$(1))))/$(LINK_TO_$(1))))

clean:
	rm -rf build

# --- the demo: a whole mail system in one command --------------------------------
# It installs what the build needs, so it depends on nothing built.
demo:
	@BUILD_DIR='$(abspath $(BUILD))' etc/demo/demo start

# What make and make check need, by apt.
setup:
	@etc/setup tests

demo-stop:
	@BUILD_DIR='$(abspath $(BUILD))' etc/demo/demo stop

.PHONY: all clean check tests fuzz fuzz-all bench demo demo-stop install
.PHONY: layers lint man setup
