#include "Element.h"

#include "gstfatezero.h"

GST_DEBUG_CATEGORY(gst_fatezero_debug);
#define GST_CAT_DEFAULT gst_fatezero_debug

G_DEFINE_FINAL_TYPE_WITH_CODE(
    GstFateZero, gst_fatezero, GST_TYPE_VIDEO_FILTER, G_IMPLEMENT_INTERFACE(GST_TYPE_PRESET, NULL);
    GST_DEBUG_CATEGORY_INIT(gst_fatezero_debug, "fatezero", 0, "FateZero: edits video by its words"))
GST_ELEMENT_REGISTER_DEFINE(fatezero, "fatezero", GST_RANK_NONE, GST_TYPE_FATEZERO)

#define DESCRIPTION \
  "Repaints what the words name and keeps a clip's motion, layout and background (FateZero). Gathers clip-length " \
  "frames, edits them together in the streaming thread and pushes as many. Properties that are written meanwhile " \
  "hold from the next window on. A branch beside the element (tee, a demuxer's sound, a muxer) needs a queue that " \
  "holds a window: queue max-size-time=0 max-size-bytes=0 max-size-buffers=0. For example: " \
  "gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! fatezero edit=\"a [cat -> tiger] on the grass\" ! " \
  "x264enc ! mp4mux ! filesink location=out.mp4"

// What needs no conversion comes first: a source that can give anything gives that.
#define CAPS \
  GST_VIDEO_CAPS_MAKE("RGB") \
  "; " GST_VIDEO_CAPS_MAKE("{ RGBA, RGBx, BGR, BGRA, BGRx }") "; " GST_VIDEO_CAPS_MAKE(GST_VIDEO_FORMATS_ALL)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPS));
static GstStaticPadTemplate source_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPS));

#define PARENT GST_BASE_TRANSFORM_CLASS(gst_fatezero_parent_class)

// MARK: - Properties and states

static void set_property(GObject *object, guint property, const GValue *value, GParamSpec *specification) {
  gst_fatezero_settings_write(GST_FATEZERO(object)->settings, property, value);
}

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *specification) {
  gst_fatezero_settings_read(GST_FATEZERO(object)->settings, property, value);
}

static gboolean start(GstBaseTransform *base) { return gst_fatezero_clip_start(&GST_FATEZERO(base)->clip); }

static gboolean stop(GstBaseTransform *base) {
  gst_fatezero_clip_stop(&GST_FATEZERO(base)->clip);
  return TRUE;
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition) {
  // Before the parent, which waits for the streaming thread.
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) gst_fatezero_clip_cancel(&GST_FATEZERO(element)->clip);
  return GST_ELEMENT_CLASS(gst_fatezero_parent_class)->change_state(element, transition);
}

// MARK: - Frames

static gboolean set_info(
    GstVideoFilter *filter, GstCaps *input_caps, GstVideoInfo *input, GstCaps *output_caps, GstVideoInfo *output) {
  return gst_fatezero_clip_set_format(&GST_FATEZERO(filter)->clip, input);
}

static GstFlowReturn submit_input_buffer(GstBaseTransform *base, gboolean is_discontinuous, GstBuffer *input) {
  GstFateZeroClip *clip = &GST_FATEZERO(base)->clip;
  GstFlowReturn flow = GST_BUFFER_IS_DISCONT(input) ? gst_fatezero_clip_drain(clip) : GST_FLOW_OK;
  if (flow != GST_FLOW_OK) {
    gst_buffer_unref(input);
    return flow;
  }
  // Negotiates where that is due, and leaves the buffer in `queued_buf`.
  flow = PARENT->submit_input_buffer(base, is_discontinuous, input);
  GstBuffer *buffer = g_steal_pointer(&base->queued_buf);
  if (flow == GST_FLOW_OK && buffer) flow = gst_fatezero_clip_take(clip, buffer);
  if (buffer) gst_buffer_unref(buffer);
  return flow;
}

// Windows are pushed as they are edited, since a clip also ends by events.
static GstFlowReturn generate_output(GstBaseTransform *base, GstBuffer **output) {
  *output = NULL;
  return GST_FLOW_OK;
}

// GstVideoFilter works in place where there is none of these; it is never called.
static GstFlowReturn transform_frame(GstVideoFilter *filter, GstVideoFrame *input, GstVideoFrame *output) {
  return GST_FLOW_NOT_SUPPORTED;
}

static gboolean decide_allocation(GstBaseTransform *base, GstQuery *query) {
  // The base class sizes a buffer outside a pool by its input's size, and shells have none.
  if (gst_query_get_n_allocation_pools(query) == 0)
    gst_query_add_allocation_pool(query, NULL, (guint)GST_VIDEO_INFO_SIZE(&GST_VIDEO_FILTER(base)->out_info), 0, 0);
  return PARENT->decide_allocation(base, query);
}

// Everything passes through but the pixels.
static gboolean copy_metadata(GstBaseTransform *base, GstBuffer *input, GstBuffer *output) {
  return gst_buffer_copy_into(
      output, input, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS | GST_BUFFER_COPY_META, 0, -1);
}

// MARK: - Events and queries

static gboolean has_same_caps(GstBaseTransform *base, GstEvent *event) {
  GstCaps *caps;
  gst_event_parse_caps(event, &caps);
  GstCaps *current = gst_pad_get_current_caps(base->sinkpad);
  gboolean same = current && gst_caps_is_equal(current, caps);
  gst_clear_caps(&current);
  return same;
}

static gboolean sink_event(GstBaseTransform *base, GstEvent *event) {
  GstFateZeroClip *clip = &GST_FATEZERO(base)->clip;
  GstFlowReturn flow = GST_FLOW_OK;
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_FLUSH_START: gst_fatezero_clip_cancel(clip); break;
    case GST_EVENT_FLUSH_STOP: gst_fatezero_clip_forget(clip); break;
    case GST_EVENT_CAPS:
      if (!has_same_caps(base, event)) flow = gst_fatezero_clip_drain(clip);
      break;
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_EOS: flow = gst_fatezero_clip_drain(clip); break;
    default:
      if (GST_EVENT_IS_SERIALIZED(event)) return gst_fatezero_clip_take_event(clip, event);
      break;
  }
  if (flow == GST_FLOW_FLUSHING) {
    gst_event_unref(event);
    return FALSE;
  }
  return PARENT->sink_event(base, event);
}

static gboolean src_event(GstBaseTransform *base, GstEvent *event) {
  // A sink that is late because of an edit must not make the decoder drop frames.
  if (GST_EVENT_TYPE(event) == GST_EVENT_QOS) {
    gst_event_unref(event);
    return TRUE;
  }
  return PARENT->src_event(base, event);
}

static gboolean answer_latency(GstBaseTransform *base, GstQuery *query) {
  if (!gst_pad_peer_query(base->sinkpad, query)) return FALSE;
  gboolean live;
  GstClockTime minimum, maximum;
  gst_query_parse_latency(query, &live, &minimum, &maximum);
  GST_OBJECT_LOCK(base);
  GstClockTime own = GST_FATEZERO(base)->clip.latency;
  GST_OBJECT_UNLOCK(base);
  if (GST_CLOCK_TIME_IS_VALID(maximum)) maximum += own;
  gst_query_set_latency(query, live, minimum + own, maximum);
  return TRUE;
}

// Frames arrive in order, a window at a time, and nobody can ask for one of them.
static gboolean activate(GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active) {
  if (mode == GST_PAD_MODE_PULL) return FALSE;
  return GST_FATEZERO(parent)->activate(pad, parent, mode, active);
}

// Where the output is: a window behind the input.
static gboolean answer_position(GstBaseTransform *base, GstQuery *query) {
  GstFormat format;
  gst_query_parse_position(query, &format, NULL);
  GST_OBJECT_LOCK(base);
  GstClockTime position = GST_FATEZERO(base)->clip.position;
  GST_OBJECT_UNLOCK(base);
  if (format != GST_FORMAT_TIME || base->segment.format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID(position))
    return FALSE;
  position = gst_segment_to_stream_time(&base->segment, GST_FORMAT_TIME, position);
  if (!GST_CLOCK_TIME_IS_VALID(position)) return FALSE;
  gst_query_set_position(query, format, (gint64)position);
  return TRUE;
}

static gboolean query(GstBaseTransform *base, GstPadDirection direction, GstQuery *query) {
  // What travels among the frames waits for those before it. (Memory is negotiated between clips.)
  if (direction == GST_PAD_SINK && GST_QUERY_IS_SERIALIZED(query) && GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION
      && gst_fatezero_clip_drain(&GST_FATEZERO(base)->clip) < GST_FLOW_OK)
    return FALSE;
  if (direction == GST_PAD_SRC) {
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY) return answer_latency(base, query);
    if (GST_QUERY_TYPE(query) == GST_QUERY_POSITION && answer_position(base, query)) return TRUE;
  }
  return PARENT->query(base, direction, query);
}

// MARK: - Class

static void gst_fatezero_init(GstFateZero *self) {
  self->settings = gst_fatezero_settings_new();
  gst_fatezero_clip_init(&self->clip, GST_VIDEO_FILTER(self), self->settings);
  GstPad *source = GST_BASE_TRANSFORM(self)->srcpad;
  self->activate = GST_PAD_ACTIVATEMODEFUNC(source);
  gst_pad_set_activatemode_function(source, activate);
  gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), FALSE);
}

static void finalize(GObject *object) {
  GstFateZero *self = GST_FATEZERO(object);
  gst_fatezero_clip_clear(&self->clip);
  gst_fatezero_settings_free(self->settings);
  G_OBJECT_CLASS(gst_fatezero_parent_class)->finalize(object);
}

static void gst_fatezero_class_init(GstFateZeroClass *klass) {
  GObjectClass *object = G_OBJECT_CLASS(klass);
  object->set_property = set_property;
  object->get_property = get_property;
  object->finalize = finalize;
  gst_fatezero_settings_install(object);

  GstElementClass *element = GST_ELEMENT_CLASS(klass);
  element->change_state = change_state;
  gst_element_class_add_static_pad_template(element, &sink_template);
  gst_element_class_add_static_pad_template(element, &source_template);
  gst_element_class_set_static_metadata(
      element, "FateZero video editor", "Filter/Effect/Video", DESCRIPTION, "The authors of FateZero for pipelines");

  GstBaseTransformClass *base = GST_BASE_TRANSFORM_CLASS(klass);
  base->start = start;
  base->stop = stop;
  base->submit_input_buffer = submit_input_buffer;
  base->generate_output = generate_output;
  base->decide_allocation = decide_allocation;
  base->copy_metadata = copy_metadata;
  base->sink_event = sink_event;
  base->src_event = src_event;
  base->query = query;

  GstVideoFilterClass *filter = GST_VIDEO_FILTER_CLASS(klass);
  filter->set_info = set_info;
  filter->transform_frame = transform_frame;
}
