/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_LAYER_H
#define KILN_LAYER_LAYER_H

/*
 * Tar <-> tree.
 *
 *	tree.h		the form of a layer on disk (a *layer tree*), reading a stack of them, copying entries
 *	diff.h		changes (an upper layer tree) -> the canonical layer: its *recipe* and its digest
 *	recipe.h	recipe + tree -> tar
 *	apply.h		tar -> layer tree, or onto a plain tree
 *	tar.h		one entry -> header blocks
 *
 * The canonical layer: registry.md 3.7 is the rule book; tar.c writes it, diff.c decides what is in it.
 */
#include "kiln/layer/apply.h"
#include "kiln/layer/diff.h"
#include "kiln/layer/recipe.h"
#include "kiln/layer/tar.h"
#include "kiln/layer/tree.h"

#endif
