# Build: docker build -t awaitd .
# Run:   docker run --init -p 127.0.0.1:8000:8000 -e AWAITD_INSECURE=true -v awaitd-data:/data awaitd
# (See compose.yaml for the same with fewer rights, and for what AWAITD_INSECURE means.)

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Every wheel is checked against the lock here; what follows installs from these files only.
COPY requirements.lock ./
RUN pip download --require-hashes --only-binary=:all: --dest=/wheels --requirement=requirements.lock \
    && pip install --no-index --find-links=/wheels --requirement=requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY app ./app
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir=/wheels . \
    && python -m venv --without-pip /opt/awaitd \
    && pip --python=/opt/awaitd install --no-index --find-links=/wheels \
        "$(echo /wheels/awaitd-*.whl)[otel,postgres]" \
    && /opt/awaitd/bin/awaitd --help >/dev/null


FROM python:3.13-slim
LABEL org.opencontainers.image.title="awaitd" \
      org.opencontainers.image.description="Runs named Python coroutines as durable, cancellable jobs over HTTP." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="the awaitd authors"

# By number, so that an orchestrator can see that it is not root.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/awaitd /opt/awaitd
ENV PATH="/opt/awaitd/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AWAITD_HOST=0.0.0.0 \
    AWAITD_DATA_DIR=/data

USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["awaitd", "health"]
ENTRYPOINT ["awaitd"]
CMD ["serve"]
