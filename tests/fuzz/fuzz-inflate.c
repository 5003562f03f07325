/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"

/*
 * Inflates the input whole and in small pieces: both must give the same bytes and the same verdict. Input that
 * begins with '=' is also taken as content: compressed by our writer it must come back.
 */

#define OUTPUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct drip {
	struct reader base;
	struct reader *below;
	size_t step;
};

static ssize_t drip_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct drip *drip = (struct drip *)base;

	return drip->below->read(drip->below, buf, len < drip->step ? len : drip->step, err);
}

static void drip_close(struct reader *base)
{
	scope_close_reader(&((struct drip *)base)->below);
}

/* 0 at the end or when enough came, -1 with err. */
static int inflate_all(const void *data, size_t size, size_t in_step, size_t out_step, struct strbuf *out,
		       struct err *err)
{
	struct drip drip = { { drip_read, drip_close }, reader_bytes(data, size), in_step };
	struct reader *reader = reader_inflate(&drip.base, NULL, "fuzz");
	char buf[4096];
	ssize_t count = 0;

	while (out->len < OUTPUT_MAX && (count = reader->read(reader, buf, out_step, err)) > 0)
		strbuf_add(out, buf, (size_t)count);
	reader->close(reader);
	return out->len < OUTPUT_MAX && count < 0 ? -1 : 0;
}

static void check_round_trip(const uint8_t *data, size_t size, struct writer *(*make)(struct writer *, unsigned))
{
	scope_strbuf struct strbuf packed = { 0 }, out = { 0 };
	struct writer *writer = make(writer_strbuf(&packed), 1);
	struct err err = { 0 };

	if (writer->write(writer, data, size, &err) < 0 || writer->finish(writer, &err) < 0)
		abort();
	writer->close(writer);
	if (inflate_all(packed.ptr, packed.len, 1 << 20, 4096, &out, &err) < 0 || out.len != size ||
	    memcmp(strbuf_str(&out), data, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scope_strbuf struct strbuf whole = { 0 }, pieces = { 0 };
	struct err one = { 0 }, other = { 0 };
	int first = inflate_all(data, size, 1 << 20, 4096, &whole, &one);
	int second = inflate_all(data, size, 3, 1000, &pieces, &other);

	if (whole.len < OUTPUT_MAX && pieces.len < OUTPUT_MAX) {
		if (first != second || one.kind != other.kind)
			abort();
		if (first == 0 &&
		    (whole.len != pieces.len || memcmp(strbuf_str(&whole), strbuf_str(&pieces), whole.len) != 0))
			abort();
	}
	if (first < 0 && one.kind != ERR_CORRUPT && one.kind != ERR_UNSUPPORTED)
		abort();
	/* Making a compressor takes longer than all the rest. */
	if (size > 0 && size < 10000 && data[0] == '=')
		check_round_trip(data, size, writer_gzip);
	return 0;
}
