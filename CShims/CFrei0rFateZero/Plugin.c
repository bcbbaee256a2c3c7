/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The frei0r plug-in: the way into FFmpeg's -vf, and into whatever else hosts frei0r.
 *
 * frei0r hands over one frame at a time and says nothing at the end. So frame k leaves, edited, when frame k + N comes,
 * where N is the window's `clip-length`; the first N frames out are copies of those in. A host that gives N frames more
 * after the last gets all of the clip. If those are wholly transparent, as FFmpeg's `tpad` makes them, they are known
 * for what they are, and the last window is edited without them: its frames are those that the command writes.
 *
 * No error can be returned. The first is written to standard error, and frames pass as they came, with the same delay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "FrameDelay.h"
#include "Frei0r.h"
#include "SettingsText.h"
#include "fatezero.h"

enum { PARAMETER_EDIT, PARAMETER_SETTINGS, PARAMETER_VIDEO_SIZE, PARAMETER_COUNT };

static const f0r_param_info_t parameters[PARAMETER_COUNT] = {
    {"edit", F0R_PARAM_STRING,
     "Target prompt: the content you want; brackets give the source prompt as well: a [cat -> tiger] on the grass. %XX "
     "is the byte "
     "with that hexadecimal number. @FILE takes all settings from a file, one name=value a line."},
    {"settings", F0R_PARAM_STRING,
     "Further settings, named as the options of the command `fatezero edit`: steps=20&source=a cat, with %XX as in "
     "edit; or @FILE."},
    {"video-size", F0R_PARAM_STRING,
     "WIDTHxHEIGHT of the part of the frames, from their top left, that is the clip; the rest is padding. Empty: all."},
};

/** What the engine takes at most, in pixels. */
enum { LARGEST_SIDE = 65536 };

/** Where the settings cannot be read, frames still come late by as many as the default window has. */
enum { DEFAULT_CLIP_LENGTH = 8 };

typedef struct plugin {
  size_t width, height;
  char *values[PARAMETER_COUNT];
  /** Parameters were written since the settings were made from them. */
  int changed;

  /** From the first frame on. */
  int started;
  fatezero_context *context;
  fatezero_frame_delay delay;
  /** The part that is edited. */
  size_t clip_width, clip_height;
  /** An error was told; frames pass through until the parameters change. */
  int failed;
} plugin;

// MARK: - Messages

// How many bytes at `text` are one character that steers a terminal or the direction of text, and which one; as in
// Sources/Text/VisibleText.swift.
static int steering(const unsigned char *text, unsigned *character) {
  *character = text[0];
  if (text[0] < 0x20 || text[0] == 0x7f) return text[0] == '\n' && text[1] == ' ' && text[2] == ' ' ? 0 : 1;
  if ((text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f) || (text[0] == 0xd8 && text[1] == 0x9c)) {
    *character = (text[0] & 0x1fu) << 6 | (text[1] & 0x3fu);
    return 2;
  }
  if (text[0] != 0xe2 || (text[1] != 0x80 && text[1] != 0x81) || text[2] == '\0') return 0;
  *character = 0x2000u | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
  return (*character >= 0x200e && *character <= 0x200f) || (*character >= 0x2028 && *character <= 0x202e)
                 || (*character >= 0x2066 && *character <= 0x2069)
             ? 3
             : 0;
}

// A message may quote a file of settings, which must not steer the terminal.
static void tell(const char *kind, const char *message) {
  fprintf(stderr, "fatezero: %s", kind);
  for (const unsigned char *place = (const unsigned char *)message; *place;) {
    unsigned character;
    int length = steering(place, &character);
    if (length > 0) {
      fprintf(stderr, "\\u{%x}", character);
    } else {
      fputc(*place, stderr);
    }
    place += length > 0 ? length : 1;
  }
  fputc('\n', stderr);
}

static void fail(plugin *plugin, const char *message) {
  if (!plugin->failed) {
    tell("ERROR: ", message);
    tell("ERROR: ", "frames are NOT edited from here on; they pass through as they come");
  }
  plugin->failed = 1;
}

static void on_log(void *user_data, fatezero_log_level level, const char *message) {
  (void)user_data;
  if (level == FATEZERO_LOG_WARNING) tell("warning: ", message);
}

/** A line that is written over again, for people who wait. */
static void on_progress(void *user_data, const fatezero_progress *progress) {
  (void)user_data;
  if (progress->phase == FATEZERO_PHASE_LOAD) {
    fprintf(stderr, "fatezero: loading the model\r");
  } else if (progress->seconds_left >= 0) {
    fprintf(
        stderr, "fatezero: window %lld: %3.0f%%, %.0f s left   \r", (long long)progress->window + 1,
        100 * progress->fraction, progress->seconds_left);
  }
}

// MARK: - Settings

/** Reads the parameter; the whole frame if it is empty. */
static int read_clip_size(plugin *plugin, char *message) {
  const char *text = plugin->values[PARAMETER_VIDEO_SIZE];
  plugin->clip_width = plugin->width;
  plugin->clip_height = plugin->height;
  if (text[0] == '\0') return 0;
  unsigned width, height;
  char rest;
  if (strspn(text, "0123456789x") == strlen(text) && strlen(text) <= 11
      && sscanf(text, "%ux%u%c", &width, &height, &rest) == 2 && width > 0 && width <= plugin->width && height > 0
      && height <= plugin->height) {
    plugin->clip_width = width;
    plugin->clip_height = height;
    return 0;
  }
  if (message[0] == '\0') {
    snprintf(
        message, FATEZERO_SETTINGS_MESSAGE, "video-size: \"%.100s\" is no WIDTHxHEIGHT within the frames' %zux%zu",
        text, plugin->width, plugin->height);
  }
  return -1;
}

/** Makes the context's settings from the parameters. -1 with a message if something is wrong with them. */
static int configure(plugin *plugin, char *message) {
  plugin->changed = 0;
  fatezero_options options;
  fatezero_options_default(&options, sizeof options);
  fatezero_configure(plugin->context, &options);
  int result = read_clip_size(plugin, message);
  for (int i = PARAMETER_EDIT; i <= PARAMETER_SETTINGS; i++) {
    if (fatezero_settings_apply(plugin->context, plugin->values[i], i == PARAMETER_EDIT, message) != 0) result = -1;
  }
  if (result == 0 && fatezero_check(plugin->context) != FATEZERO_OK) {
    snprintf(message, FATEZERO_SETTINGS_MESSAGE, "%s", fatezero_error(plugin->context));
    result = -1;
  }
  return result;
}

/** Frames of a window as the settings have it; 0 for a whole clip. */
static size_t clip_length(plugin *plugin) {
  const char *text = fatezero_get(plugin->context, "clip-length");
  return text == NULL ? DEFAULT_CLIP_LENGTH : strtoul(text, NULL, 10);
}

/** Before the first frame: which a host that only scans plug-ins must not pay for. */
static void start(plugin *plugin) {
  plugin->started = 1;
  size_t length = DEFAULT_CLIP_LENGTH;
  plugin->context = fatezero_create();
  if (plugin->context == NULL) {
    fail(plugin, "no memory for an editor");
  } else {
    fatezero_callbacks callbacks = {
        .struct_size = sizeof callbacks,
        .progress = isatty(STDERR_FILENO) ? on_progress : NULL,
        .log = on_log,
    };
    fatezero_set_callbacks(plugin->context, &callbacks);
    char message[FATEZERO_SETTINGS_MESSAGE] = "";
    if (configure(plugin, message) != 0) fail(plugin, message);
    length = clip_length(plugin);
    if (length == 0) {
      length = DEFAULT_CLIP_LENGTH;
      fail(
          plugin,
          "clip-length 0, the whole clip, cannot be known here: give its number of frames, or let `fatezero "
          "ffmpeg-filter --input FILE` count them");
    }
  }
  if (fatezero_frame_delay_init(&plugin->delay, plugin->width * plugin->height, length) != 0) {
    fail(plugin, "no memory for the frames of a window");
  }
}

/** New parameters hold from the next window on; only the delay stays what it was. */
static void restart(plugin *plugin) {
  plugin->failed = 0;
  char message[FATEZERO_SETTINGS_MESSAGE] = "";
  if (fatezero_reset(plugin->context) != FATEZERO_OK || configure(plugin, message) != 0) {
    fail(plugin, message[0] == '\0' ? fatezero_error(plugin->context) : message);
  } else if (clip_length(plugin) != plugin->delay.length) {
    fail(plugin, "clip-length cannot change while frames flow");
  }
}

// MARK: - Frames

static int is_transparent(const uint32_t *frame, size_t area) {
  const uint8_t *bytes = (const uint8_t *)frame;
  for (size_t i = 0; i < area; i++) {
    if (bytes[4 * i + 3] != 0) return 0;
  }
  return 1;
}

static fatezero_frame clip_frame(const plugin *plugin, size_t index) {
  return (fatezero_frame){
      .struct_size = sizeof(fatezero_frame),
      .width = (int32_t)plugin->clip_width,
      .height = (int32_t)plugin->clip_height,
      .format = FATEZERO_RGBA32,
      .data = (uint8_t *)plugin->delay.frames[index],
      .stride = (ptrdiff_t)(plugin->width * 4),
      .pts = FATEZERO_NO_PTS,
  };
}

/** Edits the window that the delay holds, in place. On failure its frames are as they came. */
static void edit_window(plugin *plugin) {
  if (plugin->context == NULL) return;
  if (plugin->changed) restart(plugin);
  if (plugin->failed) return;
  size_t count = plugin->delay.length;
  while (count > 0 && is_transparent(plugin->delay.frames[count - 1], plugin->delay.area)) count--;
  fatezero_status status = FATEZERO_OK;
  for (size_t i = 0; i < count && status == FATEZERO_OK; i++) {
    fatezero_frame frame = clip_frame(plugin, i);
    status = fatezero_push(plugin->context, &frame);
  }
  if (status == FATEZERO_OK && count < plugin->delay.length) status = fatezero_drain(plugin->context);
  for (size_t i = 0; i < count && status == FATEZERO_OK; i++) {
    fatezero_frame frame = clip_frame(plugin, i);
    status = fatezero_receive(plugin->context, &frame);
  }
  if (status != FATEZERO_OK) fail(plugin, fatezero_error(plugin->context));
}

// MARK: - The interface

int f0r_init(void) { return 1; }

void f0r_deinit(void) {}

void f0r_get_plugin_info(f0r_plugin_info_t *info) {
  *info = (f0r_plugin_info_t){
      .name = "FateZero",
      .author = "FateZero",
      .plugin_type = F0R_PLUGIN_TYPE_FILTER,
      .color_model = F0R_COLOR_MODEL_RGBA8888,
      .frei0r_version = F0R_INTERFACE_VERSION,
      .major_version = FATEZERO_VERSION_MAJOR,
      .minor_version = FATEZERO_VERSION_MINOR,
      .num_params = PARAMETER_COUNT,
      .explanation = "Edits a clip by its words. Frame k comes out when frame k + clip-length goes in.",
  };
}

void f0r_get_param_info(f0r_param_info_t *info, int index) {
  if (index >= 0 && index < PARAMETER_COUNT) *info = parameters[index];
}

f0r_instance_t f0r_construct(unsigned int width, unsigned int height) {
  if (width == 0 || height == 0 || width > LARGEST_SIDE || height > LARGEST_SIDE || width % 8 != 0) {
    fprintf(
        stderr,
        "fatezero: frames of %ux%u cannot be edited: frei0r wants a width that is a multiple of 8. Pad them and crop "
        "the result; `fatezero ffmpeg-filter` prints how\n",
        width, height);
    return NULL;
  }
  plugin *plugin = calloc(1, sizeof *plugin);
  if (plugin == NULL) return NULL;
  plugin->width = width;
  plugin->height = height;
  for (int i = 0; i < PARAMETER_COUNT; i++) {
    if ((plugin->values[i] = strdup("")) == NULL) {
      f0r_destruct(plugin);
      return NULL;
    }
  }
  return plugin;
}

void f0r_destruct(f0r_instance_t instance) {
  plugin *plugin = instance;
  if (plugin == NULL) return;
  fatezero_destroy(plugin->context);
  fatezero_frame_delay_free(&plugin->delay);
  for (int i = 0; i < PARAMETER_COUNT; i++) free(plugin->values[i]);
  free(plugin);
}

void f0r_set_param_value(f0r_instance_t instance, f0r_param_t value, int index) {
  plugin *plugin = instance;
  if (plugin == NULL || value == NULL || index < 0 || index >= PARAMETER_COUNT) return;
  const char *text = *(const char *const *)value;
  if (text == NULL) text = "";
  // Hosts write the same values before every frame.
  if (strcmp(text, plugin->values[index]) == 0) return;
  char *copy = strdup(text);
  if (copy == NULL) return;
  free(plugin->values[index]);
  plugin->values[index] = copy;
  plugin->changed = 1;
}

void f0r_get_param_value(f0r_instance_t instance, f0r_param_t value, int index) {
  plugin *plugin = instance;
  if (plugin == NULL || value == NULL || index < 0 || index >= PARAMETER_COUNT) return;
  *(const char **)value = plugin->values[index];
}

void f0r_update(f0r_instance_t instance, double time, const uint32_t *source, uint32_t *result) {
  (void)time;
  plugin *plugin = instance;
  if (!plugin->started) start(plugin);
  if (fatezero_frame_delay_is_window(&plugin->delay)) edit_window(plugin);
  if (fatezero_frame_delay_exchange(&plugin->delay, source, result) != 0) {
    fail(plugin, "no memory for the frames of a window");
  }
}
