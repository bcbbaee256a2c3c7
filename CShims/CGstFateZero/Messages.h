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
} GstFateZeroMessages;

void gst_fatezero_messages_init(GstFateZeroMessages *messages, GstElement *element);
void gst_fatezero_messages_clear(GstFateZeroMessages *messages);

// The context's reports become messages from now on.
void gst_fatezero_messages_follow(GstFateZeroMessages *messages, fatezero_context *context);

// Ends the operation, if one is open, with what a call with the context returned.
void gst_fatezero_messages_end_operation(GstFateZeroMessages *messages, fatezero_status status);

// Posts an error with the domain and code that belong to the status. `message` says what is wrong, where, and what to do.
void gst_fatezero_messages_error(GstFateZeroMessages *messages, fatezero_status status, const char *message);
