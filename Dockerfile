# A server without torch: docker build -t offramp . ; see compose.yaml.
FROM python:3.12-slim AS build
# openvino, or other extras beside serve, parted by commas.
ARG EXTRAS=serve
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/offramp && /opt/offramp/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home offramp
COPY --from=build /opt/offramp /opt/offramp
ENV PATH=/opt/offramp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /srv
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]
ENTRYPOINT ["offramp", "serve"]
CMD ["--config", "/srv/serve.yaml", "--host", "0.0.0.0"]
