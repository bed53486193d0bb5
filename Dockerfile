# A static binary in an empty image, as nobody in particular.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /mintmark ./cmd/mintmark \
 && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /mintmark /mintmark
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
EXPOSE 8080
ENV MINTMARK_LISTEN=:8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/mintmark", "healthcheck"]
ENTRYPOINT ["/mintmark"]
CMD ["serve"]
