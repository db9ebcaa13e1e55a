/* SPDX-License-Identifier: ISC */
/*
 * packedcat - the messages of a packed mailbox, for tests.
 *
 *	packedcat DIRECTORY
 *
 * writes for each message a line "uid length" and its bytes; a message whose
 * bytes are not those that were delivered is a line "uid damaged".
 */
#include <stdio.h>

#include "base/buf.h"
#include "conf/params.h"
#include "store/store.h"

int
main(int argc, char **argv)
{
	struct store_place place = {
		.format = STORE_PACKED, .base = "/",
		.size_limit = PARAM_UNLIMITED,
	};
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct store_box *box;

	if (argc != 2 || argv[1][0] != '/') {
		fprintf(stderr, "usage: packedcat /directory\n");
		return 2;
	}
	place.path = argv[1] + 1;
	box = store_box_open(&place, &why);
	if (box == NULL) {
		fprintf(stderr, "packedcat: %s\n", why.text);
		return 1;
	}
	for (size_t i = 0; i < store_box_count(box); i++) {
		const struct store_item *item = store_box_item(box, i);

		buf_reset(&text);
		if (item->damaged ||
		    store_box_read(box, i, &text, &why) < 0) {
			printf("%u damaged\n", (unsigned)item->uid);
			continue;
		}
		printf("%u %zu\n", (unsigned)item->uid, text.len);
		fwrite(text.data, 1, text.len, stdout);
	}
	store_box_close(&box);
	buf_fini(&text);
	return 0;
}
