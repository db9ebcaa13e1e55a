/* SPDX-License-Identifier: ISC */
/*
 * format - the names of the mailbox formats, for programs that store nothing.
 */
#include "store/store.h"

static const struct {
	const char		*name;
	enum store_format	 format;
} formats[] = {
	{ "maildir",	STORE_MAILDIR },
	{ "mbox",	STORE_MBOX },
	{ "packed",	STORE_PACKED },
};

int
store_format_parse(struct span name, enum store_format *out)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (span_is(name, formats[i].name)) {
			*out = formats[i].format;
			return 0;
		}
	}
	return -1;
}

const char *
store_format_name(enum store_format f)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (formats[i].format == f)
			return formats[i].name;
	}
	return "unknown";
}
