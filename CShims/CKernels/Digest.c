// The functions of xxHash are compiled in: nothing is linked against its library.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "CKernels.h"

kernel_digest *kernel_digest_create(void) {
  XXH3_state_t *state = XXH3_createState();
  if (state) XXH3_128bits_reset(state);
  return (kernel_digest *)state;
}

void kernel_digest_add(kernel_digest *digest, const void *bytes, size_t count) {
  XXH3_128bits_update((XXH3_state_t *)digest, bytes, count);
}

void kernel_digest_finish(const kernel_digest *digest, uint8_t result[16]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest((const XXH3_state_t *)digest));
  memcpy(result, canonical.digest, 16);
}

void kernel_digest_free(kernel_digest *digest) { XXH3_freeState((XXH3_state_t *)digest); }
