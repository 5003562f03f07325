/* SPDX-License-Identifier: Apache-2.0 */
#include "build-values.h"

/* What docker build, buildx, buildah and kaniko know and kiln does not, so that a command line from there runs, or says
   why it does not. An option without a reason changes nothing that anybody sees. */

#define NO_REGISTRY "this version of kiln talks to no registry"
#define NO_LIMITS                                                                                              \
	"limits for steps are not in this version of kiln; limit kiln itself (`systemd-run --user --scope -p " \
	"MemoryMax=2G kiln build ...`), what it starts is limited with it"
#define OWN_CAGE    "a step gets the rights, devices and namespaces of kiln's cage, no more and no less"
#define OWN_DNS     "steps have the machine's resolv.conf"
#define IN_FILE     "write it in the Dockerfile, with an ARG if it changes"
#define ALWAYS_DONE "kiln always does so"

#define IGNORED_FLAG(name, note)                            \
	{                                                   \
		name, 0, OPTION_IGNORED_FLAG, 0, NULL, note \
	}
#define IGNORED(name, letter, note)                            \
	{                                                      \
		name, letter, OPTION_IGNORED, 0, "VALUE", note \
	}
#define REFUSED_FLAG(name, note)                            \
	{                                                   \
		name, 0, OPTION_REFUSED_FLAG, 0, NULL, note \
	}
#define REFUSED(name, letter, note)                            \
	{                                                      \
		name, letter, OPTION_REFUSED, 0, "VALUE", note \
	}

const struct option_spec build_foreign_options[] = {
	/* docker build and buildx. */
	IGNORED_FLAG("rm", NULL),
	IGNORED_FLAG("force-rm", NULL),
	IGNORED_FLAG("compress", NULL),
	IGNORED_FLAG("load", NULL),
	IGNORED_FLAG("disable-content-trust", NULL),
	{ "debug", 'D', OPTION_IGNORED_FLAG, 0, NULL, "`kiln --log-level debug build` says what kiln does" },
	IGNORED("builder", 0, "there is one builder, and no daemon"),
	IGNORED("memory", 'm', NO_LIMITS),
	IGNORED("memory-swap", 0, NO_LIMITS),
	IGNORED("cpu-shares", 'c', NO_LIMITS),
	IGNORED("cpu-period", 0, NO_LIMITS),
	IGNORED("cpu-quota", 0, NO_LIMITS),
	IGNORED("cpuset-cpus", 0, NO_LIMITS),
	IGNORED("cpuset-mems", 0, NO_LIMITS),
	IGNORED("security-opt", 0, OWN_CAGE),
	REFUSED("cgroup-parent", 0, NO_LIMITS),
	REFUSED("resource", 0, NO_LIMITS),
	REFUSED("policy", 0, "source policies are not in this version of kiln; pin images by digest in FROM"),
	REFUSED("source-policy-file", 0,
		"source policies are not in this version of kiln; pin images by digest in FROM"),
	REFUSED_FLAG("push",
		     "this version of kiln does not push. Write an archive with -o type=oci,dest=FILE and copy it to "
		     "the registry with `skopeo copy oci-archive:FILE docker://NAME`"),
	/* buildah. */
	IGNORED_FLAG("layers", NULL),
	IGNORED_FLAG("rewrite-timestamp", NULL),
	IGNORED_FLAG("identity-label", NULL),
	IGNORED_FLAG("tls-verify", NO_REGISTRY),
	IGNORED("authfile", 0, NO_REGISTRY),
	IGNORED("creds", 0, NO_REGISTRY),
	IGNORED("cert-dir", 0, NO_REGISTRY),
	IGNORED("retry", 0, NO_REGISTRY),
	IGNORED("retry-delay", 0, NO_REGISTRY),
	IGNORED("cache-ttl", 0, "the step cache has no age; `kiln system prune` empties it"),
	REFUSED("manifest", 0, "image indexes are not in this version of kiln; build one platform at a time"),
	REFUSED_FLAG("all-platforms", "image indexes are not in this version of kiln; build one platform at a time"),
	REFUSED_FLAG("omit-history", "the history of an image says how it was made"),
	REFUSED("from", 0, "make the base an ARG: `ARG BASE=...`, `FROM $BASE`, and --build-arg BASE=..."),
	REFUSED("env", 0, IN_FILE),
	REFUSED("unsetenv", 0, IN_FILE),
	REFUSED("unsetlabel", 0, IN_FILE),
	REFUSED("volume", 'v', "RUN --mount brings files to a step, and the key of the step knows of them"),
	REFUSED("device", 0, OWN_CAGE),
	REFUSED("cap-add", 0, OWN_CAGE),
	REFUSED("cap-drop", 0, OWN_CAGE),
	REFUSED("group-add", 0, OWN_CAGE),
	REFUSED("userns", 0, OWN_CAGE),
	REFUSED("pid", 0, OWN_CAGE),
	REFUSED("ipc", 0, OWN_CAGE),
	REFUSED("uts", 0, OWN_CAGE),
	REFUSED("cgroupns", 0, OWN_CAGE),
	REFUSED("dns", 0, OWN_DNS),
	REFUSED("dns-option", 0, OWN_DNS),
	REFUSED("dns-search", 0, OWN_DNS),
	REFUSED("sign-by", 0, "signatures are not in this version of kiln; sign what you push"),
	/* kaniko. */
	IGNORED_FLAG("no-push", NULL),
	IGNORED_FLAG("no-push-cache", NULL),
	IGNORED_FLAG("cleanup", NULL),
	IGNORED_FLAG("force", NULL),
	IGNORED_FLAG("force-build-metadata", NULL),
	IGNORED_FLAG("use-new-run", NULL),
	IGNORED_FLAG("cache-copy-layers", ALWAYS_DONE),
	IGNORED_FLAG("cache-run-layers", ALWAYS_DONE),
	IGNORED_FLAG("compressed-caching", "the step cache is not compressed"),
	IGNORED_FLAG("ignore-var-run", "what a step leaves in /var/run is in its layer, as with docker"),
	IGNORED_FLAG("reproducible",
		     "SOURCE_DATE_EPOCH, in the environment or as build argument, makes an image reproducible"),
	IGNORED_FLAG("log-timestamp", "--progress plain has the seconds of each step"),
	IGNORED_FLAG("skip-push-permission-check", NULL),
	IGNORED_FLAG("skip-default-registry-fallback", NO_REGISTRY),
	IGNORED_FLAG("skip-tls-verify", NO_REGISTRY),
	IGNORED_FLAG("skip-tls-verify-pull", NO_REGISTRY),
	IGNORED_FLAG("insecure", NO_REGISTRY),
	IGNORED_FLAG("insecure-pull", NO_REGISTRY),
	IGNORED("insecure-registry", 0, NO_REGISTRY),
	IGNORED("skip-tls-verify-registry", 0, NO_REGISTRY),
	IGNORED("registry-mirror", 0, NO_REGISTRY),
	IGNORED("registry-map", 0, NO_REGISTRY),
	IGNORED("registry-certificate", 0, NO_REGISTRY),
	IGNORED("registry-client-cert", 0, NO_REGISTRY),
	IGNORED("image-download-retry", 0, NO_REGISTRY),
	IGNORED("image-fs-extract-retry", 0, NULL),
	IGNORED("push-retry", 0, NO_REGISTRY),
	IGNORED("cache-dir", 0, "the step cache is in the store (--root)"),
	IGNORED("cache-repo", 0, "this version of kiln keeps its step cache in the store only (--root)"),
	IGNORED("snapshot-mode", 0,
		"kiln takes a layer from what the step changed and compares contents, whatever the times say"),
	IGNORED("log-format", 0, "see --progress"),
	IGNORED("verbosity", 0, "see --log-level and --progress"),
	IGNORED("kaniko-dir", 0, "kiln keeps everything in the store (--root)"),
	IGNORED("ignore-path", 0, "a step has a root of its own, and nothing of this machine is in it"),
	{ NULL },
};
