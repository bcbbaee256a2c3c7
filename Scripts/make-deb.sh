#!/usr/bin/env bash
# Makes .build/fatezero_VERSION_ARCHITECTURE.deb of what `make build` made. Needs Debian's dpkg-dev and binutils.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

for tool in dpkg-deb dpkg-shlibdeps dpkg-gencontrol; do
  command -v "$tool" >/dev/null || { echo "make-deb: $tool is missing; apt-get install dpkg-dev" >&2; exit 1; }
done
version=$(make -s version)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
# A package made twice of the same sources is the same.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/DEBIAN" "$work/debian"

make -s install DESTDIR="$root" PREFIX=/usr LIBDIR="/usr/lib/$multiarch" \
  ZSHDIR=/usr/share/zsh/vendor-completions >"$work/install.log" || { cat "$work/install.log" >&2; exit 1; }

# The package's papers.
papers=$root/usr/share/doc/fatezero
install -D -m 644 packaging/debian/copyright "$papers/copyright"
cat >"$work/debian/changelog" <<EOF
fatezero ($version) unstable; urgency=medium

  * See /usr/share/doc/fatezero/NEWS.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
gzip -9 -n <"$work/debian/changelog" >"$papers/changelog.gz"
gzip -9 -n <CHANGELOG.md >"$papers/NEWS.gz"
install -D -m 644 -t "$papers/examples" Examples/*
gzip -9 -n "$root/usr/share/man/man1/fatezero.1"

# What it needs of the system, from what its programs are linked with.
cp packaging/debian/control "$work/debian/control"
cd "$work"
mapfile -t binaries < <(find root/usr/bin root/usr/lib -type f \( -name '*.so*' -o -perm -111 \))
dpkg-shlibdeps -Tdebian/substvars -xfatezero "${binaries[@]/#/-e}"
dpkg-gencontrol -pfatezero -Tdebian/substvars -Proot -O >root/DEBIAN/control
printf 'libfatezero 0 fatezero (>= %s)\n' "$version" >root/DEBIAN/shlibs
printf 'activate-noawait ldconfig\n' >root/DEBIAN/triggers
(cd root && find usr -type f -print0 | sort -z | xargs -0 md5sum) >root/DEBIAN/md5sums
find root -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 -r touch --no-dereference -d "@$SOURCE_DATE_EPOCH"

package=$OLDPWD/.build/fatezero_${version}_$architecture.deb
dpkg-deb --root-owner-group --build root "$package" >/dev/null
echo "$package"
