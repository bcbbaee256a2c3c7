/* SPDX-License-Identifier: Apache-2.0 */
#include "FrameDelay.h"

#include <stdlib.h>
#include <string.h>

int fatezero_frame_delay_init(fatezero_frame_delay *delay, size_t area, size_t length) {
  *delay = (fatezero_frame_delay){.area = area, .length = length};
  delay->frames = calloc(length, sizeof *delay->frames);
  return delay->frames == NULL ? -1 : 0;
}

void fatezero_frame_delay_free(fatezero_frame_delay *delay) {
  if (delay->frames == NULL) return;
  for (size_t i = 0; i < delay->length; i++) free(delay->frames[i]);
  free(delay->frames);
  delay->frames = NULL;
}

int fatezero_frame_delay_is_window(const fatezero_frame_delay *delay) {
  return delay->frames != NULL && delay->next == 0 && delay->frames[delay->length - 1] != NULL;
}

int fatezero_frame_delay_exchange(fatezero_frame_delay *delay, const uint32_t *frame, uint32_t *result) {
  size_t size = delay->area * sizeof *frame;
  uint32_t *slot = delay->frames == NULL ? NULL : delay->frames[delay->next];
  memcpy(result, slot == NULL ? frame : slot, size);
  if (delay->frames == NULL) return 0;
  if (slot == NULL) slot = delay->frames[delay->next] = malloc(size);
  if (slot == NULL) {
    // Without a place for every frame the order cannot be kept; from here on nothing is delayed.
    fatezero_frame_delay_free(delay);
    return -1;
  }
  memcpy(slot, frame, size);
  delay->next = (delay->next + 1) % delay->length;
  return 0;
}
