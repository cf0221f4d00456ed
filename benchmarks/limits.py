r"""What the machine can do at best, and which share of it a readout reaches.

The scaling form of Sinkhorn, forward and backward, cannot do with less for an element
of x than

- exponentials: one each way if all steps share t, one each way and step if not;
- multiply-adds: a row and a column sum a step forward, and the average; backward
  those two and the adjoint's row sum a step, two a step for the gradient of x, and four
  more for that and for the average (7 K + 5);
- memory: x read twice and its gradient written once, 12 bytes, where a batch does not
  stay in a cache.

Each is priced at its own best rate, measured in the same run: the kernels' own
exponential and a multiply-add with one factor from the first-level cache, both per
element of an array that stays there, and a copy of an array ten times the size of the
caches. A share is the time at that rate over the time measured; they would add up
to 1 if none overlapped.
"""

from dataclasses import asdict, dataclass

import torch

from benchmarks.elementary import Elementary, instruction_sets
from benchmarks.timing import interleaved
from benchmarks.workloads import Workload

COPIED = 2**27  # elements of a copy, half a GB each way


@dataclass(frozen=True)
class Rates:
    r"""Seconds of one thread for an element of float32, and of all for a byte.

    Args:
        exponential (float): 2 to the power of x, as the kernels take it.
        multiply_add (float): One factor from the first-level cache.
        byte (float): Read or written in a copy, all threads together.
    """

    exponential: float
    multiply_add: float
    byte: float

    @classmethod
    def measure(cls, isa: str) -> "Rates":
        r"""Of this machine.

        Args:
            isa (str): The instruction set.

        Raises:
            OSError: If the functions to time cannot be compiled.
        """
        elementary = Elementary()
        return cls(
            elementary.seconds(isa, "exp2_bounded_float32"),
            elementary.seconds(isa, "multiply_add_float32"),
            seconds_of_a_byte(COPIED),
        )

    def shares(
        self, seconds: float, workload: Workload, steps: int, shared: bool
    ) -> dict[str, float]:
        r"""The parts of a measured time that each limit alone would take.

        Args:
            seconds (float): Forward and backward.
            workload (Workload): What was pooled.
            steps (int): K.
            shared (bool): Whether all steps share t.
        """
        each = seconds / workload.elements
        threads = torch.get_num_threads()
        exponentials = 2 if shared else 2 * steps
        return {
            "exponentials": exponentials * self.exponential / threads / each,
            "multiply-adds": (7 * steps + 5) * self.multiply_add / threads / each,
            "memory": 12 * self.byte / each,
        }


def seconds_of_a_byte(elements: int) -> float:
    r"""Copies an array; each byte counts when it is read and when it is written."""
    source, target = torch.ones(elements), torch.zeros(elements)
    seconds = interleaved({"copy": lambda: target.copy_(source)}, repeats=7)
    return seconds["copy"] / (8 * elements)


def limits(
    seconds: dict[str, dict[str, float]], workloads: dict[str, Workload], steps: int
) -> dict[str, object]:
    r"""The machine's rates, and the shares of the Sinkhorn readouts on each workload.

    Args:
        seconds (dict): Measured, by workload and readout.
        workloads (dict): By name.
        steps (int): K.
    """
    try:
        rates = Rates.measure(instruction_sets()[0])
    except OSError as error:
        return {"not measured": str(error)}
    readouts = {"uotp": True, "uotp per step": False}
    return {
        "rates": asdict(rates),
        "shares": {
            name: {
                readout: rates.shares(times[readout], workloads[name], steps, shared)
                for readout, shared in readouts.items()
            }
            for name, times in seconds.items()
        },
    }
