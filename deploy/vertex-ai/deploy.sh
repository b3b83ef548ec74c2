#!/bin/sh
# A model of the image that has one in it, and an endpoint that answers with it:
#   REGION=... IMAGE_WITH_MODEL=... sh deploy/vertex-ai/deploy.sh
# Vertex AI lays no model beside an image: what AIP_STORAGE_URI names lies in a bucket.
set -eu

: "${REGION:?the region}" "${IMAGE_WITH_MODEL:?the image with a model in it}"

gcloud ai models upload \
  --region="$REGION" \
  --display-name=distilbert \
  --container-image-uri="$IMAGE_WITH_MODEL" \
  --container-args=serve \
  --container-ports=8080 \
  --container-predict-route=/vertex \
  --container-health-route=/health

model=$(gcloud ai models list --region="$REGION" --filter=displayName=distilbert --limit=1 --format='value(name)')
gcloud ai endpoints create --region="$REGION" --display-name=distilbert
endpoint=$(gcloud ai endpoints list --region="$REGION" --filter=displayName=distilbert --limit=1 --format='value(name)')

gcloud ai endpoints deploy-model "$endpoint" \
  --region="$REGION" \
  --model="$model" \
  --display-name=distilbert \
  --machine-type=n2-standard-4 \
  --min-replica-count=1 \
  --max-replica-count=4
