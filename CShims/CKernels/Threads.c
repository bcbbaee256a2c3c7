#define _GNU_SOURCE  // sched_getaffinity
#include "CKernels.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

// libgomp's entry points, which compilers call for `#pragma omp parallel`. Declared here, since -fopenmp would need
// unsafe build flags in a Swift package.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int threads);

typedef struct {
  ptrdiff_t items, next;
  void (*body)(void *, ptrdiff_t, int);
  void *context;
} loop;

static void work(void *data) {
  loop *shared = data;
  int worker = omp_get_thread_num();
  for (;;) {
    ptrdiff_t item = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
    if (item >= shared->items) return;
    shared->body(shared->context, item, worker);
  }
}

void kernel_parallel(ptrdiff_t items, int threads, void (*body)(void *, ptrdiff_t, int), void *context) {
  loop shared = {items, 0, body, context};
  if (threads > items) threads = (int)items;
  if (threads <= 1) {
    for (ptrdiff_t item = 0; item < items; item++) body(context, item, 0);
  } else {
    GOMP_parallel(work, &shared, (unsigned)threads, 0);
  }
}

int kernel_thread_count(void) { return omp_get_max_threads(); }
void kernel_set_thread_count(int threads) { omp_set_num_threads(threads); }

int kernel_available_cpus(void) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  int count = CPU_COUNT(&mask);
  return count < 1 ? 1 : count;
}

static void *wait_for_end(void *mutex) {
  pthread_mutex_lock(mutex);
  pthread_mutex_unlock(mutex);
  return NULL;
}

bool kernel_can_start(int threads) {
  if (threads <= 0) return true;
  pthread_t *started = malloc(sizeof(pthread_t) * (size_t)threads);
  if (!started) return false;
  // All of them at once: they end when the last one runs.
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  int count = 0;
  while (count < threads && pthread_create(&started[count], NULL, wait_for_end, &mutex) == 0) count++;
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < count; i++) pthread_join(started[i], NULL);
  free(started);
  return count == threads;
}
