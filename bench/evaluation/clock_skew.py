"""Clocks that are apart: what that does to the order of events, what correcting them gains, and what
it costs to keep the nodes' own clocks together."""
import json

import draw
import figures
import pages

NAME = 'clock-skew'
NUMBER = figures.number
TABLES = {}
PLOTS = {}


def seconds(run):
    return 0


def measure(run):
    pass
