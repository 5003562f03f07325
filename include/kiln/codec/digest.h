/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CODEC_DIGEST_H
#define KILN_CODEC_DIGEST_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * SHA-256 digests (libcrypto's EVP, SHA-NI where the CPU has it). A digest is 32 bytes in a struct; text becomes one
 * only through digest_parse, so nothing else ever reaches a path or an address. Pure, but for this: libcrypto reads its
 * configuration at the first hash of a process, so that one must not come after a chroot into an image.
 */
struct digest {
	uint8_t bytes[32];
};

enum { DIGEST_HEX = 64, DIGEST_TEXT = 7 + DIGEST_HEX };

/* Exactly "sha256:" and 64 lower-case hex digits. sha512 is ERR_UNSUPPORTED, all else ERR_INPUT; the text is quoted
   printable. */
int digest_parse(struct digest *digest, const char *text, struct err *err) MUST_CHECK;
int digest_parse_hex(struct digest *digest, const char *hex, struct err *err) MUST_CHECK;
/* out has DIGEST_TEXT + 1 bytes ("sha256:..."); digest_hex: DIGEST_HEX + 1. Both return out. */
char *digest_text(const struct digest *digest, char *out);
char *digest_hex(const struct digest *digest, char *out);
char *digest_str(struct arena *arena, const struct digest *digest); /* "sha256:..." in the arena */
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *digest);

void digest_bytes(struct digest *digest, const void *bytes, size_t len);

/* Running hash. hasher_new/hasher_free own an EVP_MD_CTX; final may be called once, then reset to start again. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher); /* NULL is fine */
void hasher_reset(struct hasher *hasher);
void hasher_update(struct hasher *hasher, const void *bytes, size_t len);
/* Unambiguous concatenation for keys: 8 bytes little-endian length, then the bytes. NULL text differs from "". */
void hasher_field(struct hasher *hasher, const void *bytes, size_t len);
void hasher_text(struct hasher *hasher, const char *text);
void hasher_int(struct hasher *hasher, int64_t value);
void hasher_final(struct hasher *hasher, struct digest *digest);

static inline void scope_free_hasher(struct hasher **hasher)
{
	hasher_free(*hasher);
}
#define scope_hasher __attribute__((cleanup(scope_free_hasher)))

#endif
