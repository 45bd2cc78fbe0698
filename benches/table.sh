#!/usr/bin/env bash
# Prints the benches beside their floors and budgets as a Markdown table, from what the last `cargo bench`
# left in target/criterion. A bench that was not run has no row. With names, only the works that contain one.
set -euo pipefail
cd "$(dirname "$0")/.."

results="${CARGO_TARGET_DIR:-target}/criterion"

# work | size | bench | floor ("-" for none) | budget: "N x" the floor, or "N ms"
works() {
  local size
  for size in 1000 10000 100000; do
    echo "render all parts|$size|render/all/$size|render/floor/$size|20 x"
    echo "collect for OTLP|$size|otlp/collect/$size|otlp/floor_encode/$size|8 x"
    echo "OTLP requests, gzip|$size|push/compressed/$size|push/floor_compressed/$size|-"
    echo "scrape, of the renderer|$size|render/scrape/$size|-|10 ms"
  done
  for size in 1000 10000 100000 1000000; do
    echo "first rendering, page and gzip|$size|renderer/all/$size|renderer/floor_all/$size|20 x"
    echo "rendering, 250 of 5,000 series of a site changed|$size|renderer/one_changed/$size|renderer/floor_one_changed/$size|5 ms"
    echo "OTLP requests|$size|push/encoded/$size|push/floor_encoded/$size|8 x"
  done
  echo "scrape of 2.5 MB, loopback, both ends|15600|scrape/kept_alive|scrape/floor_copy|5 ms"
  echo "decode a page of 100 jobs|100|decode/page_100_jobs|decode/floor_100_jobs|2 x"
  for size in 1000 100000; do
    echo "cycle of the ledger, 100 changed jobs|$size|ledger/cycle_100_changed_of_$size|-|5 ms"
  done
}

# The median of a bench, ns; empty if it was not run.
median() {
  local file="$results/$1/new/estimates.json"
  [ "$1" != - ] && [ -f "$file" ] || return 0
  sed -n 's/.*"median":{[^}]*},"point_estimate":\([0-9.e+-]*\).*/\1/p' "$file"
}

echo "| work | size | floor | ours | factor | budget |"
echo "|---|---:|---:|---:|---:|---:|"
works | sort -t'|' -s -k1,1 | while IFS='|' read -r work size bench floor budget; do
  [ "$#" -eq 0 ] || grep -qF -f <(printf '%s\n' "$@") <<<"$work" || continue
  ours="$(median "$bench")"
  [ -n "$ours" ] || continue
  awk -v work="$work" -v size="$size" -v floor="$(median "$floor")" -v ours="$ours" -v budget="$budget" '
    function time(ns) {
      if (ns == "") return "-"
      if (ns < 1e3) return sprintf("%.0f ns", ns)
      if (ns < 1e6) return sprintf("%.1f us", ns / 1e3)
      if (ns < 1e9) return sprintf("%.2f ms", ns / 1e6)
      return sprintf("%.2f s", ns / 1e9)
    }
    BEGIN {
      factor = floor == "" ? "-" : sprintf("%.1f", ours / floor)
      split(budget, limit, " ")
      over = limit[2] == "x" && floor != "" && ours > limit[1] * floor || limit[2] == "ms" && ours > limit[1] * 1e6
      printf "| %s | %s | %s | %s | %s | %s%s |\n", work, size, time(floor), time(ours), factor, budget, over ? ", exceeded" : ""
    }'
done
