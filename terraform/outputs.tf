output "app_name" {
  description = "The application's name in the model."
  value       = juju_application.this.name
}

output "provides" {
  description = "The endpoints that other applications integrate with."
  value = {
    cos_agent = "cos-agent"
  }
}

output "requires" {
  description = "The endpoints that integrate with what others provide."
  value = {
    debug_ssh = "debug-ssh"
  }
}
