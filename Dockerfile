# The gateway. Everything that is installed is pinned and hashed; the process is nobody; state lies in /var/lib/interlock.
#
#   docker build -t interlock .
#   docker run -p 8080:8080 -v "$PWD/interlock.yaml:/etc/interlock/interlock.yaml:ro" -e OPENAI_API_KEY interlock
#
# Without these arguments the image holds neither the injection classifier nor the sandbox of `kind: compute`; the
# gateway says at start-up and at /readyz what is not there: docs/deploy-render.md.

FROM python:3.11-slim AS build
ARG CLASSIFIER=no
ARG COMPUTE=no
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
RUN python -m venv --without-pip /opt/interlock && python -m venv /opt/builder
COPY requirements/build.txt requirements/service.txt requirements/
RUN /opt/builder/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/build.txt
RUN /opt/builder/bin/python -m pip --python /opt/interlock/bin/python install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/service.txt
COPY pyproject.toml LICENSE README.md ./
COPY src src
RUN /opt/builder/bin/python -m hatchling build --target wheel --directory /build/dist
RUN /opt/builder/bin/python -m pip --python /opt/interlock/bin/python install --no-cache-dir --no-compile --disable-pip-version-check --no-deps --no-index /build/dist/*.whl
RUN if [ "$CLASSIFIER" != yes ]; then /opt/builder/bin/python -m pip --python /opt/interlock/bin/python uninstall --yes onnxruntime numpy flatbuffers protobuf; fi
RUN if [ "$COMPUTE" != yes ]; then /opt/builder/bin/python -m pip --python /opt/interlock/bin/python uninstall --yes pydantic-monty pydantic-monty-client pydantic-monty-runtime; fi
# Symbols for debuggers and the tests of others; packages with bundled libraries (*.libs) do not survive stripping.
RUN cd /opt/interlock/lib/python3.11/site-packages && for package in aiohttp cedarpy cryptography httptools multidict postgast uvloop; do find "$package" -name '*.so' -exec strip --strip-unneeded {} +; done && find . -type d -name tests -prune -exec rm -rf {} +

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin interlock && mkdir -p /etc/interlock /var/lib/interlock && chown interlock /var/lib/interlock
COPY --from=build /opt/interlock /opt/interlock
ENV PATH=/opt/interlock/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV INTERLOCK_HOST=0.0.0.0 INTERLOCK_MANIFEST=/etc/interlock/interlock.yaml INTERLOCK_STORE=sqlite:/var/lib/interlock
WORKDIR /var/lib/interlock
USER 10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", \"8080\")}/healthz', timeout=4)"]
ENTRYPOINT ["interlock"]
CMD ["serve"]
