variable "name" {
  description = "Of the endpoint, and what its parts begin with."
  type        = string
  default     = "distilbert"
}

variable "kind" {
  description = "real-time: instances that wait; serverless: none until one is asked; asynchronous: a queue, and instances by its length."
  type        = string
  default     = "real-time"

  validation {
    condition     = contains(["real-time", "serverless", "asynchronous"], var.kind)
    error_message = "A kind is real-time, serverless or asynchronous."
  }
}

variable "image" {
  description = "The image of deploy/container/Dockerfile, in a repository of this account."
  type        = string
}

variable "bucket" {
  description = "Holds the model; an asynchronous endpoint lays its answers there."
  type        = string
}

variable "model_key" {
  description = "Of model.tar.gz in the bucket, as `distilbert package --sagemaker` writes it."
  type        = string
  default     = "model.tar.gz"
}

variable "task" {
  description = "What the model is asked; empty for what it was made for."
  type        = string
  default     = ""
}

variable "instance_type" {
  type    = string
  default = "ml.c7i.large"
}

variable "instances" {
  description = "At least and at most. An asynchronous endpoint has none while nothing waits."
  type        = object({ least = number, most = number })
  default     = { least = 1, most = 4 }
}

variable "invocations_per_instance" {
  description = "A minute, of a real-time endpoint; above it there will be another instance."
  type        = number
  default     = 3000
}

variable "memory_mb" {
  description = "Of a serverless endpoint: 1024 to 6144."
  type        = number
  default     = 3072
}
