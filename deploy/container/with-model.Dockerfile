# The same image with a model in it, for clouds that lay none beside it. Build it in the model's folder:
#   docker build -f deploy/container/with-model.Dockerfile --build-arg IMAGE="$IMAGE" -t "$IMAGE_WITH_MODEL" my-model/
ARG IMAGE
# hadolint ignore=DL3006
FROM ${IMAGE}
COPY . /model
ENV HF_MODEL_ID=/model \
    HF_HUB_OFFLINE=1
