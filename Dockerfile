# Build: what chatorch runs on, as locked and hashed, and chatorch itself, in one virtual environment
FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /opt/chatorch \
 && /opt/chatorch/bin/pip install --require-hashes -r requirements/run.txt \
 && pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/chatorch/bin/pip install --no-deps --no-index dist/*.whl


FROM python:3.13-slim

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin chatorch \
 && install --directory --owner=chatorch /data
COPY --from=build /opt/chatorch /opt/chatorch

ENV PATH=/opt/chatorch/bin:$PATH PYTHONUNBUFFERED=1 DATABASE_URL=sqlite:////data/chat.db
# Settings come from the environment. The working folder is the volume, so a .env put there is read too
WORKDIR /data
VOLUME /data
USER chatorch
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["chatorch", "serve", "--host", "0.0.0.0", "--port", "8000"]
