"""Paired samples, one text under two tasks: which neurons do they share?"""
