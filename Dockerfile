# docker build -t reelfuse .                       what a CPU needs
# docker build --target cuda -t reelfuse:cuda .    for an NVIDIA GPU
# scripts/dockerfile-steps.mjs runs the steps of this file where no engine is at hand.
ARG NODE_VERSION=22.23.2

FROM node:${NODE_VERSION}-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
COPY scripts scripts
# not for the builder's own CPU: any x86-64 server of the last ten years
ARG HNSWLIB_MARCH=x86-64-v3
RUN npm ci --no-audit --no-fund
COPY src src
RUN npm run build && npm prune --omit=dev && node scripts/strip-modules.mjs

# what a server needs, whatever it runs on
FROM scratch AS files
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY package.json LICENSE THIRD_PARTY_NOTICES.md ./
COPY scripts/health.mjs scripts/health.mjs
COPY src/console src/console
COPY migrations migrations
COPY openapi openapi
COPY models/demo models/demo
COPY models/*.onnx models/

# ONNX Runtime's CUDA 12 libraries, of the same version as the package
FROM build AS cuda-libraries
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node

FROM node:${NODE_VERSION}-bookworm-slim AS node

# CUDA 12 and cuDNN 9, and a glibc no older than the build's
FROM nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04 AS cuda
WORKDIR /app
ENV NODE_ENV=production REELFUSE_HOST=0.0.0.0 REELFUSE_DATA_DIR=/data REELFUSE_EXECUTION_PROVIDERS=cuda REELFUSE_REQUIRE_GPU=true
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=files /app ./
COPY --from=cuda-libraries /app/node_modules/onnxruntime-node/bin node_modules/onnxruntime-node/bin
RUN mkdir /data && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --start-interval=2s CMD ["node", "scripts/health.mjs"]
CMD ["node", "--max-semi-space-size=64", "dist/src/main.js", "serve"]

# Listens on every address of the container, so keys have to be given: REELFUSE_API_KEYS or REELFUSE_API_KEYS_FILE.
# Writes to /data and /tmp alone: the rest may be read-only.
FROM node AS cpu
WORKDIR /app
ENV NODE_ENV=production REELFUSE_HOST=0.0.0.0 REELFUSE_DATA_DIR=/data
COPY --from=files /app ./
RUN mkdir /data && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --start-interval=2s CMD ["node", "scripts/health.mjs"]
CMD ["node", "--max-semi-space-size=64", "dist/src/main.js", "serve"]
