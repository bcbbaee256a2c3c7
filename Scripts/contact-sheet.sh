#!/usr/bin/env bash
# contact-sheet.sh OUT.png COLUMNS CLIP...
# Frames spread over the length of clips of one length, a row for each clip.
set -euo pipefail

out=$1 columns=$2
shift 2
frames=$(ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$1")
frames=${frames%%,*}
((columns = columns < frames ? columns : frames))
# The frames number floor(k * frames / columns).
pick="select='gt(floor((n+1)*$columns/$frames-1e-9)\,floor(n*$columns/$frames-1e-9))'"
row="$pick,setsar=1,scale=256:-2:flags=lanczos,format=rgb24,tile=${columns}x1:padding=4,pad=iw:ih+4"
inputs=() rows="" labels="" count=0
for clip in "$@"; do
  inputs+=(-i "$clip")
  rows+="[$count:v]$row[row$count];"
  labels+="[row$count]"
  ((++count))
done
((count > 1)) && rows+="${labels}vstack=inputs=$count" || rows+="${labels}null"
ffmpeg -v error -y "${inputs[@]}" -frames:v 1 -update 1 -filter_complex "$rows" "$out"
