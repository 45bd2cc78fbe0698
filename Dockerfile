# The agent (target `agent`, the default) and the NetBackup simulator (target `simulator`): static
# binaries on an empty image without a shell, running as an unprivileged user. BuildKit builds it, which is what
# `docker build` uses.
#
# RUST_IMAGE is an image with a Rust toolchain, a C compiler and make; a release names it by digest
# (.ci/base-images). BINARIES is the stage or image from which /out is copied: the stage `build`, or an image with
# binaries that were built and tested elsewhere. FEATURES are the agent's Cargo features.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BINARIES=build

FROM ${RUST_IMAGE} AS build
WORKDIR /src
ENV CARGO_TERM_COLOR=never
# The list of crates in the binaries is written by a tool, which rarely changes.
COPY .ci/versions .ci/tool .ci/
RUN --mount=type=cache,target=/usr/local/cargo/registry .ci/tool cargo-auditable
COPY . .
ARG FEATURES=kubernetes
# The builder keeps the crates and what was built of them, so that a change of our own code builds that alone. Cargo compares
# file times, and a checkout can be older than what another one has left. glibc 2.34 and later, which is linked in,
# resolves names without loading a library.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    set -eu; \
    find src build.rs crates -name '*.rs' -exec touch {} +; \
    FEATURES="$FEATURES" .ci/ship /out/bin; \
    mkdir -p /out/state /out/certs; \
    cp /etc/ssl/certs/ca-certificates.crt /out/certs/; \
    dpkg-query --show libc6 ca-certificates >/out/bin/packages

FROM ${BINARIES} AS binaries

# The files of the build, for `docker build --target shipped --output DIRECTORY`: the SBOM is made of them.
FROM scratch AS shipped
COPY --from=binaries /out /

FROM scratch AS base
# Public certificate authorities, for OTLP back ends with https.
COPY --from=binaries /out/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE THIRD-PARTY-LICENSES /usr/share/doc/nbu-otel-agent/
USER 65532:65532
# Of the release: its version, commit, time (RFC 3339) and the address of its source.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.vendor="nbu-otel-agent" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

FROM base AS simulator
LABEL org.opencontainers.image.title="nbu-sim" \
      org.opencontainers.image.description="A simulated NetBackup primary server"
COPY --from=binaries /out/bin/nbu-sim /usr/bin/
EXPOSE 1556
ENTRYPOINT ["/usr/bin/nbu-sim", "--listen", "0.0.0.0:1556"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/bin/nbu-sim", "healthcheck"]

FROM base AS agent
LABEL org.opencontainers.image.title="nbu-otel-agent" \
      org.opencontainers.image.description="OpenTelemetry metrics agent for Veritas/Cohesity NetBackup"
COPY --from=binaries /out/bin/nbu-otel-agent /usr/bin/
# A volume mounted here gets the owner of this directory.
COPY --from=binaries --chown=65532:65532 /out/state /var/lib/nbu-otel-agent
WORKDIR /etc/nbu-otel-agent
EXPOSE 9440
ENTRYPOINT ["/usr/bin/nbu-otel-agent"]
CMD ["--config", "/etc/nbu-otel-agent/config.yaml"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/bin/nbu-otel-agent", "healthcheck", "--config", "/etc/nbu-otel-agent/config.yaml"]
