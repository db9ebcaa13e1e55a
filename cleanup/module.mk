$(eval $(call program,cleanup,cleanup,main.c,libexec))
