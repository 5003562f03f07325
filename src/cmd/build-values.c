/* SPDX-License-Identifier: Apache-2.0 */
#include "build-values.h"
#include "kiln/codec/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---- --platform ---- */

static const char *composed_platform(struct arena *arena, const struct value_options *o)
{
	const struct platform host = platform_host();
	const char *architecture = o->architecture ? o->architecture : host.architecture;
	if (!o->os && !o->architecture && !o->variant)
		return NULL;
	return arena_printf(arena, "%s/%s%s%s", o->os ? o->os : host.os, architecture, o->variant ? "/" : "",
			    o->variant ? o->variant : "");
}

static int refuse_several(struct arena *arena, const struct platform *list, size_t count, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	for (size_t i = 0; i < count; i++)
		strbuf_addf(&text, "%s%s", i ? ", " : "", platform_text(arena, &list[i]));
	return err_set(
		err, ERR_UNSUPPORTED,
		"several platforms (%s) need an image index, which this version of kiln does not make: build them "
		"one by one, each with one --platform and a name of its own",
		strbuf_str(&text));
}

static int take_platform(struct arena *arena, const struct value_options *o, struct build_spec *spec, struct err *err)
{
	struct platform *list = NULL;
	size_t count = 0;
	const char *composed = composed_platform(arena, o), *from_environment = getenv("DOCKER_DEFAULT_PLATFORM");
	for (size_t i = 0; i < o->platforms.count; i++)
		if (platform_parse_list(arena, o->platforms.items[i], &list, &count, err) < 0)
			return err->kind = ERR_USAGE, -1;
	if (composed && platform_parse_list(arena, composed, &list, &count, err) < 0)
		return err->kind = ERR_USAGE, -1;
	if (count == 0 && from_environment && *from_environment &&
	    platform_parse_list(arena, from_environment, &list, &count, err) < 0)
		return err->kind = ERR_USAGE, err_wrap(err, "DOCKER_DEFAULT_PLATFORM");
	if (count > 1)
		return refuse_several(arena, list, count, err);
	spec->platform = list;
	return 0;
}

/* ---- --pull, --no-cache-filter, --jobs ---- */

/* docker has a flag, podman and buildah have words for it. */
static int take_pull(const char *text, enum build_pull *pull, struct err *err)
{
	static const struct {
		const char *word;
		enum build_pull pull;
	} words[] = {
		{ "missing", BUILD_PULL_MISSING }, { "ifmissing", BUILD_PULL_MISSING }, { "false", BUILD_PULL_MISSING },
		{ "always", BUILD_PULL_ALWAYS },   { "true", BUILD_PULL_ALWAYS },       { "newer", BUILD_PULL_ALWAYS },
		{ "ifnewer", BUILD_PULL_ALWAYS },  { "never", BUILD_PULL_NEVER },
	};
	for (size_t i = 0; text && i < ARRAY_LEN(words); i++) {
		if (text_equal_nocase(text, words[i].word)) {
			*pull = words[i].pull;
			return 0;
		}
	}
	return text ? err_set(err, ERR_USAGE, "invalid value \"%s\" for --pull: missing, always or never", text) : 0;
}

/* buildx joins the values with commas and BuildKit splits them. */
static int take_uncached(struct arena *arena, const struct value_options *o, struct build_spec *spec, struct err *err)
{
	const char **stages = NULL;
	size_t count = 0;
	if (o->uncached.count && spec->no_cache)
		return err_set(err, ERR_USAGE, "--no-cache and --no-cache-filter cannot currently be used together");
	for (size_t i = 0; i < o->uncached.count; i++) {
		for (const char *at = o->uncached.items[i];; at++) {
			size_t len = strcspn(at, ",");
			*ARENA_PUSH(arena, stages, count) = arena_strndup(arena, at, len);
			at += len;
			if (!*at)
				break;
		}
	}
	spec->uncached_stages = stages;
	spec->uncached_count = count;
	return 0;
}

static int take_jobs(const char *text, unsigned *jobs, struct err *err)
{
	uint32_t number;
	if (!text)
		return 0;
	if (parse_uint32(&number, text, err) < 0)
		return err->kind = ERR_USAGE, err_wrap(err, "--jobs");
	*jobs = number;
	return 0;
}

/* ---- what is not there yet ---- */

static void warn_of_caches(const struct strings *list, const char *option)
{
	for (size_t i = 0; i < list->count; i++)
		fprintf(stderr,
			"kiln: --%s %s is ignored: this version of kiln keeps its step cache in the store only "
			"(--root)\n",
			option, list->items[i]);
}

static bool is_off(const char *text)
{
	return !*text || text_equal_nocase(text, "false") || strcmp(text, "0") == 0 ||
	       strcmp(text, "disabled=true") == 0;
}

static int refuse_attestation(const char *option, const char *value, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "--%s %s: this version of kiln makes no attestations; leave the option out, or say --%s=false",
		       option, value, strcmp(option, "attest") == 0 ? "provenance" : option);
}

static int check_attestations(struct arena *arena, const struct value_options *o, struct err *err)
{
	if (o->provenance && !is_off(o->provenance))
		return refuse_attestation("provenance", o->provenance, err);
	if (o->sbom && !is_off(o->sbom))
		return refuse_attestation("sbom", o->sbom, err);
	for (size_t i = 0; i < o->attests.count; i++) {
		const char **fields;
		size_t count;
		bool is_disabled = false;
		if (csv_fields(arena, o->attests.items[i], &fields, &count, err) < 0)
			return err_wrap(err, "--attest %s", o->attests.items[i]);
		for (size_t j = 0; j < count; j++)
			is_disabled |= text_equal_nocase(fields[j], "disabled=true");
		if (!is_disabled)
			return refuse_attestation("attest", o->attests.items[i], err);
	}
	return 0;
}

static int check_format(const char *format, struct err *err)
{
	if (!format || strcmp(format, "oci") == 0)
		return 0;
	if (strcmp(format, "docker") != 0)
		return err_set(err, ERR_USAGE, "unrecognized image type \"%s\": oci or docker", format);
	fprintf(stderr, "kiln: --format docker is ignored: HEALTHCHECK, SHELL and ONBUILD are kept in any case, and -o "
			"type=docker writes what `docker load` takes\n");
	return 0;
}

/* ---- */

int value_options_prepare(struct arena *arena, struct value_options *o, struct build_spec *spec, struct err *err)
{
	if (take_platform(arena, o, spec, err) < 0 || take_pull(o->pull, &spec->pull, err) < 0 ||
	    take_uncached(arena, o, spec, err) < 0 || take_jobs(o->jobs, &spec->jobs, err) < 0 ||
	    check_attestations(arena, o, err) < 0 || check_format(o->format, err) < 0)
		return -1;
	warn_of_caches(&o->cache_from, "cache-from");
	warn_of_caches(&o->cache_to, "cache-to");
	spec->squash = o->squash;
	spec->all_stages = o->all_stages;
	spec->ignorefile = o->ignorefile;
	return 0;
}

/* ---- implied arguments ---- */

static bool is_given(const struct strings *args, const char *key)
{
	size_t len = strlen(key);
	for (size_t i = 0; i < args->count; i++)
		if (strncmp(args->items[i], key, len) == 0 && (args->items[i][len] == '=' || !args->items[i][len]))
			return true;
	return false;
}

static void imply(struct arena *arena, struct strings *args, const char *key, const char *value)
{
	if (value && *value && !is_given(args, key))
		*ARENA_PUSH(arena, args->items, args->count) = arena_printf(arena, "%s=%s", key, value);
}

static const struct proxy {
	const char *upper, *lower, *member; /* of docker's config.json */
} proxies[] = {
	{ "HTTP_PROXY", "http_proxy", "httpProxy" }, { "HTTPS_PROXY", "https_proxy", "httpsProxy" },
	{ "FTP_PROXY", "ftp_proxy", "ftpProxy" },    { "NO_PROXY", "no_proxy", "noProxy" },
	{ "ALL_PROXY", "all_proxy", "allProxy" },
};

enum { DOCKER_CONFIG_MAX = 1 << 20 };

/* "proxies": {"default": {...}} of docker's configuration, which docker build passes on (docker/cli's
   ParseProxyConfig). A file that cannot be read is docker's to complain of. */
static const struct json *docker_proxies(struct arena *arena)
{
	const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	scope_strbuf struct strbuf text = { 0 };
	struct err err;
	if (!folder || !*folder)
		folder = home && *home ? arena_printf(arena, "%s/.docker", home) : NULL;
	if (!folder ||
	    file_read(AT_FDCWD, arena_printf(arena, "%s/config.json", folder), DOCKER_CONFIG_MAX, &text, &err) < 0)
		return NULL;
	struct json *config = json_parse(arena, strbuf_str(&text), text.len, &err);
	if (!config)
		log_warn("%s/config.json: %s", folder, err.msg);
	return json_get(json_get(config, "proxies"), "default");
}

void add_implied_args(struct arena *arena, const struct value_options *o, const char *output_epoch,
		      struct strings *build_args)
{
	const struct json *config = docker_proxies(arena);
	for (size_t i = 0; i < ARRAY_LEN(proxies); i++) {
		const struct proxy *proxy = &proxies[i];
		const char *value = json_get_str(config, proxy->member);
		imply(arena, build_args, proxy->upper, value);
		imply(arena, build_args, proxy->lower, value);
		if (!o->http_proxy)
			continue;
		imply(arena, build_args, proxy->upper, getenv(proxy->upper));
		imply(arena, build_args, proxy->lower, getenv(proxy->lower));
	}
	imply(arena, build_args, "SOURCE_DATE_EPOCH", o->epoch);
	/* An empty one takes back what the environment says, as an empty build argument does. */
	if (output_epoch && !is_given(build_args, "SOURCE_DATE_EPOCH"))
		*ARENA_PUSH(arena, build_args->items, build_args->count) = arena_printf(arena, "SOURCE_DATE_EPOCH=%s",
											output_epoch);
}
