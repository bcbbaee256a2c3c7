#!/usr/bin/env bash
# sandboxed-edit.sh INPUT OUTPUT [OPTION OF fatezero edit]...
#
# Edits a stranger's clip in a sandbox of bubblewrap: no network, a file system that is read-only but for the output's folder, and
# nothing of this machine in it but the system's libraries, the tool, the model ($FATEZERO_MODEL) and the clip. The tool is
# $FATEZERO, or fatezero on PATH. Limits: $MEMORY bytes of address space (unlimited), $SECONDS_MOST of time (3600), 16 GiB for
# each file written, no core dump.
set -euo pipefail

input=$(realpath -e -- "${1:?INPUT is missing}")
output=${2:?OUTPUT is missing}
folder=$(realpath -e -- "$(dirname -- "$output")")
shift 2
tool=$(realpath -e -- "$(command -v -- "${FATEZERO:-fatezero}")")
model=$(realpath -e -- "${FATEZERO_MODEL:?names the model}")

# The time is kept inside, where the signal reaches the tool, which then removes what it has begun.
exec prlimit --core=0 --fsize=$((16 << 30)) --nofile=256 --as="${MEMORY:-unlimited}" \
  bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --clearenv \
  --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
  --ro-bind /etc/ld.so.cache /etc/ld.so.cache --ro-bind-try /etc/alternatives /etc/alternatives \
  --proc /proc --dev /dev --tmpfs /tmp \
  --ro-bind "$tool" /fatezero --ro-bind "$model" /model --ro-bind "$input" "/in/$(basename -- "$input")" \
  --bind "$folder" /out --chdir /tmp --remount-ro / \
  --setenv PATH /usr/bin --setenv OMP_WAIT_POLICY passive --setenv FATEZERO_MODEL /model \
  timeout --kill-after=10 "${SECONDS_MOST:-3600}" /fatezero edit "/in/$(basename -- "$input")" "/out/$(basename -- "$output")" "$@"
