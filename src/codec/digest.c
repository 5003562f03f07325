/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "kiln/base/text.h"
#include "kiln/codec/digest.h"

struct hasher {
	EVP_MD_CTX *context;
};

/* libcrypto fails here only when memory is gone or the build lacks SHA-256: nothing that a caller could handle. */
static void must(int is_done)
{
	if (!is_done)
		abort();
}

/* ---- text ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_decode(struct digest *digest, const char *hex)
{
	struct digest decoded;

	if (strnlen(hex, DIGEST_HEX + 1) != DIGEST_HEX)
		return false;
	for (size_t i = 0; i < sizeof(decoded.bytes); i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		decoded.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*digest = decoded;
	return true;
}

static int refuse(const char *text, struct err *err)
{
	char shown[4 * DIGEST_TEXT];

	return err_set(err, ERR_INPUT, "\"%s\" is not a digest (sha256: and 64 lower-case hexadecimal digits)",
		       err_printable(shown, sizeof(shown), text));
}

int digest_parse_hex(struct digest *digest, const char *hex, struct err *err)
{
	return hex && hex_decode(digest, hex) ? 0 : refuse(hex ? hex : "", err);
}

int digest_parse(struct digest *digest, const char *text, struct err *err)
{
	char shown[4 * DIGEST_TEXT];

	if (text && text_starts(text, "sha512:"))
		return err_set(err, ERR_UNSUPPORTED, "digest \"%s\": kiln knows sha256 only",
			       err_printable(shown, sizeof(shown), text));
	if (!text || !text_starts(text, "sha256:") || !hex_decode(digest, text + strlen("sha256:")))
		return refuse(text ? text : "", err);
	return 0;
}

char *digest_hex(const struct digest *digest, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(digest->bytes); i++) {
		out[2 * i] = digits[digest->bytes[i] >> 4];
		out[2 * i + 1] = digits[digest->bytes[i] & 15];
	}
	out[DIGEST_HEX] = '\0';
	return out;
}

char *digest_text(const struct digest *digest, char *out)
{
	memcpy(out, "sha256:", strlen("sha256:"));
	digest_hex(digest, out + strlen("sha256:"));
	return out;
}

char *digest_str(struct arena *arena, const struct digest *digest)
{
	return digest_text(digest, arena_alloc(arena, DIGEST_TEXT + 1));
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool digest_is_zero(const struct digest *digest)
{
	static const struct digest zero;

	return digest_equal(digest, &zero);
}

/* ---- hashing ---- */

void digest_bytes(struct digest *digest, const void *bytes, size_t len)
{
	must(EVP_Digest(bytes, len, digest->bytes, NULL, EVP_sha256(), NULL));
}

struct hasher *hasher_new(void)
{
	struct hasher *hasher = malloc(sizeof(*hasher));

	must(hasher != NULL);
	hasher->context = EVP_MD_CTX_new();
	must(hasher->context != NULL);
	hasher_reset(hasher);
	return hasher;
}

void hasher_free(struct hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->context);
	free(hasher);
}

void hasher_reset(struct hasher *hasher)
{
	must(EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL));
}

void hasher_update(struct hasher *hasher, const void *bytes, size_t len)
{
	must(EVP_DigestUpdate(hasher->context, bytes, len));
}

static void update_length(struct hasher *hasher, uint64_t value)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	hasher_update(hasher, bytes, sizeof(bytes));
}

void hasher_field(struct hasher *hasher, const void *bytes, size_t len)
{
	update_length(hasher, len);
	hasher_update(hasher, bytes, len);
}

void hasher_text(struct hasher *hasher, const char *text)
{
	/* A length that no text has stands for NULL. */
	if (text)
		hasher_field(hasher, text, strlen(text));
	else
		update_length(hasher, UINT64_MAX);
}

void hasher_int(struct hasher *hasher, int64_t value)
{
	update_length(hasher, sizeof(value));
	update_length(hasher, (uint64_t)value);
}

void hasher_final(struct hasher *hasher, struct digest *digest)
{
	unsigned len = 0;

	must(EVP_DigestFinal_ex(hasher->context, digest->bytes, &len));
	assert(len == sizeof(digest->bytes));
}
