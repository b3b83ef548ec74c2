# The image with a model in it, as a service of Cloud Run that nobody may ask without being allowed to:
#   terraform apply -var project="$PROJECT" -var region="$REGION" -var image="$IMAGE_WITH_MODEL"

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.30"
    }
  }
}

variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "image" {
  description = "The image of deploy/container/with-model.Dockerfile."
  type        = string
}

variable "instances" {
  description = "At least and at most; of none the first answer waits for a start."
  type        = object({ least = number, most = number })
  default     = { least = 0, most = 10 }
}

resource "google_service_account" "server" {
  project      = var.project
  account_id   = "distilbert-server"
  display_name = "What the server runs as: it may do nothing."
}

resource "google_cloud_run_v2_service" "server" {
  project  = var.project
  location = var.region
  name     = "distilbert"

  template {
    service_account                  = google_service_account.server.email
    timeout                          = "60s"
    max_instance_request_concurrency = 64

    scaling {
      min_instance_count = var.instances.least
      max_instance_count = var.instances.most
    }

    containers {
      image = var.image
      # It is killed ten seconds after it is told to stop.
      args = ["serve", "--grace", "9"]

      # PORT is set to this one.
      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = "2", memory = "2Gi" }
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 120
        http_get {
          path = "/health"
        }
      }

      liveness_probe {
        period_seconds  = 10
        timeout_seconds = 5
        http_get {
          path = "/v2/health/live"
        }
      }
    }
  }
}

output "address" {
  value = google_cloud_run_v2_service.server.uri
}
