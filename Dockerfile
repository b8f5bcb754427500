# The broker's image. Two stages: what builds stays behind, and the second has no pip, no compiler and no package of the tests.
#
#   docker build -t b2b-credential-broker .
#   buildah bud --build-arg PYTHON_IMAGE=mirror.example/python:3.13-slim .
#
# Any image with python3 (3.11 or later) and, for the first stage, pip and venv will do; production pins it by digest.
ARG PYTHON_IMAGE=python:3.13.9-slim-trixie
# What the second stage is made of. Its python3 has to be of the same version and at the same path as that of the first.
ARG RUNTIME_IMAGE=${PYTHON_IMAGE}
# What is installed. requirements-otel.lock is the same with what BROKER_TRACES needs.
ARG LOCK=requirements.lock

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
WORKDIR /src
ARG LOCK
COPY ${LOCK} requirements-build.lock ./
# Hashes are checked, wheels only (nothing of a dependency runs here), and nothing is resolved: the locks are complete.
RUN python3 -m venv --without-pip /opt/broker \
 && python3 -m pip --python /opt/broker/bin/python install --require-hashes --no-deps --only-binary :all: -r ${LOCK} \
 && python3 -m pip install --require-hashes --no-deps --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY service service
RUN python3 -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && python3 -m pip --python /opt/broker/bin/python install --no-deps --no-index /dist/*.whl

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="b2b-credential-broker" \
      org.opencontainers.image.description="Keeps one BigCommerce B2B Edition token per store, sealed, and hands out short-lived references to it." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Whoever gets in finds nothing to install more with.
RUN find / -xdev -type d -path '*python3*' \
      \( -name pip -o -name 'pip-*' -o -name setuptools -o -name 'setuptools-*' -o -name wheel -o -name 'wheel-*' -o -name ensurepip \) \
      -prune -exec rm -rf {} + \
 && rm -rf /usr/local/bin/pip* /usr/bin/pip* /usr/share/python-wheels
COPY --from=build /opt/broker /opt/broker
# The root file system can be read-only: only /tmp is written to, and /dev/shm where there is one.
ENV PATH=/opt/broker/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532
EXPOSE 8080 9090
# For Docker and its kin; Kubernetes has its own probes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/opt/broker/bin/broker", "healthcheck"]
ENTRYPOINT ["/opt/broker/bin/broker"]
CMD ["serve"]
