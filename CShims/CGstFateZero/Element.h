#pragma once
#include <gst/video/gstvideofilter.h>

#include "Clip.h"
#include "Settings.h"

GST_ELEMENT_REGISTER_DECLARE(fatezero)

#define GST_TYPE_FATEZERO (gst_fatezero_get_type())
G_DECLARE_FINAL_TYPE(GstFateZero, gst_fatezero, GST, FATEZERO, GstVideoFilter)

struct _GstFateZero {
  GstVideoFilter parent;
  GstFateZeroSettings *settings;
  GstFateZeroClip clip;
  // The base class's.
  GstPadActivateModeFunction activate;
};
