/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <string.h>

#include "kiln/base/library.h"

int library_load(const char *file, const struct library_function *functions, size_t count, struct err *err)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_set(err, ERR_UNSUPPORTED, "the library %s is needed and cannot be loaded: %s", file,
			       dlerror());
	for (size_t i = 0; i < count; i++) {
		void *function = dlsym(handle, functions[i].name);

		if (!function)
			return err_set(err, ERR_UNSUPPORTED, "the library %s is too old: it has no %s", file,
				       functions[i].name);
		/* ISO C does not convert an object's pointer to a function's; POSIX has dlsym. */
		memcpy(functions[i].pointer, &function, sizeof(function));
	}
	return 0;
}
