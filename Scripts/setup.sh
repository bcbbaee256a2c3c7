#!/usr/bin/env bash
# setup.sh [tests]: installs the system packages that building and the demo need, with `tests` those of the tests too, if any
# is missing, and checks the Swift toolchain. As root or with sudo on Debian and its relatives; elsewhere it says what is needed.
set -euo pipefail

# The one list of system packages.
packages=(
  # building
  gcc g++ libc6-dev git make pkg-config
  # arithmetic
  libdnnl-dev libopenblas-dev libxxhash-dev
  # media
  libavfilter-dev libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev
  # configurations
  libyaml-dev
  # the GStreamer element
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  # the demo's picture
  ffmpeg
)
test_packages=(
  chromium
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x python3-gi gir1.2-gstreamer-1.0
  gir1.2-gst-rtsp-server-1.0 xauth xvfb x11-utils
  munge slurm-client slurmctld slurmd
  bubblewrap strace clang-format-14
)
[[ ${1:-} != tests ]] || packages+=("${test_packages[@]}")
swift_major=6
swift_minor=1

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" == installed ]] \
      || printf '%s\n' "$package"
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null \
      || fail "these packages are missing: ${missing[*]}" \
        "You are not root and there is no sudo. Ask an administrator to run:" "  apt-get install ${missing[*]}"
    # Without a terminal nobody can type a password.
    [[ -t 0 ]] || sudo --non-interactive true 2>/dev/null \
      || fail "these packages are missing: ${missing[*]}" \
        "sudo wants a password and there is no terminal to ask for it. Run once:" "  sudo apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" \
    || fail "apt-get could not install ${missing[*]}; its message is above"
}

check_libraries() {
  local missing=() library program
  command -v pkg-config >/dev/null || fail "pkg-config is missing (and this is not Debian: please install it yourself)"
  for library in openblas libavfilter libavformat libavcodec libavutil libswscale libswresample yaml-0.1 \
    gstreamer-video-1.0 gstreamer-check-1.0; do
    pkg-config --exists "$library" || missing+=("$library")
  done
  echo '#include <dnnl.h>' | cc -E - >/dev/null 2>&1 || missing+=("oneDNN (dnnl.h)")
  command -v ffmpeg >/dev/null || missing+=(ffmpeg)
  ((${#missing[@]} == 0)) \
    || fail "this is not Debian, so please install by hand, with their development files: ${missing[*]}" \
      "The names on Debian are: ${packages[*]}"
}

check_swift() {
  local needed="$swift_major.$swift_minor or later"
  local source="Get it from https://www.swift.org/install/linux/ and put its usr/bin on PATH."
  local version
  command -v swift >/dev/null || fail "there is no Swift toolchain on PATH; $needed is needed." "$source"
  version=$(swift --version 2>&1) || fail "\`swift --version\` fails:" "$version"
  [[ $version =~ Swift\ version\ ([0-9]+)\.([0-9]+) ]] || fail "\`swift --version\` names no version:" "$version"
  ((BASH_REMATCH[1] > swift_major || (BASH_REMATCH[1] == swift_major && BASH_REMATCH[2] >= swift_minor))) \
    || fail "Swift ${BASH_REMATCH[1]}.${BASH_REMATCH[2]} is too old; $needed is needed." "$source"
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_packages
else
  check_libraries
fi
check_swift
