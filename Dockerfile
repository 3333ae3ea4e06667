# docker build -t firstbyte .                          CPU
# docker build -t firstbyte:cuda --build-arg DEVICE=cuda .    lets the driver in; see docs/deploy.md
#
# deps -> build -> test -> runtime. What the runtime stage holds is what `cmake --install` puts down
# and deploy/runtime-packages; tests/deploy/image_test.py runs exactly that in an empty root.
ARG DEBIAN=debian:12-slim
ARG DEVICE=cpu

FROM ${DEBIAN} AS deps
WORKDIR /src
COPY scripts/setup scripts/apt-packages scripts/libtorch-requirements.txt scripts/test-requirements.txt scripts/
RUN scripts/setup --test && rm -rf /var/lib/apt/lists/*

FROM deps AS build
COPY . .
RUN cmake --preset release && cmake --build --preset release
RUN cmake --install build/release --prefix /opt/firstbyte --strip
RUN cmake --install build/release --prefix /opt/firstbyte --strip --component libtorch

FROM build AS test
RUN ctest --preset release

FROM ${DEBIAN} AS runtime-cpu
COPY deploy/runtime-packages /tmp/
RUN apt-get update -qq \
 && grep -v '^#' /tmp/runtime-packages | xargs apt-get install -y -qq --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/runtime-packages
# From the stage that has passed its tests.
COPY --from=test /opt/firstbyte /opt/firstbyte
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/firstbyte/bin/firstbyted"]
CMD ["--listen", "0.0.0.0:50051", "--metrics-listen", "0.0.0.0:9464", "--admin-listen", "127.0.0.1:50052", "--log-format", "json"]

FROM runtime-cpu AS runtime-cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime-${DEVICE} AS runtime
LABEL org.opencontainers.image.title=firstbyte org.opencontainers.image.licenses=Apache-2.0
