"""What lets the main job run on any machine: a local GitHub, a stand-in runner, an LXD emulator."""
