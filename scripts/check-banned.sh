#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Calls that kiln does not make. Some are unsafe anywhere; the plain ones that take a path are for base/ alone, because a
# path that an image names must be resolved beneath its root (kiln/base/root.h).
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

anywhere='strcpy stpcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll gmtime localtime asctime ctime
	mktemp tmpnam tempnam tmpfile realpath canonicalize_file_name system popen alloca rand srand setjmp longjmp'
outside_base='open open64 creat stat lstat chmod lchown chown rename mkdir rmdir unlink remove link symlink readlink mknod
	mkfifo opendir fopen freopen truncate chdir mkstemp mkdtemp utime utimes setxattr lsetxattr getxattr lgetxattr
	listxattr llistxattr removexattr lremovexattr access nftw ftw'

# Paths that the kernel made, not an image: "FILE:.*CALL" as extended regular expressions.
kernels_paths='
^src/layer/node.c:.*fopen\(map,
^src/store/compare.c:.*getxattr\(path,
^[^:]*:[0-9]*:.*\(proc_path\(
^src/sandbox/emulate-[a-z]*.c:.*xattr\((path,|fd_path\()
'

# Comments and strings name functions too: they are blanked before the search, line numbers stay.
code() {
	awk '
	{
		line = $0; out = ""
		while (length(line) > 0) {
			if (in_comment) {
				end = index(line, "*/")
				if (end == 0) { line = ""; break }
				in_comment = 0; line = substr(line, end + 2); continue
			}
			c = substr(line, 1, 1)
			if (substr(line, 1, 2) == "/*") { in_comment = 1; line = substr(line, 3); continue }
			if (substr(line, 1, 2) == "//") { line = ""; break }
			if (c == "\"" || c == "\047") {
				quote = c; line = substr(line, 2)
				while (length(line) > 0 && substr(line, 1, 1) != quote)
					line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
				line = substr(line, 2); out = out quote quote; continue
			}
			out = out c; line = substr(line, 2)
		}
		printf "%s:%d:%s\n", FILENAME, FNR, out
	}' "$@"
}

# A member (file->open, ops.stat), and a declaration's own name with a prefix (root_open), are not these calls.
calls() {
	local words pattern
	words=$(printf '%s' "$1" | tr -s ' \t\n' '|')
	shift
	pattern="(^|[^A-Za-z0-9_.>])($words)[[:space:]]*\\("
	code "$@" | grep -E "^[^:]*:[0-9]*:.*$pattern" | grep -vE '^[^:]*:[0-9]*:[[:space:]]*#' |
		grep -vEf <(printf '%s' "$kernels_paths" | sed '/^$/d')
	return 0
}

everything=$(find src include tests/unit tests/fuzz -name '*.[ch]' | sort)
above_base=$(find src include -name '*.[ch]' ! -path 'src/base/*' | sort)

# shellcheck disable=SC2086 # lists of files, here and below
check "nothing calls a function that is never safe" calls "$anywhere" $everything
# shellcheck disable=SC2086
check "only base/ makes calls that take a plain path" calls "$outside_base" $above_base
# shellcheck disable=SC2086
check "nothing jumps but to out:" awk '/(^|[^A-Za-z0-9_])goto [a-z_]+;/ && !/goto out;/ { print FILENAME ":" FNR ": " $0 }' $everything
# shellcheck disable=SC2086
check "every file begins with its licence" awk 'FNR == 1 && !/SPDX-License-Identifier: Apache-2.0/ { print FILENAME }' $everything
finish
