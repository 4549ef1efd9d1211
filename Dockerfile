# One image for all modes: set ORDERS_MODE to consumer or api, or pass a command of `orders` as arguments.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Each build of a commit creates the same files, with the same times. With SOURCE_DATE_EPOCH, bytecode contains a hash of its source instead of
# the source's time; without randomized hashes, it contains sets in the same order.
ENV SOURCE_DATE_EPOCH=315532800 PYTHONHASHSEED=0 \
    SET_TIMES="find /image -newermt @315532800 -exec touch --no-dereference --date @315532800 {} +"
# COPY preserves the times of all folders but the copied one: /image, with which it fills the root.
RUN mkdir -p /image/opt && rmdir /opt && ln -s /image/opt /opt
RUN python -m venv --without-pip /opt/orders && python -m venv /builder
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN pip --python /opt/orders/bin/python install --require-hashes --only-binary :all: -r requirements.lock \
 && $SET_TIMES
RUN /builder/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock
ENV PATH=/builder/bin:$PATH
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
RUN python -m hatchling build -t wheel -d /wheel && pip --python /opt/orders/bin/python install --no-deps /wheel/*.whl && $SET_TIMES

FROM ${PYTHON_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="orders" \
      org.opencontainers.image.description="Stores orders from Kafka exactly once in PostgreSQL, and serves them over HTTP from memory." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
ENV PATH=/opt/orders/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORDERS_LOG__FORMAT=json \
    ORDERS_COMMIT=${REVISION}
WORKDIR /tmp
USER 65532:65532
EXPOSE 8000 9000
ENTRYPOINT ["orders"]
