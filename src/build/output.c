/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What a RUN prints: read from its pipe as it comes, passed on line by line, and its last lines kept for the report of a failure. */

enum { OUTPUT_CHUNK = 64 << 10, TAIL_MAX = 8 << 10, TAIL_KEPT = TAIL_MAX / 2 };

int output_open(struct step *step, int *read_end, struct err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe for the step's output");
	*read_end = ends[0];
	step->output_fd = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "make a pipe non-blocking");
	return 0;
}

/* Cuts the tail to whole lines, unless one alone is longer. */
static void shorten_tail(struct strbuf *tail)
{
	size_t from = tail->len - TAIL_KEPT;
	const char *newline = memchr(tail->ptr + from, '\n', TAIL_KEPT - 1);
	if (newline)
		from = (size_t)(newline + 1 - tail->ptr);
	memmove(tail->ptr, tail->ptr + from, tail->len - from);
	strbuf_truncate(tail, tail->len - from);
}

static void finish_line(struct build *build, struct step *step)
{
	build_emit(build, step, BUILD_STEP_OUTPUT, strbuf_str(&step->line), step->line.len);
	strbuf_add(&step->tail, strbuf_str(&step->line), step->line.len);
	strbuf_addch(&step->tail, '\n');
	if (step->tail.len > TAIL_MAX)
		shorten_tail(&step->tail);
	strbuf_reset(&step->line);
}

/* A line that does not end is passed on in pieces. */
static void take_chunk(struct build *build, struct step *step, const char *chunk, size_t len)
{
	for (const char *p = chunk, *end = chunk + len; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t part = (size_t)((newline ? newline : end) - p);
		strbuf_add(&step->line, p, part);
		if (newline || step->line.len > OUTPUT_CHUNK)
			finish_line(build, step);
		p += part + (newline != NULL);
	}
}

/* At most so much at a time, since a step may print faster than anyone reads. */
bool output_read(struct build *build, struct step *step)
{
	static char chunk[OUTPUT_CHUNK];
	for (int i = 0; i < 16 && step->output_fd >= 0; i++) {
		ssize_t got = read(step->output_fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return false;
		if (got > 0) {
			take_chunk(build, step, chunk, (size_t)got);
			continue;
		}
		close(take_fd(&step->output_fd));
		if (step->line.len)
			finish_line(build, step);
	}
	return step->output_fd >= 0;
}
