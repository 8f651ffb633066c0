FROM node:22-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
COPY scripts scripts
# not for the builder's own CPU: any x86-64 server of the last ten years
ARG HNSWLIB_MARCH=x86-64-v3
RUN npm ci --no-audit --no-fund
COPY src src
COPY test test
RUN npm run build && npm prune --omit=dev

# what a server needs, whatever it runs on
FROM scratch AS files
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY package.json ./
COPY src/console src/console
COPY migrations migrations
COPY openapi openapi
COPY models/demo models/demo
COPY models/*.onnx models/

# ONNX Runtime's CUDA 12 libraries, of the same version as the package
FROM build AS cuda-libraries
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node

# docker build --target cuda; CUDA 12 and cuDNN 9, and a glibc no older than the build's
FROM nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04 AS cuda
WORKDIR /app
ENV NODE_ENV=production REELFUSE_DATA_DIR=/data REELFUSE_EXECUTION_PROVIDERS=cuda REELFUSE_REQUIRE_GPU=true
COPY --from=node:22-bookworm-slim /usr/local/bin/node /usr/local/bin/node
COPY --from=files /app ./
COPY --from=cuda-libraries /app/node_modules/onnxruntime-node/bin node_modules/onnxruntime-node/bin
RUN mkdir /data && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080
CMD ["node", "dist/src/main.js", "serve"]

FROM node:22-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production REELFUSE_DATA_DIR=/data
COPY --from=files /app ./
RUN mkdir /data && chown node /data
USER node
VOLUME /data
EXPOSE 8080
CMD ["node", "dist/src/main.js", "serve"]
