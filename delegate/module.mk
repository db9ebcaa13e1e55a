# SPDX-License-Identifier: ISC
$(eval $(call program,delegate,delegate,main.c,libexec))
