/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "kiln/base/scope.h"

#include "terminal.h"

struct relay {
	int master_fd, slave_fd;
	bool is_interactive;
	char typed[4096]; /* what the step's side had no room for yet */
	size_t typed_len;
};

/* For the signal handler. */
static int master_fd = -1;

static void copy_size(int signal)
{
	int saved = errno;
	struct winsize size;

	(void)signal;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		ioctl(master_fd, TIOCSWINSZ, &size);
	errno = saved;
}

/* ---- the child that copies ---- */

static void make_raw(const struct termios *saved)
{
	struct termios raw = *saved;

	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static bool can_retry(void)
{
	return errno == EINTR || errno == EAGAIN;
}

/* False at the end of what is typed. */
static bool take_typed(struct relay *relay)
{
	ssize_t count = read(STDIN_FILENO, relay->typed, sizeof(relay->typed));

	relay->typed_len = count > 0 ? (size_t)count : 0;
	return count > 0 || (count < 0 && can_retry());
}

static bool give_typed(struct relay *relay)
{
	ssize_t count = write(relay->master_fd, relay->typed, relay->typed_len);

	if (count < 0)
		return can_retry();
	relay->typed_len -= (size_t)count;
	memmove(relay->typed, relay->typed + count, relay->typed_len);
	return true;
}

static bool write_out(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t count = write(STDOUT_FILENO, bytes, len);
		struct pollfd room = { STDOUT_FILENO, POLLOUT, 0 };
		if (count < 0 && !can_retry())
			return false;
		if (count < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
		bytes += count > 0 ? count : 0;
		len -= count > 0 ? (size_t)count : 0;
	}
	return true;
}

/* False when the step's side is closed everywhere: then the kernel says EIO. */
static bool copy_out(struct relay *relay)
{
	char bytes[4096];
	ssize_t count = read(relay->master_fd, bytes, sizeof(bytes));

	if (count <= 0)
		return count < 0 && can_retry();
	return write_out(bytes, (size_t)count);
}

static void copy(struct relay *relay)
{
	bool has_input = relay->is_interactive;

	for (;;) {
		bool is_full = relay->typed_len > 0;
		struct pollfd fds[] = {
			{ relay->master_fd, (short)(POLLIN | (is_full ? POLLOUT : 0)), 0 },
			{ has_input && !is_full ? STDIN_FILENO : -1, POLLIN, 0 },
		};
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && !copy_out(relay))
			return;
		if (fds[0].revents & POLLOUT && !give_typed(relay))
			return;
		if (fds[1].revents)
			has_input = take_typed(relay);
	}
}

static int run_relay(int channel, void *arg, struct err *err)
{
	struct relay *relay = arg;
	const struct sigaction on_size = { .sa_handler = copy_size };
	struct termios saved;

	(void)channel;
	close(relay->slave_fd);
	master_fd = relay->master_fd;
	if (sigaction(SIGWINCH, &on_size, NULL) < 0 || fcntl(master_fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_errno(err, "set up the copying of the terminal");
	copy_size(SIGWINCH);
	bool is_raw = relay->is_interactive && tcgetattr(STDIN_FILENO, &saved) == 0;
	if (is_raw)
		make_raw(&saved);
	copy(relay);
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	return 0;
}

/* ---- the caller's side ---- */

int terminal_open(struct terminal *terminal, bool is_interactive, struct err *err)
{
	struct relay relay = { .is_interactive = is_interactive };

	if (is_interactive && !isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE, "the input device is not a TTY");
	scope_fd int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || unlockpt(master) < 0)
		return err_errno(err, "make a terminal");
	/* By the descriptor: its path may be of another devpts. */
	scope_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(err, "open the other side of a terminal");
	master_fd = master;
	copy_size(SIGWINCH);
	relay.master_fd = master;
	relay.slave_fd = slave;
	if (proc_fork(&terminal->relay, run_relay, &relay, err) < 0)
		return -1;
	terminal->fd = slave;
	slave = -1;
	return 0;
}

void terminal_close(struct terminal *terminal)
{
	if (terminal->fd < 0)
		return;
	close(terminal->fd);
	terminal->fd = -1;
	if (proc_wait(&terminal->relay, NULL, NULL) < 0)
		proc_kill(&terminal->relay);
}
