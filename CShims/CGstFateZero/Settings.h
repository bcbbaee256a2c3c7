#pragma once
#include <fatezero.h>
#include <gst/gst.h>

// The element's properties: one for each knob of fatezero.h, with its words and range. A property says what was set and nothing
// else, so that a copy of all properties is the same element; each has a value for "not set", its default. What the model and a
// preset make of the settings is read in `effective-settings`. What properties write is kept as text under a lock of its own,
// and handed to a context between two windows.
typedef struct GstFateZeroSettings GstFateZeroSettings;

// Installs the properties. Property number i + 1 is knob number i; the last is `effective-settings`.
void gst_fatezero_settings_install(GObjectClass *klass);

GstFateZeroSettings *gst_fatezero_settings_new(void);
void gst_fatezero_settings_free(GstFateZeroSettings *settings);

// From any thread.
void gst_fatezero_settings_write(GstFateZeroSettings *settings, guint property, const GValue *value);

// From any thread. What was written and not refused.
void gst_fatezero_settings_read(GstFateZeroSettings *settings, guint property, GValue *value);

// Whether properties were written since the context was last given them.
gboolean gst_fatezero_settings_changed(GstFateZeroSettings *settings);

// Whether there is a prompt to edit with.
gboolean gst_fatezero_settings_have_prompt(GstFateZeroSettings *settings);

// Gives a new context what properties wrote, and checks it against the model. On failure `*message` says why (to be freed).
fatezero_status gst_fatezero_settings_start(
    GstFateZeroSettings *settings, GObject *element, fatezero_context *context, char **message);

// Gives the context what properties wrote since. What is refused is refused alone: its property goes back to what holds, and
// `refused` is called with the reason. FATEZERO_OK, or FATEZERO_CANCELLED; the next call tries again then.
fatezero_status gst_fatezero_settings_update(
    GstFateZeroSettings *settings, GObject *element, fatezero_context *context,
    void (*refused)(gpointer user_data, const char *message), gpointer user_data);
