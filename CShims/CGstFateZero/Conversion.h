#pragma once
#include <fatezero.h>
#include <gst/video/video.h>

// Between the stream's frames, of any raw format and colorimetry, and the packed RGB that is edited.
typedef struct GstFateZeroConversion GstFateZeroConversion;

// NULL where GStreamer cannot convert, or there is no memory for a frame.
GstFateZeroConversion *gst_fatezero_conversion_new(const GstVideoInfo *video);
void gst_fatezero_conversion_free(GstFateZeroConversion *conversion);

// The frame in RGB, in memory of the conversion's that each use overwrites.
fatezero_frame gst_fatezero_conversion_frame(GstFateZeroConversion *conversion);

// Converts `video` to that RGB, and back.
void gst_fatezero_conversion_read(GstFateZeroConversion *conversion, GstVideoFrame *video);
void gst_fatezero_conversion_write(GstFateZeroConversion *conversion, GstVideoFrame *video);
