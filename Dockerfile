# The bundle is made outside, so that the image holds it and nothing else on top of Node:
#   npm run build && docker build -t ghcr.io/slipway-dev/slipway:0.1.0 .
# No BuildKit is needed.
FROM node:24-trixie-slim
ENV NODE_ENV=production
COPY dist/ /opt/slipway/
RUN ln -s /opt/slipway/main.js /usr/local/bin/slipway
USER 65532:65532
ENTRYPOINT ["slipway"]
CMD ["--help"]
