# Compiles on this machine's platform for the requested platform:
#   docker build --platform linux/arm64 .        buildah build --platform linux/arm64 .
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /kube-nflog ./cmd/kube-nflog

# Only the binary. It needs no shell, no libc and no certificates: the cluster's CA
# comes with the service account.
FROM scratch
COPY --from=build /kube-nflog /kube-nflog
# deploy/base/daemonset.yaml explains why this is root, with one capability.
USER 0:0
ENTRYPOINT ["/kube-nflog"]
CMD ["run"]
