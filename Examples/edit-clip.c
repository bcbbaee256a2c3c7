/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits the frames that come on standard input and writes them to standard output, as bare RGB pixels.
 *
 *     cc edit-clip.c $(pkg-config --cflags --libs fatezero) -o edit-clip
 *     ffmpeg -v error -i cat.mp4 -f rawvideo -pix_fmt rgb24 - |
 *       ./edit-clip 128 128 "a [cat -> tiger] on the grass" |
 *       ffmpeg -v error -f rawvideo -pixel_format rgb24 -video_size 128x128 -framerate 12 -i - \
 *         -vf scale=out_color_matrix=bt709 -colorspace bt709 -pix_fmt yuv420p tiger.mp4
 *
 * Further arguments are settings: steps=20 clip-length=16 model=/path/to/stable-diffusion
 */
#include <fatezero.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void progress(void *user_data, const fatezero_progress *progress) {
  (void)user_data;
  fprintf(
      stderr, "window %d: %3.0f %%, %.0f s left\n", (int)progress->window + 1, 100 * progress->fraction,
      progress->seconds_left < 0 ? 0 : progress->seconds_left);
}

static void message(void *user_data, fatezero_log_level level, const char *text) {
  (void)user_data;
  fprintf(stderr, "%s%s\n", level == FATEZERO_LOG_WARNING ? "warning: " : "", text);
}

/* Writes all frames that are ready. */
static fatezero_status write_edited(fatezero_context *context, fatezero_frame *frame) {
  size_t size = (size_t)frame->stride * (size_t)frame->height;
  fatezero_status status;
  while ((status = fatezero_receive(context, frame)) == FATEZERO_OK) fwrite(frame->data, 1, size, stdout);
  return status == FATEZERO_AGAIN ? FATEZERO_OK : status;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s WIDTH HEIGHT PROMPT [SETTING=VALUE ...] < frames > edited\n", argv[0]);
    return 64;
  }

  fatezero_frame frame;
  memset(&frame, 0, sizeof frame);
  frame.struct_size = sizeof frame;
  frame.width = atoi(argv[1]);
  frame.height = atoi(argv[2]);
  frame.format = FATEZERO_RGB24;
  frame.stride = 3 * (ptrdiff_t)frame.width;
  size_t size = (size_t)frame.stride * (size_t)frame.height;
  frame.data = malloc(size ? size : 1);

  fatezero_callbacks callbacks;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.progress = progress;
  callbacks.log = message;

  fatezero_context *context = fatezero_create();
  fatezero_status status = fatezero_set_callbacks(context, &callbacks);
  if (status == FATEZERO_OK) status = fatezero_set(context, "edit", argv[3]);
  for (int i = 4; i < argc && status == FATEZERO_OK; i++) {
    char *value = strchr(argv[i], '=');
    if (value) *value++ = '\0';
    status = fatezero_set(context, argv[i], value);
  }

  while (status == FATEZERO_OK && frame.data && fread(frame.data, 1, size, stdin) == size) {
    status = fatezero_push(context, &frame);
    if (status == FATEZERO_OK) status = write_edited(context, &frame);
  }
  if (status == FATEZERO_OK) status = fatezero_drain(context);
  if (status == FATEZERO_OK) status = write_edited(context, &frame);

  if (status != FATEZERO_OK) fprintf(stderr, "%s: %s\n", argv[0], fatezero_error(context));
  fatezero_destroy(context);
  free(frame.data);
  return status == FATEZERO_OK ? 0 : 1;
}
