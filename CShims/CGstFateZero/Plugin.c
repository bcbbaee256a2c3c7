#include <fatezero.h>

#include "Element.h"
#include "gstfatezero.h"

#define PACKAGE "fatezero"
#define TEXT(number) G_STRINGIFY(number)
#define VERSION TEXT(FATEZERO_VERSION_MAJOR) "." TEXT(FATEZERO_VERSION_MINOR) "." TEXT(FATEZERO_VERSION_PATCH)

static gboolean plugin_init(GstPlugin *plugin) { return GST_ELEMENT_REGISTER(fatezero, plugin); }

// "Apache 2.0" is the spelling that GStreamer knows.
GST_PLUGIN_DEFINE(
    GST_VERSION_MAJOR, GST_VERSION_MINOR, fatezero, "Edits video by its words (FateZero)", plugin_init, VERSION,
    "Apache 2.0", "FateZero for pipelines", "https://arxiv.org/abs/2303.09535")
