# A static binary in an empty image, run as nobody: no shell, no other file.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /authmilter ./cmd/authmilter

FROM scratch
COPY --from=build /authmilter /authmilter
USER 65534:65534
# The milter, and its metrics. By default they listen only on loopback; a container
# needs a configuration with another address, such as
# listen = ["inet:8894@0.0.0.0"].
EXPOSE 8894 9894
STOPSIGNAL SIGTERM
ENTRYPOINT ["/authmilter"]
CMD ["serve"]
