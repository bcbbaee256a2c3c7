// One interface to oneDNN 2 and 3. Every condition on the release stands here, and nowhere else.
//
// Release 3 made memory descriptors opaque, dropped operation descriptors, and changed two post-operations:
// https://uxlfoundation.github.io/oneDNN/dev_guide_transition_to_v3.html
#pragma once
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdlib.h>

// MARK: Layouts

/// How an array lies in memory: `dnnl_memory_desc_t`, whatever that is in this release. Owned by whoever created it.
typedef struct onednn_layout *onednn_layout_t;

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t onednn_descriptor_t;
typedef const_dnnl_memory_desc_t onednn_const_descriptor_t;
#else
typedef dnnl_memory_desc_t *onednn_descriptor_t;
typedef const dnnl_memory_desc_t *onednn_const_descriptor_t;
#endif

static inline onednn_descriptor_t onednn_descriptor(onednn_layout_t layout) { return (onednn_descriptor_t)layout; }

static inline dnnl_status_t onednn_layout_copy(onednn_layout_t *copy, onednn_const_descriptor_t descriptor) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_t made = NULL;
  dnnl_status_t status = dnnl_memory_desc_clone(&made, descriptor);
#else
  dnnl_memory_desc_t *made = malloc(sizeof *made);
  dnnl_status_t status = made ? dnnl_success : dnnl_out_of_memory;
  if (made) *made = *descriptor;
#endif
  *copy = (onednn_layout_t)made;
  return status;
}

static inline dnnl_status_t onednn_layout_create(
    onednn_layout_t *layout, int rank, const dnnl_dim_t *extents, dnnl_data_type_t type, dnnl_format_tag_t tag) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_t made = NULL;
  dnnl_status_t status = dnnl_memory_desc_create_with_tag(&made, rank, extents, type, tag);
  *layout = (onednn_layout_t)made;
  return status;
#else
  dnnl_memory_desc_t made;
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(&made, rank, extents, type, tag);
  return status == dnnl_success ? onednn_layout_copy(layout, &made) : status;
#endif
}

static inline void onednn_layout_destroy(onednn_layout_t layout) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_destroy(onednn_descriptor(layout));
#else
  free(layout);
#endif
}

static inline int onednn_layout_equal(onednn_layout_t a, onednn_layout_t b) {
  return dnnl_memory_desc_equal(onednn_descriptor(a), onednn_descriptor(b));
}

/// Bytes of an array that lies so.
static inline size_t onednn_layout_size(onednn_layout_t layout) {
  return dnnl_memory_desc_get_size(onednn_descriptor(layout));
}

/// The layout of an operand, which the library chose where it was left to it. `*layout` is NULL where there is none.
static inline dnnl_status_t onednn_operation_layout(
    onednn_layout_t *layout, const_dnnl_primitive_desc_t operation, dnnl_query_t operand) {
  onednn_const_descriptor_t descriptor = dnnl_primitive_desc_query_md(operation, operand, 0);
  *layout = NULL;
  return descriptor ? onednn_layout_copy(layout, descriptor) : dnnl_success;
}

static inline dnnl_status_t onednn_memory_create(
    dnnl_memory_t *memory, onednn_layout_t layout, dnnl_engine_t engine, void *data) {
  return dnnl_memory_create(memory, onednn_descriptor(layout), engine, data);
}

// MARK: Operations

/// The bias may be NULL. `strides`, `before` and `after` (the padding) are for rows and columns.
static inline dnnl_status_t onednn_convolution_create(
    dnnl_primitive_desc_t *operation, dnnl_engine_t engine, dnnl_alg_kind_t algorithm, onednn_layout_t source,
    onednn_layout_t weights, onednn_layout_t bias, onednn_layout_t result, const dnnl_dim_t *strides,
    const dnnl_dim_t *before, const dnnl_dim_t *after, const_dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_convolution_forward_primitive_desc_create(
      operation, engine, dnnl_forward_inference, algorithm, onednn_descriptor(source), onednn_descriptor(weights),
      onednn_descriptor(bias), onednn_descriptor(result), strides, NULL, before, after, attributes);
#else
  dnnl_memory_desc_t none = {0};
  dnnl_convolution_desc_t descriptor;
  dnnl_status_t status = dnnl_convolution_forward_desc_init(
      &descriptor, dnnl_forward_inference, algorithm, onednn_descriptor(source), onednn_descriptor(weights),
      bias ? onednn_descriptor(bias) : &none, onednn_descriptor(result), strides, before, after);
  return status == dnnl_success ? dnnl_primitive_desc_create(operation, &descriptor, attributes, engine, NULL) : status;
#endif
}

/// The bias may be NULL.
static inline dnnl_status_t onednn_product_create(
    dnnl_primitive_desc_t *operation, dnnl_engine_t engine, onednn_layout_t source, onednn_layout_t weights,
    onednn_layout_t bias, onednn_layout_t result, const_dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(
      operation, engine, onednn_descriptor(source), onednn_descriptor(weights), onednn_descriptor(bias),
      onednn_descriptor(result), attributes);
#else
  dnnl_memory_desc_t none = {0};
  dnnl_matmul_desc_t descriptor;
  dnnl_status_t status = dnnl_matmul_desc_init(
      &descriptor, onednn_descriptor(source), onednn_descriptor(weights), bias ? onednn_descriptor(bias) : &none,
      onednn_descriptor(result));
  return status == dnnl_success ? dnnl_primitive_desc_create(operation, &descriptor, attributes, engine, NULL) : status;
#endif
}

static inline dnnl_status_t onednn_reorder_create(
    dnnl_primitive_desc_t *operation, dnnl_engine_t engine, onednn_layout_t source, onednn_layout_t result,
    const_dnnl_primitive_attr_t attributes) {
  return dnnl_reorder_primitive_desc_create(
      operation, onednn_descriptor(source), engine, onednn_descriptor(result), engine, attributes);
}

// MARK: Post-operations

/// The result is added to what its memory holds.
static inline dnnl_status_t onednn_append_sum(dnnl_post_ops_t list) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(list, 1, 0, dnnl_data_type_undef);
#else
  return dnnl_post_ops_append_sum(list, 1);
#endif
}

static inline dnnl_status_t onednn_append_activation(dnnl_post_ops_t list, dnnl_alg_kind_t function, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_eltwise(list, function, alpha, 0);
#else
  return dnnl_post_ops_append_eltwise(list, 1, function, alpha, 0);
#endif
}

static inline dnnl_status_t onednn_append_addend(dnnl_post_ops_t list, onednn_layout_t addend) {
  return dnnl_post_ops_append_binary(list, dnnl_binary_add, onednn_descriptor(addend));
}
