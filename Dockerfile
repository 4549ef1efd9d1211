# One image for all modes: set ORDERS_MODE to consumer or api, or pass a command of `orders` as arguments.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/orders && python -m venv /opt/builder
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN pip --python /opt/orders/bin/python install --require-hashes --only-binary :all: -r requirements.lock
RUN /opt/builder/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock
ENV PATH=/opt/builder/bin:$PATH
COPY web/package.json web/package-lock.json web/.npmrc web/
RUN npm --prefix web ci
COPY docs docs
COPY web web
RUN npm --prefix web run build
COPY pyproject.toml README.md ./
COPY service service
COPY generator generator
COPY migrations migrations
COPY chart/files/roles.sql chart/files/
RUN python -m hatchling build -t wheel -d /wheel && pip --python /opt/orders/bin/python install --no-deps /wheel/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="orders" \
      org.opencontainers.image.description="Reads orders from Kafka, stores each exactly once in PostgreSQL, serves them over HTTP from memory." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/orders /opt/orders
ENV PATH=/opt/orders/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORDERS_LOG__FORMAT=json \
    ORDERS_COMMIT=${REVISION}
WORKDIR /tmp
USER 65532:65532
EXPOSE 8000 9000
ENTRYPOINT ["orders"]
