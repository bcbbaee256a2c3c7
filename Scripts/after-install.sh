#!/usr/bin/env bash
# Says what programs need to be told to find what was installed: after-install.sh BINDIR LIBDIR GSTDIR PRESETDIR FREI0RDIR
set -euo pipefail
bin=$1 lib=$2 gst=$3 presets=$4 frei0r=$5

contains() { [[ ":$1:" == *":$2:"* ]]; }
# Where the dynamic linker looks; /lib is /usr/lib.
linker_folders=$({ ldconfig -v -N 2>/dev/null || true; } | sed -n 's/^\(\/[^:]*\):.*/\1/p' | xargs -r realpath -m | tr '\n' ':')

exports=()
contains "$PATH" "$bin" || exports+=("PATH=$bin:\$PATH")
if contains "$linker_folders" "$(realpath -m "$lib")"; then
  echo "Programs that link libfatezero find it after \`ldconfig\` (as root)."
else
  exports+=("LD_LIBRARY_PATH=$lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}")
fi
contains "$(pkg-config --variable=pc_path pkg-config 2>/dev/null || true)" "$lib/pkgconfig" \
  || exports+=("PKG_CONFIG_PATH=$lib/pkgconfig\${PKG_CONFIG_PATH:+:\$PKG_CONFIG_PATH}")
[[ "$(pkg-config --variable=pluginsdir gstreamer-1.0 2>/dev/null || true)" == "$gst" ]] \
  || exports+=("GST_PLUGIN_PATH=$gst\${GST_PLUGIN_PATH:+:\$GST_PLUGIN_PATH}")
[[ "$(pkg-config --variable=datadir gstreamer-1.0 2>/dev/null || echo /usr/share)/gstreamer-1.0/presets" == "$presets" ]] \
  || exports+=("GST_PRESET_PATH=$presets\${GST_PRESET_PATH:+:\$GST_PRESET_PATH}")
contains /usr/lib/frei0r-1:/usr/local/lib/frei0r-1 "$frei0r" || exports+=("FREI0R_PATH=$frei0r")

((${#exports[@]})) || exit 0
echo "For your shell's profile:"
for export in "${exports[@]}"; do echo "  export $export"; done
