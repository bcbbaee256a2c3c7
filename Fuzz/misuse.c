/* SPDX-License-Identifier: Apache-2.0 */
/* misuse MODEL SEED ROUNDS: the C interface called as it must not be: null pointers, wrong sizes, impossible frames, any order of
 * calls, calls from callbacks, cancelling from a thread. Each call has to come back with a status. Sanitizers watch. */
#include <fatezero.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SIDE = 64, STRIDE = SIDE * 3, MEMORY = 1 << 20 };

static unsigned char *pixels;
static int failures;

static void expect(int holds, const char *what) {
  if (holds) return;
  failures++;
  fprintf(stderr, "misuse: %s\n", what);
}

static fatezero_frame picture(int width, int height, int format, ptrdiff_t stride) {
  return (fatezero_frame){
      .struct_size = sizeof(fatezero_frame),
      .width = width,
      .height = height,
      .format = (fatezero_pixel_format)format,
      .data = pixels,
      .stride = stride,
  };
}

static fatezero_context *editor(const char *model) {
  fatezero_context *context = fatezero_create();
  fatezero_set(context, "model", model);
  fatezero_set(context, "edit", "a [cat -> tiger] on the grass");
  fatezero_set(context, "steps", "1");
  fatezero_set(context, "clip-length", "2");
  fatezero_set(context, "size", "64x64");
  /* What several threads do in a loop of libgomp's, no sanitizer sees. */
  fatezero_set(context, "threads", "1");
  return context;
}

// MARK: - Nothing where something is expected

static void null_pointers(void) {
  fatezero_inversion *inversion = NULL;
  fatezero_destroy(NULL);
  fatezero_cancel(NULL);
  fatezero_inversion_destroy(NULL);
  fatezero_error(NULL);
  fatezero_options_default(NULL, sizeof(fatezero_options));
  fatezero_get(NULL, NULL);
  expect(fatezero_reset(NULL) != FATEZERO_OK, "reset of nothing");
  expect(fatezero_configure(NULL, NULL) != FATEZERO_OK, "configure of nothing");
  expect(fatezero_set(NULL, NULL, NULL) != FATEZERO_OK, "set of nothing");
  expect(fatezero_check(NULL) != FATEZERO_OK, "check of nothing");
  expect(fatezero_set_callbacks(NULL, NULL) != FATEZERO_OK, "callbacks of nothing");
  expect(fatezero_push(NULL, NULL) != FATEZERO_OK, "push to nothing");
  expect(fatezero_receive(NULL, NULL) != FATEZERO_OK, "receive from nothing");
  expect(fatezero_drain(NULL) != FATEZERO_OK, "drain of nothing");
  expect(fatezero_edit_clip(NULL, NULL, NULL, 0) != FATEZERO_OK, "edit of nothing");
  expect(fatezero_invert(NULL, NULL, 0, NULL) != FATEZERO_OK, "invert of nothing");
  expect(fatezero_edit_inversion(NULL, NULL, NULL, 0) != FATEZERO_OK, "edit of no inversion");

  fatezero_context *context = fatezero_create();
  expect(fatezero_set(context, NULL, NULL) != FATEZERO_OK, "set without a name");
  expect(fatezero_set(context, "", "") != FATEZERO_OK, "set with an empty name");
  expect(fatezero_get(context, NULL) == NULL, "get without a name");
  expect(fatezero_configure(context, NULL) != FATEZERO_OK, "configure with nothing");
  expect(fatezero_push(context, NULL) != FATEZERO_OK, "push of nothing");
  expect(fatezero_receive(context, NULL) != FATEZERO_OK, "receive into nothing");
  expect(fatezero_edit_clip(context, NULL, NULL, 0) != FATEZERO_OK, "edit of no frames");
  expect(fatezero_edit_clip(context, NULL, NULL, 2) != FATEZERO_OK, "edit of null frames");
  expect(fatezero_invert(context, NULL, 0, NULL) != FATEZERO_OK, "invert of no frames");
  expect(fatezero_invert(context, NULL, 2, &inversion) != FATEZERO_OK && inversion == NULL, "invert of null frames");
  fatezero_frame frame = picture(SIDE, SIDE, 0, STRIDE);
  expect(fatezero_edit_inversion(context, NULL, &frame, 1) != FATEZERO_OK, "edit of a null inversion");
  frame.data = NULL;
  expect(fatezero_push(context, &frame) != FATEZERO_OK, "push of a frame without pixels");
  fatezero_destroy(context);
}

// MARK: - Sizes, numbers and texts that cannot be

static void structures(void) {
  enum { LARGEST = 4096 };
  size_t sizes[] = {0,  1,  4,  7,   8,   9,       16,          24,           32,       40,
                    48, 56, 64, 128, 256, LARGEST, LARGEST + 1, SIZE_MAX - 7, SIZE_MAX, INT_MAX};
  size_t *block = calloc(1, LARGEST * 2);
  fatezero_context *context = fatezero_create();
  for (size_t i = 0; i < COUNT(sizes); i++) {
    memset(block, 0, LARGEST * 2);
    block[0] = sizes[i];
    fatezero_inversion *inversion = NULL;
    fatezero_configure(context, (fatezero_options *)block);
    fatezero_set_callbacks(context, (fatezero_callbacks *)block);
    expect(fatezero_push(context, (fatezero_frame *)block) != FATEZERO_OK, "an empty frame was taken");
    expect(fatezero_receive(context, (fatezero_frame *)block) != FATEZERO_OK, "an empty frame was filled");
    expect(
        fatezero_edit_clip(context, (fatezero_frame *)block, (fatezero_frame *)block, 3) != FATEZERO_OK,
        "empty frames");
    expect(
        fatezero_invert(context, (fatezero_frame *)block, 3, &inversion) != FATEZERO_OK, "empty frames were inverted");
    /* Writes as far as the structure goes that this header knows, however large the caller says that it is. */
    fatezero_options_default((fatezero_options *)block, sizes[i]);
  }
  fatezero_destroy(context);
  free(block);
}

static void numbers(void) {
  double values[] = {NAN, INFINITY, -INFINITY, 1e308, -0.0, 5e-324};
  int64_t counts[] = {INT64_MIN, INT64_MAX, -2, 0, 1, 1 << 20};
  fatezero_context *context = fatezero_create();
  for (size_t i = 0; i < COUNT(values); i++) {
    fatezero_options options;
    fatezero_options_default(&options, sizeof options);
    options.guidance_scale = options.blend_threshold = values[i];
    fatezero_configure(context, &options);
    fatezero_options_default(&options, sizeof options);
    options.steps = options.clip_length = options.threads = options.fusion_max_tokens = counts[i];
    options.blend_latents = (int)counts[i];
    fatezero_configure(context, &options);
  }
  fatezero_destroy(context);
}

static void texts(void) {
  enum { LENGTH = 1 << 20 };
  char *huge = malloc(LENGTH);
  memset(huge, 'a', LENGTH - 1);
  huge[LENGTH - 1] = '\0';
  fatezero_context *context = fatezero_create();
  const fatezero_knob *knob;
  for (size_t i = 0; (knob = fatezero_knob_at(i)) != NULL; i++) {
    fatezero_set(context, knob->name, huge);
    fatezero_set(context, knob->name, "\xff\xfe\x80");
    fatezero_set(context, knob->name, "");
    fatezero_get(context, knob->name);
    expect(fatezero_set(context, knob->name, NULL) == FATEZERO_OK, "a setting cannot be taken back");
  }
  expect(fatezero_knob_at(SIZE_MAX) == NULL && fatezero_knob_at((size_t)1 << 63) == NULL, "settings beyond the last");
  expect(fatezero_set(context, huge, huge) != FATEZERO_OK, "a setting of an endless name");
  expect(fatezero_get(context, huge) == NULL, "the value of an endless name");
  fatezero_destroy(context);
  free(huge);
}

/** All but those that are right are refused. */
static void frames(const char *model) {
  int sides[] = {INT_MIN, -1, 0, 1, 2, SIDE - 1, SIDE, SIDE + 1, 65536, 65537, INT_MAX};
  ptrdiff_t strides[] = {PTRDIFF_MIN, PTRDIFF_MIN + 1, -1,  0,           1,
                         STRIDE - 1,  STRIDE,          256, PTRDIFF_MAX, PTRDIFF_MAX >> 16};
  fatezero_context *context = editor(model);
  for (size_t w = 0; w < COUNT(sides); w++)
    for (size_t h = 0; h < COUNT(sides); h++)
      for (size_t s = 0; s < COUNT(strides); s++)
        for (int format = -1; format < 5; format++) {
          int is_side = sides[w] > 0 && sides[w] <= 65536 && sides[h] > 0 && sides[h] <= 65536;
          long long row = (long long)sides[w] * (format >= FATEZERO_RGBA32 ? 4 : 3);
          /* No memory backs these: they must not be read. */
          if (is_side && format >= 0 && format < 4 && strides[s] != PTRDIFF_MIN && llabs(strides[s]) >= row) continue;
          fatezero_frame frame = picture(sides[w], sides[h], format, strides[s]);
          expect(fatezero_push(context, &frame) != FATEZERO_OK, "an impossible frame was taken");
          expect(fatezero_receive(context, &frame) != FATEZERO_OK, "an impossible frame was filled");
        }
  fatezero_frame two[] = {picture(SIDE, SIDE, 0, STRIDE), picture(SIDE / 2, SIDE, 0, STRIDE)};
  size_t counts[] = {0, SIZE_MAX, (size_t)1 << 63, ((size_t)1 << 40) + 1};
  for (size_t i = 0; i < COUNT(counts); i++) {
    fatezero_inversion *inversion = NULL;
    expect(fatezero_edit_clip(context, two, two, counts[i]) != FATEZERO_OK, "an impossible number of frames");
    expect(
        fatezero_invert(context, two, counts[i], &inversion) != FATEZERO_OK && inversion == NULL,
        "an impossible inversion");
  }
  expect(fatezero_edit_clip(context, two, two, 2) != FATEZERO_OK, "frames of two sizes");
  fatezero_destroy(context);
}

// MARK: - Any order

static fatezero_context *random_calls(const char *model, int rounds, fatezero_inversion *inversions[3]) {
  const char *records[] = {"maps", "recompute", "queries-keys"}, *sizes[] = {"64x64", "32x64", "auto"};
  fatezero_context *context = editor(model);
  for (int round = 0; round < rounds; round++) {
    int sides[] = {8, 33, SIDE, 100}, width = sides[rand() % 4], height = sides[rand() % 4], format = rand() % 4;
    ptrdiff_t row = width * (format >= FATEZERO_RGBA32 ? 4 : 3) + rand() % 9;
    fatezero_frame frame = picture(width, height, format, row), clip[4];
    if (rand() % 3 == 0) {
      frame.data = pixels + row * (height - 1);
      frame.stride = -row;
    }
    frame.pts = rand() % 5 == 0 ? FATEZERO_NO_PTS : rand();
    for (int i = 0; i < 4; i++) clip[i] = frame;
    int one = rand() % 3;
    switch (rand() % 15) {
      case 0:
      case 1:
      case 2:
      case 3: fatezero_push(context, &frame); break;
      case 4:
      case 5: fatezero_receive(context, &frame); break;
      case 6: fatezero_drain(context); break;
      case 7: fatezero_reset(context); break;
      case 8: fatezero_edit_clip(context, clip, clip, 1 + (size_t)(rand() % 4)); break;
      case 9:
        fatezero_inversion_destroy(inversions[one]);
        inversions[one] = NULL;
        fatezero_invert(context, clip, 1 + (size_t)(rand() % 3), &inversions[one]);
        break;
      case 10: fatezero_edit_inversion(context, inversions[one], clip, (size_t)(rand() % 4)); break;
      case 11:
        fatezero_set(context, "clip-length", rand() % 2 ? "1" : "2");
        fatezero_set(context, "blend-latents", rand() % 2 ? "true" : NULL);
        break;
      case 12:
        if (rand() % 4 == 0) {
          fatezero_destroy(context);
          context = editor(model);
        }
        break;
      case 13:
        fatezero_cancel(context);
        fatezero_drain(context);
        fatezero_reset(context);
        break;
      default:
        fatezero_set(context, "record", records[one]);
        fatezero_set(context, "size", sizes[rand() % 3]);
        fatezero_check(context);
    }
  }
  return context;
}

// MARK: - Calls from callbacks, and from elsewhere

enum { FROM_NONE, FROM_PROGRESS, FROM_CANCEL, FROM_LOG, FROM_WINDOW, PLACES };

/** A context that is in a call, an inversion of it, and the callback that cancels. */
typedef struct calling {
  fatezero_context *context;
  fatezero_inversion *inversion;
  int cancels;
} calling;

static void call_again(calling *calling, int place) {
  fatezero_context *context = calling->context;
  fatezero_frame frame = picture(SIDE, SIDE, 0, STRIDE);
  fatezero_inversion *inversion = NULL;
  expect(fatezero_push(context, &frame) == FATEZERO_INVALID_STATE, "push during a call");
  expect(fatezero_receive(context, &frame) == FATEZERO_INVALID_STATE, "receive during a call");
  expect(fatezero_drain(context) == FATEZERO_INVALID_STATE, "drain during a call");
  expect(fatezero_reset(context) == FATEZERO_INVALID_STATE, "reset during a call");
  expect(fatezero_check(context) == FATEZERO_INVALID_STATE, "check during a call");
  expect(fatezero_set(context, "steps", "2") == FATEZERO_INVALID_STATE, "set during a call");
  expect(fatezero_configure(context, NULL) != FATEZERO_OK, "configure during a call");
  expect(fatezero_set_callbacks(context, NULL) == FATEZERO_INVALID_STATE, "callbacks during a call");
  expect(fatezero_invert(context, &frame, 1, &inversion) == FATEZERO_INVALID_STATE, "invert during a call");
  expect(fatezero_edit_clip(context, &frame, &frame, 1) == FATEZERO_INVALID_STATE, "edit during a call");
  expect(
      fatezero_edit_inversion(context, calling->inversion, &frame, 1) != FATEZERO_OK,
      "edit of an inversion during a call");
  fatezero_get(context, "steps");
  fatezero_error(context);
  /* Another one is free. */
  fatezero_context *other = fatezero_create();
  expect(fatezero_set(other, "steps", "2") == FATEZERO_OK, "another context during a call");
  fatezero_destroy(other);
  if (calling->cancels == place) fatezero_cancel(context);
}

static void on_progress(void *user_data, const fatezero_progress *progress) {
  (void)progress;
  call_again(user_data, FROM_PROGRESS);
}
static int on_cancel(void *user_data) {
  /* It cancels by what it returns. */
  call_again(user_data, PLACES);
  return ((calling *)user_data)->cancels == FROM_CANCEL;
}
static void on_log(void *user_data, fatezero_log_level level, const char *message) {
  (void)level;
  (void)message;
  call_again(user_data, FROM_LOG);
}
static void on_window(void *user_data, const fatezero_window *window) {
  (void)window;
  call_again(user_data, FROM_WINDOW);
}

static void callbacks(fatezero_context *context, fatezero_inversion *inversion) {
  fatezero_reset(context);
  fatezero_set(context, "clip-length", "2");
  fatezero_set(context, "size", "64x64");
  fatezero_frame clip[4];
  for (int i = 0; i < 4; i++) clip[i] = picture(SIDE, SIDE, 0, STRIDE);
  for (int place = FROM_NONE; place < PLACES; place++) {
    calling calling = {.context = context, .inversion = inversion, .cancels = place};
    fatezero_callbacks callbacks = {
        .struct_size = sizeof callbacks,
        .user_data = &calling,
        .progress = on_progress,
        .cancel = on_cancel,
        .log = on_log,
        .window = on_window,
    };
    expect(fatezero_set_callbacks(context, &callbacks) == FATEZERO_OK, "callbacks are refused");
    fatezero_status status = fatezero_edit_clip(context, clip, clip, 4);
    expect(place != FROM_NONE || status == FATEZERO_OK, "an edit with busy callbacks failed");
    expect(status == FATEZERO_OK || status == FATEZERO_CANCELLED, fatezero_error(context));
    fatezero_reset(context);
    fatezero_set_callbacks(context, NULL);
    expect(fatezero_edit_clip(context, clip, clip, 2) == FATEZERO_OK, "the edit after a cancelled one failed");
  }
}

static void *cancel_often(void *context) {
  for (int i = 0; i < 10000; i++) fatezero_cancel(context);
  return NULL;
}

static void cancelling_thread(fatezero_context *context) {
  fatezero_frame frame = picture(SIDE, SIDE, 0, STRIDE);
  pthread_t thread;
  pthread_create(&thread, NULL, cancel_often, context);
  for (int i = 0; i < 20; i++) {
    fatezero_edit_clip(context, &frame, &frame, 1);
    fatezero_reset(context);
  }
  pthread_join(thread, NULL);
  fatezero_reset(context);
  expect(fatezero_edit_clip(context, &frame, &frame, 1) == FATEZERO_OK, "the edit after many cancellations failed");
}

/** An inversion outlives its context, which goes with frames that wait. */
static void lifetimes(const char *model) {
  fatezero_context *context = editor(model);
  fatezero_frame frame = picture(SIDE, SIDE, 0, STRIDE);
  fatezero_inversion *inversion = NULL;
  expect(fatezero_invert(context, &frame, 1, &inversion) == FATEZERO_OK, "an inversion failed");
  fatezero_push(context, &frame);
  fatezero_destroy(context);
  context = editor(model);
  expect(fatezero_edit_inversion(context, inversion, &frame, 1) == FATEZERO_OK, "an inversion died with its context");
  fatezero_destroy(context);
  fatezero_inversion_destroy(inversion);
}

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  const char *model = argv[1];
  srand((unsigned)atoi(argv[2]));
  pixels = calloc(1, MEMORY);
  null_pointers();
  structures();
  numbers();
  texts();
  frames(model);
  fatezero_inversion *inversions[3] = {NULL};
  fatezero_context *context = random_calls(model, atoi(argv[3]), inversions);
  callbacks(context, inversions[0]);
  cancelling_thread(context);
  fatezero_destroy(context);
  for (int i = 0; i < 3; i++) fatezero_inversion_destroy(inversions[i]);
  lifetimes(model);
  free(pixels);
  printf("misuse: %d failures\n", failures);
  return failures != 0;
}
