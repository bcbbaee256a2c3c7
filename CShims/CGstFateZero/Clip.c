#include "Clip.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fatezero_debug);
#define GST_CAT_DEFAULT gst_fatezero_debug

#define ELEMENT(clip) GST_ELEMENT((clip)->filter)
#define BASE(clip) GST_BASE_TRANSFORM((clip)->filter)

// MARK: - Start and stop

// A frame waits until its window is full, and then until that is edited.
static void update_latency(GstFateZeroClip *clip) {
  GstClockTime latency = 0;
  // A whole clip, and frames without a rate, take a time that nobody knows.
  if (clip->rate_numerator > 0 && !clip->is_idle)
    latency =
        clip->edit_time
        + gst_util_uint64_scale(
            (guint64)clip->clip_length * GST_SECOND, (guint64)clip->rate_denominator, (guint64)clip->rate_numerator);
  GST_OBJECT_LOCK(clip->filter);
  gboolean changed = clip->latency != latency;
  clip->latency = latency;
  GST_OBJECT_UNLOCK(clip->filter);
  if (changed) gst_element_post_message(ELEMENT(clip), gst_message_new_latency(GST_OBJECT(clip->filter)));
}

// Whoever is asked for the latency anew stops and starts the flow: a fifth more is said at once, so that times that vary do not
// change it again and again, and less than that never.
static void take_edit_time(gpointer user_data, GstClockTime time) {
  GstFateZeroClip *clip = user_data;
  if (time <= clip->edit_time) return;
  clip->edit_time = time + time / 5;
  update_latency(clip);
}

static void read_clip_length(GstFateZeroClip *clip) {
  const char *text = fatezero_get(clip->context, "clip-length");
  clip->clip_length = text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

void gst_fatezero_clip_init(GstFateZeroClip *clip, GstVideoFilter *filter, GstFateZeroSettings *settings) {
  clip->filter = filter;
  clip->settings = settings;
  gst_fatezero_messages_init(&clip->messages, GST_ELEMENT(filter));
  clip->messages.on_edit_time = take_edit_time;
  clip->messages.user_data = clip;
  clip->position = GST_CLOCK_TIME_NONE;
  g_queue_init(&clip->held);
}

void gst_fatezero_clip_clear(GstFateZeroClip *clip) { gst_fatezero_messages_clear(&clip->messages); }

// Opens the model with the settings. On failure an error was posted.
static gboolean begin_editing(GstFateZeroClip *clip) {
  char *message = NULL;
  fatezero_status status = gst_fatezero_settings_start(clip->settings, G_OBJECT(clip->filter), clip->context, &message);
  if (status != FATEZERO_OK) gst_fatezero_messages_error(&clip->messages, status, message);
  g_free(message);
  if (status != FATEZERO_OK) return FALSE;
  clip->is_idle = FALSE;
  read_clip_length(clip);
  update_latency(clip);
  return TRUE;
}

static void set_context(GstFateZeroClip *clip, fatezero_context *context) {
  GST_OBJECT_LOCK(clip->filter);
  clip->context = context;
  clip->latency = 0;
  clip->position = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK(clip->filter);
}

gboolean gst_fatezero_clip_start(GstFateZeroClip *clip) {
  clip->rate_numerator = 0;
  clip->edit_time = 0;
  clip->flow = GST_FLOW_OK;
  clip->warned_of_fields = clip->warned_of_live = clip->warned_of_turn = clip->warned_of_range = FALSE;
  fatezero_context *context = fatezero_create();
  if (!context) {
    gst_fatezero_messages_error(&clip->messages, FATEZERO_MEMORY, "there is no memory for an editor");
    return FALSE;
  }
  gst_fatezero_messages_follow(&clip->messages, context);
  set_context(clip, context);
  // An application adds the effect first, and then asks what it is to do.
  clip->is_idle = !gst_fatezero_settings_have_prompt(clip->settings);
  if (clip->is_idle) {
    GST_ELEMENT_WARNING(
        ELEMENT(clip), LIBRARY, SETTINGS,
        ("no prompt was given: frames pass through unedited until the property edit is set, like edit=\"a [cat -> "
         "tiger] on "
         "the grass\""),
        (NULL));
  } else if (!begin_editing(clip)) {
    set_context(clip, NULL);
    fatezero_destroy(context);
    return FALSE;
  }
  return TRUE;
}

static void drop_held(GstFateZeroClip *clip) {
  gpointer item;
  while ((item = g_queue_pop_head(&clip->held))) {
    // A flush drops frames, not what is known of the stream.
    if (GST_IS_EVENT(item) && GST_EVENT_IS_STICKY(item)) gst_pad_store_sticky_event(BASE(clip)->srcpad, item);
    gst_mini_object_unref(item);
  }
  clip->frames = 0;
}

void gst_fatezero_clip_stop(GstFateZeroClip *clip) {
  drop_held(clip);
  GST_OBJECT_LOCK(clip->filter);
  fatezero_context *context = clip->context;
  clip->context = NULL;
  GST_OBJECT_UNLOCK(clip->filter);
  fatezero_destroy(context);
  g_clear_pointer(&clip->conversion, gst_fatezero_conversion_free);
}

void gst_fatezero_clip_cancel(GstFateZeroClip *clip) {
  GST_OBJECT_LOCK(clip->filter);
  fatezero_cancel(clip->context);
  GST_OBJECT_UNLOCK(clip->filter);
}

static void set_position(GstFateZeroClip *clip, GstClockTime position) {
  GST_OBJECT_LOCK(clip->filter);
  clip->position = position;
  GST_OBJECT_UNLOCK(clip->filter);
}

void gst_fatezero_clip_forget(GstFateZeroClip *clip) {
  drop_held(clip);
  fatezero_reset(clip->context);
  clip->flow = GST_FLOW_OK;
  set_position(clip, GST_CLOCK_TIME_NONE);
}

// MARK: - Warnings

static void warn_of_live_source(GstFateZeroClip *clip) {
  if (clip->warned_of_live) return;
  clip->warned_of_live = TRUE;
  GstQuery *query = gst_query_new_latency();
  gboolean live = FALSE;
  if (gst_pad_peer_query(BASE(clip)->sinkpad, query)) gst_query_parse_latency(query, &live, NULL, NULL);
  gst_query_unref(query);
  if (!live) return;
  GST_ELEMENT_WARNING(
      ELEMENT(clip), STREAM, FORMAT,
      ("the source is live, and an edit mostly takes longer than its frames last: they come out in bursts, late, and "
       "a sink with sync=true drops them. Use sync=false; put a queue before fatezero that holds what arrives during "
       "an edit (queue max-size-buffers=0 max-size-bytes=0 max-size-time=0: it grows as long as the source runs), or "
       "record to a file first"),
      (NULL));
}

static void warn_of_fields(GstFateZeroClip *clip) {
  if (clip->warned_of_fields) return;
  clip->warned_of_fields = TRUE;
  GST_ELEMENT_WARNING(
      ELEMENT(clip), STREAM, FORMAT,
      ("the video is interlaced: two fields of different times would be edited as one picture; put deinterlace before "
       "fatezero"),
      (NULL));
}

/** Whether an element upstream turns pictures by their tags. The tags themselves go on unchanged (GStreamer 1.22). */
static gboolean turns_upstream(GstPad *sink) {
  gboolean turns = FALSE;
  GstPad *source = gst_pad_get_peer(sink);
  while (source && !turns) {
    GstElement *element = gst_pad_get_parent_element(source);
    if (element && GST_IS_VIDEO_DIRECTION(element)) {
      GstVideoOrientationMethod method = GST_VIDEO_ORIENTATION_IDENTITY;
      g_object_get(element, "video-direction", &method, NULL);
      turns = method == GST_VIDEO_ORIENTATION_AUTO;
    }
    g_clear_object(&element);
    // Into bins and out of them as well: the two sides of a ghost pad are linked like the two of an element.
    GstIterator *linked = gst_pad_iterate_internal_links(source);
    g_clear_object(&source);
    GValue value = G_VALUE_INIT;
    if (linked && gst_iterator_next(linked, &value) == GST_ITERATOR_OK) {
      source = gst_pad_get_peer(GST_PAD(g_value_get_object(&value)));
      g_value_unset(&value);
    }
    g_clear_pointer(&linked, gst_iterator_free);
  }
  g_clear_object(&source);
  return turns;
}

static void warn_of_turned_picture(GstFateZeroClip *clip, GstEvent *event) {
  GstTagList *tags = NULL;
  gst_event_parse_tag(event, &tags);
  char *orientation = NULL;
  if (clip->warned_of_turn || !gst_tag_list_get_string(tags, GST_TAG_IMAGE_ORIENTATION, &orientation)) return;
  if (g_strcmp0(orientation, "rotate-0") != 0 && !turns_upstream(BASE(clip)->sinkpad)) {
    clip->warned_of_turn = TRUE;
    GST_ELEMENT_WARNING(
        ELEMENT(clip), STREAM, FORMAT,
        ("the video is marked as %s: the model sees it turned; put videoflip video-direction=auto before fatezero",
         orientation),
        (NULL));
  }
  g_free(orientation);
}

static void warn_of_dynamic_range(GstFateZeroClip *clip, const GstVideoInfo *video) {
  GstVideoTransferFunction transfer = GST_VIDEO_INFO_COLORIMETRY(video).transfer;
  gboolean is_pq = transfer == GST_VIDEO_TRANSFER_SMPTE2084;
  if (clip->warned_of_range || (!is_pq && transfer != GST_VIDEO_TRANSFER_ARIB_STD_B67)) return;
  clip->warned_of_range = TRUE;
  GST_ELEMENT_WARNING(
      ELEMENT(clip), STREAM, FORMAT,
      ("the video is HDR (%s), and the model knows ordinary pictures: it sees flat, grey ones. Tone-map it to BT.709 "
       "before "
       "fatezero",
       is_pq ? "PQ" : "HLG"),
      (NULL));
}

// MARK: - Format

gboolean gst_fatezero_clip_set_format(GstFateZeroClip *clip, const GstVideoInfo *video) {
  g_clear_pointer(&clip->conversion, gst_fatezero_conversion_free);
  clip->conversion = gst_fatezero_conversion_new(video);
  if (!clip->conversion) {
    GST_ELEMENT_ERROR(
        ELEMENT(clip), STREAM, FORMAT,
        ("frames of %dx%d pixels in %s cannot be converted to RGB; put videoconvert or videoscale before fatezero",
         GST_VIDEO_INFO_WIDTH(video), GST_VIDEO_INFO_HEIGHT(video), GST_VIDEO_INFO_NAME(video)),
        (NULL));
    return FALSE;
  }
  clip->rate_numerator = GST_VIDEO_INFO_FPS_N(video);
  clip->rate_denominator = GST_VIDEO_INFO_FPS_D(video);
  update_latency(clip);
  warn_of_dynamic_range(clip, video);
  return TRUE;
}

// MARK: - Out

static GstFlowReturn push(GstFateZeroClip *clip, GstBuffer *shell) {
  GstBaseTransform *base = BASE(clip);
  GstBuffer *output = NULL;
  GstFlowReturn flow = GST_BASE_TRANSFORM_GET_CLASS(base)->prepare_output_buffer(base, shell, &output);
  if (flow != GST_FLOW_OK) return flow;
  GstVideoFrame video;
  if (!gst_video_frame_map(&video, &clip->filter->out_info, output, GST_MAP_WRITE)) {
    GST_ELEMENT_ERROR(ELEMENT(clip), RESOURCE, WRITE, ("the memory of an output frame cannot be written"), (NULL));
    gst_buffer_unref(output);
    return GST_FLOW_ERROR;
  }
  gst_fatezero_conversion_write(clip->conversion, &video);
  gst_video_frame_unmap(&video);

  // Played backwards, a frame is done at its beginning.
  GstClockTime end = GST_BUFFER_PTS(output);
  if (GST_CLOCK_TIME_IS_VALID(end) && GST_BUFFER_DURATION_IS_VALID(output) && base->segment.rate > 0)
    end += GST_BUFFER_DURATION(output);
  if (GST_CLOCK_TIME_IS_VALID(end)) set_position(clip, end);
  return gst_pad_push(base->srcpad, output);
}

// Pushes the frames that are edited and the events between and behind them.
static GstFlowReturn push_edited(GstFateZeroClip *clip) {
  GstFlowReturn result = GST_FLOW_OK;
  gpointer item;
  while ((item = g_queue_peek_head(&clip->held))) {
    if (GST_IS_EVENT(item)) {
      gst_pad_push_event(BASE(clip)->srcpad, g_queue_pop_head(&clip->held));
      continue;
    }
    fatezero_frame frame = gst_fatezero_conversion_frame(clip->conversion);
    fatezero_status status = fatezero_receive(clip->context, &frame);
    if (status == FATEZERO_AGAIN) return result;
    if (status == FATEZERO_CANCELLED) return GST_FLOW_FLUSHING;
    if (status != FATEZERO_OK) {
      gst_fatezero_messages_error(&clip->messages, status, fatezero_error(clip->context));
      return GST_FLOW_ERROR;
    }
    g_queue_pop_head(&clip->held);
    clip->frames--;
    GstFlowReturn flow = push(clip, item);
    gst_buffer_unref(item);
    if (flow < GST_FLOW_OK) {
      // Downstream wants no more of this window.
      while (fatezero_receive(clip->context, &frame) == FATEZERO_OK) continue;
      return flow;
    }
    // Successes have meanings of their own between elements.
    if (flow != GST_FLOW_OK) result = flow;
  }
  return result;
}

// What follows a call that may have edited a window.
static GstFlowReturn finish(GstFateZeroClip *clip, fatezero_status status) {
  // Before the first frame: gst-launch does not play while an operation is open.
  gst_fatezero_messages_end_operation(&clip->messages, status);
  GstFlowReturn flow;
  switch (status) {
    case FATEZERO_OK: flow = push_edited(clip); break;
    case FATEZERO_CANCELLED: flow = GST_FLOW_FLUSHING; break;
    default:
      gst_fatezero_messages_error(&clip->messages, status, fatezero_error(clip->context));
      flow = GST_FLOW_ERROR;
      break;
  }
  if (flow < GST_FLOW_OK) drop_held(clip);
  if (flow == GST_FLOW_ERROR) clip->flow = flow;
  return flow;
}

// MARK: - In

static void warn_of_refused(gpointer user_data, const char *message) {
  GstFateZeroClip *clip = user_data;
  GST_ELEMENT_WARNING(ELEMENT(clip), LIBRARY, SETTINGS, ("%s; the setting stays as it was", message), (NULL));
}

// Settings that were written meanwhile, and controlled ones as they are at the window's first frame, hold from here on.
static GstFlowReturn begin_window(GstFateZeroClip *clip, GstClockTime time) {
  const GstSegment *segment = &BASE(clip)->segment;
  if (segment->format == GST_FORMAT_TIME) {
    time = gst_segment_to_stream_time(segment, GST_FORMAT_TIME, time);
    if (GST_CLOCK_TIME_IS_VALID(time)) gst_object_sync_values(GST_OBJECT(clip->filter), time);
  }
  if (clip->is_idle) {
    if (!gst_fatezero_settings_have_prompt(clip->settings)) return GST_FLOW_OK;
    if (!begin_editing(clip)) return clip->flow = GST_FLOW_ERROR;
  }
  warn_of_live_source(clip);
  if (!gst_fatezero_settings_changed(clip->settings)) return GST_FLOW_OK;
  fatezero_status status =
      gst_fatezero_settings_update(clip->settings, G_OBJECT(clip->filter), clip->context, warn_of_refused, clip);
  if (status == FATEZERO_CANCELLED) return GST_FLOW_FLUSHING;
  read_clip_length(clip);
  update_latency(clip);
  return GST_FLOW_OK;
}

GstFlowReturn gst_fatezero_clip_take(GstFateZeroClip *clip, GstBuffer *buffer) {
  if (clip->flow != GST_FLOW_OK) return clip->flow;
  if (clip->frames == 0) {
    GstFlowReturn flow = begin_window(clip, GST_BUFFER_PTS(buffer));
    if (flow != GST_FLOW_OK) return flow;
    if (clip->is_idle) return gst_pad_push(BASE(clip)->srcpad, gst_buffer_ref(buffer));
  }

  GstVideoFrame video;
  if (!gst_video_frame_map(&video, &clip->filter->in_info, buffer, GST_MAP_READ)) {
    GST_ELEMENT_ERROR(
        ELEMENT(clip), STREAM, FORMAT,
        ("a frame of %" G_GSIZE_FORMAT " bytes does not hold what its caps say", gst_buffer_get_size(buffer)), (NULL));
    return GST_FLOW_ERROR;
  }
  if (GST_VIDEO_FRAME_IS_INTERLACED(&video)) warn_of_fields(clip);
  gst_fatezero_conversion_read(clip->conversion, &video);
  gst_video_frame_unmap(&video);

  // The shell holds no memory of the buffer's: upstream's pool may be smaller than a window.
  GstBuffer *shell = gst_buffer_new();
  gst_buffer_copy_into(
      shell, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS | GST_BUFFER_COPY_META | GST_BUFFER_COPY_DEEP,
      0, -1);
  g_queue_push_tail(&clip->held, shell);
  clip->frames++;

  fatezero_frame frame = gst_fatezero_conversion_frame(clip->conversion);
  if (GST_BUFFER_PTS_IS_VALID(buffer)) frame.pts = (int64_t)GST_BUFFER_PTS(buffer);
  return finish(clip, fatezero_push(clip->context, &frame));
}

gboolean gst_fatezero_clip_take_event(GstFateZeroClip *clip, GstEvent *event) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_TAG) warn_of_turned_picture(clip, event);
  if (clip->frames == 0) return gst_pad_push_event(BASE(clip)->srcpad, event);
  g_queue_push_tail(&clip->held, event);
  return TRUE;
}

GstFlowReturn gst_fatezero_clip_drain(GstFateZeroClip *clip) {
  if (clip->flow != GST_FLOW_OK) return clip->flow;
  if (clip->is_idle) return GST_FLOW_OK;
  // Also without frames: what follows a boundary is another clip.
  return finish(clip, fatezero_drain(clip->context));
}
