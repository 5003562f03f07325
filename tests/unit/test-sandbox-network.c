/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* Modes, and the private network of a build. No packet leaves the machine. */

static void modes_have_names(void **state)
{
	static const struct {
		const char *name;
		enum network_mode mode;
	} table[] = { { "host", NETWORK_HOST },
		      { "none", NETWORK_NONE },
		      { "private", NETWORK_PRIVATE },
		      { "default", NETWORK_HOST } };
	enum network_mode mode;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_ok(network_mode_parse(&mode, table[i].name, &err), err);
		assert_int_equal(mode, table[i].mode);
		if (strcmp(table[i].name, "default") != 0)
			assert_string_equal(network_mode_name(mode), table[i].name);
	}
	assert_int_equal(network_mode_parse(&mode, "bridge", &err), -1);
	assert_string_equal(err.msg, "invalid network mode \"bridge\": host, none or private");
	assert_int_equal(network_mode_parse(&mode, "", &err), -1);
}

static void a_network_that_was_not_started_can_be_stopped(void **state)
{
	struct network network = NETWORK_EMPTY;

	(void)state;
	network_stop(&network);
	network_stop(&network);
	assert_int_equal(network.netns_fd, -1);
}

/* ---- helpers that fail ---- */

/* A program of the test takes the place of slirp4netns and pasta. */
static void put_helper(const struct scratch *scratch, const char *name, const char *script)
{
	put_file(scratch->fd, name, script);
	assert_int_equal(fchmodat(scratch->fd, name, 0755, 0), 0);
}

static void a_helper_that_fails_is_named_with_its_last_words(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *path = strdup(getenv("PATH"));
	struct network network;
	struct err err = { 0 };

	put_helper(scratch, "slirp4netns", "#!/bin/sh\necho first >&2\necho 'no tap for you' >&2\nexit 1\n");
	put_helper(scratch, "pasta", "#!/bin/sh\nkill -9 $$\n");
	setenv("PATH", scratch->path, 1);
	int result = network_start(&network, &err);
	setenv("PATH", path, 1);
	assert_int_equal(result, -1);
	assert_string_equal(err.msg,
			    "start the private network: slirp4netns failed: no tap for you; pasta failed: it ended "
			    "without a word");
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_int_equal(network.netns_fd, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* R17: never a hang. */
static void a_helper_that_does_not_come_up_is_given_up(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *path = strdup(getenv("PATH"));
	struct network network;
	struct err err = { 0 };
	time_t before = time(NULL);

	put_helper(scratch, "slirp4netns", "#!/bin/sh\necho thinking >&2\nexec /bin/sleep 100\n");
	put_helper(scratch, "pasta", "#!/bin/sh\nexit 3\n");
	setenv("PATH", scratch->path, 1);
	int result = network_start(&network, &err);
	setenv("PATH", path, 1);
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.msg, "slirp4netns did not come up within 10 seconds: thinking"));
	assert_true(time(NULL) - before < 20);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* ---- the real one ---- */

/* T-N1: what listens on the host's loopback and in its abstract namespace is not to be reached. */
struct listeners {
	int tcp_fd, unix_fd;
	unsigned port;
};

static struct listeners listen_on_host(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "\0kiln-test-canary" };
	socklen_t len = sizeof(in);
	struct listeners listeners = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
				       socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0 };

	assert_int_equal(bind(listeners.tcp_fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listeners.tcp_fd, 5), 0);
	assert_int_equal(getsockname(listeners.tcp_fd, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(bind(listeners.unix_fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(listeners.unix_fd, 5), 0);
	listeners.port = ntohs(in.sin_port);
	return listeners;
}

/* Whoever gets through is told goodbye. */
static int hang_up(int channel, void *arg, struct err *err)
{
	const struct listeners *listeners = arg;
	int fd;

	(void)channel;
	while ((fd = accept4(listeners->tcp_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	return err_errno(err, "accept");
}

static void assert_private_network_works(void **state, struct network *network)
{
	struct listeners listeners = listen_on_host();
	struct step step = step_in(state);
	struct proc acceptor = PROC_EMPTY;
	char script[512];

	assert_ok(proc_fork(&acceptor, hang_up, &listeners, &step.err), step.err);
	/* From the host's network both are to be seen: the test would notice. */
	snprintf(script, sizeof(script),
		 "grep -c kiln-test-canary /proc/net/unix; nc 127.0.0.1 %u < /dev/null && echo reached",
		 listeners.port);
	run_script(&step, script);
	assert_output(&step, "1\nreached\n");

	step.cage.network = NETWORK_PRIVATE;
	step.cage.netns_fd = network->netns_fd;
	step.cage.resolv_conf = network->resolv_conf;
	snprintf(script, sizeof(script),
		 "grep -c kiln-test-canary /proc/net/unix; for a in 127.0.0.1 10.0.2.2; do"
		 " nc -w 2 $a %u < /dev/null 2>/dev/null && echo reached $a; done;"
		 " ls /sys/class/net | wc -l; cut -f2 /proc/net/route | grep -c 00000000;"
		 " nc -l -p 80 -e echo own & for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 80 </dev/null 2>/dev/null && "
		 "break; sleep 0.5; done; wait",
		 listeners.port);
	run_script(&step, script);
	assert_output(&step, "0\n2\n1\nown\n");
	run_script(&step, "grep -c nameserver /etc/resolv.conf");
	assert_true(step.output[0] != '0');
	/* A second step is in the same one. */
	run_script(&step, "ls /sys/class/net | wc -l");
	assert_output(&step, "2\n");
	proc_kill(&acceptor);
	close(listeners.tcp_fd);
	close(listeners.unix_fd);
	step_end(&step);
}

static void a_private_network_is_apart_from_the_hosts(void **state)
{
	struct network network;
	struct err err = { 0 };

	assert_ok(network_start(&network, &err), err);
	assert_true(network.helper.pid > 0);
	assert_private_network_works(state, &network);
	network_stop(&network);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* pasta needs a host with a default route; slirp4netns does not. */
static bool host_has_route(void)
{
	scope_strbuf struct strbuf text = { 0 };

	return file_read(AT_FDCWD, "/proc/net/route", 1 << 20, &text, NULL) == 0 &&
	       strstr(strbuf_str(&text), "\t00000000\t");
}

static void so_is_that_of_the_second_helper(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *path = strdup(getenv("PATH"));
	scope_strbuf struct strbuf search = { 0 };
	struct network network;
	struct err err = { 0 };

	put_helper(scratch, "slirp4netns", "#!/bin/sh\nexit 1\n");
	strbuf_addf(&search, "%s:%s", scratch->path, path);
	setenv("PATH", strbuf_str(&search), 1);
	int result = network_start(&network, &err);
	setenv("PATH", path, 1);
	assert_ok(result, err);
	assert_private_network_works(state, &network);
	network_stop(&network);
}

static bool has_helper(const char *program)
{
	scope_strbuf struct strbuf path = { 0 };

	return faccessat(AT_FDCWD, "/dev/net/tun", R_OK | W_OK, AT_EACCESS) == 0 &&
	       proc_find(program, &path, NULL) == 0;
}

int main(void)
{
	struct CMUnitTest tests[6] = {
		cage_test(modes_have_names),
		cage_test(a_network_that_was_not_started_can_be_stopped),
		cage_test(a_helper_that_fails_is_named_with_its_last_words),
		cage_test(a_helper_that_does_not_come_up_is_given_up),
	};
	size_t count = 4;

	if (has_helper("slirp4netns"))
		tests[count++] = (struct CMUnitTest)cage_test(a_private_network_is_apart_from_the_hosts);
	if (has_helper("pasta") && host_has_route())
		tests[count++] = (struct CMUnitTest)cage_test(so_is_that_of_the_second_helper);
	if (count < ARRAY_LEN(tests))
		print_message("# without /dev/net/tun, slirp4netns, pasta or a route some tests are left out\n");
	return run_in_coordinator(tests, count, 0);
}
