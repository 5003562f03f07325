/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A fuzz target without libFuzzer: runs the files that it is given through the target once, so that `make check` replays
 * every corpus with any compiler. With --enable-fuzzing, libFuzzer's own main does the same with file arguments.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 << 20 };

static int replay(const char *path)
{
	FILE *file = fopen(path, "re");
	if (!file) {
		perror(path);
		return -1;
	}
	uint8_t *data = malloc(INPUT_MAX);
	size_t size = data ? fread(data, 1, INPUT_MAX, file) : 0;
	int failed = ferror(file) || !feof(file);
	fclose(file);
	/* A copy of the exact size lets AddressSanitizer see a read past the end. */
	uint8_t *exact = failed ? NULL : realloc(data, size ? size : 1);
	if (!exact) {
		fprintf(stderr, "%s: cannot be read, or is larger than %d bytes\n", path, INPUT_MAX);
		free(data);
		return -1;
	}
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			status = 1;
	return status;
}
