# The image of vLLM with llem's worker in it. docker/build.py builds it and gives every argument; which upstream image,
# with its version, is a row of `image` in engines/vllm/engine.json.
# llem itself mounts the worker and the adapter it was installed with over /opt/llem: those in the image are for running
# it by hand, and for looking at it.
ARG UPSTREAM
FROM ${UPSTREAM}
ARG UPSTREAM
ARG UPSTREAM_DIGEST
ARG NAME
ARG ENGINE
ARG VERSION
ARG CUDA
ARG MAJOR
ARG REVISION
ARG SCHEMA
ARG SOURCE
COPY llem /opt/llem
# Preflight reads it from the image's configuration; not every upstream image has it.
ENV CUDA_VERSION=${CUDA}
# Nothing is sent to anybody, and nothing waits for a network.
ENV VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
LABEL org.opencontainers.image.title="llem ${ENGINE}" \
      org.opencontainers.image.ref.name="${NAME}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${UPSTREAM}" \
      org.opencontainers.image.base.digest="${UPSTREAM_DIGEST}" \
      org.llenergymeasure.version="${VERSION}" \
      org.llenergymeasure.engine="${ENGINE}" \
      org.llenergymeasure.cuda="${MAJOR}" \
      org.llenergymeasure.revision="${REVISION}" \
      org.llenergymeasure.schema="${SCHEMA}"
ENTRYPOINT ["/opt/llem/bin/llem-worker"]
CMD []
