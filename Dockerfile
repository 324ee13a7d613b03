# syntax=docker/dockerfile:1

# What changes seldom comes first: the user and the init, what chatorch runs on, and chatorch itself, a layer each.

# What it runs on, as locked and hashed, in a virtual environment without pip
FROM python:3.13-slim AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/run.txt requirements/
RUN python -m venv --without-pip /opt/chatorch \
 && pip --python /opt/chatorch/bin/python install --require-hashes -r requirements/run.txt


# The wheel
FROM python:3.13-slim AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/
RUN pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist .


FROM python:3.13-slim

# As process 1 the kernel drops a signal that nobody handles yet, and no Python is there in the first moment; tini is.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 chatorch \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin chatorch \
 && install --directory --owner=10001 --group=10001 --mode=700 /data

COPY --from=dependencies /opt/chatorch /opt/chatorch
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/dist \
    pip --python /opt/chatorch/bin/python install --no-deps --no-index --no-cache-dir --root-user-action=ignore /dist/*.whl

ENV PATH=/opt/chatorch/bin:$PATH PYTHONUNBUFFERED=1 DATABASE_URL=sqlite:////data/chat.db
# Settings come from the environment. The working folder is the volume, so a .env put there is read too
WORKDIR /data
VOLUME /data
# By number: Kubernetes cannot tell from a name that it is not root
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/health/live', timeout=4)"]
# -s: no warning where something else is process 1 already, as with docker run --init
ENTRYPOINT ["tini", "-s", "--"]
CMD ["chatorch", "serve", "--host", "0.0.0.0", "--port", "8000"]
