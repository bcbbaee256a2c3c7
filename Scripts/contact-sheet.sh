#!/usr/bin/env bash
# contact-sheet.sh BEFORE AFTER OUT.png [COLUMNS]
# Frames spread over the length of two clips, BEFORE in the row above, AFTER below.
set -euo pipefail

before=$1 after=$2 out=$3 columns=${4:-6}
frames=$(ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$after")
frames=${frames%%,*}
((columns = columns < frames ? columns : frames))
# The frames number floor(k * frames / columns).
pick="select='gt(floor((n+1)*$columns/$frames-1e-9)\,floor(n*$columns/$frames-1e-9))'"
row="$pick,setsar=1,scale=256:-2:flags=lanczos,tile=${columns}x1:padding=4"
ffmpeg -v error -y -i "$before" -i "$after" -frames:v 1 -update 1 \
  -filter_complex "[0:v]$row,pad=iw:ih+4[above];[1:v]$row[below];[above][below]vstack" "$out"
