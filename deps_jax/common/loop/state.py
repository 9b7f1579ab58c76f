"""What a training run is at a step."""
from __future__ import annotations

import jax
import optax
from flax import struct


@struct.dataclass
class TrainState:
    """Everything that must survive: a checkpoint of it continues the run as if it had not stopped.

    On a CPU, parameters are then bit-identical. A GPU has sums without a fixed order unless
    XLA_FLAGS holds --xla_gpu_deterministic_ops=true, which is left to the user because it is
    slower.
    """

    step: jax.Array  # [] int32
    params: dict
    # Running statistics. A supernet's are of the full model, and only `initial_weights` reads them,
    # to pass them on: every subnet is recalibrated before it is evaluated.
    batch_stats: dict
    opt_state: optax.OptState
    teacher: dict = struct.field(default_factory=dict)  # parameters of a frozen one, where needed
    average: dict = struct.field(default_factory=dict)  # of the parameters, where it is kept

    @property
    def evaluated(self) -> dict:
        """The parameters that results are of: their average where it is kept, else themselves."""
        return self.average or self.params
