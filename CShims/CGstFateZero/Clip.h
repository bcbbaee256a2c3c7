#pragma once
#include <fatezero.h>
#include <gst/video/gstvideofilter.h>

#include "Conversion.h"
#include "Messages.h"
#include "Settings.h"

// The state between start and stop: the frames of the window in work and what came between them, and the context that edits
// them. Frames go in one by one; when a window is full, or ended by its neighbours, as many come out.
//
// The streaming thread owns it. Only what is marked so may be reached from elsewhere.
typedef struct GstFateZeroClip {
  // As long as the element lives.
  GstVideoFilter *filter;
  GstFateZeroSettings *settings;
  GstFateZeroMessages messages;
  // The pointer is written under the element's object lock, so that any thread may cancel.
  fatezero_context *context;
  GstFateZeroConversion *conversion;
  // In stream order: frames without their pixels (those are the context's), and events that came after them.
  GQueue held;
  guint frames;
  // Frames per window, 0 for the whole clip, and per second, 0/1 where that varies.
  gint64 clip_length;
  int rate_numerator, rate_denominator;
  // Not GST_FLOW_OK after an error, which is posted once.
  GstFlowReturn flow;
  // There is no prompt yet: frames pass through.
  gboolean is_idle;
  // What the element adds to the latency, and where its output is: under the element's object lock.
  GstClockTime latency, position;
  // How long a window takes to be edited, as measured or foreseen; 0: not known.
  GstClockTime edit_time;
  gboolean warned_of_fields, warned_of_live, warned_of_turn, warned_of_range;
} GstFateZeroClip;

void gst_fatezero_clip_init(GstFateZeroClip *clip, GstVideoFilter *filter, GstFateZeroSettings *settings);
void gst_fatezero_clip_clear(GstFateZeroClip *clip);

// Checks the settings and opens the model. On failure an error was posted.
gboolean gst_fatezero_clip_start(GstFateZeroClip *clip);
void gst_fatezero_clip_stop(GstFateZeroClip *clip);

// Stops an edit in progress, and every later one until gst_fatezero_clip_forget(). From any thread, at any time.
void gst_fatezero_clip_cancel(GstFateZeroClip *clip);

// Prepares for the filter's caps. On failure an error was posted.
gboolean gst_fatezero_clip_set_format(GstFateZeroClip *clip, const GstVideoInfo *video);

// Takes a frame; edits and pushes a window if it is full.
GstFlowReturn gst_fatezero_clip_take(GstFateZeroClip *clip, GstBuffer *buffer);

// Takes an event that must keep its place among the frames.
gboolean gst_fatezero_clip_take_event(GstFateZeroClip *clip, GstEvent *event);

// Ends the clip: edits and pushes what is held.
GstFlowReturn gst_fatezero_clip_drain(GstFateZeroClip *clip);

// Drops what is held, and lifts a cancellation.
void gst_fatezero_clip_forget(GstFateZeroClip *clip);
