#!/usr/bin/env bash
# demo.sh FATEZERO OUT: edit the example clip in three ways with the model that is shipped.
set -euo pipefail

fatezero=$1 out=$2
clip=Examples/cat.mp4
mkdir -p "$out"
"$fatezero" edit -y "$clip" "$out/tiger.mp4" --mask-output "$out/mask.mp4" --report "$out/report" \
  --edit "a [cat -> tiger] on the grass"
"$fatezero" edit -y "$clip" "$out/watercolor.mp4" --preset style --source "a cat on the grass" \
  --edit "watercolor painting of a cat on the grass"
"$fatezero" edit -y "$clip" "$out/snow.mp4" --preset background --edit "a cat on the [grass -> snow]"
# The mask in red over the clip.
ffmpeg -v error -y -i "$clip" -i "$out/mask.mp4" -filter_complex \
  "[1:v]format=gray,lut=y=val/2,split[mask][size];[size]format=rgb24,lutrgb=r=255:g=0:b=0[red];[red][mask]alphamerge[tint];[0:v][tint]overlay" \
  -map_metadata -1 -an "$out/mask-overlay.mp4"
Scripts/contact-sheet.sh "$out/contact-sheet.png" 6 "$clip" "$out"/{tiger,mask-overlay,watercolor,snow}.mp4
echo
echo "The edited clips: $(realpath "$out")/{tiger,watercolor,snow}.mp4"
echo "The tiger explained, a page for any browser: $(realpath "$out")/report/index.html"
echo "Source, tiger, its blending mask, watercolor, snow: $(realpath "$out")/contact-sheet.png"
