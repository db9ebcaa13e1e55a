/* SPDX-License-Identifier: ISC */
/*
 * table_source - the first byte of the input chooses a type, the first line
 * is the key, the rest the source file of a table; or, for the types without
 * a file, the whole spec.
 */
#include "conf_dir.h"

#include "base/log.h"
#include "conf/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try(const char *spec, struct span key)
{
	struct why why = WHY_INIT;
	struct buf b = BUF_INIT(65536);
	struct table *t = table_open(spec, TABLE_FOLD, &why);

	if (t == NULL) {
		if (why.text[0] == '\0')
			abort();
		return;
	}
	if (table_get(t, key, &b, &why) == -1 && why.text[0] == '\0')
		abort();
	buf_fini(&b);
	table_close(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {
		"regexp", "cidr", "texthash", "pcre"
	};
	struct span rest, key = SPAN_EMPTY;
	struct why why = WHY_INIT;
	struct maps *m;
	char spec[128], *text;
	int type;

	if (size < 2 || size > 4096)
		return 0;
	log_set_hook(NULL);
	type = data[0] % 6;
	rest = span_make(data + 1, size - 1);
	(void)span_line(&rest, &key);
	if (type < 4) {
		conf_dir_write("table", rest.p, rest.len);
		(void)snprintf(spec, sizeof(spec), "%s:%s/table",
		    types[type], conf_dir);
		try(spec, key);
		return 0;
	}
	text = span_dup(rest);
	if (strlen(text) == rest.len && strstr(text, ":/") == NULL &&
	    strchr(text, '/') == NULL) {
		if (type == 4) {
			try(text, key);
		} else if ((m = maps_new("title", text, 0, &why)) != NULL) {
			struct buf b = BUF_INIT(65536);

			(void)!maps_get(m, key, false, &b, &why);
			buf_fini(&b);
			maps_free(&m);
		}
	}
	mem_free(text);
	return 0;
}
