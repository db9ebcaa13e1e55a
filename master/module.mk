$(eval $(call program,master,master,main.c,libexec))
