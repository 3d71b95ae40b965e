package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.io.NativeFiles;
import io.ucp.plan.Planner;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Reads an output that has not got its name yet as if it were any checkpoint: found and indexed
/// from what its files say, by the code that reads a source, not by what wrote it. Ranks hold what
/// the layout of their job says, which [io.ucp.plan.RoundTrip] proves to lose nothing: that it is
/// the cut that the spec meant is not seen here.
final class ReadBack {
    private ReadBack() {}

    /// A state of a parameter.
    private record Place(String parameter, String state) {}

    /// @param result of writing it
    /// @return how many states were read and are the source's
    /// @throws FileSystemException where the output is not what it should be
    static long require(
            Prepared prepared,
            Path output,
            ExecutionResult result,
            RunOptions options,
            Progress progress)
            throws IOException {
        prepared.plan().targets().stream()
                .map(TargetPlan::path)
                .forEach(path -> NativeFiles.drop(output.resolve(path)));
        Request request = prepared.request();
        Described described;
        try {
            described =
                    prepared.bound().isPresent()
                            ? Described.of(output, request.to(), prepared.bound().get().layout())
                            : Described.of(
                                    output,
                                    Optional.of(request.to()),
                                    Optional.empty(),
                                    Map.of(),
                                    Names.KEEP);
        } catch (MalformedFileException | IncompleteCheckpointException | RefusedException e) {
            throw otherwise(output, request.to(), "", String.valueOf(e.getMessage()));
        }
        Inventory written = described.held();
        ExecutionResult read =
                PlanExecutor.read(
                        Planner.digests(written), Conversion.executing(options), progress);
        for (ExecutionResult.Difference d : read.differences()) {
            if (d.rule() == Step.Rule.EQUAL) {
                throw otherwise(output, d.parameter(), d.state(), DifferenceText.of(d));
            }
        }
        List<Verification.Difference> damage = FileChecks.of(written.index());
        if (!damage.isEmpty()) {
            throw otherwise(output, damage.getFirst().parameter(), "", damage.getFirst().what());
        }
        Map<Place, String> expected = expected(prepared, result, options, progress);
        long equal = 0;
        for (Map.Entry<Place, String> entry : expected.entrySet()) {
            Place place = entry.getKey();
            String found =
                    read.digests().getOrDefault(place.parameter(), Map.of()).get(place.state());
            if (found == null) {
                throw otherwise(output, place.parameter(), place.state(), "it is not found again");
            }
            if (!found.equals(entry.getValue())) {
                throw otherwise(
                        output,
                        place.parameter(),
                        place.state(),
                        "its bytes have digest %s, and the source's %s"
                                .formatted(found, entry.getValue()));
            }
            equal++;
        }
        return equal;
    }

    private static FileSystemException otherwise(
            Path output, String parameter, String state, String what) {
        return new FileSystemException(
                output.toString(),
                null,
                "%s %s reads otherwise than it was written: %s\nhint: the disk or the memory may be failing; convert again, elsewhere"
                        .formatted(parameter, state, what));
    }

    /// The source's digests of the states that are written without a cast: those that were taken on
    /// the way, and of states that no file holds whole, read again.
    private static Map<Place, String> expected(
            Prepared prepared, ExecutionResult result, RunOptions options, Progress progress)
            throws IOException {
        Set<Place> plain = new HashSet<>();
        Set<Place> cast = new HashSet<>();
        for (TargetPlan target : prepared.plan().targets()) {
            for (Step step : target.steps()) {
                if (step instanceof Step.Elements e) {
                    Place place = new Place(e.of().parameter(), e.of().state());
                    (e.from() == e.to() ? plain : cast).add(place);
                }
            }
        }
        Map<Place, String> expected = new LinkedHashMap<>();
        Map<String, Set<String>> unknown = new HashMap<>();
        for (Place place : plain) {
            String taken =
                    result.digests().getOrDefault(place.parameter(), Map.of()).get(place.state());
            if (taken == null || cast.contains(place)) {
                unknown.computeIfAbsent(place.parameter(), _ -> new HashSet<>()).add(place.state());
            } else {
                expected.put(place, taken);
            }
        }
        if (!unknown.isEmpty()) {
            Digests.of(only(prepared.inventory(), unknown), options, progress)
                    .forEach(
                            (parameter, states) ->
                                    ParameterFacts.ofRealElements(states)
                                            .forEach(
                                                    (state, digest) ->
                                                            expected.put(
                                                                    new Place(parameter, state),
                                                                    digest)));
        }
        return expected;
    }

    private static Inventory only(Inventory inventory, Map<String, Set<String>> states) {
        List<Parameter> parameters =
                inventory.parameters().stream()
                        .filter(p -> states.containsKey(p.name()))
                        .map(
                                p -> {
                                    Map<String, StateHolding> kept =
                                            new LinkedHashMap<>(p.states());
                                    kept.keySet()
                                            .retainAll(states.getOrDefault(p.name(), Set.of()));
                                    return new Parameter(p.facts(), kept);
                                })
                        .toList();
        return new Inventory(
                inventory.index(),
                parameters,
                inventory.carried(),
                inventory.origin(),
                inventory.findings());
    }
}
