/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -o: an archive or directory of the image, or its root file system. */

static int save_image(struct build *build, const struct build_output *output, const struct digest *image, int fd,
		      struct err *err)
{
	const struct build_spec *spec = build->spec;
	const char *const *names = output->names ? output->names : spec->tag_count ? spec->tags : NULL;
	/* One image under several names: an entry per name (testOCILayoutMultiname). */
	size_t count = output->names ? output->name_count : spec->tag_count ? spec->tag_count : 1;
	struct digest *images = arena_array(build->arena, struct digest, count);
	for (size_t i = 0; i < count; i++)
		images[i] = *image;
	struct save_spec save = {
		.format = output->type == BUILD_OUTPUT_DOCKER    ? SAVE_DOCKER_ARCHIVE
			  : output->type == BUILD_OUTPUT_OCI_DIR ? SAVE_OCI_DIR
								 : SAVE_OCI_ARCHIVE,
		.images = images,
		.names = names,
		.count = count,
		.out_fd = fd,
		.out_path = output->dest,
		.epoch = build->epoch,
		.descriptor_annotations = spec->descriptor_annotations,
	};
	return image_save(build->store, build->arena, &save, NULL, err);
}

static int tar_rootfs(struct build *build, int fd, const char *name, struct err *err)
{
	size_t count;
	const int *lowers = stage_lowers(build, build->target, &count);
	scope_writer struct writer *out = writer_fd(fd, false, name);
	if (layer_tar_stack(lowers, count, build->clamp, out, err) < 0)
		return -1;
	return out->finish(out, err);
}

struct local_task {
	struct build *build;
	int fd;
};

static int tar_job(int channel, void *arg, struct err *err)
{
	(void)channel;
	const struct local_task *task = arg;
	return tar_rootfs(task->build, task->fd, "the root file system", err);
}

/* mode=delete: what the result does not have goes, and the simplest way is all of it. */
static int empty_directory(int dir_fd, struct err *err)
{
	int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = own_fd < 0 ? NULL : fdopendir(own_fd);
	if (!stream)
		return err_errno(err, "list the output directory");
	for (const struct dirent *entry; (entry = readdir(stream));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    file_remove_tree(dir_fd, entry->d_name, err) < 0)
			return err_wrap(err, "empty the output directory");
	return 0;
}

/* The files become the caller's own, as docker's local exporter does for a user who is not root: he could not remove
   files of his sub-ids. */
static int write_local(struct build *build, const struct build_output *output, struct err *err)
{
	if (mkdirat(AT_FDCWD, output->dest, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "make the directory %s", output->dest);
	scope_fd int dir = file_open_user(output->dest, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir < 0 || (output->is_mirror && empty_directory(dir, err) < 0))
		return -1;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	scope_fd int read_end = ends[0];
	scope_fd int write_end = ends[1];
	scope_proc struct proc child = PROC_EMPTY;
	struct local_task task = { build, write_end };
	if (proc_fork(&child, tar_job, &task, err) < 0)
		return -1;
	close(take_fd(&write_end));
	struct layer_apply_options options = { .flags = LAYER_APPLY_PLAIN, .override_owner = true };
	struct layer_stats stats;
	scope_reader struct reader *tar = reader_fd(read_end, false, "the root file system");
	if (layer_apply(tar, dir, &options, "the root file system", &stats, err) < 0)
		return err_wrap(err, "write to %s", output->dest);
	return proc_wait(&child, NULL, err);
}

static int write_archive(struct build *build, const struct build_output *output, const struct digest *image, int fd,
			 struct err *err)
{
	if (output->type == BUILD_OUTPUT_TAR)
		return tar_rootfs(build, fd, output->dest, err);
	return save_image(build, output, image, fd, err);
}

/* A regular file appears whole; a pipe or device is written to as it is. */
static int write_file(struct build *build, const struct build_output *output, const struct digest *image,
		      struct err *err)
{
	struct stat st;
	if (fstatat(AT_FDCWD, output->dest, &st, 0) == 0 && !S_ISREG(st.st_mode)) {
		scope_fd int fd = file_open_user(output->dest, O_WRONLY, 0, err);
		return fd < 0 ? -1 : write_archive(build, output, image, fd, err);
	}
	const char *base = path_base(output->dest);
	const char *parent = base == output->dest
				     ? "."
				     : arena_strndup(build->arena, output->dest, (size_t)(base - output->dest));
	scope_fd int dir = file_open_user(parent, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir < 0)
		return err_wrap(err, "write %s", output->dest);
	scope_new_file struct new_file file = NEW_FILE_EMPTY;
	if (new_file_create(&file, dir, 0644, err) < 0 || write_archive(build, output, image, file.fd, err) < 0)
		return err_wrap(err, "write %s", output->dest);
	return new_file_publish(&file, base, false, err);
}

int export_outputs(struct build *build, const struct digest *image, struct err *err)
{
	for (size_t i = 0; i < build->spec->output_count; i++) {
		const struct build_output *output = &build->spec->outputs[i];
		int written = 0;
		if (output->type == BUILD_OUTPUT_IMAGE || output->type == BUILD_OUTPUT_NONE)
			continue;
		if (output->type == BUILD_OUTPUT_LOCAL)
			written = write_local(build, output, err);
		else if (output->type == BUILD_OUTPUT_OCI_DIR)
			written = save_image(build, output, image, -1, err);
		else if (strcmp(output->dest, "-") == 0)
			written = write_archive(build, output, image, STDOUT_FILENO, err);
		else
			written = write_file(build, output, image, err);
		if (written < 0)
			return -1;
	}
	return 0;
}
