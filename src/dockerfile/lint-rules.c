/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "lint.h"

/* The rules: BuildKit's linter/ruleset.go has their words, instructions/parse.go and dockerfile2llb say when they fire. */

/* The keyword as it was written. */
static struct slice keyword_of(const struct instruction *in)
{
	struct slice keyword, rest;

	split_first(SLICE(in->original), &keyword, &rest);
	return keyword;
}

static bool is_lower(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
			return false;
	return true;
}

static bool is_upper(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'a' && text.ptr[i] <= 'z')
			return false;
	return true;
}

/* ---- when the lines were read ---- */

static void empty_continuation(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	for (size_t i = 0; i < facts->file->warning_count; i++)
		lint_warn_line(lint, rule, facts->file->warnings[i].line, "Empty continuation line");
}

/* ---- when an instruction was parsed ---- */

static bool is_named_stage(const struct instruction *in)
{
	return in->kind == INSTRUCTION_FROM && in->word_count == 3;
}

static void stage_name_casing(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;

	if (is_named_stage(in) && !is_lower(SLICE(in->words[2])))
		lint_warn(lint, rule, in, "Stage name '%s' should be lowercase", in->words[2]);
}

/* A FROM of mixed case is another rule's. */
static void from_as_casing(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;
	struct slice from = keyword_of(in);

	if (!is_named_stage(in) || (!is_lower(from) && !is_upper(from)))
		return;
	if (is_lower(from) ? is_lower(SLICE(in->words[1])) : is_upper(SLICE(in->words[1])))
		return;
	lint_warn(lint, rule, in, "'%s' and '%.*s' keywords' casing do not match", in->words[1], (int)from.len,
		  from.ptr);
}

static void maintainer_deprecated(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->instruction->kind == INSTRUCTION_MAINTAINER)
		lint_warn(lint, rule, facts->instruction,
			  "Maintainer instruction is deprecated in favor of using label");
}

/* The last line of the comment begins with one of the names. */
static bool describes(const struct instruction *in)
{
	const char *line = strrchr(in->comment, '\n');
	struct slice text = SLICE(line ? line + 1 : in->comment);
	const char *blank = text.len ? memchr(text.ptr, ' ', text.len) : NULL;

	text.len = blank ? (size_t)(blank - text.ptr) : text.len;
	if (in->kind == INSTRUCTION_FROM)
		return slice_equal(text, in->stage_name);
	for (size_t i = 0; i < in->pair_count; i++)
		if (slice_equal(text, in->pairs[i].key))
			return true;
	return false;
}

static void definition_description(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;
	bool is_stage = in->kind == INSTRUCTION_FROM && in->stage_name;

	if (!in->comment || (!is_stage && in->kind != INSTRUCTION_ARG) || describes(in))
		return;
	lint_warn(lint, rule, in, "Comment for %s should follow the format: `# %s <description>`",
		  instruction_name(in->kind),
		  is_stage              ? in->stage_name
		  : in->pair_count == 1 ? in->pairs[0].key
					: "<arg_key>");
}

/* ---- when all was parsed ---- */

typedef void each_fn(void *arg, const struct instruction *in);

/* All but ARGs before the first FROM. */
static void each_instruction(const struct dockerfile *file, each_fn *each, void *arg)
{
	for (size_t i = 0; i < file->stage_count; i++) {
		each(arg, file->stages[i].from);
		for (size_t j = 0; j < file->stages[i].count; j++)
			each(arg, &file->stages[i].instructions[j]);
	}
}

struct casing {
	struct lint *lint;
	const struct lint_rule *rule;
	size_t lower, upper;
};

static void count_casing(void *arg, const struct instruction *in)
{
	struct casing *casing = arg;

	casing->lower += is_lower(keyword_of(in));
	casing->upper += is_upper(keyword_of(in));
}

static void check_casing(void *arg, const struct instruction *in)
{
	const struct casing *casing = arg;
	bool wants_lower = casing->lower > casing->upper;
	struct slice keyword = keyword_of(in);

	if (wants_lower ? is_lower(keyword) : is_upper(keyword))
		return;
	lint_warn(casing->lint, casing->rule, in, "Command '%.*s' should match the case of the command majority (%s)",
		  (int)keyword.len, keyword.ptr, wants_lower ? "lowercase" : "uppercase");
}

static void consistent_casing(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	struct casing casing = { lint, rule, 0, 0 };

	each_instruction(facts->file, count_casing, &casing);
	each_instruction(facts->file, check_casing, &casing);
}

/* By name, and of one name as in the file: that is their order in memory. */
static int compare_stages(const void *a, const void *b)
{
	const struct stage *x = *(const struct stage *const *)a, *y = *(const struct stage *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : x < y ? -1 : x > y;
}

static void duplicate_stage_name(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct dockerfile *file = facts->file;
	const struct stage **named = arena_array(lint->arena, const struct stage *, file->stage_count + 1);
	size_t count = 0;

	for (size_t i = 0; i < file->stage_count; i++)
		if (file->stages[i].name)
			named[count++] = &file->stages[i];
	qsort(named, count, sizeof(*named), compare_stages);
	for (size_t i = 1; i < count; i++)
		if (strcmp(named[i]->name, named[i - 1]->name) == 0)
			lint_warn(lint, rule, named[i]->from, "Duplicate stage name %s, stage names should be unique",
				  quoted(lint->arena, named[i]->name));
}

static void reserved_stage_name(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct dockerfile *file = facts->file;

	for (size_t i = 0; i < file->stage_count; i++) {
		const char *name = file->stages[i].name;
		if (text_equal(name, "scratch") || text_equal(name, "context"))
			lint_warn(lint, rule, file->stages[i].from,
				  "Stage name should not use the same name as reserved stage \"%s\"", name);
	}
}

/* ---- when a FROM was expanded ---- */

static const char *meant(struct arena *arena, const char *sign, const char *nearest)
{
	return nearest ? arena_printf(arena, " (did you mean %s%s?)", sign, nearest) : "";
}

static void undefined_arg_in_from(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	for (size_t i = 0; i < facts->unset_count; i++)
		lint_warn(lint, rule, facts->instruction, "FROM argument '%s' is not declared%s", facts->unset[i].name,
			  meant(lint->arena, "", facts->unset[i].nearest));
}

static void invalid_default_arg(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->is_default_base_invalid)
		lint_warn(lint, rule, facts->instruction,
			  "Default value for ARG %s results in empty or invalid base image name",
			  facts->instruction->base);
}

static void redundant_platform(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->is_target_platform)
		lint_warn(lint, rule, facts->instruction,
			  "Setting platform to predefined %s in FROM is redundant as this is the default behavior",
			  facts->instruction->platform);
}

/* A stage that is named after its platform means it. */
static void constant_platform(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const char *name = facts->instruction->stage_name ? facts->instruction->stage_name : "";

	if (!facts->constant_platform || strstr(name, facts->constant_os) || strstr(name, facts->constant_architecture))
		return;
	lint_warn(lint, rule, facts->instruction, "FROM --platform flag should not use constant value %s",
		  quoted(lint->arena, facts->constant_platform));
}

/* ---- when the base image is known ---- */

static void base_platform(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	lint_warn(lint, rule, facts->instruction,
		  "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build", facts->base_name,
		  facts->base_platform, facts->wanted_platform);
}

/* ---- when an instruction was evaluated ---- */

static void undefined_var(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	for (size_t i = 0; i < facts->unset_count; i++)
		lint_warn(lint, rule, facts->instruction, "Usage of undefined variable '$%s'%s", facts->unset[i].name,
			  meant(lint->arena, "$", facts->unset[i].nearest));
}

static void json_args(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;
	struct slice keyword = keyword_of(in);

	if ((in->kind != INSTRUCTION_CMD && in->kind != INSTRUCTION_ENTRYPOINT) || in->is_json || facts->has_shell)
		return;
	lint_warn(lint, rule, in,
		  "JSON arguments recommended for %.*s to prevent unintended behavior related to OS signals",
		  (int)keyword.len, keyword.ptr);
}

/* Said of the earlier one, which is ignored. */
static void used_once(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	struct slice keyword = keyword_of(facts->instruction);

	if (facts->previous)
		lint_warn_at(lint, rule, facts->previous, facts->instruction,
			     "Multiple %.*s instructions should not be used in the same stage because only the last "
			     "one will be used",
			     (int)keyword.len, keyword.ptr);
}

static void legacy_format(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	struct slice keyword = keyword_of(facts->instruction);
	int len = (int)keyword.len;

	if (facts->instruction->is_legacy_pair)
		lint_warn(lint, rule, facts->instruction,
			  "\"%.*s key=value\" should be used instead of legacy \"%.*s key value\" format", len,
			  keyword.ptr, len, keyword.ptr);
}

static void relative_workdir(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->instruction->kind == INSTRUCTION_WORKDIR && !facts->has_workdir && facts->word_count == 1 &&
	    facts->words[0][0] != '/')
		lint_warn(lint, rule, facts->instruction,
			  "Relative workdir %s can have unexpected results if the base image changes",
			  quoted(lint->arena, facts->words[0]));
}

/* One of the words, in any case, between the name's ends and its underscores. */
static bool has_part(const char *name, const char *const *words, size_t count)
{
	for (const char *part = name;; part++) {
		struct slice text = { part, strcspn(part, "_") };
		for (size_t i = 0; i < count; i++)
			if (slice_equal_nocase(text, words[i]))
				return true;
		part += text.len;
		if (!*part)
			return false;
	}
}

static bool is_secret(const char *name)
{
	static const char *const secrets[] = { "apikey",   "auth",  "credential", "credentials", "key",
					       "password", "pword", "passwd",     "secret",      "token" };
	static const char *const harmless[] = { "public", "file", "version" };

	return has_part(name, secrets, ARRAY_LEN(secrets)) && !has_part(name, harmless, ARRAY_LEN(harmless));
}

static void warn_secret(struct lint *lint, const struct lint_rule *rule, const struct instruction *in, const char *name)
{
	if (is_secret(name))
		lint_warn(lint, rule, in, "Do not use ARG or ENV instructions for sensitive data (%s %s)",
			  instruction_name(in->kind), quoted(lint->arena, name));
}

static void secrets_used(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;

	if (in->kind == INSTRUCTION_ARG)
		for (size_t i = 0; i < in->pair_count; i++)
			warn_secret(lint, rule, in, in->pairs[i].key);
	if (in->kind == INSTRUCTION_ENV)
		for (size_t i = 0; i < facts->word_count; i++)
			warn_secret(lint, rule, in, facts->words[i]);
}

static void copy_ignored(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;

	for (size_t i = 0; i < facts->ignored_count; i++)
		lint_warn(lint, rule, in, "Attempting to %s file %s that is excluded by .dockerignore",
			  in->kind == INSTRUCTION_ADD ? "Add" : "Copy", quoted(lint->arena, facts->ignored[i]));
}

static void expose_proto_casing(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->instruction->kind != INSTRUCTION_EXPOSE)
		return;
	for (size_t i = 0; i < facts->word_count; i++) {
		const char *colon = strrchr(facts->words[i], ':'), *port = colon ? colon + 1 : facts->words[i];
		const char *slash = strchr(port, '/');
		if (slash && !is_lower(SLICE(slash)))
			lint_warn(lint, rule, facts->instruction,
				  "Defined protocol '%s' in EXPOSE instruction should be lowercase", facts->words[i]);
	}
}

/* ":80" has neither. */
static void expose_format(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts)
{
	if (facts->instruction->kind != INSTRUCTION_EXPOSE)
		return;
	for (size_t i = 0; i < facts->word_count; i++) {
		const char *word = facts->words[i], *colon = strrchr(word, ':');
		if (colon && strspn(word, ":") < (size_t)(colon - word))
			lint_warn(lint, rule, facts->instruction,
				  "EXPOSE instruction should not define an IP address or host-port mapping, found "
				  "'%s'",
				  word);
	}
}

/* ---- the table ---- */

#define URL(page) "https://docs.docker.com/go/dockerfile/rule/" page "/"

const struct rule_row lint_rules[RULE_COUNT] = {
	{ { "StageNameCasing", "Stage names should be lowercase", URL("stage-name-casing"), false },
	  LINT_PARSED,
	  stage_name_casing },
	{ { "FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", URL("from-as-casing"),
	    false },
	  LINT_PARSED,
	  from_as_casing },
	{ { "NoEmptyContinuation", "Empty continuation lines will become errors in a future release",
	    URL("no-empty-continuation"), false },
	  LINT_LINES,
	  empty_continuation },
	{ { "ConsistentInstructionCasing",
	    "All commands within the Dockerfile should use the same casing (either upper or lower)",
	    URL("consistent-instruction-casing"), false },
	  LINT_FILE,
	  consistent_casing },
	{ { "DuplicateStageName", "Stage names should be unique", URL("duplicate-stage-name"), false },
	  LINT_FILE,
	  duplicate_stage_name },
	{ { "ReservedStageName", "Reserved words should not be used as stage names", URL("reserved-stage-name"),
	    false },
	  LINT_FILE,
	  reserved_stage_name },
	{ { "JSONArgsRecommended",
	    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
	    URL("json-args-recommended"), false },
	  LINT_EVALUATED,
	  json_args },
	{ { "MaintainerDeprecated",
	    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
	    URL("maintainer-deprecated"), false },
	  LINT_PARSED,
	  maintainer_deprecated },
	{ { "UndefinedArgInFrom", "FROM command must use declared ARGs", URL("undefined-arg-in-from"), false },
	  LINT_FROM,
	  undefined_arg_in_from },
	{ { "WorkdirRelativePath",
	    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the "
	    "base image changes",
	    URL("workdir-relative-path"), false },
	  LINT_EVALUATED,
	  relative_workdir },
	{ { "UndefinedVar", "Variables should be defined before their use", URL("undefined-var"), false },
	  LINT_EVALUATED,
	  undefined_var },
	{ { "MultipleInstructionsDisallowed",
	    "Multiple instructions of the same type should not be used in the same stage",
	    URL("multiple-instructions-disallowed"), false },
	  LINT_EVALUATED,
	  used_once },
	{ { "LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used",
	    URL("legacy-key-value-format"), false },
	  LINT_EVALUATED,
	  legacy_format },
	{ { "InvalidBaseImagePlatform", "Base image platform does not match expected target platform", NULL, false },
	  LINT_BASE,
	  base_platform },
	{ { "RedundantTargetPlatform",
	    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
	    URL("redundant-target-platform"), false },
	  LINT_FROM,
	  redundant_platform },
	{ { "SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands",
	    URL("secrets-used-in-arg-or-env"), false },
	  LINT_EVALUATED,
	  secrets_used },
	{ { "InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name",
	    URL("invalid-default-arg-in-from"), false },
	  LINT_FROM,
	  invalid_default_arg },
	{ { "FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value",
	    URL("from-platform-flag-const-disallowed"), false },
	  LINT_FROM,
	  constant_platform },
	{ { "CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", URL("copy-ignored-file"),
	    false },
	  LINT_EVALUATED,
	  copy_ignored },
	{ { "InvalidDefinitionDescription",
	    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this "
	    "is not intended to be a description comment, add an empty line or comment between the instruction and the "
	    "comment.",
	    URL("invalid-definition-description"), true },
	  LINT_PARSED,
	  definition_description },
	{ { "ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", URL("expose-proto-casing"),
	    false },
	  LINT_EVALUATED,
	  expose_proto_casing },
	{ { "ExposeInvalidFormat",
	    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a "
	    "future release",
	    URL("expose-invalid-format"), false },
	  LINT_EVALUATED,
	  expose_format },
};
