"""Locators of single facts by their own validations and by one shared metric (IPP)."""
