# An endpoint of SageMaker, of any of three kinds:
#   terraform apply -var kind=serverless -var image="$IMAGE" -var bucket="$BUCKET"

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

locals {
  variant      = "main"
  asynchronous = var.kind == "asynchronous"
  serverless   = var.kind == "serverless"
}

data "aws_iam_policy_document" "sagemaker" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "needs" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::${var.bucket}/${var.model_key}", "arn:aws:s3:::${var.bucket}/questions/*"]
  }
  statement {
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${var.bucket}/answers/*"]
  }
  statement {
    actions   = ["s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.bucket}"]
  }
  statement {
    actions = [
      "cloudwatch:PutMetricData",
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:PutLogEvents",
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "endpoint" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.sagemaker.json
}

resource "aws_iam_role_policy" "endpoint" {
  role   = aws_iam_role.endpoint.id
  policy = data.aws_iam_policy_document.needs.json
}

resource "aws_sagemaker_model" "model" {
  execution_role_arn = aws_iam_role.endpoint.arn
  # The server asks nobody.
  enable_network_isolation = !local.serverless

  primary_container {
    image          = var.image
    model_data_url = "s3://${var.bucket}/${var.model_key}"
    environment    = var.task == "" ? {} : { HF_TASK = var.task }
  }

  depends_on = [aws_iam_role_policy.endpoint]
}

resource "aws_sagemaker_endpoint_configuration" "configuration" {
  production_variants {
    variant_name           = local.variant
    model_name             = aws_sagemaker_model.model.name
    instance_type          = local.serverless ? null : var.instance_type
    initial_instance_count = local.serverless ? null : max(1, var.instances.least)

    dynamic "serverless_config" {
      for_each = local.serverless ? [1] : []
      content {
        memory_size_in_mb = var.memory_mb
        max_concurrency   = 20
      }
    }
  }

  dynamic "async_inference_config" {
    for_each = local.asynchronous ? [1] : []
    content {
      output_config {
        s3_output_path = "s3://${var.bucket}/answers/"
      }
      client_config {
        max_concurrent_invocations_per_instance = 16
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "endpoint" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.configuration.name
}

output "endpoint" {
  value = aws_sagemaker_endpoint.endpoint.name
}
