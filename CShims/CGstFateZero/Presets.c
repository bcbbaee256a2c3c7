#include "Presets.h"

#include <fatezero.h>
#include <string.h>

#define PROPERTY "preset"

// GStreamer's own implementation: presets in files.
static char **(*files_names)(GstPreset *);
static gboolean (*files_load)(GstPreset *, const gchar *);

static const char *const *words(void) {
  const fatezero_knob *knob;
  for (size_t i = 0; (knob = fatezero_knob_at(i)); i++)
    if (strcmp(knob->name, PROPERTY) == 0) return knob->choices;
  return NULL;
}

static gboolean is_ours(const char *name) {
  const char *const *ours = words();
  return ours && g_strv_contains(ours, name);
}

static gchar **names(GstPreset *preset) {
  GPtrArray *all = g_ptr_array_new();
  for (const char *const *word = words(); word && *word; word++) g_ptr_array_add(all, g_strdup(*word));
  char **saved = files_names(preset);
  for (char **name = saved; name && *name; name++)
    if (!is_ours(*name)) g_ptr_array_add(all, g_strdup(*name));
  g_strfreev(saved);
  g_ptr_array_add(all, NULL);
  return (gchar **)g_ptr_array_free(all, FALSE);
}

static gboolean load(GstPreset *preset, const gchar *name) {
  if (!is_ours(name)) return files_load(preset, name);
  gst_util_set_object_arg(G_OBJECT(preset), PROPERTY, name);
  return TRUE;
}

void gst_fatezero_presets_init(GstPresetInterface *interface) {
  files_names = interface->get_preset_names;
  files_load = interface->load_preset;
  interface->get_preset_names = names;
  interface->load_preset = load;
}
