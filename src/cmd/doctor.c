/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/base/owner.h"
#include "kiln/codec/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct doctor_options {
	bool json;
};

static const struct option_spec options[] = {
	{ "json", 0, OPTION_FLAG, offsetof(struct doctor_options, json), NULL, "print JSON" },
	{ NULL },
};

/* The view can be tried only inside the namespace, as a build would. */
struct view_trial {
	struct invocation *invocation;
	int report_fd;
};

/* What a build would have. */
struct taken {
	const char *isolation; /* NULL: none can be entered */
	const char *view;
};

static int try_view(void *arg)
{
	struct view_trial *trial = arg;
	struct err err = { 0 };
	struct store *store = NULL;
	enum view_kind chosen;
	scope_strbuf struct strbuf text = { 0 }, reasons = { 0 };
	int works = invocation_store(trial->invocation, STORE_CREATE, &store, &err);
	if (works == 0)
		works = view_probe(trial->invocation->view, store_fd(store), &chosen, &reasons, &err);
	store_close(store);
	strbuf_addf(&text, "%s\n", isolation_name(owners_are_recorded() ? ISOLATION_SINGLE : ISOLATION_MAPPED));
	if (works == 0)
		strbuf_addf(&text, "%s%s%s", view_kind_name(chosen), reasons.len ? "; " : "", strbuf_str(&reasons));
	else
		strbuf_addstr(&text, err.msg);
	return file_write_fd(trial->report_fd, strbuf_str(&text), text.len, "report", &err) < 0 || works < 0;
}

static bool probe_view(struct invocation *invocation, struct taken *taken)
{
	int ends[2], status = 1;
	struct err err = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	struct view_trial trial = { invocation, ends[1] };
	int entered = sandbox_enter(invocation_isolation(invocation), try_view, &trial, &status, &err);
	close(ends[1]);
	if (entered == 0 && file_read_fd(ends[0], 65536, &text, "report", &err) == 0) {
		size_t len = strcspn(strbuf_str(&text), "\n");
		taken->isolation = arena_strndup(invocation->arena, strbuf_str(&text), len);
		taken->view = arena_strdup(invocation->arena, strbuf_str(&text) + len + (text.len > len));
	} else {
		taken->view = arena_strdup(invocation->arena, err.msg);
	}
	close(ends[0]);
	return entered == 0 && status == 0;
}

static void print_text(const struct probe_fact *facts, size_t count, const struct taken *taken, bool can_build)
{
	for (size_t i = 0; i < count; i++) {
		printf("%-3s %-22s %s\n", facts[i].works ? "ok" : "--", facts[i].name,
		       facts[i].detail ? facts[i].detail : "");
		if (!facts[i].works && facts[i].remedy)
			printf("    %-22s try: %s\n", "", facts[i].remedy);
	}
	if (can_build)
		printf("\nkiln can build here, on isolation %s.\n", taken->isolation);
	else
		printf("\nkiln can not build here.\n");
}

static void print_json(struct arena *arena, const struct probe_fact *facts, size_t count, const struct taken *taken,
		       bool can_build)
{
	struct json *list = json_array(arena), *out = json_object(arena);
	for (size_t i = 0; i < count; i++) {
		struct json *fact = json_object(arena);
		json_set(arena, fact, "name", json_str(arena, facts[i].name));
		json_set(arena, fact, "works", json_bool(arena, facts[i].works));
		json_set(arena, fact, "detail", json_str(arena, facts[i].detail));
		json_set(arena, fact, "remedy", json_str(arena, facts[i].remedy));
		json_push(arena, list, fact);
	}
	json_set(arena, out, "canBuild", json_bool(arena, can_build));
	if (taken->isolation)
		json_set(arena, out, "isolation", json_str(arena, taken->isolation));
	json_set(arena, out, "facts", list);
	scope_strbuf struct strbuf text = { 0 };
	json_write_pretty(&text, out);
	printf("%s\n", strbuf_str(&text));
}

static int diagnose(struct invocation *invocation, struct err *err)
{
	const struct doctor_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	struct probe_fact *found, *facts = NULL;
	size_t found_count, count = 0;
	if (sandbox_probe(arena, &found, &found_count, err) < 0)
		return -1;
	for (size_t i = 0; i < found_count; i++)
		*ARENA_PUSH(arena, facts, count) = found[i];
	struct taken taken = { 0 };
	struct probe_fact view = { .name = "view", .remedy = "apt-get install fuse-overlayfs" };
	view.works = probe_view(invocation, &taken);
	view.detail = taken.view;
	*ARENA_PUSH(arena, facts, count) = view;
	*ARENA_PUSH(arena, facts, count) = (struct probe_fact){ "store", true, invocation->store_path, NULL };
	o->json ? print_json(arena, facts, count, &taken, view.works) : print_text(facts, count, &taken, view.works);
	invocation->status = view.works ? 0 : EXIT_FAILED;
	return 0;
}

const struct command command_doctor = {
	.name = "doctor",
	.synopsis = "[--json]",
	.summary = "Say what works here, and what would make more work",
	.options = options,
	.options_size = sizeof(struct doctor_options),
	.run = diagnose,
};
