variable "app_name" {
  description = "The application's name in the model. Runners are called after it: APP-NUMBER-…"
  type        = string
  default     = "github-runner-supervisor"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$", var.app_name))
    error_message = "An application's name is lower-case letters, digits and dashes, begins with a letter, and no part of it is digits alone."
  }

  validation {
    condition     = length(var.app_name) <= 36
    error_message = "An application's name has at most 36 characters here: with a dash and the unit's number, of up to three digits, it makes the fleet's name, which may have 40."
  }
}

variable "model_uuid" {
  description = "The UUID of the model to deploy to."
  type        = string
  nullable    = false
}

variable "channel" {
  description = "The channel that the charm comes from."
  type        = string
  default     = "latest/stable"
  nullable    = false
}

variable "revision" {
  description = "The charm's revision; null for the channel's latest."
  type        = number
  default     = null
}

variable "base" {
  description = "The machines' operating system."
  type        = string
  default     = "ubuntu@24.04"
  nullable    = false

  validation {
    condition     = contains(["ubuntu@22.04", "ubuntu@24.04"], var.base)
    error_message = "The charm is built for ubuntu@22.04 and ubuntu@24.04."
  }
}

variable "config" {
  description = "The charm's options, as docs/charm/reference/options.md has them. Secrets by their URI."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "constraints" {
  description = "What a machine must have, such as \"arch=amd64 cores=16 mem=64G root-disk=200G\"."
  type        = string
  default     = null
}

variable "units" {
  description = "How many machines, each with a fleet of its own. Without effect where machines are named."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.units >= 0 && floor(var.units) == var.units
    error_message = "Units are counted: a whole number, 0 or more."
  }
}

variable "machines" {
  description = "The machines to deploy to, by their numbers in the model: one unit on each."
  type        = set(string)
  default     = null
}

variable "storage_directives" {
  description = "Where and how large the storage `runner` is, such as { runner = \"rootfs,100G\" }."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.storage_directives) : name == "runner"])
    error_message = "The charm has one storage, called runner."
  }
}
