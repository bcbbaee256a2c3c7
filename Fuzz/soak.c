/* SPDX-License-Identifier: Apache-2.0 */
/* soak MODEL EDITS: many different edits in one process through the C library, some of which fail, as a service makes them. What
 * the process holds must not grow: its memory (2 %), its descriptors, its threads. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fatezero.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 64, FRAMES = 4, FORMATS = 4, BYTES = SIDE * SIDE * 4 };

typedef struct holdings {
  long kilobytes;
  int descriptors, threads;
} holdings;

static int entries(const char *path) {
  DIR *folder = opendir(path);
  int count = -2;
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

static holdings measure(void) {
  holdings held = {0};
  long all, resident;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file != NULL && fscanf(file, "%ld %ld", &all, &resident) == 2)
    held.kilobytes = resident * (sysconf(_SC_PAGESIZE) / 1024);
  if (file != NULL) fclose(file);
  held.descriptors = entries("/proc/self/fd");
  held.threads = entries("/proc/self/task");
  return held;
}

static void set(fatezero_context *context, const char *name, const char *text) {
  if (fatezero_set(context, name, text) == FATEZERO_OK) return;
  fprintf(stderr, "soak: %s\n", fatezero_error(context));
  exit(1);
}

static fatezero_context *editor(const char *model) {
  fatezero_context *context = fatezero_create();
  set(context, "model", model);
  set(context, "steps", "1");
  set(context, "size", "64x64");
  set(context, "clip-length", "4");
  return context;
}

/** Frames of a size, a format and pixels that change from edit to edit. */
static void fill(fatezero_frame *frames, unsigned char (*pixels)[BYTES], int edit) {
  for (int k = 0; k < FRAMES; k++) {
    frames[k] = (fatezero_frame){
        .struct_size = sizeof frames[k],
        .width = SIDE - edit % 3 * 8,
        .height = SIDE,
        .format = (fatezero_pixel_format)(edit % FORMATS),
        .data = pixels[k],
        .stride = SIDE * 4,
        .pts = k,
    };
    for (int b = 0; b < BYTES; b++) pixels[k][b] = (unsigned char)((b * 7 + edit * 13 + k) % 251);
  }
}

/** The clip at once, through an inversion, or with a frame that does not fit, which must be refused. */
static fatezero_status edit_once(fatezero_context *context, fatezero_frame *frames, int edit) {
  if (edit % 10 == 5) {
    fatezero_inversion *inversion = NULL;
    fatezero_status status = fatezero_invert(context, frames, 2, &inversion);
    if (status == FATEZERO_OK) status = fatezero_edit_inversion(context, inversion, frames, 2);
    fatezero_inversion_destroy(inversion);
    return status;
  }
  if (edit % 10 == 7) {
    frames[1].width = 3;
    return fatezero_edit_clip(context, frames, frames, FRAMES) == FATEZERO_FRAMES ? FATEZERO_OK : FATEZERO_INTERNAL;
  }
  return fatezero_edit_clip(context, frames, frames, FRAMES);
}

/** Of three samples, so that one odd one decides nothing. */
static double mean(const holdings *samples) {
  return (double)(samples[0].kilobytes + samples[1].kilobytes + samples[2].kilobytes) / 3;
}

int main(int argc, char **argv) {
  /* Every kind of edit comes in a context's life, and it ends in the same state each time. The first one warms up: what a process
   * makes once is there afterwards. */
  enum { LIFE = 60, MOST_LIVES = 1000, FEWEST_LIVES = 7 };
  if (argc != 3) return 64;
  const char *records[] = {"queries-keys", "maps", "recompute"};
  static unsigned char pixels[FRAMES][BYTES];
  static holdings samples[MOST_LIVES];
  int lives = (atoi(argv[2]) + LIFE - 1) / LIFE;
  if (lives < FEWEST_LIVES) lives = FEWEST_LIVES;
  if (lives > MOST_LIVES) lives = MOST_LIVES;
  for (int life = 0; life < lives; life++) {
    fatezero_context *context = editor(argv[1]);
    for (int edit = 0; edit < LIFE; edit++) {
      char prompt[64];
      snprintf(prompt, sizeof prompt, "a [cat -> tiger%d] on the grass", edit % 7);
      set(context, "edit", prompt);
      set(context, "record", records[edit % 3]);
      fatezero_frame frames[FRAMES];
      fill(frames, pixels, edit);
      fatezero_status status = edit_once(context, frames, edit);
      if (status != FATEZERO_OK) {
        fprintf(stderr, "soak: edit %d: status %d: %s\n", life * LIFE + edit + 1, status, fatezero_error(context));
        return 1;
      }
    }
    holdings held = samples[life] = measure();
    fatezero_destroy(context);
    printf(
        "%d edits: %ld kB, %d descriptors, %d threads\n", (life + 1) * LIFE, held.kilobytes, held.descriptors,
        held.threads);
    fflush(stdout);
  }
  const holdings *first = samples + 1, *last = samples + lives - 3;
  double growth = 100 * (mean(last) / mean(first) - 1);
  printf("growth in %d edits: %.2f %%\n", lives * LIFE, growth);
  return growth > 2 || last[2].descriptors > first->descriptors || last[2].threads > first->threads;
}
