/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/log.h"
#include "kiln/base/text.h"
#include "scratch.h"

struct lines {
	enum log_level level;
	const char *expected;
};

/* Logs one line of each level in a child whose stderr is a file. */
static int log_all(int channel, void *arg, struct err *err)
{
	const struct lines *lines = arg;
	scope_strbuf struct strbuf text = { 0 };
	int fd = memfd_create("stderr", 0);

	(void)channel;
	dup2(fd, STDERR_FILENO);
	log_set_level(lines->level);
	errno = EIO;
	log_debug("one %d", 1);
	log_info("two");
	log_warn("three");
	if (errno != EIO)
		return err_set(err, ERR_INPUT, "errno was lost");
	lseek(fd, 0, SEEK_SET);
	if (file_read_fd(fd, 1 << 16, &text, "stderr", err) < 0)
		return -1;
	return text_equal(strbuf_str(&text), lines->expected) ? 0 : err_set(err, ERR_INPUT, "%s", text.ptr);
}

static void the_level_chooses_the_lines(void **state)
{
	static struct lines cases[] = {
		{ LOG_LEVEL_ERROR, "" },
		{ LOG_LEVEL_WARN, "kiln: warning: three\n" },
		{ LOG_LEVEL_INFO, "kiln: info: two\nkiln: warning: three\n" },
		{ LOG_LEVEL_DEBUG, "kiln: debug: one 1\nkiln: info: two\nkiln: warning: three\n" },
	};
	struct err err = { 0 };
	struct proc child;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(proc_fork(&child, log_all, &cases[i], &err), err);
		assert_ok(proc_wait(&child, NULL, &err), err);
	}
}

static int log_a_long_line(int channel, void *arg, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	char line[10000];
	int fd = memfd_create("stderr", 0);

	(void)channel;
	(void)arg;
	dup2(fd, STDERR_FILENO);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	log_warn("%s", line);
	lseek(fd, 0, SEEK_SET);
	if (file_read_fd(fd, 1 << 16, &text, "stderr", err) < 0)
		return -1;
	bool is_line = text_starts(text.ptr, "kiln: warning: xxx") && text_ends(text.ptr, "xxx\n");
	return is_line && text.len == strlen(text.ptr) ? 0 : err_set(err, ERR_INPUT, "%zu bytes", text.len);
}

static void a_long_line_is_cut_and_still_a_line(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, log_a_long_line, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(log_get_level(), LOG_LEVEL_WARN);
	assert_ok(log_parse_level(&level, "debug", &err), err);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_ok(log_parse_level(&level, "error", &err), err);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_parse_level(&level, "loud", &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(err.msg, "unknown log level \"loud\": use error, warn, info or debug");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_level_chooses_the_lines),
		cmocka_unit_test(a_long_line_is_cut_and_still_a_line),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
