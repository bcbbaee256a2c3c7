#include "Conversion.h"

struct GstFateZeroConversion {
  GstVideoConverter *to_rgb, *from_rgb;
  // Mapped as long as the conversion lives.
  GstBuffer *buffer;
  GstVideoFrame rgb;
};

// Packed RGB of the same picture: full range, the video's transfer function and primaries, since the model takes pictures as
// screens show them.
static gboolean rgb_info(const GstVideoInfo *video, GstVideoInfo *rgb) {
  GstVideoFormat format = GST_VIDEO_INFO_HAS_ALPHA(video) ? GST_VIDEO_FORMAT_RGBA : GST_VIDEO_FORMAT_RGB;
  if (!gst_video_info_set_interlaced_format(
          rgb, format, GST_VIDEO_INFO_INTERLACE_MODE(video), GST_VIDEO_INFO_WIDTH(video), GST_VIDEO_INFO_HEIGHT(video)))
    return FALSE;
  rgb->colorimetry = video->colorimetry;
  rgb->colorimetry.range = GST_VIDEO_COLOR_RANGE_0_255;
  rgb->colorimetry.matrix = GST_VIDEO_COLOR_MATRIX_RGB;
  rgb->fps_n = video->fps_n;
  rgb->fps_d = video->fps_d;
  rgb->par_n = video->par_n;
  rgb->par_d = video->par_d;
  return TRUE;
}

static GstVideoConverter *converter(const GstVideoInfo *from, const GstVideoInfo *to) {
  // Without dithering, so that equal pixels stay equal.
  GstStructure *options = gst_structure_new(
      "options", GST_VIDEO_CONVERTER_OPT_DITHER_METHOD, GST_TYPE_VIDEO_DITHER_METHOD, GST_VIDEO_DITHER_NONE, NULL);
  return gst_video_converter_new(from, to, options);
}

GstFateZeroConversion *gst_fatezero_conversion_new(const GstVideoInfo *video) {
  GstVideoInfo rgb;
  if (!rgb_info(video, &rgb)) return NULL;
  // Asked for in a way that may fail: caps can name any size.
  gpointer memory = g_try_malloc(GST_VIDEO_INFO_SIZE(&rgb));
  if (!memory) return NULL;
  GstFateZeroConversion *conversion = g_new0(GstFateZeroConversion, 1);
  conversion->buffer = gst_buffer_new_wrapped(memory, GST_VIDEO_INFO_SIZE(&rgb));
  conversion->to_rgb = converter(video, &rgb);
  conversion->from_rgb = converter(&rgb, video);
  if (!conversion->to_rgb || !conversion->from_rgb
      || !gst_video_frame_map(&conversion->rgb, &rgb, conversion->buffer, GST_MAP_READWRITE)) {
    gst_fatezero_conversion_free(conversion);
    return NULL;
  }
  return conversion;
}

void gst_fatezero_conversion_free(GstFateZeroConversion *conversion) {
  if (!conversion) return;
  if (conversion->rgb.buffer) gst_video_frame_unmap(&conversion->rgb);
  gst_clear_buffer(&conversion->buffer);
  g_clear_pointer(&conversion->to_rgb, gst_video_converter_free);
  g_clear_pointer(&conversion->from_rgb, gst_video_converter_free);
  g_free(conversion);
}

fatezero_frame gst_fatezero_conversion_frame(GstFateZeroConversion *conversion) {
  GstVideoFrame *rgb = &conversion->rgb;
  return (fatezero_frame){
      .struct_size = sizeof(fatezero_frame),
      .width = GST_VIDEO_FRAME_WIDTH(rgb),
      .height = GST_VIDEO_FRAME_HEIGHT(rgb),
      .format = GST_VIDEO_FRAME_N_COMPONENTS(rgb) == 4 ? FATEZERO_RGBA32 : FATEZERO_RGB24,
      .data = GST_VIDEO_FRAME_PLANE_DATA(rgb, 0),
      .stride = GST_VIDEO_FRAME_PLANE_STRIDE(rgb, 0),
      .pts = FATEZERO_NO_PTS,
  };
}

void gst_fatezero_conversion_read(GstFateZeroConversion *conversion, GstVideoFrame *video) {
  gst_video_converter_frame(conversion->to_rgb, video, &conversion->rgb);
}

void gst_fatezero_conversion_write(GstFateZeroConversion *conversion, GstVideoFrame *video) {
  gst_video_converter_frame(conversion->from_rgb, &conversion->rgb, video);
}
