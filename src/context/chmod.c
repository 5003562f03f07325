/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"
#include "kiln/context/context.h"

/*
 * --chmod: octal 0..07777, or the symbolic grammar of BSD's setmode(3) without a umask, which BuildKit follows. It differs
 * from GNU chmod's in small things: X counts with '+' only and looks at the mode as it was at first, "u=g" leaves set-id
 * bits alone, 's' and 't' do nothing for 'o' alone, and 't' without a class is of no other bits than itself.
 */

enum { SET_IDS = 06000, STICKY = 01000, OTHERS = 0007, NOT_STICKY = 06777 };

struct change {
	mode_t first; /* the mode before all clauses */
	mode_t mode;
	bool is_dir;
};

/* One operator with what follows it. */
struct operation {
	char op;
	mode_t who;  /* 0: no class was named */
	mode_t bits; /* read, but not applied yet */
	bool has_x;
	bool has_copied; /* "=u" has already taken away what '=' takes away */
};

static mode_t parse_who(const char **p)
{
	mode_t who = 0;
	for (;; (*p)++) {
		if (**p == 'a')
			who |= NOT_STICKY;
		else if (**p == 'u')
			who |= 04700;
		else if (**p == 'g')
			who |= 02070;
		else if (**p == 'o')
			who |= OTHERS;
		else
			return who;
	}
}

static void apply_bits(struct change *change, const struct operation *operation)
{
	mode_t bits = operation->bits & (operation->who ? operation->who : 07777);
	if (operation->op == '-') {
		change->mode &= ~bits;
		return;
	}
	if (operation->op == '=')
		change->mode &= ~(operation->who ? operation->who : (mode_t)NOT_STICKY);
	change->mode |= bits;
}

static void apply_x(struct change *change, const struct operation *operation)
{
	if (operation->has_x && (change->is_dir || (change->first & 0111)))
		change->mode |= 0111 & (operation->who ? operation->who : 07777);
}

/* "g=u": rwx of one class for the classes of who. */
static void copy_class(struct change *change, const struct operation *operation, char from)
{
	mode_t value = change->mode >> (from == 'u' ? 6 : from == 'g' ? 3 : 0) & 7;
	mode_t to = operation->who ? operation->who & 0777 : 0777;
	mode_t bits = (value << 6 | value << 3 | value) & to;
	if (operation->op == '=')
		change->mode &= ~to;
	if (operation->op == '-')
		change->mode &= ~bits;
	else
		change->mode |= bits;
}

/* Applies what was read so far. */
static void flush(struct change *change, struct operation *operation, bool is_end)
{
	if (operation->bits || (is_end && operation->op == '=' && !operation->has_copied))
		apply_bits(change, operation);
	apply_x(change, operation);
	operation->bits = 0;
	operation->has_x = false;
}

static bool read_bit(struct operation *operation, char c)
{
	bool is_others_only = operation->who && !(operation->who & ~(mode_t)OTHERS);
	if (c == 'r') {
		operation->bits |= 0444;
	} else if (c == 'w') {
		operation->bits |= 0222;
	} else if (c == 'x') {
		operation->bits |= 0111;
	} else if (c == 'X') {
		operation->has_x |= operation->op == '+';
	} else if (c == 's') {
		operation->bits |= is_others_only ? 0 : SET_IDS;
	} else if (c == 't') {
		operation->bits |= is_others_only ? 0 : STICKY;
		operation->who |= is_others_only ? 0 : STICKY;
	} else {
		return false;
	}
	return true;
}

static const char *apply_operation(struct change *change, char op, mode_t who, const char *p)
{
	struct operation operation = { .op = op, .who = who };
	for (;; p++) {
		if (read_bit(&operation, *p))
			continue;
		if (*p != 'u' && *p != 'g' && *p != 'o')
			break;
		flush(change, &operation, false);
		operation.has_copied = true;
		copy_class(change, &operation, *p);
	}
	flush(change, &operation, true);
	return p;
}

static bool is_operator(char c)
{
	return c == '+' || c == '-' || c == '=';
}

static int apply_symbolic(const char *text, mode_t mode, bool is_dir, mode_t *out)
{
	struct change change = { .first = mode, .mode = mode, .is_dir = is_dir };
	for (const char *p = text;; p++) {
		mode_t who = parse_who(&p);
		if (!is_operator(*p))
			return -1;
		while (is_operator(*p))
			p = apply_operation(&change, *p, who, p + 1);
		if (!*p)
			break;
		if (*p != ',')
			return -1;
	}
	*out = change.mode;
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
