#!/usr/bin/env bash
# Builds and tests this checkout on a bare Debian, as somebody who has just cloned it would:
#
#   test-release.sh SUITE [TARGET...]    SUITE is bookworm or trixie; TARGETs of make, `demo test` unless named
#
# What is committed is cloned into a new root that holds nothing but a minimal Debian, git, make and the Swift toolchain
# on PATH; the rest is for `make setup` to install. As root (it mounts), with the network and mmdebstrap. Takes about an
# hour. The minimal root is kept in .build/debian-SUITE.tar.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:?"a suite of Debian, such as trixie"}
shift
targets=(demo test)
(($# == 0)) || targets=("$@")
for tool in mmdebstrap unshare swift; do
  command -v "$tool" >/dev/null || { echo "test-release: $tool is missing; apt-get install mmdebstrap" >&2; exit 1; }
done
if [[ -z ${IN_NAMESPACE:-} ]]; then
  # What is mounted goes when the last process has gone.
  exec unshare --mount --pid --fork --kill-child env IN_NAMESPACE=1 "$0" "$suite" "${targets[@]}"
fi

base=$PWD/.build/debian-$suite.tar
mkdir -p .build
[[ -f $base ]] || mmdebstrap --variant=minbase --mode=root "$suite" "$base"
root=$(mktemp -d "/var/tmp/fatezero-$suite-XXXXXX")
bound=(proc dev)
leave() {
  local place
  for place in "${bound[@]}"; do umount -l "$root/$place" 2>/dev/null || true; done
  rm -rf --one-file-system "$root"
}
trap leave EXIT
tar -xf "$base" -C "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"

# Something of this machine, at the same place, read only.
lend() {
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  mount -o remount,bind,ro "$root$1"
  bound=("${1#/}" "${bound[@]}")
}
toolchain=$(realpath "$(command -v swift)")
lend "${toolchain%/usr/bin/*}"
# Copies of repositories that this machine's git takes packages from.
while read -r key _; do
  mirror=${key#url.}
  mirror=${mirror%.insteadof}
  [[ $mirror != /* ]] || lend "${mirror%/}"
done < <(git config --get-regexp '^url\..*\.insteadof$' | sort -u -k1,1 || true)
git config --get-regexp '^url\..*\.insteadof$' | while read -r key value; do
  git config --file "$root/root/.gitconfig" --add "$key" "$value"
done || true
git clone --quiet "file://$PWD" "$root/fatezero"

cat >"$root/test.sh" <<'EOF'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
quietly() { "$@" >/tmp/log.txt 2>&1 || { cat /tmp/log.txt; exit 1; }; }
quietly apt-get -q update
# git and make; what swift.org lists for its toolchain.
quietly apt-get -q -y --no-install-recommends install git make ca-certificates binutils libcurl4 libedit2 libncurses6 \
  libsqlite3-0 libxml2 tzdata
cd /fatezero
. /etc/os-release
for target in "$@"; do
  echo "== $PRETTY_NAME: make $target"
  make "$target"
done
EOF
chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 CI="${CI:-}" \
  PATH="${toolchain%/*}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" bash /test.sh "${targets[@]}"
echo "test-release: ${targets[*]} passed on a bare Debian $suite."
