resource "juju_application" "this" {
  name       = var.app_name
  model_uuid = var.model_uuid

  charm {
    name     = "github-runner-supervisor"
    channel  = var.channel
    revision = var.revision
    base     = var.base
  }

  config             = var.config
  constraints        = var.constraints
  storage_directives = var.storage_directives

  # The provider takes one of the two: machines that are named, or how many are to be found.
  machines = var.machines
  units    = var.machines == null ? var.units : null
}
