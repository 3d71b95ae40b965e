package io.ucp.convert;

import io.ucp.checkpoint.Parameter;
import io.ucp.execute.ExecutionResult;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/// Digests that a source keeps of its states, held against those of the bytes that were converted:
/// the same, whatever the two layouts are.
final class KeptDigests {
    private KeptDigests() {}

    /// States that the target has in another dtype, or that none of its files holds whole, have no
    /// digest to compare.
    ///
    /// @throws IncompleteCheckpointException where a state is not what it was
    static void require(Prepared prepared, ExecutionResult result)
            throws IncompleteCheckpointException {
        Set<State> cast = cast(prepared);
        for (Parameter parameter : prepared.inventory().parameters()) {
            Map<String, String> now = result.digests().getOrDefault(parameter.name(), Map.of());
            for (Map.Entry<String, String> kept : parameter.facts().digests().entrySet()) {
                String found = now.getOrDefault(kept.getKey(), kept.getValue());
                if (!found.equals(kept.getValue())
                        && !cast.contains(
                                new State(
                                        parameter.name(),
                                        ParameterFacts.digestedState(kept.getKey())))) {
                    throw new IncompleteCheckpointException(
                            "%s: %s: %s"
                                    .formatted(
                                            prepared.inventory().index().folder(),
                                            parameter.name(),
                                            kept.getKey()),
                            "bytes with the digest " + found,
                            kept.getValue() + ", as the checkpoint recorded",
                            "its file is damaged; copy it again from where it was written");
                }
            }
        }
    }

    private record State(String parameter, String state) {}

    private static Set<State> cast(Prepared prepared) {
        Set<State> cast = new HashSet<>();
        for (TargetPlan target : prepared.plan().targets()) {
            for (Step step : target.steps()) {
                if (step instanceof Step.Elements e && e.from() != e.to()) {
                    cast.add(new State(e.of().parameter(), e.of().state()));
                }
            }
        }
        return cast;
    }
}
