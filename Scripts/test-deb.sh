#!/usr/bin/env bash
# Installs a package of ours in a new, bare Debian 12 and edits the sample clip there through every door:
# test-deb.sh PACKAGE. As root (it mounts), with the network, lintian and mmdebstrap. Takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$(realpath "$1")
base=$PWD/.build/debian-12.tar

for tool in lintian mmdebstrap unshare; do
  command -v "$tool" >/dev/null || { echo "test-deb: $tool is missing; apt-get install lintian mmdebstrap" >&2; exit 1; }
done
if [[ -z ${IN_NAMESPACE:-} ]]; then
  # What is mounted goes when the last process has gone.
  exec unshare --mount --pid --fork --kill-child env IN_NAMESPACE=1 "$0" "$@"
fi

echo "lintian:"
lintian --fail-on error "$package"

[[ -f $base ]] || mmdebstrap --variant=minbase --mode=root bookworm "$base"
root=$(mktemp -d /var/tmp/fatezero-debian-XXXXXX)
trap 'umount -l "$root/proc" "$root/dev" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
tar -xf "$base" -C "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir "$root/clip"
cp "$package" "$root/clip/"

cat >"$root/clip/test.sh" <<'EOF'
set -euo pipefail
cd /clip
quietly() { "$@" >log.txt 2>&1 || { cat log.txt; exit 1; }; }
apt() { DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y --no-install-recommends "$@"; }
test ! -e /opt/swift && ! command -v swift

apt update
echo "apt install ./$(ls ./*.deb | head -1)"
apt install ./*.deb
fatezero --version
fatezero inspect | sed -n 1,3p
cp /usr/share/doc/fatezero/examples/* .
# Nothing but the package is needed to edit a file.
edit="a [cat -> tiger] on the grass"
settings=(--steps 10 --edit "$edit")
fatezero edit cat.mp4 tiger.mp4 "${settings[@]}" 2>/dev/null

apt install ffmpeg gcc libc6-dev pkg-config python3 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
exact=bicubic+accurate_rnd+full_chroma_int
IFS=, read -r width height rate count < <(ffprobe -v error -select_streams v -of csv=p=0 \
  -show_entries stream=width,height,r_frame_rate,nb_frames cat.mp4)
fatezero edit cat.mp4 command.mkv --video-codec ffv1 --output-pixel-format yuv420p "${settings[@]}" 2>/dev/null
ffmpeg -v error -i cat.mp4 -an -c:v ffv1 source.mkv

echo "the pipe"
ffmpeg -v error -i cat.mp4 -f nut -c:v rawvideo -pix_fmt rgb24 - |
  fatezero edit - - --output-format nut "${settings[@]}" 2>/dev/null |
  ffmpeg -v error -i - -i cat.mp4 -map 0:v -map '1:a?' -c:a copy -vf scale=out_color_matrix=bt709 \
    -colorspace bt709 -pix_fmt yuv420p -c:v ffv1 pipe.mkv

echo "ffmpeg -vf"
ffmpeg -v error -i cat.mp4 -vf "$(fatezero ffmpeg-filter --input cat.mp4 "${settings[@]}")" -c:v ffv1 -c:a copy filter.mkv

echo "the C program"
cc -std=c99 -Wall -Wextra -Werror edit-clip.c $(pkg-config --cflags --libs fatezero) -o edit-clip
ffmpeg -v error -i cat.mp4 -sws_flags $exact -f rawvideo -pix_fmt rgb24 - |
  ./edit-clip "$width" "$height" "$edit" steps=10 2>/dev/null |
  ffmpeg -v error -f rawvideo -pixel_format rgb24 -video_size "${width}x$height" -framerate "$rate" -i - \
    -sws_flags area+accurate_rnd+full_chroma_inp -vf scale=out_color_matrix=bt709:out_range=tv -pix_fmt yuv420p \
    -c:v ffv1 program.mkv

echo "the Python program"
python3 edit_clip.py cat.mp4 python.mkv "$edit" steps=10

echo "gst-launch-1.0"
gst-launch-1.0 -q filesrc location=cat.mp4 ! decodebin ! videoconvert ! fatezero edit="$edit" steps=10 ! videoconvert ! \
  x264enc quantizer=0 ! matroskamux ! filesink location=element.mkv

# All of them are the command's frames, to the rounding of colours on the way, and not the source's.
distance() {
  ffmpeg -nostats -i "$1" -i "$2" -lavfi "[0:v][1:v]psnr" -f null - 2>&1 | sed -n 's/.*average:\([^ ]*\).*/\1/p'
}
status=0
echo "decibels from the command's frames, and frames:"
for file in source.mkv pipe.mkv filter.mkv program.mkv python.mkv element.mkv; do
  decibels=$(distance $file command.mkv)
  frames=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 $file)
  echo "  $file $decibels $frames"
  limit='d == "inf" || d > 35'
  [[ $file == source.mkv ]] && limit='d != "inf" && d < 30'
  awk -v d="$decibels" "BEGIN { exit !($limit) }" && [[ $frames == "$count" ]] || { echo "  that is wrong"; status=1; }
done
exit $status
EOF
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash /clip/test.sh
echo "The package works in a bare Debian 12."
