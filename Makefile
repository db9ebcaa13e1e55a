# SPDX-License-Identifier: ISC
#
# Mansio's whole build.  Each folder says in its module.mk what it makes:
#
#	$(eval $(call program,NAME,FOLDER,main.c,DIR))	a program
#
# where all .c files of FOLDER but main*.c go into FOLDER's archive, and DIR is
# where it is installed: libexec, sbin or bin.  lib/ folders need no module.mk.
#
#	make			everything, under build/
#	make check		all tests (see tests/README)
#	make SAN=address,undefined check
#	make layers | lint | bench | demo | demo-stop | install | clean

.DEFAULT_GOAL	:= all
# Each layer may use itself and the layers before it: this is the link order.
LAYERS		:= base io conf ipc mail route queue store auth daemon

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
BUILD		?= $(if $(SAN),build/san-$(subst $(comma),-,$(SAN)),build/opt)

CC		?= gcc
OPT		?= -O2 -g
WARN		:= -Wall -Wextra -Wshadow -Wstrict-prototypes \
		   -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
		   -Wvla -Walloca -Wundef -Wformat=2 -Wimplicit-fallthrough \
		   -Wno-unused-parameter -Werror
HARDEN		:= -fstack-protector-strong -fstack-clash-protection \
		   -fcf-protection -fPIE -fno-strict-aliasing
ifeq ($(SAN),)
HARDEN		+= -D_FORTIFY_SOURCE=2
else
HARDEN		+= -fsanitize=$(SAN) -fno-omit-frame-pointer \
		   -fno-sanitize-recover=all
endif
DIRS		:= -DSYSCONFDIR='"$(SYSCONFDIR)"' \
		   -DLOCALSTATEDIR='"$(LOCALSTATEDIR)"' \
		   -DSBINDIR='"$(SBINDIR)"' -DBINDIR='"$(BINDIR)"' \
		   -DLIBEXECDIR='"$(LIBEXECDIR)"' -DMANSIO_VERSION='"$(VERSION)"'
ALL_CPPFLAGS	:= -Ilib -I. -D_GNU_SOURCE -include lib/base/banned.h $(DIRS) \
		   $(CPPFLAGS)
ALL_CFLAGS	:= -std=c17 $(OPT) $(WARN) $(HARDEN) -pthread $(CFLAGS)
ALL_LDFLAGS	:= -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed \
		   $(if $(SAN),-fsanitize=$(SAN)) -pthread $(LDFLAGS)
LIBS		:= -levent_core -ldb-5.3 -lpcre2-8 -lseccomp -lcrypt -lcrypto

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
$(BUILD)/bin/$(1): $(call objs,$(2)/$(3)) $(BUILD)/$(2)/lib.a $(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD    $(1)"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
FOLDERS		:=

-include $(sort $(wildcard */module.mk))

all: $(ARCHIVES) $(PROGRAMS) $(EXTRA_ALL)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(ALL_OBJS:.o=.d)

clean:
	rm -rf build

.PHONY: all clean check bench demo demo-stop install layers lint
