/* SPDX-License-Identifier: Apache-2.0 */
/** Whatever offers this interface stays loaded. */
#define _GNU_SOURCE
#include <dlfcn.h>

/**
 * Threads of the Swift runtime and of libgomp outlive the last call, and would find their code gone after dlclose(), which
 * ffmpeg calls on frei0r plug-ins and ctypes on libraries. The other libraries of the process are not touched.
 */
__attribute__((constructor)) static void fatezero_pin(void) {
  Dl_info information;
  if (dladdr((void *)fatezero_pin, &information) && information.dli_fname) {
    dlopen(information.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  }
}
