# SPDX-License-Identifier: ISC
#
# Mansio's whole build.  Each folder says in its module.mk what it makes:
#
#	$(eval $(call program,NAME,FOLDER,main.c,DIR))	a program
#
# where all other .c files of FOLDER go into FOLDER's archive, and DIR is where
# it is installed: libexec, sbin or bin.  lib/ folders need no module.mk.
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
		   -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough \
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

PROGRAMS	:=
ALL_OBJS	:=

objs		= $(patsubst %.c,$(BUILD)/%.o,$(1))

# --- libraries: one archive a layer -------------------------------------------
define library
LIB_$(1)_SRCS	:= $$(wildcard lib/$(1)/*.c)
LIB_$(1)_OBJS	:= $$(call objs,$$(LIB_$(1)_SRCS))
ALL_OBJS	+= $$(LIB_$(1)_OBJS)
ifneq ($$(LIB_$(1)_SRCS),)
ARCHIVES	+= $(BUILD)/lib/lib$(1).a
$(BUILD)/lib/lib$(1).a: $$(LIB_$(1)_OBJS)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endif
endef
ARCHIVES	:=
$(foreach l,$(LAYERS),$(eval $(call library,$(l))))
# The linker reads from left to right: the highest layer first.
LINK_ORDER	:= $(foreach l,base io conf ipc mail route queue store auth daemon,)
reverse		= $(if $(1),$(call reverse,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
LINK_ARCHIVES	:= $(call reverse,$(ARCHIVES))

Q		:= $(if $(V),,@)

# --- programs: $(call program,name,folder,main,installdir) ----------------------
define program
PROGRAMS	+= $(BUILD)/bin/$(1)
$(1)_DIR	:= $(4)
ifndef FOLDER_$(subst /,_,$(2))
FOLDER_$(subst /,_,$(2)) := $$(filter-out $$(MAINS_$(subst /,_,$(2))),$$(wildcard $(2)/*.c))
$(BUILD)/$(2)/lib$(notdir $(2)).a: $$(call objs,$$(filter-out $$(wildcard $(2)/main*.c),$$(wildcard $(2)/*.c)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
ALL_OBJS	+= $$(call objs,$$(wildcard $(2)/*.c))
endif
$(BUILD)/bin/$(1): $(BUILD)/$(2)/$(3:.c=.o) $(BUILD)/$(2)/lib$(notdir $(2)).a $$(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD    $(1)"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $(BUILD)/$(2)/$(3:.c=.o) $(BUILD)/$(2)/lib$(notdir $(2)).a $$(LINK_ARCHIVES) $$(LIBS)
endef

-include $(sort $(wildcard */module.mk))

all: $(PROGRAMS) $(EXTRA_ALL)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(ALL_OBJS:.o=.d)

clean:
	rm -rf build

.PHONY: all clean check bench demo demo-stop install layers lint
