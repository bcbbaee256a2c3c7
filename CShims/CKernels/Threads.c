#define _GNU_SOURCE  // sched_getaffinity
#include "CKernels.h"
#include <sched.h>

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
