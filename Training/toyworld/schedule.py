"""How long a training runs, and its learning rate meanwhile."""

import time

WARM_UP = 200
"""Steps in which the rate rises."""


class Schedule:
    """Iterates over (step, factor of the learning rate) for some minutes of wall time.

    The rate is constant but for a rise at the very beginning and a linear fall to nothing in the last `cooldown` minutes
    (Hagele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024): a checkpoint from
    before the fall can be trained on at the full rate.
    """

    def __init__(self, minutes, cooldown, first):
        self.start, self.minutes, self.cooldown = time.time(), minutes, cooldown
        self.first = self.step = first

    def __iter__(self):
        while (remaining := self.minutes - (time.time() - self.start) / 60) > 0:
            self.step += 1
            yield self.step, min(1, self.step / WARM_UP, remaining / self.cooldown + 0.01)

    def cooling(self):
        """Whether the rate is falling."""
        return (time.time() - self.start) / 60 > self.minutes - self.cooldown

    def seconds_per_step(self):
        return (time.time() - self.start) / max(1, self.step - self.first)
