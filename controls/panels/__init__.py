"""Panels: functions that take what they need as arguments and draw one question."""
