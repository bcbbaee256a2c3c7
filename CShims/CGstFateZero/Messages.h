#pragma once
#include <fatezero.h>
#include <gst/gst.h>

// What the element posts on the bus: progress, finished windows, warnings, errors.
typedef struct GstFateZeroMessages {
  GstElement *element;
  // Whether a progress operation was started and not ended. gst-launch plays no frame meanwhile.
  gboolean operation_is_open;
  // What the context has said since the start.
  GHashTable *notes;
  // Told how long the edit of a window takes: soon after its beginning as well as that can be foreseen, and at its end.
  void (*on_edit_time)(gpointer user_data, GstClockTime time);
  gpointer user_data;
  // When the window in work began, in microseconds of the monotonic clock; 0: not yet.
  gint64 window_start;
} GstFateZeroMessages;

void gst_fatezero_messages_init(GstFateZeroMessages *messages, GstElement *element);
void gst_fatezero_messages_clear(GstFateZeroMessages *messages);

// The context's reports become messages from now on.
void gst_fatezero_messages_follow(GstFateZeroMessages *messages, fatezero_context *context);

// Ends the operation, if one is open, with what a call with the context returned.
void gst_fatezero_messages_end_operation(GstFateZeroMessages *messages, fatezero_status status);

// Posts an error with the domain and code that belong to the status. `message` says what is wrong, where, and what to do.
void gst_fatezero_messages_error(GstFateZeroMessages *messages, fatezero_status status, const char *message);
