/* SPDX-License-Identifier: Apache-2.0 */
#include "planted.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "kiln/context/context.h"

/* dockerfile.md 1.7 and traps 49 to 58, as a table: what is there, what is copied, what comes out. */
struct copy_case {
	const char *name;
	const char *source; /* planted.h */
	const char *dest;   /* what the root holds before; NULL: nothing */
	const char *words[4];
	const char *to;
	const char *want;  /* what the root holds after */
	const char *error; /* instead of want */
	const char *chmod;
	const char *exclude[3];
	const char *ignore;
	const char *owner; /* "uid:gid" of --chown */
	bool parents, keeps_owner;
};

static int copy_in(int case_fd, const struct copy_case *test, struct strbuf *text, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_fd int source_fd = lab_dir(case_fd, "source", err);
	scope_fd int root_fd = lab_dir(case_fd, "root", err);
	struct source source = { .root = { source_fd, ROOT_CHROOT },
				 .keep_owner = test->keeps_owner,
				 .name = "the build context" };
	struct root dest = { root_fd, ROOT_CHROOT };
	struct copy_spec spec = { .sources = test->words,
				  .dest = test->to,
				  .parents = test->parents,
				  .excludes = test->exclude,
				  .chmod = test->chmod };
	struct copy_options options = { .chmod = test->chmod, .clamp = INT64_MAX };
	struct copy_plan plan;

	TRY(plant(source_fd, test->source, err));
	if (test->dest)
		TRY(plant(root_fd, test->dest, err));
	while (spec.source_count < ARRAY_LEN(test->words) && test->words[spec.source_count])
		spec.source_count++;
	while (spec.exclude_count < ARRAY_LEN(test->exclude) && test->exclude[spec.exclude_count])
		spec.exclude_count++;
	if (test->ignore) {
		source.ignore = ignore_parse(&arena, test->ignore, strlen(test->ignore), err);
		CHECK(source.ignore);
	}
	if (test->owner) {
		options.set_owner = true;
		CHECK(sscanf(test->owner, "%u:%u", &options.uid, &options.gid) == 2);
	}
	if (copy_select(&arena, &source, &spec, &plan, err) < 0 || copy_run(&source, &plan, &dest, &options, err) < 0)
		return -1;
	return planted(root_fd, text, err);
}

static int check_case(struct lab *lab, const struct copy_case *test, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	scope_fd int case_fd = lab_dir(lab->dir_fd, "case", err);
	struct err failed = { 0 };
	int result = copy_in(case_fd, test, &text, &failed);

	TRY(file_remove_tree(lab->dir_fd, "case", err));
	if (test->error && result < 0 && strstr(failed.msg, test->error))
		return 0;
	if (test->error)
		return err_set(err, ERR_SYSTEM, "%s: \"%s\" instead of \"%s\"", test->name,
			       result < 0 ? failed.msg : "success", test->error);
	if (result < 0)
		return err_set(err, ERR_SYSTEM, "%s: %s", test->name, failed.msg);
	if (strcmp(strbuf_str(&text), test->want) != 0)
		return err_set(err, ERR_SYSTEM, "%s:\n%s--- instead of\n%s", test->name, strbuf_str(&text), test->want);
	return 0;
}

static int check_cases(struct lab *lab, const struct copy_case *cases, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		bool needs_ids = cases[i].owner || strchr(cases[i].source, '@') ||
				 (cases[i].dest && strchr(cases[i].dest, '@'));
		if (!needs_ids || lab->has_ids)
			TRY(check_case(lab, &cases[i], err));
	}
	return 0;
}

#define CASES_TEST(test, ...)                                            \
	static int test##_body(struct lab *lab, struct err *err)         \
	{                                                                \
		static const struct copy_case cases[] = { __VA_ARGS__ }; \
		return check_cases(lab, cases, ARRAY_LEN(cases), err);   \
	}                                                                \
	static void test(void **state)                                   \
	{                                                                \
		run_in_lab(state, test##_body);                          \
	}

/* clang-format off */

CASES_TEST(a_file_becomes_a_path_or_goes_into_a_directory,
	{ .name = "file to path", .source = "f=x\n", .words = { "f" }, .to = "/a/b/c",
	  .want = "a/\na/b/\na/b/c=x\n" },
	{ .name = "file to new directory", .source = "f=x\n", .words = { "f" }, .to = "/a/",
	  .want = "a/\na/f=x\n" },
	{ .name = "file into existing directory", .source = "f=x\n", .dest = "d/ 0700\n", .words = { "f" }, .to = "/d",
	  .want = "d/ 0700\nd/f=x\n" },
	{ .name = "file onto file", .source = "f=new 0600\n", .dest = "g=old 0755\n", .words = { "f" }, .to = "/g",
	  .want = "g=new 0600\n" },
	{ .name = "file to the root", .source = "f=x\n", .words = { "f" }, .to = "/", .want = "f=x\n" },
	{ .name = "file onto special file", .source = "f=x\n", .dest = "g!p\n", .words = { "f" }, .to = "/g",
	  .want = "g=x\n" },
	{ .name = "several files", .source = "a=1\nb=2\n", .words = { "a", "b" }, .to = "/d/", .want = "d/\nd/a=1\nd/b=2\n" },
	{ .name = "several files to one path", .source = "a=1\nb=2\n", .words = { "a", "b" }, .to = "/d", .want = "d=2\n" },
	{ .name = "mode is kept", .source = "f=x 04755\n", .words = { "f" }, .to = "/g", .want = "g=x 4755\n" },
	{ .name = "deep source keeps its base name", .source = "a/\na/b/\na/b/f=x\n", .words = { "a/b/f" }, .to = "/d/",
	  .want = "d/\nd/f=x\n" },
	{ .name = "clipped source", .source = "f=x\n", .words = { "../../f" }, .to = "/g", .want = "g=x\n" },
	{ .name = "absolute source", .source = "f=x\n", .words = { "/f" }, .to = "/g", .want = "g=x\n" })

CASES_TEST(a_directory_is_copied_by_its_contents,
	{ .name = "new path", .source = "d/ 0750\nd/f=x\nd/e/ 0700\nd/e/g=y\n", .words = { "d" }, .to = "/n",
	  .want = "n/ 0750\nn/e/ 0700\nn/e/g=y\nn/f=x\n" },
	{ .name = "slash says the same", .source = "d/\nd/f=x\n", .words = { "d/" }, .to = "/n/", .want = "n/\nn/f=x\n" },
	{ .name = "dot says the same", .source = "d/\nd/f=x\n", .words = { "d/." }, .to = "/n", .want = "n/\nn/f=x\n" },
	{ .name = "everything", .source = "f=x\n.hidden=y\nd/\n", .words = { "." }, .to = "/n/",
	  .want = "n/\nn/.hidden=y\nn/d/\nn/f=x\n" },
	{ .name = "existing top keeps its mode", .source = "d/ 0700\nd/f=x\n", .dest = "n/ 0711\n", .words = { "d" }, .to = "/n",
	  .want = "n/ 0711\nn/f=x\n" },
	{ .name = "nested ones do not", .source = "d/\nd/e/ 0700\nd/e/f=x\n", .dest = "n/\nn/e/ 0711\nn/e/old=o\n",
	  .words = { "d" }, .to = "/n", .want = "n/\nn/e/ 0700\nn/e/f=x\nn/e/old=o\n" },
	{ .name = "links inside are kept", .source = "d/\nd/l->/etc/passwd\nd/m->gone\n", .words = { "d" }, .to = "/n",
	  .want = "n/\nn/l->/etc/passwd\nn/m->gone\n" },
	{ .name = "link over file", .source = "d/\nd/l->x\n", .dest = "n/\nn/l=file\n", .words = { "d" }, .to = "/n",
	  .want = "n/\nn/l->x\n" },
	{ .name = "file over link", .source = "d/\nd/l=x\n", .dest = "t=t\nn/\nn/l->/t\n", .words = { "d" }, .to = "/n",
	  .want = "n/\nn/l=x\nt=t\n" },
	{ .name = "two directories merge", .source = "a/\na/f=1\nb/\nb/f=2\nb/g=3\n", .words = { "a", "b" }, .to = "/n/",
	  .want = "n/\nn/f=2\nn/g=3\n" },
	{ .name = "empty directory", .source = "d/\n", .words = { "d" }, .to = "/n/m", .want = "n/\nn/m/\n" })

CASES_TEST(types_that_do_not_go_together_are_errors_in_buildkits_words,
	{ .name = "file onto directory below", .source = "d/\nd/x=f\n", .dest = "n/\nn/x/\n", .words = { "d" }, .to = "/n",
	  .error = "cannot replace to directory /n/x with file" },
	{ .name = "directory onto file", .source = "d/\nd/f=x\n", .dest = "n=file\n", .words = { "d" }, .to = "/n",
	  .error = "cannot copy to non-directory: /n" },
	{ .name = "directory onto file below", .source = "d/\nd/x/\n", .dest = "n/\nn/x=f\n", .words = { "d" }, .to = "/n",
	  .error = "cannot copy to non-directory: /n/x" },
	{ .name = "file in the way of a parent", .source = "f=x\n", .dest = "n=file\n", .words = { "f" }, .to = "/n/m/f",
	  .error = "Not a directory" },
	{ .name = "directory onto link to file", .source = "d/\nd/f=x\n", .dest = "t=t\nn->t\n", .words = { "d" }, .to = "/n",
	  .error = "cannot copy to non-directory: /n" })

CASES_TEST(links_of_the_source_are_followed_at_the_top_and_inside_the_root_only,
	{ .name = "final link", .source = "f=x\nl->f\n", .words = { "l" }, .to = "/d/", .want = "d/\nd/l=x\n" },
	{ .name = "link to directory", .source = "d/\nd/f=x\nl->d\n", .words = { "l" }, .to = "/n", .want = "n/\nn/f=x\n" },
	{ .name = "absolute link", .source = "d/\nd/f=x\nl->/d/f\n", .words = { "l" }, .to = "/n", .want = "n=x\n" },
	{ .name = "escaping link", .source = "f=x\nl->../../../f\n", .words = { "l" }, .to = "/n", .want = "n=x\n" },
	{ .name = "linked parent", .source = "d/\nd/f=x\nl->d\n", .words = { "l/f" }, .to = "/n", .want = "n=x\n" },
	{ .name = "dangling link", .source = "l->/etc/passwd\n", .words = { "l" }, .to = "/n", .error = "\"/l\"" },
	{ .name = "loop", .source = "l->l\n", .words = { "l" }, .to = "/n", .error = "l" })

CASES_TEST(links_of_the_destination_are_followed_inside_the_root_only,
	{ .name = "linked directory", .source = "f=x\n", .dest = "d/\nl->d\n", .words = { "f" }, .to = "/l/",
	  .want = "d/\nd/f=x\nl->d\n" },
	{ .name = "absolute link", .source = "f=x\n", .dest = "d/\nl->/d\n", .words = { "f" }, .to = "/l/g",
	  .want = "d/\nd/g=x\nl->/d\n" },
	{ .name = "escaping link", .source = "f=x\n", .dest = "d/\nl->../../../../d\n", .words = { "f" }, .to = "/l/g",
	  .want = "d/\nd/g=x\nl->../../../../d\n" },
	{ .name = "link to file is written through", .source = "f=new\n", .dest = "t=old\nl->t\n", .words = { "f" }, .to = "/l",
	  .want = "l->t\nt=new\n" },
	{ .name = "dangling link", .source = "f=x\n", .dest = "l->/a/b\n", .words = { "f" }, .to = "/l",
	  .want = "a/\na/b=x\nl->/a/b\n" },
	{ .name = "directory through link", .source = "d/\nd/f=x\n", .dest = "t/\nl->/t\n", .words = { "d" }, .to = "/l",
	  .want = "l->/t\nt/\nt/f=x\n" },
	{ .name = "loop", .source = "f=x\n", .dest = "l->m\nm->l\n", .words = { "f" }, .to = "/l",
	  .error = "Too many levels of symbolic links" },
	{ .name = "nested link is replaced, not followed", .source = "d/\nd/e/\nd/e/f=x\n", .dest = "n/\nt/\nn/e->/t\n",
	  .words = { "d" }, .to = "/n", .error = "cannot copy to non-directory: /n/e" })

CASES_TEST(patterns_are_gos_filepath_match,
	{ .name = "star", .source = "b.c=2\na.c=1\na.h=3\n", .words = { "*.c" }, .to = "/d/", .want = "d/\nd/a.c=1\nd/b.c=2\n" },
	{ .name = "dots too", .source = ".a=1\nb=2\n", .words = { "*" }, .to = "/d/", .want = "d/\nd/.a=1\nd/b=2\n" },
	{ .name = "one match renames", .source = "foo.go=1\n", .words = { "f*.go" }, .to = "/foo2.go", .want = "foo2.go=1\n" },
	{ .name = "star does not cross", .source = "d/\nd/f=1\n", .words = { "*/f" }, .to = "/n/", .want = "n/\nn/f=1\n" },
	{ .name = "directories are flattened", .source = "s/\ns/a/\ns/a/f=1\ns/b/\ns/b/g=2\n", .words = { "s/*" }, .to = "/n/",
	  .want = "n/\nn/f=1\nn/g=2\n" },
	{ .name = "class and question", .source = "a1=1\na2=2\nab=3\n", .words = { "a[0-9]", "?b" }, .to = "/n/",
	  .want = "n/\nn/a1=1\nn/a2=2\nn/ab=3\n" },
	{ .name = "escape", .source = "[x]=1\n", .words = { "[[]x]" }, .to = "/n/", .want = "n/\nn/[x]=1\n" },
	{ .name = "none is fine", .source = "f=1\n", .words = { "*.go", "f" }, .to = "/n/", .want = "n/\nn/f=1\n" },
	{ .name = "bad pattern", .source = "f=1\n", .words = { "[a" }, .to = "/n/", .error = "syntax error in pattern" },
	{ .name = "link that matches is followed", .source = "f=1\nl->f\n", .words = { "l*" }, .to = "/n/", .want = "n/\nn/l=1\n" })

CASES_TEST(what_is_missing_or_ignored_is_named,
	{ .name = "missing", .source = "f=1\n", .words = { "badfile" }, .to = "/n", .error = "\"/badfile\": not found" },
	{ .name = "nearest", .source = "package.json=1\n", .words = { "pakage.json" }, .to = "/n",
	  .error = "did you mean package.json?" },
	{ .name = "ignored", .source = "f=1\n", .words = { "f" }, .to = "/n", .ignore = "f\n", .error = ".dockerignore excludes it" },
	{ .name = "parent ignored", .source = "d/\nd/f=1\n", .words = { "d/f" }, .to = "/n", .ignore = "d\n",
	  .error = ".dockerignore excludes it" },
	{ .name = "re-included", .source = "d/\nd/f=1\nd/g=2\n", .words = { "d" }, .to = "/n", .ignore = "d\n!d/f\n",
	  .want = "n/\nn/f=1\n" },
	{ .name = "ignored inside", .source = "d/\nd/f=1\nd/e/\nd/e/g=2\nd/e/h=3\n", .words = { "." }, .to = "/n/",
	  .ignore = "**/g\nd/f\n", .want = "n/\nn/d/\nn/d/e/\nn/d/e/h=3\n" },
	{ .name = "pattern over ignored", .source = "a=1\nb=2\n", .words = { "*" }, .to = "/n/", .ignore = "a\n",
	  .want = "n/\nn/b=2\n" },
	{ .name = "no way round by a link", .source = "secret=1\nl->secret\n", .words = { "l" }, .to = "/n", .ignore = "secret\n",
	  .error = "not found" })

CASES_TEST(parents_keeps_directories_from_the_pivot_on,
	{ .name = "whole path", .source = "a/ 0700\na/b/\na/b/c=x\n", .words = { "a/b/c" }, .to = "/out/", .parents = true,
	  .want = "out/\nout/a/ 0700\nout/a/b/\nout/a/b/c=x\n" },
	{ .name = "pivot", .source = "x/\nx/y/\nx/y/z=1\n", .words = { "x/./y/z" }, .to = "/out/", .parents = true,
	  .want = "out/\nout/y/\nout/y/z=1\n" },
	{ .name = "directory", .source = "x/\nx/y/\nx/y/z=1\n", .words = { "x/y" }, .to = "/out/", .parents = true,
	  .want = "out/\nout/x/\nout/x/y/\nout/x/y/z=1\n" },
	{ .name = "pattern", .source = "a/\na/f=1\nb/\nb/f=2\nb/g=3\n", .words = { "*/f" }, .to = "/out/", .parents = true,
	  .want = "out/\nout/a/\nout/a/f=1\nout/b/\nout/b/f=2\n" },
	{ .name = "deep pattern", .source = "a/\na/b/\na/b/x.go=1\na/y.go=2\na/z.c=3\nw.go=4\n", .words = { "**/*.go" }, .to = "/out/",
	  .parents = true, .want = "out/\nout/a/\nout/a/b/\nout/a/b/x.go=1\nout/a/y.go=2\nout/w.go=4\n" },
	{ .name = "deep pattern after pivot", .source = "s/\ns/a/\ns/a/x.go=1\nx.go=2\n", .words = { "s/./**/*.go" }, .to = "/out/",
	  .parents = true, .want = "out/\nout/a/\nout/a/x.go=1\n" },
	{ .name = "missing literal", .source = "a/\n", .words = { "a/b/c" }, .to = "/out/", .parents = true, .error = "not found" },
	{ .name = "nothing matches", .source = "a/\nf=1\n", .words = { "a/**/*.go", "f" }, .to = "/out/", .parents = true,
	  .want = "out/\nout/f=1\n" })

CASES_TEST(exclude_speaks_of_paths_in_the_copied_source,
	{ .name = "in a directory", .source = "d/\nd/a.txt=1\nd/b.md=2\nd/e/\nd/e/c.txt=3\n", .words = { "d" }, .to = "/n",
	  .exclude = { "*.txt" }, .want = "n/\nn/b.md=2\nn/e/\nn/e/c.txt=3\n" },
	{ .name = "everywhere", .source = "d/\nd/a.txt=1\nd/e/\nd/e/c.txt=3\nd/e/k=4\n", .words = { "d" }, .to = "/n",
	  .exclude = { "**/*.txt" }, .want = "n/\nn/e/\nn/e/k=4\n" },
	{ .name = "exception", .source = "d/\nd/a.txt=1\nd/b.txt=2\n", .words = { "d" }, .to = "/n",
	  .exclude = { "*.txt", "!b.txt" }, .want = "n/\nn/b.txt=2\n" },
	{ .name = "of a pattern", .source = "a.txt=1\nb.md=2\n", .words = { "*" }, .to = "/n/", .exclude = { "*.txt" },
	  .want = "n/\nn/b.md=2\n" },
	{ .name = "a directory", .source = "d/\nd/e/\nd/e/f=1\nd/g=2\n", .words = { "d" }, .to = "/n", .exclude = { "e" },
	  .want = "n/\nn/g=2\n" })

CASES_TEST(chmod_changes_files_directories_and_new_parents_but_no_links,
	{ .name = "octal", .source = "d/\nd/f=1\nd/l->f\n", .words = { "d" }, .to = "/a/n", .chmod = "0700",
	  .want = "a/ 0700\na/n/ 0700\na/n/f=1 0700\na/n/l->f\n" },
	{ .name = "octal of parents even if odd", .source = "f=1\n", .words = { "f" }, .to = "/new/dir/f", .chmod = "0600",
	  .want = "new/ 0600\nnew/dir/ 0600\nnew/dir/f=1 0600\n" },
	{ .name = "symbolic leaves parents", .source = "f=1\n", .words = { "f" }, .to = "/new/f", .chmod = "go-r",
	  .want = "new/\nnew/f=1 0600\n" },
	{ .name = "symbolic X", .source = "d/ 0700\nd/f=1 0600\nd/x=2 0700\n", .words = { "d" }, .to = "/n", .chmod = "a+rX",
	  .want = "n/\nn/f=1\nn/x=2 0755\n" },
	{ .name = "existing top stays", .source = "d/\nd/f=1\n", .dest = "n/ 0711\n", .words = { "d" }, .to = "/n", .chmod = "0600",
	  .want = "n/ 0711\nn/f=1 0600\n" },
	{ .name = "invalid", .source = "f=1\n", .words = { "f" }, .to = "/n", .chmod = "64a",
	  .error = "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777" })

CASES_TEST(owners_are_roots_kept_or_chowned,
	{ .name = "context", .source = "d/ @5:6\nd/f=1 @7:8\nd/l->f @9:9\n", .words = { "d" }, .to = "/n",
	  .want = "n/\nn/f=1\nn/l->f\n" },
	{ .name = "stage", .source = "d/ @5:6\nd/f=1 @7:8\nd/l->f @9:9\n", .words = { "d" }, .to = "/n", .keeps_owner = true,
	  .want = "n/ @5:6\nn/f=1 @7:8\nn/l->f @9:9\n" },
	{ .name = "stage keeps set-id bits", .source = "f=1 @7:8 06755\n", .words = { "f" }, .to = "/n", .keeps_owner = true,
	  .want = "n=1 6755 @7:8\n" },
	{ .name = "chown", .source = "d/\nd/f=1\n", .words = { "d" }, .to = "/p/n", .owner = "3:4",
	  .want = "p/ @3:4\np/n/ @3:4\np/n/f=1 @3:4\n" },
	{ .name = "chown of links", .source = "d/\nd/l->x\n", .words = { "d" }, .to = "/n/", .owner = "3:4",
	  .want = "n/ @3:4\nn/l->x @3:4\n" },
	{ .name = "chown leaves existing parents", .source = "f=1\n", .dest = "p/ @9:9\n", .words = { "f" }, .to = "/p/q/f",
	  .owner = "3:4", .want = "p/ @9:9\np/q/ @3:4\np/q/f=1 @3:4\n" },
	{ .name = "existing top keeps its owner", .source = "d/\nd/f=1\n", .dest = "n/ @9:9\n", .words = { "d" }, .to = "/n",
	  .want = "n/ @9:9\nn/f=1\n" },
	{ .name = "chown keeps set-id bits", .source = "f=1 04755\n", .words = { "f" }, .to = "/n", .owner = "3:4",
	  .want = "n=1 4755 @3:4\n" })

CASES_TEST(hard_links_within_one_copy_stay_links,
	{ .name = "in a directory", .source = "d/\nd/a=x\nd/b==d/a\n", .words = { "d" }, .to = "/n", .want = "n/\nn/a=x\nn/b==n/a\n" },
	{ .name = "across items", .source = "a=x\nd/\nd/b==a\n", .words = { "a", "d" }, .to = "/n/",
	  .want = "n/\nn/a=x\nn/b==n/a\n" },
	{ .name = "not with what is left behind", .source = "a=x\nb==a\n", .words = { "b" }, .to = "/n", .want = "n=x\n" },
	{ .name = "overwritten first name", .source = "d/\nd/a=x\nd/b==d/a\ne/\ne/a=y\n", .words = { "d", "e" }, .to = "/n/",
	  .want = "n/\nn/a=y\nn/b=x\n" })

CASES_TEST(special_files_are_copied_and_sockets_become_files,
	{ .name = "socket", .source = "s!s\n", .words = { "s" }, .to = "/n", .want = "n= 0755\n" },
	{ .name = "fifo", .source = "d/\nd/p!p\n", .words = { "d" }, .to = "/n", .want = "n/\nn/p!p\n" })

/* clang-format on */

/* ---- what planted.h has no words for ---- */

struct pair {
	int source_fd, root_fd;
};

static int copy_word(const struct pair *pair, const char *word, const char *to, int64_t clamp, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct source source = { .root = { pair->source_fd, ROOT_CHROOT } };
	struct root dest = { pair->root_fd, ROOT_CHROOT };
	struct copy_spec spec = { .sources = &word, .source_count = 1, .dest = to };
	struct copy_options options = { .clamp = clamp };
	struct copy_plan plan;

	TRY(copy_select(&arena, &source, &spec, &plan, err));
	return copy_run(&source, &plan, &dest, &options, err);
}

static int open_pair(struct lab *lab, struct pair *pair, struct err *err)
{
	pair->source_fd = lab_dir(lab->dir_fd, "source", err);
	pair->root_fd = lab_dir(lab->dir_fd, "root", err);
	return pair->source_fd < 0 || pair->root_fd < 0 ? -1 : 0;
}

static bool has_mtime(int dir_fd, const char *path, int64_t seconds)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec == seconds;
}

static int times(struct lab *lab, struct err *err)
{
	struct pair pair;

	TRY(open_pair(lab, &pair, err));
	TRY(plant(pair.source_fd, "d/\nd/f=x t=1000\nd/late=x t=5000\nd/l->f t=2000\nd/e/\nd/e/g=y t=7\n", err));
	TRY(plant_attributes(pair.source_fd, "d/e", (char[]){ "t=3000" }, err));
	TRY(plant_attributes(pair.source_fd, "d", (char[]){ "t=4000" }, err));
	TRY(plant(pair.root_fd, "there/\n", err));
	TRY(copy_word(&pair, "d", "/n", INT64_MAX, err));
	CHECK(has_mtime(pair.root_fd, "n/f", 1000) && has_mtime(pair.root_fd, "n/l", 2000));
	CHECK(has_mtime(pair.root_fd, "n/e", 3000) && has_mtime(pair.root_fd, "n", 4000));
	/* An existing top directory keeps all but its time. */
	TRY(copy_word(&pair, "d", "/there", INT64_MAX, err));
	CHECK(has_mtime(pair.root_fd, "there", 4000));
	TRY(copy_word(&pair, "d", "/clamped", 2500, err));
	CHECK(has_mtime(pair.root_fd, "clamped/late", 2500) && has_mtime(pair.root_fd, "clamped/f", 1000));
	CHECK(has_mtime(pair.root_fd, "clamped/e", 2500) && has_mtime(pair.root_fd, "clamped", 2500));
	return 0;
}

static void times_are_the_sources_but_not_later_than_the_clamp(void **state)
{
	run_in_lab(state, times);
}

static int xattrs(struct lab *lab, struct err *err)
{
	struct pair pair;
	char value[16];

	TRY(open_pair(lab, &pair, err));
	TRY(plant(pair.source_fd, "d/\nd/f=x\n", err));
	scope_fd int dir_fd = openat(pair.source_fd, "d", O_RDONLY | O_CLOEXEC);
	scope_fd int file_fd = openat(pair.source_fd, "d/f", O_RDONLY | O_CLOEXEC);
	CHECK(fsetxattr(dir_fd, "user.dir", "1", 1, 0) == 0 && fsetxattr(file_fd, "user.file", "22", 2, 0) == 0);
	CHECK(fsetxattr(file_fd, "user.overlay.opaque", "y", 1, 0) == 0);
	TRY(copy_word(&pair, "d", "/n", INT64_MAX, err));
	scope_fd int dir_copy = openat(pair.root_fd, "n", O_RDONLY | O_CLOEXEC);
	scope_fd int file_copy = openat(pair.root_fd, "n/f", O_RDONLY | O_CLOEXEC);
	CHECK(fgetxattr(dir_copy, "user.dir", value, sizeof(value)) == 1);
	CHECK(fgetxattr(file_copy, "user.file", value, sizeof(value)) == 2);
	CHECK(fgetxattr(file_copy, "user.overlay.opaque", value, sizeof(value)) < 0);
	return 0;
}

static void extended_attributes_go_along_but_no_bookkeeping(void **state)
{
	run_in_lab(state, xattrs);
}

static int sparse(struct lab *lab, struct err *err)
{
	struct pair pair;
	struct stat st;
	char bytes[5];

	TRY(open_pair(lab, &pair, err));
	scope_fd int fd = openat(pair.source_fd, "big", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(ftruncate(fd, 1LL << 33) == 0 && pwrite(fd, "here", 4, 1LL << 32) == 4);
	TRY(copy_word(&pair, "big", "/big", INT64_MAX, err));
	CHECK(fstatat(pair.root_fd, "big", &st, 0) == 0 && st.st_size == 1LL << 33 && st.st_blocks < 1024);
	scope_fd int copy_fd = openat(pair.root_fd, "big", O_RDONLY | O_CLOEXEC);
	CHECK(pread(copy_fd, bytes, 4, 1LL << 32) == 4 && memcmp(bytes, "here", 4) == 0);
	return 0;
}

static void holes_stay_holes(void **state)
{
	run_in_lab(state, sparse);
}

static int odd_names(struct lab *lab, struct err *err)
{
	static const char *const names[] = { "-rf", "a\nb", "\xff\xfe", "*", "..." };
	struct pair pair;
	char longest[NAME_MAX + 1];

	TRY(open_pair(lab, &pair, err));
	CHECK(mkdirat(pair.source_fd, "d", 0755) == 0);
	scope_fd int dir_fd = openat(pair.source_fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(longest, 'n', NAME_MAX);
	longest[NAME_MAX] = '\0';
	TRY(plant_file(dir_fd, longest, "long", err));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		TRY(plant_file(dir_fd, names[i], names[i], err));
	TRY(copy_word(&pair, "d", "/n", INT64_MAX, err));
	scope_fd int copy_fd = openat(pair.root_fd, "n", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TRY(lab_text(copy_fd, longest, "long", err));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		TRY(lab_text(copy_fd, names[i], names[i], err));
	return 0;
}

static void names_are_bytes(void **state)
{
	run_in_lab(state, odd_names);
}

static int here_documents(struct lab *lab, struct err *err)
{
	scope_fd int root_fd = lab_dir(lab->dir_fd, "root", err);
	struct root dest = { root_fd, ROOT_CHROOT };
	struct copy_options plain = { .clamp = 1000 }, owned = { .clamp = INT64_MAX, .chmod = "u+x" };
	scope_strbuf struct strbuf text = { 0 };
	struct err failed = { 0 };

	TRY(plant(root_fd, "d/\nl->d\n", err));
	TRY(copy_write_file(&dest, "/a/b/", "NAME", "text", 4, &plain, err));
	TRY(copy_write_file(&dest, "/l", "INTO", "text", 4, &owned, err));
	TRY(copy_write_file(&dest, "/file", "EOF", "", 0, &plain, err));
	CHECK(has_mtime(root_fd, "a/b/NAME", 1000));
	TRY(planted(root_fd, &text, err));
	CHECK(strcmp(strbuf_str(&text), "a/\na/b/\na/b/NAME=text\nd/\nd/INTO=text 0744\nfile=\nl->d\n") == 0);
	CHECK(copy_write_file(&dest, "/file/below", "X", "", 0, &plain, &failed) < 0);
	return 0;
}

static void here_documents_follow_the_rules_of_files(void **state)
{
	run_in_lab(state, here_documents);
}

static int gone(struct lab *lab, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct pair pair;
	const char *word = "d";
	struct err failed = { 0 };

	TRY(open_pair(lab, &pair, err));
	TRY(plant(pair.source_fd, "d/\nd/f=x\n", err));
	struct source source = { .root = { pair.source_fd, ROOT_CHROOT } };
	struct root dest = { pair.root_fd, ROOT_CHROOT };
	struct copy_spec spec = { .sources = &word, .source_count = 1, .dest = "/n" };
	struct copy_options options = { .clamp = INT64_MAX };
	struct copy_plan plan;
	TRY(copy_select(&arena, &source, &spec, &plan, err));
	TRY(file_remove_tree(pair.source_fd, "d", err));
	CHECK(copy_run(&source, &plan, &dest, &options, &failed) < 0 && strstr(failed.msg, "d"));
	return 0;
}

static void what_goes_away_before_it_is_copied_is_an_error_that_names_it(void **state)
{
	run_in_lab(state, gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_file_becomes_a_path_or_goes_into_a_directory),
		scratch_test(a_directory_is_copied_by_its_contents),
		scratch_test(types_that_do_not_go_together_are_errors_in_buildkits_words),
		scratch_test(links_of_the_source_are_followed_at_the_top_and_inside_the_root_only),
		scratch_test(links_of_the_destination_are_followed_inside_the_root_only),
		scratch_test(patterns_are_gos_filepath_match),
		scratch_test(what_is_missing_or_ignored_is_named),
		scratch_test(parents_keeps_directories_from_the_pivot_on),
		scratch_test(exclude_speaks_of_paths_in_the_copied_source),
		scratch_test(chmod_changes_files_directories_and_new_parents_but_no_links),
		scratch_test(owners_are_roots_kept_or_chowned),
		scratch_test(hard_links_within_one_copy_stay_links),
		scratch_test(special_files_are_copied_and_sockets_become_files),
		scratch_test(times_are_the_sources_but_not_later_than_the_clamp),
		scratch_test(extended_attributes_go_along_but_no_bookkeeping),
		scratch_test(holes_stay_holes),
		scratch_test(names_are_bytes),
		scratch_test(here_documents_follow_the_rules_of_files),
		scratch_test(what_goes_away_before_it_is_copied_is_an_error_that_names_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
