/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The part of the frei0r interface (version 1) that a filter needs, declared from its specification
 * (https://frei0r.dyne.org/codedoc/html/group__pluglocations.html): frei0r's own header is under the GPL.
 */
#ifndef FATEZERO_FREI0R_H
#define FATEZERO_FREI0R_H

#include <stdint.h>

enum { F0R_INTERFACE_VERSION = 1 };
enum { F0R_PLUGIN_TYPE_FILTER = 0 };
/** Bytes red, green, blue, alpha. */
enum { F0R_COLOR_MODEL_RGBA8888 = 1 };
/** A parameter's value is behind a pointer to a `const char *`. */
enum { F0R_PARAM_STRING = 4 };

typedef struct f0r_plugin_info {
  const char *name;
  const char *author;
  int plugin_type;
  int color_model;
  int frei0r_version;
  int major_version;
  int minor_version;
  int num_params;
  const char *explanation;
} f0r_plugin_info_t;

typedef struct f0r_param_info {
  const char *name;
  int type;
  const char *explanation;
} f0r_param_info_t;

typedef void *f0r_instance_t;
typedef void *f0r_param_t;

/** Called once after loading; 1 is success. */
int f0r_init(void);
void f0r_deinit(void);
void f0r_get_plugin_info(f0r_plugin_info_t *info);
void f0r_get_param_info(f0r_param_info_t *info, int index);
/** NULL on failure. */
f0r_instance_t f0r_construct(unsigned int width, unsigned int height);
void f0r_destruct(f0r_instance_t instance);
void f0r_set_param_value(f0r_instance_t instance, f0r_param_t value, int index);
void f0r_get_param_value(f0r_instance_t instance, f0r_param_t value, int index);
/** One frame in, one frame out; rows follow each other without a gap. */
void f0r_update(f0r_instance_t instance, double time, const uint32_t *source, uint32_t *result);

#endif
