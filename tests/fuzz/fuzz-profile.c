/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../src/sandbox/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A seccomp profile that is accepted has only rules that libseccomp can be asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct profile_host host = { .arch = SCMP_ARCH_X86_64, .kernel_major = 6, .kernel_minor = 1 };
	struct arena arena = { 0 };
	struct profile profile;
	struct err err = { 0 };

	if (profile_parse(&arena, (const char *)data, size, &host, &profile, &err) < 0) {
		assert(err.kind != ERR_NONE && err.msg[0]);
		arena_release(&arena);
		return 0;
	}
	assert(profile.arch_count >= 1 && profile.arch_count <= PROFILE_ARCHES_MAX);
	assert(profile.arches[0] == host.arch);
	for (size_t i = 0; i < profile.rule_count; i++) {
		const struct profile_rule *rule = &profile.rules[i];
		assert(rule->name_count > 0);
		assert(rule->arg_count <= 6);
		for (size_t k = 0; k < rule->name_count; k++)
			assert(rule->names[k]);
		for (unsigned k = 0; k < rule->arg_count; k++)
			assert(rule->args[k].arg < 6);
	}
	arena_release(&arena);
	return 0;
}
