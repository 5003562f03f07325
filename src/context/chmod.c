/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"
#include "kiln/context/context.h"

#include <string.h>

/* --chmod: octal 0..07777, or the symbolic grammar of chmod(1): [ugoa]*[+-=][rwxXstugo]*,... */

static mode_t who_mask(const char **p)
{
	mode_t mask = 0;
	for (;; (*p)++) {
		if (**p == 'u')
			mask |= 04700;
		else if (**p == 'g')
			mask |= 02070;
		else if (**p == 'o')
			mask |= 01007;
		else if (**p == 'a')
			mask |= 07777;
		else
			break;
	}
	return mask ? mask : 07777;
}

/* rwx of one class, spread over all three. */
static mode_t spread(mode_t bits)
{
	return bits << 6 | bits << 3 | bits;
}

static bool permission_bits(char c, mode_t mode, bool is_dir, mode_t *bits)
{
	switch (c) {
	case 'r':
		*bits |= 0444;
		return true;
	case 'w':
		*bits |= 0222;
		return true;
	case 'x':
		*bits |= 0111;
		return true;
	case 'X':
		*bits |= is_dir || (mode & 0111) ? 0111 : 0;
		return true;
	case 's':
		*bits |= 06000;
		return true;
	case 't':
		*bits |= 01000;
		return true;
	case 'u':
		*bits |= spread(mode >> 6 & 7);
		return true;
	case 'g':
		*bits |= spread(mode >> 3 & 7);
		return true;
	case 'o':
		*bits |= spread(mode & 7);
		return true;
	default:
		return false;
	}
}

static mode_t apply_clause(char op, mode_t who, mode_t bits, mode_t mode)
{
	switch (op) {
	case '+':
		return mode | (bits & who);
	case '-':
		return mode & ~(bits & who);
	default:
		return (mode & ~who) | (bits & who);
	}
}

static int apply_symbolic(const char *text, mode_t mode, bool is_dir, mode_t *out)
{
	for (const char *p = text;; p++) {
		mode_t who = who_mask(&p);
		if (!*p || !strchr("+-=", *p))
			return -1;
		while (*p && strchr("+-=", *p)) {
			char op = *p++;
			mode_t bits = 0;
			while (permission_bits(*p, mode, is_dir, &bits))
				p++;
			mode = apply_clause(op, who, bits, mode);
		}
		if (!*p)
			break;
		if (*p != ',')
			return -1;
	}
	*out = mode;
	return 0;
}

int chmod_apply(const char *chmod, mode_t mode, bool is_dir, mode_t *out, struct err *err)
{
	uint32_t octal;
	if (*chmod >= '0' && *chmod <= '9') {
		if (parse_octal(&octal, chmod, 07777, NULL) < 0)
			return err_set(
				err, ERR_INPUT,
				"invalid chmod parameter: '%s'. it should be octal string and between 0 and 07777",
				chmod);
		*out = octal;
		return 0;
	}
	if (apply_symbolic(chmod, mode & 07777, is_dir, out) < 0)
		return err_set(err, ERR_INPUT, "invalid chmod parameter: '%s'. invalid syntax", chmod);
	return 0;
}
