/* SPDX-License-Identifier: Apache-2.0 */
/* What the frei0r plug-in reads, for libFuzzer under address sanitizer: the parameters edit, settings and video-size, with zero
 * bytes between. One that begins with @ is a settings file that holds the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "Frei0r.h"
#include "SettingsText.h"
#include "fatezero.h"

enum { PARAMETERS = 3, WIDTH = 8, HEIGHT = 8 };

static char scratch[4096];

static void remove_scratch(void) { remove(scratch); }

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count;
  (void)arguments;
  const char *folder = getenv("TMPDIR");
  snprintf(scratch, sizeof scratch, "%s/frei0r-settings-%ld", folder == NULL ? "/tmp" : folder, (long)getpid());
  atexit(remove_scratch);
  /* Everything but the model is checked before it is looked for; that it is opened would take most of the time. */
  setenv("FATEZERO_MODEL", "/nowhere", 1);
  return 0;
}

/** The parameter that the text means; to be freed. */
static char *parameter(const char *text, size_t length) {
  if (length == 0 || text[0] != '@') return strndup(text, length);
  FILE *file = fopen(scratch, "w");
  if (file == NULL) abort();
  fwrite(text + 1, 1, length - 1, file);
  fclose(file);
  size_t size = strlen(scratch) + 2;
  char *value = malloc(size);
  snprintf(value, size, "@%s", scratch);
  return value;
}

/** Applies a text alone, which says whether it failed, and why. */
static void apply(const char *text, int prompt) {
  fatezero_context *context = fatezero_create();
  char message[FATEZERO_SETTINGS_MESSAGE] = "";
  int result = fatezero_settings_apply(context, text, prompt, message);
  if (memchr(message, 0, sizeof message) == NULL || (result != 0) != (message[0] != '\0')) abort();
  fatezero_destroy(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  f0r_instance_t instance = f0r_construct(WIDTH, HEIGHT);
  const char *text = (const char *)data;
  for (int i = 0; i < PARAMETERS; i++) {
    size_t length = strnlen(text, size);
    char *value = parameter(text, length);
    apply(value, i == 0);
    f0r_param_t pointer = &value;
    f0r_set_param_value(instance, pointer, i);
    const char *read = NULL;
    f0r_get_param_value(instance, &read, i);
    if (read == NULL || strcmp(read, value) != 0) abort();
    free(value);
    size_t used = length < size ? length + 1 : length;
    text += used;
    size -= used;
  }
  // The first frame brings the settings into force; none is edited before a window is full.
  static const uint32_t frame[WIDTH * HEIGHT];
  static uint32_t result[WIDTH * HEIGHT];
  f0r_update(instance, 0, frame, result);
  f0r_destruct(instance);
  return 0;
}
