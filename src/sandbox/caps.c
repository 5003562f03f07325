/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "caps.h"
#include "kiln/base/scope.h"

static const cap_value_t step_caps[] = {
	CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID, CAP_KILL,       CAP_NET_BIND_SERVICE,
	CAP_SETFCAP, CAP_SETGID,       CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT,
};

static void free_caps(const cap_t *caps)
{
	int saved = errno;

	cap_free(*caps);
	errno = saved;
}
#define scope_caps __attribute__((cleanup(free_caps)))

uint64_t caps_of_step(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(step_caps); i++)
		mask |= UINT64_C(1) << step_caps[i];
	return mask;
}

bool caps_step_has(cap_value_t cap)
{
	return cap >= 0 && cap < 64 && (caps_of_step() >> cap & 1);
}

bool caps_are_effective(cap_value_t cap)
{
	scope_caps cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	return caps && cap_get_flag(caps, cap, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

/* The kernel may know more capabilities than libcap, so it is asked up to its own end. */
int caps_bound(struct err *err)
{
	int is_bound;

	for (cap_value_t cap = 0; (is_bound = cap_get_bound(cap)) >= 0; cap++) {
		if (is_bound && !caps_step_has(cap) && cap_drop_bound(cap) < 0)
			return err_errno(err, "take capability %d out of the bounding set", cap);
	}
	return 0;
}

int caps_set(uint64_t mask, struct err *err)
{
	scope_caps cap_t caps = cap_init();

	if (!caps)
		return err_errno(err, "set capabilities");
	for (cap_value_t cap = 0; cap < 64; cap++) {
		if ((mask >> cap & 1) && (cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
					  cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0))
			return err_errno(err, "set capabilities");
	}
	if (cap_reset_ambient() < 0 || cap_set_proc(caps) < 0)
		return err_errno(err, "set capabilities");
	return 0;
}
