"""The contract of a readout, clause by clause.

A clause is a function of a :class:`~tests.conformance.case.Case` that raises where the
layer does not keep it. The first line of its docstring says what it asks.
"""

from collections.abc import Callable

from tests.conformance import deployment, grouping, numerics, tracing
from tests.conformance.case import Case

Clause = Callable[[Case], None]

CLAUSES: dict[str, Clause] = {
    clause.__name__: clause
    for clause in (
        grouping.unsorted_index,
        grouping.permutation,
        grouping.ptr_alone,
        grouping.ptr_and_index,
        grouping.one_set,
        grouping.trailing_sets,
        grouping.empty_sets,
        grouping.no_nodes,
        grouping.single_node,
        grouping.leading_axes,
        grouping.any_axis,
        grouping.bad_index,
        grouping.bad_ptr,
        numerics.single_precision,
        numerics.half_precision,
        numerics.half_precision_ptr,
        numerics.half_features,
        numerics.autocast,
        numerics.first_derivative,
        numerics.second_derivative,
        numerics.second_derivative_ptr,
        numerics.non_finite_neighbour,
        numerics.large_features,
        numerics.batching,
        numerics.threads,
        deployment.compiling,
        deployment.exporting,
        deployment.transforming,
        deployment.forward_mode,
        deployment.deep_copying,
        deployment.pickling,
        deployment.state_dict,
        deployment.all_gradients,
        deployment.live_parameters,
        tracing.meta_device,
        tracing.meta_leading_axes,
        tracing.other_device,
        tracing.fake_tensors,
        tracing.tracing,
        tracing.tracing_fakes,
        tracing.tracing_symbols,
        tracing.functionalizing,
        tracing.module_tracing,
    )
}
