# One static-enough binary in a small image: docker build -t ordermill . && docker run --env-file secrets -v ordermill:/var/lib/ordermill -p 8080:8080 ordermill
# What it needs from outside is in docs/deployment.md ("Container").
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN cargo build --release --locked --package ordermill

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/ordermill --shell /usr/sbin/nologin ordermill \
    && install --directory --owner ordermill --group ordermill --mode 0700 /var/lib/ordermill
COPY --from=build /src/target/release/ordermill /usr/bin/ordermill
COPY LICENSE-APACHE LICENSE-MIT ordermill.example.toml /usr/share/doc/ordermill/
USER 10001:10001
WORKDIR /var/lib/ordermill
VOLUME /var/lib/ordermill
ENV ORDERMILL__DATA_DIR=/var/lib/ordermill \
    ORDERMILL__SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s CMD ["/usr/bin/ordermill", "healthcheck"]
ENTRYPOINT ["/usr/bin/ordermill"]
CMD ["serve"]
