#include "CKernels.h"
#include <string.h>

void kernel_im2col(const float *images, const kernel_window *window, ptrdiff_t first, ptrdiff_t count, float *matrix) {
  kernel_window w = *window;
  size_t pixel = (size_t)w.channels * sizeof(float);
  for (ptrdiff_t position = first; position < first + count; position++) {
    ptrdiff_t column = position % w.output_columns, row = position / w.output_columns % w.output_rows;
    const float *image = images + position / w.output_columns / w.output_rows * w.rows * w.columns * w.channels;
    ptrdiff_t left = column * w.stride - w.left;
    ptrdiff_t begin = left < 0 ? -left : 0;
    ptrdiff_t end = w.columns - left < w.kernel_columns ? w.columns - left : w.kernel_columns;
    if (end < 0) end = 0;
    if (begin > end) begin = end;
    for (ptrdiff_t kernel_row = 0; kernel_row < w.kernel_rows; kernel_row++) {
      ptrdiff_t y = row * w.stride - w.top + kernel_row;
      if (y < 0 || y >= w.rows || begin == end) {
        memset(matrix, 0, (size_t)w.kernel_columns * pixel);
      } else {
        memset(matrix, 0, (size_t)begin * pixel);
        memcpy(
            matrix + begin * w.channels, image + (y * w.columns + left + begin) * w.channels,
            (size_t)(end - begin) * pixel);
        memset(matrix + end * w.channels, 0, (size_t)(w.kernel_columns - end) * pixel);
      }
      matrix += w.kernel_columns * w.channels;
    }
  }
}
