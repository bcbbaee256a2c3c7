/* A program that hands frames to the library which it must not: "overrun" one whose memory ends too soon, "race" one that
 * another thread is writing. The sanitizers must say so of the library, or they watch nothing. */
#include <fatezero.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 64, BYTES = WIDTH * HEIGHT * 3 };

static int is_done;

static void *scribble(void *argument) {
  while (!__atomic_load_n(&is_done, __ATOMIC_RELAXED)) *(volatile unsigned char *)argument = 7;
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  int overruns = strcmp(argv[1], "overrun") == 0;
  unsigned char *pixels = calloc(1, overruns ? BYTES / 2 : BYTES);
  fatezero_frame frame;
  memset(&frame, 0, sizeof frame);
  frame.struct_size = sizeof frame;
  frame.width = WIDTH;
  frame.height = HEIGHT;
  frame.format = FATEZERO_RGB24;
  frame.data = pixels;
  frame.stride = WIDTH * 3;

  fatezero_context *context = fatezero_create();
  if (fatezero_set(context, "model", argv[2]) != FATEZERO_OK || fatezero_set(context, "edit", "a tiger") != FATEZERO_OK)
    return 65;
  pthread_t writer;
  if (!overruns) pthread_create(&writer, NULL, scribble, pixels);
  fatezero_push(context, &frame);
  __atomic_store_n(&is_done, 1, __ATOMIC_RELAXED);
  if (!overruns) pthread_join(writer, NULL);
  fatezero_destroy(context);
  free(pixels);
  return 0;
}
