# SPDX-License-Identifier: ISC
FOLDERS		+= imapd
$(eval $(call archive,$(BUILD)/imapd/lib.a,$(filter-out \
	imapd/main%,$(wildcard imapd/*.c))))
EXTRA_ALL	+= $(BUILD)/imapd/lib.a
