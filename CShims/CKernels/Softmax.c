#include "CKernels.h"
#include "Softmax.h"

KERNEL void kernel_softmax(float *x, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * columns;
    float factor = 1.0f / exponentials(row, columns, row_maximum(row, columns));
    for (size_t c = 0; c < columns; c++) row[c] *= factor;
  }
}
