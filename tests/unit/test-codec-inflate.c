/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "kiln/base/scope.h"
#include "kiln/codec/untar.h"

#define TEXT_SIZE ((size_t)300000)

static char text[TEXT_SIZE];

static int inflate_all(const void *bytes, size_t len, size_t in_step, size_t out_step, struct strbuf *out,
		       struct err *err)
{
	return drain_into(reader_inflate(reader_drip(reader_bytes(bytes, len), in_step), NULL, "blob"), out_step, out,
			  err);
}

static void assert_inflates(const struct strbuf *packed, const void *expected, size_t len)
{
	static const size_t steps[][2] = { { 1 << 20, 4096 }, { 1, 4096 }, { 4096, 1 }, { 7, 13 }, { 509, 4096 } };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		scope_strbuf struct strbuf out = { 0 };
		struct err err = { 0 };
		if (inflate_all(packed->ptr, packed->len, steps[i][0], steps[i][1], &out, &err) < 0)
			fail_msg("%s", err.msg);
		assert_bytes(&out, expected, len);
	}
}

static void assert_refused(const void *bytes, size_t len, enum err_kind kind, const char *words)
{
	static const size_t steps[] = { 1 << 20, 1, 100 };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		scope_strbuf struct strbuf out = { 0 };
		struct err err = { 0 };
		if (inflate_all(bytes, len, steps[i], 4096, &out, &err) == 0)
			fail_msg("inflated where \"%s\" was expected", words);
		assert_int_equal(err.kind, kind);
		assert_says(&err, words);
	}
}

/* ---- gzip ---- */

/* One member as gzip(1) writes it, with a chosen header. */
static void add_member(struct strbuf *out, const void *header, size_t header_len, const void *bytes, size_t len)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
	size_t bound = libdeflate_deflate_compress_bound(compressor, len);
	uint32_t trailer[2] = { (uint32_t)crc32(0, bytes, (uInt)len), (uint32_t)len };

	strbuf_add(out, header, header_len);
	strbuf_reserve(out, bound);
	out->len += libdeflate_deflate_compress(compressor, bytes, len, out->ptr + out->len, bound);
	for (size_t i = 0; i < 8; i++)
		strbuf_addch(out, (char)(trailer[i / 4] >> 8 * (i % 4)));
	libdeflate_free_compressor(compressor);
}

static const char plain_header[10] = { 0x1f, '\x8b', 8, 0, 0, 0, 0, 0, 0, 3 };

static void add_plain(struct strbuf *out, const void *bytes, size_t len)
{
	add_member(out, plain_header, sizeof(plain_header), bytes, len);
}

static void a_gzip_stream_inflates(void **state)
{
	scope_strbuf struct strbuf packed = { 0 }, empty = { 0 };

	(void)state;
	add_plain(&packed, text, TEXT_SIZE);
	assert_inflates(&packed, text, TEXT_SIZE);
	add_plain(&empty, "", 0);
	assert_inflates(&empty, "", 0);
}

static void several_members_are_one_stream(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 1);
	add_plain(&packed, "", 0);
	for (size_t i = 1; i < TEXT_SIZE; i += 29999)
		add_plain(&packed, text + i, TEXT_SIZE - i < 29999 ? TEXT_SIZE - i : 29999);
	add_plain(&packed, "", 0);
	assert_inflates(&packed, text, TEXT_SIZE);
}

static void stored_blocks_inflate(void **state)
{
	static const char stored[] = "\x1f\x8b\x08\0\0\0\0\0\0\3\1\5\0\xfa\xffhello";
	scope_strbuf struct strbuf packed = { 0 };
	uint32_t trailer[2] = { (uint32_t)crc32(0, (const Bytef *)"hello", 5), 5 };

	(void)state;
	strbuf_add(&packed, stored, sizeof(stored) - 1);
	strbuf_add(&packed, trailer, sizeof(trailer));
	assert_inflates(&packed, "hello", 5);
}

/* Sizes count modulo 2^32 in a trailer; the counters inside are 32 bits too. */
static void every_bit_of_a_trailer_is_verified(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 5000);
	for (size_t bit = 0; bit < 64; bit++) {
		char *byte = packed.ptr + packed.len - 8 + bit / 8;
		*byte = (char)(*byte ^ 1 << bit % 8);
		assert_refused(packed.ptr, packed.len, ERR_CORRUPT,
			       "blob: the gzip data does not match its checksum or length");
		*byte = (char)(*byte ^ 1 << bit % 8);
	}
}

static void the_trailer_of_each_member_is_verified(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 5000);
	packed.ptr[packed.len - 1] ^= 1;
	add_plain(&packed, text, 5000);
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "does not match its checksum or length");
	packed.ptr[packed.len - 8] ^= 1;
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "does not match its checksum or length");
}

/* The library may stop at a wrong bit or go on with wrong bytes to the checksum; both are errors. */
static void a_flipped_bit_anywhere_is_an_error(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 3000);
	for (size_t i = 10; i < packed.len; i++) {
		for (unsigned bit = 0; bit < 8; bit += 3) {
			scope_strbuf struct strbuf out = { 0 };
			struct err err = { 0 };
			packed.ptr[i] = (char)(packed.ptr[i] ^ 1 << bit);
			assert_int_equal(inflate_all(packed.ptr, packed.len, 1 << 20, 4096, &out, &err), -1);
			assert_int_equal(err.kind, ERR_CORRUPT);
			packed.ptr[i] = (char)(packed.ptr[i] ^ 1 << bit);
		}
	}
}

static void a_cut_is_an_error_at_every_place(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 300);
	size_t first = packed.len;
	add_plain(&packed, text, 300);
	for (size_t len = 3; len < packed.len; len++) {
		scope_strbuf struct strbuf out = { 0 };
		struct err err = { 0 };
		int result = inflate_all(packed.ptr, len, 1 << 20, 4096, &out, &err);
		if (len == first) {
			assert_int_equal(result, 0);
			continue;
		}
		assert_int_equal(result, -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
		assert_says(&err, len > first && len < first + 3 ? "has something else after its end" : "ends early");
	}
}

static void garbage_after_the_end_is_an_error_and_zeros_are_garbage(void **state)
{
	static const char *const garbage[] = { "\0",      "\0\0\0\0\0\0\0\0\0\0\0\0", "x", "\x1f", "\x1f\x8b",
					       "BZh91AY", "\x28\xb5\x2f\xfd" };
	static const size_t lens[] = { 1, 12, 1, 1, 2, 7, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		scope_strbuf struct strbuf packed = { 0 };
		add_plain(&packed, text, 300);
		strbuf_add(&packed, garbage[i], lens[i]);
		assert_refused(packed.ptr, packed.len, ERR_CORRUPT,
			       "blob: the gzip data has something else after its end");
	}
}

static void optional_header_fields_are_passed_over(void **state)
{
	static const char header[] = "\x1f\x8b\x08\x1e\0\0\0\0\0\3\5\0EXTRAname\0comment\0";
	scope_strbuf struct strbuf full = { 0 }, packed = { 0 };
	size_t len = sizeof(header) - 1;
	uint16_t crc = (uint16_t)crc32(0, (const Bytef *)header, (uInt)len);

	(void)state;
	strbuf_add(&full, header, len);
	strbuf_addch(&full, (char)crc);
	strbuf_addch(&full, (char)(crc >> 8));
	add_member(&packed, full.ptr, full.len, text, 5000);
	assert_inflates(&packed, text, 5000);
	packed.ptr[len] ^= 1;
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "has a header with a wrong checksum");
}

static void header_fields_have_a_limit(void **state)
{
	static const char flags[] = { 8, 16 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		scope_strbuf struct strbuf header = { 0 }, fits = { 0 }, packed = { 0 };
		strbuf_add(&header, plain_header, sizeof(plain_header));
		header.ptr[3] = flags[i];
		for (size_t j = 0; j < 65535; j++)
			strbuf_addch(&header, 'n');
		add_member(&fits, strbuf_str(&header), header.len + 1, text, 100);
		assert_inflates(&fits, text, 100);
		strbuf_addch(&header, 'n');
		add_member(&packed, strbuf_str(&header), header.len + 1, text, 100);
		assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "has a header field of more than 64 KiB");
	}
}

static void reserved_flags_are_refused(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_plain(&packed, text, 100);
	packed.ptr[3] = 0x20;
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "has a header with reserved flags");
}

static void a_bomb_of_empty_members_has_a_limit(void **state)
{
	scope_strbuf struct strbuf one = { 0 }, packed = { 0 }, out = { 0 };
	struct err err = { 0 };

	(void)state;
	add_plain(&one, "", 0);
	for (size_t i = 0; i < 1000001; i++)
		strbuf_add(&packed, one.ptr, one.len);
	assert_int_equal(inflate_all(packed.ptr, packed.len - one.len, 1 << 20, 4096, &out, &err), 0);
	assert_int_equal(inflate_all(packed.ptr, packed.len, 1 << 20, 4096, &out, &err), -1);
	assert_says(&err, "has more than 1,000,000 members");
}

static void a_damaged_stream_stays_damaged(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };
	char buf[4096];
	struct err err = { 0 };
	ssize_t count;

	(void)state;
	add_plain(&packed, text, 300);
	packed.ptr[packed.len - 1] ^= 1;
	struct reader *reader = reader_inflate(reader_bytes(packed.ptr, packed.len), NULL, "blob");
	while ((count = reader->read(reader, buf, sizeof(buf), &err)) > 0)
		;
	assert_int_equal(count, -1);
	assert_int_equal(reader->read(reader, buf, sizeof(buf), &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	reader->close(reader);
}

/* ---- zstd ---- */

static void add_frame(struct strbuf *out, const void *bytes, size_t len, ZSTD_cParameter parameter, int value)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(len);

	assert_non_null(context);
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
	strbuf_reserve(out, bound);
	size_t count = ZSTD_compress2(context, out->ptr + out->len, bound, bytes, len);
	assert_false(ZSTD_isError(count));
	out->len += count;
	ZSTD_freeCCtx(context);
}

static const char skippable[] = "\x5e\x2a\x4d\x18\3\0\0\0abc";
#define SKIPPABLE_LEN (sizeof(skippable) - 1)

static void zstd_frames_inflate(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	strbuf_add(&packed, skippable, SKIPPABLE_LEN);
	add_frame(&packed, text, 100000, ZSTD_c_checksumFlag, 1);
	add_frame(&packed, "", 0, ZSTD_c_checksumFlag, 1);
	strbuf_add(&packed, skippable, SKIPPABLE_LEN);
	add_frame(&packed, text + 100000, TEXT_SIZE - 100000, ZSTD_c_contentSizeFlag, 0);
	strbuf_add(&packed, skippable, SKIPPABLE_LEN);
	assert_inflates(&packed, text, TEXT_SIZE);
}

static void a_wrong_zstd_checksum_is_an_error(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_frame(&packed, text, 5000, ZSTD_c_checksumFlag, 1);
	packed.ptr[packed.len - 1] ^= 1;
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT,
		       "blob: the zstd data is damaged: Restored data doesn't match");
}

static void a_lie_about_the_content_size_is_an_error(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_frame(&packed, text, 5000, ZSTD_c_contentSizeFlag, 1);
	/* Two bytes behind the magic, the descriptor; they count from 256. */
	packed.ptr[5]++;
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "the zstd data is damaged");
}

static void zstd_cuts_and_garbage_are_errors(void **state)
{
	scope_strbuf struct strbuf packed = { 0 };

	(void)state;
	add_frame(&packed, text, 300, ZSTD_c_checksumFlag, 1);
	for (size_t len = 4; len < packed.len; len++)
		assert_refused(packed.ptr, len, ERR_CORRUPT, "ends early");
	strbuf_add(&packed, "\0\0\0\0", 4);
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "the zstd data has something else after its end");
	assert_refused(packed.ptr, packed.len - 3, ERR_CORRUPT, "the zstd data has something else after its end");
	/* The magic of the format before 1.0. */
	memcpy(packed.ptr + packed.len - 4, "\x27\xb5\x2f\xfd", 4);
	assert_refused(packed.ptr, packed.len, ERR_CORRUPT, "the zstd data has something else after its end");
}

static void a_window_beyond_128_mib_is_refused(void **state)
{
	/* Magic, descriptor without content size, window exponent 31 - 10; an empty last block. */
	static const char long31[] = "\x28\xb5\x2f\xfd\0\xa8\1\0\0";

	(void)state;
	assert_refused(long31, sizeof(long31) - 1, ERR_CORRUPT, "requires too much memory");
}

static void a_dictionary_is_refused(void **state)
{
	/* Magic, descriptor with a one-byte dictionary id, window, the id; an empty last block. */
	static const char with_id[] = "\x28\xb5\x2f\xfd\1\x50\x2a\1\0\0";

	(void)state;
	assert_refused(with_id, sizeof(with_id) - 1, ERR_CORRUPT, "Dictionary mismatch");
}

static void a_bomb_of_frames_has_a_limit(void **state)
{
	scope_strbuf struct strbuf packed = { 0 }, out = { 0 };
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < 1000001; i++)
		strbuf_add(&packed, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	assert_int_equal(inflate_all(packed.ptr, packed.len - 8, 1 << 20, 4096, &out, &err), 0);
	assert_int_equal(inflate_all(packed.ptr, packed.len, 1 << 20, 4096, &out, &err), -1);
	assert_says(&err, "has more than 1,000,000 frames");
}

/* ---- the choice ---- */

static void plain_bytes_pass(void **state)
{
	struct strbuf plain = { .ptr = text, .len = TEXT_SIZE }, nothing = { .ptr = text, .len = 0 };

	(void)state;
	assert_inflates(&plain, text, TEXT_SIZE);
	assert_inflates(&nothing, "", 0);
}

static enum compression found_in(const void *bytes, size_t len)
{
	enum compression found = (enum compression)99;
	char byte;
	struct reader *reader = reader_inflate(reader_bytes(bytes, len), &found, "blob");

	if (reader->read(reader, &byte, 1, NULL) < 0)
		found = (enum compression)98;
	reader->close(reader);
	return found;
}

static void the_format_is_told_at_the_first_read(void **state)
{
	scope_strbuf struct strbuf gzip = { 0 }, zstd = { 0 };

	(void)state;
	add_plain(&gzip, text, 100);
	add_frame(&zstd, text, 100, ZSTD_c_checksumFlag, 0);
	assert_int_equal(found_in("plain", 5), COMPRESSION_NONE);
	assert_int_equal(found_in("", 0), COMPRESSION_NONE);
	assert_int_equal(found_in(gzip.ptr, gzip.len), COMPRESSION_GZIP);
	assert_int_equal(found_in(zstd.ptr, zstd.len), COMPRESSION_ZSTD);
}

static void formats_are_known_by_their_magic(void **state)
{
	(void)state;
	assert_int_equal(compression_sniff("\x1f\x8b\x08", 3), COMPRESSION_GZIP);
	assert_int_equal(compression_sniff("\x1f\x8b", 2), COMPRESSION_NONE);
	assert_int_equal(compression_sniff("\x1f\x8b\x07", 3), COMPRESSION_NONE);
	assert_int_equal(compression_sniff("\x28\xb5\x2f\xfd", 4), COMPRESSION_ZSTD);
	assert_int_equal(compression_sniff("\x50\x2a\x4d\x18", 4), COMPRESSION_ZSTD);
	assert_int_equal(compression_sniff("\x60\x2a\x4d\x18", 4), COMPRESSION_NONE);
	assert_int_equal(compression_sniff("BZh9", 4), COMPRESSION_BZIP2);
	assert_int_equal(compression_sniff("\xfd"
					   "7zXZ\0",
					   6),
			 COMPRESSION_XZ);
	assert_int_equal(compression_sniff("\xfd"
					   "7zXZ",
					   5),
			 COMPRESSION_NONE);
	assert_int_equal(compression_sniff("", 0), COMPRESSION_NONE);
	assert_string_equal(compression_name(COMPRESSION_XZ), "xz");
	assert_string_equal(compression_name(COMPRESSION_NONE), "none");
}

static void bzip2_and_xz_are_not_for_layers(void **state)
{
	(void)state;
	assert_refused("BZh91AY&SY", 10, ERR_UNSUPPORTED, "blob is compressed by bzip2, which kiln does not read here");
	assert_refused("\xfd"
		       "7zXZ\0\0\4",
		       8, ERR_UNSUPPORTED, "blob is compressed by xz, which kiln does not read here");
}

/* ---- bzip2 and xz ---- */

/* printf 'hello\n' | bzip2; printf 'hello\n' | xz */
static const uint8_t hello_bzip2[] = {
	0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xc1, 0xc0, 0x80, 0xe2,
	0x00, 0x00, 0x01, 0x41, 0x00, 0x00, 0x10, 0x02, 0x44, 0xa0, 0x00, 0x30, 0xcd, 0x00,
	0xc3, 0x46, 0x29, 0x97, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0xc1, 0xc0, 0x80, 0xe2,
};
static const uint8_t hello_xz[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
	0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f,
	0x0a, 0x00, 0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00, 0x01, 0x1e, 0x06,
	0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
};

static int decompress_all(const void *bytes, size_t len, size_t step, struct strbuf *out, struct err *err)
{
	return drain_into(reader_decompress(reader_drip(reader_bytes(bytes, len), step), "archive"), 4096, out, err);
}

static void archives_may_be_bzip2_or_xz(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} packed[] = { { hello_bzip2, sizeof(hello_bzip2) }, { hello_xz, sizeof(hello_xz) } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packed); i++) {
		for (size_t step = 1; step < 100; step += 33) {
			scope_strbuf struct strbuf out = { 0 };
			struct err err = { 0 };
			if (decompress_all(packed[i].bytes, packed[i].len, step, &out, &err) < 0)
				fail_msg("%s", err.msg);
			assert_bytes(&out, "hello\n", 6);
		}
		for (size_t len = 6; len < packed[i].len; len++) {
			scope_strbuf struct strbuf out = { 0 };
			struct err err = { 0 };
			assert_int_equal(decompress_all(packed[i].bytes, len, 1000, &out, &err), -1);
			assert_int_equal(err.kind, ERR_INPUT);
		}
		scope_strbuf struct strbuf more = { 0 }, out = { 0 };
		strbuf_add(&more, packed[i].bytes, packed[i].len);
		strbuf_add(&more, packed[i].bytes, packed[i].len);
		assert_int_equal(decompress_all(more.ptr, more.len, 1000, &out, NULL), 0);
		assert_bytes(&out, "hello\nhello\n", 12);
		strbuf_addstr(&more, "rest");
		assert_int_equal(decompress_all(more.ptr, more.len, 1000, &out, NULL), -1);
	}
}

static void what_is_compressed_twice_is_unpacked_once(void **state)
{
	scope_strbuf struct strbuf gzip = { 0 }, out = { 0 };

	(void)state;
	add_plain(&gzip, hello_xz, sizeof(hello_xz));
	assert_int_equal(decompress_all(gzip.ptr, gzip.len, 1000, &out, NULL), 0);
	assert_bytes(&out, hello_xz, sizeof(hello_xz));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gzip_stream_inflates),
		cmocka_unit_test(several_members_are_one_stream),
		cmocka_unit_test(stored_blocks_inflate),
		cmocka_unit_test(every_bit_of_a_trailer_is_verified),
		cmocka_unit_test(the_trailer_of_each_member_is_verified),
		cmocka_unit_test(a_flipped_bit_anywhere_is_an_error),
		cmocka_unit_test(a_cut_is_an_error_at_every_place),
		cmocka_unit_test(garbage_after_the_end_is_an_error_and_zeros_are_garbage),
		cmocka_unit_test(optional_header_fields_are_passed_over),
		cmocka_unit_test(header_fields_have_a_limit),
		cmocka_unit_test(reserved_flags_are_refused),
		cmocka_unit_test(a_bomb_of_empty_members_has_a_limit),
		cmocka_unit_test(a_damaged_stream_stays_damaged),
		cmocka_unit_test(zstd_frames_inflate),
		cmocka_unit_test(a_wrong_zstd_checksum_is_an_error),
		cmocka_unit_test(a_lie_about_the_content_size_is_an_error),
		cmocka_unit_test(zstd_cuts_and_garbage_are_errors),
		cmocka_unit_test(a_window_beyond_128_mib_is_refused),
		cmocka_unit_test(a_dictionary_is_refused),
		cmocka_unit_test(a_bomb_of_frames_has_a_limit),
		cmocka_unit_test(plain_bytes_pass),
		cmocka_unit_test(the_format_is_told_at_the_first_read),
		cmocka_unit_test(formats_are_known_by_their_magic),
		cmocka_unit_test(bzip2_and_xz_are_not_for_layers),
		cmocka_unit_test(archives_may_be_bzip2_or_xz),
		cmocka_unit_test(what_is_compressed_twice_is_unpacked_once),
	};

	fill_text(text, TEXT_SIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
