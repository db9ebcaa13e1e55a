# SPDX-License-Identifier: ISC
$(eval $(call program,resolver,resolver,main.c,libexec))
