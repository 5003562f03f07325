/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

#include "decode.h"

/*
 * Writing gzip. Every MiB is a member of its own, so members can be compressed side by side and the result depends on
 * the input alone. The jobs form a ring: the caller's thread fills them and writes them out in order, workers compress
 * them in between. Workers start with the first full member, so that a process that writes little stays one that may
 * fork; where threads cannot be had the caller's thread compresses.
 */

#define LEVEL       6
#define MEMBER_SIZE ((size_t)1 << 20)
#define THREADS_MAX 8
#define JOBS_MAX    (THREADS_MAX + 2)

enum job_state { JOB_EMPTY, JOB_FILLED, JOB_TAKEN, JOB_DONE };

struct job {
	enum job_state state; /* under the lock */
	uint8_t *in, *out;
	size_t in_len, out_len, out_cap;
};

struct gzip_writer {
	struct writer base;
	struct writer *below;
	struct job jobs[JOBS_MAX];
	size_t job_count;
	size_t filling, writing; /* places in the ring, for the caller's thread */
	size_t pending;          /* jobs submitted and not yet written */
	bool has_members;

	struct libdeflate_compressor *compressor; /* the caller's thread's own */
	pthread_t workers[THREADS_MAX];
	unsigned wanted, running;
	bool has_tried;
	pthread_mutex_t lock;
	pthread_cond_t filled, done;
	size_t next; /* job to be taken by a worker, under the lock */
	bool is_over;
};

const char *gzip_compressor(void)
{
	_Static_assert(LEVEL == 6, "the name says the level");
	return "libdeflate-" LIBDEFLATE_VERSION_STRING "/6";
}

static struct libdeflate_compressor *compressor_new(void)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);

	if (!compressor)
		abort();
	return compressor;
}

static void compress_job(struct libdeflate_compressor *compressor, struct job *job)
{
	job->out_len = libdeflate_gzip_compress(compressor, job->in, job->in_len, job->out, job->out_cap);
	/* out has libdeflate's own bound. */
	assert(job->out_len > 0);
}

/* ---- workers ---- */

static void *work(void *arg)
{
	struct gzip_writer *writer = arg;
	struct libdeflate_compressor *compressor = compressor_new();

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		struct job *job = &writer->jobs[writer->next];
		if (job->state == JOB_FILLED) {
			job->state = JOB_TAKEN;
			writer->next = (writer->next + 1) % writer->job_count;
			pthread_mutex_unlock(&writer->lock);
			compress_job(compressor, job);
			pthread_mutex_lock(&writer->lock);
			job->state = JOB_DONE;
			pthread_cond_signal(&writer->done);
		} else if (writer->is_over) {
			break;
		} else {
			pthread_cond_wait(&writer->filled, &writer->lock);
		}
	}
	pthread_mutex_unlock(&writer->lock);
	libdeflate_free_compressor(compressor);
	return NULL;
}

/* Signals are for the caller's thread. */
static void start_workers(struct gzip_writer *writer)
{
	sigset_t all, before;

	writer->has_tried = true;
	writer->next = writer->filling;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (writer->running < writer->wanted &&
	       pthread_create(&writer->workers[writer->running], NULL, work, writer) == 0)
		writer->running++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop_workers(struct gzip_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->is_over = true;
	pthread_cond_broadcast(&writer->filled);
	pthread_mutex_unlock(&writer->lock);
	for (unsigned i = 0; i < writer->running; i++)
		pthread_join(writer->workers[i], NULL);
	writer->running = 0;
}

/* ---- the ring ---- */

static void set_state(struct gzip_writer *writer, struct job *job, enum job_state state)
{
	pthread_mutex_lock(&writer->lock);
	job->state = state;
	if (state == JOB_FILLED)
		pthread_cond_signal(&writer->filled);
	pthread_mutex_unlock(&writer->lock);
}

static void job_submit(struct gzip_writer *writer)
{
	struct job *job = &writer->jobs[writer->filling];

	if (writer->wanted > 1 && !writer->has_tried && job->in_len == MEMBER_SIZE)
		start_workers(writer);
	if (writer->running > 0) {
		set_state(writer, job, JOB_FILLED);
	} else {
		compress_job(writer->compressor, job);
		set_state(writer, job, JOB_DONE);
	}
	writer->filling = (writer->filling + 1) % writer->job_count;
	writer->pending++;
	writer->has_members = true;
}

static bool oldest_is_done(struct gzip_writer *writer, bool waits)
{
	const struct job *job = &writer->jobs[writer->writing];

	pthread_mutex_lock(&writer->lock);
	while (waits && job->state != JOB_DONE)
		pthread_cond_wait(&writer->done, &writer->lock);
	bool is_done = job->state == JOB_DONE;
	pthread_mutex_unlock(&writer->lock);
	return is_done;
}

/* Writes what is done, in order, and waits until at most `keep` jobs are pending. */
static int write_done(struct gzip_writer *writer, size_t keep, struct err *err)
{
	while (writer->pending > 0 && oldest_is_done(writer, writer->pending > keep)) {
		struct job *job = &writer->jobs[writer->writing];
		if (writer->below->write(writer->below, job->out, job->out_len, err) < 0)
			return -1;
		job->in_len = 0;
		set_state(writer, job, JOB_EMPTY);
		writer->writing = (writer->writing + 1) % writer->job_count;
		writer->pending--;
	}
	return 0;
}

static void job_prepare(struct job *job, struct libdeflate_compressor *compressor)
{
	if (job->in)
		return;
	job->in = stream_alloc(MEMBER_SIZE);
	job->out_cap = libdeflate_gzip_compress_bound(compressor, MEMBER_SIZE);
	job->out = stream_alloc(job->out_cap);
}

/* ---- the writer ---- */

static int gzip_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	struct gzip_writer *writer = (struct gzip_writer *)base;
	const uint8_t *next = bytes;

	while (len > 0) {
		struct job *job = &writer->jobs[writer->filling];
		job_prepare(job, writer->compressor);
		size_t room = MEMBER_SIZE - job->in_len, count = len < room ? len : room;
		memcpy(job->in + job->in_len, next, count);
		job->in_len += count;
		next += count;
		len -= count;
		if (job->in_len < MEMBER_SIZE)
			break;
		job_submit(writer);
		if (write_done(writer, writer->job_count - 1, err) < 0)
			return -1;
	}
	return 0;
}

/* Empty input gives one empty member: an empty file is not gzip. */
static int gzip_finish(struct writer *base, struct err *err)
{
	struct gzip_writer *writer = (struct gzip_writer *)base;
	struct job *job = &writer->jobs[writer->filling];

	if (job->in_len > 0 || !writer->has_members) {
		job_prepare(job, writer->compressor);
		job_submit(writer);
	}
	if (write_done(writer, 0, err) < 0)
		return -1;
	return writer->below->finish(writer->below, err);
}

static void gzip_close(struct writer *base)
{
	struct gzip_writer *writer = (struct gzip_writer *)base;

	stop_workers(writer);
	for (size_t i = 0; i < writer->job_count; i++) {
		free(writer->jobs[i].in);
		free(writer->jobs[i].out);
	}
	libdeflate_free_compressor(writer->compressor);
	pthread_cond_destroy(&writer->filled);
	pthread_cond_destroy(&writer->done);
	pthread_mutex_destroy(&writer->lock);
	scope_close_writer(&writer->below);
	free(writer);
}

unsigned compress_threads(unsigned wanted)
{
	cpu_set_t cpus;

	if (wanted == 0)
		wanted = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
	return wanted > THREADS_MAX ? THREADS_MAX : wanted;
}

struct writer *writer_gzip(struct writer *below, unsigned threads)
{
	struct gzip_writer *writer = stream_alloc(sizeof(*writer));

	writer->base = (struct writer){ gzip_write, gzip_finish, gzip_close };
	writer->below = below;
	writer->wanted = compress_threads(threads);
	writer->job_count = writer->wanted > 1 ? writer->wanted + 2 : 1;
	writer->compressor = compressor_new();
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->filled, NULL);
	pthread_cond_init(&writer->done, NULL);
	return &writer->base;
}
