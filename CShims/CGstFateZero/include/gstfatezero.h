/* SPDX-License-Identifier: Apache-2.0 */
/** The GStreamer plug-in `fatezero`. Programs that link it in call GST_PLUGIN_STATIC_REGISTER(fatezero) after gst_init(). */
#ifndef GST_FATEZERO_H
#define GST_FATEZERO_H

#include <gst/gst.h>

G_BEGIN_DECLS

GST_PLUGIN_STATIC_DECLARE(fatezero);

G_END_DECLS

#endif
