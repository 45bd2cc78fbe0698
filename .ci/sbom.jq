# Two CycloneDX documents, of the binary and of the image, from what .ci/sbom collects.

def lines: split("\n") | map(select(. != ""));
def licenses: if . == null then [] else [{ expression: gsub("/"; " OR ") }] end;

($crates | lines | map({ key: ., value: true }) | from_entries) as $linked
| ($checksums | lines | map(split(" ") | { key: "\(.[0]) \(.[1])", value: .[2] }) | from_entries) as $checksum
| def key: "\(.name) \(.version)";
  def purl: "pkg:cargo/\(.name)@\(.version)";
  ([$metadata[0].packages[] | select($linked[key])]) as $all
| ($all | map({ key: .id, value: purl }) | from_entries) as $purls
| ($all[] | select(.name == "nbu-otel-agent")) as $agent
| [$all[] | select(.source != null) | {
    type: "library", "bom-ref": purl, purl: purl, name: .name, version: .version, scope: "required",
    licenses: (.license | licenses),
    hashes: [{ alg: "SHA-256", content: $checksum[key] }]
  }] as $components
| [$metadata[0].resolve.nodes[] | select($purls[.id]) | {
    ref: $purls[.id],
    dependsOn: [.deps[] | select(.dep_kinds | any(.kind == null)) | $purls[.pkg] // empty] | unique
  }] as $edges
| {
    type: "application", "bom-ref": ($agent | purl), purl: ($agent | purl), name: $agent.name,
    version: $agent.version, licenses: ($agent.license | licenses), hashes: [{ alg: "SHA-256", content: $sha256 }]
  } as $binary
| { libc6: "LGPL-2.1-or-later", "ca-certificates": "MPL-2.0" } as $licenses
| [$packages | lines[] | split("\t") | (.[0] | split(":")[0]) as $name | "pkg:deb/debian/\($name)@\(.[1] | @uri)" as $purl | {
    type: "library", "bom-ref": $purl, purl: $purl, name: $name, version: .[1], licenses: ($licenses[$name] | licenses)
  }] as $debian
| { bomFormat: "CycloneDX", specVersion: "1.5", version: 1 } as $document
| {
    binary: ($document + {
      metadata: { timestamp: $time, component: $binary }, components: $components, dependencies: $edges
    }),
    image: ($document + {
      metadata: { timestamp: $time, component: { type: "container", "bom-ref": "image", name: $agent.name, version: $agent.version } },
      components: ([$binary] + $components + $debian),
      dependencies: ([{ ref: "image", dependsOn: ([$binary, $debian[]] | map(.["bom-ref"])) }] + $edges)
    })
  }
