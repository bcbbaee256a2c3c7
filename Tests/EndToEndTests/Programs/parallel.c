/* Two contexts on two threads, each edited twice, while a third thread cancels one of them in the middle; then both edit one
 * inversion. Ends with status 0 if everything came out as it must. Argument: the folder of a model. */
#include <fatezero.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 48, COUNT = 3, BYTES = WIDTH * HEIGHT * 4 };

typedef struct {
  const char *model, *edit;
  fatezero_context *context;
  pthread_mutex_t mutex;
  pthread_cond_t began;
  int steps, is_cancelled;
  unsigned char pixels[COUNT * BYTES];
  fatezero_frame frames[COUNT];
  const fatezero_inversion *inversion;
  fatezero_status status;
} worker;

static void fill(worker *self) {
  for (int i = 0; i < COUNT; i++) {
    for (int j = 0; j < BYTES; j++) self->pixels[i * BYTES + j] = (unsigned char)(j * (3 + i) + j / 255);
    fatezero_frame *frame = &self->frames[i];
    memset(frame, 0, sizeof *frame);
    frame->struct_size = sizeof *frame;
    frame->width = WIDTH;
    frame->height = HEIGHT;
    frame->format = FATEZERO_RGBA32;
    frame->data = self->pixels + i * BYTES;
    frame->stride = WIDTH * 4;
    frame->pts = i;
  }
}

static void progress(void *user_data, const fatezero_progress *progress) {
  worker *self = user_data;
  pthread_mutex_lock(&self->mutex);
  if (progress->phase == FATEZERO_PHASE_INVERT) self->steps++;
  pthread_cond_signal(&self->began);
  pthread_mutex_unlock(&self->mutex);
}

static void *cancel(void *argument) {
  worker *self = argument;
  pthread_mutex_lock(&self->mutex);
  while (self->steps == 0) pthread_cond_wait(&self->began, &self->mutex);
  pthread_mutex_unlock(&self->mutex);
  fatezero_cancel(self->context);
  return NULL;
}

/* Configures a context of its own and edits the clip; the one to be cancelled is, and then again. */
static void *edit(void *argument) {
  worker *self = argument;
  fatezero_options options;
  fatezero_options_default(&options, sizeof options);
  options.model = self->model;
  options.edit = self->edit;
  options.size = "64x64";
  options.threads = 1;
  options.steps = self->is_cancelled ? 100 : 2;
  fatezero_callbacks callbacks;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.user_data = self;
  callbacks.progress = progress;
  self->status = fatezero_set_callbacks(self->context, &callbacks);
  if (self->status == FATEZERO_OK) self->status = fatezero_configure(self->context, &options);
  if (self->status != FATEZERO_OK) return NULL;
  if (self->is_cancelled) {
    self->status = fatezero_edit_clip(self->context, self->frames, self->frames, COUNT);
    if (self->status != FATEZERO_CANCELLED) return NULL;
    fatezero_reset(self->context);
    options.steps = 2;
    self->status = fatezero_configure(self->context, &options);
    if (self->status != FATEZERO_OK) return NULL;
  }
  for (int i = 0; i < COUNT && self->status == FATEZERO_OK; i++)
    self->status = fatezero_push(self->context, &self->frames[i]);
  if (self->status == FATEZERO_OK) self->status = fatezero_drain(self->context);
  for (int i = 0; i < COUNT && self->status == FATEZERO_OK; i++)
    self->status = fatezero_receive(self->context, &self->frames[i]);
  return NULL;
}

static void *edit_inversion(void *argument) {
  worker *self = argument;
  self->status = fatezero_edit_inversion(self->context, self->inversion, self->frames, COUNT);
  return NULL;
}

static void run(worker *workers, void *(*body)(void *)) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, body, &workers[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static int failed(const worker *workers, const char *what) {
  for (int i = 0; i < 2; i++) {
    if (workers[i].status == FATEZERO_OK) continue;
    fprintf(stderr, "%s %d: %d: %s\n", what, i, (int)workers[i].status, fatezero_error(workers[i].context));
    return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return 64;
  worker *workers = calloc(2, sizeof *workers);
  for (int i = 0; i < 2; i++) {
    workers[i].model = argv[1];
    workers[i].edit = i ? "a [cat -> dog] on the grass" : "a [cat -> tiger] on the grass";
    workers[i].is_cancelled = i;
    workers[i].context = fatezero_create();
    pthread_mutex_init(&workers[i].mutex, NULL);
    pthread_cond_init(&workers[i].began, NULL);
    fill(&workers[i]);
  }
  pthread_t canceller;
  pthread_create(&canceller, NULL, cancel, &workers[1]);
  run(workers, edit);
  pthread_join(canceller, NULL);
  if (failed(workers, "edit")) return 1;

  fill(&workers[0]);
  fatezero_inversion *inversion;
  workers[0].status = fatezero_invert(workers[0].context, workers[0].frames, COUNT, &inversion);
  if (failed(workers, "invert")) return 1;
  for (int i = 0; i < 2; i++) workers[i].inversion = inversion;
  run(workers, edit_inversion);
  if (failed(workers, "edit_inversion")) return 1;
  if (memcmp(workers[0].pixels, workers[1].pixels, sizeof workers[0].pixels) == 0) {
    fputs("two edits gave the same frames\n", stderr);
    return 1;
  }
  fatezero_inversion_destroy(inversion);
  for (int i = 0; i < 2; i++) fatezero_destroy(workers[i].context);
  free(workers);
  return 0;
}
