/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "links.h"

/* splitmix64's finaliser: inode numbers are often consecutive. */
static size_t bucket_of(const struct links *links, dev_t dev, ino_t ino)
{
	uint64_t x = (uint64_t)ino ^ ((uint64_t)dev << 40);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (size_t)(x ^ (x >> 31)) & (links->bucket_count - 1);
}

static void put(struct links *links, struct link_inode *inode)
{
	size_t bucket = bucket_of(links, inode->dev, inode->ino);

	inode->next = links->buckets[bucket];
	links->buckets[bucket] = inode;
}

static void *new_zeroed(size_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made)
		abort();
	return made;
}

static void grow(struct links *links)
{
	struct link_inode **old = links->buckets;
	size_t old_count = links->bucket_count;

	links->bucket_count = old_count ? old_count * 2 : 64;
	links->buckets = new_zeroed(links->bucket_count, sizeof(*links->buckets));
	for (size_t i = 0; i < old_count; i++) {
		for (struct link_inode *inode = old[i], *next; inode; inode = next) {
			next = inode->next;
			put(links, inode);
		}
	}
	free(old);
}

struct link_inode *links_find(const struct links *links, const struct stat *st)
{
	if (links->bucket_count == 0)
		return NULL;
	struct link_inode *inode = links->buckets[bucket_of(links, st->st_dev, st->st_ino)];
	while (inode && (inode->dev != st->st_dev || inode->ino != st->st_ino))
		inode = inode->next;
	return inode;
}

struct link_inode *links_add(struct links *links, const struct stat *st)
{
	struct link_inode *inode = links_find(links, st);

	if (inode)
		return inode;
	if (links->count >= links->bucket_count)
		grow(links);
	inode = new_zeroed(1, sizeof(*inode));
	inode->dev = st->st_dev;
	inode->ino = st->st_ino;
	put(links, inode);
	links->count++;
	return inode;
}

void links_release(struct links *links)
{
	for (size_t i = 0; i < links->bucket_count; i++) {
		for (struct link_inode *inode = links->buckets[i], *next; inode; inode = next) {
			next = inode->next;
			strvec_release(&inode->paths);
			free(inode);
		}
	}
	free(links->buckets);
	*links = (struct links){ 0 };
}
