# SPDX-License-Identifier: ISC
$(eval $(call program,error,error,main_error.c,libexec))
$(eval $(call program,retry,error,main_retry.c,libexec))
$(eval $(call program,discard,error,main_discard.c,libexec))
