"""Devices that plugins announce and that containers own ("Device Plugins")."""
