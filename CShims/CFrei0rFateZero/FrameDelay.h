/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FATEZERO_FRAME_DELAY_H
#define FATEZERO_FRAME_DELAY_H

#include <stddef.h>
#include <stdint.h>

/**
 * The latest frames, each of which leaves when as many others have come: a frame can be edited only with the rest of
 * its window, while the host wants one frame out for each frame in. RGBA, `area` pixels a frame.
 */
typedef struct fatezero_frame_delay {
  size_t area;
  /** Frames from one coming to its leaving. */
  size_t length;
  /** `length` frames; those that have not come yet are NULL. */
  uint32_t **frames;
  /** Where the next frame goes. */
  size_t next;
} fatezero_frame_delay;

/** Makes an empty delay; its frames are allocated as they come. -1 if there is no memory. */
int fatezero_frame_delay_init(fatezero_frame_delay *delay, size_t area, size_t length);

void fatezero_frame_delay_free(fatezero_frame_delay *delay);

/** Whether the frames held are one whole window, the next to leave being its first. */
int fatezero_frame_delay_is_window(const fatezero_frame_delay *delay);

/**
 * Takes a frame and gives the one that came `length` frames ago, or at the beginning, where there is none, the frame
 * itself. -1 if there is no memory; `result` is the frame itself then.
 */
int fatezero_frame_delay_exchange(fatezero_frame_delay *delay, const uint32_t *frame, uint32_t *result);

#endif
