/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY       "body"
#define TREE       "tree"
#define DOCKERFILE "Dockerfile"

enum { DOCKERFILE_MAX = 1 << 20, NOTE_MAX = 8 << 10 };

/* ---- what is known of a URL: a note by the URL without its credentials, so that a new password is no new file; its query counts
   whole, since "?key=" may be a secret or what names the file ---- */

static void note_id(const struct fetch *fetch, struct digest *id)
{
	scope_hasher struct hasher *hasher = hasher_new();
	scope_arena struct arena arena = { 0 };
	hasher_text(hasher, remote_redact(&arena, fetch->remote.url));
	hasher_text(hasher, strchr(fetch->remote.url, '?'));
	hasher_final(hasher, id);
}

static void copy_text(char *out, size_t size, const char *text)
{
	/* A part of a validator validates nothing. */
	if (text && strlen(text) < size)
		memcpy(out, text, strlen(text) + 1);
	else
		out[0] = '\0';
}

/* False if there is no note, or its blob has gone. */
static bool read_note(const struct fetch *fetch, struct fetch_result *known)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct store *store = fetch->build->store;
	struct digest id;
	note_id(fetch, &id);
	if (store_note_get(store, "http", &id, NOTE_MAX, &text, NULL) != 1)
		return false;
	const struct json *note = json_parse(&arena, strbuf_str(&text), text.len, NULL);
	const char *digest = note ? json_get_str(note, "digest") : NULL;
	int64_t size;
	*known = (struct fetch_result){ .is_unchanged = true, .time = -1 };
	if (!digest || digest_parse(&known->digest, digest, NULL) < 0 ||
	    !store_blob_has(store, &known->digest, &size) || size != json_get_int(note, "size", -1))
		return false;
	known->size = size;
	copy_text(known->etag, sizeof(known->etag), json_get_str(note, "etag"));
	copy_text(known->last_modified, sizeof(known->last_modified), json_get_str(note, "lastModified"));
	known->time = remote_time(*known->last_modified ? known->last_modified : NULL);
	return true;
}

static void write_note(const struct fetch *fetch, const struct fetch_result *result)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct json *note = json_object(&arena);
	struct digest id;
	struct err err;
	json_set(&arena, note, "digest", json_str(&arena, digest_str(&arena, &result->digest)));
	json_set(&arena, note, "size", json_int(&arena, result->size));
	json_set(&arena, note, "etag", json_str(&arena, result->etag));
	json_set(&arena, note, "lastModified", json_str(&arena, result->last_modified));
	json_write(&text, note);
	note_id(fetch, &id);
	if (store_note_put(fetch->build->store, "http", &id, text.ptr, text.len, &err) < 0)
		log_debug("note of %s: %s", fetch->remote.shown, err.msg);
}

/* ---- the jobs ---- */

struct body {
	struct remote_sink base;
	int fd;
	struct digest digest;
	int64_t size;
};

static void begin_body(struct body *body)
{
	body->base.writer = writer_hash(writer_fd(body->fd, false, "the body"), &body->digest, &body->size);
}

static int restart_body(struct remote_sink *base, struct err *err)
{
	struct body *body = (struct body *)base;
	body->base.writer->close(body->base.writer);
	body->base.writer = NULL;
	if (ftruncate(body->fd, 0) < 0 || lseek(body->fd, 0, SEEK_SET) < 0)
		return err_errno(err, "write the body again");
	begin_body(body);
	return 0;
}

static int check_digest(const struct fetch *fetch, const struct digest *digest, struct err *err)
{
	char got[DIGEST_TEXT + 1], want[DIGEST_TEXT + 1];
	if (!fetch->expected || digest_equal(fetch->expected, digest))
		return 0;
	return err_set(err, ERR_CORRUPT, "digest mismatch: %s has %s, --checksum says %s", fetch->remote.shown,
		       digest_text(digest, got), digest_text(fetch->expected, want));
}

static int receive(const struct fetch *fetch, const struct fetch_result *known, struct body *body,
		   struct fetch_result *result, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct remote_file file;
	const struct remote_file validators = {
		.etag = known && *known->etag ? known->etag : NULL,
		.last_modified = known && *known->last_modified ? known->last_modified : NULL,
	};
	bool has_validators = validators.etag || validators.last_modified;
	if (remote_fetch(&arena, &fetch->remote, has_validators ? &validators : NULL, &body->base, &file, err) < 0)
		return -1;
	if (file.is_unchanged) {
		*result = *known;
		return check_digest(fetch, &result->digest, err);
	}
	if (body->base.writer->finish(body->base.writer, err) < 0)
		return -1;
	*result = (struct fetch_result){ .digest = body->digest, .size = body->size, .time = file.time };
	copy_text(result->etag, sizeof(result->etag), file.etag);
	copy_text(result->last_modified, sizeof(result->last_modified), file.last_modified);
	return check_digest(fetch, &result->digest, err);
}

/* The body into the work directory, unless the store has it. */
static int get_file(const struct fetch *fetch, struct fetch_result *result, struct err *err)
{
	struct fetch_result known;
	bool is_known = read_note(fetch, &known);
	/* What has the digest that is asked for need not be asked for. */
	if (is_known && fetch->expected && digest_equal(fetch->expected, &known.digest)) {
		*result = known;
		return 0;
	}
	scope_fd int fd = openat(fetch->work.fd, BODY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create a file for %s", fetch->remote.shown);
	struct body body = { .base = { .restart = restart_body }, .fd = fd };
	begin_body(&body);
	int received = receive(fetch, is_known ? &known : NULL, &body, result, err);
	if (body.base.writer)
		body.base.writer->close(body.base.writer);
	return received;
}

static int write_dockerfile(const struct fetch *fetch, const struct strbuf *text, struct err *err)
{
	scope_fd int fd = openat(fetch->work.fd, DOCKERFILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create a file for the Dockerfile");
	return file_write_fd(fd, strbuf_str(text), text->len, "the Dockerfile", err);
}

static int unpack(const struct fetch *fetch, struct reader *stream, int tree, const char *name,
		  struct fetch_result *result, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	int is_archive = context_unpack(stream, tree, DOCKERFILE_MAX, name, &text, err);
	if (is_archive < 0 || reader_drain(stream, err) < 0)
		return -1;
	result->is_archive = is_archive;
	return is_archive ? 0 : write_dockerfile(fetch, &text, err);
}

/* What was kept is verified while it is read. */
static int unpack_file(const struct fetch *fetch, int tree, struct fetch_result *result, struct err *err)
{
	struct digest digest;
	scope_fd int fd = result->is_unchanged ? store_blob_open(fetch->build->store, &result->digest, NULL, err)
					       : openat(fetch->work.fd, BODY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return result->is_unchanged ? -1 : err_errno(err, "open what was fetched");
	scope_reader struct reader *stream = reader_hash(reader_fd(fd, false, fetch->remote.shown), &digest, NULL);
	if (unpack(fetch, stream, tree, fetch->remote.shown, result, err) < 0)
		return -1;
	if (!digest_equal(&digest, &result->digest))
		return err_set(err, ERR_CORRUPT, "the store's copy of %s is damaged: `kiln system verify --repair`",
			       fetch->remote.shown);
	return 0;
}

static int get_tree(const struct fetch *fetch, struct fetch_result *result, struct err *err)
{
	scope_fd int tree = file_make_dir(fetch->work.fd, TREE, 0755, err);
	if (tree < 0)
		return -1;
	if (!fetch->text) {
		scope_reader struct reader *stream = reader_fd(STDIN_FILENO, false, "standard input");
		return unpack(fetch, stream, tree, "standard input", result, err);
	}
	if (fetch->remote.kind == REMOTE_HTTP)
		return get_file(fetch, result, err) < 0 ? -1 : unpack_file(fetch, tree, result, err);
	if (git_resolve(&fetch->remote, &result->commit, err) < 0)
		return -1;
	return git_checkout(&fetch->remote, &result->commit, tree, err);
}

static int fetch_job(int channel, void *arg, struct err *err)
{
	const struct fetch *fetch = arg;
	struct fetch_result result = { .time = -1 };
	int done = fetch->kind == FETCH_FILE     ? get_file(fetch, &result, err)
		   : fetch->kind == FETCH_COMMIT ? git_resolve(&fetch->remote, &result.commit, err)
						 : get_tree(fetch, &result, err);
	return done < 0 ? -1 : proc_reach(channel, 1, &result, sizeof(result), err);
}

/* ---- in the coordinator ---- */

static bool is_same(const struct fetch *fetch, enum fetch_kind kind, const char *text, const struct remote *remote,
		    const struct digest *expected)
{
	if (fetch->kind != kind || !text_equal(fetch->text, text) ||
	    (remote && !text_equal(fetch->remote.checksum, remote->checksum)))
		return false;
	if (!expected || !fetch->expected)
		return !expected && !fetch->expected;
	return digest_equal(expected, fetch->expected);
}

static struct step *shown_step(struct build *build, const struct fetch *fetch, const struct instruction *place)
{
	static const struct instruction nowhere = { .original = "" };
	static const char *const verbs[] = {
		[FETCH_FILE] = "fetch", [FETCH_COMMIT] = "resolve", [FETCH_TREE] = "load context"
	};
	struct step *step = arena_new(build->arena, struct step);
	step->instruction = step->place = place ? place : &nowhere;
	step->name = arena_printf(build->arena, "[internal] %s %s", verbs[fetch->kind],
				  fetch->text ? fetch->remote.shown : "from standard input");
	step->output_fd = -1;
	return step;
}

struct fetch *fetch_of(struct build *build, enum fetch_kind kind, const char *text, const struct remote *remote,
		       const struct digest *expected, const struct instruction *place)
{
	for (size_t i = 0; i < build->fetch_count; i++)
		if (is_same(build->fetches[i], kind, text, remote, expected))
			return build->fetches[i];
	struct fetch *fetch = arena_new(build->arena, struct fetch);
	fetch->build = build;
	fetch->kind = kind;
	fetch->text = text;
	if (remote)
		fetch->remote = *remote;
	if (expected)
		fetch->expected = arena_memdup(build->arena, expected, sizeof(*expected));
	fetch->job = (struct proc)PROC_EMPTY;
	fetch->work = (struct store_work)STORE_WORK_EMPTY;
	fetch->shown = shown_step(build, fetch, place);
	*ARENA_PUSH(build->arena, build->fetches, build->fetch_count) = fetch;
	return fetch;
}

static int start(struct build *build, struct fetch *fetch, struct err *err)
{
	fetch->shown->number = ++build->next_number;
	fetch->shown->started_ms = clock_ms();
	build_emit(build, fetch->shown, BUILD_STEP_STARTED, NULL, 0);
	if (fetch->kind != FETCH_COMMIT && store_work_new(build->store, &fetch->work, err) < 0)
		return -1;
	if (proc_fork(&fetch->job, fetch_job, fetch, err) < 0)
		return -1;
	fetch->status = FETCH_RUNNING;
	return 0;
}

enum step_ready fetch_need(struct build *build, struct stage_run *stage, struct fetch *fetch, struct err *err)
{
	if (fetch->status == FETCH_DONE)
		return STEP_READY;
	if (fetch->status == FETCH_NEW && start(build, fetch, err) < 0)
		return STEP_FAILED;
	stage->waits_fetch = fetch;
	return STEP_WAITS;
}

/* The body becomes a blob, so that it need not come again. */
static int keep_file(struct build *build, struct fetch *fetch, struct err *err)
{
	const struct fetch_result *result = &fetch->result;
	if (!result->is_unchanged && store_blob_adopt(build->store, &fetch->work, BODY, &result->digest, err) < 0)
		return -1;
	write_note(fetch, result);
	return 0;
}

int fetch_finish(struct build *build, struct fetch *fetch, struct err *err)
{
	scope_strbuf struct strbuf payload = { 0 };
	fetch->status = FETCH_DONE;
	int ended = proc_wait(&fetch->job, &payload, err);
	if (ended == 0 && payload.len != sizeof(fetch->result))
		ended = err_set(err, ERR_CORRUPT, "%s: its job ended without a result", fetch->shown->name);
	if (ended == 0) {
		memcpy(&fetch->result, payload.ptr, sizeof(fetch->result));
		if (fetch->remote.kind == REMOTE_HTTP)
			ended = keep_file(build, fetch, err);
	}
	if (ended < 0)
		return -1;
	if (fetch->kind != FETCH_TREE)
		store_work_end(build->store, &fetch->work);
	build_emit(build, fetch->shown, fetch->result.is_unchanged ? BUILD_STEP_CACHED : BUILD_STEP_DONE, NULL, 0);
	return 0;
}

int fetch_now(struct build *build, struct fetch *fetch, struct err *err)
{
	if (fetch->status == FETCH_NEW && start(build, fetch, err) < 0)
		return -1;
	while (fetch->status == FETCH_RUNNING) {
		struct pollfd polled[] = { { .fd = fetch->job.pidfd, .events = POLLIN },
					   { .fd = build_interrupt_fd(), .events = POLLIN } };
		if (poll(polled, ARRAY_LEN(polled), -1) < 0 && !build_interrupted())
			continue;
		if (build_interrupted())
			return err_status(err, ERR_INTERRUPTED, build_interrupted(), "interrupted");
		if (polled[0].revents && fetch_finish(build, fetch, err) < 0) {
			build->result->failed_step = fetch->shown->name;
			build_emit(build, fetch->shown, BUILD_STEP_FAILED, err->msg, strlen(err->msg));
			return -1;
		}
	}
	return 0;
}

size_t count_fetches(const struct build *build)
{
	size_t count = 0;
	for (size_t i = 0; i < build->fetch_count; i++)
		count += build->fetches[i]->status == FETCH_RUNNING;
	return count;
}

void fetch_release(struct build *build, struct fetch *fetch)
{
	proc_kill(&fetch->job);
	store_work_end(build->store, &fetch->work);
}
