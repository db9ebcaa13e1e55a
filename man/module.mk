# SPDX-License-Identifier: ISC
# The manual: man/NAME.SECTION, with the settings filled in from params.def,
# goes to build/man, from where it is installed.
MAN_SRCS	:= $(wildcard man/*.[1-8])
MAN_PAGES	:= $(MAN_SRCS:%=$(BUILD)/%)
EXTRA_ALL	+= $(MAN_PAGES)
ALL_OBJS	+= $(call objs,man/mkparams.c)

$(BUILD)/man/mkparams: $(BUILD)/man/mkparams.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(MAN_PAGES): $(BUILD)/%: % $(BUILD)/man/mkparams
	$(Q)$(BUILD)/man/mkparams <$< >$@.tmp && mv $@.tmp $@
