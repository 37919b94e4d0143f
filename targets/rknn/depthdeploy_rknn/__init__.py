"""Rockchip NPUs as a target."""
