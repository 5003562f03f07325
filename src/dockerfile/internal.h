/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_INTERNAL_H
#define KILN_DOCKERFILE_INTERNAL_H

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/dockerfile.h"
#include "kiln/dockerfile/expand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The parser works in two passes, as BuildKit's does, because the order decides which of several errors a user sees:
 *
 *	lines.c      physical lines -> logical lines; comments, continuations, directives
 *	node.c       one logical line -> keyword, flags, arguments, heredocs      (errors without a prefix)
 *	instructions.c, copy.c, ...  one node -> one struct instruction            (errors with "dockerfile parse error on line N")
 *	parse.c      the whole file, stages
 *
 * Everything outside this module sees NUL-terminated text in the arena; inside, a slice is a piece of it.
 */

#define DOCKERFILE_MAX ((size_t)1024 * 1024)
/* User's bytes in one message: a whole heredoc must not hide what is wrong with it. */
#define SHOWN_MAX 80

struct slice {
	const char *ptr;
	size_t len;
};
#define SLICE(text) ((struct slice){ (text), strlen(text) })

/* ---- runes.c: UTF-8 as Go reads it ---- */

/* An invalid byte is a character of its own: this plus the byte. */
#define RUNE_INVALID 0x110000u

/* Decodes the first character of text, which is not empty; returns its width in bytes. */
size_t rune_decode(struct slice text, uint32_t *rune);
size_t rune_encode(char out[4], uint32_t rune);
bool rune_is_space(uint32_t rune);
bool rune_is_letter(uint32_t rune);
bool rune_is_digit(uint32_t rune);

struct slice slice_skip(struct slice text, size_t count);
struct slice slice_trim_left(struct slice text);
struct slice slice_trim(struct slice text);
bool slice_starts(struct slice text, const char *prefix);
bool slice_equal(struct slice text, const char *other);
bool slice_equal_nocase(struct slice text, const char *other);
char *slice_copy(struct arena *arena, struct slice text);
/* Of text that lives in the arena, or longer: what ends where that ends needs no copy. */
const char *slice_share(struct arena *arena, struct slice text);

char ascii_lower(char c);
char ascii_upper(char c);

/* Go's %q, for messages; the text is cut to SHOWN_MAX bytes. */
char *quoted(struct arena *arena, const char *text);
/* The text with control characters made visible, cut likewise. */
char *shown(struct arena *arena, const char *text);

/* ---- lines.c ---- */

struct logical_line {
	struct slice text; /* continuations joined, in the arena */
	int first_line, last_line;
	char *comment; /* NULL if none */
	bool has_empty_continuation;
};

struct line_reader {
	struct arena *arena;
	struct slice rest;
	int line; /* physical lines read so far */
	char escape;
	bool directives_done;
	unsigned directives_seen;
	struct strbuf joined;
	struct strbuf comments;
};

void line_reader_init(struct line_reader *reader, struct arena *arena, const char *text, size_t len);
void line_reader_release(struct line_reader *reader);
#define scope_line_reader __attribute__((cleanup(line_reader_release)))
/* 1: a line; 0: the end; -1: an error, with its line in *place. */
int line_reader_next(struct line_reader *reader, struct logical_line *line, struct dockerfile_place *place,
		     struct err *err) MUST_CHECK;
/* One physical line with its newline, for heredocs. */
bool line_reader_raw(struct line_reader *reader, struct slice *line);
/* The first word of the value of a "# key=" directive, or NULL: a shebang before it does not matter here. */
char *directive_find(struct arena *arena, const char *text, size_t len, const char *key);

/* ---- words.c ---- */

struct word_list {
	const char **items; /* NULL-terminated by word_list_end */
	size_t count;
};

void word_list_push(struct arena *arena, struct word_list *list, struct slice word);
const char **word_list_end(struct arena *arena, struct word_list *list);

/* Blanks as BuildKit's reWhitespace has them: tab, vertical tab, form feed, carriage return, space. */
void split_blanks(struct arena *arena, struct slice text, struct word_list *list);
/* text up to the first blank; *rest is what follows the blanks. False if there is no blank. */
bool split_first(struct slice text, struct slice *first, struct slice *rest);
/* Quotes and escapes are respected and kept. */
void split_words(struct arena *arena, struct slice text, char escape, struct word_list *list);
/* Takes leading --flags; quotes and escapes in them are removed. Returns what follows. */
struct slice split_flags(struct arena *arena, struct slice text, char escape, struct word_list *flags);

/* ---- json-words.c ---- */

enum json_words { JSON_WORDS, JSON_WORDS_NOT_STRINGS, JSON_WORDS_INVALID };
/* An array of strings; valid JSON that is an array of something else; anything else. A string with a NUL is *has_nul. */
enum json_words json_words_read(struct arena *arena, struct slice text, struct word_list *list, bool *has_nul);

/* ---- lex.c: BuildKit's shell lexer ---- */

#define LEX_OUTPUT_MAX  ((size_t)1024 * 1024)
#define LEX_NESTING_MAX 64
/* Bytes copied and pattern steps in one expansion: what a word of 1 MiB can need, times a lot. */
#define LEX_WORK_MAX ((size_t)1 << 28)

struct lex_words {
	struct arena *arena;
	const char *wanted; /* words without it are dropped; NULL: all are kept */
	struct strbuf word;
	bool in_word;
	struct word_list list;
};

struct lexer {
	struct slice rest;
	const struct expander *expander; /* its escape is the escape; lookup may be NULL: nothing is set */
	bool raw_quotes;                 /* quotes stay in the result */
	bool raw_escapes;
	bool skip_quotes; /* quotes are ordinary characters */
	bool keep_unset;  /* $x stays $x if it has no value */
	struct lex_words *words;
	struct arena *arena; /* for messages */
	unsigned depth;
	size_t work;
	size_t output;
};

/* Runs to the end of the input. Errors are not wrapped. */
int lex_run(struct lexer *lexer, struct strbuf *out, struct err *err) MUST_CHECK;
/* Up to the character `stop`, which is taken. */
int lex_until(struct lexer *lexer, char stop, bool raw_escapes, struct strbuf *out, struct err *err) MUST_CHECK;
/* Adds what an expansion gives, within the limits. */
int lex_add(struct lexer *lexer, struct strbuf *out, const char *bytes, size_t len, struct err *err) MUST_CHECK;
int lex_spend(struct lexer *lexer, size_t work, struct err *err) MUST_CHECK;
void lex_words_release(struct lex_words *words);

/* substitute.c: at "$", which is taken with what belongs to it. */
int lex_dollar(struct lexer *lexer, struct strbuf *out, struct err *err) MUST_CHECK;

/* ---- glob.c: the patterns of ${v#p}, ${v%p}, ${v/p/r} ---- */

struct glob_text {
	uint32_t *runes;
	size_t *offsets; /* count + 1: where each begins, and the end */
	size_t count;
};

struct glob;
/* Patterns of '*', '?' and '\'; neither wildcard matches a newline. NULL with "invalid escape '\x'". A glob holds the state
   of one run: one thing at a time. */
struct glob *glob_new(struct arena *arena, struct slice pattern, struct err *err) MUST_CHECK;
/* Work of one pass over `count` characters, in units of LEX_WORK_MAX. */
size_t glob_cost(const struct glob *glob, size_t count);
struct glob_text glob_text(struct arena *arena, struct slice bytes);
/* Characters of the shortest or longest prefix (suffix) that matches; -1 if none does. */
ssize_t glob_prefix(const struct glob *glob, const struct glob_text *text, bool longest);
ssize_t glob_suffix(const struct glob *glob, const struct glob_text *text, bool longest);
/* The leftmost match at or after `from`, and of these the longest: found by glob_search_next. */
struct glob_search {
	const struct glob *glob;
	const struct glob_text *text;
	uint64_t *starts; /* a bit for each position where a match begins */
};
struct glob_search glob_search(struct arena *arena, const struct glob *glob, const struct glob_text *text);
bool glob_search_next(const struct glob_search *search, size_t from, size_t *start, size_t *end);

/* ---- heredoc.c ---- */

/* What `<<NAME` in one word says; body and raw_body are not set. 1: a heredoc, 0: none, -1: an error in its quotes. */
int heredoc_from_word(struct arena *arena, const char *word, struct heredoc *heredoc, struct err *err) MUST_CHECK;
/* All heredocs that a logical line opens. */
int heredocs_from_line(struct arena *arena, const char *line, struct heredoc **heredocs, size_t *count,
		       struct err *err) MUST_CHECK;
/* Reads the bodies. */
int heredocs_read(struct line_reader *reader, struct heredoc *heredocs, size_t count, struct err *err) MUST_CHECK;
/* Leading tabs of each line removed. */
char *heredoc_chomp(struct arena *arena, const char *body);

/* ---- node.c ---- */

/* Lives only until its instruction is made; only texts stay in the arena. */
struct node {
	int kind;            /* an instruction_kind, or -1 */
	const char *keyword; /* as written, if no instruction is called so */
	struct slice line;   /* the logical line, not trimmed on the right */
	const char *text;    /* after keyword and flags, trimmed */
	struct word_list flags;
	struct word_list args;
	const char *only_arg; /* args is this one if the rest of the line is the argument */
	bool is_json;
	bool is_legacy_pair;
	const char *trigger_keyword; /* ONBUILD: the keyword of what follows, NULL if nothing does */
	bool takes_heredocs;
	struct heredoc *heredocs;
	size_t heredoc_count;
	int first_line, last_line;
	const char *comment;
	const char **wrong; /* the word that an error is about is left here; NULL: nobody wants to know */
};

int node_parse(struct arena *arena, const struct logical_line *line, char escape, struct node *node,
	       struct err *err) MUST_CHECK;

/* ---- instructions.c and its helpers ---- */

enum flag_type { FLAG_TEXT, FLAG_LIST, FLAG_BOOL };
struct flag_spec {
	const char *name;
	enum flag_type type;
};

/* An error in instruction_from_node is about this word, as it was written. */
void node_blame(const struct node *node, const char *word);
/* Kind of a keyword in any case, or -1. */
int instruction_kind_of(struct slice keyword);
int instruction_from_node(struct arena *arena, const struct node *node, struct instruction *instruction,
			  struct err *err) MUST_CHECK;
/* flags.c: specs ends with a NULL name. */
int flags_check(struct arena *arena, const struct flag_spec *specs, const struct node *node,
		struct instruction *instruction, struct err *err) MUST_CHECK;
/* copy-words.c: the words and heredocs of COPY and ADD. */
int copy_words(struct arena *arena, const char *name, const struct node *node, struct instruction *instruction,
	       struct err *err) MUST_CHECK;
/* healthcheck.c */
int healthcheck_from_node(struct arena *arena, const struct node *node, struct instruction *instruction,
			  struct err *err) MUST_CHECK;
/* mount.c: Go's strconv.ParseBool; -1 without an error. */
int go_bool_parse(bool *out, const char *text);
/* duration.c: Go's time.ParseDuration, in nanoseconds. */
int duration_parse(struct arena *arena, const char *text, int64_t *ns, struct err *err) MUST_CHECK;

#endif
