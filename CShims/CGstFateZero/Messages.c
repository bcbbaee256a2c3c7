#include "Messages.h"

// The operation's name in progress messages.
#define OPERATION "edit"

// MARK: - Progress

static const char *phase_name(fatezero_phase phase) {
  switch (phase) {
    case FATEZERO_PHASE_LOAD: return "load";
    case FATEZERO_PHASE_ENCODE: return "encode";
    case FATEZERO_PHASE_INVERT: return "invert";
    case FATEZERO_PHASE_RECONSTRUCT: return "reconstruct";
    case FATEZERO_PHASE_EDIT: return "edit";
    case FATEZERO_PHASE_DECODE: return "decode";
  }
  return "work";
}

static void post_progress(GstFateZeroMessages *messages, GstProgressType type, const char *text) {
  gst_element_post_message(
      messages->element, gst_message_new_progress(GST_OBJECT(messages->element), type, OPERATION, text));
}

// "1:05 min left"; "" while unknown.
static char *time_left(double seconds) {
  if (seconds < 0) return g_strdup("");
  gint64 left = (gint64)(seconds + 0.5);
  return left < 60 ? g_strdup_printf(", %d s left", (int)left)
                   : g_strdup_printf(", %" G_GINT64_FORMAT ":%02d min left", left / 60, (int)(left % 60));
}

// From a tenth of the work on, which holds passes of the network.
static void foresee_edit_time(GstFateZeroMessages *messages, const fatezero_progress *progress) {
  if (progress->phase == FATEZERO_PHASE_LOAD) return;
  gint64 now = g_get_monotonic_time();
  if (messages->window_start == 0) messages->window_start = now;
  if (progress->fraction < 0.1 || progress->fraction >= 1) return;
  gint64 elapsed = now - messages->window_start;
  messages->on_edit_time(messages->user_data, (GstClockTime)((double)elapsed / progress->fraction) * GST_USECOND);
}

static void progress(void *user_data, const fatezero_progress *progress) {
  GstFateZeroMessages *messages = user_data;
  foresee_edit_time(messages, progress);
  if (!messages->operation_is_open) {
    char *text = g_strdup_printf("window %" G_GINT64_FORMAT, progress->window + 1);
    post_progress(messages, GST_PROGRESS_TYPE_START, text);
    g_free(text);
    messages->operation_is_open = TRUE;
  }
  int percent = (int)(CLAMP(progress->fraction, 0, 1) * 100);
  const char *phase = phase_name(progress->phase);
  char *left = time_left(progress->seconds_left);
  char *text = g_strdup_printf(
      "window %" G_GINT64_FORMAT ": %s %d/%d, %d %%%s", progress->window + 1, phase, progress->step, progress->steps,
      percent, left);
  GstMessage *message =
      gst_message_new_progress(GST_OBJECT(messages->element), GST_PROGRESS_TYPE_CONTINUE, OPERATION, text);
  gst_structure_set(
      gst_message_writable_structure(message), "percent", G_TYPE_INT, percent, "seconds-left", G_TYPE_DOUBLE,
      progress->seconds_left, "window", G_TYPE_INT64, progress->window, "frames", G_TYPE_INT64, progress->frames,
      "phase", G_TYPE_STRING, phase, "step", G_TYPE_INT, progress->step, "steps", G_TYPE_INT, progress->steps, NULL);
  gst_element_post_message(messages->element, message);
  g_free(text);
  g_free(left);
}

void gst_fatezero_messages_end_operation(GstFateZeroMessages *messages, fatezero_status status) {
  messages->window_start = 0;
  if (!messages->operation_is_open) return;
  messages->operation_is_open = FALSE;
  switch (status) {
    case FATEZERO_OK: post_progress(messages, GST_PROGRESS_TYPE_COMPLETE, "done"); break;
    case FATEZERO_CANCELLED: post_progress(messages, GST_PROGRESS_TYPE_CANCELED, "cancelled"); break;
    default: post_progress(messages, GST_PROGRESS_TYPE_ERROR, "failed"); break;
  }
}

// MARK: - Windows

static guint64 clock_time(int64_t pts) { return pts == FATEZERO_NO_PTS ? GST_CLOCK_TIME_NONE : (guint64)pts; }

static void window(void *user_data, const fatezero_window *window) {
  GstFateZeroMessages *messages = user_data;
  messages->window_start = 0;
  messages->on_edit_time(messages->user_data, (GstClockTime)(window->seconds * GST_SECOND));
  GstStructure *structure = gst_structure_new(
      "fatezero/window", "window", G_TYPE_INT64, window->window, "frames", G_TYPE_INT64, window->frames, "first-pts",
      G_TYPE_UINT64, clock_time(window->first_pts), "last-pts", G_TYPE_UINT64, clock_time(window->last_pts), "seconds",
      G_TYPE_DOUBLE, window->seconds, "peak-memory", G_TYPE_INT64, window->peak_memory, "words", G_TYPE_STRING,
      window->words, "mask-share", G_TYPE_DOUBLE, window->mask_share, NULL);
  gst_element_post_message(messages->element, gst_message_new_element(GST_OBJECT(messages->element), structure));
}

// MARK: - Warnings and errors

static void note(void *user_data, fatezero_log_level level, const char *message) {
  GstFateZeroMessages *messages = user_data;
  // Each clip of a stream says the same again.
  if (!g_hash_table_add(messages->notes, g_strdup(message))) return;
  switch (level) {
    case FATEZERO_LOG_INFORMATION:
      // gst-launch prints the part for developers alone.
      GST_ELEMENT_INFO(messages->element, LIBRARY, SETTINGS, ("%s", message), ("%s", message));
      break;
    case FATEZERO_LOG_WARNING:
      GST_ELEMENT_WARNING(messages->element, LIBRARY, SETTINGS, ("%s", message), (NULL));
      break;
  }
}

void gst_fatezero_messages_error(GstFateZeroMessages *messages, fatezero_status status, const char *message) {
  GstElement *element = messages->element;
  switch (status) {
    case FATEZERO_SETTINGS:
    case FATEZERO_INVALID_ARGUMENT:
    case FATEZERO_INVALID_STATE: GST_ELEMENT_ERROR(element, LIBRARY, SETTINGS, ("%s", message), (NULL)); break;
    case FATEZERO_MODEL_NOT_FOUND: GST_ELEMENT_ERROR(element, RESOURCE, NOT_FOUND, ("%s", message), (NULL)); break;
    case FATEZERO_MODEL_DAMAGED:
    case FATEZERO_MODEL_UNSUPPORTED: GST_ELEMENT_ERROR(element, RESOURCE, READ, ("%s", message), (NULL)); break;
    case FATEZERO_FRAMES: GST_ELEMENT_ERROR(element, STREAM, FORMAT, ("%s", message), (NULL)); break;
    case FATEZERO_MEMORY: GST_ELEMENT_ERROR(element, RESOURCE, NO_SPACE_LEFT, ("%s", message), (NULL)); break;
    default: GST_ELEMENT_ERROR(element, LIBRARY, FAILED, ("%s", message), ("status %d", (int)status)); break;
  }
}

// MARK: - Life

void gst_fatezero_messages_init(GstFateZeroMessages *messages, GstElement *element) {
  messages->element = element;
  messages->notes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void gst_fatezero_messages_clear(GstFateZeroMessages *messages) { g_hash_table_unref(messages->notes); }

void gst_fatezero_messages_follow(GstFateZeroMessages *messages, fatezero_context *context) {
  g_hash_table_remove_all(messages->notes);
  messages->operation_is_open = FALSE;
  messages->window_start = 0;
  const fatezero_callbacks callbacks = {
      .struct_size = sizeof callbacks,
      .user_data = messages,
      .progress = progress,
      .log = note,
      .window = window,
  };
  fatezero_set_callbacks(context, &callbacks);
}
