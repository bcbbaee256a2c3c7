#pragma once
#include <gst/gst.h>

// GstPreset: the words of property `preset` are presets that always exist, beside those that users save.
// For G_IMPLEMENT_INTERFACE(GST_TYPE_PRESET, ...).
void gst_fatezero_presets_init(GstPresetInterface *interface);
