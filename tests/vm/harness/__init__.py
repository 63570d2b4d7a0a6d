# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated machine as a test harness: a real kernel in front of emulated CXL cards in hot-plug slots."""
