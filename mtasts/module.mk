# SPDX-License-Identifier: ISC
$(eval $(call program,mtasts,mtasts,main.c,libexec))
