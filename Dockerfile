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

FROM node:22-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production REELFUSE_DATA_DIR=/data
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY package.json ./
COPY src/console src/console
COPY migrations migrations
COPY openapi openapi
COPY models/demo models/demo
COPY models/scan.onnx models/scan.onnx
RUN mkdir /data && chown node /data
USER node
VOLUME /data
EXPOSE 8080
CMD ["node", "dist/src/main.js", "serve"]
