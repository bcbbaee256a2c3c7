#!/bin/bash
# Finds where delimiters are compared as characters (CONTRIBUTING.md): what combines with a delimiter hides it there.
# A line that means characters says so: `// by character: why`.
set -uo pipefail
cd "$(dirname "$0")/.."
literal='"([^"\\]|\\.)+"'
patterns=(
  '\.has(Prefix|Suffix)\b'
  "\\.(split|firstIndex|lastIndex|firstRange|ranges|replacing|trimmingPrefix|drop|prefix)\\((separator: |of: |while: )?$literal"
  '\.(split|components)\(separat(or|edBy):'
  '\.replac(ing|ingOccurrences)\('
  "\\.contains\\(\"[^A-Za-z0-9\"]\"\\)"
  "\\.contains\\(\"\\\\\\\\.\"\\)"
  '\bfor character in\b|\(\w+: Character\)|\bisNewline\b'
  '[^s]\.allSatisfy[({][^u]*\$0\.is(Letter|Number|Whitespace|ASCII)'
)
found=0
for pattern in "${patterns[@]}"; do
  # A view of scalars or bytes says what it is.
  if grep -rnE --include='*.swift' "$pattern" Sources \
    | grep -vE ':[0-9]+: *//|// by character: |[sS]calars|UInt8\(ascii|^Sources/Text/'; then
    found=1
  fi
done
if [ "$found" = 1 ]; then
  echo "make lint: compare delimiters by scalars (Sources/Text/Delimiters.swift), or say // by character: WHY" >&2
  exit 1
fi
