# syntax=docker/dockerfile:1
# One image for `reprise serve` and `reprise worker`; x64 and arm64.

FROM node:22-bookworm-slim AS build
# better-sqlite3 is compiled where no prebuilt binary can be downloaded.
RUN apt-get update \
  && apt-get install -y --no-install-recommends g++ make python3 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:22-bookworm-slim
# glibc keeps an arena of freed memory for every thread; two hold the resident size down and cost no throughput here.
ENV NODE_ENV=production \
  MALLOC_ARENA_MAX=2 \
  REPRISE_DATA_DIR=/data
WORKDIR /app
COPY --from=build --chown=root:root /app/package.json ./
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
ENTRYPOINT ["node", "/app/dist/bin/reprise.js"]
CMD ["--help"]
