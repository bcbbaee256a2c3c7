#pragma once
#include <fatezero.h>
#include <gst/gst.h>

// The element's properties: one for each knob of fatezero.h, with its words, range and default. What properties write is
// kept as text under a lock of its own, and handed to a context between two windows.
typedef struct GstFateZeroSettings GstFateZeroSettings;

// Installs the properties. Property number i + 1 is knob number i.
void gst_fatezero_settings_install(GObjectClass *klass);

GstFateZeroSettings *gst_fatezero_settings_new(void);
void gst_fatezero_settings_free(GstFateZeroSettings *settings);

// From any thread.
void gst_fatezero_settings_write(GstFateZeroSettings *settings, guint property, const GValue *value);

// From any thread. What was written; else what the model and a preset make of it once that is known; else the default.
void gst_fatezero_settings_read(GstFateZeroSettings *settings, guint property, GValue *value);

// Whether properties were written since the context was last given them.
gboolean gst_fatezero_settings_changed(GstFateZeroSettings *settings);

// Forgets what a context was given: the next one is new.
void gst_fatezero_settings_forget(GstFateZeroSettings *settings);

// Gives the context what properties wrote, and checks it against the model. On failure the context keeps, as far as it
// had one that works, what it had before, and `*message` says why (to be freed).
fatezero_status gst_fatezero_settings_apply(GstFateZeroSettings *settings, fatezero_context *context, char **message);
