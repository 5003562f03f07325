# One program per subject, linked with its module and what that may call.

if HAVE_CMOCKA
unit_tests = \
	tests/unit/test-base-arena \
	tests/unit/test-base-csv \
	tests/unit/test-base-err \
	tests/unit/test-base-file-copy \
	tests/unit/test-base-file-new \
	tests/unit/test-base-file-tree \
	tests/unit/test-base-file \
	tests/unit/test-base-log \
	tests/unit/test-base-owner \
	tests/unit/test-base-path \
	tests/unit/test-base-proc-run \
	tests/unit/test-base-proc \
	tests/unit/test-base-root \
	tests/unit/test-base-strbuf \
	tests/unit/test-base-text \
	tests/unit/test-base-time \
	tests/unit/test-build-words \
	tests/unit/test-build-key \
	tests/unit/test-codec-compress \
	tests/unit/test-codec-digest \
	tests/unit/test-codec-inflate \
	tests/unit/test-codec-json-table \
	tests/unit/test-codec-json \
	tests/unit/test-codec-stream \
	tests/unit/test-codec-untar \
	tests/unit/test-context-chmod \
	tests/unit/test-context-open \
	tests/unit/test-context-remote \
	tests/unit/test-context-cache \
	tests/unit/test-context-copy \
	tests/unit/test-context-digest \
	tests/unit/test-dockerfile-cases \
	tests/unit/test-dockerfile-expand \
	tests/unit/test-dockerfile-flags \
	tests/unit/test-dockerfile-ignore \
	tests/unit/test-dockerfile-limits \
	tests/unit/test-dockerfile-mount \
	tests/unit/test-dockerfile-lint \
	tests/unit/test-image-crash \
	tests/unit/test-image-find \
	tests/unit/test-image-import \
	tests/unit/test-image-load-docker \
	tests/unit/test-image-load-oci \
	tests/unit/test-image-save \
	tests/unit/test-layer-apply \
	tests/unit/test-layer-diff-links \
	tests/unit/test-layer-diff \
	tests/unit/test-layer-hostile \
	tests/unit/test-layer-join \
	tests/unit/test-layer-merge \
	tests/unit/test-layer-recipe \
	tests/unit/test-layer-roundtrip \
	tests/unit/test-layer-stack \
	tests/unit/test-layer-tar \
	tests/unit/test-layer-tree \
	tests/unit/test-oci-annotation \
	tests/unit/test-net-http \
	tests/unit/test-oci-config \
	tests/unit/test-oci-manifest \
	tests/unit/test-oci-platform \
	tests/unit/test-oci-reference \
	tests/unit/test-sandbox-cage \
	tests/unit/test-sandbox-creds \
	tests/unit/test-sandbox-emulate \
	tests/unit/test-sandbox-emulate-calls \
	tests/unit/test-sandbox-enter \
	tests/unit/test-sandbox-etc \
	tests/unit/test-sandbox-foreign \
	tests/unit/test-sandbox-idmap \
	tests/unit/test-sandbox-limits \
	tests/unit/test-sandbox-mounts \
	tests/unit/test-sandbox-network \
	tests/unit/test-sandbox-probe \
	tests/unit/test-sandbox-seccomp \
	tests/unit/test-sandbox-secrets \
	tests/unit/test-sandbox-stubs \
	tests/unit/test-sandbox-user \
	tests/unit/test-sandbox-walls \
	tests/unit/test-store-blobs \
	tests/unit/test-store-cache \
	tests/unit/test-store-crash \
	tests/unit/test-store-gc \
	tests/unit/test-store-layers \
	tests/unit/test-store-mounts \
	tests/unit/test-store-names \
	tests/unit/test-store-open \
	tests/unit/test-store-sync \
	tests/unit/test-store-verify \
	tests/unit/test-view-copy \
	tests/unit/test-view-kinds \
	tests/unit/test-view-same
else
unit_tests =
TESTS += tests/lib/need-cmocka.sh
endif

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
noinst_HEADERS += \
	tests/unit/dockerfile-dump.h \
	tests/unit/http-server.h \
	tests/unit/ignore-naive.h \
	tests/unit/image-fixture.h \
	tests/unit/kill.h \
	tests/unit/lab.h \
	tests/unit/layer-scratch.h \
	tests/unit/planted.h \
	tests/unit/sandbox-cage.h \
	tests/unit/sandbox-range.h \
	tests/unit/scratch.h \
	tests/unit/store-fixture.h \
	tests/unit/test-codec-util.h \
	tests/unit/view-lab.h \
	tests/unit/view-steps.h

tests_unit_test_base_arena_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_csv_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_err_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_file_copy_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_file_new_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_file_tree_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_file_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_log_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_owner_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_path_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_proc_run_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_proc_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_root_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_strbuf_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_text_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_time_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_compress_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_digest_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_inflate_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_json_table_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_json_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_stream_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_codec_untar_LDADD = $(codec_libs) $(CMOCKA_LIBS)
tests_unit_test_context_cache_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_context_open_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_context_remote_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_build_words_LDADD = $(build_libs) $(CMOCKA_LIBS)
tests_unit_test_build_key_LDADD = $(build_libs) $(CMOCKA_LIBS)
tests_unit_test_context_chmod_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_context_copy_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_context_digest_LDADD = $(context_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_cases_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_expand_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_flags_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_ignore_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_lint_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_limits_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_dockerfile_mount_LDADD = $(dockerfile_libs) $(CMOCKA_LIBS)
tests_unit_test_image_crash_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_image_find_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_image_import_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_image_load_docker_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_image_load_oci_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_image_save_LDADD = $(image_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_apply_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_diff_links_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_diff_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_hostile_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_merge_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_join_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_recipe_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_roundtrip_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_stack_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_tar_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_layer_tree_LDADD = $(layer_libs) $(CMOCKA_LIBS)
tests_unit_test_oci_annotation_LDADD = $(oci_libs) $(CMOCKA_LIBS)
tests_unit_test_net_http_LDADD = $(net_libs) $(CMOCKA_LIBS)
tests_unit_test_oci_config_LDADD = $(oci_libs) $(CMOCKA_LIBS)
tests_unit_test_oci_manifest_LDADD = $(oci_libs) $(CMOCKA_LIBS)
tests_unit_test_oci_platform_LDADD = $(oci_libs) $(CMOCKA_LIBS)
tests_unit_test_oci_reference_LDADD = $(oci_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_cage_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_creds_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_emulate_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_emulate_calls_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_enter_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_etc_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_foreign_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_idmap_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_limits_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_mounts_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_network_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_probe_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_seccomp_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_secrets_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_stubs_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_user_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_sandbox_walls_LDADD = $(sandbox_libs) $(CMOCKA_LIBS)
tests_unit_test_store_blobs_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_cache_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_crash_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_gc_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_layers_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_mounts_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_names_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_open_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_sync_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_store_verify_LDADD = $(store_libs) $(CMOCKA_LIBS)
tests_unit_test_view_copy_LDADD = $(view_libs) $(CMOCKA_LIBS)
tests_unit_test_view_kinds_LDADD = $(view_libs) $(CMOCKA_LIBS)
tests_unit_test_view_same_LDADD = $(view_libs) $(CMOCKA_LIBS)
