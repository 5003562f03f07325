/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Sources, destination and heredocs of COPY and ADD: BuildKit's parseSourcesAndDest. */

/* Digits and "<<" alone: the name of the heredoc follows as the next word. */
static bool is_bare_heredoc(const char *word)
{
	return strcmp(word + strspn(word, "0123456789"), "<<") == 0;
}

/*
 * The line has been lexed once, and there `<< EOF` is one word whose body was read. BuildKit then splits the arguments
 * at blanks and looks for files called "<<" and "EOF"; here they stay together.
 */
static void join_heredocs(struct arena *arena, const struct node *node, struct word_list *words)
{
	for (size_t i = 0; i < node->args.count; i++) {
		const char *word = node->args.items[i];
		if (node->heredoc_count > 0 && i + 1 < node->args.count && is_bare_heredoc(word))
			word = arena_printf(arena, "%s %s", word, node->args.items[++i]);
		*ARENA_PUSH(arena, words->items, words->count) = word;
	}
	word_list_end(arena, words);
}

/* The body of a name is that of its last heredoc. */
struct named_body {
	const char *name;
	size_t order;
	const char *raw, *chomped; /* chomped is made when it is wanted */
};

static int compare_bodies(const void *a, const void *b)
{
	const struct named_body *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int compare_name(const void *name, const void *body)
{
	return strcmp(name, ((const struct named_body *)body)->name);
}

static size_t sort_bodies(const struct node *node, struct named_body *bodies)
{
	size_t unique = 0;

	for (size_t i = 0; i < node->heredoc_count; i++)
		bodies[i] = (struct named_body){ node->heredocs[i].name, i, node->heredocs[i].raw_body, NULL };
	qsort(bodies, node->heredoc_count, sizeof(*bodies), compare_bodies);
	for (size_t i = 0; i < node->heredoc_count; i++) {
		bool is_last = i + 1 == node->heredoc_count || strcmp(bodies[i].name, bodies[i + 1].name) != 0;
		if (is_last)
			bodies[unique++] = bodies[i];
	}
	return unique;
}

/* A word that the line's lexer saw differently, inside of quotes, has an empty body. */
static void set_body(struct arena *arena, struct named_body *body, struct heredoc *heredoc)
{
	heredoc->raw_body = body ? body->raw : "";
	heredoc->body = heredoc->raw_body;
	if (!body || !heredoc->chomp)
		return;
	if (!body->chomped)
		body->chomped = heredoc_chomp(arena, body->raw);
	heredoc->body = body->chomped;
}

static void take_heredocs(struct arena *arena, const struct node *node, struct instruction *instruction)
{
	struct named_body *bodies = arena_array(arena, struct named_body, node->heredoc_count);
	size_t count = sort_bodies(node, bodies);
	struct heredoc heredoc;

	instruction->heredocs = arena_array(arena, struct heredoc, instruction->word_count);
	for (size_t i = 0; i + 1 < instruction->word_count; i++) {
		if (heredoc_from_word(arena, instruction->words[i], &heredoc, NULL) <= 0)
			continue;
		set_body(arena, bsearch(heredoc.name, bodies, count, sizeof(*bodies), compare_name), &heredoc);
		instruction->word_heredocs[i] = &instruction->heredocs[instruction->heredoc_count];
		instruction->heredocs[instruction->heredoc_count++] = heredoc;
	}
}

int copy_words(struct arena *arena, const char *name, const struct node *node, struct instruction *instruction,
	       struct err *err)
{
	struct word_list words = { 0 };
	struct heredoc heredoc;

	join_heredocs(arena, node, &words);
	instruction->words = words.items;
	instruction->word_count = words.count;
	instruction->heredocs = NULL;
	instruction->heredoc_count = 0;
	instruction->word_heredocs = arena_array(arena, const struct heredoc *, words.count);
	if (node->is_json)
		return 0;
	if (heredoc_from_word(arena, words.items[words.count - 1], &heredoc, NULL) > 0)
		return err_set(err, ERR_INPUT, "%s cannot accept a heredoc as a destination", name);
	take_heredocs(arena, node, instruction);
	return 0;
}
