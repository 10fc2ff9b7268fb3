# `terraform test`, with no controller: the provider is a mock. It takes Terraform 1.7 or later.

mock_provider "juju" {}

variables {
  model_uuid = "a7bc1a18-3f6a-4a3c-8b7d-1f6f9a2d4c11"
}

run "without_options_one_unit_of_the_charm_is_deployed" {
  command = plan

  assert {
    condition     = juju_application.this.name == "github-runner-supervisor"
    error_message = "The application is called as the charm."
  }

  assert {
    condition     = juju_application.this.units == 1
    error_message = "One unit is the default."
  }

  assert {
    condition     = output.provides.cos_agent == "cos-agent" && output.requires.debug_ssh == "debug-ssh"
    error_message = "The endpoints are named as in charmcraft.yaml."
  }
}

run "machines_that_are_named_decide_how_many_units_there_are" {
  command = plan

  variables {
    units    = 5
    machines = ["3", "4"]
  }

  assert {
    condition     = juju_application.this.machines == toset(["3", "4"])
    error_message = "The units are on the machines that are named."
  }
}

run "options_and_storage_are_handed_on" {
  command = plan

  variables {
    config             = { path = "my-organisation", virtual-machines = "3" }
    storage_directives = { runner = "rootfs,100G" }
  }

  assert {
    condition     = juju_application.this.config["virtual-machines"] == "3"
    error_message = "Options are handed on."
  }

  assert {
    condition     = juju_application.this.storage_directives["runner"] == "rootfs,100G"
    error_message = "The storage is handed on."
  }
}

run "a_name_that_is_too_long_is_refused" {
  command = plan

  variables {
    app_name = "an-application-whose-name-is-much-too-long"
  }

  expect_failures = [var.app_name]
}

run "a_storage_that_the_charm_has_not_is_refused" {
  command = plan

  variables {
    storage_directives = { runners = "100G" }
  }

  expect_failures = [var.storage_directives]
}

run "a_base_that_the_charm_is_not_built_for_is_refused" {
  command = plan

  variables {
    base = "ubuntu@20.04"
  }

  expect_failures = [var.base]
}
